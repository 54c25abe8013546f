// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/vasistas/vasistas/internal/problem"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/round"
)

// TestWhoDeclines: the gate names the auditors that keep it shut and what would end that, as far as the
// log's last rounds say; if the log asks none, it accuses the log.
func TestWhoDeclines(t *testing.T) {
	now := time.Unix(1_800_000_000, 0).UTC()
	in := &ledger.Charter{Charter: &event.Charter{Profile: event.Profile{Round: 60, Skew: 60}}}
	named := func(at time.Time, answers ...round.Answer) *round.Round {
		return &round.Round{Named: at, State: round.Open, Auditors: answers}
	}
	owed := &ledger.Obligation{Rule: "disclosure", Index: 7, By: "provider messenger", Text: "2 are not opened", Cure: "log a disclosure"}
	dog := round.Answer{Auditor: "dog", Key: "k1", Kind: round.Refused, Bars: []round.Bar{{Obligation: owed}}}
	cat := round.Answer{Auditor: "cat", Key: "k2", Kind: round.Silent, Text: "it does not answer"}
	cow := round.Answer{Auditor: "cow", Key: "k3", Kind: round.Refused, Bars: []round.Bar{{Breach: &ledger.BreachJSON{Rule: "reference", Index: 9}}}}
	for name, c := range map[string]struct {
		rounds    []*round.Round
		err       error // of the last reading
		why, ends string
		not       string
	}{
		"an obligation, by two keys": {rounds: []*round.Round{named(now, dog, dog)}, why: "auditor dog declines: overdue disclosure of entry 7 (2 are not opened)",
			ends: "the provider messenger has done what is owed: log a disclosure; enough auditors"},
		"a breach":          {rounds: []*round.Round{named(now, cow)}, why: "auditor cow declines: breach of reference at entry 9", ends: "auditor cow closes it by a finding"},
		"silence":           {rounds: []*round.Round{named(now, cat)}, why: "auditor cat is silent", ends: "enough auditors cosign"},
		"catching up":       {rounds: []*round.Round{named(now, round.Answer{Auditor: "dog", Kind: round.Refused, Text: "catching up"})}, why: "auditor dog declines: catching up"},
		"no answer yet":     {rounds: []*round.Round{named(now, dog), named(now, round.Answer{Auditor: "dog", Key: "k1", Kind: round.Silent})}, why: "auditor dog declines"},
		"an answer since":   {rounds: []*round.Round{named(now, dog), named(now, round.Answer{Auditor: "dog", Key: "k1", Kind: round.Cosigned, Time: &now})}, why: "ask the log's operator", not: "dog"},
		"nothing is named":  {rounds: []*round.Round{named(now, dog)}, err: errors.New("404"), why: "the log names no head", not: "dog", ends: "the log asks its auditors again"},
		"named long ago":    {rounds: []*round.Round{named(now.Add(-time.Hour), dog)}, why: "the log has named no head for its auditors since", not: "dog"},
		"nothing was named": {err: errors.New("503"), why: "the log names no head"},
	} {
		var a audits
		for _, r := range c.rounds {
			a.heard(r, nil)
		}
		if c.err != nil {
			a.heard(nil, c.err)
		}
		r := a.explained(refuse(CodeStale, "auditors are stale"), moment{now, now}, in)
		if text := r.Err.Error(); !strings.HasPrefix(text, "auditors are stale; ") || !strings.Contains(text, c.why) || c.not != "" && strings.Contains(text, c.not) || !strings.Contains(r.Ends(), c.ends) ||
			strings.Count(text, "entry 7") > 1 {
			t.Errorf("%s: %s; until %s", name, text, r.Ends())
		}
	}
}

// TestEveryReasonEnds: a gate says what would end each of its refusals.
func TestEveryReasonEnds(t *testing.T) {
	for _, c := range problem.OfGate() {
		if refuse(c, "no").Ends() == "" {
			t.Errorf("%s: nothing is said to end it", c)
		}
	}
}
