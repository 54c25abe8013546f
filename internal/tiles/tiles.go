// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package tiles does the Merkle tree arithmetic of a tiled log (C2SP
// tlog-tiles, RFC 6962): hashes, bundles, the verification of proofs, and the
// growth of a tree tile by tile. Package prover makes proofs out of tiles.
//
// It trusts no tile: [Frontier.Extend] accepts a grown tree only after it has
// hashed every new entry and compared every tile that changed. What does not
// fit is a [CorruptError] that names the tile.
package tiles

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/vasistas/vasistas/log/tlog"
)

// Hash is a Merkle tree hash.
type Hash = tlog.Hash

// Reader reads tiles and entry bundles of one log.
type Reader interface {
	// ReadTile returns exactly t.Width hashes or entries. If only a wider
	// tile is left, it is cut ([Cut]). A tile that is not there is
	// fs.ErrNotExist.
	ReadTile(ctx context.Context, t tlog.Tile) ([]byte, error)
}

// CorruptError says that a tile or bundle does not say what the tree says.
type CorruptError struct {
	Tile   tlog.Tile
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("%s is corrupt: %s", e.Tile.Path(), e.Reason)
}

// LeafHash returns the hash of an entry (RFC 6962, section 2.1).
func LeafHash(entry []byte) Hash {
	h := sha256.New()
	h.Write([]byte{0})
	h.Write(entry)
	return Hash(h.Sum(nil))
}

// HashChildren returns the hash of a node with two children (RFC 6962, section
// 2.1). It is merkle's, without its allocations.
func HashChildren(left, right Hash) Hash {
	var b [1 + 2*sha256.Size]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+sha256.Size:], right[:])
	return sha256.Sum256(b[:])
}

// EmptyRoot is the root of a tree without entries.
func EmptyRoot() Hash { return sha256.Sum256(nil) }

// subtree returns the root of a perfect tree over len(h) hashes, a power of 2.
func subtree(h []Hash) Hash {
	switch len(h) {
	case 1:
		return h[0]
	case 2:
		return HashChildren(h[0], h[1])
	}
	return HashChildren(subtree(h[:len(h)/2]), subtree(h[len(h)/2:]))
}

// MaxEntrySize is the longest entry that a bundle can hold, in bytes.
const MaxEntrySize = 1<<16 - 1

// AppendEntry appends an entry, which must not be longer than [MaxEntrySize],
// to a bundle.
func AppendEntry(bundle, entry []byte) []byte {
	bundle = binary.BigEndian.AppendUint16(bundle, uint16(len(entry)))
	return append(bundle, entry...)
}

// ParseBundle splits an entry bundle of exactly width entries (tlog-tiles, "Log
// entries"). The entries alias b.
func ParseBundle(b []byte, width int) ([][]byte, error) {
	entries := make([][]byte, 0, max(0, min(width, tlog.TileWidth)))
	for len(b) > 0 {
		if len(entries) == width {
			return nil, fmt.Errorf("entry bundle: more than %d entries", width)
		}
		if len(b) < 2 || len(b)-2 < int(binary.BigEndian.Uint16(b)) {
			return nil, fmt.Errorf("entry bundle: entry %d is cut off", len(entries))
		}
		n := 2 + int(binary.BigEndian.Uint16(b))
		entries = append(entries, b[2:n:n])
		b = b[n:]
	}
	if len(entries) != width {
		return nil, fmt.Errorf("entry bundle: %d entries, and it should have %d", len(entries), width)
	}
	return entries, nil
}

// Cut returns the first width hashes or entries of a tile of that many or
// more.
func Cut(t tlog.Tile, b []byte) ([]byte, error) {
	if t.Level != tlog.Entries {
		if len(b)%sha256.Size != 0 || len(b) < t.Width*sha256.Size || len(b) > tlog.TileWidth*sha256.Size {
			return nil, &CorruptError{t, fmt.Sprintf("it has %d bytes", len(b))}
		}
		return b[:t.Width*sha256.Size], nil
	}
	end := 0
	for range t.Width {
		if len(b)-end < 2 || len(b)-end-2 < int(binary.BigEndian.Uint16(b[end:])) {
			return nil, &CorruptError{t, "it has too few entries"}
		}
		end += 2 + int(binary.BigEndian.Uint16(b[end:]))
	}
	return b[:end], nil
}

// ReadHashes reads and splits a tile of hashes.
func ReadHashes(ctx context.Context, r Reader, t tlog.Tile) ([]Hash, error) {
	b, err := r.ReadTile(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", t.Path(), err)
	}
	if len(b) != t.Width*sha256.Size {
		return nil, &CorruptError{t, fmt.Sprintf("it has %d bytes, and %d hashes have %d", len(b), t.Width, t.Width*sha256.Size)}
	}
	hashes := make([]Hash, t.Width)
	for i := range hashes {
		hashes[i] = Hash(b[i*sha256.Size:])
	}
	return hashes, nil
}

// ReadBundle reads and splits the bundle with index n of a tree of the given
// size.
func ReadBundle(ctx context.Context, r Reader, n, size uint64) ([][]byte, error) {
	t := tlog.Tile{Level: tlog.Entries, Index: n, Width: Width(0, n, size)}
	if t.Width == 0 {
		return nil, fmt.Errorf("a tree of size %d has no bundle %d", size, n)
	}
	b, err := r.ReadTile(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", t.Path(), err)
	}
	entries, err := ParseBundle(b, t.Width)
	if err != nil {
		return nil, &CorruptError{t, err.Error()}
	}
	return entries, nil
}

// Width returns how wide the tile is in a tree of the given size, 0 if the
// tree has no such tile.
func Width(level int, index, size uint64) int {
	if level > 7 {
		return 0
	}
	n := size >> (8 * level)
	if n <= index*tlog.TileWidth {
		return 0
	}
	return int(min(n-index*tlog.TileWidth, tlog.TileWidth))
}

// Edge returns the partial tiles of a tree of the given size, from level 0 up.
func Edge(size uint64) []tlog.Tile {
	var tiles []tlog.Tile
	for l := 0; size>>(8*l) > 0 && l < 8; l++ {
		n := size >> (8 * l)
		if w := int(n % tlog.TileWidth); w > 0 {
			tiles = append(tiles, tlog.Tile{Level: l, Index: n / tlog.TileWidth, Width: w})
		}
	}
	return tiles
}
