// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package facts reduces a log to what a watchdog shows of it: what is owed and was late,
// breaches, releases and heartbeats, the head and its witnesses, what auditors answer, and
// counts by month and type.
//
// It promises its caller that the facts follow from the entries that a [replica.Replica]
// has applied, from the head given to [Facts.Head], and from the log's claims given to
// [Facts.Asked], and from nothing else: a replay from the first entry gives the same facts.
// It trusts the replica, and believes of the auditors' answers only the cosignatures that
// [audit.AskAuditors] has verified.
//
// # Time
//
// An entry and a change count in the month of the time that was proven when the entry was
// logged: no signer's claim decides. The entry was logged after this time, and before the
// next anchor, so one near the end of a month may count in the month before. Month "" has
// what was logged before the first proven time.
//
// What is overdue is that at the later of the head's time and the ledger's: nothing is said
// about a time that no verified head covers.
//
// # Memory
//
// It keeps [MaxMonths] months, the last [MaxLate] obligations that were met late, as many
// closed breaches, and [MaxNames] names of one kind; older ones are in the totals. Each other
// list is bounded by the charter, or by what the ledger keeps open. A reader who must have all
// takes each [Fact] as it happens.
package facts

import (
	"slices"
	"time"

	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/client/replica"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/round"
	"github.com/vasistas/vasistas/log/tlog"
)

// Bounds of what is kept.
const (
	MaxMonths   = 36
	MaxLate     = 256
	MaxListed   = 256 // obligations of each list of a report; all are counted
	MaxCharters = 32
	MaxNames    = 256 // of one member of one type, in one month; others count as Other
)

// Other stands for the names beyond MaxNames. No code of a log is like it.
const Other = "(other)"

// A Fact is an entry with what it did, or a head that ends those before it. It is valid
// during the call.
type Fact struct {
	Entry      *ledger.Entry
	Violations []*ledger.Violation // that the entry revealed
	Changes    []ledger.Change     // that it caused
	Names      []Name              // of the entry, whether there is a verdict about it or not

	Head      *Head     // not nil: every entry below it was told, and Entry and what it caused are nil
	Witnesses []Witness // of Head: see Report

	Ledger *ledger.Ledger // as the entry has left it, to read
}

// Facts are those of one log. They are not safe for concurrent use.
type Facts struct {
	ledger *ledger.Ledger
	tell   func(*Fact) error

	applied uint64
	total   Counts
	months  []Month   // ascending
	since   time.Time // the last proven time
	late    []ledger.Late
	closed  []Closed
	last    map[string]Custodian // by key id: the last release and heartbeat
	head    *Head
	seen    map[string]Witness // by vkey

	asked   bool
	vouched *audit.Vouched
	unknown []string
	answers []Answer // of the keys of the last round
}

// New returns the facts of a log without entries. It reads the ledger of the replica that is
// replayed with [Facts.Observer]. tell, if not nil, is called with each fact in the log's order,
// on each replay from the first entry on. After an error of tell the facts are of no use.
func New(l *ledger.Ledger, tell func(*Fact) error) *Facts {
	if tell == nil {
		tell = func(*Fact) error { return nil }
	}
	return &Facts{ledger: l, tell: tell, last: make(map[string]Custodian), seen: make(map[string]Witness)}
}

// Observer returns the observer of each [replica.Replica.Replay].
func (f *Facts) Observer() replica.Observer {
	return replica.Observer{After: func(e *ledger.Entry, violations []*ledger.Violation, changes []ledger.Change) error {
		names := f.names(e)
		f.add(e, violations, changes, names)
		return f.tell(&Fact{Entry: e, Violations: violations, Changes: changes, Names: names, Ledger: f.ledger})
	}}
}

func (f *Facts) add(e *ledger.Entry, violations []*ledger.Violation, changes []ledger.Change, names []Name) {
	f.applied = e.Index + 1
	month := f.month(f.ledger.Time())
	broke := slices.ContainsFunc(violations, func(v *ledger.Violation) bool { return v.Index == e.Index })
	for _, c := range []*Counts{&f.total, month} {
		c.add(e, !broke, names)
	}
	if !broke {
		f.custody(e)
	}
	for i := range changes {
		c := &changes[i]
		for _, to := range []*Counts{&f.total, month} {
			to.change(c)
		}
		if late, ok := c.Late(); ok {
			f.late = keep(f.late, late)
		}
		if c.Kind == ledger.Closed {
			f.closed = keep(f.closed, Closed{*c.Breach.JSON(), c.Entry, c.At})
		}
	}
}

