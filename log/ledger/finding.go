// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"slices"
	"time"

	"github.com/vasistas/vasistas/log/event"
)

// maxListed bounds the listed breaches of one party against one rule, and so the
// memory of every reader. Later ones are counted with the last.
const maxListed = 64

// A Breach is a breach on record.
type Breach struct {
	Violation
	Last  uint64 // Index of the last breach that is counted with this one
	Count uint64 // how many breaches this is: 1, more only beyond 64 against one rule

	closers []closer
}

// closer is an auditor's closed finding.
type closer struct {
	auditor string
	key     uint32
	index   uint64
}

// ClosedBy returns the names of the auditors that have closed the breach.
func (b *Breach) ClosedBy() []string {
	var out []string
	for _, c := range b.closers {
		out = append(out, c.auditor)
	}
	return out
}

// breach puts a breach on record.
func (l *Ledger) breach(v *Violation) {
	n := 0
	var last *Breach
	for _, b := range l.breaches {
		if b.By == v.By && b.Rule == v.Rule {
			n, last = n+1, b
		}
	}
	if n >= maxListed && len(last.closers) == 0 {
		last.Index = min(last.Index, v.Index)
		last.Last, last.Count, last.Seen = max(last.Last, v.Index), last.Count+1, v.Seen
		return
	}
	l.breaches = append(l.breaches, &Breach{Violation: *v, Last: v.Index, Count: 1})
}

// inBreach reports whether the entry was in breach when it was logged.
func (l *Ledger) inBreach(index uint64) bool {
	return slices.ContainsFunc(l.breaches, func(b *Breach) bool { return b.Index == index && b.Seen == index })
}

// finding checks an auditor's statement. A closed finding lifts, for its auditor,
// the bar of the breaches that it names and that are on record; an open one
// restores it.
func (x *act) finding(f *event.Finding) (effect, *Violation, error) {
	signer, v := x.one(event.RoleAuditor)
	switch {
	case v != nil:
		return nil, v, nil
	case f.Last >= x.e.Index:
		return nil, x.fail(referenceFuture, f.Last), nil
	}
	return func() {
		mine := func(c closer) bool { return c.auditor == signer.party.Name }
		for _, b := range x.l.breaches {
			if b.Rule != f.Rule || b.Index < f.First || b.Last > f.Last {
				continue
			}
			switch {
			case f.State == event.FindingOpen:
				b.closers = slices.DeleteFunc(b.closers, mine)
			case !slices.ContainsFunc(b.closers, mine):
				b.closers = append(b.closers, closer{signer.party.Name, signer.key, x.e.Index})
			}
		}
	}, nil, nil
}

// A Bar keeps an auditor from cosigning and gates from opening keys. It is a breach
// or an obligation; the other is nil.
type Bar struct {
	Breach     *Breach
	Obligation *Obligation
}

// Barred returns what bars an auditor from cosigning at time t, by the state at this
// size: breaches that the auditor has not closed, and overdue obligations that bar
// auditors under the charter in force. For the auditor "" it returns what bars a
// gate: breaches that no audit quorum has closed, and the same obligations.
func (l *Ledger) Barred(auditor string, t time.Time) []Bar {
	var out []Bar
	for _, b := range l.breaches {
		if auditor == "" && l.closed(b) || auditor != "" && slices.Contains(b.ClosedBy(), auditor) {
			continue
		}
		c := *b
		c.closers = slices.Clone(b.closers)
		out = append(out, Bar{Breach: &c})
	}
	for _, o := range l.Overdue(t) {
		if o.Auditors {
			out = append(out, Bar{Obligation: &o})
		}
	}
	return out
}

// closed reports whether auditors that meet the audit policy have closed a breach.
// Under a policy without auditors, an amendment after the breach closes it, as a
// deliberate act of the charter keys.
func (l *Ledger) closed(b *Breach) bool {
	c := l.Charter()
	if c == nil {
		return false
	}
	if !c.Auditors.NeedsWitnesses() {
		return c.Index > b.Seen
	}
	by := b.ClosedBy()
	return c.Auditors.Satisfied(func(w int) bool {
		return slices.Contains(by, c.cosigners[c.Auditors.Witnesses[w].Key.String()])
	})
}
