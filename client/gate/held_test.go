// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/internal/problem"
	"github.com/vasistas/vasistas/log/event"
)

// aNotice is the notice of a release that is no gate's.
var aNotice = []byte("notice")

// hand posts an event to a gate, with openings of the event's public digests, and with aNotice if it
// states that.
func (w *testbed) hand(s *gateServer, env *event.Envelope, openings ...event.Opening) error {
	w.t.Helper()
	sub := event.Submission{Envelope: env, Openings: openings}
	if r, ok := env.Event.Body.(*event.Release); ok && slices.Equal(r.Notices, []event.Digest{escrow.NoticeDigest(aNotice)}) {
		sub.Notices = [][]byte{aNotice}
	}
	b, err := sub.Bytes()
	check(w.t, err)
	_, err = postTo(s.URL+gate.EventsPath, "application/json", b)
	return err
}

// wantHeld waits until the gate holds n events.
func (w *testbed) wantHeld(s *gateServer, n int) {
	w.t.Helper()
	eventually(w.t, func() error {
		st, err := s.Running.Status(w.t.Context())
		if err == nil && st.Held != n {
			err = fmt.Errorf("the gate holds %d events, want %d", st.Held, n)
		}
		return err
	})
}

// TestDeniedEmergencyHanded: an authority hands its denial of an emergency to the gate while the log
// suppresses it. The gate opens nothing of that access, remembers that over a restart, and has the
// denial logged once the log takes it; then the gate holds it no longer.
func TestDeniedEmergencyHanded(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	a := w.access(nil, accessTerms{emergency: true}, w.escrow(alice))
	w.block()
	env, openings := w.denial(a)
	check(t, w.hand(s, env, openings.Public...))
	check(t, w.hand(s, env, openings.Public...)) // twice is once
	w.wantHeld(s, 1)
	s.key.forget()
	t.Log(w.wantCode(s, a.request(), gate.CodeDead))
	untouched(t, s)
	if err := s.Running.Ready(); err == nil {
		t.Error("a gate that a held denial bars is ready")
	}
	s.stop()
	w.open(s)
	w.wantHeld(s, 1)
	w.wantCode(s, a.request(), gate.CodeDead)
	untouched(t, s)
	w.LogServer.Between(nil)
	eventually(t, func() error {
		for _, e := range w.entries() {
			if e.Hash() == env.Hash() {
				return nil
			}
		}
		return errors.New("the denial is not in the log")
	})
	w.wantHeld(s, 0)
	w.refresh(a.logged)
	w.wantCode(s, a.request(), gate.CodeDead)
	untouched(t, s)
}

// TestHeldHeartbeat: a gate takes another custodian's heartbeat that the log suppresses. It counts
// the releases that the heartbeat states, and so may show one that the log lacks.
func TestHeldHeartbeat(t *testing.T) {
	w := newTestbed(t, 1, 2, nil)
	w.runAll()
	s, other := w.gates[0], w.gates[1]
	other.stop()
	w.block()
	now := time.Now().UTC().Truncate(time.Second)
	beat := w.sign(&event.Heartbeat{From: now.Add(-time.Hour), To: now, Seq: 0}, "c2")
	check(t, w.hand(s, beat))
	w.wantHeld(s, 1)
	w.LogServer.Between(nil)
	eventually(t, func() error {
		if len(w.of(other, event.TypeHeartbeat)) == 0 {
			return errors.New("the heartbeat is not in the log")
		}
		return nil
	})
	w.wantHeld(s, 0)
}

// TestHeldRelease: a release that another custodian hands over is a breach of its own if it
// contradicts its chain: it bars the gate before the log shows it.
func TestHeldRelease(t *testing.T) {
	w := newTestbed(t, 1, 2, nil)
	w.runAll()
	s := w.gates[0]
	a := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	w.block()
	cp, err := w.client.Checkpoint(t.Context())
	check(t, err)
	check(t, w.hand(s, w.sign(&event.Release{Access: event.Reference{Index: 1, Leaf: [32]byte{1}}, Seq: 1, Notices: []event.Digest{escrow.NoticeDigest(aNotice)},
		Head: event.Head{Size: cp.Checkpoint.Size, Root: event.Digest(cp.Checkpoint.Root)}}, "c2")))
	s.key.forget()
	t.Log(w.wantCode(s, a.request(), gate.CodeBreach))
	untouched(t, s)
}

