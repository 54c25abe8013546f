// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"crypto/sha256"
	"fmt"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/tlog"
)

// keepTiles is how many tiles a tree keeps, 8 KiB each. A walk needs one a
// level.
const keepTiles = 64

// tree reads the tiles of one tree and returns only those that the root
// vouches for. It is what makes a tile of a stranger trustworthy: the partial
// tiles of the right edge give the root, and the hash of every full tile
// stands in the tile above it. It is not safe for concurrent use.
type tree struct {
	r    tlog.TileReader
	size uint64
	root tlog.Hash
	edge *tiles.Frontier
	full *lru.Cache[tlog.Tile, []tlog.Hash] // full tiles that were accepted
}

// openTree reads the right edge of a tree and checks it against the root.
func openTree(ctx context.Context, r tlog.TileReader, size uint64, root tlog.Hash) (*tree, error) {
	edge, err := tiles.LoadFrontier(ctx, r, size, root)
	if err != nil {
		return nil, err
	}
	full, err := lru.New[tlog.Tile, []tlog.Hash](keepTiles)
	if err != nil {
		return nil, err
	}
	return &tree{r: r, size: size, root: root, edge: edge, full: full}, nil
}

// adopt keeps what o accepted, of which t is an extension: full tiles never
// change.
func (t *tree) adopt(o *tree) {
	if o != nil {
		t.full = o.full
	}
}

// tile returns all hashes that the tree has in a tile.
func (t *tree) tile(ctx context.Context, level int, index uint64) ([]tlog.Hash, error) {
	id := tlog.Tile{Level: level, Index: index, Width: tiles.Width(level, index, t.size)}
	if id.Width == 0 {
		return nil, fmt.Errorf("a tree of size %d has no tile %d at level %d", t.size, index, level)
	}
	if id.Width < tlog.TileWidth {
		return t.edge.Tile(level), nil
	}
	if hashes, ok := t.full.Get(id); ok {
		return hashes, nil
	}
	hashes, err := tiles.ReadHashes(ctx, t.r, id)
	if err != nil {
		return nil, err
	}
	want, err := t.above(ctx, level, index)
	if err != nil {
		return nil, err
	}
	if tiles.Subtree(hashes) != want {
		return nil, &tlog.CorruptError{Tile: id, Reason: "its hash is not the one in the tile above it"}
	}
	t.full.Add(id, hashes)
	return hashes, nil
}

// above returns the hash of a full tile, out of the tile above it.
func (t *tree) above(ctx context.Context, level int, index uint64) (tlog.Hash, error) {
	up, err := t.tile(ctx, level+1, index/tlog.TileWidth)
	if err != nil {
		return tlog.Hash{}, err
	}
	return up[index%tlog.TileWidth], nil
}

// ReadTile is [tlog.TileReader], for tiles of hashes only, of any width that
// the tree has. So a frontier or a proof can be made of accepted tiles.
func (t *tree) ReadTile(ctx context.Context, id tlog.Tile) ([]byte, error) {
	hashes, err := t.tile(ctx, id.Level, id.Index)
	if err != nil {
		return nil, err
	}
	if len(hashes) < id.Width {
		return nil, fmt.Errorf("a tree of size %d does not have %s", t.size, id.Path())
	}
	b := make([]byte, 0, id.Width*sha256.Size)
	for _, h := range hashes[:id.Width] {
		b = append(b, h[:]...)
	}
	return b, nil
}

// rootAt returns the root that the tree had at a smaller size.
func (t *tree) rootAt(ctx context.Context, size uint64) (tlog.Hash, error) {
	switch {
	case size > t.size:
		return tlog.Hash{}, fmt.Errorf("a tree of size %d has no root at size %d", t.size, size)
	case size == t.size:
		return t.root, nil
	}
	f, err := tiles.ReadFrontier(ctx, t, size)
	if err != nil {
		return tlog.Hash{}, err
	}
	return f.Root(), nil
}

// bundle accepts the leaf hashes of bundle n, all that the tree has of it.
func (t *tree) bundle(ctx context.Context, n uint64, leaves []tlog.Hash) error {
	id := tlog.Tile{Level: tlog.Entries, Index: n, Width: len(leaves)}
	if len(leaves) < tlog.TileWidth {
		have, err := t.tile(ctx, 0, n)
		if err != nil {
			return err
		}
		if len(have) != len(leaves) {
			return &tlog.CorruptError{Tile: id, Reason: fmt.Sprintf("it has %d entries, and the tree has %d there", len(leaves), len(have))}
		}
		for i := range leaves {
			if leaves[i] != have[i] {
				return &tlog.CorruptError{Tile: id, Reason: fmt.Sprintf("entry %d is not the one that the tree has", n*tlog.TileWidth+uint64(i))}
			}
		}
		return nil
	}
	want, err := t.above(ctx, 0, n)
	if err != nil {
		return err
	}
	if tiles.Subtree(leaves) != want {
		return &tlog.CorruptError{Tile: id, Reason: "its entries are not those that the tree has"}
	}
	return nil
}
