// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"testing"

	"github.com/vasistas/vasistas/log/event"
)

// An auditor that opens and closes its finding for ever, and states findings about nothing,
// grows no list, and bars no other auditor and no gate.
func TestFindingsWithoutEndAreBounded(t *testing.T) {
	w := newWorld(t, func(c *event.Charter) { c.Profile.Budget.Events = 20 })
	access := w.Access(w.Warrant(w.Now+170*day), w.Now+170*day)
	b := w.foreign(access)
	w.closeBreach("release-chain", b.Index, "a1", "a2")
	stands, ids, listed := 0, 0, 0
	for d := range 80 {
		for range 8 {
			w.Finding("a1", "release-chain", event.FindingOpen, 0, w.l.Size()-1)
			w.Finding("a1", "form", event.FindingOpen, 0, w.l.Size()-1)
			w.Finding("a1", "release-chain", event.FindingClosed, 0, w.l.Size()-1)
		}
		if w.bars("") != 0 || w.bars("a2") != 0 {
			t.Fatalf("day %d: %v, and of another auditor %v", d, w.l.Barred("", at(w.Now))[0].Breach, w.bars("a2"))
		}
		w.Now += day
		w.anchor()
		for _, b := range w.l.breaches {
			stands = max(stands, len(b.stands))
		}
		_, n := w.l.Open()
		ids, listed = max(ids, n), max(listed, len(w.l.recent.past)+len(w.l.recent.heads)+len(w.l.spent)+len(w.l.unanchored))
	}
	if stands > 50 || ids > 2000 || listed > 50 || len(w.l.breaches) > 1 {
		t.Errorf("%d stands, %d ids, %d others, %d breaches", stands, ids, listed, len(w.l.breaches))
	}
	if _, err := restored(w.l); err != nil {
		t.Error(err)
	}
}
