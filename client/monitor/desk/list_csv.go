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

// A table is an export: what a row of the index is in each column, by the key of its head.
type table[T any] struct {
	name    string
	columns []string
	cells   func(*T) []string
	// read returns a part of the rows.
	read func(*index.View, index.Window) (index.Page[T], error)
}

// entriesCSV is the export of a list of entries.
func entriesCSV(q *Request) (*Answer, error) {
	f, _, err := q.entryFilter()
	if err != nil {
		return nil, err
	}
	members := []string{"addressed", "decision", "instrument", "offence", "category", "emergency", "group", "scope", "reason", "outcome", "ground", "rule", "state", "agency"}
	columns := []string{"list.index", "list.type", "list.party", "list.after", "list.before", "list.claimed", "list.verdict"}
	for _, m := range members {
		columns = append(columns, "field."+m)
	}
	return exported(q, f.Window, &table[index.Entry]{
		name: "entries.csv", columns: append(columns, "type.access", "type.warrant", "field.court", "entry.leaf"),
		read: func(v *index.View, w index.Window) (index.Page[index.Entry], error) {
			f.Window = w
			return v.Entries(q.HTTP.Context(), f)
		},
		cells: func(e *index.Entry) []string {
			cells := []string{q.Number(e.Index), q.kind(e.Type), q.signers(e), stamp(e.After), stamp(e.Before), stamp(e.Claimed), q.Judged(*e)}
			for _, m := range members {
				cells = append(cells, values(e.Names, m))
			}
			return append(cells, number(e.Access), number(e.Warrant), clean(e.Court), e.Leaf.String())
		},
	})
}

// dutiesCSV is the export of a list of duties.
func dutiesCSV(q *Request) (*Answer, error) {
	f, _, err := q.dutyFilter()
	if err != nil {
		return nil, err
	}
	return exported(q, f.Window, &table[index.Duty]{
		name: "duties.csv", columns: []string{"list.index", "list.rule", "list.what", "list.debtor", "list.due", "list.late-after", "list.state", "list.late-since", "list.ended-by", "list.ended-after"},
		read: func(v *index.View, w index.Window) (index.Page[index.Duty], error) {
			f.Window, f.Until = w, v.At().AddDate(0, 0, 30)
			return v.Duties(q.HTTP.Context(), f)
		},
		cells: func(d *index.Duty) []string {
			return []string{q.Number(d.Index), q.Rule(d.Rule), q.Owes(&d.Obligation), q.Party(d.By), stamp(d.Due), stamp(d.Late),
				q.named("state.", string(d.State)), stamp(d.LateSince), number(d.Ended), stamp(d.EndedAfter)}
		},
	})
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

// exported answers with a table, which states its source. Each part is a view of its own at the same size, so a
// slow reader keeps no snapshot open.
func exported[T any](q *Request, w index.Window, t *table[T]) (*Answer, error) {
	w.Offset, w.Limit = 0, index.MaxLimit
	v, err := q.indexed()
	if err != nil {
		return nil, err
	}
	size := v.Size()
	page, err := t.read(v, w)
	if v.Close(); err != nil {
		return nil, err
	}
	root, err := q.Log.root(q.HTTP.Context(), size)
	if err != nil {
		return nil, err
	}
	head, _ := v.Head()
	name := q.fileName(size, t.name)
	total, begun := page.Total, false
	return &Answer{Type: "text/csv; charset=utf-8", Name: name, Stream: func() ([]byte, error) {
		var b bytes.Buffer
		out := csv.NewWriter(&b)
		if !begun {
			t.begin(q, out, &head, size, root, total)
		} else if w.Offset < min(total, maxExported) {
			if page, err = part(q, size, w, t); err != nil {
				return nil, err
			}
		}
		for i := range page.Rows {
			record(out, t.cells(&page.Rows[i])...)
		}
		w.Offset += uint64(len(page.Rows))
		begun, page = true, index.Page[T]{} // a slow reader keeps no rows in memory
		out.Flush()
		return b.Bytes(), out.Error()
	}}, nil
}

// unsafe matches what a file name must not have.
var unsafe = regexp.MustCompile(`[^A-Za-z0-9.]+`)

// fileName names an export by its log, list, filter and head.
func (q *Request) fileName(size uint64, list string) string {
	name, kind := unsafe.ReplaceAllString(q.Log.Origin, "-"), strings.TrimSuffix(list, ".csv")
	parts := []string{name[:min(len(name), 60)], kind}
	for _, p := range params {
		if s := q.Get(p); s != "" && !slices.Contains([]string{"at", "lang", "order", "page", "sort"}, p) {
			s = strings.Trim(unsafe.ReplaceAllString(s, "-"), "-.")
			parts = append(parts, s[:min(len(s), 30)])
		}
	}
	return strings.Join(append(parts, "head", q.Number(size)), "-") + ".csv"
}

// begin writes the notes and the head of a table.
func (t *table[T]) begin(q *Request, out *csv.Writer, head *index.Head, size uint64, root tlog.Hash, total uint64) {
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
	for _, c := range t.columns {
		heads = append(heads, capital(q.T(c)))
	}
	record(out, heads...)
}

// part reads a part of a table at a size.
func part[T any](q *Request, size uint64, w index.Window, t *table[T]) (index.Page[T], error) {
	v, err := q.viewAt(size)
	if err != nil {
		return index.Page[T]{}, err
	}
	defer v.Close()
	return t.read(v, w)
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
