// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/round"
)

// checkNoDisclosureNoKeys checks who refused in the sections on auditors and by which obligation, and
// reads from the log alone that no key was opened meanwhile.
func checkNoDisclosureNoKeys(t *testing.T, s *story) {
	check(t, caught(func() { s.replay.catchUp(t.Context()) }))
	l := readStory(t, s)
	var want []refused
	gates, some := []string{"custodian1", "custodian2", "custodian3"}, []string{"some", "some"}
	expect := func(by []string, code, rule string, index uint64, after int) {
		for _, name := range by {
			want = append(want, refused{name, code, rule, index, after})
		}
	}
	expect(gates, string(gate.CodeOverdue), "disclosure", l.late, 1)
	expect(some, "declined", "disclosure", l.late, 1)
	expect(gates, string(gate.CodeQuorum), "", 0, 1)
	expect(gates, string(gate.CodeOverdue), "missing-release", l.beat, 3)
	expect(some, "declined", "missing-release", l.beat, 3)
	expect(some, "declined", "unfulfilled", l.beat, 3)
	expect(gates, string(gate.CodeQuorum), "", 0, 3)
	expect(gates, string(gate.CodeBreach), "unfulfilled", l.beat, 3)
	expect(gates, string(gate.CodeBreach), "unfulfilled", l.beat, 3) // one finding is too few
	expect([]string{auditors[2][0]}, "declined", "unfulfilled", l.beat, 4)
	for i, r := range s.refusals {
		if r.code == "declined" && r.after < 4 {
			s.refusals[i].by = "some" // two of the three, which are not always the same
		}
	}
	if d := cmp.Diff(want, s.refusals, cmp.AllowUnexported(refused{})); d != "" {
		t.Errorf("the refusals: %s", d)
	}
	l.checkReleases(t, s)
}

// storyLog is what the log says of the sections on auditors.
type storyLog struct {
	late, cure  uint64 // the warrant whose disclosure was late, and the disclosure
	beat, found uint64 // the heartbeat that states a hidden release, and the last closed finding
	accesses    []uint64
	releases    map[uint64][]uint64 // by access
	by          map[string]int      // releases by the custodian's key
}

// readStory reads the log.
func readStory(t *testing.T, s *story) *storyLog {
	t.Helper()
	l := &storyLog{releases: make(map[uint64][]uint64), by: make(map[string]int)}
	for i, b := range s.replay.entries {
		env, err := event.ParseEnvelope(b)
		check(t, err)
		if r, ok := env.Event.Body.(*event.Release); ok {
			l.by[env.Signatures[0].KeyID]++
			if r.Audit == "" {
				t.Errorf("release %d carries no audit", i)
			}
		}
		if i < s.from {
			continue
		}
		switch body := env.Event.Body.(type) {
		case *event.Access:
			if body.Group == gateGroup {
				l.accesses = append(l.accesses, uint64(i))
			}
		case *event.Release:
			l.releases[body.Access.Index] = append(l.releases[body.Access.Index], uint64(i))
		case *event.Heartbeat:
			if body.Seq == 1 && env.Signatures[0].KeyID == s.KeyID(custodianName) {
				l.beat = uint64(i)
			}
		case *event.Finding:
			l.found = uint64(i)
		case *event.Disclosure: // the first one that a court signs
			if s.KeyID(s.batch.accepted[s.batch.lastWarrant()].court) == env.Signatures[0].KeyID && l.cure == 0 {
				l.late, l.cure = body.Event.Index, uint64(i)
			}
		}
	}
	return l
}

// checkReleases checks that what was asked for meanwhile was released after the end only, and that
// no key was used more often than the log says.
func (l *storyLog) checkReleases(t *testing.T, s *story) {
	t.Helper()
	opened := 0
	for _, a := range l.accesses {
		after := uint64(0)
		switch {
		case a > l.late && a < l.cure:
			after = l.cure
		case a > l.beat && a < l.found:
			after = l.found
		}
		list := l.releases[a]
		if slices.ContainsFunc(list, func(r uint64) bool { return r < after }) {
			t.Errorf("access %d was released by the entries %d, and the log was barred up to %d", a, list, after)
		}
		if len(list) >= gateThreshold {
			opened++
		}
	}
	if l.late == 0 || l.cure < l.late || l.beat < l.cure || l.found < l.beat || opened != 4 || s.opened != 4 {
		t.Errorf("%d letters opened; the log says %+v", s.opened, l)
	}
	for i, g := range s.Gates {
		// A release opens two parts: one to write the notice, and the share.
		if used, n := s.keys[i].used.Load(), l.by[s.KeyID(g.Name)]; used > int64(2*n) || n > 0 && used == 0 {
			t.Errorf("the key of %s was used %d times, for %d releases", g.Name, used, n)
		}
	}
}

// TestRefusalsAreChecked shows the story gates that open, and refusals for another reason: it must
// notice.
func TestRefusalsAreChecked(t *testing.T) {
	b := &bar{"disclosure", 7, "2 of the public digests of entry 7 are not opened"}
	no := func(code gate.Code, text string) error { return &gate.Refusal{Code: code, Err: errors.New(text)} }
	if _, err := checkRefusal("g", no(gate.CodeOverdue, "bars: "+b.text), gate.CodeOverdue, b); err != nil {
		t.Errorf("the refusal: %v", err)
	}
	if _, err := checkRefusal("g", nil, gate.CodeOverdue, b); !errors.Is(err, errSucceeded) {
		t.Errorf("a gate that opens: %v", err)
	}
	for name, err := range map[string]error{
		"another code":       no(gate.CodeStale, "bars: "+b.text),
		"another obligation": no(gate.CodeOverdue, "2 of the public digests of entry 8 are not opened"),
		"no refusal":         errors.New(b.text),
	} {
		if _, err := checkRefusal("g", err, gate.CodeOverdue, b); err == nil || errors.Is(err, errSucceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
	owes := func(rule string, index uint64) []round.Bar {
		return []round.Bar{{Obligation: &ledger.Obligation{Rule: rule, Index: index}}}
	}
	for _, c := range []struct {
		name string
		kind round.Kind
		bars []round.Bar
		want bool
	}{
		{"a", round.Refused, owes("disclosure", 7), true},
		{"b", round.Refused, owes("disclosure", 7), false},
		{"a", round.Cosigned, nil, false},
		{"a", round.Silent, nil, false},
		{"a", round.Refused, nil, false}, // it is catching up
		{"a", round.Refused, owes("anchor", 7), false},
		{"a", round.Refused, owes("disclosure", 8), false},
		{"a", round.Refused, []round.Bar{{Breach: &ledger.BreachJSON{Rule: "unfulfilled", Index: 7}}}, false},
	} {
		r := &round.Round{Auditors: []round.Answer{{Auditor: c.name, Kind: c.kind, Bars: c.bars}}}
		if got := declines(r, "a", b); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
