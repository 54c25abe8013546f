// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package desk

import (
	"slices"
	"strings"
	"time"

	"github.com/vasistas/vasistas/client/monitor/facts"
	"github.com/vasistas/vasistas/client/monitor/index"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
)

// An entryRow is an entry in a list, in the words of a language.
type entryRow struct {
	index.Entry
	Kind   string // its type
	Party  string // who signed
	States []labelled
}

// labelled is a text with a label, and a link if it is about an entry.
type labelled struct{ Label, Text, Link string }

// exportedMembers are the members that have a column in an export.
var exportedMembers = []string{"addressed", "decision", "instrument", "offence", "category", "emergency", "group", "scope", "reason", "outcome", "ground", "rule", "state", "agency"}

func entryListing(q *Request) (*listing[index.Entry, entryRow], error) {
	f, err := q.entryFilter()
	columns := []string{"list.index", "list.type", "list.party", "list.after", "list.before", "list.claimed", "list.verdict"}
	for _, m := range exportedMembers {
		columns = append(columns, "field."+m)
	}
	return &listing[index.Entry, entryRow]{
		read: func(v *index.View, w index.Window) (index.Page[index.Entry], error) {
			f.Window = w
			return v.Entries(q.HTTP.Context(), f)
		},
		choices: q.entryChoices,
		heads: []head{{"list.index", "index"}, {key: "list.type"}, {key: "list.party"}, {key: "list.what"}, {key: "list.after"}, {key: "list.claimed"},
			{key: "list.verdict"}},
		row:     func(_ *index.View, e *index.Entry) entryRow { return q.entryRow(*e) },
		columns: append(columns, "type.access", "type.warrant", "field.court", "entry.leaf"),
		cells: func(e *index.Entry) []string {
			cells := []string{q.Number(e.Index), q.kind(e.Type), q.signers(e), stamp(e.After), stamp(e.Before), stamp(e.Claimed), q.Judged(*e)}
			for _, m := range exportedMembers {
				cells = append(cells, values(e.Names, m))
			}
			return append(cells, number(e.Access), number(e.Warrant), clean(e.Court), e.Leaf.String())
		},
	}, err
}

func (q *Request) entryFilter() (f index.Filter, err error) {
	if t := event.Type(q.Get("type")); t != "" {
		f.Types = []event.Type{t}
	}
	if f.From, f.To, err = monthOf(q.Get("month")); err != nil {
		return f, err
	}
	f.Verdict = index.Verdict(q.Get("verdict"))
	if by := q.Get("party"); by != "" {
		role, name, ok := strings.Cut(by, " ")
		if !ok || !isRole(role) {
			return f, errFilter
		}
		f.Names = append(f.Names, facts.Name{Member: role, Value: name})
	}
	for _, member := range filteredMembers {
		if s := q.Get(member); s != "" {
			f.Names = append(f.Names, facts.Name{Member: member, Value: s})
		}
	}
	return f, nil
}

// filteredMembers are the members by which entries can be filtered.
var filteredMembers = []string{"instrument", "offence", "category"}

var verdicts = []index.Verdict{index.Kept, index.Breach, index.NoEffect, index.Unreadable}

// verdict returns the text of a verdict.
func (l *Lang) verdict(v index.Verdict) string {
	return l.Name("verdict.", strings.ReplaceAll(string(v), " ", "-"))
}

// Judged returns the text of an entry's verdict, or of a breach that a later entry has shown.
func (l *Lang) Judged(e index.Entry) string {
	if e.Broken && e.Verdict == index.Kept {
		return l.T("verdict.later")
	}
	return l.verdict(e.Verdict)
}

func (q *Request) entryChoices(v *index.View, f *filter) error {
	f.choose("type", "list.type", options(event.Types(), q.kind)...)
	var parties []option
	for _, role := range roles {
		names, err := v.Values(q.HTTP.Context(), "", string(role))
		if err != nil {
			return err
		}
		for _, name := range names[:min(len(names), maxOptions/2)] {
			by := string(role) + " " + name
			parties = append(parties, option{by, q.T("by."+string(role), name)})
		}
	}
	f.choose("party", "list.party", parties...)
	months, err := q.months(v)
	if err != nil {
		return err
	}
	f.choose("month", "list.month", months...)
	for _, member := range filteredMembers {
		values, err := v.Values(q.HTTP.Context(), "", member)
		if err != nil {
			return err
		}
		f.choose(member, "list."+member, options(values, func(value string) string { return q.Name(member+".", value) })...)
	}
	f.choose("verdict", "list.verdict", options(verdicts, q.verdict)...)
	return nil
}

// kind names a type of entries.
func (l *Lang) kind(t event.Type) string {
	if t == "" {
		return l.T("type.unreadable")
	}
	return l.Name("type.", string(t))
}

