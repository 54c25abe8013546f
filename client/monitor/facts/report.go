// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package facts

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/round"
	"github.com/vasistas/vasistas/log/tlog"
)

// Report is the facts at a head, in JSON. Later entries do not change it. Times are like
// 2006-01-02T15:04:05Z, and absent if not known.
type Report struct {
	Applied uint64   `json:"applied"` // entries read, from the first
	Head    *Head    `json:"head,omitempty"`
	Charter *Charter `json:"charter,omitempty"`
	// Charters are the last MaxCharters charters of the log, newest first. They are immutable.
	Charters []*ledger.Charter `json:"-"`

	// At is the time at which the lists below say what is overdue and due.
	At      time.Time           `json:"at,omitzero"`
	Open    map[string]uint64   `json:"open,omitempty"` // obligations, by rule
	Overdue uint64              `json:"overdue"`
	Owed    []ledger.Obligation `json:"owed,omitempty"` // overdue: the first MaxListed
	// Those that fall due within 7 and 30 days, without those that are overdue, and the first
	// MaxListed of them. Heartbeats and anchors, which are always due, are only in Open.
	Due7  uint64              `json:"due7"`
	Due30 uint64              `json:"due30"`
	Due   []ledger.Obligation `json:"due,omitempty"`
	// Debts count what is overdue and what falls due, by debtor and way of a rule. The debt that is
	// overdue longest comes first.
	Debts []Debt        `json:"debts,omitempty"`
	Late  []ledger.Late `json:"late,omitempty"` // the last MaxLate that were met late

	Unclosed []*ledger.BreachJSON `json:"unclosed,omitempty"` // breaches that no audit quorum has closed
	Closed   []Closed             `json:"closed,omitempty"`   // the last MaxLate breaches that one has closed
	Past     *Past                `json:"past,omitempty"`     // all breaches that are closed now; nil: none

	Custodians []Custodian `json:"custodians,omitempty"`
	Witnesses  []Witness   `json:"witnesses,omitempty"` // of the charter's policy
	// Asked: the log was asked what its auditors say. Auditors has the last answer of each key,
	// and Vouched the head that met the audit policy last. Unknown says what could not be read.
	Asked    bool           `json:"asked"`
	Auditors []Answer       `json:"auditors,omitempty"`
	Vouched  *audit.Vouched `json:"vouched,omitempty"`
	Unknown  []string       `json:"unknown,omitempty"`

	Total  Counts  `json:"total"`
	Months []Month `json:"months,omitempty"` // the last MaxMonths that have an entry, ascending

	// What the monitor says of its copy: its size, why it is not renewed or not read, whether
	// there is evidence that the log signed two heads of which neither extends the other,
	// whether the log serves a smaller head than the copy's, and whether the first charter is
	// the log's own word only.
	Copied   uint64 `json:"copied"`
	Failing  string `json:"failing,omitempty"`
	Forked   bool   `json:"forked,omitempty"`
	Back     bool   `json:"back,omitempty"`
	Unpinned bool   `json:"unpinned,omitempty"`
}

// Debt counts what a party owes by one way of a rule.
type Debt struct {
	By      string `json:"by"`
	Rule    string `json:"rule"`
	Way     string `json:"way"`
	Overdue uint64 `json:"overdue"`
	Due7    uint64 `json:"due7"`
	Due30   uint64 `json:"due30"`
	// First is the obligation that is overdue longest, Next the one that falls due next; nil: none.
	First *ledger.Obligation `json:"first,omitempty"`
	Next  *ledger.Obligation `json:"next,omitempty"`
}

// Past counts breaches that are closed. No breach is ever cured: each stays on record.
type Past struct {
	Breaches uint64 `json:"breaches"`
	ClosedBy uint64 `json:"closedBy"` // the least number of the charter's auditors that have closed one of them
}

