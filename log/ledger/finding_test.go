// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"errors"
	"slices"
	"testing"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// closeBreach logs closed findings about one entry.
func (w *world) closeBreach(rule string, index uint64, by ...string) {
	for _, a := range by {
		w.Finding(a, rule, event.FindingClosed, index, index)
	}
}

func (w *world) bars(auditor string) int { return len(w.l.Barred(auditor, at(w.Now))) }

// foreign logs a breach by c4: a release for another group.
func (w *world) foreign(access *logged) *logged {
	e, _ := w.release(access, "c4")
	return w.LogEvent(e, "c4")
}

// A custodian that breaks the rules each day bars the others once: its key is set
// aside, and it owes nothing, until an amendment names a new key.
func TestBreachBarsAllOnce(t *testing.T) {
	w := newWorld(t, nil)
	access := w.Access(w.Warrant(w.Now+20*day), w.Now+20*day)
	w.LogEvent(w.Event(&event.Heartbeat{From: at(1), To: at(2), Seq: 5, Prev: hash("y")}), "c4") // states missing releases
	first := w.foreign(access)
	if w.bars("") != 1 || w.bars("a1") != 1 {
		t.Fatalf("bars: %v", w.l.Barred("", at(w.Now)))
	}
	w.closeBreach("release-chain", first.Index, "a1", "a2")
	for range 100 {
		w.Now += hour
		w.foreign(access)
		if len(w.violations) != 1 || w.violations[0].Way != roleAside {
			t.Fatalf("%v", w.violations)
		}
		w.anchor()
	}
	if w.bars("") != 0 || w.bars("a1") != 0 {
		t.Errorf("the key bars again: %v", w.l.Barred("", at(w.Now))[0].Breach)
	}
	for _, o := range w.l.Overdue(distant) {
		if o.Custodian == "c4" {
			t.Errorf("it owes %s", o.Rule)
		}
	}
	if c, _ := w.l.Chain(keyID("c4")); !c.Ended {
		t.Error("its chain goes on")
	}
	w.amend(nil) // names the same key again
	w.LogEvent(w.Event(&event.Heartbeat{From: at(1), To: at(2)}), "c4")
	if len(w.violations) != 1 || w.violations[0].Way != roleAside {
		t.Errorf("under the same key: %v", w.violations)
	}
	w.amend(func(c *event.Charter) { c.Party(event.RoleCustodian, "c4").Keys = keysOf("c1new") })
	w.LogEvent(w.Event(&event.Heartbeat{From: at(1), To: at(2)}), "c1new")
	if len(w.violations) > 0 {
		t.Error(w.violations[0])
	}
}

// A breach stays closed under a later policy, until the key of an auditor that closed
// it is voided; then its author is not set aside either.
func TestClosedStaysClosed(t *testing.T) {
	w := newWorld(t, func(c *event.Charter) { c.AuditPolicy = parties.Policy(1, "a1", "a2") })
	access := w.Access(nil, w.Now+20*day)
	first := w.foreign(access)
	w.closeBreach("release-chain", first.Index, "a1")
	w.amend(func(c *event.Charter) { c.AuditPolicy = parties.Policy(2, "a1", "a2") })
	if w.bars("") != 0 {
		t.Error("a stricter policy opens it again")
	}
	w.Finding("a2", "release-chain", event.FindingOpen, first.Index, first.Index)
	if w.bars("") != 0 || w.bars("a1") != 0 || w.bars("a2") != 1 {
		t.Errorf("an open finding bars gates by %d, a1 by %d, its author by %d", w.bars(""), w.bars("a1"), w.bars("a2"))
	}
	w.amend(func(c *event.Charter) { c.Void = []event.Void{{From: first.Index, Key: keyID("a1")}} })
	if w.bars("") != 1 {
		t.Error("closed by a voided key")
	}
	w.Heartbeat("c4")
	if len(w.violations) > 0 {
		t.Errorf("set aside by a voided key: %v", w.violations[0])
	}
	if _, err := restored(w.l); err != nil {
		t.Error(err)
	}
}