// TestHeldBounds: a gate holds one event of each signer, type and subject, nothing that would have no
// effect, and nothing of strangers, and no party uses up another's room.
func TestHeldBounds(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	warrant := w.warrant(alice)
	check(t, s.Running.Sync(t.Context()))
	w.block()
	revoke := func(ref event.Reference, by string) *event.Envelope {
		return w.sign(&event.Revocation{Warrant: ref, Reason: "ended", Scope: event.ScopeAll}, by)
	}
	want := func(err error, code gate.Code) {
		t.Helper()
		var no *refused
		if !errors.As(err, &no) || no.code != code {
			t.Errorf("want %s: %v", code, err)
		}
	}
	want(w.hand(s, revoke(warrant.Reference, "stranger")), gate.CodeAccess)
	want(w.hand(s, revoke(event.Reference{Index: 1 << 30}, "court")), gate.CodeAccess)
	want(w.hand(s, w.sign(&event.Return{Warrant: warrant.Reference}, "messenger")), gate.CodeForm)
	ahead := w.event(&event.Revocation{Warrant: warrant.Reference, Reason: "ended", Scope: event.ScopeAll})
	ahead.Time = ahead.Time.Add(24 * time.Hour)
	want(w.hand(s, w.signEvent(ahead, "court")), gate.CodeAccess)
	_, err := postTo(s.URL+gate.EventsPath, "application/json", []byte("{}"))
	want(err, gate.CodeForm)
	check(t, w.hand(s, revoke(warrant.Reference, "court")))
	want(w.hand(s, revoke(warrant.Reference, "court")), gate.CodeBusy)
	w.wantHeld(s, 1)
	if resp, err := http.Get(s.URL + gate.EventsPath); err != nil {
		t.Fatal(err)
	} else if resp.Body.Close(); resp.StatusCode != http.StatusMethodNotAllowed {
		t.Error(resp.Status)
	}
}

// TestOwnEventHanded: an event that this gate's key has signed, and that its journal lacks, shows a
// second gate with the key, though the log does not show it.
func TestOwnEventHanded(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	w.drain(s)
	w.block()
	now := time.Now().UTC().Truncate(time.Second)
	_ = w.hand(s, w.sign(&event.Heartbeat{From: now.Add(-time.Hour), To: now}, s.Name)) // it fails, or not: the gate stops
	if err := s.Running.Ready(); !errors.Is(err, gate.ErrElsewhere) {
		t.Fatalf("want ErrElsewhere: %v", err)
	}
}

// TestOwnReleaseHandedBack: who suppresses a gate's release can't make the gate believe that the log has
// it by handing it back to the gate: the gate goes on posting it.
func TestOwnReleaseHandedBack(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	s := w.gates[0]
	s.Config.Timeout = 300 * time.Millisecond
	w.runAll()
	a := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	posted := w.capture(event.TypeRelease)
	w.wantCode(s, a.request(), gate.CodeLog)
	_, err := postTo(s.URL+gate.EventsPath, "application/json", posted())
	check(t, err)
	st, err := s.Running.Status(t.Context())
	check(t, err)
	if len(st.Releases) != 1 {
		t.Fatalf("the gate believes that the log lacks %v", st.Releases)
	}
	w.LogServer.Between(nil)
	eventually(t, func() error {
		if n := len(w.of(s, event.TypeRelease)); n != 1 {
			return fmt.Errorf("%d releases are in the log", n)
		}
		return nil
	})
	eventually(t, func() error { _, err := w.ask(s, a.request()); return err })
}

// TestHeldComplete: a gate holds nothing that an honest log refuses for want of notices or openings, else
// one custodian could bar all gates by a breach that no log ever has, and so no auditor can close.
func TestHeldComplete(t *testing.T) {
	w := newTestbed(t, 1, 2, nil)
	w.runAll()
	s := w.gates[0]
	a := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	denied := w.access(nil, accessTerms{emergency: true}, w.escrow(alice))
	cp, err := w.client.Checkpoint(t.Context())
	check(t, err)
	breach := w.sign(&event.Release{Access: event.Reference{Index: 1, Leaf: [32]byte{1}}, Seq: 1, Notices: []event.Digest{{1}},
		Head: event.Head{Size: cp.Checkpoint.Size, Root: event.Digest(cp.Checkpoint.Root)}}, "c2")
	denial, openings := w.denial(denied)
	for name, err := range map[string]error{"notices": w.hand(s, breach), "openings": w.hand(s, denial),
		"others": w.hand(s, denial, openings.Public[1:]...)} {
		var no *refused
		if !errors.As(err, &no) || no.code != gate.CodeForm {
			t.Errorf("without its %s: %v", name, err)
		}
	}
	w.wantHeld(s, 0)
	w.shares(s, a)
}

