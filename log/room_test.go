// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vasistas/vasistas/internal/durable/durabletest"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/event"
)

// TestNoRoom checks that a log whose tree or vault can't be written says so, refuses with
// 507, serves reads, still admits what is essential, and goes on by itself.
func TestNoRoom(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		place func(w *world) string
		err   error
	}{
		"a read-only tree":  {func(w *world) string { return filepath.Join(w.tree(), ".state") }, syscall.EROFS},
		"a full tree":       {func(w *world) string { return filepath.Join(w.tree(), ".state") }, syscall.ENOSPC},
		"a full vault":      {func(w *world) string { return w.vaultConfig().Dir }, syscall.ENOSPC},
		"a read-only vault": {func(w *world) string { return w.vaultConfig().Dir }, syscall.EROFS},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, 1)
			w.config.Refresh = 100 * time.Millisecond
			w.start()
			w.append(w.warrant())
			var in durabletest.Injector
			remove := in.Inject(t, c.place(w))
			in.FailFrom(0, c.err)
			eventually(t, func() error {
				if status, body := w.get("/readyz"); status != http.StatusInsufficientStorage || !strings.Contains(string(body), "no room") || !strings.Contains(string(body), "ready again once its disk takes data") {
					return fmt.Errorf("%d: %s", status, body)
				}
				return nil
			})
			if _, err := w.sequence(w.warrant()); !isProblem(err, "storage") {
				t.Errorf("a warrant: %v", err)
			}
			w.checkpoint()
			if status, _ := w.get("/tile/entries/000.p/2"); status != http.StatusOK {
				t.Errorf("a tile: %d", status)
			}
			if strings.Contains(name, "vault") { // of the tree, only the engine knows what can still be written
				w.mustSequence(w.amendment(2, referTo(0, w.founding), func(*event.Charter) {}).Bytes())
			}
			remove()
			w.ready()
			w.append(w.warrant())
			w.audit()
		})
	}
}

const reserve = 1 << 20

// scarce is an engine on a disk with room for so many bytes, some of it reserved.
type scarce struct {
	log.Engine
	free, reserved atomic.Int64
	used           func()      // is called once the reserve is free; or nil
	full           atomic.Bool // its files can't be written unless the reserve is free
}

func (s *scarce) wrap(e log.Engine) log.Engine {
	s.Engine = e
	return s
}

func (s *scarce) Add(ctx context.Context, entries [][]byte) (uint64, error) {
	size := int64(0)
	for _, e := range entries {
		size += int64(len(e))
	}
	if s.free.Load() < size {
		return 0, syscall.ENOSPC
	}
	s.free.Add(-size)
	return s.Engine.Add(ctx, entries)
}

// Show fails without a cause that a program can read, as Tessera does.
func (s *scarce) Show(ctx context.Context, size uint64) error {
	if s.full.Load() && s.reserved.Load() > 0 {
		return errors.New("failed to create temp file: no space left on device")
	}
	return s.Engine.Show(ctx, size)
}

// Writable makes the reserve again if it was used, as the engine on files does.
func (s *scarce) Writable(context.Context) error {
	missing := reserve - s.reserved.Load()
	if s.free.Load() < missing+10_000 {
		return syscall.ENOSPC
	}
	s.free.Add(-missing)
	s.reserved.Add(missing)
	return nil
}

func (s *scarce) UseReserve() error {
	s.free.Add(s.reserved.Swap(0))
	if s.used != nil {
		s.used()
	}
	return nil
}

// scarceWorld starts a log on a disk with a reserve.
func scarceWorld(t *testing.T) (*world, *scarce) {
	w, s := newWorld(t, 1, 1), new(scarce)
	s.free.Store(1 << 20)
	s.reserved.Store(reserve)
	w.wrap = s.wrap
	w.config.Refresh = 100 * time.Millisecond
	w.start()
	return w, s
}

