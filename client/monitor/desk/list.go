// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package desk

import (
	"bytes"
	"encoding/csv"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vasistas/vasistas/client/monitor/facts"
	"github.com/vasistas/vasistas/client/monitor/index"
	"github.com/vasistas/vasistas/log/tlog"
)

// rowsShown is the number of rows of a list on one page.
const rowsShown = 50

// An indexed page shows the log as of one size.
type indexed struct {
	Page  any    // the page's own data
	Size  uint64 // of the head
	Fixed bool   // the reader has named this head
	Seen  bool   // the index knows this head, and so the times that its witnesses prove
}

var (
	errSize    = &httpError{http.StatusNotFound, "error.size"}
	errNoIndex = &httpError{http.StatusServiceUnavailable, "error.index"}
	errFilter  = &httpError{http.StatusBadRequest, "error.filter"}
)

// ofIndex returns a page that shows the index as of the head that the request names.
func ofIndex(template string, data func(*Request, *index.View) (any, error)) page {
	return func(q *Request) (*Answer, error) {
		size, err := q.At()
		if err != nil {
			return nil, err
		}
		v, err := q.viewAt(size)
		if err != nil {
			return nil, err
		}
		defer v.Close()
		page, err := data(q, v)
		_, seen := v.Head()
		return &Answer{Template: template, Data: &indexed{Page: page, Size: v.Size(), Fixed: q.Get("at") != "", Seen: seen}}, err
	}
}

// viewAt returns the index as of a size; 0: as of the newest head. The caller closes the view.
func (q *Request) viewAt(size uint64) (*index.View, error) {
	v, err := q.Log.Index.View(q.HTTP.Context(), size)
	switch {
	case errors.Is(err, index.ErrSize):
		return nil, errSize
	case errors.Is(err, index.ErrEmpty):
		return nil, errNoIndex
	}
	return v, err
}

// This returns the address of this page with some parameters changed, as set changes them.
func (q *Request) This(params ...string) string {
	u := *q.HTTP.URL
	v := u.Query()
	set(v, params)
	u.RawQuery = v.Encode()
	return u.RequestURI()
}

// Number returns a number as it stands in an address.
func (q *Request) Number(n uint64) string { return strconv.FormatUint(n, 10) }

// Plus returns the number of a page some pages on.
func (q *Request) Plus(page uint64, more int) string { return strconv.Itoa(int(page) + more) }

// A choice is a parameter of a filter, with its values.
type choice struct {
	Param, Label, Chosen string
	Options              []option
}

type option struct{ Value, Text string }

func options[T ~string](values []T, text func(T) string) (out []option) {
	for _, v := range values {
		out = append(out, option{string(v), text(v)})
	}
	return out
}

// Choices of one parameter. A chosen one is shown even if there are more.
const maxOptions = 100

// choose adds a choice. The texts are those of the reader's language.
func (f *filter) choose(param, label string, options ...option) {
	c := choice{Param: param, Label: label, Chosen: f.q.Get(param), Options: options[:min(len(options), maxOptions)]}
	if c.Chosen != "" && !slices.ContainsFunc(c.Options, func(o option) bool { return o.Value == c.Chosen }) {
		c.Options = append(slices.Clip(c.Options), option{c.Chosen, clean(c.Chosen)})
	}
	f.Choices = append(f.Choices, c)
}

// A filter is the form above a list.
type filter struct {
	Choices []choice
	q       *Request
}

// Chosen reports whether the filter picks less than all.
func (f *filter) Chosen() bool {
	return slices.ContainsFunc(f.Choices, func(c choice) bool { return c.Chosen != "" })
}

// Kept are the parameters that the form does not have and keeps.
func (f *filter) Kept() (kept []option) {
	for _, name := range []string{"lang", "at", "sort", "order"} {
		if s := f.q.Get(name); s != "" {
			kept = append(kept, option{name, s})
		}
	}
	return kept
}

// A listing says how to list rows of the index for a request: on a page, as values of type S, and as CSV.
type listing[R, S any] struct {
	read    func(*index.View, index.Window) (index.Page[R], error)
	choices func(*index.View, *filter) error // adds the filters of the rows
	heads   []head                           // of the page's columns
	row     func(*index.View, *R) S          // for the page, in words
	columns []string                         // keys of the texts above the export's columns
	cells   func(*R) []string
}

// A head has the key of the text above a column, and the order of rows that the head's link gives; "": no link.
type head struct{ key, sort string }