// keep appends to a list of at most MaxLate.
func keep[T any](list []T, v T) []T {
	if len(list) == MaxLate {
		list = slices.Delete(list, 0, 1)
	}
	return append(list, v)
}

// month returns the counts of the month of a proven time, which never goes back.
func (f *Facts) month(t time.Time) *Counts {
	n, name := len(f.months), ""
	if n > 0 && t.Equal(f.since) {
		return &f.months[n-1].Counts
	}
	if f.since = t; !t.IsZero() {
		name = t.Format("2006-01")
	}
	if n == 0 || f.months[n-1].Month != name {
		if n == MaxMonths {
			f.months = slices.Delete(f.months, 0, 1)
		}
		f.months = append(f.months, Month{Month: name})
	}
	return &f.months[len(f.months)-1].Counts
}

// custody notes a custodian's last release and heartbeat.
func (f *Facts) custody(e *ledger.Entry) {
	if e.Envelope == nil || len(e.Envelope.Signatures) == 0 {
		return
	}
	id := e.Envelope.Signatures[0].KeyID
	c, at := f.last[id], Logged{e.Index, f.ledger.Time()}
	switch e.Envelope.Event.Body.(type) {
	case *event.Release:
		c.Release = &at
	case *event.Heartbeat:
		c.Beat = &at
	default:
		return
	}
	f.last[id] = c
}

// Head takes a checkpoint of exactly the applied entries, and ends their facts for tell. Its
// cosignatures are judged by the witness policy of the charter in force.
func (f *Facts) Head(cp *tlog.Checkpoint) error {
	h := &Head{Size: cp.Size, Root: cp.Root}
	if in := f.ledger.Charter(); in != nil {
		v, err := in.Witnesses.Verify(cp, f.ledger.Origin())
		if err != nil {
			h.Unmet = err.Error()
		} else {
			h.LoggedAfter, h.ExistedBefore = posix(v.LoggedAfter), posix(v.ExistedBefore)
			f.see(in, v)
		}
	}
	f.head = h
	return f.Again()
}

// Again tells the last head again, if there is one: its listener may have lost what it was told.
func (f *Facts) Again() error {
	if f.head == nil {
		return nil
	}
	return f.tell(&Fact{Head: f.head, Witnesses: f.witnesses(), Ledger: f.ledger})
}

// see notes what the witnesses of a charter have cosigned, and forgets others.
func (f *Facts) see(in *ledger.Charter, v *tlog.Verified) {
	now := make(map[string]Witness)
	for i := range in.Witnesses.Witnesses {
		w := &in.Witnesses.Witnesses[i]
		key := w.Key.String()
		now[key] = Witness{Name: w.Name, Key: key, Size: f.seen[key].Size, Time: f.seen[key].Time}
	}
	for _, c := range v.Witnesses {
		key := c.Witness.Key.String()
		if at := posix(c.Time); !at.Before(now[key].Time) {
			now[key] = Witness{Name: c.Witness.Name, Key: key, Size: v.Checkpoint.Size, Time: at}
		}
	}
	f.seen = now
}

// posix returns a time in seconds, zero for 0. JSON has no year after 9999.
func posix(t uint64) time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.Unix(int64(min(t, 1<<37)), 0).UTC()
}

// Carry takes over what other facts of the same log know of its auditors.
func (f *Facts) Carry(from *Facts) {
	f.asked, f.vouched, f.unknown, f.answers = from.asked, from.vouched, from.unknown, from.answers
}

// Asked takes what the log serves of its auditors, nil if that was not read or the charter asks
// for none. A key that is silent in a new round keeps its earlier answer, and what can't be read
// now stays as it was.
func (f *Facts) Asked(a *audit.Auditors) {
	if f.asked = a != nil; !f.asked {
		f.vouched, f.unknown, f.answers = nil, nil, nil
		return
	}
	f.unknown = a.Unknown
	if a.Vouched != nil {
		f.vouched = a.Vouched
	}
	if a.Round == nil {
		return
	}
	var now []Answer
	for _, one := range a.Round.Auditors {
		old := slices.IndexFunc(f.answers, func(o Answer) bool { return o.Key == one.Key })
		if one.Kind == round.Silent && old >= 0 {
			now = append(now, f.answers[old])
		} else {
			now = append(now, Answer{one, a.Round.Size})
		}
	}
	f.answers = now
}
