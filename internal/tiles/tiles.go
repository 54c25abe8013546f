// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package tiles does the Merkle tree arithmetic of a tiled log (C2SP
// tlog-tiles, RFC 6962): hashes, the verification of proofs, and the
// growth of a tree tile by tile. Package prover makes proofs out of tiles.
//
// It trusts no tile: [Frontier.Extend] accepts a grown tree only after it has hashed
// every new entry and compared every changed tile. A tile that doesn't fit is a
// [tlog.CorruptError] that names it.
package tiles

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/vasistas/vasistas/log/tlog"
)

// Hash is a Merkle tree hash.
type Hash = tlog.Hash

// LeafHash returns the hash of an entry (RFC 6962, section 2.1).
func LeafHash(entry []byte) Hash {
	h := sha256.New()
	h.Write([]byte{0})
	h.Write(entry)
	return Hash(h.Sum(nil))
}

// HashChildren returns the hash of a node with two children (RFC 6962, section 2.1),
// without allocating.
func HashChildren(left, right Hash) Hash {
	var b [1 + 2*sha256.Size]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+sha256.Size:], right[:])
	return sha256.Sum256(b[:])
}

// hasher is RFC 6962's, and allocates only its results.
type hasher struct{ *rfc6962.Hasher }

var merkleHasher = hasher{rfc6962.DefaultHasher}

func (hasher) HashChildren(left, right []byte) []byte {
	h := HashChildren(Hash(left), Hash(right))
	return h[:]
}

// EmptyRoot returns the root of a tree without entries (RFC 6962, section 2.1).
func EmptyRoot() Hash { return sha256.Sum256(nil) }

// Subtree returns the root of a perfect tree over len(h) hashes, a power of 2.
func Subtree(h []Hash) Hash {
	switch len(h) {
	case 1:
		return h[0]
	case 2:
		return HashChildren(h[0], h[1])
	}
	return HashChildren(Subtree(h[:len(h)/2]), Subtree(h[len(h)/2:]))
}

// ReadHashes reads and splits a tile of hashes.
func ReadHashes(ctx context.Context, r tlog.TileReader, t tlog.Tile) ([]Hash, error) {
	b, err := r.ReadTile(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", t.Path(), err)
	}
	if len(b) != t.Width*sha256.Size {
		return nil, &tlog.CorruptError{Tile: t, Reason: fmt.Sprintf("it has %d bytes, but %d hashes have %d", len(b), t.Width, t.Width*sha256.Size)}
	}
	hashes := make([]Hash, t.Width)
	for i := range hashes {
		hashes[i] = Hash(b[i*sha256.Size:])
	}
	return hashes, nil
}

// ReadBundle reads and splits the bundle with index n of a tree of the given
// size.
func ReadBundle(ctx context.Context, r tlog.TileReader, n, size uint64) ([][]byte, error) {
	t := tlog.Tile{Level: tlog.Entries, Index: n, Width: Width(0, n, size)}
	if t.Width == 0 {
		return nil, fmt.Errorf("a tree of size %d has no bundle %d", size, n)
	}
	b, err := r.ReadTile(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", t.Path(), err)
	}
	entries, err := tlog.ParseBundle(b, t.Width)
	if err != nil {
		return nil, &tlog.CorruptError{Tile: t, Reason: err.Error()}
	}
	return entries, nil
}

// Entries yields the entries from an index on, up to the end of the first bundle that
// is not full. read returns the bundle with index n.
func Entries(from uint64, read func(n uint64) [][]byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for width := tlog.TileWidth; width == tlog.TileWidth; {
			entries := read(from / tlog.TileWidth)
			width = len(entries)
			for i := int(from % tlog.TileWidth); i < width; i++ {
				if !yield(entries[i]) {
					return
				}
				from++
			}
		}
	}
}

// Width returns the width of a tile in a tree of the given size, 0 if the tree has no
// such tile.
func Width(level int, index, size uint64) int {
	if level > 7 {
		return 0
	}
	n := size >> (8 * level)
	if n <= index*tlog.TileWidth {
		return 0
	}
	return int(min(n-index*tlog.TileWidth, tlog.TileWidth))
}

