// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"context"
	"encoding/binary"
	"fmt"
)

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
