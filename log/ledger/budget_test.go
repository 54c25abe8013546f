// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"testing"

	"github.com/vasistas/vasistas/log/event"
)

// A custodian that signs valid events without limit is stopped at admission; if the
// log takes them all the same, the log answers, and memory stays bounded.
func TestEventsWithoutLimitAreTheLogsBreach(t *testing.T) {
	w := newWorld(t, func(c *event.Charter) { c.Profile.Budget.Events = 10 })
	beat := func(by string) *event.Envelope {
		w.Now++
		return w.Sign(w.Event(&event.Heartbeat{From: at(w.Now - day), To: at(w.Now)}), by)
	}
	for range 10 {
		w.LogEnvelope(beat("c4"))
		if len(w.violations) > 0 {
			t.Fatal(w.violations[0])
		}
	}
	v, err := w.l.Admit(w.entry(beat("c4")))
	if err != nil || v == nil || v.Way != budgetOver || v.By != Log {
		t.Fatalf("admission: %v, %v", v, err)
	}
	if v, err := w.l.Admit(w.entry(beat("c3"))); v != nil || err != nil {
		t.Errorf("another custodian: %v, %v", v, err)
	}
	_, before := w.l.Open()
	for range 5 * maxListed {
		w.LogEnvelope(beat("c4"))
	}
	if _, ids := w.l.Open(); ids != before || len(w.l.breaches) != maxListed || len(w.l.spent) != 1 {
		t.Errorf("%d more ids, %d breaches, %d budgets", ids-before, len(w.l.breaches), len(w.l.spent))
	}
	access := w.Access(w.Warrant(w.Now+day), w.Now+day)
	w.answer(access, "c1")
	if c, _ := w.l.Chain(keyID("c1")); c.Seq != 1 {
		t.Errorf("another custodian's release: %v", w.violations)
	}
	w.Now += day
	w.anchor()
	w.LogEnvelope(beat("c4"))
	if len(w.violations) > 0 {
		t.Errorf("after the interval: %v", w.violations[0])
	}
	if l, err := restored(w.l); err != nil || l.spent[l.keyNum[keyID("c4")]] != 1 {
		t.Errorf("restored: %v", err)
	}
}

// A custodian and an auditor that closes each of its breaches at once don't grow the
// list of breaches.
func TestBreachListIsBounded(t *testing.T) {
	w := newWorld(t, nil)
	access := w.Access(w.Warrant(w.Now+day), w.Now+day)
	for range 3 * maxListed {
		b := w.foreign(access)
		w.closeBreach("release-chain", b.Index, "a1")
	}
	if n := len(w.l.breaches); n != maxListed {
		t.Errorf("%d breaches", n)
	}
	if w.bars("a1") != 1 || w.bars("") != maxListed {
		t.Errorf("bars: %d, %d", w.bars("a1"), w.bars(""))
	}
}