// Edge returns the partial tiles of a tree of the given size, from level 0 up.
func Edge(size uint64) []tlog.Tile {
	var tiles []tlog.Tile
	for l := 0; size>>(8*l) > 0 && l < 8; l++ {
		n := size >> (8 * l)
		if w := int(n % tlog.TileWidth); w > 0 {
			tiles = append(tiles, tlog.Tile{Level: l, Index: n / tlog.TileWidth, Width: w})
		}
	}
	return tiles
}

// ErrProof is wrapped by the errors of [VerifyInclusion] and
// [VerifyConsistency].
var ErrProof = errors.New("the Merkle proof does not verify")

// VerifyInclusion returns nil if the leaf is at index in the tree of the given
// size and root (RFC 6962, section 2.1.1).
func VerifyInclusion(index uint64, leaf Hash, size uint64, root Hash, hashes []Hash) error {
	if err := proof.VerifyInclusion(merkleHasher, index, size, leaf[:], byteSlices(hashes), root[:]); err != nil {
		return fmt.Errorf("%w: entry %d in the tree of size %d: %s", ErrProof, index, size, reason(err))
	}
	return nil
}

// VerifyConsistency returns nil if the second tree extends the first (RFC 6962, section
// 2.1.2). It fails for an empty first tree, which has no consistency proof: every tree
// extends it.
func VerifyConsistency(size1 uint64, root1 Hash, size2 uint64, root2 Hash, hashes []Hash) error {
	if size1 == 0 {
		return fmt.Errorf("%w: the empty tree has none", ErrProof)
	}
	if err := proof.VerifyConsistency(merkleHasher, size1, size2, byteSlices(hashes), root1[:], root2[:]); err != nil {
		return fmt.Errorf("%w: from size %d to %d: %s", ErrProof, size1, size2, reason(err))
	}
	return nil
}

// reason returns the text of an error, with hashes in hex.
func reason(err error) string {
	var mismatch proof.RootMismatchError
	if errors.As(err, &mismatch) {
		return fmt.Sprintf("it leads to the root %x, but the head has %x", mismatch.CalculatedRoot, mismatch.ExpectedRoot)
	}
	return err.Error()
}

func byteSlices(hashes []Hash) [][]byte {
	out := make([][]byte, len(hashes))
	for i := range hashes {
		out[i] = hashes[i][:]
	}
	return out
}

// Frontier is the right edge of a tree: the hashes of its partial tiles. It suffices to
// append to the tree and to compute its root. The zero value is the empty tree.
type Frontier struct {
	size uint64
	// edge[l] are the hashes of the partial tile at level l, fewer than 256.
	edge [][]Hash
}

// ReadFrontier reads the right edge of a tree of the given size, unverified.
func ReadFrontier(ctx context.Context, r tlog.TileReader, size uint64) (*Frontier, error) {
	f := &Frontier{size: size}
	for _, t := range Edge(size) {
		hashes, err := ReadHashes(ctx, r, t)
		if err != nil {
			return nil, err
		}
		for len(f.edge) <= t.Level {
			f.edge = append(f.edge, nil)
		}
		f.edge[t.Level] = hashes
	}
	return f, nil
}

// LoadFrontier reads the right edge of a tree of the given size, and checks it
// against root.
func LoadFrontier(ctx context.Context, r tlog.TileReader, size uint64, root Hash) (*Frontier, error) {
	f, err := ReadFrontier(ctx, r, size)
	if err != nil {
		return nil, err
	}
	if f.Root() != root {
		edge := Edge(size)
		if len(edge) == 0 {
			return nil, fmt.Errorf("the root of the empty tree is not %x", root)
		}
		return nil, &tlog.CorruptError{Tile: edge[0], Reason: fmt.Sprintf("the right edge of the tree of size %d has the root %x, but the head has %x", size, f.Root(), root)}
	}
	return f, nil
}

// Tile returns the hashes of the partial tile at a level, nil if the edge has
// none there. They are valid until the next [Frontier.Append].
func (f *Frontier) Tile(level int) []Hash {
	if level >= len(f.edge) {
		return nil
	}
	return f.edge[level]
}

// Size returns the number of leaves.
func (f *Frontier) Size() uint64 { return f.size }

// Clone returns a copy.
func (f *Frontier) Clone() *Frontier {
	c := &Frontier{size: f.size, edge: make([][]Hash, len(f.edge))}
	for l := range f.edge {
		c.edge[l] = slices.Clone(f.edge[l])
	}
	return c
}

