// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
)

// audit says what the replay of the whole log has found. A new log must have kept
// every rule, and owe nothing that is late. In one that goes on, an earlier run may
// have been cut off before it did what was due: that is a breach for ever, it is
// shown, and it does not fail this run.
func (s *story) audit(ctx context.Context) error {
	var late []ledger.Obligation
	err := s.replay.await(ctx, func() (bool, error) {
		late = s.replay.ledger.Overdue(s.replay.now())
		return len(late) == 0 || !s.made, nil
	})
	if err != nil {
		return fmt.Errorf("%d obligations are overdue: %w", len(late), err)
	}
	r := s.replay
	s.title("The audit")
	var types []string
	for _, t := range slices.SortedFunc(maps.Keys(r.types), func(a, b event.Type) int { return strings.Compare(string(a), string(b)) }) {
		types = append(types, fmt.Sprintf("%d %s", r.types[t], t))
	}
	s.wrap("  ", fmt.Sprintf("The whole log was replayed from its charter on, by the rules and nothing else: %d entries (%s), "+
		"%d signatures, the signed root; at the witnesses' time %s.", len(r.entries), strings.Join(types, ", "), r.signatures, clock(r.now())))
	breaches := 0
	for _, v := range r.verdicts {
		if breaches++; breaches <= maxShown {
			s.wrap("  ", "-> "+v.Error())
		}
		if s.made || v.Rule != "unfulfilled" {
			return fmt.Errorf("the log let something in that breaks a rule: %w", v)
		}
	}
	for _, o := range late[:min(len(late), maxShown)] {
		s.wrap("  ", fmt.Sprintf("-> overdue: rule %s (%s): %s", o.Rule, o.Way, o.Text))
	}
	if breaches+len(late) > 0 {
		s.wrap("  ", fmt.Sprintf("%d breaches, and %d overdue now: an earlier run was cut off, or stopped before what it owed "+
			"was due. The log can't hide that.", breaches, len(late)))
		return nil
	}
	s.wrap("  ", fmt.Sprintf("No breach, and nothing overdue. %d seals were opened, none before its date.", len(r.opened)))
	if len(s.batch.histories) > 0 {
		s.wrap("  ", "The disclosure that was made late on purpose was overdue, and is no breach, since it was cured within the 30 "+
			"seconds that the profile gives. Whoever replays the log sees that it was late.")
	}
	return nil
}

// maxShown bounds a list of what an earlier run left.
const maxShown = 5
