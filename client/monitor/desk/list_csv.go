// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package desk

import (
	"bytes"
	"encoding/csv"
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

// values returns the values of a member.
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

// exported returns the export of a listing, which states its source. Each part is a view of its own at the same
// size, so a slow reader keeps no snapshot open.
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

// begin writes the notes and the heads of an export.
func (q *Request) begin(out *csv.Writer, columns []string, head *index.Head, size uint64, root tlog.Hash, total uint64) {
	line := q.Line()
	notes := []string{q.T("csv.source", q.Log.Origin), q.T("csv.head", q.N(size), root.String()), q.T("csv.head.time", q.when(head.LoggedAfter, "time.unknown")),
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

// part reads a part of a listing at a size. The view is closed.
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
