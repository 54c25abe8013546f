// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package index

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// View is the log at one size, unchanged by what is indexed meanwhile. It is for one goroutine,
// holds one of few connections, and ends with Close: a handler closes it before it writes to a
// slow reader.
type View struct {
	x    *Index
	f    *file
	conn *sql.Conn

	size, newest uint64
	head         Head
	headed       bool // head is known
	at           time.Time
	bars         []string // rules that bar auditors

	trace func(query string, args []any) // not nil only in tests
}

// View returns the log as of a size, which need not be that of a head that the monitor saw; 0:
// that of the last head. Errors: ErrEmpty, ErrSize.
func (x *Index) View(ctx context.Context, size uint64) (*View, error) {
	f := x.file.Load()
	if f == nil {
		return nil, ErrEmpty
	}
	conn, err := f.read.Conn(ctx)
	if err != nil {
		return nil, f.failed(err)
	}
	v := &View{x: x, f: f, conn: conn}
	if _, err = conn.ExecContext(ctx, "BEGIN"); err == nil {
		err = v.load(ctx, size)
	}
	if err == nil { // conn may be new, and of a file that has taken the place of this one
		_, err = f.same()
	}
	if err != nil {
		_ = v.Close() // the first error says more
		return nil, f.failed(err)
	}
	return v, nil
}

// failed notes a damaged file, so that the next Tell replaces it, and wraps ErrFile.
func (f *file) failed(err error) error {
	if err = damage(err); errors.Is(err, errDamaged) {
		f.damaged.CompareAndSwap(nil, &err)
	}
	for _, known := range []error{ErrEmpty, ErrSize, ErrFile, context.Canceled, context.DeadlineExceeded} {
		if err == nil || errors.Is(err, known) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", ErrFile, err)
}

func (v *View) load(ctx context.Context, size uint64) error {
	err := v.one(ctx, "SELECT ifnull(max(size), 0) FROM head", &v.newest)
	if err != nil {
		return err
	}
	switch v.size = size; {
	case v.newest == 0:
		return ErrEmpty
	case size == 0:
		v.size = v.newest
	case size > v.newest:
		return ErrSize
	}
	var at int64
	var bars string
	if err := v.one(ctx, fmt.Sprintf("SELECT logged FROM entry WHERE idx = %d", v.size-1), &at); errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%w: it has no entry %d", errDamaged, v.size-1)
	} else if err != nil {
		return err
	}
	err = v.one(ctx, fmt.Sprintf("SELECT ifnull((SELECT bars FROM charter WHERE idx < %d ORDER BY idx DESC LIMIT 1), 'null')", v.size), &bars)
	if err != nil {
		return err
	}
	heads, err := v.heads(ctx, fmt.Sprintf("size = %d", v.size))
	if err != nil {
		return err
	}
	if v.headed = len(heads) > 0; v.headed {
		v.head = heads[0]
	}
	if v.at = posix(at); v.head.LoggedAfter.After(v.at) {
		v.at = v.head.LoggedAfter
	}
	return json.Unmarshal([]byte(bars), &v.bars)
}

// Close ends the view.
func (v *View) Close() error {
	_, err := v.conn.ExecContext(context.Background(), "ROLLBACK")
	return errors.Join(err, v.conn.Close())
}

// Size returns the number of entries in view.
func (v *View) Size() uint64 { return v.size }

// Head returns the head of this size; ok is false if the monitor did not see it, or forgot it with
// a rebuilt index.
func (v *View) Head() (h Head, ok bool) { return v.head, v.headed }

// Charter returns the index of the charter in force at an entry; ok is false at the first one.
func (v *View) Charter(ctx context.Context, index uint64) (charter uint64, ok bool, err error) {
	found, err := list(ctx, v, number, fmt.Sprintf("SELECT idx FROM charter WHERE idx < %d ORDER BY idx DESC LIMIT 1", index))
	if err != nil || len(found) == 0 {
		return 0, false, err
	}
	return found[0], true, nil
}

// At returns the proven time at which duties are overdue or not: the later one of the head's and
// of the last entry's. Zero: none.
func (v *View) At() time.Time { return v.at }

// posix is the reverse of time.Time.Unix, for the zero time too.
func posix(t int64) time.Time { return time.Unix(t, 0).UTC() }

