// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package desk

import (
	"slices"
	"time"

	"github.com/vasistas/vasistas/client/monitor/index"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
)

// A dutyRow is a duty in words.
type dutyRow struct {
	index.Duty
	What, Party, Status string
	Over                string // for how long it was or is late; "" if it is not
}

// dutyListing is the list of duties.
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

// dutyFilter returns the filter of a request for duties.
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
