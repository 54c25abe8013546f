// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package index

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"modernc.org/sqlite" // SQLite without C
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/vasistas/vasistas/log/event"
)

//go:embed schema.sql
var schema string

// meaning is raised when the same rows come to mean something else.
const meaning = 2

// version of the file. A file of another one is rebuilt: its rows follow from the copy.
func version() uint32 {
	return crc32.ChecksumIEEE(fmt.Appendf(nil, "%d %q %s", meaning, event.Types(), schema)) >> 1
}

const application = 0x76617369 // "vasi"

// maxReaders bounds the open views. Others wait.
const maxReaders = 8

// errDamaged wraps what only a new file cures.
var errDamaged = errors.New("the file is damaged")

// errOther is a file that another program, version or log has written.
var errOther = errors.New("the file is of another version or log")

// file is an open SQLite file in WAL mode: one connection writes, and each view has a connection
// and a read transaction of its own. This process locks the file, so its connections can share the
// index of the WAL in memory. Otherwise SQLite maps a file for that index (-shm), and the kernel kills
// a process that reads a mapped file which another program has cut.
type file struct {
	path  string
	info  os.FileInfo
	write *sql.DB
	read  *sql.DB
	conn  *sql.Conn // of write
	least int64     // bytes; the file never gets smaller. Of the writer
	empty bool      // it was, when it was opened

	damaged atomic.Pointer[error] // what a view has found
	symbols symbols
}

func dsn(path string, query url.Values) string {
	query.Set("vfs", "unix-excl")
	return (&url.URL{Scheme: "file", Path: path, RawQuery: query.Encode()}).String()
}

// open opens the file, or makes it. Errors: errOther, errDamaged, others that may pass.
func open(path, origin string) (_ *file, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	f := &file{path: path}
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	// After a crash of the machine the last transactions may be missing with synchronous=NORMAL, and
	// the file is whole: the copy, from which they are told again, is the truth.
	f.write, err = sql.Open("sqlite", dsn(path, url.Values{"_pragma": {"busy_timeout(2000)", "journal_mode(WAL)", "synchronous(NORMAL)",
		"cache_size(-16384)", "journal_size_limit(16777216)", "cell_size_check(1)", "trusted_schema(0)"}}))
	if err != nil {
		return nil, err
	}
	f.write.SetMaxOpenConns(1)
	ctx := context.Background()
	if f.conn, err = f.write.Conn(ctx); err != nil {
		return nil, damage(err)
	}
	if err := f.check(ctx, origin); err != nil {
		return nil, damage(err)
	}
	f.read, err = sql.Open("sqlite", dsn(path, url.Values{"mode": {"ro"}, "_pragma": {"busy_timeout(2000)", "query_only(1)",
		"cache_size(-4096)", "cell_size_check(1)", "trusted_schema(0)"}}))
	if err != nil {
		return nil, err
	}
	f.read.SetMaxOpenConns(maxReaders)
	f.read.SetMaxIdleConns(maxReaders)
	if f.info, err = os.Stat(path); err != nil {
		return nil, err
	}
	f.least = f.info.Size()
	return f, nil
}

// check reads whose file it is, and fills an empty one.
func (f *file) check(ctx context.Context, origin string) error {
	var id, is, tables uint32
	err := f.conn.QueryRowContext(ctx, "SELECT a.application_id, v.user_version, (SELECT count(*) FROM sqlite_schema) FROM pragma_application_id a, pragma_user_version v").Scan(&id, &is, &tables)
	switch {
	case err != nil:
		return err
	case id == 0 && is == 0 && tables == 0:
		f.empty = true
		return f.fill(ctx, origin)
	case id != application || is != version():
		return errOther
	}
	var of, sound string
	if err := f.conn.QueryRowContext(ctx, "SELECT origin FROM log").Scan(&of); err != nil {
		return err
	}
	if of != origin {
		return errOther
	}
	if err := f.conn.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&sound); err != nil {
		return err
	}
	if sound != "ok" {
		return fmt.Errorf("%w: %s", errDamaged, sound)
	}
	return nil
}

// fill makes the tables.
func (f *file) fill(ctx context.Context, origin string) error {
	tx, err := f.conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.Exec(schema + fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", application, version())); err != nil {
		return err
	}
	if _, err := tx.Exec("INSERT INTO log VALUES (?)", origin); err != nil {
		return err
	}
	return tx.Commit()
}

// close closes the connections that no view has; the others close with their views.
func (f *file) close() {
	if f.read != nil {
		_ = f.read.Close() // nothing is written by it
	}
	if f.conn != nil {
		_ = f.conn.Close() // what is not committed is told again
	}
	if f.write != nil {
		_ = f.write.Close()
	}
}

// sound fails if the file is not the one that was opened, or a view has found it damaged.
func (f *file) sound() error {
	if err := f.damaged.Load(); err != nil {
		return *err
	}
	now, err := f.same()
	if err != nil {
		return err
	}
	if now.Size() < f.least {
		return fmt.Errorf("%w: it was cut from %d to %d bytes", errDamaged, f.least, now.Size())
	}
	f.least = now.Size()
	return nil
}

// same fails if the path has another file than the one that was opened.
func (f *file) same() (os.FileInfo, error) {
	now, err := os.Stat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: it was deleted", errDamaged)
	case err != nil:
		return nil, err
	case !os.SameFile(now, f.info):
		return nil, fmt.Errorf("%w: it was replaced", errDamaged)
	}
	return now, nil
}

// remove deletes the file and what SQLite keeps with it.
func remove(path string) (err error) {
	for _, suffix := range []string{"-wal", "-shm", ""} {
		if e := os.Remove(path + suffix); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// damage wraps errDamaged unless the error may pass: the file is locked, or can't be read, written
// or enlarged at present.
func damage(err error) error {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return err
	}
	if e.Code() == sqlite3.SQLITE_IOERR_SHORT_READ { // of the WAL: it was cut
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN,
		sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_ABORT:
		return err
	}
	return fmt.Errorf("%w: %w", errDamaged, err)
}

// symbol is a row of that table.
type symbol struct {
	kind, member, value string // kind is the column type
	kept                bool
}

// symbols caches rows of the table for views. A row never changes.
type symbols struct {
	mu   sync.Mutex
	byID map[int64]symbol
}

// maxSymbols bounds the cache, since a log can have any number of values.
const maxSymbols = 1 << 14

func (s *symbols) get(id int64) (symbol, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out, ok := s.byID[id]
	return out, ok
}

func (s *symbols) put(id int64, v symbol) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID == nil || len(s.byID) >= maxSymbols {
		s.byID = make(map[int64]symbol)
	}
	s.byID[id] = v
}