// sorts returns the orders of a listing.
func (l *listing[R, S]) sorts() (all []string) {
	for _, h := range l.heads {
		if h.sort != "" {
			all = append(all, h.sort)
		}
	}
	return all
}

type list[S any] struct {
	Columns []column
	filter
	Rows  []S
	First uint64 // number of the first row, from 1
	Total uint64
	Page  uint64    // from 1
	CSV   string    // address of the export
	At    time.Time // rows are overdue as of this time
}

// asked returns a listing, and the window and page of it that the request asks for.
func asked[R, S any](q *Request, of func(*Request) (*listing[R, S], error)) (l *listing[R, S], w index.Window, page uint64, err error) {
	if l, err = of(q); err == nil {
		w, page, err = q.window(l.sorts()...)
	}
	return l, w, page, err
}

// listed returns the page of a listing.
func listed[R, S any](name string, of func(*Request) (*listing[R, S], error)) page {
	return ofIndex(name, func(q *Request, v *index.View) (any, error) {
		l, w, page, err := asked(q, of)
		if err != nil {
			return nil, err
		}
		found, err := l.read(v, w)
		if err != nil {
			return nil, err
		}
		out := &list[S]{Columns: q.columns(w, l.heads), filter: filter{q: q}, First: w.Offset + 1, Total: found.Total, Page: page,
			CSV: q.export(name+".csv", v.Size()), At: v.At()}
		for i := range found.Rows {
			out.Rows = append(out.Rows, l.row(v, &found.Rows[i]))
		}
		return out, l.choices(v, &out.filter)
	})
}

// Last is the number of the last row.
func (l *list[S]) Last() uint64 { return l.First + uint64(len(l.Rows)) - 1 }

// More reports whether there is a page after this one.
func (l *list[S]) More() bool { return l.Last() < l.Total }

// Columns by which a list can be sorted have a link; Arrow marks the one that is.
type column struct{ Label, Link, Sorted string }

func (q *Request) columns(sorted index.Window, heads []head) (out []column) {
	for _, h := range heads {
		c := column{Label: q.T(h.key)}
		if h.sort != "" {
			order := ""
			if by := index.Sort(trimIndex(h.sort)); by == sorted.Sort {
				c.Sorted = "ascending"
				if order = "desc"; sorted.Desc {
					c.Sorted, order = "descending", "asc"
				}
			}
			c.Link = q.This("sort", h.sort, "order", order, "page", "")
		}
		out = append(out, c)
	}
	return out
}

// trimIndex returns the index's name of a column: the log's order has none.
func trimIndex(sort string) string {
	if sort == "index" {
		return string(index.ByIndex)
	}
	return sort
}

// window returns the part of a list that the request asks for. sorts are the columns that it may sort by;
// the first one, descending, if the request names none.
func (q *Request) window(sorts ...string) (w index.Window, page uint64, err error) {
	sort, order := q.Get("sort"), q.Get("order")
	w.Limit, w.Desc = rowsShown, order == "desc"
	if sort == "" {
		sort = sorts[0]
		w.Desc = order != "asc"
	}
	page = 1
	if s := q.Get("page"); s != "" {
		page, err = strconv.ParseUint(s, 10, 32)
	}
	if err != nil || page == 0 || !slices.Contains(sorts, sort) || !slices.Contains([]string{"", "asc", "desc"}, order) {
		return w, 0, errFilter
	}
	w.Sort, w.Offset = index.Sort(trimIndex(sort)), (page-1)*rowsShown
	return w, page, nil
}

// monthOf returns the bounds of a month like 2026-11; zero for "".
func monthOf(month string) (from, to time.Time, err error) {
	if month == "" {
		return from, to, nil
	}
	if from, err = time.Parse("2006-01", month); err != nil {
		return from, to, errFilter
	}
	return from, from.AddDate(0, 1, 0), nil
}

// months returns the months of a log as options, the newest first.
func (q *Request) months(v *index.View) ([]option, error) {
	months, err := v.Months(q.HTTP.Context())
	var out []option
	for _, m := range slices.Backward(months) {
		if m.Month != "" {
			out = append(out, option{m.Month, q.Month(m.Month)})
		}
	}
	return out, err
}

// maxExported bounds the rows of an export.
const maxExported = 100_000

// export returns the address of the export of this list, at the head of a size.
func (q *Request) export(name string, size uint64) string {
	v := q.HTTP.URL.Query()
	v.Set("at", q.Number(size))
	v.Del("page")
	return (&url.URL{Path: "/desk/" + q.Log.Hash() + "/" + name, RawQuery: v.Encode()}).String()
}

