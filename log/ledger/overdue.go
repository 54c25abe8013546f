// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/vasistas/vasistas/log/event"
)

// dutyKind is the kind of an obligation.
type dutyKind uint8

const (
	dutySeal dutyKind = iota
	dutyNotices
	dutyDecision
	dutyReturn
	dutyHeartbeat
	dutyMissing
	dutyAnchor
)

// duty is one obligation that is owed.
type duty struct {
	kind   dutyKind
	index  uint64 // of the entry that owes it
	n      int    // dutyNotices: the index in access.releases
	left   uint64 // how many are owed, if the kind counts
	has    uint64 // dutyMissing: how many the log holds
	key    uint32 // number + 1 of the custodian's key, who must not release meanwhile; 0: none
	name   string // of that custodian
	debtor string
	due    int64
	grace  int64
	unful  int64 // how long it may be proven late before it lapses
	debt   *debt // its state; nil for an anchor
}

func (d *duty) late() int64 { return d.due + d.grace }

// wakes returns the time after which an anchor must check the duty again. A duty lapses
// only unful seconds after the anchor that first proved it late: after weeks of downtime
// the first anchor makes nothing lapse.
func (d *duty) wakes() int64 {
	if d.debt.late == 0 {
		return d.late()
	}
	return d.debt.late + d.unful - 1
}

var (
	disclosureLate    = &Way{"disclosure", "late", KindOverdue, "{count} of the public digests of entry {entry} are not opened", "log a disclosure that opens them, or a deferral in time"}
	disclosureNotices = &Way{"disclosure", "notices", KindOverdue, "{count} notices of release {release} are not published", "log a disclosure that carries them"}
	emergencyLate     = &Way{"emergency", "late", KindOverdue, "the log has no authority's decision on the emergency access {access}", "log a warrant that decides on it (validates)"}
	returnLate        = &Way{"return", "late", KindOverdue, "the log has no return of warrant {warrant}", "log its return"}
	heartbeatLate     = &Way{"heartbeat", "late", KindOverdue, "the log has no heartbeat of custodian {custodian} since entry {entry}", "log its next heartbeat, or end its key by an amendment"}
	missingLate       = &Way{"missing-release", "late", KindOverdue, "custodian {custodian} has stated {count} releases in entry {entry}, and the log holds {held}", "log the missing releases"}
	anchorLate        = &Way{"anchor", "late", KindOverdue, "the entries from {entry} on are not anchored", "log an anchor of a cosigned head that has them"}
	unfulfilled       = &Way{"unfulfilled", "unfulfilled", KindBreach, "{rule}, due {due}: {what}", ""}
)

// cause returns the duty's cause once it is late.
func (d *duty) cause() Cause {
	switch d.kind {
	case dutySeal:
		return disclosureLate.cause(d.left, d.index)
	case dutyNotices:
		return disclosureNotices.cause(d.left, d.index)
	case dutyDecision:
		return emergencyLate.cause(d.index)
	case dutyReturn:
		return returnLate.cause(d.index)
	case dutyHeartbeat:
		return heartbeatLate.cause(d.name, d.index)
	case dutyMissing:
		return missingLate.cause(d.name, d.left, d.index, d.has)
	default:
		return anchorLate.cause(d.index)
	}
}

// duties calls do for each duty of an item. No due time is before the time that was
// proven when the item was logged.
func (l *Ledger) duties(it *item, do func(duty)) {
	p := &l.charters[it.charter].Profile
	d := duty{index: it.index, debtor: it.provider, unful: int64(p.Unfulfilled)}
	if s := &it.seal; s.debt.state == owed && !s.never {
		d.debt = &s.debt
		d.kind, d.left, d.due, d.grace = dutySeal, uint64(s.digests.closed), max(s.until, it.base), int64(p.DisclosureGrace)
		do(d)
	}
	if w := it.warrant; w != nil && !w.denied && w.returned.state == owed {
		d.debt = &w.returned
		d.kind, d.due, d.grace = dutyReturn, max(w.notAfter, it.base)+int64(p.Return.Within), int64(p.Return.Grace)
		do(d)
	}
	a := it.access
	if a == nil {
		return
	}
	if a.emergency && a.decision.state == owed {
		e := d
		e.kind, e.debtor, e.debt = dutyDecision, it.authority, &a.decision
		e.due, e.grace = max(it.base, a.decideBy)+int64(p.Emergency.Decision.Within), int64(p.Emergency.Decision.Grace)
		do(e)
	}
	for i := range a.releases {
		r := &a.releases[i]
		if r.debt.state != owed || it.seal.never {
			continue
		}
		d.debt = &r.debt
		rp := &l.charters[r.charter].Profile
		d.kind, d.index, d.n, d.left = dutyNotices, r.index, i, uint64(r.notices.closed)
		d.due, d.grace, d.unful = max(it.seal.until, r.base), int64(rp.DisclosureGrace), int64(rp.Unfulfilled)
		do(d)
	}
}

