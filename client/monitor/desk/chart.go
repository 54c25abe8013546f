// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package desk

import (
	"cmp"
	"iter"
	"slices"
	"time"

	"github.com/vasistas/vasistas/client/monitor/index"
	"github.com/vasistas/vasistas/log/event"
)

// A chart is a drawing of bars with a table of the same figures. Its texts are those of a log.
type chart struct {
	ID, Title, Say string
	Column         string   // what the rows are
	Series         []string // one or two names of figures
	Rows           []chartRow
}

type chartRow struct {
	Name string
	Link string // to the list of what is counted; "": none
	N    []uint64
	Note string // more figures for the table
}

// maxRows bounds the bars of a chart; the last one has the rest.
const maxRows = 40

// Sizes of a drawing, in units of its view box.
const (
	chartWidth  = 720
	chartLabel  = 210 // width of the names
	maxLabel    = 26  // characters of a name
	chartNumber = 70  // width of the figures
	chartRowTop = 24  // height of a row
)

// Noted reports whether rows have more figures for the table.
func (c *chart) Noted() bool {
	return slices.ContainsFunc(c.Rows, func(r chartRow) bool { return r.Note != "" })
}

func (c *chart) Height() int { return chartRowTop*len(c.Rows) + 8 }

// A bar is the drawing of a row.
type bar struct {
	Label  string
	Y      int // of the row's top
	TextY  int
	Parts  []barPart
	Total  uint64
	TotalX int
	Title  string
}

type barPart struct {
	X, Width int
	Of       int // of the row's figures
}

func (c *chart) Bars() []bar {
	most := uint64(1)
	for _, r := range c.Rows {
		most = max(most, total(slices.Values(r.N)))
	}
	var bars []bar
	for i, r := range c.Rows {
		b := bar{Label: shorten(r.Name, maxLabel), Y: i*chartRowTop + 4, TextY: i*chartRowTop + 4 + 14, Total: total(slices.Values(r.N)), Title: r.Name}
		x := chartLabel
		for j, n := range r.N {
			width := int(float64(n) / float64(most) * (chartWidth - chartLabel - chartNumber))
			if n > 0 {
				width = max(width, 1)
			}
			b.Parts = append(b.Parts, barPart{x, width, j})
			x += width
		}
		b.TotalX = x + 6
		bars = append(bars, b)
	}
	return bars
}

func total(list iter.Seq[uint64]) (n uint64) {
	for v := range list {
		n += v
	}
	return n
}

// shorten cuts a text to a number of runes.
func shorten(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

func charts(q *Request, v *index.View) (any, error) {
	c := &drawer{Request: q, v: v}
	for _, t := range []event.Type{event.TypeWarrant, event.TypeAccess, event.TypeRelease} {
		c.months(t)
	}
	for _, member := range []string{"authority", "instrument", "category", "offence"} {
		c.members(member)
	}
	c.delays()
	return c.all, c.err
}

// drawer makes charts from a view, up to its first error.
type drawer struct {
	*Request
	v   *index.View
	all []*chart
	err error
}

func (c *drawer) counts(t event.Type, member string) []index.Count {
	if c.err != nil {
		return nil
	}
	var list []index.Count
	list, c.err = c.v.Counts(c.HTTP.Context(), t, member)
	return list
}

// months charts the events of a type by month.
func (c *drawer) months(t event.Type) {
	chart := &chart{ID: string(t), Title: c.T("chart.of.month", c.T("types."+string(t))), Column: c.T("list.month"), Series: []string{c.T("chart.number")}}
	for _, n := range last(c.counts(t, ""), maxRows) {
		chart.Rows = append(chart.Rows, chartRow{Name: c.month(n.Month), Link: c.monthLink(n.Month, t), N: []uint64{n.N}})
	}
	c.all = append(c.all, chart)
}

func (c *drawer) monthLink(month string, t event.Type) string {
	if month == "" {
		return ""
	}
	return c.Link("entries", "type", string(t), "month", month)
}

// month names a month of proven times.
func (q *Request) month(month string) string {
	if month == "" {
		return q.T("timeline.unknown")
	}
	return q.Month(month)
}

// members charts the warrants by the values of a member.
func (c *drawer) members(member string) {
	chart := &chart{ID: member, Title: c.T("chart.of." + member), Column: c.T("list." + member), Series: []string{c.T("chart.number")}}
	totals := make(map[string]uint64)
	for _, n := range c.counts(event.TypeWarrant, member) {
		totals[n.Value] += n.N
	}
	for value, n := range totals {
		row := chartRow{Name: c.Name(member+".", value), N: []uint64{n}}
		if param := member; member == "authority" {
			row.Link = c.Link("entries", "type", "warrant", "party", "authority "+value)
		} else {
			row.Link = c.Link("entries", "type", "warrant", param, value)
		}
		chart.Rows = append(chart.Rows, row)
	}
	slices.SortFunc(chart.Rows, byNumber)
	if len(chart.Rows) > maxRows {
		rest := chartRow{Name: c.T("chart.rest"), N: []uint64{0}}
		for _, r := range chart.Rows[maxRows-1:] {
			rest.N[0] += r.N[0]
		}
		chart.Rows = append(chart.Rows[:maxRows-1], rest)
	}
	c.all = append(c.all, chart)
}

// delays charts what is sealed and disclosed, and how long disclosure took.
func (c *drawer) delays() {
	for _, t := range []event.Type{event.TypeWarrant, event.TypeAccess} {
		if c.err != nil {
			return
		}
		var list []index.Delay
		if list, c.err = c.v.Delays(c.HTTP.Context(), t); c.err != nil {
			return
		}
		name := c.T("types." + string(t))
		sealed := &chart{ID: "sealed-" + string(t), Title: c.T("chart.sealed", name), Say: c.T("chart.sealed.say"),
			Column: c.T("list.month"), Series: []string{c.T("chart.disclosed"), c.T("chart.still"), c.T("chart.lapsed")}}
		delay := &chart{ID: "delay-" + string(t), Title: c.T("chart.delay", name), Say: c.T("chart.delay.say"),
			Column: c.T("list.month"), Series: []string{c.T("chart.median")}}
		for _, d := range last(list, maxRows) {
			sealed.Rows = append(sealed.Rows, chartRow{Name: c.month(d.Month), Link: c.monthLink(d.Month, t), N: []uint64{d.Open, d.Sealed, d.Lapsed}})
			if d.Open > d.Unproven {
				delay.Rows = append(delay.Rows, chartRow{Name: c.month(d.Month), Link: c.monthLink(d.Month, t), N: []uint64{days(d.Median)},
					Note: c.T("chart.delay.note", c.Span(d.Median), c.Span(d.Ninth), c.Span(d.Longest))})
			}
		}
		c.all = append(c.all, sealed, delay)
	}
}

func days(d time.Duration) uint64 { return uint64(max(d, 0) / (24 * time.Hour)) }

func byNumber(a, b chartRow) int {
	return cmp.Or(cmp.Compare(b.N[0], a.N[0]), cmp.Compare(a.Name, b.Name))
}

func last[T any](list []T, most int) []T { return list[max(0, len(list)-most):] }
