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

// breaches is the list of breaches on record.
func breaches(q *Request) (*Answer, error) {
	f, page, err := q.breachFilter()
	if err != nil {
		return nil, err
	}
	v, err := q.indexed()
	if err != nil {
		return nil, err
	}
	defer v.Close()
	found, err := v.Breaches(q.HTTP.Context(), f)
	if err != nil {
		return nil, err
	}
	l := &list[breachRow]{}
	l.filter.q, l.First, l.Total, l.Page = q, f.Offset+1, found.Total, page
	l.CSV = q.export("breaches.csv", v.Size())
	if err := q.breachChoices(v, &l.filter); err != nil {
		return nil, err
	}
	for i := range found.Rows {
		l.Rows = append(l.Rows, q.breachRow(&found.Rows[i]))
	}
	l.Columns = q.columns(f.Window, [2]string{"list.index", "index"}, [2]string{"breaches.rule"}, [2]string{"breaches.party"}, [2]string{"breaches.since"},
		[2]string{"list.state"}, [2]string{"breaches.bars"})
	return q.fixed(v, "breaches", l), nil
}

// rulesVersion is the version of the rules that a list can be filtered by.
const rulesVersion = 2

// breachFilter returns the filter of a request for breaches.
func (q *Request) breachFilter() (f index.BreachFilter, page uint64, err error) {
	if f.Window, page, err = q.window("index"); err != nil {
		return f, 0, err
	}
	f.Rule, f.By = q.Get("rule"), q.Get("by")
	switch q.Get("state") {
	case "":
	case "open":
		f.Unclosed = true
	case "closed":
		f.Closed = true
	default:
		return f, 0, errFilter
	}
	return f, page, nil
}

// breachChoices adds what breaches can be filtered by.
func (q *Request) breachChoices(v *index.View, f *filter) error {
	var rules []option
	for _, r := range ledger.Rules(rulesVersion) {
		rules = append(rules, option{r.Name, q.T("broken." + r.Name)})
	}
	f.choose("state", "list.state", option{"open", q.T("breaches.open")}, option{"closed", q.T("breaches.closed")})
	f.choose("rule", "breaches.rule", rules...)
	return q.parties(v, "breaches.party", f, true)
}

// breachRow puts a breach into words.
func (q *Request) breachRow(b *index.BreachRow) breachRow {
	r := breachRow{BreachRow: *b, Broken: q.named("broken.", b.Rule), Party: q.Party(b.By), Status: q.T("breaches.open"), Bars: q.T("breaches.bars.open")}
	if b.Closed {
		r.Status, r.Bars = q.T("breaches.closed"), q.T("breaches.bars.closed")
	}
	if by := strings.Join(b.ClosedBy, ", "); by != "" {
		r.Status = q.T("breaches.by", r.Status, by)
	}
	return r
}

// breachesCSV is the export of a list of breaches.
func breachesCSV(q *Request) (*Answer, error) {
	f, _, err := q.breachFilter()
	if err != nil {
		return nil, err
	}
	return exported(q, f.Window, &table[index.BreachRow]{
		name: "breaches.csv", columns: []string{"list.index", "breaches.rule", "breaches.party", "breaches.since", "breaches.seen", "list.state", "list.ended-by", "breaches.bars", "list.what"},
		read: func(v *index.View, w index.Window) (index.Page[index.BreachRow], error) {
			f.Window = w
			return v.Breaches(q.HTTP.Context(), f)
		},
		cells: func(b *index.BreachRow) []string {
			r, closed := q.breachRow(b), ""
			if b.Closed {
				closed = q.Number(b.ClosedAt)
			}
			return []string{q.Number(b.Index), r.Broken, r.Party, stamp(b.SeenAfter), q.Number(b.Seen), r.Status, closed, r.Bars, b.Text}
		},
	})
}
