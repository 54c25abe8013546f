// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package index

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
)

// visible is the condition of duties that the view has.
func (v *View) visible() string {
	if v.size == v.newest {
		return fmt.Sprintf("how <> %d", howMoved)
	}
	return fmt.Sprintf("since < %d AND (ended >= %[1]d OR how <> %d)", v.size, howMoved)
}

// owed is the condition of duties that are owed. At the last head, these are those that have not ended.
func (v *View) owed() string {
	if v.size == v.newest {
		return fmt.Sprintf("ended = %d", int64(never))
	}
	return fmt.Sprintf("ended >= %d AND since < %[1]d", v.size)
}

// duties returns the duties whose rows are picked.
func (v *View) duties(ctx context.Context, from, order string) ([]Duty, error) {
	return list(ctx, v, v.scanDuty, fmt.Sprintf(`SELECT k.rule, k.way, k.cure, p.idx, b.value, c.value, t.value, p.due, p.late, p.opened, p.ended, p.how,
		ifnull(p.proven, %d), ifnull(o.logged, %[1]d), ifnull(n.logged, %[1]d)
		FROM (SELECT * FROM %s) p CROSS JOIN kind k ON k.id = p.kind CROSS JOIN symbol b ON b.id = p.debtor CROSS JOIN symbol c ON c.id = p.custodian
		CROSS JOIN symbol t ON t.id = p.text LEFT JOIN entry o ON o.idx = p.opened LEFT JOIN entry n ON n.idx = p.ended%s`, int64(zero), from, order))
}

func (v *View) scanDuty(r *sql.Rows, d *Duty) error {
	var text string
	var due, late, proven, opened, ended int64
	var until uint64
	var how int
	if err := r.Scan(&d.Rule, &d.Way, &d.Cure, &d.Index, &d.By, &d.Custodian, &text, &due, &late, &d.Opened, &until, &how, &proven, &opened, &ended); err != nil {
		return err
	}
	d.Due, d.Late, d.OpenedAfter, d.Text = posix(due), posix(late), posix(opened), untemplate(text, d.Index)
	d.Auditors = d.Rule != "heartbeat" && slices.Contains(v.bars, d.Rule)
	switch {
	case until >= v.size && v.at.After(d.Late):
		d.State = DutyOverdue
	case until >= v.size:
		d.State = DutyOpen
	default:
		d.Ended, d.EndedAfter, d.LateSince = until, posix(ended), posix(proven)
		if d.State = DutySettled; how == howLapsed {
			d.State = DutyLapsed
		} else if !d.LateSince.IsZero() {
			d.State = DutyLate
		}
	}
	return nil
}

// states has the condition of each state.
func (v *View) states(until int64) map[DutyState]string {
	at := v.at.Unix()
	return map[DutyState]string{
		AnyDuty:     "duty WHERE " + v.visible(),
		DutyOpen:    "duty INDEXED BY duty_ended WHERE " + v.owed(),
		DutyOverdue: fmt.Sprintf("duty INDEXED BY duty_ended WHERE %s AND late < %d", v.owed(), at),
		DutyDue:     fmt.Sprintf("duty INDEXED BY duty_ended WHERE %s AND late >= %d AND due <= %d", v.owed(), at, until),
		DutySettled: fmt.Sprintf("duty INDEXED BY duty_ended WHERE ended < %d AND how = %d", v.size, howSettled),
		DutyLate:    fmt.Sprintf("duty WHERE ended < %d AND how = %d AND proven IS NOT NULL", v.size, howSettled),
		DutyLapsed:  fmt.Sprintf("duty WHERE ended < %d AND how = %d", v.size, howLapsed),
	}
}

// pick returns the rows that a filter picks, as the end of a query.
func (v *View) pick(ctx context.Context, f *DutyFilter) (from string, err error) {
	from = v.states(f.Until.Unix())[f.State]
	if from == "" {
		return "", fmt.Errorf("%q is no state of a duty", f.State)
	}
	if len(f.Rules)+len(f.Without) > 0 {
		kinds, err := list(ctx, v, func(r *sql.Rows, k *kindRow) error { return r.Scan(&k.id, &k.rule) }, "SELECT id, rule FROM kind")
		if err != nil {
			return "", err
		}
		var ids []int64
		for _, k := range kinds {
			if !slices.Contains(f.Without, k.rule) && (len(f.Rules) == 0 || slices.Contains(f.Rules, k.rule)) {
				ids = append(ids, k.id)
			}
		}
		from += " AND kind IN " + in(ids)
	}
	if f.By != "" {
		id, err := v.text(ctx, memberBy, f.By)
		if err != nil {
			return "", err
		}
		from += fmt.Sprintf(" AND debtor = %d", id)
	}
	if !f.EndedFrom.IsZero() || !f.EndedTo.IsZero() {
		lo, hi, err := v.span(ctx, f.EndedFrom, f.EndedTo)
		if err != nil {
			return "", err
		}
		from += fmt.Sprintf(" AND ended >= %d AND ended < %d", lo, hi)
	}
	return from, nil
}