// Head is a head of the log with the times that its witnesses prove.
type Head struct {
	Size          uint64    `json:"size"`
	Root          tlog.Hash `json:"root"`
	LoggedAfter   time.Time `json:"loggedAfter,omitzero"`
	ExistedBefore time.Time `json:"existedBefore,omitzero"`
	Unmet         string    `json:"unmet,omitempty"` // why the charter's witness policy does not accept it
}

// Charter is the charter in force.
type Charter struct {
	Version   uint64    `json:"version"`
	Index     uint64    `json:"index"`
	Leaf      tlog.Hash `json:"leaf"`
	Stale     uint64    `json:"stale"`     // seconds, of its profile
	Skew      uint64    `json:"skew"`      // seconds
	Auditors  uint64    `json:"auditors"`  // how many it names
	Audited   bool      `json:"audited"`   // it asks for auditors
	Witnessed bool      `json:"witnessed"` // it asks for witnesses
}

// Closed is a breach that an audit quorum has closed, by an entry that was logged after a time.
type Closed struct {
	ledger.BreachJSON
	Entry uint64    `json:"entry"`
	After time.Time `json:"after,omitzero"`
}

// Logged is an entry, and a time that was proven when it was logged.
type Logged struct {
	Index uint64    `json:"index"`
	After time.Time `json:"after,omitzero"`
}

// Custodian is the chain of a custodian's key. The chain has a gap if Stated or Waiting is not 0.
type Custodian struct {
	Custodian string    `json:"custodian"`
	Key       string    `json:"key"`              // its id
	Seq       uint64    `json:"seq"`              // releases in the chain
	Stated    uint64    `json:"stated,omitempty"` // how many the custodian has stated, if more
	Waiting   int       `json:"waiting"`          // releases after a gap
	Broken    bool      `json:"broken"`           // a stated release was never logged
	Ended     bool      `json:"ended"`            // no custodian holds the key any more
	Until     time.Time `json:"until"`            // the end of the last heartbeat's period
	Release   *Logged   `json:"release,omitempty"`
	Beat      *Logged   `json:"heartbeat,omitempty"`
}

// Witness is a witness of the charter, and the last head that it cosigned among those that this
// monitor has seen.
type Witness struct {
	Name   string    `json:"name"`
	Key    string    `json:"key"` // vkey
	Size   uint64    `json:"size"`
	Time   time.Time `json:"time,omitzero"`
	Behind uint64    `json:"behind"` // entries from there to the head
}

// Answer is the last answer of an auditor's key, of the head of a size: the log's word.
type Answer struct {
	round.Answer
	Size uint64 `json:"size"`
}

// Report returns the facts.
func (f *Facts) Report() *Report {
	r := &Report{Applied: f.applied, Head: f.head, Late: slices.Clone(f.late), Closed: slices.Clone(f.closed), Total: f.total.clone()}
	for i := range f.months {
		r.Months = append(r.Months, Month{f.months[i].Month, f.months[i].clone()})
	}
	f.parties(r)
	in := f.ledger.Charter()
	if in == nil {
		return r
	}
	r.Charter = &Charter{in.Version, in.Index, in.Leaf, in.Profile.Stale, in.Profile.Skew, uint64(len(auditors(in))), in.Auditors.NeedsWitnesses(), in.Witnesses.NeedsWitnesses()}
	if r.At = f.ledger.Time(); f.head != nil && f.head.LoggedAfter.After(r.At) {
		r.At = f.head.LoggedAfter
	}
	for c := in; c != nil && len(r.Charters) < MaxCharters; c = f.ledger.CharterAt(c.Index) {
		r.Charters = append(r.Charters, c)
	}
	f.obligations(r)
	for _, b := range f.ledger.Barred("", r.At) {
		if b.Breach != nil {
			r.Unclosed = append(r.Unclosed, b.Breach.JSON())
		}
	}
	f.ledger.Breaches(func(b *ledger.Breach, closed bool) {
		if closed {
			r.past(b, auditors(in))
		}
	})
	return r
}

