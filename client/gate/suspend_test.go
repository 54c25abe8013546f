// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/log/event"
)

// revocation signs what ends or suspends a warrant, in these categories if there are any.
func (w *testbed) revocation(warrant *logged, scope event.Scope, by string, categories ...string) *event.Envelope {
	w.t.Helper()
	return w.sign(&event.Revocation{Warrant: warrant.Reference, Reason: "ended", Scope: scope, Categories: categories}, by)
}

// revoke logs what revocation signs.
func (w *testbed) revoke(warrant *logged, scope event.Scope, by string, categories ...string) *logged {
	w.t.Helper()
	return w.submit(w.revocation(warrant, scope, by, categories...), nil)
}

// resumption signs the end of a suspension.
func (w *testbed) resumption(suspension *logged, by string) *event.Envelope {
	w.t.Helper()
	warrant := suspension.env.Event.Body.(*event.Revocation).Warrant
	return w.sign(&event.Revocation{Warrant: warrant, Reason: "ended", Scope: event.ScopeResumed, Suspension: &suspension.Reference}, by)
}

// resume logs the end of a suspension.
func (w *testbed) resume(suspension *logged, by string) {
	w.t.Helper()
	w.submit(w.resumption(suspension, by), nil)
}

// logRefuses submits an event that the log must refuse by a way of a rule.
func (w *testbed) logRefuses(s *event.Submission, way string) {
	w.t.Helper()
	_, err := w.client.Submit(w.t.Context(), s, client.WaitCosigned)
	if p, ok := errors.AsType[*client.Problem](err); !ok || p.Rule+"/"+p.Way != way {
		w.t.Fatalf("the log answers %v; want a refusal by %s", err, way)
	}
}

// wantDead asks, and wants a refusal because of a dead access, by a text, with the key untouched.
func (w *testbed) wantDead(s *gateServer, a *asked, why string, allowed ...escrow.Purpose) {
	w.t.Helper()
	s.key.forget()
	if no := w.wantCode(s, a.request(), gate.CodeDead); !strings.Contains(no.detail, why) {
		w.t.Errorf("the gate says %q, and not %q", no.detail, why)
	}
	untouched(w.t, s, allowed...)
}

// TestSuspended: a gate opens nothing of a suspended warrant, and goes on once the suspension is
// resumed by those who may.
func TestSuspended(t *testing.T) {
	w := prepare(t, 1)
	w.start(1, w.Forms)
	w.runAll()
	s := w.gates[0]
	warrant := w.warrant(alice)
	a := w.access(warrant, accessTerms{}, w.escrow(alice))
	first := w.revoke(warrant, event.ScopeSuspended, "court")
	w.wantDead(s, a, "suspended")
	w.refusedInLog(s, "suspended")
	second := w.revoke(warrant, event.ScopeSuspended, "enforcer")
	w.resume(first, "court")
	w.wantDead(s, a, "suspended")
	w.logRefuses(&event.Submission{Envelope: w.resumption(second, "court")}, "role/standing")
	w.wantDead(s, a, "suspended")
	w.resume(second, "enforcer")
	w.shares(s, a)

	// An access that is answered is refused as well.
	third := w.revoke(warrant, event.ScopeSuspended, "court")
	w.wantDead(s, a, "suspended")
	w.resume(third, "court")
	w.shares(s, a)
	if n := len(w.of(s, event.TypeRelease)); n != 1 {
		t.Errorf("%d releases are in the log", n)
	}
	w.revoke(warrant, event.ScopeAll, "enforcer")
	w.wantDead(s, a, "revocation")
}

