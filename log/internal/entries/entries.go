// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package entries reads the entries of a log's checked tree: by index ([Pages]), by
// event hash ([Index]), and in order into a ledger ([Replay]). Every entry that it
// returns is proven to be in the tree.
package entries

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/internal/tiles/prover"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/internal/chain"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// Pages returns to a ledger the entries of the tree, and those that the ledger
// applied and that are not in the tree yet. The owner of the tree owns it; others may use
// Reader and Prover, which only Use replaces.
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

// Add adds an entry that is not in the tree yet.
func (p *Pages) Add(entry []byte) { p.pending = append(p.pending, entry) }

// Commit records that the pending entries are in the tree, except that many at the end.
func (p *Pages) Commit(except int) { p.pending = slices.Delete(p.pending, 0, len(p.pending)-except) }

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

// ErrStranger: another program wrote an entry to the tree that this log would have
// refused. The error names it.
var ErrStranger = errors.New("the tree has an entry that this log did not admit: another program writes to the tree; nothing more will be signed; " +
	"keep all other programs away from it, and bring the tree back with \"vasistas-log recover -from MIRROR\"")

// Replay applies to a ledger the entries of the tree of edge e that the ledger lacks,
// and checks that it then is the ledger of that tree. Entries from index trusted on are
// an engine's word: they must be such as admission lets in ([ErrStranger]). It calls
// each, if not nil, with every applied entry.
func Replay(ctx context.Context, l *ledger.Ledger, r tlog.TileReader, e chain.Edge, trusted uint64, each func(*ledger.Entry)) error {
	for l.Size() < e.Size {
		at := l.Size()
		bundle, err := tiles.ReadBundle(ctx, r, at/tlog.TileWidth, e.Size)
		if err != nil {
			return chain.TreeError(err)
		}
		for _, entry := range parse(at, bundle[at%tlog.TileWidth:], l.Key) {
			if err := apply(l, entry, trusted); err != nil {
				return err
			}
			if each != nil {
				each(&entry)
			}
		}
	}
	if l.Root() != e.Root {
		return fmt.Errorf("%w (its entries have not the root of its tiles)", chain.ErrTreeConflict)
	}
	return nil
}

func apply(l *ledger.Ledger, entry ledger.Entry, trusted uint64) (err error) {
	var v *ledger.Violation
	if entry.Index < trusted {
		_, _, err = l.Apply(entry)
	} else {
		v, _, err = l.Add(entry)
	}
	switch {
	case err != nil:
		return fmt.Errorf("applying entry %d: %w", entry.Index, err)
	case v != nil && v.Rule == "form" && v.Code == "repeated":
		// The engine wrote an admitted entry twice. The second has no effect.
		_, _, err = l.Apply(entry)
		return err
	case v != nil:
		return fmt.Errorf("%w (entry %d, leaf hash %x: %s)", ErrStranger, entry.Index, entry.Leaf, v.Text())
	}
	return nil
}

// parse parses entries from an index on, and verifies their signatures, on all
// processors.
func parse(at uint64, entries [][]byte, key func(id string) *event.PublicKey) []ledger.Entry {
	out := make([]ledger.Entry, len(entries))
	var wg sync.WaitGroup
	n := runtime.GOMAXPROCS(0)
	for g := range n {
		wg.Go(func() {
			for i := g; i < len(entries); i += n {
				out[i] = ledger.Read(at+uint64(i), entries[i])
				out[i].Verify(key)
			}
		})
	}
	wg.Wait()
	return out
}

// EventHash returns the event hash of an entry of the tree.
func EventHash(index uint64, entry []byte) ([32]byte, error) {
	env, err := event.ParseEnvelope(entry)
	if err != nil {
		return [32]byte{}, fmt.Errorf("%w (entry %d is not an event: %w)", chain.ErrTreeConflict, index, err)
	}
	return env.Hash(), nil
}
