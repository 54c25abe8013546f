// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"fmt"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/internal/tiles/prover"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// keepRoots is how many of the latest roots are kept: releases rely on recent
// heads.
const keepRoots = 4096

// tree is the verified tree, as the ledger asks for it: what it does not keep is
// read from the log and proven under the head that is being applied.
type tree struct {
	ctx    context.Context // of the call that applies: ledger.Tree has none
	c      *client.Client
	prover *prover.Prover
	head   *tlog.Checkpoint // that vouches for what is read; nil before the first
	roots  map[uint64]tlog.Hash
	size   uint64 // of the latest root that is kept
}

var _ ledger.Tree = (*tree)(nil)

func newTree(c *client.Client) *tree {
	t := &tree{ctx: context.Background(), roots: make(map[uint64]tlog.Hash)}
	t.use(c)
	return t
}

// use reads through another client from now on: the ledger keeps its tree.
func (t *tree) use(c *client.Client) { t.c, t.prover = c, prover.New(c, 64) }

// keep remembers the root of a size that was applied.
func (t *tree) keep(size uint64, root tlog.Hash) {
	t.roots[size], t.size = root, size
	delete(t.roots, size-keepRoots)
}

// clone returns a tree for another ledger, that reads through another client.
func (t *tree) clone(c *client.Client) *tree {
	n := newTree(c)
	for size, root := range t.roots {
		n.roots[size] = root
	}
	n.size = t.size
	return n
}

// Root returns the root of the tree of a size.
func (t *tree) Root(size uint64) ([32]byte, error) {
	if size == 0 {
		return tiles.EmptyRoot(), nil
	}
	if root, ok := t.roots[size]; ok {
		return root, nil
	}
	if t.head == nil || size > t.head.Size {
		return [32]byte{}, fmt.Errorf("there is no verified tree of size %d", size)
	}
	root, err := t.prover.Root(t.ctx, size, t.head.Size)
	if err != nil {
		return root, err
	}
	_, err = t.prover.Consistency(t.ctx, size, root, t.head.Size, t.head.Root)
	return root, err
}

// Entry returns an entry below the ledger's size.
func (t *tree) Entry(index uint64) ([]byte, error) {
	if t.head == nil || index >= t.head.Size {
		return nil, fmt.Errorf("entry %d is %w", index, client.ErrNotLogged)
	}
	entries, err := tiles.ReadBundle(t.ctx, t.c, index/tlog.TileWidth, t.head.Size)
	if err != nil {
		return nil, err
	}
	b := entries[index%tlog.TileWidth]
	if _, err := t.prover.Inclusion(t.ctx, index, tiles.LeafHash(b), t.head.Size, t.head.Root); err != nil {
		return nil, err
	}
	return b, nil
}