// one reads one row.
func (v *View) one(ctx context.Context, query string, out ...any) error {
	return v.conn.QueryRowContext(ctx, query).Scan(out...)
}

// list reads rows. Queries have numbers in their text, and strings as arguments.
func list[T any](ctx context.Context, v *View, scan func(row *sql.Rows, out *T) error, query string, args ...any) (out []T, err error) {
	if v.trace != nil {
		v.trace(query, args)
	}
	rows, err := v.conn.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, v.f.failed(err)
	}
	defer rows.Close()
	for rows.Next() {
		var one T
		if err := scan(rows, &one); err != nil && ctx.Err() == nil { // not what the schema allows
			return nil, v.f.failed(fmt.Errorf("%w: %w", errDamaged, err))
		} else if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, v.f.failed(rows.Err())
}

func number(row *sql.Rows, out *uint64) error { return row.Scan(out) }

// count returns how many rows a query has.
func (v *View) count(ctx context.Context, from string) (uint64, error) {
	out, err := list(ctx, v, number, "SELECT count(*) FROM "+from)
	if err != nil {
		return 0, err
	}
	return out[0], nil
}

// limit is the end of a query.
func (w *Window) limit() string {
	n := w.Limit
	if n <= 0 {
		n = 50
	}
	return fmt.Sprintf(" LIMIT %d OFFSET %d", min(n, MaxLimit), min(w.Offset, never))
}

// order returns columns, each in the window's direction.
func (w *Window) order(columns ...string) string {
	if w.Desc {
		for i := range columns {
			columns[i] += " DESC"
		}
	}
	return " ORDER BY " + strings.Join(columns, ", ")
}

// in returns a set of numbers.
func in[T int64 | uint64](ids []T) string {
	text := make([]string, len(ids))
	for i, id := range ids {
		text[i] = fmt.Sprint(id)
	}
	return "(" + strings.Join(text, ", ") + ")"
}

// first returns the first index whose After is not before t: the size if there is none.
func (v *View) first(ctx context.Context, t time.Time) (uint64, error) {
	out, err := list(ctx, v, number, fmt.Sprintf("SELECT idx FROM anchor WHERE proven >= %d AND idx < %d ORDER BY proven, idx LIMIT 1", t.Unix(), v.size))
	if err != nil || len(out) == 0 {
		return v.size, err
	}
	return out[0], nil
}

// span returns the indexes [lo, hi) of entries logged after times in [from, to), where zero is no bound.
func (v *View) span(ctx context.Context, from, to time.Time) (lo, hi uint64, err error) {
	hi = v.size
	if !from.IsZero() {
		lo, err = v.first(ctx, from)
	}
	if err == nil && !to.IsZero() {
		hi, err = v.first(ctx, to)
	}
	return lo, max(lo, hi), err
}

// symbols returns the symbols with these ids.
func (v *View) symbols(ctx context.Context, ids []int64) (map[int64]symbol, error) {
	out := make(map[int64]symbol, len(ids))
	var missing []int64
	for _, id := range ids {
		if s, ok := v.f.symbols.get(id); ok {
			out[id] = s
		} else if !slices.Contains(missing, id) {
			missing = append(missing, id)
		}
	}
	if len(missing) == 0 {
		return out, nil
	}
	rows, err := v.find(ctx, "id IN "+in(missing))
	for _, r := range rows {
		out[r.id] = r.symbol
		v.f.symbols.put(r.id, r.symbol)
	}
	return out, err
}

type numbered struct {
	id int64
	symbol
}

// find returns the symbols that a condition picks.
func (v *View) find(ctx context.Context, where string, args ...any) ([]numbered, error) {
	return list(ctx, v, func(r *sql.Rows, n *numbered) error {
		return r.Scan(&n.id, &n.kind, &n.member, &n.value, &n.kept)
	}, "SELECT id, type, member, value, kept FROM symbol WHERE "+where, args...)
}

// text returns the id of a text that repeats, -1 if the index has none.
func (v *View) text(ctx context.Context, member, value string) (int64, error) {
	rows, err := v.find(ctx, "member = ? AND value = ? AND type = '' AND kept = 0", member, value)
	if err != nil || len(rows) == 0 {
		return -1, err
	}
	return rows[0].id, nil
}