// Duties returns the duties that a filter picks.
func (v *View) Duties(ctx context.Context, f DutyFilter) (p Page[Duty], err error) {
	columns := map[Sort][]string{ByIndex: {"id"}, ByDue: {"due", "id"}, ByLate: {"late", "id"}, ByEnded: {"ended", "id"}}[f.Sort]
	if columns == nil {
		return p, fmt.Errorf("duties are not sorted by %q", f.Sort)
	}
	if ends := f.State == DutySettled || f.State == DutyLate || f.State == DutyLapsed; f.Sort == ByIndex && ends {
		columns = []string{"ended", "id"}
	}
	outer := make([]string, len(columns))
	for i, c := range columns {
		outer[i] = "p." + c
	}
	from, err := v.pick(ctx, &f)
	if err != nil {
		return p, err
	}
	if p.Total, err = v.count(ctx, from); err == nil {
		p.Rows, err = v.duties(ctx, from+f.order(columns...)+f.limit(), f.order(outer...))
	}
	return p, err
}

type kindRow struct {
	id   int64
	rule string
}

// Breaches returns the breaches that a filter picks, in the order in which they were seen.
func (v *View) Breaches(ctx context.Context, f BreachFilter) (p Page[BreachRow], err error) {
	where := fmt.Sprintf("breach INDEXED BY breach_ended WHERE ended >= %d AND since < %[1]d", v.size)
	if v.size == v.newest {
		where = fmt.Sprintf("breach WHERE ended = %d", int64(never))
	}
	if f.Unclosed {
		where += " AND closed = 0"
	}
	if f.Closed {
		where += " AND closed = 1"
	}
	var args []any
	for _, c := range []struct{ column, value string }{{"rule", f.Rule}, {"debtor", f.By}} {
		if c.value != "" {
			where += " AND " + c.column + " = ?"
			args = append(args, c.value)
		}
	}
	total, err := list(ctx, v, number, "SELECT count(*) FROM "+where, args...)
	if err != nil {
		return p, err
	}
	p.Total = total[0]
	p.Rows, err = list(ctx, v, func(r *sql.Rows, b *BreachRow) error {
		var stands string
		var seen int64
		err := r.Scan(&b.Rule, &b.Way, &b.Index, &b.Seen, &b.Last, &b.Count, &b.By, &b.Text, &b.Cure, &stands, &b.Closed, &b.ClosedAt, &seen)
		if b.SeenAfter = posix(seen); stands != "" {
			b.ClosedBy = strings.Split(stands, " ")
		}
		return err
	}, `SELECT rule, way, idx, seen, last, count, debtor, text, cure, stands, closed, CASE closed WHEN 0 THEN 0 ELSE (SELECT min(c.since) FROM breach c
		WHERE c.id = breach.id AND c.since > ifnull((SELECT max(o.since) FROM breach o WHERE o.id = c.id AND o.since < breach.since AND o.closed = 0), -1)) END,
		(SELECT logged FROM entry WHERE entry.idx = breach.seen) FROM `+where+f.order("id")+f.limit(), args...)
	return p, err
}

// custody picks rows of table, "release" or "heartbeat".
func (v *View) custody(ctx context.Context, table string, f *CustodyFilter) (from string, ok bool, err error) {
	from = fmt.Sprintf("%s r WHERE r.idx < %d", table, v.size)
	if f.Key != "" {
		id, err := v.text(ctx, memberKey, f.Key)
		if err != nil || id < 0 {
			return "", false, err
		}
		from += fmt.Sprintf(" AND r.key = %d", id)
	}
	if f.Custodian != "" {
		found, err := v.find(ctx, "member = 'custodian' AND value = ? AND type = ?", f.Custodian, table)
		if err != nil || len(found) == 0 {
			return "", false, err
		}
		var ids []int64
		for _, s := range found {
			ids = append(ids, s.id)
		}
		from += " AND EXISTS (SELECT 1 FROM name n WHERE n.symbol IN " + in(ids) + " AND n.idx = r.idx)"
	}
	return from, true, nil
}

