// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/internal/durable/durabletest"
	"github.com/vasistas/vasistas/log/event"
)

// drain waits until a gate's journal holds no event that the log lacks: then only requests cause
// durable steps.
func (w *testbed) drain(s *gateServer) {
	w.t.Helper()
	eventually(w.t, func() error {
		st, err := s.Running.Status(w.t.Context())
		if err == nil && st.Outbox > 0 {
			err = fmt.Errorf("%d events wait", st.Outbox)
		}
		return err
	})
}

// mustShare asks until the gate answers.
func (w *testbed) mustShare(s *gateServer, a *asked) {
	w.t.Helper()
	eventually(w.t, func() error {
		w.refresh(a.logged)
		w.refresh(a.warrant)
		answer, err := w.ask(s, a.request())
		if err == nil {
			w.openAnswer(s, a, answer)
		}
		return err
	})
}

// TestFaults makes each durable step of a release fail, before and after it is done, checks log and
// key, restarts, and asks again.
func TestFaults(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	s := w.gates[0]
	inject := new(durabletest.Injector)
	inject.Inject(t, s.Config.Dir)
	s.faulty = true
	w.runAll()
	w.drain(s)
	opened := 0
	trace := func() int {
		a := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
		before := len(inject.Points())
		w.mustShare(s, a)
		opened++
		return len(inject.Points()) - before
	}
	steps := trace()
	t.Logf("a release takes up to %d points: %v", steps, inject.Points()[len(inject.Points())-steps:])
	for n := range steps + 2 {
		a := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
		s.key.forget()
		inject.FailAt(n, syscall.EIO)
		answer, err := w.ask(s, a.request())
		releases := len(w.chain(s))
		if err == nil {
			w.openAnswer(s, a, answer)
		}
		if used := s.key.count(escrow.ForShare); used > 0 && releases != opened+1 || used > 1 {
			t.Fatalf("fault %d: the key was touched %d times, with %d releases in the log after %d", n, used, releases, opened)
		}
		inject.FailAt(1<<30, nil)
		s.stop()
		w.run(s)
		w.mustShare(s, a)
		opened++
		if got := w.chain(s); len(got) != opened {
			t.Fatalf("fault %d: %d releases, want %d", n, len(got), opened)
		}
		if len(w.of(s, event.TypeRelease)) != opened {
			t.Fatalf("fault %d: a second release", n)
		}
	}
	if steps == 0 {
		t.Fatal("a release takes no durable step")
	}
}

// TestFull: with a full disk the gate signs and opens nothing and is not ready; started with room,
// it answers.
func TestFull(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	s := w.gates[0]
	inject := new(durabletest.Injector)
	inject.Inject(t, s.Config.Dir)
	s.faulty = true
	w.runAll()
	w.drain(s)
	a := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	inject.FailFrom(0, syscall.ENOSPC)
	s.key.forget()
	eventually(t, func() error {
		_, err := w.ask(s, a.request())
		var no *refused
		if !errors.As(err, &no) || no.code != gate.CodeStorage && no.code != gate.CodeStopped && no.code != gate.CodeNotReady {
			return fmt.Errorf("want a refusal for storage: %w", err)
		}
		t.Log(no)
		return nil
	})
	untouched(t, s, escrow.ForNotice)
	if s.Running.Ready() == nil {
		t.Error("a gate whose disk is full is ready")
	}
	if n := len(w.chain(s)); n != 0 {
		t.Fatalf("%d releases", n)
	}
	inject.FailAt(1<<30, nil)
	s.stop()
	w.run(s)
	w.shares(s, a)
}

// TestTorn: a release whose journal record a crash has cut off was never posted. The gate makes
// another one.
func TestTorn(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	s.stop()
	name := filepath.Join(s.Config.Dir, "journal")
	b, err := os.ReadFile(name)
	check(t, err)
	check(t, os.WriteFile(name, append(b, 0, 0, 1, 2, 3, 4), 0o600))
	w.run(s)
	w.shares(s, w.access(w.warrant(alice), accessTerms{}, w.escrow(alice)))
	if n := len(w.chain(s)); n != 1 {
		t.Fatalf("%d releases", n)
	}
}
