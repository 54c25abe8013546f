// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"sync"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/tlog"
)

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
