// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"cmp"
	"slices"

	"github.com/vasistas/vasistas/log/event"
)

// recent is what barred auditors at recent sizes, as changes to undo: a cosignature in
// a release is judged at its own time by the state at its head's size. Auditors may cosign a
// head for a round after a larger one: once an anchored head is older than that and stale,
// all smaller heads are too old to open anything, so what changed before it is forgotten.
type recent struct {
	oldest uint64 // the smallest size that can be judged
	past   []past // ascending by at
	heads  []anchoredHead
}

// past is a duty that can bar auditors, as it was before an entry changed it.
type past struct {
	at    uint64 // index of the entry that changed the duty
	kind  dutyKind
	index uint64 // of the entry that owes it
	late  int64  // 0: it was not owed. Of an anchor: the claim's base
}

// anchoredHead is a head that an anchor proves, and its existed-before time.
type anchoredHead struct {
	size    uint64
	existed int64
}

// since returns the changes by entries that a tree of this size lacks.
func (r *recent) since(size uint64) []past {
	i, _ := slices.BinarySearchFunc(r.past, size, func(p past, size uint64) int { return cmp.Compare(p.at, size) })
	return r.past[i:]
}

// recall records what the applied entry has changed. Duties that end long before a line
// can show them late are left out.
func (l *Ledger) recall(at uint64) {
	c := l.Charter()
	if c == nil || !c.Auditors.NeedsWitnesses() || !c.Witnesses.NeedsWitnesses() {
		l.recent = recent{oldest: at + 1}
		return
	}
	p := &c.Profile
	far := max(l.after, l.diff.claim) + int64(p.Round+p.Stale+2*(p.Anchor.Within+p.Anchor.Grace))
	for i := range l.diff.changes {
		ch := &l.diff.changes[i]
		r := past{at: at, kind: ch.duty.kind, index: ch.duty.index}
		switch {
		case ch.Breach != nil || r.kind == dutyHeartbeat || r.kind == dutyAnchor:
			continue
		case ch.Kind == Opened && r.index == at:
			continue
		case ch.Kind == Moved:
			r.late = ch.Was.Unix() + ch.duty.grace
		case ch.Kind != Opened:
			if r.late = ch.duty.late(); r.late > far {
				continue
			}
		}
		l.recent.past = append(l.recent.past, r)
	}
}

// await adds a claim to first, for which an anchor is owed at a size that ends with it,
// unless one is owed for an earlier entry.
func (l *Ledger) await(c claim) {
	if n := len(l.first); !c.anchor && (n == 0 || c.base < l.first[n-1].base) {
		l.first = append(l.first, c)
	}
}

// cover records that an anchor covers the entries below size.
func (l *Ledger) cover(at, size uint64, existed int64) {
	r := &l.recent
	for _, c := range l.first {
		if c.index < size {
			r.past = append(r.past, past{at, dutyAnchor, c.index, c.base})
		}
	}
	l.first = l.first[:0]
	for _, c := range l.unanchored {
		l.await(c)
	}
	r.heads = append(r.heads, anchoredHead{size, existed})
	p := &l.Charter().Profile
	for len(r.heads) > 0 && r.heads[0].existed+int64(p.Round+p.Stale) < l.after {
		r.oldest, r.heads = max(r.oldest, r.heads[0].size), r.heads[1:]
	}
	r.past = slices.DeleteFunc(r.past, func(p past) bool { return p.at < r.oldest })
}

// wasBarred reports whether an auditor was barred at a time, by the state at a size that
// is not below recent.oldest. It is what Barred returned then.
func (l *Ledger) wasBarred(auditor string, size uint64, now int64) bool {
	c := l.CharterAt(size)
	for _, b := range l.breaches {
		if l.objects(auditor, b, size) {
			return true
		}
	}
	bars := func(k dutyKind) bool { return slices.Contains(c.Profile.Bars, owing[k]) }
	if bars(dutyAnchor) && l.anchorWasLate(size, now) {
		return true
	}
	undone, found := make(map[past]bool), false
	check := func(id past, late int64) {
		found = found || !undone[id] && late != 0 && id.index < size && now > late && bars(id.kind)
	}
	for _, p := range l.recent.since(size) {
		if id := (past{kind: p.kind, index: p.index}); p.kind != dutyAnchor {
			check(id, p.late)
			undone[id] = true
		}
	}
	present := func(d duty) {
		if d.kind != dutyHeartbeat {
			check(past{kind: d.kind, index: d.index}, d.late())
		}
	}
	if now > l.soonest {
		l.open.walk(now, func(it *item) { l.duties(it, present) })
	}
	for _, ch := range l.chains {
		l.chainDuties(ch, present)
	}
	return found
}

// anchorWasLate reports whether an anchor was overdue at a time, by the state at a size.
func (l *Ledger) anchorWasLate(size uint64, now int64) bool {
	index, base := uint64(0), int64(-1)
	least := func(i uint64, t int64) {
		if i < size && (base < 0 || t < base) {
			index, base = i, t
		}
	}
	for _, p := range l.recent.since(size) {
		if p.kind == dutyAnchor {
			least(p.index, p.late)
		}
	}
	for _, c := range l.first {
		least(c.index, c.base)
	}
	in := l.CharterAt(max(index, 1))
	return base >= 0 && in.Witnesses.NeedsWitnesses() && now > base+int64(in.Profile.Anchor.Within+in.Profile.Anchor.Grace)
}

var owing = [...]string{dutySeal: disclosureLate.Rule, dutyNotices: disclosureNotices.Rule, dutyDecision: emergencyLate.Rule, dutyReturn: returnLate.Rule,
	dutyHeartbeat: heartbeatLate.Rule, dutyMissing: missingLate.Rule, dutyAnchor: anchorLate.Rule}

// Owing returns the rules by which something can be owed, ascending.
func Owing() []string {
	rules := slices.Clone(owing[:])
	slices.Sort(rules)
	return slices.Compact(rules)
}

// auditorKey returns the number + 1 of an auditor's key under a charter.
func (l *Ledger) auditorKey(c *Charter, name string) uint32 {
	p := c.Party(event.RoleAuditor, name)
	if p == nil || len(p.Keys) == 0 {
		return 0
	}
	return l.keyNum[p.Keys[0].KeyID()] + 1
}
