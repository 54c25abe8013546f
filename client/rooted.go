// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/internal/tiles/prover"
	"github.com/vasistas/vasistas/log/tlog"
)

// keepTiles and keepBundles are the sizes of the caches. A full tile has 8 KiB, and a
// walk needs one a level; a bundle of a Vasistas log has at most 12 MB.
const (
	keepTiles   = 64
	keepBundles = 16
)

type (
	tileCache   = lru.Cache[tlog.Hash, []tlog.Hash] // full tiles by their hash: right in every tree
	bundleCache = lru.Cache[uint64, *bundle]        // bundles of any head, by index
)

func newCache[K comparable, V any](size int) *lru.Cache[K, V] {
	c, err := lru.New[K, V](size)
	if err != nil {
		panic(err) // for a size below 1 only
	}
	return c
}

// rooted reads tiles from an untrusted source, and returns only those that belong to
// the tree of one root: the partial tiles of the right edge give the root, and the hash
// of every full tile stands in the tile above it. It is safe for concurrent use.
type rooted struct {
	c      *Client
	size   uint64
	root   tlog.Hash
	edge   *tiles.Frontier // the partial tiles
	full   *tileCache
	roots  *lru.Cache[uint64, tlog.Hash] // of smaller sizes
	prover *prover.Prover                // of accepted tiles
	keeper *keeper                       // nil: nothing is kept
	early  []func() error                // writes to the keeper that persist will do; nil: keep writes at once
}

// openRooted reads the right edge of a tree and checks it against the root. Until
// persist, no file is kept and only one goroutine may use the tree.
func openRooted(ctx context.Context, c *Client, size uint64, root tlog.Hash, full *tileCache) (*rooted, error) {
	f, err := tiles.LoadFrontier(ctx, c.source, size, root)
	if err != nil {
		return nil, err
	}
	t := newRooted(c, size, root, f, full)
	t.early = []func() error{} // not nil: persist writes
	return t, f.Partial(func(id tlog.Tile, b []byte) error {
		return t.keep(id, func() []byte { return b })
	})
}

func newRooted(c *Client, size uint64, root tlog.Hash, edge *tiles.Frontier, full *tileCache) *rooted {
	t := &rooted{c: c, size: size, root: root, edge: edge, full: full, roots: newCache[uint64, tlog.Hash](4), keeper: c.keeper}
	t.prover = prover.New(t, 0)
	return t
}

// persist keeps the tiles read so far. Call it once the head is accepted: a signed head
// may still be a fork, whose tiles must not be kept in place of the log's.
func (t *rooted) persist() error {
	for _, keep := range t.early {
		if err := keep(); err != nil {
			return err
		}
	}
	t.early = nil
	return nil
}

func (t *rooted) keep(id tlog.Tile, bytes func() []byte) error {
	if t.early != nil {
		t.early = append(t.early, func() error { return t.keeper.keep(id, bytes) })
		return nil
	}
	return t.keeper.keep(id, bytes)
}

// tile returns all hashes of the tree in a tile.
func (t *rooted) tile(ctx context.Context, level int, index uint64) ([]tlog.Hash, error) {
	id := tlog.Tile{Level: level, Index: index, Width: tiles.Width(level, index, t.size)}
	if id.Width == 0 {
		return nil, fmt.Errorf("a tree of size %d has no tile %d at level %d", t.size, index, level)
	}
	if id.Width < tlog.TileWidth {
		return t.edge.Tile(level), nil
	}
	want, err := t.above(ctx, level, index)
	if err != nil {
		return nil, err
	}
	if hashes, ok := t.full.Get(want); ok {
		return hashes, nil
	}
	hashes, err := tiles.ReadHashes(ctx, t.c.source, id)
	if err != nil {
		return nil, err
	}
	if tiles.Subtree(hashes) != want {
		return nil, &tlog.CorruptError{Tile: id, Reason: "its hash is not the one in the tile above it"}
	}
	t.full.Add(want, hashes)
	return hashes, t.keep(id, func() []byte { return tiles.Join(hashes) })
}

// above returns the hash of a full tile, from the tile above it.
func (t *rooted) above(ctx context.Context, level int, index uint64) (tlog.Hash, error) {
	up, err := t.tile(ctx, level+1, index/tlog.TileWidth)
	if err != nil {
		return tlog.Hash{}, err
	}
	return up[index%tlog.TileWidth], nil
}

// ReadTile makes frontiers and proofs out of accepted tiles: see [tlog.TileReader]. It
// reads tiles of hashes only, of any width up to the tree's.
func (t *rooted) ReadTile(ctx context.Context, id tlog.Tile) ([]byte, error) {
	hashes, err := t.tile(ctx, id.Level, id.Index)
	if err != nil {
		return nil, err
	}
	if len(hashes) < id.Width {
		return nil, fmt.Errorf("a tree of size %d does not have %s", t.size, id.Path())
	}
	return tiles.Join(hashes[:id.Width]), nil
}