// TestHeldExtends: a gate holds no denial that an honest log refuses for the warrant that it says it extends,
// else one authority could bar a gate by an event that no log ever has.
func TestHeldExtends(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	a := w.access(nil, accessTerms{emergency: true}, w.escrow(alice))
	env, openings := w.denial(a, event.NewOpening("extends", event.Text(a.Reference.String())))
	var no *refused
	if err := w.hand(s, env, openings.Public...); !errors.As(err, &no) || no.code != gate.CodeAccess {
		t.Errorf("a denial that extends an access: %v", err)
	}
	w.wantHeld(s, 0)
	w.shares(s, a)
}

// TestHeldForInclusion: what a gate holds binds it for as long as it would take effect, however long the log
// suppresses it, and after a restart. What would have no effect any more is dropped once the log has had the
// profile's time to include it.
func TestHeldForInclusion(t *testing.T) {
	w := newTestbed(t, 1, 1, func(ch *event.Charter) { ch.Profile.Inclusion = 3 })
	w.runAll()
	s := w.gates[0]
	one, two := w.warrant(alice), w.warrant(alice)
	a := w.access(two, accessTerms{}, w.escrow(alice))
	check(t, s.Running.Sync(t.Context()))
	first := w.sign(&event.Revocation{Warrant: one.Reference, Reason: "ended", Scope: event.ScopeAll}, "court")
	w.LogServer.Between(func(rw http.ResponseWriter, r *http.Request, h http.Handler) { // the log suppresses it
		if r.Method == http.MethodPost && r.UserAgent() == "vasistas-gate" {
			http.Error(rw, "no", http.StatusServiceUnavailable)
			return
		}
		h.ServeHTTP(rw, r)
	})
	begun := time.Now()
	check(t, w.hand(s, first))
	check(t, w.hand(s, w.sign(&event.Revocation{Warrant: two.Reference, Reason: "ended", Scope: event.ScopeAll}, "court")))
	w.wantHeld(s, 2)
	// Another revocation, after which the held one would have no effect.
	w.submit(w.sign(&event.Revocation{Warrant: one.Reference, Reason: "ended", Scope: event.ScopeAll}, "court"), nil)
	check(t, s.Running.Sync(t.Context()))
	w.wantHeld(s, 1)
	if time.Since(begun) < 3*time.Second {
		t.Errorf("it was dropped after %s", time.Since(begun))
	}
	s.stop()
	w.open(s)
	w.wantHeld(s, 1)
	s.key.forget()
	w.refresh(a.logged)
	w.refresh(two)
	t.Log(w.wantCode(s, a.request(), gate.CodeDead))
	untouched(t, s)
}

// TestHeldRefusedForNow: a gate submits a held event again after the log has refused it.
func TestHeldRefusedForNow(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	s := w.gates[0]
	s.Config.Timeout = time.Second
	w.runAll()
	warrant := w.warrant(alice)
	check(t, s.Running.Sync(t.Context()))
	var refused atomic.Bool
	w.LogServer.Between(func(rw http.ResponseWriter, r *http.Request, h http.Handler) {
		if r.Method == http.MethodPost && refused.CompareAndSwap(false, true) {
			problem.New(problem.Rule, "no", "it claims to be ahead").Answer(rw)
			return
		}
		h.ServeHTTP(rw, r)
	})
	check(t, w.hand(s, w.sign(&event.Revocation{Warrant: warrant.Reference, Reason: "ended", Scope: event.ScopeAll}, "court")))
	eventually(t, func() error {
		if !refused.Load() {
			return errors.New("nothing was submitted")
		}
		return nil
	})
	w.wantHeld(s, 0)
}
