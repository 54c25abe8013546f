// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"slices"
	"time"
)

// A ChangeKind says what an entry did to an obligation or a breach.
type ChangeKind string

// The kinds.
const (
	Opened   ChangeKind = "opened"   // it is owed from this entry on
	Moved    ChangeKind = "moved"    // it has another due date
	Settled  ChangeKind = "settled"  // it is cured, or owed no longer
	Lapsed   ChangeKind = "lapsed"   // it was late for so long that it is a breach
	Breached ChangeKind = "breached" // a breach is on record
	Closed   ChangeKind = "closed"   // an audit quorum has closed a breach
)

// A Change is what an entry changed. The ledger forgets what is cured: a reader who must
// know it later keeps the changes. Anchors are reported only if they come late.
type Change struct {
	Kind    ChangeKind
	Entry   uint64 // that caused it
	*Breach        // of Breached and Closed; else nil

	// Was is the earlier due date, of Moved.
	Was time.Time
	// LateSince is the first time that an anchor proved the obligation late, of Settled
	// and Lapsed; or else the time that the debtor itself claims in the settling entry, if
	// that is too late. Zero: it was in time, as far as the log shows.
	LateSince time.Time
	// At is the time that was proven when the entry was logged: the change was after it.
	At time.Time

	duty duty
}

// Obligation returns the obligation that changed, as it was before it was settled or
// lapsed, and as it is otherwise. It is meaningless for a breach.
func (c *Change) Obligation() Obligation { return obligation(c.duty) }

// Rule returns the rule by which the obligation that changed is owed.
func (c *Change) Rule() string { return c.duty.cause().Rule }

// Late is an obligation that was met late, as it was before that.
type Late struct {
	Obligation
	CuredBy    uint64    `json:"curedBy"`             // Change.Entry: it met the obligation, or ended it
	LateSince  time.Time `json:"lateSince"`           // Change.LateSince
	CuredAfter time.Time `json:"curedAfter,omitzero"` // Change.At
}

// Late returns what was met late; ok is false if the change is of another kind.
func (c *Change) Late() (late Late, ok bool) {
	if c.Kind != Settled || c.LateSince.IsZero() {
		return late, false
	}
	return Late{c.Obligation(), c.Entry, c.LateSince, c.At}, true
}

// Changes returns what the last entry changed, valid up to the next one.
func (l *Ledger) Changes() []Change { return l.diff.changes }

// Totals count obligations that ended.
type Totals struct {
	Settled uint64
	Late    uint64 // of the settled: see Change.LateSince
	Lapsed  uint64
}

// Totals returns the counts up to this size.
func (l *Ledger) Totals() Totals { return l.totals }

// diff finds out what an entry changes: it compares what the touched items and chains owe
// before the entry's effect and after it.
type diff struct {
	touched []touched
	before  []before
	now     []duty
	changes []Change
	claim   int64     // the time that the entry claims
	signers []*holder // of the entry
}

// touched is an item or a chain whose duties were before.before[from:].
type touched struct {
	it   *item
	c    *chain
	from int
}

// before is a duty as it was before the effect.
type before struct {
	duty
	was debt
}

func (t *touched) duties(l *Ledger, do func(duty)) {
	if t.it != nil {
		l.duties(t.it, do)
	} else {
		l.chainDuties(t.c, do)
	}
}

// touch notes what an item owes. An effect calls it before it changes the item.
func (l *Ledger) touch(it *item) {
	if it.touched != l.Size()+1 {
		it.touched = l.Size() + 1
		l.keep(touched{it: it})
	}
}

// touchChain is touch for a custodian's chain.
func (l *Ledger) touchChain(c *chain) {
	if c.touched != l.Size()+1 {
		c.touched = l.Size() + 1
		l.keep(touched{c: c})
	}
}

