// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"strings"
	"testing"

	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/internal/world"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// amend logs the next version of the charter.
func (w *testbed) amend(edit func(*event.Charter)) {
	w.t.Helper()
	next := w.nextCharter()
	edit(next)
	w.charter = w.submit(w.sign(next, "founder"), nil)
}

// nextCharter returns the charter in force as the next version.
func (w *testbed) nextCharter() *event.Charter {
	next := *w.charter.env.Event.Body.(*event.Charter)
	ref := w.charter.Reference
	next.Version, next.Prev = next.Version+1, &ref
	return &next
}

// amendWitnesses replaces all witnesses. The client asks for the new ones, too, since the head
// with the amendment meets their policy alone.
func (w *testbed) amendWitnesses(list []*world.Witness) {
	w.t.Helper()
	w.connect(list)
	w.amend(func(ch *event.Charter) { ch.WitnessPolicy = world.WitnessPolicy(2, true, list...) })
}

// confirm confirms changes while the gate doesn't run.
func (w *testbed) confirm(s *gateServer, names ...string) error {
	w.t.Helper()
	g, err := gate.Open(s.Config)
	check(w.t, err)
	defer func() { check(w.t, g.Close()) }()
	return g.Confirm(w.t.Context(), names)
}

func (w *testbed) names(s *gateServer) []string {
	w.t.Helper()
	st, err := s.Running.Status(w.t.Context())
	check(w.t, err)
	var out []string
	for _, c := range st.Pending {
		if len(out) == 0 || out[len(out)-1] != c.Name {
			out = append(out, c.Name)
		}
	}
	return out
}

// TestConfirm: a gate follows an amendment that changes no trust. It follows one that changes the
// witnesses once each change is confirmed by name.
func TestConfirm(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	w.amend(func(ch *event.Charter) { ch.Profile.Stale = 1800 })
	w.shares(s, w.access(w.warrant(alice), accessTerms{}, w.escrow(alice)))

	w.amend(func(ch *event.Charter) { ch.WitnessPolicy = world.WitnessPolicy(2, false, w.Witnesses[:2]...) })
	a := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	s.key.forget()
	t.Log(w.wantCode(s, a.request(), gate.CodeTrust))
	untouched(t, s)
	names := w.names(s)
	t.Log(strings.Join(names, ", "))
	s.stop()
	w.open(s) // it remembers
	w.wantCode(s, a.request(), gate.CodeTrust)
	untouched(t, s)
	s.stop()
	if err := w.confirm(s, names[1:]...); err == nil {
		t.Fatal("confirmed without all names")
	}
	if err := w.confirm(s, append(names, "witness other")...); err == nil {
		t.Fatal("confirmed with a name too many")
	}
	check(t, w.confirm(s, names...))
	w.run(s)
	w.shares(s, a)
	if err := s.Running.Confirm(t.Context(), names); err == nil {
		t.Fatal("confirmed twice")
	}
}

// TestFar: a gate that was away while the witnesses changed altogether can read up to
// the head, which meets the new policy only, and follows once that is confirmed.
func TestFar(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	s.stop()
	w.amendWitnesses(w.newWitnesses("w4", "w5", "w6"))
	a := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	w.open(s)
	t.Log(w.wantCode(s, a.request(), gate.CodeTrust))
	untouched(t, s)
	names := w.names(s)
	s.stop()
	check(t, w.confirm(s, names...))
	w.run(s)
	w.shares(s, a)
}

// TestReplace: an amendment replaces a custodian. The other gates open nothing of the
// group until they have confirmed it; the new one opens what is escrowed to it, and
// the old one nothing more.
func TestReplace(t *testing.T) {
	w := newTestbed(t, 2, 3, nil)
	w.runAll()
	f := w.escrow(alice)
	one := w.access(w.warrant(alice), accessTerms{}, f)
	w.shares(w.gates[0], one)
	newer := w.newGate("c4")
	w.amend(func(ch *event.Charter) {
		parties := []event.Party{newer.Party()}
		for _, p := range ch.Parties {
			if p.Name != "c3" {
				parties = append(parties, p)
			}
		}
		ch.Parties = parties
		ch.Groups = []event.Group{{ID: "main", Threshold: 2, Members: []string{"c1", "c2", "c4"}}}
	})
	old := w.gates[2]
	w.gates[2] = newer
	g := w.escrow(alice)
	two := w.access(w.warrant(alice), accessTerms{}, g)
	w.wantCode(w.gates[0], two.request(), gate.CodeTrust)
	t.Log(w.names(w.gates[0]))
	names := w.names(w.gates[0])
	for _, s := range w.gates[:2] {
		s.stop()
		check(t, w.confirm(s, names...))
		w.run(s)
	}
	// The new custodian follows from the first charter, and so confirms it, too.
	check(t, newer.Create())
	w.open(newer)
	w.wantCode(newer, two.request(), gate.CodeTrust)
	newer.stop()
	check(t, w.confirm(newer, names...))
	w.run(newer)

	a, _ := w.shares(w.gates[0], two)
	b, _ := w.shares(newer, two)
	if w.decrypt(g, a[0], b[0]) != g.plain {
		t.Fatal("another plaintext")
	}
	old.key.forget()
	t.Log(w.wantCode(old, two.request(), gate.CodeTrust))
	old.stop()
	check(t, w.confirm(old, names...))
	w.open(old)
	t.Log(w.wantCode(old, two.request(), gate.CodeGroup))
	untouched(t, old)
}

// TestRecovery: a log has lost its key and its witnesses, and its founders take it over
// to others. A gate believes no head of the new key until its operator names the key, and
// decides at none until each change is confirmed.
func TestRecovery(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	w.shares(s, w.access(w.warrant(alice), accessTerms{}, w.escrow(alice)))
	key, err := tlog.GenerateSigner(origin, tlog.Ed25519)
	check(t, err)
	w.recover(key)
	a := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	s.key.forget()
	t.Log(w.wantCode(s, a.request(), gate.CodeNotReady))
	untouched(t, s)
	s.stop()
	s.Config.LogKeys = append(s.Config.LogKeys, key.Verifier())
	w.open(s)
	t.Log(w.wantCode(s, a.request(), gate.CodeTrust))
	untouched(t, s)
	names := w.names(s)
	t.Log(strings.Join(names, ", "))
	s.stop()
	if err := w.confirm(s, names[1:]...); err == nil {
		t.Fatal("confirmed without all names")
	}
	check(t, w.confirm(s, names...))
	w.run(s)
	w.shares(s, a)
}
