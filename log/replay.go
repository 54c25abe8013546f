// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// replay applies to o what the tree of an edge has beyond it, and checks that what
// was applied is that tree.
func replay(ctx context.Context, o *contents, r tlog.TileReader, e *edge) error {
	for o.ledger.Size() < e.size {
		at := o.ledger.Size()
		entries, err := tiles.ReadBundle(ctx, r, at/tlog.TileWidth, e.size)
		if err != nil {
			return treeError(err)
		}
		for _, entry := range readAll(at, entries[at%tlog.TileWidth:], o.ledger.Key) {
			if _, err := o.ledger.Apply(entry); err != nil {
				return fmt.Errorf("applying entry %d: %w", entry.Index, err)
			}
			o.take(&entry)
		}
	}
	if o.ledger.Root() != e.root {
		return fmt.Errorf("%w (its entries have not the root of its tiles)", ErrTreeConflict)
	}
	return nil
}

// take notes what is to be noted of an entry that the ledger has, and returns what of it
// is in the vault, or nil.
func (o *contents) take(e *ledger.Entry) *deposit {
	if e.Envelope == nil {
		return nil
	}
	d := depositOf(e)
	if d != nil {
		o.deposits[d.index] = d
	}
	if e.Envelope.Event.Type == event.TypeAnchor {
		o.anchors = append(o.anchors, e.Index)
		o.anchors = slices.DeleteFunc(o.anchors, func(i uint64) bool { return i < o.ledger.Anchored() })
	}
	return d
}

// readAll parses entries from an index on, and verifies their signatures, on all
// processors.
func readAll(at uint64, entries [][]byte, key func(id string) *event.PublicKey) []ledger.Entry {
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
