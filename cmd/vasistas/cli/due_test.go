// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/internal/world/written"
)

// due runs the command, which must exit with a code, and returns its JSON.
func (w *scanWorld) due(code int, args ...string) *audit.Due {
	w.t.Helper()
	args = append([]string{"due", "--policy", w.policy, "--at", written.At(w.Now).Format(time.RFC3339), "--json", w.Dir}, args...)
	d := new(audit.Due)
	if err := json.Unmarshal([]byte(w.run(code, args)), d); err != nil {
		w.t.Fatal(err)
	}
	return d
}

// state returns the state of what an entry owes by a rule, "" if it owes nothing.
func state(d *audit.Due, rule string, index uint64) string {
	for _, item := range d.Items {
		if item.Rule == rule && item.Index == index {
			return item.State
		}
	}
	return ""
}

// An obligation goes from sealed to due, overdue and cured.
func TestDueStates(t *testing.T) {
	w := newScanWorld(t)
	warrant := w.Warrant(w.Now + 10*people.Day)
	at := warrant.Reference.Index
	publish := func() {
		w.Anchor(w.Checkpoint("w1", "w2", "w3"))
		w.Publish("w1", "w2", "w3")
	}
	publish()
	d := w.due(0)
	if d.Verdict != "nothing overdue" || state(d, "disclosure", at) != audit.DueSealed || state(d, "return", at) != audit.DueLater || d.Within != 7*86400 || d.Age == nil || *d.Age != 0 || d.MaxAge == 0 {
		t.Errorf("%+v", d)
	}
	if d := w.due(0, "--within", "30d"); state(d, "disclosure", at) != audit.DueSoon {
		t.Errorf("within 30 days: %+v", d)
	}
	later := written.At(w.Now + 20*people.Day).Format(time.RFC3339)
	if d := w.due(2, "--at", later); d.Verdict != "undecided" || len(d.Reasons) != 1 || state(d, "disclosure", at) != audit.DueSealed {
		t.Errorf("stale: %+v", d)
	}
	if d := w.due(0, "--max-age", "30d", "--at", later); *d.Age != 20*people.Day || d.MaxAge != 30*people.Day {
		t.Errorf("an old copy: %+v", d)
	}
	now := written.At(w.Now).Format(time.RFC3339)
	w.run(0, []string{"due", "--policy", w.policy, "--at", now, w.Dir}, "NOTHING IS OVERDUE in the log \""+written.Origin, "\nthe provider messenger\n", "\n  sealed   ")
	if out := w.run(0, []string{"due", "--policy", w.policy, "--at", now, "--csv", w.Dir}); strings.Count(out, "\n") != 1+len(d.Items) {
		t.Errorf("%d items:\n%s", len(d.Items), out)
	}

	w.Now += 10*people.Day + 60
	publish()
	if d := w.due(1); state(d, "disclosure", at) != audit.DueSoon { // in its grace; others are overdue
		t.Errorf("in its grace: %+v", d)
	}
	w.Now += 2 * people.Day
	publish()
	if d := w.due(1, "--within", "0d"); state(d, "disclosure", at) != audit.DueOverdue || !d.Items[0].Auditors {
		t.Errorf("late: %+v", d)
	}
	w.Disclose(warrant)
	publish()
	if d := w.due(1); state(d, "disclosure", at) != "" {
		t.Errorf("cured: %+v", d)
	}
}
