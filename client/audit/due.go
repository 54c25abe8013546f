// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"time"

	"github.com/vasistas/vasistas/log/ledger"
)

// States of what is owed.
const (
	DueOverdue = "overdue" // its grace is over
	DueSoon    = "due"     // its date comes within the time asked for, or it is past and in its grace
	DueSealed  = "sealed"  // a disclosure of a later date: sealed until then
	DueLater   = "later"   // any other obligation of a later date
)

// Due is what the parties of an audited log owe. Names and meanings of its JSON members are
// stable; members may be added.
type Due struct {
	// Verdict is overdue, nothing overdue, or undecided: then Items may be old, or none.
	Verdict string    `json:"verdict"`
	Reasons []Reason  `json:"reasons,omitempty"` // why the audit is undecided
	Log     *Log      `json:"log,omitempty"`     // absent: no head was accepted
	At      time.Time `json:"at,omitzero"`       // for which Items holds: the latest proven time; zero: none
	// The times of the head, as in Report.
	LoggedAfter string `json:"loggedAfter,omitempty"`
	Age         *int64 `json:"age,omitempty"`
	MaxAge      int64  `json:"maxAge,omitempty"`

	Within  int64     `json:"within"`   // seconds from At
	Overdue uint64    `json:"overdue"`  // how many of Items are
	Broken  uint64    `json:"breaches"` // as in Report: they are not among Items
	Forked  bool      `json:"forked,omitempty"`
	Never   uint64    `json:"never"` // releases that are sealed without end
	Items   []DueItem `json:"items"` // in order of Late
}

// A DueItem is an obligation with its state.
type DueItem struct {
	State string `json:"state"`
	ledger.Obligation
	// InVault says whether the log's vault has what a disclosure opens; absent: that was not asked.
	InVault *bool `json:"inVault,omitempty"`
}

// Result returns the verdict as an audit's: Violations if something is overdue.
func (d *Due) Result() Verdict {
	switch {
	case d.Overdue > 0:
		return Violations
	case len(d.Reasons) > 0 || d.At.IsZero() || d.Forked:
		return Undecided
	}
	return Clean
}

// ever is later than all that can be due.
var ever = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// Due returns what is owed by the ledger of the audit, which Config.Observe got; nil if it got
// none. within bounds the state due.
func (r *Report) Due(l *ledger.Ledger, within time.Duration) *Due {
	d := &Due{Reasons: r.Reasons, Log: r.Log, LoggedAfter: r.LoggedAfter, Age: r.Age, MaxAge: r.MaxAge,
		Within: int64(within / time.Second), Broken: r.Breaches, Forked: r.Fork != nil, Items: []DueItem{}}
	if at, err := time.Parse(time.RFC3339, r.OverdueAt); err == nil && l != nil {
		d.At = at
		for _, o := range l.Overdue(at) {
			d.Items = append(d.Items, DueItem{State: DueOverdue, Obligation: o})
		}
		d.Overdue, d.Never = uint64(len(d.Items)), l.Outstanding().Never
		rest, _ := l.Due(at, ever)
		for _, o := range rest {
			state := DueLater
			switch {
			case !o.Due.After(at.Add(within)):
				state = DueSoon
			case o.Rule == "disclosure":
				state = DueSealed
			}
			d.Items = append(d.Items, DueItem{State: state, Obligation: o})
		}
	}
	d.Verdict = [...]string{"nothing overdue", "overdue", "undecided"}[d.Result()]
	return d
}
