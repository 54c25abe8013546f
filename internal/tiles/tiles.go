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
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"

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
