// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package desk

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/vasistas/vasistas/client/monitor/index"
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

// ofIndex returns a page made of the index as of the head that the request names.
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

// viewAt returns the index as of a size; 0: the newest. The caller closes the view.
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

// This returns the address of this page with other parameters, as in Link; the others stay.
func (q *Request) This(params ...string) string {
	u := *q.HTTP.URL
	v := u.Query()
	for i := 0; i+1 < len(params); i += 2 {
		if v.Set(params[i], params[i+1]); params[i+1] == "" {
			v.Del(params[i])
		}
	}
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

// options returns values with their texts.
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

// A listing is how rows of the index are listed for a request: on a page, where each is an S, and as CSV.
type listing[R, S any] struct {
	read    func(*index.View, index.Window) (index.Page[R], error)
	choices func(*index.View, *filter) error // adds what the rows can be filtered by
	heads   []head                           // of the page
	row     func(*index.View, *R) S          // in words
	columns []string                         // keys of the heads of the export
	cells   func(*R) []string
}

// A head is the key of a column's text, and the order of the rows to which it leads; "": none.
type head struct{ key, sort string }

// sorts are the orders of a listing.
func (l *listing[R, S]) sorts() (all []string) {
	for _, h := range l.heads {
		if h.sort != "" {
			all = append(all, h.sort)
		}
	}
	return all
}

// A list is a page of rows.
type list[S any] struct {
	Columns []column
	filter
	Rows  []S
	First uint64 // number of the first row, from 1
	Total uint64
	Page  uint64    // from 1
	CSV   string    // address of the export
	At    time.Time // what is overdue, is at this time
}

// asked returns a listing, and the part of it that the request asks for.
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

// columns returns the heads of a table.
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