// number returns the index of an entry, "" for 0: no entry is about the first charter.
func number(index uint64) string {
	if index == 0 {
		return ""
	}
	return strconv.FormatUint(index, 10)
}

func values(names []facts.Name, member string) string {
	var list []string
	for _, n := range names {
		if n.Member == member {
			list = append(list, n.Value)
		}
	}
	return strings.Join(list, " ")
}

// stamp returns a time as spreadsheets read it; "" if it is not known.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// exported returns the export of a listing. The export states its source. Each part is read from a view of its own,
// all at the same size, so a slow reader keeps no snapshot open.
func exported[R, S any](name string, of func(*Request) (*listing[R, S], error)) page {
	return func(q *Request) (*Answer, error) {
		l, w, _, err := asked(q, of)
		if err != nil {
			return nil, err
		}
		w.Offset, w.Limit = 0, index.MaxLimit
		size, err := q.At()
		if err != nil {
			return nil, err
		}
		page, v, err := l.part(q, size, w)
		if err != nil {
			return nil, err
		}
		size = v.Size()
		root, err := q.Log.root(q.HTTP.Context(), size)
		if err != nil {
			return nil, err
		}
		total, begun := page.Total, false
		return &Answer{Type: "text/csv; charset=utf-8", Name: q.fileName(size, name), Stream: func() ([]byte, error) {
			var b bytes.Buffer
			out := csv.NewWriter(&b)
			if !begun {
				head, _ := v.Head()
				q.begin(out, l.columns, &head, size, root, total)
			} else if w.Offset < min(total, maxExported) {
				if page, _, err = l.part(q, size, w); err != nil {
					return nil, err
				}
			}
			for i := range page.Rows {
				record(out, l.cells(&page.Rows[i])...)
			}
			w.Offset += uint64(len(page.Rows))
			begun, page = true, index.Page[R]{} // a slow reader keeps no rows in memory
			out.Flush()
			return b.Bytes(), out.Error()
		}}, nil
	}
}

// unsafe matches what a file name must not have.
var unsafe = regexp.MustCompile(`[^A-Za-z0-9.]+`)

// fileName names an export by its log, list, filter and head.
func (q *Request) fileName(size uint64, list string) string {
	name := unsafe.ReplaceAllString(q.Log.Origin, "-")
	parts := []string{name[:min(len(name), 60)], list}
	for _, p := range params {
		if s := q.Get(p); s != "" && !slices.Contains([]string{"at", "lang", "order", "page", "sort"}, p) {
			s = strings.Trim(unsafe.ReplaceAllString(s, "-"), "-.")
			parts = append(parts, s[:min(len(s), 30)])
		}
	}
	return strings.Join(append(parts, "head", q.Number(size)), "-") + ".csv"
}

// begin writes the notes of an export and the texts above its columns.
func (q *Request) begin(out *csv.Writer, columns []string, head *index.Head, size uint64, root tlog.Hash, total uint64) {
	line := q.Line()
	notes := []string{q.T("csv.source", q.Log.Origin), q.T("csv.head", q.N(size), root.String()), q.T("csv.head.time", q.Proven(head.LoggedAfter, "time.unknown")),
		q.T("csv.made", q.HTTP.Host, stamp(q.Now), strings.TrimSpace(q.T("verdict."+string(line.Verdict))+". "+line.Past)), q.T("csv.times"),
		q.T("csv.query", q.HTTP.URL.RawQuery)}
	if total > maxExported {
		notes = append(notes, q.T("csv.cut", q.N(maxExported), q.N(total)))
	}
	for _, n := range notes {
		record(out, "# "+n)
	}
	var heads []string
	for _, c := range columns {
		heads = append(heads, capital(q.T(c)))
	}
	record(out, heads...)
}

// part reads a part of a listing at a size. It closes the view v.
func (l *listing[R, S]) part(q *Request, size uint64, w index.Window) (page index.Page[R], v *index.View, err error) {
	if v, err = q.viewAt(size); err == nil {
		page, err = l.read(v, w)
		v.Close()
	}
	return page, v, err
}

// record writes a row. The writer keeps its first error.
func record(out *csv.Writer, cells ...string) {
	for i, c := range cells {
		cells[i] = defuse(clean(c))
	}
	_ = out.Write(cells)
}

// defuse keeps a spreadsheet from reading a cell as a formula.
func defuse(cell string) string {
	if cell != "" && strings.ContainsAny(cell[:1], "=+-@|%") {
		return "'" + cell
	}
	return cell
}
