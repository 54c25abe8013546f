// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package electx_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/vasistas/vasistas/internal/trilliantest"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/electx"
	"github.com/vasistas/vasistas/log/pgstate"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// begun is a time of leading that began.
type begun struct {
	url  string
	ctx  context.Context
	term *pgstate.Term
	end  chan struct{} // to be closed when it is to be given up
}

// candidate runs until the test ends or stop is called.
func candidate(t *testing.T, db *pgstate.DB, url string, leads chan<- begun) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		err := electx.Run(ctx, electx.Config{DB: db, URL: url, Lease: time.Second, Lead: func(leading context.Context, term *pgstate.Term) time.Duration {
			b := begun{url, leading, term, make(chan struct{})}
			select {
			case leads <- b:
			case <-ctx.Done():
				return 0
			}
			select {
			case <-leading.Done():
			case <-term.Ousted():
			case <-b.end:
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

func next(t *testing.T, leads <-chan begun) begun {
	t.Helper()
	select {
	case b := <-leads:
		return b
	case <-time.After(30 * time.Second):
		t.Fatal("nobody is elected")
		return begun{}
	}
}

func over(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(30 * time.Second):
		t.Fatal(what + " does not end")
	}
}

// TestElection: one of several leads; when it gives up, is told to end, or finds
// the lease to be another's, it is followed by a later term, and can write no more.
func TestElection(t *testing.T) {
	server := trilliantest.StartPostgres(t)
	dsn := server.CreateDatabase(t, "election")
	made, err := pgstate.Create(t.Context(), dsn)
	check(t, err)
	defer made.Close()
	check(t, made.Founder().Found(t.Context(), log.Settings{Origin: "log.example", Charter: [32]byte{1}}, []byte("head")))
	leads := make(chan begun)
	stops := make(map[string]func())
	for i := range 3 {
		db, err := pgstate.Open(t.Context(), dsn)
		check(t, err)
		t.Cleanup(db.Close)
		url := fmt.Sprintf("http://%d.example:1", i)
		stops[url] = candidate(t, db, url, leads)
	}
	// One gives up.
	first := next(t, leads)
	lease, err := made.Lease(t.Context())
	check(t, err)
	if lease.URL != first.url || lease.Term != 1 || lease.Seconds != 1 {
		t.Errorf("the lease: %+v", lease)
	}
	check(t, writeAs(t, first))
	close(first.end)
	second := next(t, leads)
	if second.url == first.url {
		t.Error("who gave up did not rest")
	}
	if err := writeAs(t, first); !errors.Is(err, log.ErrOusted) {
		t.Errorf("who gave up writes: %v", err)
	}
	check(t, writeAs(t, second))
	// One is told to end.
	stops[second.url]()
	third := next(t, leads)
	if third.url == second.url {
		t.Error("who was told to end leads")
	}
	// The lease is somebody else's, who never renews it.
	server.PSQL(t, dsn, "UPDATE vasistas.lease SET holder = 'stranger', url = 'http://stranger:1', term = term + 1, version = version + 1")
	over(t, "the term", third.term.Ousted())
	over(t, "leading", third.ctx.Done())
	if err := writeAs(t, third); !errors.Is(err, log.ErrOusted) {
		t.Errorf("who was ousted writes: %v", err)
	}
	fourth := next(t, leads)
	lease, err = made.Lease(t.Context())
	check(t, err)
	if lease.Term != 5 || lease.URL != fourth.url {
		t.Errorf("the lease: %+v", lease)
	}
	// The database is away for longer than a lease lasts.
	server.Kill(t)
	over(t, "leading without a database", fourth.ctx.Done())
	server.Start(t)
	fifth := next(t, leads)
	check(t, writeAs(t, fifth))
}

func writeAs(t *testing.T, b begun) error {
	_, err := b.term.State().KeepEvidence(t.Context(), "x", []byte(b.url))
	return err
}

func TestCheck(t *testing.T) {
	for lease, ok := range map[time.Duration]bool{0: false, -time.Second: false, time.Millisecond: false, 1500 * time.Millisecond: false, time.Second: true, 3 * time.Second: true, 2 * time.Hour: false} {
		if err := electx.Check(lease); (err == nil) != ok {
			t.Errorf("%v: %v", lease, err)
		}
	}
}