// TestSuspensionHanded: a suspension binds the gate that it is handed to while the log suppresses it. Once the
// log has it and it is resumed, the gate opens, and handing it in again changes nothing.
func TestSuspensionHanded(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	warrant := w.warrant(alice)
	a := w.access(warrant, accessTerms{}, w.escrow(alice))
	w.block()
	env := w.revocation(warrant, event.ScopeSuspended, "court")
	check(t, w.hand(s, env))
	w.wantHeld(s, 1)
	w.wantDead(s, a, "suspended")
	s.stop()
	w.open(s)
	w.wantHeld(s, 1)
	w.wantDead(s, a, "suspended")
	w.LogServer.Between(nil)
	suspension := w.submit(env, nil) // the gate may have logged it: this tells where
	w.wantHeld(s, 0)
	w.wantDead(s, a, "suspended")
	w.resume(suspension, "court")
	check(t, w.hand(s, env))
	w.shares(s, a)
	check(t, w.hand(s, env))
	w.wantHeld(s, 0)
	w.shares(s, a)

	// What resumes a warrant counts only once the log has it.
	again := w.revoke(warrant, event.ScopeSuspended, "court")
	var no *refused
	if err := w.hand(s, w.resumption(again, "court")); !errors.As(err, &no) || no.code != gate.CodeForm || !strings.Contains(no.detail, "only in the log") {
		t.Errorf("a resumption is handed in: %v", err)
	}
	w.wantDead(s, a, "suspended")
}

// TestHeldTogether: a gate holds a suspension and a revocation of one warrant by one authority, and each binds
// it: the log can't release the warrant by showing one of them.
func TestHeldTogether(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	warrant := w.warrant(alice)
	a := w.access(warrant, accessTerms{}, w.escrow(alice))
	check(t, s.Running.Sync(t.Context()))
	w.LogServer.Between(func(rw http.ResponseWriter, r *http.Request, h http.Handler) { // the log takes nothing from gates
		if r.Method == http.MethodPost && r.UserAgent() == "vasistas-gate" {
			http.Error(rw, "no", http.StatusServiceUnavailable)
			return
		}
		h.ServeHTTP(rw, r)
	})
	env := w.revocation(warrant, event.ScopeSuspended, "court")
	check(t, w.hand(s, env))
	w.wantDead(s, a, "suspended")
	check(t, w.hand(s, w.revocation(warrant, event.ScopeAll, "court")))
	w.wantHeld(s, 2)
	w.wantDead(s, a, "revocation")
	var no *refused
	if err := w.hand(s, w.revocation(warrant, event.ScopeSuspended, "court")); !errors.As(err, &no) || no.code != gate.CodeBusy {
		t.Errorf("a second suspension is held: %v", err)
	}
	w.resume(w.submit(env, nil), "court")
	w.wantHeld(s, 1)
	w.wantDead(s, a, "revocation")
	s.stop()
	w.open(s)
	w.wantHeld(s, 1)
	w.wantDead(s, a, "revocation")
}

// TestHeldCategories: an authority can hand in revocations of many sets of categories, within its bounds, and
// they bind in those categories only.
func TestHeldCategories(t *testing.T) {
	all := []string{"content", "d1", "d2", "d3", "d4", "d5", "d6"}
	w := prepare(t, 1)
	w.start(1, func(ch *event.Charter) {
		w.Forms(ch)
		ch.Profile.Categories = all
		ch.Profile.Instruments = ch.Profile.Instruments[:1]
	})
	w.runAll()
	s := w.gates[0]
	warrant := w.order(func(b *event.Warrant) { b.Categories = all }, []string{"court"}, alice)
	content := w.access(warrant, accessTerms{data: all[:1]}, w.escrow(alice))
	other := w.access(warrant, accessTerms{data: all[:2]}, w.escrow(alice))
	check(t, s.Running.Sync(t.Context()))
	w.capture(event.TypeRevocation)
	hand := func(set int, by string) error {
		var list []string
		for i, c := range all[1:] {
			if set>>i&1 == 1 {
				list = append(list, c)
			}
		}
		return w.hand(s, w.revocation(warrant, event.ScopeCategories, by, list...))
	}
	for set := 1; set <= 32; set++ {
		check(t, hand(set, "court"))
	}
	var no *refused
	if err := hand(33, "court"); !errors.As(err, &no) || no.code != gate.CodeBusy {
		t.Errorf("the gate holds too much: %v", err)
	}
	check(t, hand(33, "enforcer"))
	w.wantHeld(s, 33)
	w.wantDead(s, other, "category")
	w.shares(s, content)
}

