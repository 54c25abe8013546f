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

// dutyList is the page of a list of duties.
type dutyList struct {
	list[dutyRow]
	At time.Time // what is overdue, is at this time
}

// duties is the list of duties.
func duties(q *Request) (*Answer, error) {
	f, page, err := q.dutyFilter()
	if err != nil {
		return nil, err
	}
	v, err := q.indexed()
	if err != nil {
		return nil, err
	}
	defer v.Close()
	f.Until = v.At().AddDate(0, 0, 30)
	found, err := v.Duties(q.HTTP.Context(), f)
	if err != nil {
		return nil, err
	}
	l := &dutyList{At: v.At()}
	l.filter.q, l.First, l.Total, l.Page = q, f.Offset+1, found.Total, page
	l.CSV = q.export("duties.csv", v.Size())
	if err := q.dutyChoices(v, &l.filter); err != nil {
		return nil, err
	}
	for i := range found.Rows {
		l.Rows = append(l.Rows, q.dutyRow(&found.Rows[i], v.At()))
	}
	l.Columns = q.columns(f.Window, [2]string{"list.index", "index"}, [2]string{"list.state"}, [2]string{"list.rule"}, [2]string{"list.debtor"}, [2]string{"list.due", "due"},
		[2]string{"list.late-after", "late"}, [2]string{"list.late-for"}, [2]string{"list.ended-by", "ended"})
	return q.fixed(v, "duties", l), nil
}

// dutyRules are the rules by which duties are owed.
var dutyRules = []string{"disclosure", "return", "emergency", "heartbeat", "missing-release", "anchor"}

var dutyStates = []index.DutyState{index.DutyOpen, index.DutyOverdue, index.DutyDue, index.DutySettled, index.DutyLate, index.DutyLapsed}

// dutyFilter returns the filter of a request for duties.
func (q *Request) dutyFilter() (f index.DutyFilter, page uint64, err error) {
	if f.Window, page, err = q.window("index", "due", "late", "ended"); err != nil {
		return f, 0, err
	}
	f.State, f.By = index.DutyState(q.Get("state")), q.Get("by")
	if f.State != index.AnyDuty && !slices.Contains(dutyStates, f.State) {
		return f, 0, errFilter
	}
	if rule := q.Get("rule"); rule != "" {
		f.Rules = []string{rule}
	}
	f.EndedFrom, f.EndedTo, err = monthOf(q.Get("month"))
	return f, page, err
}

// dutyChoices adds what duties can be filtered by. Debtors are the parties that have signed an event.
func (q *Request) dutyChoices(v *index.View, f *filter) error {
	var states, rules []option
	for _, s := range dutyStates {
		states = append(states, option{string(s), q.T("state." + string(s))})
	}
	f.choose("state", "list.state", states...)
	for _, r := range dutyRules {
		rules = append(rules, option{r, q.T("rule." + r)})
	}
	f.choose("rule", "list.rule", rules...)
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
	r := dutyRow{Duty: *d, What: q.Owes(&d.Obligation), Party: q.Party(d.By), Status: q.named("state.", string(d.State))}
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
