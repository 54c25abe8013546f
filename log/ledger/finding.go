// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"slices"
	"time"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// maxListed bounds the listed breaches of one party against one rule, and so the
// memory of every reader. Later ones are counted with the last.
const maxListed = 64

// A Breach is a breach on record.
type Breach struct {
	Violation
	Last  uint64 // Index of the last breach that is counted with this one
	Count uint64 // how many breaches this is: 1, more only beyond 64 against one rule

	stands  []stand // ascending by index
	settled bool    // closed for gates, under the policy that was then in force
}

// stand is what an auditor's finding says about a breach: closed, or open again.
type stand struct {
	auditor string
	key     uint32
	index   uint64
	open    bool
	voidAt  uint64 // index of the charter that voided it; 0: not void
}

// BreachJSON is the JSON form of a Breach, in reports, answers and rounds.
type BreachJSON struct {
	Rule     string   `json:"rule"`
	Way      string   `json:"way"`   // Way.Code
	Index    uint64   `json:"index"` // the entry at fault
	Seen     uint64   `json:"seen"`  // the entry that showed it
	Last     uint64   `json:"last"`  // Breach.Last
	Count    uint64   `json:"count"` // Breach.Count
	By       string   `json:"by"`    // who must answer, as in Violation.By
	Text     string   `json:"text"`
	Cure     string   `json:"cure,omitempty"`
	ClosedBy []string `json:"closedBy,omitempty"` // auditors that have closed it
}

// JSON returns the JSON form.
func (b *Breach) JSON() *BreachJSON {
	return &BreachJSON{Rule: b.Rule, Way: b.Code, Index: b.Index, Seen: b.Seen, Last: b.Last, Count: b.Count,
		By: b.By, Text: b.Text(), Cure: b.Cure, ClosedBy: b.ClosedBy()}
}

// ClosedBy returns the names of the auditors that have closed the breach.
func (b *Breach) ClosedBy() []string {
	var out []string
	for i, s := range b.stands {
		last := !slices.ContainsFunc(b.stands[i+1:], func(t stand) bool { return t.auditor == s.auditor && t.voidAt == 0 })
		if last && s.voidAt == 0 && !s.open {
			out = append(out, s.auditor)
		}
	}
	return out
}

// standOf returns an auditor's last stand at a size; ok is false if there is none.
func (b *Breach) standOf(auditor string, size uint64) (s stand, ok bool) {
	for _, s := range slices.Backward(b.stands) {
		if s.auditor == auditor && s.index < size && (s.voidAt == 0 || s.voidAt >= size) {
			return s, true
		}
	}
	return stand{}, false
}

// breach puts a breach on record. One that is counted with others opens them again.
func (l *Ledger) breach(v *Violation) {
	n := 0
	var last *Breach
	for _, b := range l.breaches {
		if b.By == v.By && b.key == v.key && b.Rule == v.Rule {
			n, last = n+1, b
		}
	}
	if n >= maxListed {
		l.change(Change{Kind: Breached, Breach: last})
		last.Index = min(last.Index, v.Index)
		last.Last, last.Count, last.Seen = max(last.Last, v.Index), last.Count+1, v.Seen
		last.stands, last.settled = nil, false
		return
	}
	b := &Breach{Violation: *v, Last: v.Index, Count: 1}
	l.breaches = append(l.breaches, b)
	l.change(Change{Kind: Breached, Breach: b})
}

// inBreach reports whether the entry was in breach when it was logged.
func (l *Ledger) inBreach(index uint64) bool {
	return slices.ContainsFunc(l.breaches, func(b *Breach) bool { return b.Index == index && b.Seen == index })
}

// finding checks an auditor's statement. A closed finding lifts, for its auditor,
// the bar of the breaches that it names and that are on record; an open one bars its
// auditor again, and no other party.
func (x *act) finding(f *event.Finding) (effect, *Violation, error) {
	signer, v := x.one(event.RoleAuditor)
	switch {
	case v != nil:
		return nil, v, nil
	case f.Last >= x.e.Index:
		return nil, x.fail(referenceFuture, f.Last), nil
	}
	return func() {
		for _, b := range x.named(f) {
			x.l.take(b, stand{signer.party.Name, signer.key, x.e.Index, f.State == event.FindingOpen, 0})
			if !b.settled && x.l.quorum(x.c, b, x.e.Index+1) {
				x.settle(b)
			}
		}
	}, nil, nil
}

