// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package desk

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/vasistas/vasistas/client/monitor/facts"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
)

// What the first screen lists of each kind. All are counted, and listed on the pages behind it.
const (
	maxOwed    = 8
	maxDue     = 5
	maxNamed   = 8
	maxChanged = 3 // charters
)

// firstData is what the first screen shows in addition to the facts.
type firstData struct {
	Overdue, Week, Month Owed
	Cured                Cured
	Names                *Names // nil: no time is proven
	Sealed               Sealed
	Charters             []Amended
}

// Owed is a list of obligations, and how many there are in all.
type Owed struct {
	Total uint64
	List  []ledger.Obligation
}

// More returns how many are not listed.
func (o *Owed) More() uint64 { return o.Total - uint64(len(o.List)) }

// Cured counts what was late.
type Cured struct {
	Month, Ever, Lapsed uint64
	List                []ledger.Late // the last ones, newest first
}

// Sealed says what is still to be disclosed.
type Sealed struct {
	Open, Deferred, Never uint64
	Next                  Owed // in 30 days, the soonest first; none may be among those that a report lists
}

// first is the first screen of a log.
func first(q *Request) (*Answer, error) {
	r := q.Report()
	soon := r.At.Add(7 * 24 * time.Hour)
	week := slices.DeleteFunc(slices.Clone(r.Due), func(o ledger.Obligation) bool { return o.Due.After(soon) })
	month := slices.DeleteFunc(slices.Clone(r.Due), func(o ledger.Obligation) bool { return !o.Due.After(soon) })
	d := &firstData{
		Overdue:  Owed{r.Overdue, limit(r.Owed, maxOwed)},
		Week:     Owed{r.Due7, limit(week, maxDue)},
		Month:    Owed{r.Due30 - r.Due7, limit(month, maxDue)},
		Cured:    cured(r),
		Names:    q.names(r),
		Sealed:   sealed(r),
		Charters: limit(q.amended(r), maxChanged),
	}
	return &Answer{Template: "first", Data: d}, nil
}

func limit[T any](list []T, n int) []T { return list[:min(len(list), n)] }

func cured(r *facts.Report) (c Cured) {
	for _, o := range r.Total.Owed {
		c.Ever, c.Lapsed = c.Ever+o.Late, c.Lapsed+o.Lapsed
	}
	for i := range r.Months {
		if m := &r.Months[i]; m.Month == r.At.Format("2006-01") {
			for _, o := range m.Owed {
				c.Month += o.Late
			}
		}
	}
	c.List = slices.Clone(r.Late)
	slices.Reverse(c.List)
	c.List = limit(c.List, maxDue)
	return c
}

func sealed(r *facts.Report) (s Sealed) {
	s.Open = r.Open["disclosure"]
	next := slices.DeleteFunc(slices.Clone(r.Due), func(o ledger.Obligation) bool { return o.Rule != "disclosure" })
	s.Next = Owed{r.DueBy["disclosure"], limit(next, maxDue)}
	if t := r.Total.Events[event.TypeDeferral]; t != nil {
		s.Deferred = t.Kept
		for _, n := range t.Of["never"] {
			s.Never += n
		}
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
	var now, before facts.Counts
	for i := range r.Months {
		switch m := &r.Months[i]; {
		case m.Month == n.Now:
			now = m.Counts
		case m.Month == n.Before:
			before = m.Counts
		}
		if r.Months[i].Month == "" {
			for _, t := range r.Months[i].Events {
				n.Untimed += t.Logged
			}
		}
		n.Known = n.Known || r.Months[i].Month != "" && r.Months[i].Month <= n.Before
	}
	if n.Known {
		n.Untimed = 0
	}
	for _, k := range kinds {
		a, b := tally(&now, k.of), tally(&before, k.of)
		kind := Kind{Type: k.of, Key: k.key, Now: a.Kept, Before: b.Kept}
		if k.only != "" {
			kind.Now, kind.Before = sum(a.Of[k.only]), sum(b.Of[k.only])
		}
		for _, member := range k.members {
			if rows := q.rows(member, a.Of[member], b.Of[member]); len(rows) > 0 {
				kind.Groups = append(kind.Groups, NamesGroup{"member." + member, rows})
			}
		}
		n.Kinds = append(n.Kinds, kind)
	}
	return n
}

func tally(c *facts.Counts, of event.Type) *facts.Tally {
	if t := c.Events[of]; t != nil {
		return t
	}
	return new(facts.Tally)
}

func sum(of map[string]uint64) (n uint64) {
	for _, v := range of {
		n += v
	}
	return n
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
			rows = append(rows, NamesRow{v, q.Name(member, v), now[v], before[v]})
		} else {
			others.Now, others.Before = others.Now+now[v], others.Before+before[v]
		}
	}
	if others.Now+others.Before > 0 {
		rows = append(rows, others)
	}
	return rows
}

// A LogLine is a log in the list of all.
type LogLine struct {
	*Request
	Line *Line
}

// all is the list of all logs.
func all(q *Request) (*Answer, error) {
	var lines []LogLine
	for _, l := range q.desk.logs {
		of := *q
		of.Log, of.report = l, nil
		lines = append(lines, LogLine{&of, of.Line()})
	}
	return &Answer{Template: "all", Data: lines}, nil
}