func (q *Request) entryRow(e index.Entry) entryRow {
	r := entryRow{Entry: e, Kind: q.kind(e.Type), Party: q.signers(&e)}
	for _, n := range e.Names {
		if !isRole(n.Member) {
			r.States = append(r.States, labelled{Label: q.Name("field.", n.Member), Text: q.code(n.Member, n.Value)})
		}
	}
	if e.Agency != "" && !slices.ContainsFunc(e.Names, func(n facts.Name) bool { return n.Member == "agency" }) {
		r.States = append(r.States, labelled{Label: q.T("field.agency"), Text: clean(e.Agency)})
	}
	about := func(t event.Type, index uint64, more string) {
		if index > 0 {
			r.States = append(r.States, labelled{q.kind(t), q.N(index) + more, q.Link("entry/" + number(index))})
		}
	}
	about(event.TypeAccess, e.Access, "")
	court := ""
	if e.Court != "" {
		court = " (" + clean(e.Court) + ")"
	}
	about(event.TypeWarrant, e.Warrant, court)
	return r
}

// A dutyRow is a duty in words.
type dutyRow struct {
	index.Duty
	What, Party, Status string
	Over                string // for how long it was or is late; "" if it is not
}

func dutyListing(q *Request) (*listing[index.Duty, dutyRow], error) {
	f, err := q.dutyFilter()
	return &listing[index.Duty, dutyRow]{
		read: func(v *index.View, w index.Window) (index.Page[index.Duty], error) {
			f.Window, f.Until = w, v.At().AddDate(0, 0, 30)
			return v.Duties(q.HTTP.Context(), f)
		},
		choices: q.dutyChoices,
		heads: []head{{"list.index", "index"}, {key: "list.state"}, {key: "list.rule"}, {key: "list.debtor"}, {"list.due", "due"}, {"list.late-after", "late"},
			{key: "list.late-for"}, {"list.ended-by", "ended"}},
		row:     func(v *index.View, d *index.Duty) dutyRow { return q.dutyRow(d, v.At()) },
		columns: []string{"list.index", "list.rule", "list.what", "list.debtor", "list.due", "list.late-after", "list.state", "list.late-since", "list.ended-by", "list.ended-after"},
		cells: func(d *index.Duty) []string {
			return []string{q.Number(d.Index), q.Rule(d.Rule), q.Owes(&d.Obligation), q.Party(d.By), stamp(d.Due), stamp(d.Late),
				q.Name("state.", string(d.State)), stamp(d.LateSince), number(d.Ended), stamp(d.EndedAfter)}
		},
	}, err
}

// dutyRules are the rules by which duties are owed.
var dutyRules = []string{"disclosure", "return", "emergency", "heartbeat", "missing-release", "anchor"}

var dutyStates = []index.DutyState{index.DutyOpen, index.DutyOverdue, index.DutyDue, index.DutySettled, index.DutyLate, index.DutyLapsed}

func (q *Request) dutyFilter() (f index.DutyFilter, err error) {
	f.State, f.By = index.DutyState(q.Get("state")), q.Get("by")
	if f.State != index.AnyDuty && !slices.Contains(dutyStates, f.State) {
		return f, errFilter
	}
	if rule := q.Get("rule"); rule != "" {
		f.Rules = []string{rule}
	}
	f.EndedFrom, f.EndedTo, err = monthOf(q.Get("month"))
	return f, err
}

// dutyChoices adds what duties can be filtered by. Debtors are the parties that have signed an event.
func (q *Request) dutyChoices(v *index.View, f *filter) error {
	f.choose("state", "list.state", options(dutyStates, func(s index.DutyState) string { return q.Name("state.", string(s)) })...)
	f.choose("rule", "list.rule", options(dutyRules, q.Rule)...)
	if err := q.parties(v, "list.debtor", f, false); err != nil {
		return err
	}
	months, err := q.months(v)
	f.choose("month", "list.ended-month", months...)
	return err
}

// parties adds a filter by the parties that have signed an event, and the log. What a custodian owes may be the
// log's fault; for a breach each party may also answer alone.
func (q *Request) parties(v *index.View, label string, f *filter, alone bool) error {
	owing := []event.Role{event.RoleProvider, event.RoleAuthority, event.RoleCustodian}
	if alone {
		owing = append(owing, event.RoleDuty, event.RoleAuditor)
	}
	var all []option
	for _, role := range owing {
		names, err := v.Values(q.HTTP.Context(), "", string(role))
		if err != nil {
			return err
		}
		for _, name := range names[:min(len(names), maxOptions/2)] {
			by := string(role) + " " + name
			if role != event.RoleCustodian || alone {
				all = append(all, option{by, q.Party(by)})
			}
			if role == event.RoleCustodian {
				by += " or " + ledger.Log
				all = append(all, option{by, q.Party(by)})
			}
		}
	}
	f.choose("by", label, append(all, option{ledger.Log, q.Party(ledger.Log)})...)
	return nil
}

