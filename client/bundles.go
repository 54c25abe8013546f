// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"iter"
	"sync"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/tlog"
)

// bundle is a bundle as it was read, and what its entries hash to.
type bundle struct {
	n       uint64
	entries [][]byte
	leaves  []tlog.Hash
	err     error
}

func readBundle(ctx context.Context, r tlog.TileReader, n, size uint64) bundle {
	entries, err := tiles.ReadBundle(ctx, r, n, size)
	if err != nil {
		return bundle{err: err}
	}
	b := bundle{n: n, entries: entries, leaves: make([]tlog.Hash, len(entries))}
	for i, e := range entries {
		b.leaves[i] = tiles.LeafHash(e)
	}
	return b
}

// readBundles yields the bundles that have the entries from one index up to a
// tree's size, in order, and reads ahead of what was asked for: as many at a
// time. No goroutine of it is left when it returns.
func readBundles(ctx context.Context, r tlog.TileReader, from, size uint64, ahead int) iter.Seq2[bundle, error] {
	return func(yield func(bundle, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		// Each slot of the queue is a bundle under way. The queue's order is
		// the log's.
		queue := make(chan chan bundle, max(ahead-1, 0))
		wg.Go(func() {
			defer close(queue)
			for n := from / tlog.TileWidth; from < size; n++ {
				slot := make(chan bundle, 1)
				wg.Go(func() { slot <- readBundle(ctx, r, n, size) })
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
			yield(bundle{}, err)
		}
	}
}