func (l *Ledger) keep(t touched) {
	t.from = len(l.diff.before)
	t.duties(l, func(d duty) { l.diff.before = append(l.diff.before, before{d, *d.debt}) })
	l.diff.touched = append(l.diff.touched, t)
}

// change records a change by the entry that is being applied.
func (l *Ledger) change(c Change) {
	c.Entry, c.At = l.Size(), l.Time()
	l.diff.changes = append(l.diff.changes, c)
}

// compare records what the entry did to the duties of what it touched.
func (l *Ledger) compare() {
	d := &l.diff
	end := len(d.before)
	for i := len(d.touched) - 1; i >= 0; i-- {
		t := &d.touched[i]
		d.now = d.now[:0]
		t.duties(l, func(x duty) {
			d.now = append(d.now, x)
			l.owed[x.kind]++
		})
		for i := range d.before[t.from:end] {
			l.owed[d.before[t.from+i].kind]--
		}
		l.compareOne(d.before[t.from:end], d.now)
		end = t.from
	}
	d.before = d.before[:0]
}

// Touched calls do for each event whose seal the last entry may have moved, ended or opened, and
// for each release that answers that event. For all other entries [Ledger.Disclosable] returns what it
// did, except for releases ahead of a chain that went on or ended.
func (l *Ledger) Touched(do func(index uint64)) {
	for i := range l.diff.touched {
		it := l.diff.touched[i].it
		if it == nil {
			continue
		}
		do(it.index)
		if it.access != nil {
			for j := range it.access.releases {
				do(it.access.releases[j].index)
			}
		}
	}
}

func (l *Ledger) compareOne(was []before, now []duty) {
	for i := range was {
		w := &was[i]
		j := slices.IndexFunc(now, w.same)
		switch {
		case j < 0:
			l.ended(w)
		case now[j].due != w.due && w.was.late != 0 && now[j].late() >= l.after:
			// No anchor has proven the new date late.
			now[j].debt.late = 0
			l.ended(w)
			l.change(Change{Kind: Opened, duty: now[j]})
		case now[j].due != w.due:
			l.change(Change{Kind: Moved, Was: unix(w.due), duty: now[j]})
		}
	}
	for _, d := range now {
		if !slices.ContainsFunc(was, func(w before) bool { return w.same(d) }) {
			l.change(Change{Kind: Opened, duty: d})
		}
	}
}

func (b *before) same(d duty) bool { return b.kind == d.kind && b.index == d.index }

// owedBy reports whether a signer owes the duty: only its own claim proves it late.
func (b *before) owedBy(h *holder) bool {
	who := string(h.party.Role) + " " + h.party.Name
	return b.debtorName() == who || b.debtorName() == orLog(who)
}

// ended records a duty that is owed no longer.
func (l *Ledger) ended(b *before) {
	c := Change{Kind: Settled, duty: b.duty}
	switch {
	case b.was.late != 0:
		c.LateSince = unix(b.was.late)
	case l.diff.claim > b.late() && slices.ContainsFunc(l.diff.signers, b.owedBy):
		c.LateSince = unix(l.diff.claim)
	}
	if b.debt.state == lapsed {
		c.Kind = Lapsed
		l.totals.Lapsed++
	} else {
		l.count(&c)
	}
	l.change(c)
}

func (l *Ledger) count(c *Change) {
	l.totals.Settled++
	if !c.LateSince.IsZero() {
		l.totals.Late++
	}
}

// anchoredLate records that an anchor was owed for an entry, and that the head of the one
// that came was cosigned late, at the time after.
func (l *Ledger) anchoredLate(c claim, in *Charter, after int64) {
	d := duty{kind: dutyAnchor, index: c.index, due: c.base + int64(in.Profile.Anchor.Within), grace: int64(in.Profile.Anchor.Grace)}
	if !c.anchor && in.Witnesses.NeedsWitnesses() && after > d.late() {
		late := Change{Kind: Settled, LateSince: unix(after), duty: d}
		l.count(&late)
		l.change(late)
	}
}