// A new auditor need not close what was logged before the charter that names it.
func TestNewAuditorIsNotBarredByTheOld(t *testing.T) {
	w := newWorld(t, func(c *event.Charter) {
		c.Parties = slices.DeleteFunc(c.Parties, func(p event.Party) bool { return p.Name == "a2" })
		c.AuditPolicy = parties.Policy(1, "a1")
	})
	access := w.Access(nil, w.Now+20*day)
	w.LogEvent(w.Event(w.WarrantBody()), "messenger")
	w.amend(func(c *event.Charter) {
		c.Parties = append(c.Parties, *testCharter().Party(event.RoleAuditor, "a2"))
	})
	if w.bars("a1") != 1 || w.bars("a2") != 0 {
		t.Errorf("bars: %d, %d", w.bars("a1"), w.bars("a2"))
	}
	w.foreign(access)
	if w.bars("a2") != 1 {
		t.Error("a later breach does not bar it")
	}
}

// The cosignatures of an auditor that is set aside count at no larger size.
func TestSetAsideAuditorDoesNotVouch(t *testing.T) {
	w := newWorld(t, nil)
	before := w.l.Size()
	f := w.LogEvent(w.Event(&event.Finding{First: 0, Last: 99, Rule: "form", State: event.FindingOpen, Digest: hash("x")}), "a1")
	w.closeBreach("reference", f.Index, "a1", "a2")
	audited := func(size uint64) error {
		_, err := w.l.VerifyAudit(w.l.Charter(), w.checkpoint(size, w.Now, "a1", "a2"))
		return err
	}
	if err := audited(before); err != nil {
		t.Errorf("before: %v", err)
	}
	if err := audited(w.l.Size()); !errors.Is(err, tlog.ErrNoQuorum) {
		t.Errorf("after: %v", err)
	}
	p := w.l.Charter().Party(event.RoleAuditor, "a1")
	if w.l.SetAside(p, w.l.Size()-1) || !w.l.SetAside(p, w.l.Size()) {
		t.Error("from the entry that closed the breach on")
	}
}

// The log may have withheld a heartbeat, so its custodian's key is not set aside once
// auditors have closed the breach.
func TestMissingHeartbeatSetsNoKeyAside(t *testing.T) {
	w := newWorld(t, nil)
	missing := func(b Bar) bool {
		return b.Breach != nil && b.Breach.Rule == unfulfilled.Rule && b.Breach.By == orLog("custodian c1")
	}
	index := -1
	for n := 0; index < 0; n++ {
		if n > 100 {
			t.Fatal("no heartbeat lapses")
		}
		w.Now += 20 * day
		w.anchor()
		if i := slices.IndexFunc(w.l.Barred("", at(w.Now)), missing); i >= 0 {
			index = int(w.l.Barred("", at(w.Now))[i].Breach.Index)
		}
	}
	w.closeBreach(unfulfilled.Rule, uint64(index), "a1", "a2")
	if slices.ContainsFunc(w.l.Barred("", at(w.Now)), missing) {
		t.Error("the breach is open")
	}
	w.Heartbeat("c1")
	if len(w.violations) > 0 || w.l.SetAside(w.l.Charter().Party(event.RoleCustodian, "c1"), w.l.Size()) {
		t.Errorf("the key is set aside: %v", w.violations)
	}
}

// A late heartbeat of two custodians bars their own group, and no other.
func TestLateHeartbeatsBarOneGroup(t *testing.T) {
	w := newWorld(t, func(c *event.Charter) {
		c.Profile.Bars = append(c.Profile.Bars, "heartbeat")
		slices.Sort(c.Profile.Bars)
	})
	w.Now += 59 * day
	w.Heartbeat("c3")
	w.Heartbeat("c4")
	w.anchor()
	w.Now += 3 * day
	w.anchor()
	gate := func(custodian, group string) int { return len(w.l.BarredGate(custodian, group, at(w.Now))) }
	if gate("c3", "main") != 2 || gate("c4", "side") != 0 || w.bars("a1") != 0 || w.bars("") != 0 {
		t.Errorf("bars: %d in main, %d in side, %d of auditors, %d of all gates", gate("c3", "main"), gate("c4", "side"), w.bars("a1"), w.bars(""))
	}
	w.Heartbeat("c2")
	if gate("c3", "main") != 0 || gate("c1", "main") != 1 {
		t.Errorf("bars: %d of c3, %d of c1", gate("c3", "main"), gate("c1", "main"))
	}
}
