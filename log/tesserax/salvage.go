// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package tesserax

import (
	"errors"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strconv"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/tlog"
)

// Salvage yields the entries in a tree's directory, in any state, from an index up to
// the first gap. It reads the files unverified.
func Salvage(dir string, from uint64) iter.Seq[[]byte] {
	return tiles.Entries(from, func(n uint64) [][]byte {
		width := widest(dir, n)
		if width == 0 {
			return nil
		}
		b, err := os.ReadFile(filepath.Join(dir, tlog.Tile{Level: tlog.Entries, Index: n, Width: width}.Path()))
		if err != nil {
			return nil
		}
		entries, _ := tlog.ParseBundle(b, width)
		return entries
	})
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