// Root returns the root hash.
func (f *Frontier) Root() Hash {
	var root Hash
	have := false
	// Go from the smallest perfect subtree, which is the rightmost, to the largest.
	for _, hashes := range f.edge {
		for end := len(hashes); end > 0; {
			n := end & -end
			left := Subtree(hashes[end-n : end])
			if have {
				root = HashChildren(left, root)
			} else {
				root, have = left, true
			}
			end -= n
		}
	}
	if !have {
		return EmptyRoot()
	}
	return root
}

// Append adds a leaf hash. For each tile that it fills, from level 0 up, it calls full
// with the tile and its 8,192 bytes. Append returns an error of full, after which the
// frontier is unusable.
func (f *Frontier) Append(leaf Hash, full func(t tlog.Tile, b []byte) error) error {
	h := leaf
	for l := 0; ; l++ {
		if l == len(f.edge) {
			f.edge = append(f.edge, nil)
		}
		f.edge[l] = append(f.edge[l], h)
		if len(f.edge[l]) < tlog.TileWidth {
			break
		}
		t := tlog.Tile{Level: l, Index: f.size >> (8 * (l + 1)), Width: tlog.TileWidth}
		if err := full(t, Join(f.edge[l])); err != nil {
			return err
		}
		h = Subtree(f.edge[l])
		f.edge[l] = f.edge[l][:0]
	}
	f.size++
	return nil
}

// Partial calls do for each partial tile of the right edge, from level 0 up.
func (f *Frontier) Partial(do func(t tlog.Tile, b []byte) error) error {
	for _, t := range Edge(f.size) {
		if err := do(t, Join(f.edge[t.Level])); err != nil {
			return err
		}
	}
	return nil
}

// Join returns the bytes of a tile of these hashes. ReadHashes splits them again.
func Join(hashes []Hash) []byte {
	b := make([]byte, 0, len(hashes)*sha256.Size)
	for _, h := range hashes {
		b = append(b, h[:]...)
	}
	return b
}

// Extend returns the frontier of r's tree of the given size, at least f's. It hashes
// every entry from f.Size on, and those before it in the same bundle, and compares every
// changed tile with the computed hashes. So the returned tree extends f's, and r has all
// of it. each, if not nil, is called with each new entry in order; the entry is valid
// only during the call. f is not changed.
func (f *Frontier) Extend(ctx context.Context, r tlog.TileReader, size uint64, each func(index uint64, entry []byte, leaf Hash) error) (*Frontier, error) {
	if size < f.size {
		return nil, fmt.Errorf("a tree of size %d can't extend one of size %d", size, f.size)
	}
	next := f.Clone()
	compare := func(t tlog.Tile, want []byte) error {
		got, err := r.ReadTile(ctx, t)
		if err != nil {
			return fmt.Errorf("reading %s: %w", t.Path(), err)
		}
		if !bytes.Equal(got, want) {
			return &tlog.CorruptError{Tile: t, Reason: "it does not have the hashes of the entries below it"}
		}
		return nil
	}
	for next.size < size {
		if err := next.extendBundle(ctx, r, size, compare, each); err != nil {
			return nil, err
		}
	}
	if size > f.size {
		if err := next.Partial(compare); err != nil {
			return nil, err
		}
	}
	return next, nil
}

// extendBundle appends the entries of the bundle at the right edge that f lacks.
func (f *Frontier) extendBundle(ctx context.Context, r tlog.TileReader, size uint64, compare func(tlog.Tile, []byte) error, each func(uint64, []byte, Hash) error) error {
	n := f.size / tlog.TileWidth
	entries, err := ReadBundle(ctx, r, n, size)
	if err != nil {
		return err
	}
	known := int(f.size % tlog.TileWidth)
	for i, e := range entries {
		leaf := LeafHash(e)
		if i < known {
			if f.edge[0][i] != leaf {
				t := tlog.Tile{Level: tlog.Entries, Index: n, Width: len(entries)}
				return &tlog.CorruptError{Tile: t, Reason: fmt.Sprintf("entry %d is not the one that the tree has", n*tlog.TileWidth+uint64(i))}
			}
			continue
		}
		if each != nil {
			if err := each(f.size, e, leaf); err != nil {
				return err
			}
		}
		if err := f.Append(leaf, compare); err != nil {
			return err
		}
	}
	return nil
}
