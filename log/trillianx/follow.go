// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package trillianx

import (
	"bytes"
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/tlog"
)

const (
	// segmentBundles is how many bundles are read, checked and written at once.
	// They hold a batch of the log at any place.
	segmentBundles = 5
	// parallel bounds the calls of Trillian, or of Tiles, at once.
	parallel = 8
)

// edge is the right edge of the tree that is read, checked and written.
type edge struct {
	frontier *tiles.Frontier
	bundle   []byte // the partial bundle
}

// tileBytes is a tile to write.
type tileBytes struct {
	tile tlog.Tile
	b    []byte
}

// follow checks and writes the leaves of the tree of h beyond the edge. It reads the leaves
// unless the pending leaves are the tree's. mu must be held.
func (e *Engine) follow(ctx context.Context, h head) error {
	from := e.edge.frontier.Size()
	switch {
	case h.size < from:
		return behind(h, from)
	case h.size == from && h.root != e.edge.frontier.Root():
		return fmt.Errorf("%w (Trillian's tree of %d leaves has the root %x, but its leaves have the root %x)",
			log.ErrTreeConflict, h.size, h.root, e.edge.frontier.Root())
	}
	for e.edge.frontier.Size() < h.size {
		if err := e.segment(ctx, h); err != nil {
			return err
		}
		if e.cfg.Progress != nil {
			e.cfg.Progress(e.edge.frontier.Size(), h.size)
		}
	}
	return nil
}

// behind returns the error that Trillian's tree shrank from size had to that of h.
func behind(h head, had uint64) error {
	return fmt.Errorf("%w (Trillian's tree has %d leaves, but had %d: its database was restored from a backup, or answers from a replica that lags behind)",
		log.ErrTreeBehind, h.size, had)
}

// segment follows the tree of h. If the pending leaves have h's root, they are h's leaves,
// and segment need not read them. Otherwise it reads at most segmentBundles bundles.
func (e *Engine) segment(ctx context.Context, h head) error {
	from := e.edge.frontier.Size()
	if own := e.pending.from(from); h.size-from <= uint64(len(own)) {
		next, bundles, hashes, err := e.edge.grow(own[:h.size-from])
		if err != nil {
			return err
		}
		if next.frontier.Root() == h.root {
			return e.extend(ctx, h, next, bundles, hashes)
		}
	}
	to := min(h.size, (from/tlog.TileWidth+segmentBundles)*tlog.TileWidth)
	leaves, err := e.readRange(ctx, from, to)
	if err != nil {
		return err
	}
	next, bundles, hashes, err := e.edge.grow(leaves)
	if err != nil {
		return err
	}
	if root := next.frontier.Root(); to == h.size && root != h.root {
		return fmt.Errorf("%w (the leaves in Trillian's tree of size %d have the root %x, but Trillian states %x)", log.ErrTreeConflict, to, root, h.root)
	} else if to < h.size {
		if err := e.consistent(ctx, to, root, h); err != nil {
			return err
		}
	}
	e.pending.compare(from, leaves)
	return e.extend(ctx, h, next, bundles, hashes)
}

// extend writes bundles and tiles and makes next the edge. If next is all of h's tree, it
// writes the partial ones too.
func (e *Engine) extend(ctx context.Context, h head, next edge, bundles, hashes []tileBytes) error {
	if next.frontier.Size() == h.size {
		b, t := next.partial()
		bundles, hashes = append(bundles, b...), append(hashes, t...)
	}
	// Write bottom up, so that the entries below each tile are there.
	if err := e.write(ctx, bundles); err != nil {
		return err
	}
	if err := e.write(ctx, hashes); err != nil {
		return err
	}
	e.setEdge(next)
	e.sweep(bundles, hashes)
	return nil
}

// setEdge makes next the edge that readers see.
func (e *Engine) setEdge(next edge) {
	e.edge = next
	e.written.Store(next.frontier)
	e.pending.drop(next.frontier.Size())
}

// readRange reads leaves by bundles, several at once.
func (e *Engine) readRange(ctx context.Context, from, to uint64) ([]leaf, error) {
	var parts [segmentBundles + 1][]leaf
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i, at := 0, from; at < to; i++ {
		end := min(to, (at/tlog.TileWidth+1)*tlog.TileWidth)
		first := at
		g.Go(func() (err error) {
			parts[i], err = e.leaves(ctx, first, int(end-first))
			return err
		})
		at = end
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	out := make([]leaf, 0, to-from)
	for _, p := range parts {
		out = append(out, p...)
	}
	return out, nil
}

// grow returns the edge after these leaves, and the full bundles and tiles that
// they make.
func (d edge) grow(leaves []leaf) (next edge, bundles, hashes []tileBytes, err error) {
	next = edge{d.frontier.Clone(), bytes.Clone(d.bundle)}
	full := func(t tlog.Tile, b []byte) error {
		hashes = append(hashes, tileBytes{t, b})
		return nil
	}
	for _, l := range leaves {
		next.bundle = tlog.AppendEntry(next.bundle, l.value)
		if err := next.frontier.Append(l.hash, full); err != nil {
			return next, nil, nil, err
		}
		if size := next.frontier.Size(); size%tlog.TileWidth == 0 {
			t := tlog.Tile{Level: tlog.Entries, Index: size/tlog.TileWidth - 1, Width: tlog.TileWidth}
			bundles = append(bundles, tileBytes{t, next.bundle})
			next.bundle = nil
		}
	}
	return next, bundles, hashes, nil
}

// partial returns the partial bundle and tiles of an edge.
func (d edge) partial() (bundles, hashes []tileBytes) {
	if size := d.frontier.Size(); size%tlog.TileWidth > 0 {
		t := tlog.Tile{Level: tlog.Entries, Index: size / tlog.TileWidth, Width: int(size % tlog.TileWidth)}
		bundles = append(bundles, tileBytes{t, d.bundle})
	}
	_ = d.frontier.Partial(func(t tlog.Tile, b []byte) error { // fails only if the callback does
		hashes = append(hashes, tileBytes{t, b})
		return nil
	})
	return bundles, hashes
}

// write makes tiles durable, several at once.
func (e *Engine) write(ctx context.Context, all []tileBytes) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, t := range all {
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, e.cfg.Timeout)
			defer cancel()
			if err := e.cfg.Tiles.Put(ctx, t.tile.Path(), t.b); err != nil {
				return fmt.Errorf("writing %s: %w", t.tile.Path(), err)
			}
			return nil
		})
	}
	return g.Wait()
}

// sweep removes, in the background, the partial versions of tiles that are full now.
// ReadTile cuts them out of the full tile. mu must be held.
func (e *Engine) sweep(lists ...[]tileBytes) {
	var full []string
	for _, list := range lists {
		for _, t := range list {
			if t.tile.Width == tlog.TileWidth {
				full = append(full, t.tile.Path())
			}
		}
	}
	if len(full) == 0 {
		return
	}
	before := e.swept
	done := make(chan struct{})
	e.swept = done
	go func() {
		defer close(done)
		if before != nil {
			<-before
		}
		for _, path := range full {
			ctx, cancel := context.WithTimeout(context.Background(), e.cfg.Timeout)
			if err := e.cfg.Tiles.RemovePartials(ctx, path); err != nil {
				e.cfg.Logger.Warn("partial versions of a full tile were not removed", "tile", path, "err", err)
			}
			cancel()
		}
	}()
}
