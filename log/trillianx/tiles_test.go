// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package trillianx_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/vasistas/vasistas/internal/durable/durabletest"
	"github.com/vasistas/vasistas/internal/trilliantest"
	"github.com/vasistas/vasistas/internal/world/engines"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/trillianx"
)

// TestDir: a stored tile is never replaced by another, and a removed directory is made
// again.
func TestDir(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	testTiles(t, tileDir(t, dir))
	check(t, os.RemoveAll(dir))
	d := tileDir(t, dir)
	check(t, d.Put(t.Context(), "tile/0/000", []byte("a")))
	check(t, os.RemoveAll(filepath.Join(dir, "tile")))
	check(t, d.Put(t.Context(), "tile/0/000", []byte("b")))
}

// testTiles is the contract of trillianx.Tiles.
func testTiles(t *testing.T, s trillianx.Tiles) {
	ctx := t.Context()
	if _, err := s.Get(ctx, "tile/0/000"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is not there: %v", err)
	}
	for range 2 {
		check(t, s.Put(ctx, "tile/0/000.p/3", []byte("three")))
		check(t, s.Put(ctx, "tile/0/000.p/4", []byte("four")))
		check(t, s.Put(ctx, "tile/0/000", []byte("all")))
		check(t, s.Put(ctx, "tile/0/001.p/3", []byte("next")))
	}
	if err := s.Put(ctx, "tile/0/000", []byte("others")); !errors.Is(err, trillianx.ErrOtherTile) {
		t.Errorf("another tile was kept: %v", err)
	}
	check(t, s.RemovePartials(ctx, "tile/0/000"))
	check(t, s.RemovePartials(ctx, "tile/0/000"))
	for path, want := range map[string]string{"tile/0/000": "all", "tile/0/001.p/3": "next", "tile/0/000.p/3": "", "tile/0/000.p/4": ""} {
		b, err := s.Get(ctx, path)
		if string(b) != want || (want == "") != errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %q, %v; want %q", path, b, err, want)
		}
	}
}

// testTileFaults fails at each durable step of writing tiles. The batch is not
// acknowledged and no reader sees it. Once the disk works again, the whole batch is
// there, with and without a restart.
func testTileFaults(t *testing.T, tr *trilliantest.Trillian) {
	p := newPlace(t, tr)
	var in durabletest.Injector
	in.Inject(t, p.dir)
	d, err := trillianx.OpenDir(p.dir)
	check(t, err)
	p.Tiles = d
	e := p.open(t)
	var all [][]byte
	grow := func() error {
		batch := engines.Batch(len(all), 100)
		_, err := add(t.Context(), e, batch)
		all = append(all, batch...)
		return err
	}
	check(t, grow())
	check(t, grow())
	began := len(in.Points())
	check(t, grow()) // which fills a bundle
	points := len(in.Points()) - began
	broken := errors.New("the disk is broken")
	hit := 0
	for n := range points {
		in.FailFrom(n, broken)
		if err := grow(); errors.Is(err, broken) {
			hit++
			if _, _, err := e.Tree(t.Context()); !errors.Is(err, broken) {
				t.Errorf("step %d: the tree while the disk is broken: %v", n, err)
			}
		} else if err != nil {
			t.Fatalf("step %d: %v", n, err)
		}
		in.FailAt(0, nil)
		if n%4 == 0 {
			check(t, e.Close(t.Context()))
			e = p.open(t)
		}
		if size, _, err := e.Tree(t.Context()); err != nil || size != uint64(len(all)) {
			t.Fatalf("step %d: the tree has %d entries, %v; want %d", n, size, err, len(all))
		}
		if n%8 == 0 || n == points-1 {
			engines.Holds(t, e, all)
		}
	}
	if hit < points/2 {
		t.Errorf("%d of %d steps failed", hit, points)
	}
}

// testLostTiles: tiles that are lost are made again, and only of true leaves.
func testLostTiles(t *testing.T, tr *trilliantest.Trillian, db *trilliantest.Postgres) {
	p := newPlace(t, tr)
	p.CacheBytes = 1 // nothing is kept in memory
	e := p.open(t)
	all := engines.Batch(0, 1000)
	_, err := add(t.Context(), e, all)
	check(t, err)
	// Trillian may have integrated them in several steps, each of which left a
	// partial tile of its own: the nine of the whole tree are
	// there in any case.
	var tiles []tlog.Tile
	for _, level := range []int{tlog.Entries, 0} {
		for i := range uint64(3) {
			tiles = append(tiles, tlog.Tile{Level: level, Index: i, Width: tlog.TileWidth})
		}
		tiles = append(tiles, tlog.Tile{Level: level, Index: 3, Width: 1000 % tlog.TileWidth})
	}
	tiles = append(tiles, tlog.Tile{Level: 1, Width: 1000 / tlog.TileWidth})
	for _, tile := range tiles {
		name := filepath.Join(p.dir, filepath.FromSlash(tile.Path()))
		want, err := os.ReadFile(name)
		check(t, err)
		check(t, os.Remove(name))
		if got, err := e.ReadTile(t.Context(), tile); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v; want %d bytes", tile.Path(), len(got), err, len(want))
		}
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not there again: %v", tile.Path(), err)
		}
	}
	// All at once.
	check(t, e.Close(t.Context()))
	check(t, os.RemoveAll(p.dir))
	p.Tiles = tileDir(t, p.dir)
	e = p.open(t)
	engines.Holds(t, e, all)
	if n := len(files(t, p.dir)); n != len(tiles) {
		t.Errorf("%d files; want %d", n, len(tiles))
	}
	// A leaf that was changed in the database, and a tile above it that is lost.
	db.PSQL(t, tr.DSN(), fmt.Sprintf(`UPDATE leafdata SET leafvalue = 'forged' FROM sequencedleafdata s
		WHERE s.treeid = %d AND s.sequencenumber = 300 AND leafdata.treeid = s.treeid AND leafdata.leafidentityhash = s.leafidentityhash`, p.Tree))
	for _, tile := range []tlog.Tile{{Level: tlog.Entries, Index: 1, Width: 256}, {Level: 0, Index: 1, Width: 256}} {
		check(t, os.Remove(filepath.Join(p.dir, filepath.FromSlash(tile.Path()))))
		if b, err := e.ReadTile(t.Context(), tile); err == nil {
			t.Errorf("%s was made of a forged leaf: %d bytes", tile.Path(), len(b))
		}
		if _, err := os.Stat(filepath.Join(p.dir, filepath.FromSlash(tile.Path()))); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s was written: %v", tile.Path(), err)
		}
	}
}

// testOtherTiles: the tiles of another tree are not overwritten.
func testOtherTiles(t *testing.T, tr *trilliantest.Trillian) {
	p, q := newPlace(t, tr), newPlace(t, tr)
	e := p.open(t)
	_, err := add(t.Context(), e, engines.Batch(0, 600))
	check(t, err)
	check(t, e.Close(t.Context()))
	f := q.open(t)
	_, err = add(t.Context(), f, engines.Batch(5000, 700))
	check(t, err)
	check(t, f.Close(t.Context()))
	q.Tiles = tileDir(t, p.dir)
	if f, err := trillianx.Open(t.Context(), q.Config); err == nil {
		f.Close(t.Context())
		t.Error("it opened over the tiles of another tree")
	}
	engines.Holds(t, p.open(t), engines.Batch(0, 600))
}
