// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package entries

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/internal/chain"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// Replay applies to a ledger the entries of the tree of edge e that the ledger lacks,
// and checks that it then is the ledger of that tree. It calls each, if not nil, with
// every applied entry.
func Replay(ctx context.Context, l *ledger.Ledger, r tlog.TileReader, e chain.Edge, each func(*ledger.Entry)) error {
	for l.Size() < e.Size {
		at := l.Size()
		bundle, err := tiles.ReadBundle(ctx, r, at/tlog.TileWidth, e.Size)
		if err != nil {
			return chain.TreeError(err)
		}
		for _, entry := range parse(at, bundle[at%tlog.TileWidth:], l.Key) {
			if _, err := l.Apply(entry); err != nil {
				return fmt.Errorf("applying entry %d: %w", entry.Index, err)
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
