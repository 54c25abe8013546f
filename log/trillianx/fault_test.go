// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package trillianx_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/internal/trilliantest"
	"github.com/vasistas/vasistas/internal/world/engines"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/trillianx"
)

// load adds batches until ctx ends, each while the batch before is integrated, and records
// the acknowledged indices.
type load struct {
	mu     sync.Mutex
	at     map[string]uint64
	last   uint64 // of the acknowledged entries
	failed int
}

func (l *load) run(ctx context.Context, t testing.TB, e *trillianx.Engine) {
	under := context.WithoutCancel(ctx)
	for i := 0; ctx.Err() == nil; {
		var waits sync.WaitGroup
		var failed atomic.Bool
		for range 3 {
			batch := engines.Batch(1000*i, 1+i%50)
			i++
			first, err := e.Add(under, batch)
			if err != nil {
				failed.Store(true)
				l.ended(t, batch, first, err)
				break
			}
			waits.Go(func() {
				err := e.Wait(under, first+uint64(len(batch)))
				if err != nil {
					failed.Store(true)
				}
				l.ended(t, batch, first, err)
			})
		}
		if waits.Wait(); failed.Load() {
			_, _, _ = e.Tree(under) // as the log does
		}
	}
}

// ended records how a batch ended.
func (l *load) ended(t testing.TB, batch [][]byte, first uint64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if errors.Is(err, trillianx.ErrContested) {
		t.Error(err)
	}
	if err != nil {
		l.failed++
		return
	}
	for n, b := range batch {
		l.at[string(b)] = first + uint64(n)
	}
	l.last = max(l.last, first+uint64(len(batch)))
}

func (l *load) size() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// more waits until more is acknowledged.
func (l *load) more(t testing.TB) {
	t.Helper()
	before := l.size()
	eventually(t, func() error {
		if n := l.size(); n < before+20 {
			return fmt.Errorf("only %d entries more are acknowledged", n-before)
		}
		return nil
	})
}

// holds checks that each acknowledged entry is at its index, and no entry is there
// twice.
func (l *load) holds(t testing.TB, e log.Engine) {
	t.Helper()
	size, root, err := e.Tree(t.Context())
	check(t, err)
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := make(map[string]bool)
	var f tiles.Frontier
	next, err := f.Extend(t.Context(), e, size, func(i uint64, entry []byte, _ tiles.Hash) error {
		if seen[string(entry)] {
			t.Errorf("%q is there twice", entry)
		}
		seen[string(entry)] = true
		if at, ok := l.at[string(entry)]; ok && at != i {
			t.Errorf("%q is at %d, and was acknowledged at %d", entry, i, at)
		}
		return nil
	})
	check(t, err)
	if next.Root() != root {
		t.Errorf("the root is %x; want %x", root, next.Root())
	}
	for entry := range l.at {
		if !seen[entry] {
			t.Errorf("%q was acknowledged, and is not there", entry)
		}
	}
	t.Logf("%d entries, %d acknowledged, %d batches failed", size, len(l.at), l.failed)
}

// TestKilled kills each of Trillian's processes, and its database, under load: no
// acknowledged entry is lost, and the engine recovers by itself.
func TestKilled(t *testing.T) {
	db := trilliantest.StartPostgres(t)
	tr := trilliantest.StartTrillian(t, db)
	for _, patience := range []time.Duration{time.Minute, 300 * time.Millisecond} {
		p := newPlace(t, tr)
		p.Patience = patience
		e := p.open(t)
		l := &load{at: make(map[string]uint64)}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { l.run(ctx, t, e) })
		for range 2 {
			l.more(t)
			tr.KillServer(t)
			tr.StartServer(t)
			l.more(t)
			tr.KillSigner(t)
			tr.StartSigner(t)
			l.more(t)
			db.Kill(t)
			db.Start(t)
			l.more(t)
			db.Stop(t) // in order
			db.Start(t)
			l.more(t)
		}
		cancel()
		wg.Wait()
		eventually(t, func() error { _, _, err := e.Tree(t.Context()); return err })
		l.holds(t, e)
		if patience < time.Second && l.failed == 0 {
			t.Error("no batch has failed: the test has not tried much")
		}
		check(t, e.Close(t.Context()))
		l.holds(t, p.open(t))
	}
}

// TestRestored restores Trillian's database from a backup: the engine reports it and
// adds nothing. Readers are served all the time.
func TestRestored(t *testing.T) {
	db := trilliantest.StartPostgres(t)
	tr := trilliantest.StartTrillian(t, db)
	p := newPlace(t, tr)
	p.Patience = 10 * time.Second
	e := p.open(t)
	all := engines.Batch(0, 500)
	_, err := add(t.Context(), e, all[:300])
	check(t, err)
	backup := db.Backup(t)
	_, err = add(t.Context(), e, all[300:])
	check(t, err)
	root := engines.Holds(t, e, all)
	db.Restore(t, backup)
	eventually(t, func() error {
		_, _, err := e.Tree(t.Context())
		if !errors.Is(err, log.ErrTreeBehind) {
			return fmt.Errorf("the tree of a restored database: %w", err)
		}
		if !strings.Contains(err.Error(), "restored from a backup") || !strings.Contains(err.Error(), "recover -from") {
			t.Errorf("it does not say what to do: %v", err)
		}
		return nil
	})
	var f tiles.Frontier
	next, err := f.Extend(t.Context(), e, 500, nil)
	check(t, err)
	if next.Root() != root {
		t.Error("readers see another tree")
	}
	if _, err := add(t.Context(), e, engines.Batch(900, 10)); err == nil {
		t.Error("something was added beyond the hole")
	}
	check(t, e.Close(t.Context()))
	// After a restart, Open finds the shorter tree, which the log's record contradicts.
	// The lost entries can be added again: their tiles are the same.
	e = p.open(t)
	if size, _, err := e.Tree(t.Context()); err != nil || size != 300 {
		t.Fatalf("after a restart: %d entries, %v", size, err)
	}
	_, err = add(t.Context(), e, all[300:])
	check(t, err)
	engines.Holds(t, e, all)
}
