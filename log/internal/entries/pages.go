// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package entries reads the entries of a log's checked tree: by index ([Pages]), by
// event hash ([Index]), and in order into a ledger ([Replay]). Every entry that it
// returns is proven to be in the tree.
package entries

import (
	"context"
	"fmt"

	"github.com/vasistas/vasistas/internal/tiles/prover"
	"github.com/vasistas/vasistas/log/internal/chain"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// Pages returns to a ledger the entries of the tree, and those that the ledger
// applied and that are not stored yet. The owner of the tree owns it.
type Pages struct {
	Reader  tlog.TileReader
	Prover  *prover.Prover
	tree    *chain.Tree
	pending [][]byte // from the tree's size on
}

var _ ledger.Tree = (*Pages)(nil)

// NewPages returns pages that are read from r. Reset gives them their tree.
func NewPages(r tlog.TileReader) *Pages {
	return &Pages{Reader: r, Prover: prover.New(r, 1024)}
}

// Use has the pages read from r from now on. Reset gives them their tree again.
func (p *Pages) Use(r tlog.TileReader) { *p = *NewPages(r) }

// Reset makes t the tree, and forgets what was pending.
func (p *Pages) Reset(t *chain.Tree) { p.tree, p.pending = t, nil }

// Add adds an entry that is not stored yet.
func (p *Pages) Add(entry []byte) { p.pending = append(p.pending, entry) }

// Commit says that what was pending is in the tree.
func (p *Pages) Commit() { p.pending = p.pending[:0] }

// Entry returns the bytes of an entry below the ledger's size.
func (p *Pages) Entry(index uint64) ([]byte, error) {
	if size := p.tree.Size(); index >= size {
		if i := index - size; i < uint64(len(p.pending)) {
			return p.pending[i], nil
		}
		return nil, fmt.Errorf("there is no entry %d", index)
	}
	// No context: an admitted event is sequenced even if its submitter has left.
	return chain.ReadProven(context.Background(), p.Reader, p.Prover, index, p.tree.Edge())
}

// Root returns the root at a size up to the ledger's.
func (p *Pages) Root(size uint64) ([32]byte, error) {
	e := p.tree.Edge()
	if size <= e.Size {
		root, err := chain.ProvenRoot(context.Background(), p.Prover, size, e)
		return root, chain.TreeError(err)
	}
	if size-e.Size > uint64(len(p.pending)) {
		return [32]byte{}, fmt.Errorf("there is no tree of size %d", size)
	}
	return p.tree.RootWith(p.pending[:size-e.Size])
}
