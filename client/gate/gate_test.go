// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/internal/problem"
	"github.com/vasistas/vasistas/log/event"
)

func problemOf(resp *http.Response, b []byte) error {
	var p problem.Problem
	if err := json.Unmarshal(b, &p); err != nil || p.Code() == "" || p.Status != resp.StatusCode || p.Detail == "" {
		return fmt.Errorf("%s: no problem of a gate: %s", resp.Status, b)
	}
	return &refused{p.Code(), p.Status, p.Detail}
}

// TestRelease opens a file with two of three gates, and asks, whenever a key is
// about to open a share, whether the release is public already.
func TestRelease(t *testing.T) {
	w := newTestbed(t, 2, 3, nil)
	w.runAll()
	f := w.escrow("alice@example.org")
	a := w.access(w.warrant("alice@example.org", "bob@example.org"), accessTerms{}, f)
	for _, s := range w.gates {
		s.key.look = func(p escrow.Purpose) {
			if p == escrow.ForShare && len(w.of(s, event.TypeRelease)) != 1 {
				t.Errorf("the key of %s is touched, and its release is not in a witnessed head", s.Name)
			}
		}
	}
	one, ref := w.shares(w.gates[0], a)
	three, _ := w.shares(w.gates[2], a)
	if got := w.decrypt(f, one[0], three[0]); got != f.plain {
		t.Fatalf("the plaintext is %q", got)
	}
	if n := w.gates[1].key.count(escrow.ForShare); n != 0 {
		t.Fatalf("a gate that was not asked used its key %d times", n)
	}
	// The answer is had again, by the same release.
	again, ref2 := w.shares(w.gates[0], a)
	if ref != ref2 || w.decrypt(f, again[0], three[0]) != f.plain {
		t.Fatalf("asking again made the release %v of %v", ref2, ref)
	}
	releases := w.of(w.gates[0], event.TypeRelease)
	if len(releases) != 1 {
		t.Fatalf("%d releases", len(releases))
	}
	r := releases[0].Event.Body.(*event.Release)
	if r.Seq != 1 || r.Access != a.Reference || len(r.Notices) != 1 {
		t.Fatalf("the release is %+v", r)
	}
	text := string(w.gates[0].Running.Metrics())
	for _, want := range []string{
		`vasistas_gate_requests_total{outcome="answered"} 2`, `vasistas_gate_requests_total{outcome="stale"} 0`,
		`vasistas_gate_request_seconds_bucket{answered="true",le="+Inf"} 2`,
		"vasistas_gate_busy_total 0", "vasistas_gate_unconfirmed_changes 0", "vasistas_gate_stopped 0",
	} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("no %q in %s", want, text)
		}
	}
}
