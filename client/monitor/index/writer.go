// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package index

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/vasistas/vasistas/client/monitor/facts"
)

// never is the ended of what has not ended.
const never = math.MaxInt64

// writer adds facts to a file. It knows the state of the file with the open transaction, so after an
// error another writer is loaded. One batch of rows is written while the next one is collected, so
// that the replay does not wait for SQLite.
type writer struct {
	f        *file
	prepared map[prepared]*sql.Stmt // used by write; all other users call wait first
	begun    bool                   // a transaction is open
	err      error                  // the first error, with which SQLite may have ended the transaction

	batch *batch     // not yet written
	under chan error // the outcome of the batch that is being written; nil: there is none

	next   uint64 // the entry that is told next
	stored uint64 // entries in the file
	ahead  [][]byte
	told   *facts.Head // the last one

	month  int64 // id; 0: none
	name   string
	since  time.Time       // the last proven time
	tally  map[int64]int64 // of month, not yet added
	ids    map[symbol]int64
	kinds  map[[3]string]int64
	duties map[dutyKey][]*owed
	early  map[int64]*owed // the owed that the file does not have yet, by id
	duty   int64           // last id of a duty
	breach []breachState
}

// zero is the POSIX time of an unknown time: that of the zero time.Time.
const zero = -62135596800

// load makes a writer from what the file has.
func (f *file) load() (*writer, error) {
	w := &writer{f: f, prepared: make(map[prepared]*sql.Stmt), batch: newBatch(), tally: make(map[int64]int64), ids: make(map[symbol]int64),
		kinds: make(map[[3]string]int64), duties: make(map[dutyKey][]*owed), early: make(map[int64]*owed)}
	err := errors.Join(
		w.one("SELECT ifnull(max(idx)+1, 0) FROM entry", &w.stored),
		w.one("SELECT ifnull(max(id), 0) FROM duty", &w.duty),
		w.one("SELECT ifnull(max(id), 0), ifnull((SELECT name FROM month ORDER BY id DESC LIMIT 1), '') FROM month", &w.month, &w.name),
		w.each("SELECT id, rule, way, cure FROM kind", func(r *sql.Rows) error {
			var k [3]string
			var id int64
			err := r.Scan(&id, &k[0], &k[1], &k[2])
			w.kinds[k] = id
			return err
		}),
		w.loadDuties(), w.loadBreaches())
	return w, err
}

// prepared names a statement: a query or, if rows is not 0, an insertion of that many rows whose text begins with query.
type prepared struct {
	query         string
	rows, columns int
}

func (w *writer) stmt(p prepared) (*sql.Stmt, error) {
	s := w.prepared[p]
	if s != nil {
		return s, nil
	}
	query := p.query
	if p.rows > 0 {
		row := "(?" + strings.Repeat(", ?", p.columns-1) + ")"
		query = "INSERT " + query + " VALUES " + row + strings.Repeat(", "+row, p.rows-1)
	}
	s, err := w.f.conn.PrepareContext(context.Background(), query)
	if err == nil {
		w.prepared[p] = s
	}
	return s, err
}

// batch is written at once: first the rows, by the text into of insert, and then the statements, in order.
type batch struct {
	rows  map[string]*rows
	named []nameRow // rows of the table name
	then  []statement
	n     int
}

func newBatch() *batch { return &batch{rows: make(map[string]*rows)} }

type rows struct {
	columns int
	args    []any
}

type statement struct {
	query string
	args  []any
}

// nameRow is a row of the table name.
type nameRow struct{ symbol, index, n int64 }

// maxRows bounds a batch, and so the memory of a writer.
const maxRows = 4096

// insert adds a row to the batch. into is the text between "INSERT" and "VALUES". A later call returns the
// row's error: settle, at the latest.
func (w *writer) insert(into string, args ...any) error {
	if w.err == nil {
		r := w.batch.rows[into]
		if r == nil {
			r = &rows{columns: len(args)}
			w.batch.rows[into] = r
		}
		r.args = append(r.args, args...)
		w.full(1)
	}
	return w.err
}

// exec adds a statement to the batch, which is executed after all rows are inserted.
func (w *writer) exec(query string, args ...any) error {
	if w.err == nil {
		w.batch.then = append(w.batch.then, statement{query, args})
		w.full(1)
	}
	return w.err
}

// full adds more to the size of the batch, and begins to write a full batch.
func (w *writer) full(more int) {
	if w.batch.n += more; w.batch.n < maxRows {
		return
	}
	w.wait()
	if w.err != nil {
		return
	}
	b, under := w.batch, make(chan error, 1)
	w.batch, w.under = newBatch(), under
	go func() { under <- w.write(b) }()
}

// wait waits until no batch is being written.
func (w *writer) wait() {
	if w.under != nil {
		err := <-w.under
		w.under = nil
		w.err = cmp.Or(w.err, err)
	}
}

// settle writes all rows, so that queries see them.
func (w *writer) settle() error {
	w.wait()
	if w.err == nil && w.batch.n > 0 {
		w.err = w.write(w.batch)
		w.batch = newBatch()
	}
	return w.err
}

// write executes a batch. Rows of the table name, half of all rows, go in the order of their key.
func (w *writer) write(b *batch) error {
	slices.SortFunc(b.named, func(a, b nameRow) int { return cmp.Or(cmp.Compare(a.symbol, b.symbol), cmp.Compare(a.index, b.index)) })
	named := &rows{columns: 3, args: make([]any, 0, 3*len(b.named))}
	for _, r := range b.named {
		named.args = append(named.args, r.symbol, r.index, r.n)
	}
	b.rows["INTO name"] = named
	for into, r := range b.rows {
		for len(r.args) > 0 {
			n := 1
			for n < maxInsert && 8*n*r.columns <= len(r.args) {
				n *= 8
			}
			if err := w.run(prepared{into, n, r.columns}, r.args[:n*r.columns]); err != nil {
				return err
			}
			r.args = r.args[n*r.columns:]
		}
	}
	for _, s := range b.then {
		if err := w.run(prepared{query: s.query}, s.args); err != nil {
			return err
		}
	}
	return nil
}

