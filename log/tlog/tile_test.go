// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

func TestTilePath(t *testing.T) {
	for path, want := range map[string]Tile{
		"tile/0/000":                          {0, 0, 256},
		"tile/63/999":                         {63, 999, 256},
		"tile/0/x001/x234/067":                {0, 1234067, 256},
		"tile/0/x001/000":                     {0, 1000, 256},
		"tile/1/x001/x000/000.p/255":          {1, 1000000, 255},
		"tile/entries/x001/x234/067.p/1":      {Entries, 1234067, 1},
		"tile/0/x036/x028/x797/x018/x963/967": {0, maxTileIndex, 256},
	} {
		got, err := ParseTilePath(path)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", path, got, err, want)
		}
		if s := got.Path(); s != path {
			t.Errorf("path %q, want %q", s, path)
		}
	}
}

func TestTilePathMalformed(t *testing.T) {
	const form, level, index, width = "of the form", "level", "groups of three", "width"
	cases := []badCase{
		{"", "", form}, {"", "/tile/0/000", form}, {"", "tile/0", form}, {"", "tile/0/", index}, {"", "tiles/0/000", form},
		{"", "TILE/0/000", form}, {"", "tile//000", level}, {"", "tile/00/000", level}, {"", "tile/01/000", level},
		{"", "tile/-1/000", level}, {"", "tile/+1/000", level}, {"", "tile/64/000", level}, {"", "tile/256/000", level},
		{"", "tile/data/000", level}, {"", "tile/Entries/000", level}, {"", "tile/8/0/000", index}, // Go checksum database form
		{"", "tile/0/0", index}, {"", "tile/0/00", index}, {"", "tile/0/0000", index}, {"", "tile/0/1234067", index},
		{"", "tile/0/x000/001", index}, {"", "tile/0/x000/x001/234", index}, {"", "tile/0/x001", index},
		{"", "tile/0/001/234", index}, {"", "tile/0/x001/x234", index}, {"", "tile/0/X001/234", index},
		{"", "tile/0/x01/234", index}, {"", "tile/0/x001//234", index}, {"", "tile/0/000/", index}, {"", "tile/0/ 00", index},
		{"", "tile/0/+00", index}, {"", "tile/0/0x0", index}, {"", "tile/0/١00", index}, {"", "tile/0/../../x", index},
		{"", "tile/0/..", index}, {"", "tile/0/000\n", index}, {"", "tile/0/%30", index}, {"", "tile/0/000.p", index},
		{"", "tile/0/000.p/", width}, {"", "tile/0/000.p/0", width}, {"", "tile/0/000.p/256", width},
		{"", "tile/0/000.p/007", width}, {"", "tile/0/000.p/+7", width}, {"", "tile/0/000.p/7/", width},
		{"", "tile/0/000.p/7.p/7", width}, {"", "tile/0/000.P/7", index}, {"", "tile/0/x001.p/7/234", width},
		// One above the largest index, and indices that wrap around 2^64 to
		// 384 and to 0 when they are computed carelessly.
		{"", "tile/0/x036/x028/x797/x018/x963/968", index},
		{"", "tile/0/x018/x446/x744/x073/x709/x552/000", index},
		{"", "tile/0/x018/x446/x744/x073/x709/x551/616", index},
		{"", "tile/0/" + strings.Repeat("x999/", 11) + "999", "characters"},
	}
	for i := range cases {
		cases[i].name = fmt.Sprintf("%q", cases[i].in)
	}
	checkBad(t, func(b []byte) (Tile, error) { return ParseTilePath(string(b)) }, cases)
}

// Tiles are where golang.org/x/mod/sumdb/tlog has them, whose paths have the
// height too and "data" for entries.
func TestTilePathOracle(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		tile := Tile{Level: rng.IntN(65) - 1, Index: rng.Uint64N(maxTileIndex+1) >> rng.UintN(56), Width: 1 + rng.IntN(256)}
		want := tlog.Tile{H: 8, L: tile.Level, N: int64(tile.Index), W: tile.Width}.Path()
		want = strings.Replace(strings.Replace(want, "tile/8/", "tile/", 1), "/data/", "/entries/", 1)
		if got := tile.Path(); got != want {
			t.Fatalf("%+v: %s, want %s", tile, got, want)
		}
		if back, err := ParseTilePath(want); err != nil || back != tile {
			t.Fatalf("%s: %+v, %v; want %+v", want, back, err, tile)
		}
	}
}

// In is compared with a count of the hashes that each level of a tree has.
func TestTileIn(t *testing.T) {
	const sizes = 256*256 + 300
	for size := uint64(0); size <= sizes; size += 1 + size/7 {
		for level := Entries; level <= 3; level++ {
			n := size // hashes at this level
			for range level {
				n /= 256
			}
			for index := range uint64(260) {
				for _, width := range []int{1, 2, 43, 44, 255, 256} {
					want := false
					if first := index * 256; first < n {
						want = n-first >= uint64(width)
					}
					if got := (Tile{level, index, width}).In(size); got != want {
						t.Fatalf("level %d, index %d, width %d in a tree of %d: %v", level, index, width, size, got)
					}
				}
			}
		}
	}
	for tile, want := range map[Tile]bool{
		{0, maxTileIndex, 255}: true, // the last leaf of the largest tree is number 2^63-2
		{0, maxTileIndex, 256}: false,
		{7, 0, 127}:            true,
		{7, 0, 128}:            false,
		{8, 0, 1}:              false,
		{63, 0, 1}:             false,
	} {
		if got := tile.In(1<<63 - 1); got != want {
			t.Errorf("%+v in the largest tree: %v", tile, got)
		}
	}
}

func FuzzTilePath(f *testing.F) {
	for _, s := range []string{"tile/0/000", "tile/0/x001/x234/067.p/3", "tile/entries/x001/000", "tile/63/999.p/255",
		"tile/0/x018/x446/x744/x073/x709/x552/000", "tile/0/x000/001", "tile/0/000.p/0"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		tile, err := ParseTilePath(string(b))
		if err != nil {
			return
		}
		if got := []byte(tile.Path()); !bytes.Equal(got, b) {
			t.Fatalf("%q became %q", b, got)
		}
		if tile.Width < 1 || tile.Width > 256 || tile.Level < Entries || tile.Level > 63 || tile.Index > maxTileIndex {
			t.Fatalf("%q is %+v", b, tile)
		}
	})
}
