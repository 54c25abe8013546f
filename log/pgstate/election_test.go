// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package pgstate_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/vasistas/vasistas/internal/trilliantest"
	"github.com/vasistas/vasistas/log/pgstate"
	"github.com/vasistas/vasistas/log/state"
)

// begun is a term that has begun.
type begun struct {
	name string
	*pgstate.Term
	giveUp chan struct{} // to be closed when it is to be given up
}

// candidate runs until the test ends or stop is called.
func candidate(t *testing.T, db *pgstate.DB, name string, terms chan<- begun) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		err := db.Run(ctx, pgstate.Candidate{Name: name, Lease: time.Second, Act: func(term *pgstate.Term) time.Duration {
			b := begun{name, term, make(chan struct{})}
			select {
			case terms <- b:
			case <-ctx.Done():
				return 0
			}
			select {
			case <-term.Context().Done():
			case <-b.giveUp:
			case <-ctx.Done():
			}
			return time.Second
		}})
		if err != nil {
			t.Error(err)
		}
	})
	stop = func() { cancel(); wg.Wait() }
	t.Cleanup(stop)
	return stop
}

func next(t *testing.T, terms <-chan begun) begun {
	t.Helper()
	select {
	case b := <-terms:
		return b
	case <-time.After(5 * time.Minute):
		t.Fatal("no term begins")
		return begun{}
	}
}

func over(t *testing.T, what string, b begun) {
	t.Helper()
	select {
	case <-b.Context().Done():
		if err := b.Held(); !errors.Is(err, state.ErrOusted) {
			t.Errorf("%s ended with %v", what, err)
		}
	case <-time.After(5 * time.Minute):
		t.Fatal(what + " does not end")
	}
}

// TestElection: one of several candidates acts. When it gives up, is told to end, or
// loses the lease or the database, another acts in a later term, and the first can't
// write.
func TestElection(t *testing.T) {
	server := trilliantest.StartPostgres(t)
	made, dsn, _ := created(t, server, "election")
	terms := make(chan begun)
	stops := make(map[string]func())
	for i := range 3 {
		db, err := pgstate.Open(t.Context(), dsn)
		check(t, err)
		t.Cleanup(db.Close)
		name := fmt.Sprint(i)
		stops[name] = candidate(t, db, name, terms)
	}
	// One gives up.
	first := next(t, terms)
	lease, err := made.Lease(t.Context())
	check(t, err)
	if lease.Name != first.name || lease.Term != 1 || lease.Seconds != 1 {
		t.Errorf("the lease: %+v", lease)
	}
	check(t, writeAs(t, first))
	close(first.giveUp)
	second := next(t, terms)
	if second.name == first.name {
		t.Error("who gave up did not rest")
	}
	if err := writeAs(t, first); !errors.Is(err, state.ErrOusted) {
		t.Errorf("who gave up writes: %v", err)
	}
	check(t, writeAs(t, second))
	// One is told to end.
	stops[second.name]()
	third := next(t, terms)
	if third.name == second.name {
		t.Error("who was told to end acts")
	}
	// A stranger takes the lease and never renews it.
	server.PSQL(t, dsn, "UPDATE vasistas.lease SET holder = 'stranger', url = 'stranger', term = term + 1, version = version + 1")
	over(t, "the term", third)
	if err := writeAs(t, third); !errors.Is(err, state.ErrOusted) {
		t.Errorf("who was ousted writes: %v", err)
	}
	fourth := next(t, terms)
	lease, err = made.Lease(t.Context())
	check(t, err)
	if lease.Term != 5 || lease.Name != fourth.name {
		t.Errorf("the lease: %+v", lease)
	}
	// The database is away for longer than a lease lasts.
	server.Kill(t)
	over(t, "a term without a database", fourth)
	server.Start(t)
	check(t, writeAs(t, next(t, terms)))
}

func writeAs(t *testing.T, b begun) error {
	_, err := b.State().KeepEvidence(t.Context(), "x", []byte(b.name))
	return err
}