// TestRevokedInPart: a revocation in one category of data ends the accesses to it, and no others.
func TestRevokedInPart(t *testing.T) {
	w := prepare(t, 1)
	w.start(1, w.Forms)
	w.runAll()
	s := w.gates[0]
	warrant := w.order(func(b *event.Warrant) { b.Instrument, b.Categories = "order", []string{"content", "traffic"} }, []string{"court"}, alice)
	both := w.access(warrant, accessTerms{}, w.escrow(alice))
	content := w.access(warrant, accessTerms{data: []string{"content"}}, w.escrow(alice))
	traffic := w.access(warrant, accessTerms{data: []string{"traffic"}}, w.escrow(alice))
	w.shares(s, content)
	w.revoke(warrant, event.ScopeCategories, "court", "content")
	w.wantDead(s, both, "category")
	w.wantDead(s, content, "category") // though it was answered
	w.refusedInLog(s, "revoked")
	w.shares(s, traffic)
	w.revoke(warrant, event.ScopeCategories, "enforcer", "content", "traffic")
	w.wantDead(s, traffic, "category")
}

// TestResponded: a provider's response ends no access that the log has, and the log takes no later one.
func TestResponded(t *testing.T) {
	w := prepare(t, 1)
	w.start(1, w.Forms)
	w.runAll()
	s := w.gates[0]
	respond := func(warrant *logged, outcome event.Outcome, categories ...string) {
		t.Helper()
		w.submit(w.sign(&event.Response{Warrant: warrant.Reference, Outcome: outcome, Ground: "data-not-held", Categories: categories}, "messenger"), nil)
	}
	warrant := w.order(func(b *event.Warrant) { b.Instrument, b.Categories = "order", []string{"content", "traffic"} }, []string{"court"}, alice)
	a := w.access(warrant, accessTerms{}, w.escrow(alice))
	b := w.access(warrant, accessTerms{}, w.escrow(alice))
	respond(warrant, event.Partial, "content")
	w.shares(s, a)
	w.access(warrant, accessTerms{refused: "warrant-live/in-part"}, w.escrow(alice))
	w.shares(s, w.access(warrant, accessTerms{data: []string{"traffic"}}, w.escrow(alice)))
	respond(warrant, event.Refused)
	w.access(warrant, accessTerms{data: []string{"traffic"}, refused: "warrant-live/response"}, w.escrow(alice))
	w.refresh(b.logged)
	w.shares(s, b)
	w.shares(s, a)
}

// TestTwoAuthorities: either of the two authorities that signed a warrant ends it, and so does a charter that
// voids the key of one.
func TestTwoAuthorities(t *testing.T) {
	w := prepare(t, 1)
	w.start(1, w.Forms)
	w.runAll()
	s := w.gates[0]
	var list []*asked
	for range 4 {
		warrant := w.order(func(b *event.Warrant) { b.Instrument = "order" }, []string{"prosecutor", "court"}, alice)
		list = append(list, w.access(warrant, accessTerms{}, w.escrow(alice)))
	}
	w.shares(s, list[3])
	w.revoke(list[0].warrant, event.ScopeAll, "court") // validated it
	w.wantDead(s, list[0], "revocation")
	suspension := w.revoke(list[1].warrant, event.ScopeSuspended, "prosecutor") // issued it
	w.wantDead(s, list[1], "suspended")
	w.logRefuses(&event.Submission{Envelope: w.resumption(suspension, "court")}, "role/standing")
	w.resume(suspension, "prosecutor")
	w.shares(s, list[1])

	w.amend(func(ch *event.Charter) {
		ch.Void = []event.Void{{Key: w.KeyID("court"), From: list[2].warrant.Index}}
	})
	w.wantCode(s, list[2].request(), gate.CodeTrust)
	w.confirm(s)
	w.wantDead(s, list[2], "amendment")
	w.wantDead(s, list[3], "amendment")
	w.refresh(list[1].logged)
	w.refresh(list[1].warrant)
	w.shares(s, list[1])
}

