// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// TestHangingLog: a log that does not answer can't keep a gate from taking a revocation. A gate
// that waits for the log's answer says that it is not ready.
func TestHangingLog(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	s := w.gates[0]
	s.Config.Timeout = time.Hour
	w.runAll()
	for _, path := range []string{"/checkpoint", "/tile/0/", "/tile/entries/"} {
		warrant := w.warrant(alice)
		check(t, s.Running.Sync(t.Context()))
		release := make(chan struct{})
		var asked, late atomic.Bool
		w.LogServer.Between(func(rw http.ResponseWriter, r *http.Request, h http.Handler) {
			if path == "/tile/0/" && r.Header.Get("Range") != "" {
				http.NotFound(rw, r) // refused, since the gate needs no tile if it can read the new entries alone
				return
			}
			if r.UserAgent() == "vasistas-gate" && strings.HasPrefix(r.URL.Path, path) {
				asked.Store(true)
				select {
				case <-release:
				case <-r.Context().Done():
				case <-time.After(time.Minute):
					late.Store(true)
				}
			}
			h.ServeHTTP(rw, r)
		})
		w.warrant(alice) // an entry that the gate has to read
		eventually(t, func() error {
			if !asked.Load() {
				return errors.New("the log was not asked")
			}
			return nil
		})
		check(t, w.hand(s, w.sign(&event.Revocation{Warrant: warrant.Reference, Reason: "ended", Scope: event.ScopeAll}, "court")))
		w.wantHeld(s, 1)
		eventually(t, func() error {
			err := s.Running.Ready()
			if err == nil || !strings.Contains(err.Error(), "has not answered") {
				return errors.Join(errors.New("it does not say that the log does not answer"), err)
			}
			return nil
		})
		if late.Load() {
			t.Errorf("%s: the gate took the revocation once the log had answered", path)
		}
		close(release)
		w.wantHeld(s, 0)
		eventually(t, s.Running.Ready)
	}
	w.LogServer.Between(nil)
}

// TestForgedTail: a head by a key that only the log's host names costs the gate a bounded number of
// entries, and once in a while.
func TestForgedTail(t *testing.T) {
	rogue, err := tlog.GenerateSigner(origin, tlog.Ed25519)
	check(t, err)
	w := newTestbed(t, 1, 1, nil)
	s := w.gates[0]
	check(t, s.Create())
	g, err := gate.Open(s.Config)
	check(t, err)
	defer func() { check(t, g.Close()) }()
	check(t, g.Sync(t.Context()))
	for range 3 {
		w.warrant(alice)
	}
	v, err := w.client.Checkpoint(t.Context())
	check(t, err)
	forged := v.Checkpoint
	w.resign(forged, time.Now(), rogue, w.Witnesses...)
	next := w.nextCharter()
	next.LogKeys = []string{rogue.Verifier().String()}
	charter := w.sign(next, "founder").Bytes()
	var read atomic.Int32
	w.LogServer.Between(func(rw http.ResponseWriter, r *http.Request, h http.Handler) {
		switch {
		case r.UserAgent() != "vasistas-gate":
			h.ServeHTTP(rw, r)
		case r.URL.Path == "/checkpoint":
			rw.Write(forged.Bytes())
		case r.URL.Path == "/charter":
			rw.Write(charter)
		default:
			if strings.HasPrefix(r.URL.Path, "/tile/entries/") {
				read.Add(1)
			}
			h.ServeHTTP(rw, r)
		}
	})
	g.Unproven().Max = 2
	const want = "no charter in 2 entries"
	if err := g.Sync(t.Context()); err == nil || !strings.Contains(err.Error(), want) || read.Load() == 0 {
		t.Fatalf("after %d bundles: %v", read.Load(), err)
	}
	g.Unproven().Rest = time.Now().Add(time.Hour) // this test may be slow
	read.Store(0)
	for range 3 {
		if err := g.Sync(t.Context()); err == nil || !strings.Contains(err.Error(), want) || read.Load() > 0 {
			t.Errorf("while it rests, after %d bundles: %v", read.Load(), err)
		}
	}
	w.LogServer.Between(nil)
	check(t, g.Sync(t.Context()))
}