// dutyRow puts a duty into words. Overdue is what is owed after Late, at the time at.
func (q *Request) dutyRow(d *index.Duty, at time.Time) dutyRow {
	r := dutyRow{Duty: *d, What: q.Owes(&d.Obligation), Party: q.Party(d.By), Status: q.Name("state.", string(d.State))}
	switch {
	case d.State == index.DutyOverdue:
		r.Over = q.Span(at.Sub(d.Late))
	case d.LateSince.After(d.EndedAfter): // no anchor has proved the obligation late
		r.Over = q.T("late.claimed", q.Span(d.LateSince.Sub(d.Due)))
	case !d.LateSince.IsZero():
		r.Over = q.Span(d.EndedAfter.Sub(d.Due))
	}
	return r
}

// A breachRow is a breach on record in words.
type breachRow struct {
	index.BreachRow
	Broken, Party, Status, Bars string
}

func breachListing(q *Request) (*listing[index.BreachRow, breachRow], error) {
	f, err := q.breachFilter()
	return &listing[index.BreachRow, breachRow]{
		read: func(v *index.View, w index.Window) (index.Page[index.BreachRow], error) {
			f.Window = w
			return v.Breaches(q.HTTP.Context(), f)
		},
		choices: q.breachChoices,
		heads:   []head{{"list.index", "index"}, {key: "breaches.rule"}, {key: "breaches.party"}, {key: "breaches.since"}, {key: "list.state"}, {key: "breaches.bars"}},
		row:     func(_ *index.View, b *index.BreachRow) breachRow { return q.breachRow(b) },
		columns: []string{"list.index", "breaches.rule", "breaches.party", "breaches.since", "breaches.seen", "list.state", "list.ended-by", "breaches.bars", "list.what"},
		cells: func(b *index.BreachRow) []string {
			r, closed := q.breachRow(b), ""
			if b.Closed {
				closed = q.Number(b.ClosedAt)
			}
			return []string{q.Number(b.Index), r.Broken, r.Party, stamp(b.SeenAfter), q.Number(b.Seen), r.Status, closed, r.Bars, b.Text}
		},
	}, err
}

// rulesVersion is the version of the rules that a list can be filtered by.
const rulesVersion = 2

func (q *Request) breachFilter() (f index.BreachFilter, err error) {
	f.Rule, f.By = q.Get("rule"), q.Get("by")
	switch q.Get("state") {
	case "":
	case "open":
		f.Unclosed = true
	case "closed":
		f.Closed = true
	default:
		err = errFilter
	}
	return f, err
}

func (q *Request) breachChoices(v *index.View, f *filter) error {
	var rules []string
	for _, r := range ledger.Rules(rulesVersion) {
		rules = append(rules, r.Name)
	}
	f.choose("state", "list.state", option{"open", q.T("breaches.open")}, option{"closed", q.T("breaches.closed")})
	f.choose("rule", "breaches.rule", options(rules, func(rule string) string { return q.Name("broken.", rule) })...)
	return q.parties(v, "breaches.party", f, true)
}

func (q *Request) breachRow(b *index.BreachRow) breachRow {
	r := breachRow{BreachRow: *b, Broken: q.Name("broken.", b.Rule), Party: q.Party(b.By), Status: q.T("breaches.open"), Bars: q.T("breaches.bars.open")}
	if b.Closed {
		r.Status, r.Bars = q.T("breaches.closed"), q.T("breaches.bars.closed")
	}
	if by := strings.Join(b.ClosedBy, ", "); by != "" {
		r.Status = q.T("breaches.by", r.Status, by)
	}
	return r
}

// timelineShown is the number of events on one page of the timeline.
const timelineShown = 100

// A timelinePage has events by month, the newest first.
type timelinePage struct {
	Months []timelineMonth
	Page   uint64
	More   bool
	Quiet  bool // without heartbeats and anchors
}

type timelineMonth struct {
	Name    string
	Entries []entryRow
}

// timeline is the page of what happened, by month of proven times.
func timeline(q *Request, v *index.View) (any, error) {
	w, page, err := q.window("index")
	if err != nil {
		return nil, err
	}
	w.Desc, w.Limit, w.Offset = true, timelineShown, (page-1)*timelineShown
	f := index.Filter{Window: w}
	p := &timelinePage{Page: page, Quiet: q.Get("all") == ""}
	for _, t := range event.Types() {
		if t != event.TypeHeartbeat && t != event.TypeAnchor {
			f.Types = append(f.Types, t)
		}
	}
	if !p.Quiet {
		f.Types = nil
	}
	found, err := v.Entries(q.HTTP.Context(), f)
	if err != nil {
		return nil, err
	}
	p.More = f.Offset+uint64(len(found.Rows)) < found.Total
	for _, e := range found.Rows {
		name := q.month(monthName(e.After))
		if n := len(p.Months); n == 0 || p.Months[n-1].Name != name {
			p.Months = append(p.Months, timelineMonth{Name: name})
		}
		m := &p.Months[len(p.Months)-1]
		m.Entries = append(m.Entries, q.entryRow(e))
	}
	return p, nil
}

func monthName(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format("2006-01")
}
