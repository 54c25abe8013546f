// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package tiles

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/vasistas/vasistas/log/tlog"
)

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

// Join returns the bytes of a tile of hashes, which ReadHashes splits.
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
