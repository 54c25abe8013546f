// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package desk

import (
	"strings"

	"github.com/vasistas/vasistas/client/monitor/index"
	"github.com/vasistas/vasistas/log/ledger"
)

// A breachRow is a breach on record in words.
type breachRow struct {
	index.BreachRow
	Broken, Party, Status, Bars string
}

// breachListing is the list of breaches on record.
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

// breachFilter returns the filter of a request for breaches.
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

// breachChoices adds what breaches can be filtered by.
func (q *Request) breachChoices(v *index.View, f *filter) error {
	var rules []string
	for _, r := range ledger.Rules(rulesVersion) {
		rules = append(rules, r.Name)
	}
	f.choose("state", "list.state", option{"open", q.T("breaches.open")}, option{"closed", q.T("breaches.closed")})
	f.choose("rule", "breaches.rule", options(rules, func(rule string) string { return q.Name("broken.", rule) })...)
	return q.parties(v, "breaches.party", f, true)
}

// breachRow puts a breach into words.
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
