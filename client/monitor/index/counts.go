// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package index

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/vasistas/vasistas/client/monitor/facts"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
)

// tally is how often entries of a month have a symbol.
type tally struct {
	month, id int64
	symbol
	n uint64
}

// monthRow is a month, with the index of its first entry.
type monthRow struct {
	id    int64
	name  string
	first uint64
}

func (v *View) months(ctx context.Context) ([]monthRow, error) {
	return list(ctx, v, func(r *sql.Rows, m *monthRow) error { return r.Scan(&m.id, &m.name, &m.first) },
		fmt.Sprintf("SELECT id, name, first FROM month WHERE first < %d ORDER BY id", v.size))
}

// tallies returns the counts of the symbols that a condition picks, by month and symbol. Of the last
// month of a view below the last head, the entries are counted.
func (v *View) tallies(ctx context.Context, months []monthRow, where string, args ...any) ([]tally, error) {
	scan := func(r *sql.Rows, t *tally) error {
		return r.Scan(&t.month, &t.id, &t.kind, &t.member, &t.value, &t.kept, &t.n)
	}
	last := months[len(months)-1]
	n := "t.n"
	if v.size < v.newest {
		n = fmt.Sprintf("CASE t.month WHEN %d THEN (SELECT ifnull(sum(n), 0) FROM name WHERE symbol = t.symbol AND idx >= %d AND idx < %d) ELSE t.n END", last.id, last.first, v.size)
	}
	out, err := list(ctx, v, scan, fmt.Sprintf(`SELECT t.month, s.id, s.type, s.member, s.value, s.kept, %s FROM tally t CROSS JOIN symbol s ON s.id = t.symbol
		WHERE t.month <= %d AND (%s) ORDER BY t.month, t.symbol`, n, last.id, where), args...)
	return slices.DeleteFunc(out, func(t tally) bool { return t.n == 0 }), err
}

// Months returns the counts of each month that has an entry, ascending: the same as in
// [facts.Report], with all months.
func (v *View) Months(ctx context.Context) ([]facts.Month, error) {
	months, err := v.months(ctx)
	if err != nil {
		return nil, err
	}
	tallies, err := v.tallies(ctx, months, "TRUE")
	if err != nil {
		return nil, err
	}
	out := make([]facts.Month, len(months))
	for i, m := range months {
		out[i].Month = m.name
	}
	for i := range tallies {
		m, _ := slices.BinarySearchFunc(months, tallies[i].month, func(m monthRow, id int64) int { return cmp.Compare(m.id, id) })
		tallies[i].add(&out[m].Counts)
	}
	return out, nil
}

// add adds a tally to counts.
func (t *tally) add(c *facts.Counts) {
	switch {
	case t.member == memberChange:
		c.Change(ledger.ChangeKind(t.kind), t.value, t.n)
	case t.member == "" && t.kind == "":
		c.Unreadable += t.n
	case t.member == "" || t.kept:
		if c.Events == nil {
			c.Events = make(map[event.Type]*facts.Tally)
		}
		of := c.Events[event.Type(t.kind)]
		if of == nil {
			of = &facts.Tally{Of: make(map[string]map[string]uint64)}
			c.Events[event.Type(t.kind)] = of
		}
		switch {
		case t.member == "":
			of.Logged += t.n
			if t.kept {
				of.Kept += t.n
			}
		case of.Of[t.member] == nil:
			of.Of[t.member] = map[string]uint64{t.value: t.n}
		default:
			of.Of[t.member][t.value] += t.n
		}
	}
}

// Counts counts the entries of a type without a verdict, by month and by the value of a member of
// [facts.Tally].Of ("": all entries of the type, each with the value ""). Months ascend, and
// values within one. Values beyond the MaxValues that are most frequent are in facts.Other.
func (v *View) Counts(ctx context.Context, t event.Type, member string) ([]Count, error) {
	months, err := v.months(ctx)
	if err != nil {
		return nil, err
	}
	tallies, err := v.tallies(ctx, months, "s.type = ? AND s.member = ? AND s.kept = 1", string(t), member)
	if err != nil {
		return nil, err
	}
	total := make(map[string]uint64)
	for i := range tallies {
		total[tallies[i].value] += tallies[i].n
	}
	most := slices.SortedFunc(maps.Keys(total), func(a, b string) int { return cmp.Or(cmp.Compare(total[b], total[a]), cmp.Compare(a, b)) })
	for _, rare := range most[min(len(most), MaxValues):] {
		delete(total, rare)
	}
	type key struct{ month, value string }
	n := make(map[key]uint64)
	for i := range tallies {
		m, _ := slices.BinarySearchFunc(months, tallies[i].month, func(m monthRow, id int64) int { return cmp.Compare(m.id, id) })
		k := key{months[m].name, tallies[i].value}
		if _, often := total[k.value]; !often {
			k.value = facts.Other
		}
		n[k] += tallies[i].n
	}
	out := make([]Count, 0, len(n))
	for k, n := range n {
		out = append(out, Count{k.month, k.value, n})
	}
	slices.SortFunc(out, func(a, b Count) int { return cmp.Or(cmp.Compare(a.Month, b.Month), cmp.Compare(a.Value, b.Value)) })
	return out, nil
}