// past counts a breach that is closed.
func (r *Report) past(b *ledger.Breach, auditors []string) {
	by := uint64(len(slices.DeleteFunc(b.ClosedBy(), func(name string) bool { return !slices.Contains(auditors, name) })))
	if r.Past == nil {
		r.Past = &Past{ClosedBy: by}
	}
	r.Past.Breaches++
	r.Past.ClosedBy = min(r.Past.ClosedBy, by)
}

// auditors returns the names of a charter's auditors.
func auditors(c *ledger.Charter) (names []string) {
	for i := range c.Parties {
		if c.Parties[i].Role == event.RoleAuditor {
			names = append(names, c.Parties[i].Name)
		}
	}
	return names
}

const day = 24 * time.Hour

func (f *Facts) obligations(r *Report) {
	overdue := f.ledger.Overdue(r.At)
	r.Overdue, r.Owed = uint64(len(overdue)), overdue[:min(len(overdue), MaxListed)]
	due, open := f.ledger.Due(r.At, r.At.Add(30*day))
	due = slices.DeleteFunc(due, func(o ledger.Obligation) bool { return o.Rule == "heartbeat" || o.Rule == "anchor" })
	at := make(map[[3]string]int) // of a debt in r.Debts
	debt := func(o *ledger.Obligation) *Debt {
		key := [3]string{o.By, o.Rule, o.Way}
		i, ok := at[key]
		if !ok {
			i, at[key] = len(r.Debts), len(r.Debts)
			r.Debts = append(r.Debts, Debt{By: o.By, Rule: o.Rule, Way: o.Way})
		}
		return &r.Debts[i]
	}
	for _, o := range overdue {
		d := debt(&o)
		if d.Overdue++; d.First == nil {
			d.First = &o
		}
	}
	for _, o := range due {
		d := debt(&o)
		if d.Due30++; d.Next == nil || o.Due.Before(d.Next.Due) {
			d.Next = &o
		}
		if !o.Due.After(r.At.Add(7 * day)) {
			d.Due7++
			r.Due7++
		}
	}
	r.Open, r.Due30, r.Due = open, uint64(len(due)), due[:min(len(due), MaxListed)]
}

// Owing counts, by rule, what is overdue and what falls due within 30 days.
func (r *Report) Owing(rule string) (overdue, due30 uint64) {
	for i := range r.Debts {
		if d := &r.Debts[i]; d.Rule == rule {
			overdue, due30 = overdue+d.Overdue, due30+d.Due30
		}
	}
	return overdue, due30
}

// parties fills in custodians, witnesses and auditors.
func (f *Facts) parties(r *Report) {
	for _, id := range f.ledger.KeyIDs() {
		if c, ok := f.ledger.Chain(id); ok {
			r.Custodians = append(r.Custodians, Custodian{Custodian: c.Custodian, Key: id, Seq: c.Seq, Stated: c.Stated, Waiting: c.Waiting,
				Broken: c.Broken, Ended: c.Ended, Until: c.Heartbeat, Release: f.last[id].Release, Beat: f.last[id].Beat})
		}
	}
	r.Witnesses = f.witnesses()
	f.Answers(r)
}

func (f *Facts) witnesses() (out []Witness) {
	for _, key := range slices.Sorted(maps.Keys(f.seen)) {
		w := f.seen[key]
		if f.head != nil {
			w.Behind = f.head.Size - w.Size
		}
		out = append(out, w)
	}
	return out
}

// Answers fills in what is known of the auditors.
func (f *Facts) Answers(r *Report) {
	r.Asked, r.Auditors, r.Vouched, r.Unknown = f.asked, slices.Clone(f.answers), f.vouched, f.unknown
}

// Verdict is what the first line of a report says.
type Verdict string

// The verdicts, in the order in which one hides another: WRONG, SILENT, LATE, OK.
const (
	OK     Verdict = "OK"
	Late   Verdict = "LATE"   // something is overdue
	Wrong  Verdict = "WRONG"  // a rule is broken and no audit quorum has closed it, or the log contradicts itself
	Silent Verdict = "SILENT" // what is known is too old, or not known at all
)

