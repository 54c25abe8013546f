// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package index

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vasistas/vasistas/client/monitor/facts"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// entryRow is an entry, with the ids of its names, of its agency, and of the names of its warrant.
type entryRow struct {
	Entry
	names, warrant []int64
	agency         int64
}

// entries returns entries, in the order of a query that picks indexes.
func (v *View) entries(ctx context.Context, pick, order string) ([]Entry, error) {
	rows, err := list(ctx, v, v.scanEntry, fmt.Sprintf(`SELECT e.idx, e.leaf, e.hash, e.type, e.claimed, e.logged, e.verdict, e.names,
		(SELECT CASE WHEN a.idx < %[1]d THEN a.existed END FROM anchor a WHERE a.size > e.idx ORDER BY a.size LIMIT 1), ifnull(w.entry, 0), ifnull(w.agency, 0), EXISTS (SELECT 1 FROM violation x WHERE x.idx = e.idx AND x.seen < %[1]d AND x.kind = 'breach'),
		ifnull(a.ref, 0), ifnull(g.idx, 0), g.names
		FROM (%[2]s) p CROSS JOIN entry e ON e.idx = p.idx LEFT JOIN warrant w ON w.idx = e.idx AND w.entry < %[1]d
		LEFT JOIN reference a ON a.idx = e.idx AND a.kind = 'access' LEFT JOIN reference b ON b.idx = ifnull(a.ref, e.idx) AND b.kind = 'warrant'
		LEFT JOIN entry g ON g.idx = b.ref%[3]s`, v.size, pick, order))
	if err != nil {
		return nil, err
	}
	var ids []int64
	for i := range rows {
		ids = append(append(ids, rows[i].names...), rows[i].warrant...)
		if rows[i].agency != 0 {
			ids = append(ids, rows[i].agency)
		}
	}
	symbols, err := v.symbols(ctx, ids)
	if err != nil {
		return nil, err
	}
	out := make([]Entry, len(rows))
	for i := range rows {
		out[i] = rows[i].Entry
		for _, id := range rows[i].names {
			out[i].Names = append(out[i].Names, facts.Name{Member: symbols[id].member, Value: symbols[id].value})
		}
		out[i].Agency = symbols[rows[i].agency].value
		for _, id := range rows[i].warrant {
			if s := symbols[id]; s.member == string(event.RoleAuthority) && out[i].Court == "" {
				out[i].Court = s.value
			}
		}
	}
	return out, nil
}

func (v *View) scanEntry(r *sql.Rows, e *entryRow) error {
	var leaf, hash, names, warrant []byte
	var claimed, logged int64
	var existed sql.NullInt64
	var verdict int
	if err := r.Scan(&e.Index, &leaf, &hash, &e.Type, &claimed, &logged, &verdict, &names, &existed, &e.Opened, &e.agency, &e.Broken, &e.Access, &e.Warrant, &warrant); err != nil {
		return err
	}
	if len(leaf) != len(e.Leaf) || len(hash) != 0 && len(hash) != len(e.Hash) || verdict < 0 || verdict >= len(verdicts) {
		return fmt.Errorf("%w: entry %d", errDamaged, e.Index)
	}
	e.Leaf, e.Claimed, e.After, e.Verdict = tlog.Hash(leaf), posix(claimed), posix(logged), verdicts[verdict]
	copy(e.Hash[:], hash)
	switch {
	case existed.Valid:
		e.Before = posix(existed.Int64)
	case v.headed:
		e.Before = v.head.ExistedBefore
	}
	var err1, err2 error
	e.names, err1 = numbers(names)
	e.warrant, err2 = numbers(warrant)
	if err := cmp.Or(err1, err2); err != nil {
		return fmt.Errorf("%w: the names of entry %d", err, e.Index)
	}
	return nil
}

// numbers reads ids of symbols, as names has them.
func numbers(b []byte) (ids []int64, err error) {
	for len(b) > 0 {
		id, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, errDamaged
		}
		ids, b = append(ids, int64(id)), b[n:]
	}
	return ids, nil
}

// Entries returns the entries that a filter picks, in the log's order.
func (v *View) Entries(ctx context.Context, f Filter) (p Page[Entry], err error) {
	lo, hi, err := v.span(ctx, f.From, f.To)
	if err != nil {
		return p, err
	}
	sets, ok, err := v.sets(ctx, &f)
	if err != nil || !ok && f.Verdict != Breach {
		return p, err
	}
	if len(sets) == 0 && ok {
		p.Total = hi - lo
		p.Rows, err = v.entries(ctx, fmt.Sprintf("SELECT idx FROM entry WHERE idx >= %d AND idx < %d", lo, hi)+f.order("idx")+f.limit(), f.order("e.idx"))
		return p, err
	}
	// The first set is walked in the order of the log; a compound query merges several such walks.
	var walks []string
	for _, id := range slices.Concat(sets[:min(1, len(sets))]...) {
		walk := fmt.Sprintf("SELECT idx FROM name n WHERE symbol = %d AND idx >= %d AND idx < %d", id, lo, hi)
		for _, also := range sets[1:] {
			walk += " AND EXISTS (SELECT 1 FROM name m WHERE m.symbol IN " + in(also) + " AND m.idx = n.idx)"
		}
		walks = append(walks, walk)
	}
	if f.Verdict == Breach {
		later, err := v.later(ctx, f, lo, hi)
		if err != nil {
			return p, err
		}
		walks = append(walks, later)
	}
	all := strings.Join(walks, " UNION ALL ")
	if p.Total, err = v.count(ctx, "("+all+")"); err != nil {
		return p, err
	}
	p.Rows, err = v.entries(ctx, "SELECT idx FROM ("+all+f.order("idx")+f.limit()+")", f.order("e.idx"))
	return p, err
}

