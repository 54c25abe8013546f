// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package prover makes inclusion and consistency proofs from the tiles of a log (C2SP
// tlog-tiles, RFC 6962). It trusts no tile: a [Prover] verifies each proof against the
// caller's roots before it returns the proof.
package prover

import (
	"context"
	"fmt"
	"slices"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/tlog"
)

// Prover makes and verifies proofs. It caches recently used tiles with all their inner
// nodes, 16 KiB each. It is safe for concurrent use.
type Prover struct {
	r     tlog.TileReader
	cache *lru.Cache[tlog.Tile, *nodes]
}

// nodes are the nodes of a tile: nodes[0] its hashes, nodes[k] the roots of the
// perfect subtrees over 2^k of them.
type nodes [8][]tiles.Hash

// New returns a prover over r that caches keep tiles, at least 16.
func New(r tlog.TileReader, keep int) *Prover {
	cache, err := lru.New[tlog.Tile, *nodes](max(keep, 16))
	if err != nil {
		panic(err) // only for a size below 1
	}
	return &Prover{r: r, cache: cache}
}

func (p *Prover) tile(ctx context.Context, t tlog.Tile) (*nodes, error) {
	if n, ok := p.cache.Get(t); ok {
		return n, nil
	}
	hashes, err := tiles.ReadHashes(ctx, p.r, t)
	if err != nil {
		return nil, err
	}
	n := &nodes{hashes}
	for k := 1; k < len(n); k++ {
		below := n[k-1]
		for i := 0; i+1 < len(below); i += 2 {
			n[k] = append(n[k], tiles.HashChildren(below[i], below[i+1]))
		}
	}
	p.cache.Add(t, n)
	return n, nil
}

// node returns a node of the tree of the given size, and adds its tile to used.
func (p *Prover) node(ctx context.Context, id compact.NodeID, size uint64, used *[]tlog.Tile) (tiles.Hash, error) {
	level, k := int(id.Level/8), id.Level%8
	index := id.Index << k / tlog.TileWidth
	t := tlog.Tile{Level: level, Index: index, Width: tiles.Width(level, index, size)}
	if t.Width == 0 {
		return tiles.Hash{}, fmt.Errorf("a tree of size %d has no node %d at level %d", size, id.Index, id.Level)
	}
	n, err := p.tile(ctx, t)
	if err != nil {
		return tiles.Hash{}, err
	}
	if !slices.Contains(*used, t) {
		*used = append(*used, t)
	}
	i := id.Index - index*tlog.TileWidth>>k
	if i >= uint64(len(n[k])) {
		return tiles.Hash{}, &tlog.CorruptError{Tile: t, Reason: fmt.Sprintf("it has no node %d at level %d", id.Index, id.Level)}
	}
	return n[k][i], nil
}

// prove reads the nodes of a proof and verifies the proof with check. If that fails, it
// drops the proof's tiles from the cache, since the log may be repaired later.
func (p *Prover) prove(ctx context.Context, n proof.Nodes, size uint64, check func(hashes []tiles.Hash) error) ([]tiles.Hash, error) {
	var used []tlog.Tile
	out, hashes := make([]tiles.Hash, len(n.IDs)), make([][]byte, len(n.IDs))
	for i, id := range n.IDs {
		var err error
		if out[i], err = p.node(ctx, id, size, &used); err != nil {
			return nil, err
		}
		hashes[i] = out[i][:]
	}
	hashes, err := n.Rehash(hashes, func(left, right []byte) []byte {
		h := tiles.HashChildren(tiles.Hash(left), tiles.Hash(right))
		return h[:]
	})
	if err == nil {
		for i, h := range hashes { // h is out[j] with a j from i on, or new
			out[i] = tiles.Hash(h)
		}
		out = out[:len(hashes)]
		err = check(out)
	}
	if err != nil {
		for _, t := range used {
			p.cache.Remove(t)
		}
		var first tlog.Tile
		if len(used) > 0 {
			first = used[0]
		}
		return nil, &tlog.CorruptError{Tile: first, Reason: fmt.Sprintf("or another of the %d tiles of this proof is: %v", len(used), err)}
	}
	return out, nil
}

// Inclusion returns the inclusion proof of a leaf in the tree of the given size
// and root (RFC 6962, section 2.1.1).
func (p *Prover) Inclusion(ctx context.Context, index uint64, leaf tiles.Hash, size uint64, root tiles.Hash) ([]tiles.Hash, error) {
	n, err := proof.Inclusion(index, size)
	if err != nil {
		return nil, fmt.Errorf("inclusion proof of entry %d in a tree of size %d: %w", index, size, err)
	}
	return p.prove(ctx, n, size, func(hashes []tiles.Hash) error {
		return tiles.VerifyInclusion(index, leaf, size, root, hashes)
	})
}

// Consistency returns the consistency proof between two trees (RFC 6962,
// section 2.1.2). It is empty if size1 is 0 or both are one.
func (p *Prover) Consistency(ctx context.Context, size1 uint64, root1 tiles.Hash, size2 uint64, root2 tiles.Hash) ([]tiles.Hash, error) {
	if size1 == 0 {
		return nil, nil
	}
	n, err := proof.Consistency(size1, size2)
	if err != nil {
		return nil, fmt.Errorf("consistency proof between the sizes %d and %d: %w", size1, size2, err)
	}
	return p.prove(ctx, n, size2, func(hashes []tiles.Hash) error {
		return tiles.VerifyConsistency(size1, root1, size2, root2, hashes)
	})
}

// Root returns the root of the tree of the given size, computed from the tiles of the
// tree of treeSize, which must be at least size. The root is not verified.
func (p *Prover) Root(ctx context.Context, size, treeSize uint64) (tiles.Hash, error) {
	if size == 0 {
		return tiles.EmptyRoot(), nil
	}
	var root tiles.Hash
	var used []tlog.Tile
	ids := compact.RangeNodes(0, size, nil)
	for i := len(ids) - 1; i >= 0; i-- {
		h, err := p.node(ctx, ids[i], treeSize, &used)
		if err != nil {
			return tiles.Hash{}, err
		}
		if i == len(ids)-1 {
			root = h
		} else {
			root = tiles.HashChildren(h, root)
		}
	}
	return root, nil
}
