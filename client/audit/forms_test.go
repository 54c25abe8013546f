// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package audit_test

import (
	"maps"
	"testing"

	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/event"
)

// A log of orders that two authorities sign, of answers, suspensions and revocations in part is
// clean, and each type of event is counted.
func TestForms(t *testing.T) {
	w := newLog(t)
	w.Amend(w.Forms)
	body := w.WarrantBody()
	body.Instrument, body.Categories = "order", []string{"content", "traffic"}
	e := w.Event(body)
	w.Seal(e, w.Now+people.Day)
	warrant := w.LogEvent(e, "court", "prosecutor")
	w.Resume(w.Revoke(warrant, event.ScopeSuspended))
	w.Access(warrant, w.Now+people.Day)
	w.Respond(warrant, event.Partial, "traffic")
	w.Revoke(warrant, event.ScopeCategories, "content")
	w.Revoke(warrant, event.ScopeAll)
	w.Publish("w1", "w3", "w4")
	r := run(t, w.Dir, w.ParsePolicy(3, "w1", "w2", "w3", "w4"), audit.Config{})
	wants(t, r, audit.Clean)
	want := map[string]uint64{"charter": 2, "warrant": 1, "revocation": 4, "access": 1, "response": 1}
	if !maps.Equal(r.Events, want) {
		t.Errorf("events: %v, want %v", r.Events, want)
	}
}