// maxInsert bounds the rows that one statement inserts. It is a power of 8.
const maxInsert = 64

func (w *writer) run(p prepared, args []any) error {
	s, err := w.stmt(p)
	if err == nil {
		_, err = s.Exec(args...)
	}
	return err
}

// get reads one row of a table that no batch writes. It keeps each error but sql.ErrNoRows as the writer's.
func (w *writer) get(out any, query string, args ...any) error {
	if w.wait(); w.err != nil {
		return w.err
	}
	s, err := w.stmt(prepared{query: query})
	if err == nil {
		err = s.QueryRow(args...).Scan(out)
	}
	if !errors.Is(err, sql.ErrNoRows) {
		w.err = err
	}
	return err
}

func (w *writer) one(query string, out ...any) error {
	return w.f.conn.QueryRowContext(context.Background(), query).Scan(out...)
}

func (w *writer) each(query string, do func(*sql.Rows) error, args ...any) error {
	rows, err := w.f.conn.QueryContext(context.Background(), query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := do(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// begin opens a transaction, unless one is open.
func (w *writer) begin() error {
	if w.begun {
		return nil
	}
	_, err := w.f.conn.ExecContext(context.Background(), "BEGIN IMMEDIATE")
	w.begun = err == nil
	return err
}

// close ends a writer, and forgets what is not committed.
func (w *writer) close() {
	w.wait()
	for _, s := range w.prepared {
		_ = s.Close()
	}
	if w.begun {
		_, _ = w.f.conn.ExecContext(context.Background(), "ROLLBACK") // SQLite may have done it
	}
}

// known compares an entry that the file has with the one that is told.
func (w *writer) known(f *facts.Fact) error {
	if len(w.ahead) == 0 {
		err := w.each("SELECT leaf FROM entry WHERE idx >= ? ORDER BY idx LIMIT 1024", func(r *sql.Rows) error {
			var leaf []byte
			err := r.Scan(&leaf)
			w.ahead = append(w.ahead, leaf)
			return err
		}, int64(w.next))
		if err != nil {
			return err
		}
	}
	if len(w.ahead) == 0 || !bytes.Equal(w.ahead[0], f.Entry.Leaf[:]) {
		return fmt.Errorf("%w: its entry %d is not that of the copy", errDamaged, w.next)
	}
	w.ahead, w.next = w.ahead[1:], w.next+1
	return nil
}

// entry takes the next entry.
func (w *writer) entry(f *facts.Fact) error {
	if f.Entry.Index != w.next {
		return fmt.Errorf("entry %d is told, and %d is next", f.Entry.Index, w.next)
	}
	if w.next < w.stored {
		return w.known(f)
	}
	if err := w.begin(); err != nil {
		return err
	}
	w.next++
	w.stored = w.next
	return w.add(f)
}

// head ends a transaction with a head. A head that is told again changes nothing.
func (w *writer) head(f *facts.Fact) error {
	h := f.Head
	switch {
	case h.Size != w.next:
		return fmt.Errorf("the head of size %d is told after %d entries", h.Size, w.next)
	case h.Size < w.stored:
		return fmt.Errorf("%w: it has %d entries, and the copy %d", errDamaged, w.stored, h.Size)
	case w.told != nil && *w.told == *h:
		return nil
	}
	if err := w.begin(); err != nil {
		return err
	}
	err := w.insert("OR REPLACE INTO head", int64(h.Size), h.Root[:], h.LoggedAfter.Unix(), h.ExistedBefore.Unix(), h.Unmet)
	for _, c := range f.Witnesses {
		if err == nil && c.Size == h.Size && !c.Time.IsZero() {
			err = w.insert("OR REPLACE INTO cosignature", int64(h.Size), c.Key, c.Name, c.Time.Unix())
		}
	}
	if err = errors.Join(err, w.flush(), w.oweEarly(), w.settle()); err != nil {
		return err
	}
	if _, err := w.f.conn.ExecContext(context.Background(), "COMMIT"); err != nil {
		return err
	}
	told := *h
	w.begun, w.told = false, &told
	return nil
}

// flush adds the counts of the month.
func (w *writer) flush() error {
	for id, n := range w.tally {
		if err := w.exec("INSERT INTO tally VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n", w.month, id, n); err != nil {
			return err
		}
	}
	clear(w.tally)
	return nil
}

// symbol returns the id of a symbol.
func (w *writer) symbol(s symbol) (id int64, err error) {
	if id := w.ids[s]; id != 0 {
		return id, nil
	}
	err = w.get(&id, "SELECT id FROM symbol WHERE member = ? AND value = ? AND type = ? AND kept = ?", s.member, s.value, s.kind, s.kept)
	if errors.Is(err, sql.ErrNoRows) {
		err = w.get(&id, "INSERT INTO symbol (type, member, value, kept) VALUES (?, ?, ?, ?) RETURNING id", s.kind, s.member, s.value, s.kept)
	}
	if err != nil {
		return 0, err
	}
	if len(w.ids) >= maxSymbols {
		clear(w.ids)
	}
	w.ids[s] = id
	return id, nil
}

// text returns the id of a text that repeats.
func (w *writer) text(member, text string) (int64, error) {
	return w.symbol(symbol{member: member, value: text})
}
