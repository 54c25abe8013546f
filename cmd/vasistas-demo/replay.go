// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/client/replica"
	"github.com/vasistas/vasistas/cmd/vasistas/english"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// replay reads the log as any stranger would, from its first entry on, and judges
// each entry by the rules, to see what happens when. It knows the policy, and asks no
// clock: the time is what the witnesses say of the head. What it all amounts to, the
// audit says.
type replay struct {
	replica *replica.Replica
	ledger  *ledger.Ledger
	head    *tlog.Verified

	entries [][]byte
	opened  map[uint64]opened // by sealed entry that is wholly open
}

// opened is a disclosure that opened an entry, and what that had sealed.
type opened struct {
	by     uint64
	values map[string]event.Value
}

func newReplay(cl *client.Client) *replay {
	r := must(replica.New(replica.Config{Client: cl, Origin: origin}))
	return &replay{replica: r, ledger: r.Ledger(), opened: make(map[uint64]opened)}
}

// catchUp reads and judges what is new up to the published head.
func (r *replay) catchUp(ctx context.Context) {
	r.head = must(r.replica.Update(ctx))
	try(r.replica.Replay(ctx, replica.Observer{
		Bundle: func(b client.Bundle) error {
			r.entries = append(r.entries, b.Entries...)
			return nil
		},
		After: func(e *ledger.Entry, _ []*ledger.Violation) error {
			if e.Envelope == nil {
				return nil
			}
			if d, ok := e.Envelope.Event.Body.(*event.Disclosure); ok {
				return r.disclosed(e.Index, d)
			}
			return nil
		},
	}))
}

// disclosed holds what a disclosure opens to the digests of the sealed event. Here
// each disclosure opens all.
func (r *replay) disclosed(index uint64, d *event.Disclosure) error {
	if d.Event.Index >= index {
		return fmt.Errorf("entry %d discloses entry %d", index, d.Event.Index)
	}
	env, err := event.ParseEnvelope(r.entries[d.Event.Index])
	if err != nil {
		return err
	}
	if err := env.Event.MatchAll(event.ClassPublic, d.Openings); err != nil {
		return fmt.Errorf("it does not open entry %d: %w", d.Event.Index, err)
	}
	o := opened{index, make(map[string]event.Value)}
	for _, opening := range d.Openings {
		o.values[opening.Name] = opening.Value
	}
	r.opened[d.Event.Index] = o
	return nil
}

// now is the time at which the witnesses saw the head.
func (r *replay) now() time.Time { return time.Unix(int64(r.head.LoggedAfter), 0).UTC() }

// A watch looks at the log after it has grown, and says whether it has seen what it
// waits for.
type watch func() bool

// watchTimeout bounds the wait for what has a deadline of seconds.
const watchTimeout = 3 * time.Minute

// await follows the log until all have seen what they wait for.
func (r *replay) await(ctx context.Context, all ...watch) error {
	return poll(ctx, watchTimeout, "what the log is to do", func() bool {
		r.catchUp(ctx)
		all = slices.DeleteFunc(all, func(w watch) bool { return w() })
		return len(all) == 0
	})
}

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
func (s *story) audit(ctx context.Context) {
	var late []ledger.Obligation
	err := s.replay.await(ctx, func() bool {
		late = s.replay.ledger.Overdue(s.replay.now())
		return len(late) == 0 || !s.made
	})
	if err != nil {
		try(fmt.Errorf("%d obligations are overdue: %w", len(late), err))
	}
	r := s.runAudit(ctx)
	s.title("The audit of the whole log")
	for line := range strings.Lines(english.Audit(r, maxShown)) {
		s.say("  %s", strings.TrimSuffix(line, "\n"))
	}
	switch r.Result() {
	case audit.Clean:
	case audit.Violations:
		if s.made || r.Fork != nil {
			try(fmt.Errorf("the log broke its rules: %d breaches, %d overdue", r.Breaches, r.Overdue))
		}
		for _, b := range r.Unclosed {
			// No interruption of an earlier run explains another rule's breach.
			if b.Rule != "unfulfilled" {
				try(fmt.Errorf("the log let in what breaks a rule: entry %d: %s (%s): %s", b.Index, b.Rule, b.Way, b.Text))
			}
		}
		s.wrap("  ", "An earlier run was cut off, or stopped before what it owed was due. The log can't hide that.")
	default:
		try(errors.New("the audit could not tell whether the log kept its rules"))
	}
	s.wrap("  ", "%d seals were opened, none before its date.", len(s.replay.opened))
	if len(s.batch.histories) > 0 {
		s.wrap("  ", "The disclosure that was made late on purpose was overdue, and is no breach, since it was cured within the 30 "+
			"seconds that the profile gives. A replay of the log shows that it was late.")
	}
}
