// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"context"
	"fmt"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/internal/tiles/prover"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// pages answers for entries: those of the tree, each proven to be in it, and those
// that are applied and not yet stored. The sequencer owns it.
type pages struct {
	reader  tlog.TileReader
	prover  *prover.Prover
	tree    *tree
	pending [][]byte // from the tree's size on
}

var _ ledger.Tree = (*pages)(nil)

func newPages(reader tlog.TileReader) *pages {
	return &pages{reader: reader, prover: prover.New(reader, 1024)}
}

func (p *pages) reset(t *tree) { p.tree, p.pending = t, nil }

func (p *pages) add(entry []byte) { p.pending = append(p.pending, entry) }

// settle says that what was pending is in the tree.
func (p *pages) settle() { p.pending = p.pending[:0] }

// Entry returns the bytes of an entry below the ledger's size.
func (p *pages) Entry(index uint64) ([]byte, error) {
	if size := p.tree.size(); index >= size {
		if i := index - size; i < uint64(len(p.pending)) {
			return p.pending[i], nil
		}
		return nil, fmt.Errorf("there is no entry %d", index)
	}
	// No context: what was admitted is sequenced whoever has left.
	return readProven(context.Background(), p.reader, p.prover, index, p.tree.edge.Load())
}

// readProven returns an entry of a tree, proven to be in it.
func readProven(ctx context.Context, r tlog.TileReader, p *prover.Prover, index uint64, e *edge) ([]byte, error) {
	if index >= e.size {
		return nil, fmt.Errorf("a tree of size %d has no entry %d", e.size, index)
	}
	entries, err := tiles.ReadBundle(ctx, r, index/tlog.TileWidth, e.size)
	if err != nil {
		return nil, treeError(err)
	}
	entry := entries[index%tlog.TileWidth]
	if _, err := p.Inclusion(ctx, index, tiles.LeafHash(entry), e.size, e.root); err != nil {
		return nil, treeError(err)
	}
	return entry, nil
}

// Root returns the root at a size up to the ledger's.
func (p *pages) Root(size uint64) ([32]byte, error) {
	e := p.tree.edge.Load()
	if size <= e.size {
		root, err := provenRoot(context.Background(), p.prover, size, &tlog.Head{Size: e.size, Root: e.root})
		return root, treeError(err)
	}
	if size-e.size > uint64(len(p.pending)) {
		return [32]byte{}, fmt.Errorf("there is no tree of size %d", size)
	}
	f := p.tree.frontier.Clone()
	for _, entry := range p.pending[:size-e.size] {
		if err := f.Append(tiles.LeafHash(entry), func(tlog.Tile, []byte) error { return nil }); err != nil {
			return [32]byte{}, err
		}
	}
	return f.Root(), nil
}