// rootAt returns the root of the tree at a size of at most its own.
func (t *rooted) rootAt(ctx context.Context, size uint64) (tlog.Hash, error) {
	switch {
	case size > t.size:
		return tlog.Hash{}, fmt.Errorf("a tree of size %d has no root at size %d", t.size, size)
	case size == t.size:
		return t.root, nil
	}
	if root, ok := t.roots.Get(size); ok {
		return root, nil
	}
	f, err := tiles.ReadFrontier(ctx, t, size)
	if err != nil {
		return tlog.Hash{}, err
	}
	root := f.Root()
	t.roots.Add(size, root)
	return root, nil
}

// bundle checks that a bundle is the tree's, and keeps it.
func (t *rooted) bundle(ctx context.Context, b *bundle) error {
	id := b.id()
	var fits bool
	if id.Width == tlog.TileWidth {
		want, err := t.above(ctx, 0, b.n)
		if err != nil {
			return err
		}
		if fits = tiles.Subtree(b.leaves) == want; fits {
			t.full.Add(want, b.leaves)
		}
	} else {
		have, err := t.tile(ctx, 0, b.n)
		if err != nil {
			return err
		}
		fits = slices.Equal(have, b.leaves)
	}
	if !fits {
		return &tlog.CorruptError{Tile: id, Reason: "its entries are not those of the tree"}
	}
	if b.tile {
		if err := t.keep(tlog.Tile{Index: b.n, Width: id.Width}, func() []byte { return tiles.Join(b.leaves) }); err != nil {
			return err
		}
	}
	return t.keep(id, b.bytes)
}

// read returns a checked bundle.
func (t *rooted) read(ctx context.Context, n uint64) (*bundle, error) {
	b := readBundle(ctx, t.c.source, n, t.size, false)
	if b.err != nil {
		return nil, b.err
	}
	return b, t.bundle(ctx, b)
}

// last reports whether b is the tree's last bundle, partial and complete.
func (t *rooted) last(ctx context.Context, b *bundle) bool {
	width := tiles.Width(0, b.n, t.size)
	return width == len(b.entries) && width < tlog.TileWidth && t.bundle(ctx, b) == nil
}

type bundle struct {
	n       uint64
	entries [][]byte
	leaves  []tlog.Hash
	tile    bool // the tile of its leaf hashes was read, and is equal
	err     error
}

func (b *bundle) id() tlog.Tile {
	return tlog.Tile{Level: tlog.Entries, Index: b.n, Width: len(b.entries)}
}

func (b *bundle) bytes() []byte {
	var out []byte
	for _, e := range b.entries {
		out = tlog.AppendEntry(out, e)
	}
	return out
}

// readBundle reads a bundle. With withTile it also reads the full tile of its leaf
// hashes and compares the two.
func readBundle(ctx context.Context, r tlog.TileReader, n, size uint64, withTile bool) *bundle {
	id := tlog.Tile{Level: 0, Index: n, Width: tiles.Width(0, n, size)}
	var hashes []tlog.Hash
	var tileErr error
	var wg sync.WaitGroup
	withTile = withTile && id.Width == tlog.TileWidth
	if withTile {
		wg.Go(func() { hashes, tileErr = tiles.ReadHashes(ctx, r, id) })
	}
	b := &bundle{n: n, tile: withTile}
	if b.entries, b.err = tiles.ReadBundle(ctx, r, n, size); b.err == nil {
		b.leaves = make([]tlog.Hash, len(b.entries))
		for i, e := range b.entries {
			b.leaves[i] = tiles.LeafHash(e)
		}
	}
	wg.Wait()
	b.err = cmp.Or(b.err, tileErr)
	for i := 0; b.err == nil && i < len(hashes); i++ {
		if hashes[i] != b.leaves[i] {
			b.err = &tlog.CorruptError{Tile: id, Reason: fmt.Sprintf("it has another hash than entry %d", n*tlog.TileWidth+uint64(i))}
		}
	}
	return b
}

// readAhead is how many bundles are fetched at a time.
const readAhead = 8

// readBundles yields, in order, the bundles with the entries from an index up to a
// tree's size. It reads ahead, and leaves no goroutine behind.
func readBundles(ctx context.Context, r tlog.TileReader, from, size uint64, withTile bool) iter.Seq2[*bundle, error] {
	return func(yield func(*bundle, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		// Each slot of the queue is a bundle under way, in the log's order.
		queue := make(chan chan *bundle, readAhead-1)
		wg.Go(func() {
			defer close(queue)
			for n := from / tlog.TileWidth; from < size; n++ {
				slot := make(chan *bundle, 1)
				wg.Go(func() { slot <- readBundle(ctx, r, n, size, withTile) })
				select {
				case queue <- slot:
				case <-ctx.Done():
					return
				}
				from = (n + 1) * tlog.TileWidth
			}
		})
		for slot := range queue {
			b := <-slot
			if !yield(b, b.err) || b.err != nil {
				return
			}
		}
		if err := context.Cause(ctx); err != nil {
			yield(nil, err)
		}
	}
}