// Values returns the values of a member that entries of a type have, those of entries with a
// verdict too; t "": of all types. They are sorted, and at most MaxValues.
func (v *View) Values(ctx context.Context, t event.Type, member string) ([]string, error) {
	where, args := "member = ?", []any{member}
	if t != "" {
		where, args = where+" AND type = ?", append(args, string(t))
	}
	return list(ctx, v, func(r *sql.Rows, s *string) error { return r.Scan(s) }, fmt.Sprintf(
		"SELECT DISTINCT value FROM symbol s WHERE %s AND EXISTS (SELECT 1 FROM name n WHERE n.symbol = s.id AND n.idx < %d) ORDER BY value LIMIT %d", where, v.size, MaxValues), args...)
}

// delays remembers the last answers of Delays, which reads a duty of each entry.
type delays struct {
	mu   sync.Mutex
	last map[delayKey][]Delay
}

type delayKey struct {
	file   *file
	typ    event.Type
	size   uint64
	before time.Time // of the head
}

// Delays says, by month, how long warrants or accesses stayed sealed.
func (v *View) Delays(ctx context.Context, t event.Type) ([]Delay, error) {
	d, k := &v.x.delays, delayKey{v.f, t, v.size, v.head.ExistedBefore}
	d.mu.Lock()
	defer d.mu.Unlock()
	if known, ok := d.last[k]; ok {
		return known, nil
	}
	out, err := v.delaysOf(ctx, t)
	if err != nil {
		return nil, err
	}
	if d.last == nil || len(d.last) >= 16 {
		d.last = make(map[delayKey][]Delay)
	}
	d.last[k] = out
	return out, nil
}

// sealed is an event and what became of its seal.
type sealed struct {
	index, ended uint64
	how          int
	logged       int64
	by           string // type of the entry that ended it
}

func (v *View) delaysOf(ctx context.Context, t event.Type) ([]Delay, error) {
	months, err := v.months(ctx)
	if err != nil {
		return nil, err
	}
	type anchor struct {
		size    uint64
		existed int64
	}
	anchors, err := list(ctx, v, func(r *sql.Rows, a *anchor) error { return r.Scan(&a.size, &a.existed) },
		fmt.Sprintf("SELECT size, existed FROM anchor WHERE idx < %d ORDER BY size", v.size))
	if err != nil {
		return nil, err
	}
	rows, err := list(ctx, v, func(r *sql.Rows, s *sealed) error { return r.Scan(&s.index, &s.ended, &s.how, &s.logged, &s.by) }, fmt.Sprintf(`
		SELECT n.idx, d.ended, d.how, e.logged, ifnull(x.type, '') FROM symbol s CROSS JOIN name n ON n.symbol = s.id CROSS JOIN duty d ON d.idx = n.idx
		CROSS JOIN kind k ON k.id = d.kind CROSS JOIN entry e ON e.idx = n.idx LEFT JOIN entry x ON x.idx = d.ended
		WHERE s.member = '' AND s.value = '' AND s.type = ? AND s.kept = 1 AND n.idx < %[1]d AND k.rule = 'disclosure' AND k.way = 'late' AND d.since < %[1]d
		AND (d.ended >= %[1]d OR d.how <> %[2]d) ORDER BY n.idx`, v.size, howMoved), string(t))
	if err != nil {
		return nil, err
	}
	before := func(index uint64) time.Time {
		i, _ := slices.BinarySearchFunc(anchors, index+1, func(a anchor, size uint64) int { return cmp.Compare(a.size, size) })
		if i < len(anchors) {
			return posix(anchors[i].existed)
		}
		return v.head.ExistedBefore
	}
	out := make([]Delay, len(months))
	took := make([][]time.Duration, len(months))
	for _, s := range rows {
		m, ok := slices.BinarySearchFunc(months, s.index, func(m monthRow, index uint64) int { return cmp.Compare(m.first, index) })
		if !ok {
			m--
		}
		out[m].note(&s, v.size, before, &took[m])
	}
	for i := range out {
		out[i].Month = months[i].name
		if slices.Sort(took[i]); len(took[i]) > 0 {
			n := len(took[i])
			out[i].Median, out[i].Ninth, out[i].Longest = took[i][(n-1)/2], took[i][(9*n+9)/10-1], took[i][n-1]
		}
	}
	return slices.DeleteFunc(out, func(d Delay) bool { return d.Open+d.Sealed+d.Lapsed == 0 }), nil
}

// note counts one event.
func (d *Delay) note(s *sealed, size uint64, before func(uint64) time.Time, took *[]time.Duration) {
	switch {
	case s.ended < size && s.how == howLapsed:
		d.Lapsed++
	case s.ended >= size || s.by != string(event.TypeDisclosure):
		d.Sealed++ // an event that is sealed without end has no duty any more
	default:
		d.Open++
		if until := before(s.ended); s.logged == zero || until.IsZero() {
			d.Unproven++
		} else {
			*took = append(*took, until.Sub(posix(s.logged)))
		}
	}
}