// named returns the breaches that a finding names.
func (x *act) named(f *event.Finding) []*Breach {
	var out []*Breach
	for _, b := range x.l.breaches {
		if b.Rule == f.Rule && b.Index >= f.First && b.Last <= f.Last {
			out = append(out, b)
		}
	}
	return out
}

// take records a stand, unless it repeats the auditor's last one. It forgets those that
// another one follows below each head that can still be judged.
func (l *Ledger) take(b *Breach, s stand) {
	if last, ok := b.standOf(s.auditor, s.index); ok && last.open == s.open {
		return
	}
	if old, ok := b.standOf(s.auditor, l.recent.oldest); ok {
		b.stands = slices.DeleteFunc(b.stands, func(t stand) bool { return t.auditor == s.auditor && t.voidAt == 0 && t.index < old.index })
	}
	b.stands = append(b.stands, s)
}

// settle closes a breach for gates. It sets aside the custodian's or auditor's key
// that must answer, so that one party bars everyone only once.
func (x *act) settle(b *Breach) {
	b.settled = true
	x.l.change(Change{Kind: Closed, Breach: b})
	if !b.setsAside() || x.l.aside(b.key-1, x.e.Index+1) {
		return
	}
	key := b.key - 1
	for _, other := range x.l.breaches {
		if other.key == b.key && !other.settled {
			x.l.change(Change{Kind: Closed, Breach: other})
		}
	}
	x.l.asides = append(x.l.asides, aside{key, x.e.Index, 0})
	if c := x.l.chains[key]; c != nil {
		x.l.touchChain(c)
		c.ended, c.pending, c.stated = true, nil, nil
	}
}

// setsAside reports whether the key that must answer is set aside once the breach is
// closed: one has signed a breach, but a missing event may be the log's fault.
func (b *Breach) setsAside() bool { return b.key != 0 && b.Rule != unfulfilled.Rule }

// forgive closes all breaches for gates, if the new charter has no auditors.
func (x *act) forgive(c *Charter) {
	for _, b := range x.l.breaches {
		if !b.settled && !c.Auditors.NeedsWitnesses() {
			b.settled = true
			x.l.change(Change{Kind: Closed, Breach: b})
		}
	}
}

// aside is a key that is set aside, from one entry on.
type aside struct {
	key   uint32
	from  uint64 // index of the finding by which a quorum closed a breach
	until uint64 // index of the charter that voided a closer's key; 0: it stands
}

// aside reports whether a key is set aside at a size.
func (l *Ledger) aside(key uint32, size uint64) bool {
	return slices.ContainsFunc(l.asides, func(a aside) bool {
		return a.key == key && a.from < size && (a.until == 0 || size <= a.until)
	})
}

// setAside returns the verdict about an event by a key that is set aside.
func (x *act) setAside() *Violation {
	for _, h := range x.signers {
		if x.l.aside(h.key, x.e.Index) {
			return x.fail(roleAside, x.l.keys[h.key].KeyID())
		}
	}
	return nil
}

// retract voids a key's findings from an index on. A breach that no quorum has
// closed without them is open again.
func (x *act) retract(key uint32, from uint64) {
	for _, b := range x.l.breaches {
		void := false
		for i := range b.stands {
			if s := &b.stands[i]; s.key == key && s.index >= from && s.voidAt == 0 {
				s.voidAt, void = x.e.Index, true
			}
		}
		if void && b.settled && !x.l.quorum(x.l.Charter(), b, x.e.Index+1) {
			b.settled = false
			x.restore(b.key)
		}
	}
}

// restore makes a key (number + 1) count again once none of its breaches is settled.
func (x *act) restore(key uint32) {
	if key == 0 || slices.ContainsFunc(x.l.breaches, func(b *Breach) bool { return b.key == key && b.settled && b.setsAside() }) {
		return
	}
	for i := range x.l.asides {
		if a := &x.l.asides[i]; a.key == key-1 && a.until == 0 {
			a.until = x.e.Index
		}
	}
}

// SetAside reports whether a party's key is set aside at a size: then its cosignatures
// of heads of that size or a larger one don't count. A nil party never is.
func (l *Ledger) SetAside(p *event.Party, size uint64) bool {
	return p != nil && slices.ContainsFunc(p.Keys, func(k *event.PublicKey) bool {
		n, ok := l.keyNum[k.KeyID()]
		return ok && l.aside(n, size)
	})
}