// TestReserve checks that a charter, a revocation, a response and a disclosure are logged on
// a full disk, and nothing else: not what resumes a warrant.
func TestReserve(t *testing.T) {
	t.Parallel()
	w, s := scarceWorld(t)
	first := newWarrant(t, origin, warrantTerms{}, w.authority)
	warrant := w.put(first)
	s.free.Store(100)
	eventually(t, func() error {
		if _, err := w.sequence(w.warrant()); !isProblem(err, "storage") {
			return fmt.Errorf("a warrant: %w", err)
		}
		if status, body := w.get("/readyz"); status != http.StatusInsufficientStorage {
			return fmt.Errorf("%d: %s", status, body)
		}
		return nil
	})
	w.append(w.amendment(2, referTo(0, w.founding), func(*event.Charter) {}).Bytes())
	suspend := signed(t, &event.Revocation{Warrant: warrant, Reason: "ended", Scope: event.ScopeSuspended}, w.authority)
	suspended := referTo(w.mustSequence(suspend.Bytes()), suspend)
	resumed := signed(t, &event.Revocation{Warrant: warrant, Reason: "ended", Scope: event.ScopeResumed, Suspension: &suspended}, w.authority)
	if _, err := w.sequence(resumed.Bytes()); !isProblem(err, "storage") {
		t.Errorf("what resumes a warrant: %v", err)
	}
	w.append(signed(t, &event.Response{Warrant: warrant, Outcome: event.Unable, Ground: "immunity"}, w.provider).Bytes())
	w.append(signed(t, &event.Revocation{Warrant: warrant, Reason: "ended", Scope: event.ScopeAll}, w.authority).Bytes())
	w.append(signed(t, &event.Disclosure{Event: warrant, Openings: first.Openings}, w.authority).Bytes())
	s.free.Store(2 * reserve)
	w.ready()
	w.append(w.warrant())
	w.audit()
}

// TestReserveServesFiles checks that a log goes on to log revocations if the engine's journal takes
// entries and its files do not.
func TestReserveServesFiles(t *testing.T) {
	t.Parallel()
	w, s := scarceWorld(t)
	warrant := w.put(newWarrant(t, origin, warrantTerms{}, w.authority))
	s.free.Store(100_000)
	s.full.Store(true)
	w.mustSequence(w.warrant())
	eventually(t, func() error {
		if status, body := w.get("/readyz"); status != http.StatusInsufficientStorage {
			return fmt.Errorf("%d: %s", status, body)
		}
		return nil
	})
	if _, err := w.sequence(w.warrant()); !isProblem(err, "storage") {
		t.Errorf("a warrant: %v", err)
	}
	w.append(signed(t, &event.Revocation{Warrant: warrant, Reason: "ended", Scope: event.ScopeAll}, w.authority).Bytes())
	s.full.Store(false)
	s.free.Store(2 * reserve)
	w.ready()
	w.append(w.warrant())
	w.audit()
}

// TestReserveServesState checks that a log whose state shares the full disk still logs a
// revocation: the room that the reserve frees is for the next head too.
func TestReserveServesState(t *testing.T) {
	t.Parallel()
	w, s := scarceWorld(t)
	warrant := w.put(newWarrant(t, origin, warrantTerms{}, w.authority))
	var in durabletest.Injector
	s.used = in.Inject(t, w.state())
	in.FailFrom(0, syscall.ENOSPC)
	s.free.Store(100)
	eventually(t, func() error { // the state could not be written to refresh the cosignatures
		if status, body := w.get("/readyz"); status != http.StatusInsufficientStorage || !in.Hit() {
			return fmt.Errorf("%d: %s", status, body)
		}
		return nil
	})
	if _, err := w.sequence(w.warrant()); !isProblem(err, "storage") {
		t.Errorf("a warrant: %v", err)
	}
	w.append(signed(t, &event.Revocation{Warrant: warrant, Reason: "ended", Scope: event.ScopeAll}, w.authority).Bytes())
	s.free.Store(2 * reserve)
	w.ready()
	w.append(w.warrant())
	w.audit()
}
