// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package trillianx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"time"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/tlog"
)

// reader reads the tiles that an engine wrote, also in another process.
type reader struct {
	tiles   Tiles
	timeout time.Duration
	cache   *cache
}

// NewReader returns a reader of the tiles that an engine writes, for a process that
// serves them without the engine. It never calls Trillian.
func NewReader(cfg Config) (tlog.TileReader, error) {
	cfg = cfg.withDefaults()
	if cfg.Tiles == nil {
		return nil, errors.New("reading the tiles: Tiles is missing")
	}
	return &reader{cfg.Tiles, cfg.Timeout, newCache(cfg.CacheBytes)}, nil
}

// ReadTile returns a tile. It cuts the tile out of a wider one if the tree grew past
// this width at once.
func (r *reader) ReadTile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	if b, ok := r.cache.get(t); ok {
		return b, nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	b, err := r.stored(ctx, t)
	if err != nil {
		return nil, err
	}
	r.cache.add(t, b)
	return b, nil
}

func (r *reader) stored(ctx context.Context, t tlog.Tile) ([]byte, error) {
	// Try the full tile second, since it replaces the partial ones.
	widths := []int{t.Width, tlog.TileWidth}
	for w := t.Width + 1; w < tlog.TileWidth; w++ {
		widths = append(widths, w)
	}
	for _, w := range widths {
		kept := t
		kept.Width = w
		b, err := r.tiles.Get(ctx, kept.Path())
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("reading %s: %w", kept.Path(), err)
		}
		cut, err := t.Cut(b)
		return append([]byte(nil), cut...), err
	}
	return nil, &fs.PathError{Op: "read", Path: t.Path(), Err: fs.ErrNotExist}
}

// Salvage yields the entries in stored tiles from an index up to the first gap,
// without Trillian. They are not verified.
func Salvage(ctx context.Context, from Tiles, index uint64) iter.Seq[[]byte] {
	return tiles.Entries(index, func(n uint64) [][]byte { return widest(ctx, from, n) })
}

// widest returns the entries of the widest stored bundle with index n.
func widest(ctx context.Context, from Tiles, n uint64) [][]byte {
	for w := tlog.TileWidth; w > 0; w-- {
		t := tlog.Tile{Level: tlog.Entries, Index: n, Width: w}
		b, err := from.Get(ctx, t.Path())
		if err != nil {
			continue
		}
		if entries, err := tlog.ParseBundle(bytes.Clone(b), w); err == nil {
			return entries
		}
	}
	return nil
}