// Line is the first line of a report: a verdict, and why. The first reason is the verdict's.
type Line struct {
	Verdict Verdict  `json:"verdict"`
	Reasons []Reason `json:"reasons"`
}

// Reason is a reason in English. A translation has a sentence for each code, whose figures are in the
// report.
type Reason struct {
	Code string `json:"code"`
	Text string `json:"text"`
}

// Codes of reasons.
const (
	ReasonFork      = "fork"      // Report.Forked
	ReasonBreach    = "breach"    // Report.Unclosed
	ReasonReading   = "reading"   // the copy is not read yet
	ReasonHead      = "head"      // there is no head
	ReasonCharter   = "charter"   // there is no charter
	ReasonWitnesses = "witnesses" // Head.Unmet
	ReasonTime      = "time"      // no time of the head is proven
	ReasonStale     = "stale"     // the head is too old
	ReasonClock     = "clock"     // the reader's clock is behind the head
	ReasonAuditors  = "auditors"  // the auditors do not vouch, or not lately
	ReasonUnknown   = "unknown"   // Report.Unknown
	ReasonAnswer    = "answer"    // an auditor that did not cosign: Report.Auditors
	ReasonCopy      = "copy"      // Report.Failing
	ReasonOverdue   = "overdue"   // Report.Owed
	ReasonClean     = "clean"     // nothing is wrong, silent or late
	ReasonPast      = "past"      // Report.Past, whatever the verdict
	ReasonVouched   = "vouched"   // Report.Vouched
	ReasonUnpinned  = "unpinned"  // Report.Unpinned
)

func (l *Line) add(v Verdict, code, format string, args ...any) {
	if l.Verdict == "" {
		l.Verdict = v
	}
	l.Reasons = append(l.Reasons, Reason{code, fmt.Sprintf(format, args...)})
}

// Line returns the first line at a time, that of the reader. Silence is never OK: a log is OK
// only as long as its head, and the word of its auditors, are no older than the profile's stale.
func (r *Report) Line(now time.Time) (l Line) {
	if r.Forked {
		l.add(Wrong, ReasonFork, "the log has signed two heads of which neither extends the other")
	}
	if n := len(r.Unclosed); n > 0 {
		b := r.Unclosed[0]
		l.add(Wrong, ReasonBreach, "%s; the first: %s has broken %s at entry %d: %s", count(uint64(n), "breach is not closed", "breaches are not closed"), ledger.Party(b.By), b.Rule, b.Index, b.Text)
	}
	r.silent(&l, now)
	if r.Overdue > 0 {
		o := &r.Owed[0]
		l.add(Late, ReasonOverdue, "%s at %s; the first: %s owes %s since %s: %s", count(r.Overdue, "obligation is overdue", "obligations are overdue"),
			stamp(r.At), ledger.Party(o.By), o.Rule, stamp(o.Late), o.Text)
	}
	if l.Verdict == "" {
		l.add(OK, ReasonClean, "nothing is overdue and no breach is open in the first %d entries, as of %s", r.Applied, stamp(r.At))
		switch {
		case r.Vouched != nil:
			who := "the auditors vouch"
			if n := len(r.Vouched.By); n > 0 {
				who = fmt.Sprintf("%d of %s", n, count(r.Charter.Auditors, "auditor vouches", "auditors vouch"))
			}
			l.add(OK, ReasonVouched, "%s for the first %d entries, at %s or later", who, r.Vouched.Size, stamp(r.Vouched.At))
			for _, a := range r.Declining(false) {
				l.add(OK, ReasonAnswer, "auditor %s: %s (%s)", a.Auditor, a.Kind, a.Text)
			}
		case r.Charter.Audited:
			l.add(OK, ReasonUnknown, "what the auditors say is not known")
		}
	}
	if p := r.Past; p != nil {
		l.add(l.Verdict, ReasonPast, "%s and never cured; each is closed, by at least %d of %s", count(p.Breaches, "rule was broken", "rules were broken"),
			p.ClosedBy, count(r.Charter.Auditors, "auditor", "auditors"))
	}
	if r.Unpinned {
		l.add(l.Verdict, ReasonUnpinned, "unpinned: the log's first charter was not compared with the founders', so this may be another log than theirs")
	}
	return l
}