// chainDuties calls do for each duty of a custodian's chain.
func (l *Ledger) chainDuties(c *chain, do func(duty)) {
	if c.ended {
		return
	}
	if p := &l.charters[c.charter].Profile; c.pulse.state == owed {
		do(duty{kind: dutyHeartbeat, debt: &c.pulse, index: c.beatIndex, key: c.key + 1, name: c.name,
			due: c.beat + int64(p.Heartbeat.Within), grace: int64(p.Heartbeat.Grace), unful: int64(p.Unfulfilled)})
	}
	if len(c.stated) > 0 {
		s := &c.stated[0]
		p := &l.charters[s.charter].Profile
		do(duty{kind: dutyMissing, debt: &s.debt, index: s.index, key: c.key + 1, name: c.name, left: s.seq, has: c.count,
			due: s.base + int64(p.MissingRelease.Within), grace: int64(p.MissingRelease.Grace), unful: int64(p.Unfulfilled)})
	}
}

// anchorDuty calls do if an anchor is owed: for an entry other than an anchor, under
// a policy by which an anchor proves a time. An entry whose claim is ahead of now counts
// from the last anchor below it, since only an anchor can bound that claim. The duty never
// lapses: an entry that an anchor doesn't cover was logged after that anchor's time.
func (l *Ledger) anchorDuty(now int64, do func(duty)) {
	first, base := -1, int64(0)
	for i, c := range l.unanchored {
		if c.base > now && c.base > now+int64(l.CharterAt(max(c.index, 1)).Profile.Skew) {
			c.base = l.after
		}
		if !c.anchor && (first < 0 || c.base < base) {
			first, base = i, c.base
		}
	}
	if first < 0 {
		return
	}
	c := l.unanchored[first]
	in := l.CharterAt(max(c.index, 1))
	if !in.Witnesses.NeedsWitnesses() {
		return
	}
	do(duty{kind: dutyAnchor, index: c.index,
		due: base + int64(in.Profile.Anchor.Within), grace: int64(in.Profile.Anchor.Grace), unful: maxTime})
}

// debtorName returns the debtor in the form of Violation.By.
func (d *duty) debtorName() string {
	switch d.kind {
	case dutyAnchor:
		return Log
	case dutyMissing, dutyHeartbeat: // the entries don't tell which of the two is wrong
		return orLog("custodian " + d.name)
	case dutyDecision:
		return "authority " + d.debtor
	}
	return "provider " + d.debtor
}

// An Obligation is an act that a party owes. Its JSON form is the one of reports, alerts
// and answers; times are like 2006-01-02T15:04:05Z.
type Obligation struct {
	Rule  string    `json:"rule"`
	Way   string    `json:"way"`   // Way.Code
	Index uint64    `json:"index"` // the entry that owes it
	By    string    `json:"by"`    // the debtor, as in Violation.By
	Due   time.Time `json:"due"`
	Late  time.Time `json:"late"` // due and grace: it is overdue after this
	Text  string    `json:"text"`
	Cure  string    `json:"cure,omitempty"`

	// What the obligation bars while it is overdue.
	Auditors  bool     `json:"auditors"`            // auditors from cosigning, and so every gate
	Custodian string   `json:"custodian,omitempty"` // this custodian from releasing
	Groups    []string `json:"groups,omitempty"`    // custodians from releasing for an access of these groups
}

func obligation(d duty) Obligation {
	c := d.cause()
	date := func(t int64) time.Time { return unix(min(t, maxTime)) } // JSON has no later year than 9999
	return Obligation{Rule: c.Rule, Way: c.Code, Index: d.index, By: d.debtorName(),
		Due: date(d.due), Late: date(d.late()), Text: c.Text(), Cure: c.Cure, Custodian: d.name}
}

// rescan makes soonest exact again if the proven time has passed it and enough
// entries were applied since the last scan to pay for the walk.
func (l *Ledger) rescan() {
	if l.after > l.soonest && l.Size()-l.scanned >= uint64(l.open.n/8) {
		l.soonest, l.scanned = l.open.soonest(), l.Size()
	}
}

// each calls do for every duty at this size. It may skip items that have nothing
// overdue at the time least.
func (l *Ledger) each(now, least int64, do func(duty)) {
	if least > l.soonest {
		l.open.walk(least, func(it *item) { l.duties(it, do) })
	}
	for _, c := range l.chains {
		l.chainDuties(c, do)
	}
	l.anchorDuty(now, do)
}

