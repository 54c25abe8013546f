// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/durable/durabletest"
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

// pending returns the hash of the last amendment that the gate's operator must confirm.
func (w *testbed) pending(s *gateServer) string {
	w.t.Helper()
	st, err := s.Running.Status(w.t.Context())
	check(w.t, err)
	if len(st.Pending) == 0 {
		w.t.Fatal("nothing is to be confirmed")
	}
	for _, a := range st.Pending {
		for _, c := range a.Changes {
			w.t.Logf("version %d, %s: %s [%s] %v", a.Version, a.Hash[:8], c.Text, c.Direction, c.Confirm)
		}
	}
	return st.Pending[len(st.Pending)-1].Hash
}

// confirm confirms the last amendment while the gate runs, and waits until the gate is ready.
func (w *testbed) confirm(s *gateServer) {
	w.t.Helper()
	_, err := gate.Confirm(s.Config.Dir, w.pending(s))
	check(w.t, err)
	eventually(w.t, s.Running.Ready)
}

// TestConfirm: a gate follows an amendment that weakens nothing. It uses no key under one that
// changes the witnesses until its operator has confirmed it by its hash, without a restart.
func TestConfirm(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	w.amend(func(ch *event.Charter) {
		ch.Profile.Stale, ch.Profile.Offences = 2400, append(ch.Profile.Offences, "theft")
	})
	w.shares(s, w.access(w.warrant(alice), accessTerms{}, w.escrow(alice)))

	w.amend(func(ch *event.Charter) { ch.WitnessPolicy = world.WitnessPolicy(2, false, w.Witnesses[:2]...) })
	a := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	s.key.forget()
	t.Log(w.wantCode(s, a.request(), gate.CodeTrust))
	untouched(t, s)
	s.stop()
	w.open(s) // it remembers
	w.wantCode(s, a.request(), gate.CodeTrust)
	untouched(t, s)
	hash := w.pending(s)
	for _, no := range []string{"", hash[1:], strings.ToUpper(hash), "witness w1", "1:" + hash} {
		if _, err := gate.Confirm(s.Config.Dir, no); err == nil {
			t.Errorf("%q is confirmed", no)
		}
	}
	if _, err := gate.Confirm(t.TempDir(), hash); err == nil {
		t.Error("a directory without a gate takes a confirmation")
	}
	unknown := strings.Repeat("0", 64)
	if list, err := gate.Confirm(s.Config.Dir, unknown); !errors.Is(err, gate.ErrNotPending) || len(list) != 1 || list[0].Hash != hash {
		t.Errorf("an unknown hash: %v, %v", list, err)
	}
	w.wantCode(s, a.request(), gate.CodeTrust)
	untouched(t, s)
	w.confirmWhileStarting(s, hash)
	if list, err := gate.Confirm(s.Config.Dir, unknown); !errors.Is(err, gate.ErrNotPending) || len(list) > 0 {
		t.Errorf("nothing waits, and the gate still lists %v, %v", list, err)
	}
	w.shares(s, a)
	s.stop()
	w.run(s) // it remembers that, too
	w.shares(s, a)
}

// confirmWhileStarting confirms an amendment while the gate starts: neither hinders the other.
func (w *testbed) confirmWhileStarting(s *gateServer, hash string) {
	w.t.Helper()
	s.stop()
	started := false
	remove := durabletest.Inject(w.t, s.Config.Dir, func(op durable.Op, path string) error {
		if filepath.Base(path) == "confirmed" && op == (durable.Op{Step: durable.Rename}) && !started {
			started = true
			w.open(s)
		}
		return nil
	})
	_, err := gate.Confirm(s.Config.Dir, hash)
	check(w.t, err)
	remove()
	if !started {
		w.t.Fatal("the gate did not start")
	}
	eventually(w.t, s.Running.Ready)
}

// TestConfirmBindsContent: what the operator has read is what is confirmed. An amendment that is
// logged after the operator has read the one before is not confirmed with it.
func TestConfirmBindsContent(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	w.amend(func(ch *event.Charter) { ch.WitnessPolicy = world.WitnessPolicy(2, false, w.Witnesses[:2]...) })
	check(t, s.Running.Sync(t.Context()))
	hash := w.pending(s)
	w.amend(func(ch *event.Charter) { ch.WitnessPolicy = world.WitnessPolicy(2, false, w.Witnesses[1:]...) })
	_, err := gate.Confirm(s.Config.Dir, hash)
	check(t, err)
	a := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	s.key.forget()
	w.wantCode(s, a.request(), gate.CodeTrust)
	untouched(t, s)
	if again := w.pending(s); again == hash {
		t.Fatal("the other amendment has the same hash")
	}
	w.confirm(s)
	w.shares(s, a)
}

// TestConfirmDemands: a gate does not follow by itself what weakens demands or names authorities
// and duty keys; nor does it follow an amendment that a later one takes back, since entries between
// the two may rely on it.
func TestConfirmDemands(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	for name, edit := range map[string]func(*event.Charter){
		"bars":  func(ch *event.Charter) { ch.Profile.Bars = nil },
		"stale": func(ch *event.Charter) { ch.Profile.Stale += 600 },
		"judge": func(ch *event.Charter) {
			ch.Party(event.RoleAuthority, "court").Above = []string{"other"}
			ch.Parties = append(ch.Parties, w.People.Party(event.RoleAuthority, "other"))
		},
		"limits": func(ch *event.Charter) { e := *ch.Profile.Emergency; e.Accounts++; ch.Profile.Emergency = &e },
		"void":   func(ch *event.Charter) { ch.Void = []event.Void{{Key: w.Signer("court").KeyID(), From: 1 << 40}} },
	} {
		before := *w.charter.env.Event.Body.(*event.Charter)
		before.Parties = slices.Clone(before.Parties)
		w.amend(edit)
		w.amend(func(ch *event.Charter) {
			ch.Profile, ch.Parties, ch.Void = before.Profile, before.Parties, before.Void
		})
		a := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
		s.key.forget()
		t.Log(name, w.wantCode(s, a.request(), gate.CodeTrust))
		untouched(t, s)
		w.confirm(s)
		w.shares(s, a)
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
	w.confirm(s)
	w.shares(s, a)
}

// TestReplace: an amendment replaces a custodian. The other gates open nothing
// until they have confirmed it; the new one opens what is escrowed to it, and
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
	for _, s := range w.gates[:2] {
		check(t, s.Running.Sync(t.Context()))
		w.confirm(s)
	}
	// The new custodian follows from the first charter, and so confirms it, too.
	check(t, newer.Create())
	w.open(newer)
	w.wantCode(newer, two.request(), gate.CodeTrust)
	w.confirm(newer)

	a, _ := w.shares(w.gates[0], two)
	b, _ := w.shares(newer, two)
	if w.decrypt(g, a[0], b[0]) != g.plain {
		t.Fatal("another plaintext")
	}
	old.key.forget()
	t.Log(w.wantCode(old, two.request(), gate.CodeTrust))
	_, err := gate.Confirm(old.Config.Dir, w.pending(old))
	check(t, err)
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
	t.Log(w.wantCode(s, a.request(), gate.CodeTrust))
	untouched(t, s)
	w.confirm(s)
	w.shares(s, a)
}
