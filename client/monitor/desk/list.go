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

// indexed returns the index as of the head that the request names. The caller closes the view.
func (q *Request) indexed() (*index.View, error) {
	size, err := q.At()
	if err != nil {
		return nil, err
	}
	return q.viewAt(size)
}

// viewAt is indexed for a size that the caller knows; 0: the newest.
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

// fixed answers with a page made of a view.
func (q *Request) fixed(v *index.View, template string, data any) *Answer {
	_, seen := v.Head()
	return &Answer{Template: template, Data: &indexed{Page: data, Size: v.Size(), Fixed: q.Get("at") != "", Seen: seen}}
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

// Before returns the number of the page before one, as it stands in an address.
func (q *Request) Before(page uint64) string { return q.Number(page - 1) }

// After returns the number of the page after one, as it stands in an address.
func (q *Request) After(page uint64) string { return q.Number(page + 1) }

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

// A list is a page of rows.
type list[T any] struct {
	Columns []column
	filter
	Rows       []T
	First      uint64 // number of the first row, from 1
	Total      uint64
	Page       uint64 // from 1
	CSV        string // address of the export
	Sort, Desc string // as in the request
}

// Last is the number of the last row.
func (l *list[T]) Last() uint64 { return l.First + uint64(len(l.Rows)) - 1 }

// More reports whether there is a page after this one.
func (l *list[T]) More() bool { return l.Last() < l.Total }

// Columns by which a list can be sorted have a link; Arrow marks the one that is.
type column struct{ Label, Link, Sorted string }

// columns returns the heads of a table. A key with a sort is sorted by it when it is followed.
func (q *Request) columns(sorted index.Window, columns ...[2]string) (out []column) {
	for _, c := range columns {
		head := column{Label: q.T(c[0])}
		if c[1] != "" {
			order := ""
			if by := index.Sort(trimIndex(c[1])); by == sorted.Sort {
				head.Sorted = "ascending"
				if order = "desc"; sorted.Desc {
					head.Sorted, order = "descending", "asc"
				}
			}
			head.Link = q.This("sort", c[1], "order", order, "page", "")
		}
		out = append(out, head)
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
