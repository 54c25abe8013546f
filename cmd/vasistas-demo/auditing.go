// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/cmd/vasistas/english"
	"github.com/vasistas/vasistas/log/ledger"
)

// maxShown bounds a list of what an earlier run left.
const maxShown = 5

// runAudit replays the log as the command "vasistas audit" does: from its charter
// on, by the policy and the rules and nothing else. It knows nothing of replay.
func (s *story) runAudit(ctx context.Context) *audit.Report {
	return audit.Run(ctx, audit.Config{Client: s.client, Policy: s.policy, Origin: origin})
}

// audit audits the whole log. A new log must have kept every rule, and owe nothing
// that is late. In one that goes on, an earlier run may have been cut off before it
// did what was due: that is shown, and does not fail this run.
func (s *story) audit(ctx context.Context) error {
	var late []ledger.Obligation
	err := s.replay.await(ctx, func() (bool, error) {
		late = s.replay.ledger.Overdue(s.replay.now())
		return len(late) == 0 || !s.made, nil
	})
	if err != nil {
		return fmt.Errorf("%d obligations are overdue: %w", len(late), err)
	}
	r := s.runAudit(ctx)
	s.title("The audit of the whole log")
	for line := range strings.Lines(english.Audit(r, maxShown)) {
		s.say("  %s", strings.TrimSuffix(line, "\n"))
	}
	switch r.Result() {
	case audit.Clean:
	case audit.Violations:
		if err := s.excuse(r); err != nil {
			return err
		}
		s.wrap("  ", "An earlier run was cut off, or stopped before what it owed was due. The log can't hide that.")
	default:
		return fmt.Errorf("the audit could not tell whether the log kept its rules")
	}
	s.wrap("  ", fmt.Sprintf("%d seals were opened, none before its date.", len(s.replay.opened)))
	if len(s.batch.histories) > 0 {
		s.wrap("  ", "The disclosure that was made late on purpose was overdue, and is no breach, since it was cured within the 30 "+
			"seconds that the profile gives. Whoever replays the log sees that it was late.")
	}
	return nil
}

// excuse returns an error for violations that no interruption of an earlier run
// explains.
func (s *story) excuse(r *audit.Report) error {
	if s.made || r.Fork != nil {
		return fmt.Errorf("the log broke its rules: %d breaches, %d overdue", r.Breaches, r.Overdue)
	}
	for _, b := range r.Unclosed {
		if b.Rule != "unfulfilled" {
			return fmt.Errorf("the log let in what breaks a rule: entry %d: %s (%s): %s", b.Index, b.Rule, b.Way, b.Text)
		}
	}
	return nil
}