// TestGrantedEmergency: an emergency access that an authority has granted ends with that decision.
func TestGrantedEmergency(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	a := w.access(nil, accessTerms{emergency: true}, w.escrow(alice))
	granted := w.order(func(b *event.Warrant) { b.Validates = &a.Reference }, []string{"court"}, alice)
	suspension := w.revoke(granted, event.ScopeSuspended, "court")
	w.wantDead(s, a, "suspended")
	w.resume(suspension, "court")
	w.shares(s, a)
	w.block()
	check(t, w.hand(s, w.revocation(granted, event.ScopeAll, "court")))
	w.wantDead(s, a, "revocation")
	w.LogServer.Between(nil)
	w.wantHeld(s, 0)
	w.wantDead(s, a, "revocation")
}

// TestSuspensionRace: a suspension that is logged between the release's signature and its logging stops the
// opening. That release counts in the chain and opens nothing; after the resumption the gate signs another.
func TestSuspensionRace(t *testing.T) {
	for _, resumed := range []bool{false, true} {
		t.Run(fmt.Sprintf("resumed=%t", resumed), func(t *testing.T) {
			w := newTestbed(t, 1, 1, nil)
			w.runAll()
			s := w.gates[0]
			warrant := w.warrant(alice)
			a := w.access(warrant, accessTerms{}, w.escrow(alice))
			var suspension *logged
			var first sync.Once // the gate may post its release twice at once: both wait
			w.LogServer.Between(func(rw http.ResponseWriter, r *http.Request, h http.Handler) {
				if r.Method == http.MethodPost && r.UserAgent() == "vasistas-gate" {
					first.Do(func() {
						suspension = w.revoke(warrant, event.ScopeSuspended, "court")
						if resumed {
							w.resume(suspension, "court")
						}
					})
				}
				h.ServeHTTP(rw, r)
			})
			releases := 1
			if !resumed {
				releases = 2
				w.wantDead(s, a, "suspended", escrow.ForNotice)
				w.resume(suspension, "court")
			}
			shares, _ := w.shares(s, a)
			if w.decrypt(a.files[0], shares...) != a.files[0].plain {
				t.Error("another plaintext")
			}
			w.shares(s, a)
			if n := len(w.chain(s)); n != releases {
				t.Errorf("%d releases are in the log; want %d", n, releases)
			}
			w.shares(s, w.access(warrant, accessTerms{}, w.escrow(alice)))
			w.chain(s)
			s.stop() // the journal has two releases of one access
			w.run(s)
			w.refresh(a.logged)
			w.refresh(warrant)
			w.shares(s, a)
		})
	}
}

// TestSuspensionRaceWhileWaiting: the same, if the suspension ends before the gate looks again.
func TestSuspensionRaceWhileWaiting(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	warrant := w.warrant(alice)
	a := w.access(warrant, accessTerms{}, w.escrow(alice))
	var first sync.Once
	w.LogServer.Between(func(rw http.ResponseWriter, r *http.Request, h http.Handler) {
		if r.Method != http.MethodPost || r.UserAgent() != "vasistas-gate" {
			h.ServeHTTP(rw, r)
			return
		}
		first.Do(func() {
			suspension := w.revoke(warrant, event.ScopeSuspended, "court")
			h.ServeHTTP(&sink{header: make(http.Header)}, r) // with the release
			w.resume(suspension, "court")
		})
		http.Error(rw, "later", http.StatusServiceUnavailable)
	})
	t.Log(w.wantCode(s, a.request(), gate.CodeEffect))
	untouched(t, s, escrow.ForNotice)
	w.LogServer.Between(nil)
	w.shares(s, a)
	if n := len(w.chain(s)); n != 2 {
		t.Errorf("%d releases are in the log", n)
	}
}