// VerifyAudit verifies a checkpoint under a charter's audit policy, without the lines of
// auditors that are set aside at its size. No key counts for the empty tree.
// Only the log's keys at that size count, so no amendment since takes from its audit.
func (l *Ledger) VerifyAudit(c *Charter, cp *tlog.Checkpoint) (*tlog.Verified, error) {
	kept := &tlog.Checkpoint{Head: cp.Head}
	for _, s := range cp.Signatures {
		if !l.SetAside(c.auditorOf(&s), cp.Size) {
			kept.Signatures = append(kept.Signatures, s)
		}
	}
	p := *c.Auditors
	p.Logs = l.logsAt(cp.Size)
	return p.Verify(kept, l.origin)
}

// logsAt returns the log's keys that count for a head of a size, none for 0: those of the
// charter in force and, if the head ends with an amendment, those of the one before.
func (l *Ledger) logsAt(size uint64) []tlog.PolicyLog {
	c := l.CharterAt(size)
	if c == nil {
		return nil
	}
	logs := c.Auditors.Logs
	if c.number > 0 && c.Index+1 == size {
		logs = slices.Concat(logs, l.charters[c.number-1].Auditors.Logs)
	}
	return logs
}

// auditorOf returns the auditor whose cosigner key a line names, nil if it is none.
func (c *Charter) auditorOf(s *tlog.Signature) *event.Party {
	for _, w := range c.Auditors.Witnesses {
		if w.Key.Name == s.Name && w.Key.ID == s.KeyID {
			return c.Party(event.RoleAuditor, c.cosigners[w.Key.String()])
		}
	}
	return nil
}

// A Bar keeps an auditor from cosigning, or gates from opening keys. It is a breach
// or an obligation; the other is nil.
type Bar struct {
	Breach     *Breach
	Obligation *Obligation
}

// Barred returns what bars an auditor from cosigning at time t, by the state at this
// size: breaches that it has not closed or has opened again, and overdue obligations
// that bar auditors under the charter in force. Breaches by a key that is set aside,
// and those from before the charter that first names the auditor, bar it only if it
// has opened them. For the auditor "" it returns what bars every gate: breaches that
// no audit quorum has closed, and the same obligations.
func (l *Ledger) Barred(auditor string, t time.Time) []Bar {
	return l.barred(auditor, l.Overdue(t), func(o *Obligation) bool { return o.Auditors })
}

// BarredGate returns what bars a custodian's gate from answering an access of a
// group at time t: what bars every gate, and overdue obligations that bar this
// custodian or this group.
func (l *Ledger) BarredGate(custodian, group string, t time.Time) []Bar {
	return l.barred("", l.Overdue(t), func(o *Obligation) bool {
		return o.Auditors || o.Custodian == custodian || slices.Contains(o.Groups, group)
	})
}

func (l *Ledger) barred(auditor string, overdue []Obligation, bars func(*Obligation) bool) []Bar {
	var out []Bar
	for _, b := range l.breaches {
		if auditor == "" && l.closed(b) || auditor != "" && !l.objects(auditor, b, l.Size()) {
			continue
		}
		c := *b
		c.stands = slices.Clone(b.stands)
		out = append(out, Bar{Breach: &c})
	}
	for i := range overdue {
		if o := overdue[i]; bars(&o) {
			out = append(out, Bar{Obligation: &o})
		}
	}
	return out
}

// objects reports whether a breach bars an auditor at a size.
func (l *Ledger) objects(auditor string, b *Breach, size uint64) bool {
	if b.Seen >= size {
		return false
	}
	if s, ok := b.standOf(auditor, size); ok {
		return s.open
	}
	return b.Seen >= l.since(auditor) && (b.key == 0 || !l.aside(b.key-1, size))
}

// since returns the index of the charter that first names an auditor.
func (l *Ledger) since(auditor string) uint64 {
	for _, c := range l.charters {
		if c.Party(event.RoleAuditor, auditor) != nil {
			return c.Index
		}
	}
	return 0
}

// closed reports whether a breach is closed for gates.
func (l *Ledger) closed(b *Breach) bool {
	return b.settled || b.key != 0 && l.aside(b.key-1, l.Size())
}

// quorum reports whether auditors that meet a charter's audit policy have closed a
// breach. Under a policy without auditors, an amendment after the breach closes it,
// as a deliberate act of the charter keys.
func (l *Ledger) quorum(c *Charter, b *Breach, size uint64) bool {
	if !c.Auditors.NeedsWitnesses() {
		return c.Index > b.Seen
	}
	by := b.ClosedBy()
	return c.Auditors.Satisfied(func(w int) bool {
		name := c.cosigners[c.Auditors.Witnesses[w].Key.String()]
		return slices.Contains(by, name) && !l.SetAside(c.Party(event.RoleAuditor, name), size)
	})
}
