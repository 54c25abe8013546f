// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package desk

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vasistas/vasistas/client/monitor/facts"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
)

// What the first screen lists of each kind. All are counted, and listed on the pages behind it.
const (
	maxOwed    = 8 // one by one; more are counted by debtor and rule
	maxNamed   = 8
	maxMost    = 3 // names in the line of a kind
	maxChanged = 2 // charters
)

// firstData is what the first screen shows in addition to the facts.
type firstData struct {
	Overdue, Due *owedTable
	Cured        Cured
	Names        *Names // nil: no time is proven
	Sealed       Sealed
	Charters     []Amended
}

// An owedTable has obligations of one state.
type owedTable struct {
	Columns []string // keys of texts
	Rows    []owedRow
	More    uint64 // rows that it lacks
	State   string // parameter of the list that has all rows
}

// An owedRow is an obligation, or several of one debtor by one rule.
type owedRow struct {
	Who        string
	What, Link string
	When, Then string // in the third and the fourth column
	ThenLink   string
}

// Cured counts what was late.
type Cured struct {
	Month, Ever, Lapsed uint64
	Table               *owedTable
}

// Sealed says what is still to be disclosed.
type Sealed struct {
	Open, Deferred, Never uint64
	Soon                  uint64    // those of Open that fall due within 30 days
	Next                  time.Time // when the first of Soon falls due
}

func first(q *Request) (*Answer, error) {
	r := q.Report()
	d := &firstData{
		Overdue:  q.overdue(r),
		Due:      q.due(r),
		Cured:    q.cured(r),
		Names:    q.names(r),
		Sealed:   sealed(r),
		Charters: limit(q.amended(r), maxChanged),
	}
	return &Answer{Template: "first", Data: d}, nil
}

func limit[T any](list []T, n int) []T { return list[:min(len(list), n)] }

func (t *owedTable) add(q *Request, o *ledger.Obligation, when string) *owedRow {
	t.Rows = append(t.Rows, owedRow{Who: q.Party(o.By), What: q.Owes(o), Link: q.Link("entry/" + strconv.FormatUint(o.Index, 10)), When: when})
	return &t.Rows[len(t.Rows)-1]
}

// group appends a row for n obligations like one, unless the table is full. key names the text around when.
func (t *owedTable) group(q *Request, n uint64, like *ledger.Obligation, key, when string) *owedRow {
	switch {
	case len(t.Rows) == maxOwed:
		t.More += n
		return new(owedRow)
	case n == 1:
		return t.add(q, like, when)
	}
	rule := q.Rule(like.Rule)
	if like.Way == "notices" {
		rule = q.T("rule.notices")
	}
	t.Rows = append(t.Rows, owedRow{Who: q.Party(like.By), What: q.T("owed.several", n, rule),
		Link: q.Link("duties", "state", t.State, "rule", like.Rule, "by", like.By), When: q.T(key, when)})
	return &t.Rows[len(t.Rows)-1]
}

func (q *Request) overdue(r *facts.Report) *owedTable {
	t := &owedTable{Columns: []string{"owed.who", "owed.what", "owed.since", "owed.cure"}, State: "overdue"}
	if r.Overdue <= maxOwed {
		for i := range r.Owed {
			t.add(q, &r.Owed[i], q.When(r.Owed[i].Late)).Then = q.Cure(&r.Owed[i])
		}
		return t
	}
	for i := range r.Debts {
		if d := &r.Debts[i]; d.First != nil {
			t.group(q, d.Overdue, d.First, "owed.first", q.When(d.First.Late)).Then = q.Cure(d.First)
		}
	}
	return t
}

func (q *Request) due(r *facts.Report) *owedTable {
	t := &owedTable{Columns: []string{"owed.who", "owed.what", "owed.by"}, State: "due"}
	if r.Due30 <= maxOwed {
		for i := range r.Due {
			t.add(q, &r.Due[i], q.When(r.Due[i].Due))
		}
		return t
	}
	for i := range r.Debts {
		if d := &r.Debts[i]; d.Next != nil {
			t.group(q, d.Due30, d.Next, "owed.first", q.When(d.Next.Due))
		}
	}
	return t
}