// silent adds why what is known is too old.
func (r *Report) silent(l *Line, now time.Time) {
	c := r.Charter
	stale := func(t time.Time) bool { return now.Sub(t) > time.Duration(min(c.Stale, 1<<33))*time.Second }
	switch {
	case r.Head == nil && r.Copied > 0:
		l.add(Silent, ReasonReading, "%d of %d entries are read so far", r.Applied, r.Copied)
	case r.Head == nil:
		l.add(Silent, ReasonHead, "no head of the log was accepted yet")
	case c == nil:
		l.add(Silent, ReasonCharter, "the log has no charter")
	case r.Head.Unmet != "":
		l.add(Silent, ReasonWitnesses, "the witnesses of the charter do not cosign the head of %d entries: %s", r.Head.Size, r.Head.Unmet)
	case !c.Witnessed || r.Head.LoggedAfter.IsZero():
		l.add(Silent, ReasonTime, "no witness proves a time, so the age of the head is not known")
	case stale(r.Head.LoggedAfter):
		l.add(Silent, ReasonStale, "witnesses saw the last head at %s, more than %d seconds ago", stamp(r.Head.LoggedAfter), c.Stale)
	case r.Head.LoggedAfter.Sub(now) > time.Duration(min(c.Skew, 1<<33))*time.Second:
		l.add(Silent, ReasonClock, "witnesses signed the head at %s, and this machine's clock says %s, so its age is not known", stamp(r.Head.LoggedAfter), stamp(now.UTC()))
	}
	if c != nil && c.Audited {
		r.unvouched(l, now, stale)
	}
	if l.Verdict == Silent && r.Failing != "" {
		l.add(Silent, ReasonCopy, "%s", r.Failing)
	}
}

// unvouched adds that the auditors are silent, unless there was no log to ask.
func (r *Report) unvouched(l *Line, now time.Time, stale func(time.Time) bool) {
	ahead := time.Duration(min(r.Charter.Skew, 1<<33)) * time.Second
	switch {
	case r.Vouched != nil && r.Vouched.At.Sub(now) > ahead:
		l.add(Silent, ReasonClock, "auditors vouched at %s, and this machine's clock says %s, so the age of that is not known", stamp(r.Vouched.At), stamp(now.UTC()))
	case r.Vouched != nil && stale(r.Vouched.At):
		l.add(Silent, ReasonAuditors, "the auditors vouched last at %s, for the first %d entries", stamp(r.Vouched.At), r.Vouched.Size)
	case r.Vouched == nil && r.Asked:
		l.add(Silent, ReasonAuditors, "no head is known that the auditors vouch for")
	default:
		return
	}
	for _, why := range r.Unknown {
		l.add(Silent, ReasonUnknown, "%s", why)
	}
	for _, a := range r.Declining(true) {
		l.add(Silent, ReasonAnswer, "auditor %s: %s (%s)", a.Auditor, a.Kind, a.Text)
	}
}

// Declining returns the answers that are not cosignatures. It leaves out silent auditors unless silent
// is set: each auditor is silent when a round begins.
func (r *Report) Declining(silent bool) (out []*Answer) {
	for i := range r.Auditors {
		if a := &r.Auditors[i]; a.Kind != round.Cosigned && (silent || a.Kind != round.Silent) {
			out = append(out, a)
		}
	}
	return out
}

func stamp(t time.Time) string { return t.Format(time.RFC3339) }

func count(n uint64, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprint(n, " ", more)
}
