// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"strings"
	"testing"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// amend logs the next version of the charter.
func (w *world) amend(edit func(*event.Charter)) {
	w.t.Helper()
	next := *w.charter.env.Event.Body.(*event.Charter)
	ref := w.charter.Reference
	next.Version, next.Prev = next.Version+1, &ref
	edit(&next)
	w.charter = w.submit(w.sign(&next, "founder"), nil)
}

// amendWitnesses puts others in the place of all witnesses.
func (w *world) amendWitnesses(list []*witnessServer) {
	w.t.Helper()
	next := *w.charter.env.Event.Body.(*event.Charter)
	ref := w.charter.Reference
	next.Version, next.Prev, next.WitnessPolicy = next.Version+1, &ref, policyText(2, true, list...)
	env := w.sign(&next, "founder")
	var err error
	w.policy, err = tlog.ParsePolicy([]byte("log " + w.logKeys[0].Verifier().String() + "\n" + next.WitnessPolicy))
	check(w.t, err)
	w.client, err = client.New(client.Config{URL: w.web.URL, Policy: w.policy})
	check(w.t, err)
	w.charter = w.submit(env, nil)
}

// confirm confirms changes while the gate doesn't run.
func (w *world) confirm(s *gateServer, names ...string) error {
	w.t.Helper()
	g, err := gate.Open(s.cfg)
	check(w.t, err)
	defer func() { check(w.t, g.Close()) }()
	return g.Confirm(w.t.Context(), names)
}

func (w *world) names(s *gateServer) []string {
	w.t.Helper()
	st, err := s.g.Status(w.t.Context())
	check(w.t, err)
	var out []string
	for _, c := range st.Pending {
		if len(out) == 0 || out[len(out)-1] != c.Name {
			out = append(out, c.Name)
		}
	}
	return out
}

// TestConfirm: an amendment that changes no trust is followed; one that
// changes the witnesses is not, until each change is confirmed by name.
func TestConfirm(t *testing.T) {
	w := newWorld(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	w.amend(func(ch *event.Charter) { ch.Profile.Stale = 1800 })
	w.shares(s, w.access(w.warrant(alice), accessTerms{}, w.escrow(alice)))

	w.amend(func(ch *event.Charter) { ch.WitnessPolicy = policyText(2, false, w.witnesses[:2]...) })
	a := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	s.key.forget()
	t.Log(w.wantCode(s, a.request(), gate.CodeTrust))
	untouched(t, s)
	names := w.names(s)
	t.Log(strings.Join(names, ", "))
	s.stop()
	w.open(s) // it is not forgotten
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
	if err := s.g.Confirm(t.Context(), names); err == nil {
		t.Fatal("confirmed twice")
	}
}

// TestFar: a gate that was away while the witnesses changed altogether can read up to
// the head, which meets the new policy only, and follows once that is confirmed.
func TestFar(t *testing.T) {
	w := newWorld(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	s.stop()
	fresh := []*witnessServer{w.newWitness("w4"), w.newWitness("w5"), w.newWitness("w6")}
	w.amendWitnesses(fresh)
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
	w := newWorld(t, 2, 3, nil)
	w.runAll()
	f := w.escrow(alice)
	one := w.access(w.warrant(alice), accessTerms{}, f)
	w.shares(w.gates[0], one)
	newer := w.newGate("c4")
	w.amend(func(ch *event.Charter) {
		parties := []event.Party{newer.party()}
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
	w.create(newer)
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
// to others. A gate believes no head of the new key until its operator names that, and
// accepts none until each change is confirmed.
func TestRecovery(t *testing.T) {
	w := newWorld(t, 1, 1, nil)
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
	s.cfg.LogKeys = append(s.cfg.LogKeys, key.Verifier())
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