func (q *Request) cured(r *facts.Report) (c Cured) {
	for _, o := range r.Total.Owed {
		c.Ever, c.Lapsed = c.Ever+o.Late, c.Lapsed+o.Lapsed
	}
	for _, o := range counted(r, r.At.Format("2006-01")).Owed {
		c.Month += o.Late
	}
	c.Table = &owedTable{Columns: []string{"owed.who", "owed.what", "cured.from", "cured.by"}, State: "late"}
	cures := func(row *owedRow, o *ledger.Late) {
		by := strconv.FormatUint(o.CuredBy, 10)
		row.Then, row.ThenLink = q.T("entry.number", q.N(o.CuredBy))+", "+q.T("time.after", q.When(o.CuredAfter)), q.Link("entry/"+by)
	}
	counts := make(map[[3]string]uint64)
	for i := range r.Late {
		counts[[3]string{r.Late[i].By, r.Late[i].Rule, r.Late[i].Way}]++
	}
	for _, o := range slices.Backward(r.Late) {
		key := [3]string{o.By, o.Rule, o.Way}
		switch n := counts[key]; {
		case len(r.Late) <= maxOwed:
			cures(c.Table.add(q, &o.Obligation, q.LateSince(o)), &o)
		case n > 0:
			cures(c.Table.group(q, n, &o.Obligation, "owed.last", q.LateSince(o)), &o)
			delete(counts, key)
		}
	}
	c.Table.More += c.Ever - uint64(len(r.Late))
	return c
}

func sealed(r *facts.Report) (s Sealed) {
	s.Open = r.Open["disclosure"]
	_, s.Soon = r.Owing("disclosure")
	for i := range r.Debts {
		if d := &r.Debts[i]; d.Rule == "disclosure" && d.Next != nil && (s.Next.IsZero() || d.Next.Due.Before(s.Next)) {
			s.Next = d.Next.Due
		}
	}
	if t := r.Total.Events[event.TypeDeferral]; t != nil {
		s.Deferred = t.Kept
		s.Never = total(maps.Values(t.Of["never"]))
	}
	return s
}

// Names are the counts of the month of the log's time and of the month before.
type Names struct {
	Now, Before string // months like 2026-11
	Known       bool   // the log has proven times from the month before on
	Untimed     uint64 // entries before the first proven time, unless that is long ago
	Kinds       []Kind
}

// A Kind is a type of entries, in the order of kinds.
type Kind struct {
	Type        event.Type
	Key         string // of its text
	Now, Before uint64
	Most        string // the most frequent names of the first group
	Groups      []NamesGroup
}

// NamesGroup counts the entries of a type by a member.
type NamesGroup struct {
	Key  string // of its text
	Rows []NamesRow
}

// NamesRow counts those with one value.
type NamesRow struct {
	Value       string // for a filter; "" for the others
	Text        string
	Now, Before uint64
}

// kinds are what the first screen counts, and by which members.
var kinds = []struct {
	of      event.Type
	key     string
	only    string // count the entries that have this member; "": all
	members []string
}{
	{event.TypeWarrant, "kind.warrant", "", []string{"authority", "offence", "decision"}},
	{event.TypeDisclosure, "kind.disclosure", "", []string{"agency"}},
	{event.TypeAccess, "kind.access", "", []string{"provider", "group"}},
	{event.TypeAccess, "kind.emergency", "emergency", []string{"emergency"}},
	{event.TypeRelease, "kind.release", "", []string{"custodian"}},
	{event.TypeRefusal, "kind.refusal", "", []string{"custodian", "reason"}},
	{event.TypeResponse, "kind.response", "", []string{"provider", "outcome"}},
}