// later picks entries for a filter for breaches whose breach only a later entry showed. Such an entry had
// another verdict when it was logged.
func (v *View) later(ctx context.Context, f Filter, lo, hi uint64) (walk string, err error) {
	walk = fmt.Sprintf(`SELECT DISTINCT n.idx FROM violation n WHERE n.kind = 'breach' AND n.seen < %d AND n.idx >= %d AND n.idx < %d
		AND (SELECT verdict FROM entry WHERE entry.idx = n.idx) <> %d`, v.size, lo, hi, slices.Index(verdicts, Breach))
	f.Verdict = ""
	sets, ok, err := v.sets(ctx, &f)
	if !ok {
		walk += " AND FALSE"
	}
	for _, set := range sets {
		walk += " AND EXISTS (SELECT 1 FROM name m WHERE m.symbol IN " + in(set) + " AND m.idx = n.idx)"
	}
	return walk, err
}

// sets returns the sets of symbols of which an entry must have one each. ok is false if no entry has.
func (v *View) sets(ctx context.Context, f *Filter) (sets [][]int64, ok bool, err error) {
	names := slices.Clone(f.Names)
	if f.Verdict != "" && f.Verdict != Kept {
		names = append(names, facts.Name{Member: memberVerdict, Value: string(f.Verdict)})
	}
	if len(names) == 0 && (len(f.Types) > 0 || f.Verdict == Kept) {
		names = append(names, facts.Name{})
	}
	for _, n := range names {
		found, err := v.find(ctx, "member = ? AND value = ?", n.Member, n.Value)
		if err != nil {
			return nil, false, err
		}
		var set []int64
		for _, s := range found {
			typed := len(f.Types) == 0 || slices.Contains(f.Types, event.Type(s.kind))
			if typed && (f.Verdict == "" || s.kept == (f.Verdict == Kept)) {
				set = append(set, s.id)
			}
		}
		if len(set) == 0 {
			return nil, false, nil
		}
		sets = append(sets, set)
	}
	return sets, true, nil
}

// Entry returns one entry. Errors: ErrNone.
func (v *View) Entry(ctx context.Context, index uint64) (*Detail, error) {
	if index >= v.size {
		return nil, ErrNone
	}
	found, err := v.entries(ctx, fmt.Sprintf("SELECT %d AS idx", index), "")
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, v.f.failed(fmt.Errorf("%w: it has no entry %d", errDamaged, index))
	}
	d := &Detail{Entry: found[0]}
	if d.Violations, err = list(ctx, v, func(r *sql.Rows, x *Violation) error {
		return r.Scan(&x.Rule, &x.Way, &x.Kind, &x.Index, &x.Seen, &x.By, &x.Text, &x.Cure)
	}, fmt.Sprintf("SELECT rule, way, kind, idx, seen, debtor, text, cure FROM violation WHERE idx = %d AND seen < %d ORDER BY id LIMIT %d", index, v.size, MaxRelated)); err != nil {
		return nil, err
	}
	if d.Duties, err = v.duties(ctx, fmt.Sprintf("duty WHERE idx = %d AND %s ORDER BY id LIMIT %d", index, v.visible(), MaxRelated), " ORDER BY p.id"); err != nil {
		return nil, err
	}
	d.Settles, err = v.duties(ctx, fmt.Sprintf("duty WHERE ended = %d AND how = %d ORDER BY id LIMIT %d", index, howSettled, MaxRelated), " ORDER BY p.id")
	return d, err
}

// link is a reference.
type link struct {
	from, to uint64
	kind     string
}

func (v *View) links(ctx context.Context, where string) ([]link, error) {
	return list(ctx, v, func(r *sql.Rows, l *link) error { return r.Scan(&l.from, &l.to, &l.kind) },
		"SELECT idx, ref, kind FROM reference WHERE "+where)
}

// Related returns the chain to which an entry belongs: the earliest entry to which its references
// lead, and all that leads there. Errors: ErrNone.
func (v *View) Related(ctx context.Context, index uint64) (c Chain, err error) {
	if index >= v.size {
		return c, ErrNone
	}
	by := map[uint64]link{} // the reference of each entry of the chain
	queue := []uint64{index}
	for { // each reference is to an earlier entry
		last := queue[len(queue)-1]
		up, err := v.links(ctx, fmt.Sprintf("idx = %d ORDER BY ref LIMIT 1", last))
		if err != nil {
			return c, err
		}
		if c.More = len(queue) == MaxRelated/2; len(up) == 0 || c.More {
			by[last] = link{from: last}
			break
		}
		by[last], queue = up[0], append(queue, up[0].to)
	}
	for ; len(queue) > 0; queue = queue[1:] {
		down, err := v.links(ctx, fmt.Sprintf("ref = %d AND idx < %d ORDER BY idx LIMIT %d", queue[0], v.size, MaxRelated+1))
		if err != nil {
			return c, err
		}
		for _, l := range down {
			if _, seen := by[l.from]; seen {
				continue
			}
			if len(by) == MaxRelated {
				c.More = true
				break
			}
			by[l.from], queue = l, append(queue, l.from)
		}
	}
	all, err := v.entries(ctx, "SELECT idx FROM entry WHERE idx IN "+in(slices.Collect(maps.Keys(by))), " ORDER BY e.idx")
	for i := range all {
		c.Entries = append(c.Entries, Related{Entry: all[i], Kind: by[all[i].Index].kind, To: by[all[i].Index].to})
	}
	return c, err
}
