// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package trillianx

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"sort"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/tlog"
)

// ReadTile implements [log.Engine]. It calls Trillian only to make a lost tile again.
func (e *Engine) ReadTile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	if b, ok := e.cache.get(t); ok {
		return b, nil
	}
	b, err := e.stored(ctx, t)
	if errors.Is(err, fs.ErrNotExist) {
		b, err = e.remake(ctx, t)
	}
	if err != nil {
		return nil, err
	}
	e.cache.add(t, b)
	return b, nil
}

// stored reads a tile. It may be stored in this width, in the width that it has in the written tree, or in full.
func (e *Engine) stored(ctx context.Context, t tlog.Tile) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Timeout)
	defer cancel()
	b, err := e.cfg.Tiles.Get(ctx, t.Path())
	if err == nil {
		cut, err := t.Cut(b)
		if err == nil && len(cut) != len(b) {
			err = &tlog.CorruptError{Tile: t, Reason: "it has too many entries or hashes"}
		}
		return cut, err
	}
	wider := t
	if f := e.written.Load(); f != nil {
		wider.Width = tiles.Width(max(t.Level, 0), t.Index, f.Size())
	}
	for range 2 {
		if errors.Is(err, fs.ErrNotExist) && wider.Width > t.Width {
			b, err = e.cfg.Tiles.Get(ctx, wider.Path())
		}
		wider.Width = tlog.TileWidth
	}
	if err != nil {
		return nil, err
	}
	cut, err := t.Cut(b)
	return bytes.Clone(cut), err // a clone, to free the rest of the wider tile
}

// remake makes a lost tile of the written tree again and stores it. It checks the tile
// up to the tree's root.
func (e *Engine) remake(ctx context.Context, t tlog.Tile) ([]byte, error) {
	f := e.written.Load()
	missing := &fs.PathError{Op: "read", Path: t.Path(), Err: fs.ErrNotExist}
	if f == nil {
		return nil, missing
	}
	width := tiles.Width(max(t.Level, 0), t.Index, f.Size())
	if width < t.Width {
		return nil, missing
	}
	whole := t
	whole.Width = width // its current width
	b, err := e.proven(ctx, f, whole)
	if err != nil {
		return nil, fmt.Errorf("making %s again: %w", t.Path(), err)
	}
	if err := e.write(ctx, []tileBytes{{whole, b}}); err != nil {
		return nil, err
	}
	e.cfg.Logger.Warn("a tile was lost, and was made again", "tile", whole.Path())
	return t.Cut(b)
}

// proven makes a tile, in its width in the tree of f, and checks it up to the root of f.
func (e *Engine) proven(ctx context.Context, f *tiles.Frontier, t tlog.Tile) ([]byte, error) {
	b, err := e.make(ctx, t)
	if err == nil {
		err = e.proves(ctx, f, t, b)
	}
	return b, err
}

// make makes a bundle or a tile out of the leaves or tiles below it.
func (e *Engine) make(ctx context.Context, t tlog.Tile) ([]byte, error) {
	if t.Level > 0 {
		return e.makeOfTiles(ctx, t)
	}
	leaves, err := e.leaves(ctx, t.Index*tlog.TileWidth, t.Width)
	if err != nil {
		return nil, err
	}
	var b []byte
	for _, l := range leaves {
		if t.Level == tlog.Entries {
			b = tlog.AppendEntry(b, l.value)
		} else {
			b = append(b, l.hash[:]...)
		}
	}
	return b, nil
}

// makeOfTiles makes a tile of the roots of the tiles below it.
func (e *Engine) makeOfTiles(ctx context.Context, t tlog.Tile) ([]byte, error) {
	b := make([]byte, t.Width*sha256.Size)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i := range t.Width {
		g.Go(func() error {
			below := tlog.Tile{Level: t.Level - 1, Index: t.Index*tlog.TileWidth + uint64(i), Width: tlog.TileWidth}
			hashes, err := e.storedOrMade(ctx, below)
			if err != nil {
				return err
			}
			root := tileRoot(hashes)
			copy(b[i*sha256.Size:], root[:])
			return nil
		})
	}
	return b, g.Wait()
}

// storedOrMade reads a tile, and makes it if it is lost.
func (e *Engine) storedOrMade(ctx context.Context, t tlog.Tile) ([]byte, error) {
	b, err := e.stored(ctx, t)
	if errors.Is(err, fs.ErrNotExist) {
		return e.make(ctx, t)
	}
	return b, err
}

// proves checks that a tile, in its width in the tree of f, belongs to that tree.
func (e *Engine) proves(ctx context.Context, f *tiles.Frontier, t tlog.Tile, b []byte) error {
	if t.Level == tlog.Entries {
		entries, err := tlog.ParseBundle(b, t.Width)
		if err != nil {
			return err
		}
		b = nil
		for _, entry := range entries {
			h := tiles.LeafHash(entry)
			b = append(b, h[:]...)
		}
		t.Level = 0
	}
	if t.Width < tlog.TileWidth {
		if !bytes.Equal(b, edgeTile(f, t)) {
			return &tlog.CorruptError{Tile: t, Reason: "it is not of the written tree: the leaves in Trillian were changed"}
		}
		return nil
	}
	parent := tlog.Tile{Level: t.Level + 1, Index: t.Index / tlog.TileWidth}
	parent.Width = tiles.Width(parent.Level, parent.Index, f.Size())
	above := edgeTile(f, parent)
	if parent.Width == tlog.TileWidth {
		var err error
		if above, err = e.storedOrMade(ctx, parent); err != nil {
			return err
		}
		if err := e.proves(ctx, f, parent, above); err != nil {
			return err
		}
	}
	i := int(t.Index%tlog.TileWidth) * sha256.Size
	if root := tileRoot(b); i+sha256.Size > len(above) || !bytes.Equal(above[i:i+sha256.Size], root[:]) {
		return &tlog.CorruptError{Tile: t, Reason: "it is not of the written tree: the leaves in Trillian, or the tiles above it, were changed"}
	}
	return nil
}

// edgeTile returns the hashes of t, a partial tile of f.
func edgeTile(f *tiles.Frontier, t tlog.Tile) (b []byte) {
	for _, h := range f.Tile(t.Level) {
		b = append(b, h[:]...)
	}
	return b
}

// tileRoot returns the root of a full tile.
func tileRoot(b []byte) tiles.Hash {
	var hashes []tiles.Hash
	for h := range slices.Chunk(b, sha256.Size) {
		hashes = append(hashes, tiles.Hash(h))
	}
	return tiles.Subtree(hashes)
}

// lastFull returns the right edge of the largest tree, up to a size, whose bundles are
// all full and whose tiles are stored. The edge is not verified.
func (e *Engine) lastFull(ctx context.Context, size uint64) (*tiles.Frontier, error) {
	var err error
	lacks := func(n int) bool { // the full tile of level 0 with this index
		_, serr := e.stored(ctx, tlog.Tile{Level: 0, Index: uint64(n), Width: tlog.TileWidth})
		if serr != nil && !errors.Is(serr, fs.ErrNotExist) {
			err = serr
		}
		return serr != nil
	}
	n := int(size / tlog.TileWidth)
	if n > 0 && lacks(n-1) && err == nil {
		n = sort.Search(n-1, lacks)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the tiles: %w", err)
	}
	return tiles.ReadFrontier(ctx, maker{e}, uint64(n)*tlog.TileWidth)
}

// maker reads tiles by making them.
type maker struct{ *Engine }

func (m maker) ReadTile(ctx context.Context, t tlog.Tile) ([]byte, error) { return m.make(ctx, t) }

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