func (q *Request) names(r *facts.Report) *Names {
	if r.At.IsZero() {
		return nil
	}
	first := time.Date(r.At.Year(), r.At.Month(), 1, 0, 0, 0, 0, time.UTC)
	n := &Names{Now: first.Format("2006-01"), Before: first.AddDate(0, -1, 0).Format("2006-01")}
	n.Known = slices.ContainsFunc(r.Months, func(m facts.Month) bool { return m.Month != "" && m.Month <= n.Before })
	if !n.Known {
		for _, t := range counted(r, "").Events {
			n.Untimed += t.Logged
		}
	}
	now, before := counted(r, n.Now), counted(r, n.Before)
	for _, k := range kinds {
		a, b := tally(now, k.of), tally(before, k.of)
		kind := Kind{Type: k.of, Key: k.key, Now: a.Kept, Before: b.Kept}
		if k.only != "" {
			kind.Now, kind.Before = total(maps.Values(a.Of[k.only])), total(maps.Values(b.Of[k.only]))
		}
		for _, member := range k.members {
			if rows := q.rows(member, a.Of[member], b.Of[member]); len(rows) > 0 {
				kind.Groups = append(kind.Groups, NamesGroup{"member." + member, rows})
			}
		}
		if len(kind.Groups) > 0 {
			kind.Most = q.most(&kind.Groups[0])
		}
		n.Kinds = append(n.Kinds, kind)
	}
	return n
}

// counted returns the counts of a month; month "" is that of the entries before the first proven time.
func counted(r *facts.Report, month string) *facts.Counts {
	if i := slices.IndexFunc(r.Months, func(m facts.Month) bool { return m.Month == month }); i >= 0 {
		return &r.Months[i].Counts
	}
	return new(facts.Counts)
}

func tally(c *facts.Counts, of event.Type) *facts.Tally {
	if t := c.Events[of]; t != nil {
		return t
	}
	return new(facts.Tally)
}

// rows returns the most frequent names, and one row for the others.
func (q *Request) rows(member string, now, before map[string]uint64) (rows []NamesRow) {
	values := maps.Clone(before)
	if values == nil {
		values = make(map[string]uint64)
	}
	for v, n := range now {
		values[v] += n
	}
	delete(values, facts.Other)
	order := slices.SortedFunc(maps.Keys(values), func(a, b string) int {
		return cmp.Or(cmp.Compare(values[b], values[a]), cmp.Compare(a, b))
	})
	others := NamesRow{Text: q.T("names.others"), Now: now[facts.Other], Before: before[facts.Other]}
	for i, v := range order {
		if i < maxNamed {
			rows = append(rows, NamesRow{v, q.code(member, v), now[v], before[v]})
		} else {
			others.Now, others.Before = others.Now+now[v], others.Before+before[v]
		}
	}
	if others.Now+others.Before > 0 {
		rows = append(rows, others)
	}
	return rows
}

// most returns the most frequent names of this month, with their figures.
func (q *Request) most(g *NamesGroup) string {
	var names []string
	for _, r := range g.Rows {
		if r.Now > 0 && r.Value != "" && len(names) < maxMost {
			names = append(names, shorten(r.Text, maxLabel)+" "+q.N(r.Now))
		}
	}
	if names == nil {
		return ""
	}
	return q.T(g.Key) + " " + strings.Join(names, ", ")
}

// A LogLine is a log in the list of all.
type LogLine struct {
	*Request
	Line *Line
}

// worst has the verdicts, the worst first.
var worst = []facts.Verdict{facts.Wrong, facts.Silent, facts.Late, facts.OK}

// all is the list of all logs, the worst first.
func all(q *Request) (*Answer, error) {
	var lines []LogLine
	for _, l := range q.desk.logs {
		of := *q
		of.Log, of.report = l, nil
		lines = append(lines, LogLine{&of, of.Line()})
	}
	slices.SortStableFunc(lines, func(a, b LogLine) int {
		return cmp.Or(slices.Index(worst, a.Line.Verdict)-slices.Index(worst, b.Line.Verdict), cmp.Compare(a.Log.Origin, b.Log.Origin))
	})
	return &Answer{Template: "all", Data: lines}, nil
}
