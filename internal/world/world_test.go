// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package world

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/event"
)

func TestMain(m *testing.M) {
	LogTessera(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newWorld returns a world over a directory, with a gate.
func newWorld(t *testing.T, dir string) *World {
	t.Helper()
	w, err := New(Config{Dir: dir, People: people.New("log.example/2026", "a seed"), Witnesses: []string{"w1", "w2"}, PostQuantum: true})
	check(t, err)
	_, err = w.NewGate("c1", event.KEMX25519)
	check(t, err)
	w.LogConfig.Interval = 10 * time.Millisecond
	return w
}

func closeWorld(t *testing.T, w *World) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	check(t, w.Close(ctx))
}

// size returns the size of the log's head, which meets the policy of both witnesses.
func size(t *testing.T, w *World) uint64 {
	t.Helper()
	policy, err := w.Policy(2)
	check(t, err)
	c, err := client.New(client.Config{URL: w.LogServer.URL, Policy: policy})
	check(t, err)
	cp, err := c.Checkpoint(t.Context())
	check(t, err)
	return cp.Checkpoint.Size
}

// TestRestart: log and gate stop and start behind their servers, and a second world takes up the
// directory of the first.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	if made, err := Created(dir); err != nil || made {
		t.Fatalf("an empty directory holds a log: %v, %v", made, err)
	}
	w := newWorld(t, dir)
	p := w.cfg.People
	charter := p.Charter(func(c *event.Charter) {
		c.Profile = people.LongProfile()
		p.Cast(c, event.RoleCharter, "f1")
		p.Cast(c, event.RoleAuditor)
		p.Cast(c, event.RoleCustodian)
		c.Parties = append(c.Parties, w.Gates[0].Party())
		c.Groups = []event.Group{{ID: "main", Threshold: 1, Members: []string{"c1"}}}
		c.WitnessPolicy = WitnessPolicy(2, false, w.Witnesses...)
		c.LogKeys = nil
		for _, k := range w.LogKeys {
			c.LogKeys = append(c.LogKeys, k.Verifier().String())
		}
	})
	first, err := p.Signed(time.Now(), charter, "f1")
	check(t, err)
	check(t, w.Create(t.Context(), first))
	if err := w.Create(t.Context(), first); !errors.Is(err, fs.ErrExist) {
		t.Errorf("created twice: %v", err)
	}
	check(t, w.Start(t.Context()))
	g := w.Gates[0]
	check(t, g.Create())
	for range 2 {
		check(t, g.Start())
		check(t, Await(t.Context(), time.Millisecond, g.Running.Ready))
		check(t, g.Stop())
		if _, err := http.Get(g.URL + "/healthz"); err == nil {
			t.Error("a gate that was stopped answers")
		}
		check(t, w.StopLog(t.Context()))
		if _, err := http.Get(w.LogServer.URL + "/healthz"); err == nil {
			t.Error("a log that was stopped answers")
		}
		check(t, w.StartLog(t.Context()))
		check(t, w.AwaitLog(t.Context()))
	}
	n := size(t, w)
	closeWorld(t, w)
	closeWorld(t, w) // ends nothing more

	if made, err := Created(dir); err != nil || !made {
		t.Fatalf("the log was not created: %v, %v", made, err)
	}
	key := g.Key.Public()
	w = newWorld(t, dir)
	if got := w.Gates[0].Key.Public(); got.String() != key.String() {
		t.Error("the gate has another key")
	}
	check(t, w.Start(t.Context()))
	if got := size(t, w); got < n || n == 0 {
		t.Errorf("a log of %d entries has %d when it starts again", n, got)
	}
	closeWorld(t, w)
}

// TestBetween: a front answers in the place of the handler until it is removed.
func TestBetween(t *testing.T) {
	s, err := listen("", slog.New(slog.DiscardHandler))
	check(t, err)
	defer s.Close(t.Context())
	s.Serve(http.NotFoundHandler())
	for _, c := range []struct {
		front Front
		want  int
	}{
		{nil, http.StatusNotFound},
		{func(rw http.ResponseWriter, _ *http.Request, _ http.Handler) { rw.WriteHeader(http.StatusTeapot) }, http.StatusTeapot},
		{func(rw http.ResponseWriter, r *http.Request, h http.Handler) { h.ServeHTTP(rw, r) }, http.StatusNotFound},
		{nil, http.StatusNotFound},
	} {
		s.Between(c.front)
		resp, err := http.Get(s.URL)
		check(t, err)
		resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("status %d, want %d", resp.StatusCode, c.want)
		}
	}
}
