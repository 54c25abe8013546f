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

// reader reads what an engine wrote, perhaps in another process.
type reader struct {
	tiles   Tiles
	timeout time.Duration
	cache   *cache
}

// NewReader returns a reader of the tiles that an engine writes, for a process that
// serves them and does not have the engine open. It never asks Trillian.
func NewReader(cfg Config) (tlog.TileReader, error) {
	cfg = cfg.withDefaults()
	if cfg.Tiles == nil {
		return nil, errors.New("reading the tiles: it needs a place for them")
	}
	return &reader{cfg.Tiles, cfg.Timeout, newCache(cfg.CacheBytes)}, nil
}

// ReadTile returns a tile. One that the engine never kept in this width, since the
// tree grew past it at once, is cut out of a wider one.
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
	// The full one comes second, for it replaces those that are not.
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

// Salvage yields the entries from an index on that are stored as tiles, as far as
// they go, whatever Trillian has. Nobody has checked them.
func Salvage(ctx context.Context, from Tiles, index uint64) iter.Seq[[]byte] {
	return tiles.Entries(index, func(n uint64) [][]byte { return widest(ctx, from, n) })
}

// widest returns the entries of the widest bundle that is stored with a number.
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
