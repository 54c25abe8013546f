// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package tesserax

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/tlog"
)

// tryLock opens Tessera's lock file as Tessera will, which panics if it can't.
func tryLock(dir string) error {
	name := filepath.Join(dir, lockFile)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

// removeLitter removes the temporary files that Tessera leaves in its state directory when
// a write fails, as on a full disk.
func removeLitter(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		name, number := strings.CutPrefix(f.Name(), "treeState")
		if _, err := strconv.ParseUint(name, 10, 32); !number || err != nil {
			continue
		}
		// Tessera may be about to rename one that is younger.
		if info, err := f.Info(); err != nil || time.Since(info.ModTime()) < 2*time.Second {
			continue
		}
		if err := os.Remove(filepath.Join(dir, f.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// sweep removes the partial tiles that a batch has filled: readers cut the full ones. What
// can't be removed is found by the next sweep, as is what a crash has left. moving must be held.
func (e *Engine) sweep(from, to uint64) {
	partials := func(level int, index uint64) string {
		return filepath.Join(e.dir, tlog.Tile{Level: level, Index: index, Width: tlog.TileWidth}.Path()+".p")
	}
	n := from / tlog.TileWidth
	for ; n > 0; n-- {
		if _, err := os.Stat(partials(tlog.Entries, n-1)); err != nil {
			break
		}
	}
	for ; n < to/tlog.TileWidth; n++ {
		last := n
		for level := 0; ; level++ {
			os.RemoveAll(partials(level, last))
			if last%tlog.TileWidth != tlog.TileWidth-1 {
				break
			}
			last /= tlog.TileWidth
		}
		os.RemoveAll(partials(tlog.Entries, n)) // last: it tells that others may be left
	}
}

// tidy removes the files of a failed batch beyond the right edge, so that [Salvage]
// never returns entries that were not added. It also makes missing partial tiles of
// the right edge: if only a full tile is left there, because the state was rolled
// back, Tessera would append to it as it is. moving must be held.
func (e *Engine) tidy(ctx context.Context) error {
	if !e.untidy.Load() {
		return nil
	}
	size, err := e.reader.IntegratedSize(ctx)
	if err != nil {
		return fmt.Errorf("reading the size of the tree: %w", err)
	}
	if err := e.makeEdge(ctx, size, size); err != nil {
		return err
	}
	bundle := tlog.Tile{Level: tlog.Entries, Index: size / tlog.TileWidth, Width: int(size % tlog.TileWidth)}
	if err := removeBeyond(e.dir, bundle); err != nil {
		return fmt.Errorf("tidying the right edge of the tree: %w", err)
	}
	e.untidy.Store(false)
	return nil
}

// makeEdge writes the missing partial tiles at the right edge of the tree of the given size, out of
// the files, which have a tree of size from. moving must be held.
func (e *Engine) makeEdge(ctx context.Context, size, from uint64) error {
	edge := tiles.Edge(size)
	if w := int(size % tlog.TileWidth); w > 0 {
		edge = append(edge, tlog.Tile{Level: tlog.Entries, Index: size / tlog.TileWidth, Width: w})
	}
	for _, t := range edge {
		if err := e.makePartial(ctx, t, from); err != nil {
			return fmt.Errorf("completing the right edge of the tree: %w", err)
		}
	}
	return nil
}

func (e *Engine) makePartial(ctx context.Context, t tlog.Tile, size uint64) error {
	if widthOf(t, size) == tlog.TileWidth {
		return nil // readers cut the full one
	}
	name := filepath.Join(e.dir, t.Path())
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	b, err := files{e.reader, size}.ReadTile(ctx, t)
	if err != nil {
		return err
	}
	if err := durable.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return durable.WriteFile(name, b, 0o644)
}

// persistState makes the readable state durable. It writes a new file, since a second
// fsync of the old one could succeed without effect. moving must be held.
func (e *Engine) persistState() error {
	if !e.doubt {
		return nil
	}
	name := filepath.Join(e.dir, state)
	b, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("reading the state of the tree: %w", err)
	}
	if err := durable.WriteFile(name, b, 0o644); err != nil {
		return fmt.Errorf("making the state of the tree durable: %w", err)
	}
	e.doubt = false
	return nil
}

// widest returns the width of the widest file of the bundle with index n, 0 if no
// file exists.
func widest(dir string, n uint64) (width int) {
	full := tlog.Tile{Level: tlog.Entries, Index: n, Width: tlog.TileWidth}
	if _, err := os.Stat(filepath.Join(dir, full.Path())); err == nil {
		return tlog.TileWidth
	}
	files, err := os.ReadDir(filepath.Join(dir, full.Path()+".p"))
	if err != nil {
		return 0
	}
	for _, f := range files {
		width = max(width, partialWidth(f.Name()))
	}
	return width
}

// partialWidth returns the width in the name of a partial tile, 0 for another name.
func partialWidth(name string) int {
	w, err := strconv.Atoi(name)
	if err != nil || w < 1 || w >= tlog.TileWidth || strconv.Itoa(w) != name {
		return 0
	}
	return w
}

// removeBeyond removes the files of the bundle t that are wider than t, and all
// bundles after it. It removes the last first, so that an interrupted removal can be
// repeated.
func removeBeyond(dir string, t tlog.Tile) error {
	last := t.Index
	for widest(dir, last+1) > 0 {
		last++
	}
	for n := last; n > t.Index; n-- {
		if err := removeWider(dir, tlog.Tile{Level: tlog.Entries, Index: n}); err != nil {
			return err
		}
	}
	return removeWider(dir, t)
}

// removeWider removes the files of a bundle that have more entries than t.Width.
func removeWider(dir string, t tlog.Tile) error {
	full := t
	full.Width = tlog.TileWidth
	name := filepath.Join(dir, full.Path())
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	files, err := os.ReadDir(name + ".p")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	for _, f := range files {
		if partialWidth(f.Name()) > t.Width {
			if err := os.Remove(filepath.Join(name+".p", f.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
