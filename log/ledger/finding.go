// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"slices"
	"time"

	"github.com/vasistas/vasistas/log/event"
)

// maxListed is how many breaches of one party against one rule are listed. Later
// ones are counted with the last: so nobody fills the memory of those who watch.
const maxListed = 64

// A Breach is a breach that is on record, for ever.
type Breach struct {
	Violation
	Last  uint64 // Index of the last one that is counted with this
	Count uint64 // how many; 1 but for whoever breaks a rule too often

	closers []closer
}

// closer is an auditor's closed finding.
type closer struct {
	auditor string
	key     uint32
	index   uint64
}

// ClosedBy returns the auditors that have closed the breach by a finding.
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

// inBreach says whether a listed breach is about the entry itself.
func (l *Ledger) inBreach(index uint64) bool {
	return slices.ContainsFunc(l.breaches, func(b *Breach) bool { return b.Index == index && b.Seen == index })
}

// finding judges an auditor's statement. A closed one ends, for its auditor, what
// the breaches bar that it is about and that showed before it; an open one takes
// that back. A rule that this version doesn't have is nobody's breach.
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
			switch known := slices.ContainsFunc(b.closers, mine); {
			case f.State == event.FindingOpen:
				b.closers = slices.DeleteFunc(b.closers, mine)
			case !known:
				b.closers = append(b.closers, closer{signer.party.Name, signer.key, x.e.Index})
			}
		}
	}, nil, nil
}

// A Bar is what keeps an auditor from cosigning, and gates from opening keys: a
// breach or an obligation.
type Bar struct {
	Breach     *Breach
	Obligation *Obligation
}

// Barred returns what bars an auditor from cosigning at a time, by the state at
// this size: breaches that it has not closed, and what is overdue and bars under
// the charter in force. For the auditor "", it returns what bars a gate: breaches
// that no audit quorum has closed.
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

// closed says whether auditors that meet the audit policy have closed a breach.
// Where that asks for none, an amendment after the breach does it: a deliberate
// act of the charter keys.
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
