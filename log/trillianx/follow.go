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
	// A batch of the log's has its place in them, wherever it begins.
	segmentBundles = 5
	// parallel is how many calls of Trillian, or of Tiles, are made at once.
	parallel = 8
)

// edge is the right edge of the tree that was read, checked and written.
type edge struct {
	frontier *tiles.Frontier
	bundle   []byte // the partial bundle
}

// tileBytes is a tile to be written.
type tileBytes struct {
	tile tlog.Tile
	b    []byte
}

// follow reads what the tree of h has beyond the edge, checks it and writes it.
// each, if not nil, is called with each leaf once it is written. It needs mu.
func (e *Engine) follow(ctx context.Context, h head, each func(index uint64, l leaf)) error {
	from := e.edge.frontier.Size()
	switch {
	case h.size < from:
		return fmt.Errorf("%w (Trillian's tree has %d leaves, and %d were read from it: its database was restored from a backup, or answers from a replica that lags behind)",
			log.ErrTreeBehind, h.size, from)
	case h.size == from && h.root != e.edge.frontier.Root():
		return fmt.Errorf("%w (Trillian's tree of %d leaves has the root %x, and those that were read from it have %x)",
			log.ErrTreeConflict, h.size, h.root, e.edge.frontier.Root())
	}
	for e.edge.frontier.Size() < h.size {
		if err := e.segment(ctx, h, each); err != nil {
			return err
		}
		if e.cfg.Progress != nil {
			e.cfg.Progress(e.edge.frontier.Size(), h.size)
		}
	}
	return nil
}

// segment does a part of follow.
func (e *Engine) segment(ctx context.Context, h head, each func(index uint64, l leaf)) error {
	from := e.edge.frontier.Size()
	to := min(h.size, (from/tlog.TileWidth+segmentBundles)*tlog.TileWidth)
	leaves, err := e.readRange(ctx, from, to)
	if err != nil {
		return err
	}
	next, bundles, hashes, err := e.edge.grow(leaves)
	if err != nil {
		return err
	}
	if to < h.size {
		if err := e.consistent(ctx, to, next.frontier.Root(), h); err != nil {
			return err
		}
	} else {
		if root := next.frontier.Root(); root != h.root {
			return fmt.Errorf("%w (the leaves in Trillian's tree of size %d have the root %x, and Trillian says %x)", log.ErrTreeConflict, to, root, h.root)
		}
		b, t := next.partial()
		bundles, hashes = append(bundles, b...), append(hashes, t...)
	}
	// First what others are made of: where there is a tile, there is what is
	// below it.
	if err := e.write(ctx, bundles); err != nil {
		return err
	}
	if err := e.write(ctx, hashes); err != nil {
		return err
	}
	e.setEdge(next)
	e.sweep(bundles, hashes)
	if each != nil {
		for i, l := range leaves {
			each(from+uint64(i), l)
		}
	}
	return nil
}

// setEdge makes next the edge that readers see.
func (e *Engine) setEdge(next edge) {
	e.edge = next
	e.written.Store(next.frontier)
}

// readRange reads leaves by the bundle, several at once.
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
	_ = d.frontier.Partial(func(t tlog.Tile, b []byte) error { // which returns no error of its own
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

// sweep removes, by and by, the narrower versions of tiles that are full now:
// whoever asks for one is given a part of the full one. It needs mu.
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
				e.cfg.Logger.Warn("narrower versions of a full tile are left over", "tile", path, "err", err)
			}
			cancel()
		}
	}()
}