// Overdue returns the obligations that are overdue at time t, by the state at this
// size, in order of Late. It depends on nothing else. An obligation that has lapsed
// into a breach is not in it.
func (l *Ledger) Overdue(t time.Time) []Obligation {
	now := t.Unix()
	out := l.list(now, now, func(d duty) bool { return now > d.late() })
	var short []*event.Group
	if slices.ContainsFunc(out, func(o Obligation) bool { return o.Rule == heartbeatLate.Rule }) {
		short = l.short(l.Charter(), now)
	}
	for i := range out {
		o := &out[i]
		if o.Rule != heartbeatLate.Rule {
			continue
		}
		for _, g := range short {
			if slices.Contains(g.Members, o.Custodian) {
				o.Groups = append(o.Groups, g.ID)
			}
		}
	}
	return out
}

// Due returns the obligations that are not overdue at time t and fall due by until, in
// order of Late, and counts all open ones by rule. A heartbeat and an anchor are almost
// always due. It walks all that is open.
func (l *Ledger) Due(t, until time.Time) (due []Obligation, open map[string]uint64) {
	open = make(map[string]uint64)
	due = l.list(t.Unix(), math.MaxInt64, func(d duty) bool {
		open[owing[d.kind]]++
		return t.Unix() <= d.late() && d.due <= until.Unix()
	})
	return due, open
}

// Owed counts all open obligations at time t by rule. Unlike Due, it does not walk all that is open.
func (l *Ledger) Owed(t time.Time) map[string]int {
	owed := make(map[string]int)
	for kind, n := range l.owed {
		owed[owing[kind]] += n
	}
	l.anchorDuty(t.Unix(), func(duty) { owed[anchorLate.Rule]++ })
	return owed
}

// list returns the obligations that pick takes, in order of Late. It may skip items that
// have nothing overdue at the time least.
func (l *Ledger) list(now, least int64, pick func(duty) bool) (out []Obligation) {
	c := l.Charter()
	if c == nil {
		return nil
	}
	l.each(now, least, func(d duty) {
		if pick(d) {
			o := obligation(d)
			o.Auditors = d.kind != dutyHeartbeat && slices.Contains(c.Profile.Bars, o.Rule)
			out = append(out, o)
		}
	})
	slices.SortFunc(out, func(a, b Obligation) int {
		return cmp.Or(a.Late.Compare(b.Late), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Index, b.Index), cmp.Compare(a.Custodian, b.Custodian))
	})
	return out
}

// short returns the groups that have fewer custodians with timely heartbeats than
// their threshold.
func (l *Ledger) short(c *Charter, now int64) []*event.Group {
	var out []*event.Group
	for i := range c.Groups {
		g := &c.Groups[i]
		n := uint64(0)
		for _, name := range g.Members {
			if l.current(c, name, now) {
				n++
			}
		}
		if n < g.Threshold {
			out = append(out, g)
		}
	}
	return out
}

func (l *Ledger) current(c *Charter, name string, now int64) bool {
	p := c.Party(event.RoleCustodian, name)
	ch := l.chains[l.keyNum[p.Keys[0].KeyID()]]
	if ch == nil || ch.ended || ch.pulse.state != owed {
		return false
	}
	h := l.charters[ch.charter].Profile.Heartbeat
	return now <= ch.beat+int64(h.Within)+int64(h.Grace)
}

// pass applies a new proven time, which the entry at index proves: it prunes items,
// marks duties as late, and records a breach for each that was late for too long.
func (l *Ledger) pass(index uint64) {
	for _, it := range l.woken() {
		l.touch(it)
		l.duties(it, func(d duty) {
			if l.lapses(&d, index) && d.kind == dutyDecision {
				l.undecided--
			}
		})
		l.prune(it)
		if l.open.has(it) {
			l.watch(it)
		}
	}
	for _, c := range l.sortedChains() {
		l.touchChain(c)
		l.chainDuties(c, func(d duty) {
			if l.lapses(&d, index) && d.kind == dutyMissing {
				c.breakOff()
			}
		})
	}
	l.renew()
	l.forget()
	l.rescan()
}

// lapses marks a duty as late if the proven time is past its end, and reports whether it
// has lapsed.
func (l *Ledger) lapses(d *duty, index uint64) bool {
	switch {
	case l.after <= d.late():
		return false
	case d.debt.late == 0:
		d.debt.late = l.after
		return false
	case l.after < d.debt.late+d.unful:
		return false
	}
	l.lapse(d, index)
	return true
}

// breakOff ends what a chain owes, once its missing releases are a breach.
func (c *chain) breakOff() {
	c.broken = c.stated[len(c.stated)-1].seq
	c.stated = nil
}

// lapse records the breach of a duty.
func (l *Ledger) lapse(d *duty, seen uint64) {
	d.debt.state = lapsed
	c := d.cause()
	v := unfulfilled.by(d.debtorName(), d.index, seen, c.Rule, unix(d.due), c)
	v.key = d.key
	l.note(v)
}

func unix(t int64) time.Time { return time.Unix(t, 0).UTC() }
