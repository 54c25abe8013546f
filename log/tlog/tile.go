// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// Entries is the Level of an entry bundle.
const Entries = -1

// TileWidth is the number of hashes or entries in a full tile or bundle.
const TileWidth = 256

// Tile names a Merkle tree tile or an entry bundle (tlog-tiles, "Merkle Tree"
// and "Log entries").
type Tile struct {
	Level int    // 0 to 63, or Entries
	Index uint64 // within the level
	Width int    // hashes or entries in it: 256 if full, else 1 to 255
}

// maxTileIndex keeps every leaf index below 2^63.
const maxTileIndex = 1<<55 - 1

// ParseTilePath parses a path like tile/0/x001/x234/067 or
// tile/entries/000.p/17, without a leading slash.
func ParseTilePath(path string) (Tile, error) {
	if len(path) > 64 {
		return Tile{}, malformed("tile path: %d characters", len(path))
	}
	rest, ok := strings.CutPrefix(path, "tile/")
	level, number, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 {
		return Tile{}, malformed("tile path: not of the form tile/L/N")
	}
	t := Tile{Width: TileWidth}
	if level == "entries" {
		t.Level = Entries
	} else {
		n, ok := parseDecimal(level)
		if !ok || n > 63 {
			return Tile{}, malformed("tile path: the level is neither 0 to 63 nor entries")
		}
		t.Level = int(n)
	}
	if full, width, partial := strings.Cut(number, ".p/"); partial {
		n, ok := parseDecimal(width)
		if !ok || n < 1 || n >= TileWidth {
			return Tile{}, malformed("tile path: the width is not 1 to 255")
		}
		t.Width, number = int(n), full
	}
	if t.Index, ok = parseTileIndex(number); !ok {
		return Tile{}, malformed("tile path: the index is not in groups of three digits")
	}
	return t, nil
}

func parseTileIndex(s string) (uint64, bool) {
	var n uint64
	groups := strings.Split(s, "/")
	for i, g := range groups {
		if i < len(groups)-1 {
			var ok bool
			if g, ok = strings.CutPrefix(g, "x"); !ok {
				return 0, false
			}
		}
		if len(g) != 3 || strings.Trim(g, "0123456789") != "" || (i == 0 && len(groups) > 1 && g == "000") {
			return 0, false
		}
		d, _ := strconv.ParseUint(g, 10, 16)
		if n > (maxTileIndex-d)/1000 { // before n*1000 can wrap around
			return 0, false
		}
		n = n*1000 + d
	}
	return n, true
}

// Path returns the path of t, without a leading slash.
func (t Tile) Path() string {
	n := t.Index
	s := fmt.Sprintf("%03d", n%1000)
	for n >= 1000 {
		n /= 1000
		s = fmt.Sprintf("x%03d/%s", n%1000, s)
	}
	level := "entries"
	if t.Level != Entries {
		level = strconv.Itoa(t.Level)
	}
	s = "tile/" + level + "/" + s
	if t.Width < TileWidth {
		s += ".p/" + strconv.Itoa(t.Width)
	}
	return s
}

// In reports whether a tree of the given size has t, in this width or a greater one.
func (t Tile) In(size uint64) bool {
	shift := 8 * max(t.Level, 0)
	if shift >= 64 {
		return false
	}
	return t.Index*TileWidth+uint64(t.Width) <= size>>shift
}

// TileReader reads tiles and entry bundles of one log. It is not trusted: callers
// check tiles against a verified root.
type TileReader interface {
	// ReadTile returns exactly t.Width hashes or entries. A reader that has only
	// a wider tile cuts it ([Tile.Cut]). The error for a missing tile is
	// fs.ErrNotExist.
	ReadTile(ctx context.Context, t Tile) ([]byte, error)
}

// CorruptError reports a tile or bundle that does not fit its tree.
type CorruptError struct {
	Tile   Tile
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("%s is corrupt: %s", e.Tile.Path(), e.Reason)
}

// MaxEntrySize is the longest entry that a bundle can hold, in bytes.
const MaxEntrySize = 1<<16 - 1

// AppendEntry appends an entry of at most [MaxEntrySize] bytes to a bundle
// (tlog-tiles, "Log entries").
func AppendEntry(bundle, entry []byte) []byte {
	bundle = binary.BigEndian.AppendUint16(bundle, uint16(len(entry)))
	return append(bundle, entry...)
}

// ParseBundle splits an entry bundle of exactly width entries. The entries
// alias b.
func ParseBundle(b []byte, width int) ([][]byte, error) {
	entries := make([][]byte, 0, max(0, min(width, TileWidth)))
	for len(b) > 0 {
		if len(entries) == width {
			return nil, malformed("entry bundle: more than %d entries", width)
		}
		n := entrySize(b)
		if n == 0 {
			return nil, malformed("entry bundle: entry %d is cut off", len(entries))
		}
		entries = append(entries, b[2:n:n])
		b = b[n:]
	}
	if len(entries) != width {
		return nil, malformed("entry bundle: %d entries, want %d", len(entries), width)
	}
	return entries, nil
}

// entrySize returns the size of a bundle's first entry with its length prefix, 0 if b
// cuts the entry off.
func entrySize(b []byte) int {
	if len(b) < 2 || len(b)-2 < int(binary.BigEndian.Uint16(b)) {
		return 0
	}
	return 2 + int(binary.BigEndian.Uint16(b))
}

// Cut returns the first t.Width hashes or entries of b, which must have at least that
// many. The error is a [CorruptError].
func (t Tile) Cut(b []byte) ([]byte, error) {
	end := t.Width * len(Hash{})
	if t.Level != Entries {
		if len(b)%len(Hash{}) != 0 || len(b) < end || len(b) > TileWidth*len(Hash{}) {
			return nil, &CorruptError{t, fmt.Sprintf("it has %d bytes", len(b))}
		}
		return b[:end], nil
	}
	end = 0
	for range t.Width {
		n := entrySize(b[end:])
		if n == 0 {
			return nil, &CorruptError{t, "it has too few entries"}
		}
		end += n
	}
	return b[:end], nil
}