// chained returns a page of table, "release" or "heartbeat", with the columns that scan reads. of returns a row's
// entry and custodian.
func chained[T any](ctx context.Context, v *View, table, columns string, f *CustodyFilter, scan func(*sql.Rows, *T) error, of func(*T) (*Entry, *string)) (p Page[T], err error) {
	from, ok, err := v.custody(ctx, table, f)
	if err != nil || !ok {
		return p, err
	}
	if p.Total, err = v.count(ctx, from); err != nil {
		return p, err
	}
	p.Rows, err = list(ctx, v, scan, "SELECT r.idx, (SELECT value FROM symbol WHERE id = r.key), r.seq, "+columns+" FROM "+from+f.order("r.idx")+f.limit())
	if err != nil {
		return p, err
	}
	at := make([]*Entry, len(p.Rows))
	for i := range p.Rows {
		at[i], _ = of(&p.Rows[i])
	}
	err = v.fill(ctx, at)
	for i := range p.Rows {
		e, custodian := of(&p.Rows[i])
		*custodian = e.Name("custodian")
	}
	return p, err
}

// Releases returns releases in the log's order.
func (v *View) Releases(ctx context.Context, f CustodyFilter) (Page[Release], error) {
	return chained(ctx, v, "release", "r.access", &f, func(r *sql.Rows, x *Release) error {
		return r.Scan(&x.Index, &x.Key, &x.Seq, &x.Access)
	}, func(x *Release) (*Entry, *string) { return &x.Entry, &x.Custodian })
}

// Heartbeats returns heartbeats in the log's order.
func (v *View) Heartbeats(ctx context.Context, f CustodyFilter) (Page[Heartbeat], error) {
	return chained(ctx, v, "heartbeat", "r.begins, r.ends, r.resumed", &f, func(r *sql.Rows, x *Heartbeat) error {
		var begins, ends int64
		err := r.Scan(&x.Index, &x.Key, &x.Seq, &begins, &ends, &x.Resumed)
		x.From, x.To = posix(begins), posix(ends)
		return err
	}, func(x *Heartbeat) (*Entry, *string) { return &x.Entry, &x.Custodian })
}

// fill reads entries whose indexes are known.
func (v *View) fill(ctx context.Context, at []*Entry) error {
	ids := make([]uint64, len(at))
	for i, e := range at {
		ids[i] = e.Index
	}
	found, err := v.entries(ctx, "SELECT idx FROM entry WHERE idx IN "+in(ids), "")
	if err != nil {
		return err
	}
	by := make(map[uint64]Entry, len(found))
	for _, e := range found {
		by[e.Index] = e
	}
	for _, e := range at {
		*e = by[e.Index]
	}
	return nil
}

// Heads returns the heads up to this size that the monitor has seen.
func (v *View) Heads(ctx context.Context, w Window) (p Page[Head], err error) {
	where := fmt.Sprintf("size <= %d", v.size)
	if p.Total, err = v.count(ctx, "head WHERE "+where); err != nil {
		return p, err
	}
	p.Rows, err = v.heads(ctx, where+w.order("size")+w.limit())
	return p, err
}

// heads returns the heads that a condition picks.
func (v *View) heads(ctx context.Context, where string) ([]Head, error) {
	heads, err := list(ctx, v, func(r *sql.Rows, h *Head) error {
		var root []byte
		var logged, existed int64
		err := r.Scan(&h.Size, &root, &logged, &existed, &h.Unmet)
		h.LoggedAfter, h.ExistedBefore = posix(logged), posix(existed)
		if err == nil && copy(h.Root[:], root) != len(h.Root) {
			err = fmt.Errorf("%w: the head of size %d", errDamaged, h.Size)
		}
		return err
	}, "SELECT size, root, logged, existed, unmet FROM head WHERE "+where)
	if err != nil || len(heads) == 0 {
		return heads, err
	}
	by, sizes := make(map[uint64]*Head), make([]uint64, len(heads))
	for i := range heads {
		by[heads[i].Size], sizes[i] = &heads[i], heads[i].Size
	}
	_, err = list(ctx, v, func(r *sql.Rows, c *Cosignature) error {
		var size uint64
		var at int64
		err := r.Scan(&size, &c.Key, &c.Name, &at)
		if c.Time = posix(at); by[size] != nil {
			by[size].Cosigned = append(by[size].Cosigned, *c)
		}
		return err
	}, "SELECT size, key, name, time FROM cosignature WHERE size IN "+in(sizes)+" ORDER BY size, key")
	return heads, err
}
