// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package index_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vasistas/vasistas/client/monitor/facts"
	"github.com/vasistas/vasistas/client/monitor/index"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/event"
)

// again reads as a monitor does at each poll: the last head, or after an error all from the first
// entry on.
func (r *reader) again() error {
	r.t.Helper()
	if r.untold != nil {
		r.restart()
		return r.read()
	}
	check(r.t, r.facts.Again())
	return r.untold
}

// whole fails unless the index answers as of the log's size, and has nothing to say.
func (r *reader) whole() {
	r.t.Helper()
	v := r.view(0)
	defer v.Close()
	p, err := v.Entries(r.t.Context(), index.Filter{Types: []event.Type{event.TypeWarrant}})
	check(r.t, err)
	want := uint64(0)
	for i := range r.truth.read {
		if r.truth.typ(i) == event.TypeWarrant {
			want++
		}
	}
	if n := r.x.Notice(); v.Size() != r.w.Size() || p.Total != want || n != "" {
		r.t.Errorf("%d of %d entries, %d of %d warrants; the notice is %q", v.Size(), r.w.Size(), p.Total, want, n)
	}
}

// scan reads what a page may need.
func (r *reader) scan() error {
	v, err := r.x.View(r.t.Context(), 0)
	if err != nil {
		return err
	}
	defer v.Close()
	for i := range v.Size() {
		if _, err := v.Entry(r.t.Context(), i); err != nil {
			return err
		}
	}
	return nil
}

// TestDamagedFile: whatever becomes of the file, readers get an error or right answers, and the index
// is whole again after it was told once more.
func TestDamagedFile(t *testing.T) {
	garbage := bytes.Repeat([]byte("no database "), 100_000)
	for name, harm := range map[string]func(path string) error{
		"deleted":  os.Remove,
		"cut":      func(path string) error { return os.Truncate(path, 4096*3+17) },
		"empty":    func(path string) error { return os.Truncate(path, 0) },
		"garbage":  func(path string) error { return os.WriteFile(path, garbage, 0o600) },
		"replaced": func(path string) error { return errors.Join(os.Remove(path), os.WriteFile(path, garbage[:100], 0o600)) },
		"copied": func(path string) error {
			b, err := os.ReadFile(path)
			return errors.Join(err, os.Remove(path), os.WriteFile(path, b, 0o600))
		},
		"flipped": func(path string) error {
			b, err := os.ReadFile(path)
			for i := 4096; i < len(b); i += 4096 {
				copy(b[i:], garbage[:64])
			}
			return errors.Join(err, overwrite(path, b))
		},
		"other log":    func(path string) error { return change(path, "UPDATE log SET origin = 'other.example/log'") },
		"older":        func(path string) error { return change(path, "PRAGMA user_version = 1") },
		"other leaves": func(path string) error { return change(path, "UPDATE entry SET leaf = zeroblob(32) WHERE idx = 5") },
	} {
		for _, running := range []bool{true, false} {
			t.Run(fmt.Sprint(name, ", running ", running), func(t *testing.T) {
				w := newLog(t)
				w.Story(rand.New(rand.NewPCG(1, 1)), 200, false)
				r := newReader(t, w)
				check(t, r.read())
				r.whole()
				check(t, r.x.Pragma("wal_checkpoint(TRUNCATE)"))
				if !running {
					check(t, r.x.Close())
				}
				check(t, harm(r.path))
				if running {
					if err := r.scan(); err != nil {
						t.Logf("readers are told: %v", err)
					}
				} else {
					r.open()
					if name != "other leaves" && name != "copied" && !strings.Contains(r.x.Notice(), "it is being ") {
						t.Errorf("the notice is %q", r.x.Notice())
					}
				}
				w.Anchor(w.Checkpoint("w1", "w2", "w3"))
				err := r.read()
				for range 3 {
					if err != nil && r.x.Notice() == "" {
						t.Errorf("there is no notice after %v", err)
					}
					err = r.again()
				}
				check(t, err)
				if running && (name == "other log" || name == "older" || name == "other leaves") {
					return // seen when it is opened again
				}
				r.whole()
				check(t, r.scan())
				check(t, r.x.Close())
				r.open() // the file is that of the path
				v := r.view(0)
				if n := r.x.Notice(); n != "" || v.Size() != w.Size() {
					t.Errorf("the file has the size %d, want %d; %q", v.Size(), w.Size(), n)
				}
				check(t, v.Close())
			})
		}
	}
}

// TestReplacedWhileRead: a view of a file that another log's has replaced is an error, on a connection that was open
// and on a new one, before the log is told again.
func TestReplacedWhileRead(t *testing.T) {
	r, other := newReader(t, newLog(t)), newReader(t, newLog(t))
	check(t, r.read())
	other.w.Anchor(other.w.Checkpoint("w1", "w2", "w3"))
	check(t, other.read())
	open := r.view(0)
	check(t, other.x.Pragma("wal_checkpoint(TRUNCATE)"))
	check(t, r.x.Pragma("wal_checkpoint(TRUNCATE)"))
	check(t, os.Rename(other.path, r.path))
	for _, state := range []string{"new", "open"} {
		if v, err := r.x.View(t.Context(), 0); err == nil {
			t.Errorf("a %s connection has a view of %d entries; the log has %d", state, v.Size(), r.w.Size())
			check(t, v.Close())
		}
		if state == "new" {
			check(t, open.Close())
		}
	}
}

// TestDamagedLog: whatever becomes of the write-ahead log while readers have it, they get an error or right answers, no
// file is mapped, and the index is whole again soon.
func TestDamagedLog(t *testing.T) {
	for name, harm := range map[string]func(path string) error{
		"deleted": os.Remove,
		"empty":   func(path string) error { return os.Truncate(path, 0) },
		"cut":     func(path string) error { return os.Truncate(path, 4096*3+17) },
		"garbage": func(path string) error { return overwrite(path, bytes.Repeat([]byte("no pages "), 100_000)) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newLog(t)
			w.Story(rand.New(rand.NewPCG(1, 1)), 200, false)
			r := newReader(t, w)
			check(t, r.read())
			open := r.view(0)
			check(t, harm(r.path+"-wal"))
			if _, err := os.Stat(r.path + "-shm"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("there is a file to map: %v", err)
			}
			for range 3 {
				t.Logf("readers are told: %v; %s", r.scan(), r.x.Notice())
			}
			check(t, open.Close())
			w.Anchor(w.Checkpoint("w1", "w2", "w3"))
			err := r.read()
			for range 5 {
				r.scan()
				err = r.again()
			}
			check(t, err)
			r.whole()
			check(t, r.scan())
		})
	}
}

// overwrite changes a file in its place.
func overwrite(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	return errors.Join(err, f.Close())
}

// change changes a file as another program would.
func change(path, query string) error {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return err
	}
	_, err = db.Exec(query)
	return errors.Join(err, db.Close())
}

// TestSilentLog: an index that a reader finds damaged comes back while the log has no new head.
func TestSilentLog(t *testing.T) {
	w := newLog(t)
	w.Story(rand.New(rand.NewPCG(1, 1)), 200, false)
	r := newReader(t, w)
	check(t, r.read())
	check(t, r.again())
	check(t, os.Remove(r.path))
	if err := r.again(); err == nil || !strings.Contains(r.x.Notice(), "it was deleted") {
		t.Errorf("after %v, the notice is %q", err, r.x.Notice())
	}
	if _, err := r.x.View(t.Context(), 0); !errors.Is(err, index.ErrEmpty) {
		t.Errorf("a view is %v", err)
	}
	check(t, r.again())
	r.whole()
}

// TestLockedFile: while another program has locked the file, a head is not indexed, and readers see
// the one before.
func TestLockedFile(t *testing.T) {
	w := newLog(t)
	w.Story(rand.New(rand.NewPCG(1, 1)), 100, false)
	r := newReader(t, w)
	check(t, r.read())
	size := w.Size()
	check(t, r.x.Pragma("busy_timeout = 10"))
	db, err := sql.Open("sqlite", r.path)
	check(t, err)
	other, err := db.Conn(t.Context())
	check(t, err)
	_, err = other.ExecContext(t.Context(), "BEGIN IMMEDIATE")
	check(t, err)
	w.Warrant(w.Now + people.Day)
	if err := r.read(); err == nil || !strings.Contains(r.x.Notice(), "locked") {
		t.Errorf("reading: %v; the notice is %q", err, r.x.Notice())
	}
	v := r.view(0)
	if v.Size() != size {
		t.Errorf("the view has the size %d, want %d", v.Size(), size)
	}
	check(t, v.Close())
	_, err = other.ExecContext(t.Context(), "ROLLBACK")
	check(t, err)
	check(t, errors.Join(other.Close(), db.Close()))
	check(t, r.again())
	r.whole()
}

// TestFullDisk: on a full disk no part of a head is indexed.
func TestFullDisk(t *testing.T) {
	w := newLog(t)
	rnd := rand.New(rand.NewPCG(1, 1))
	w.Story(rnd, 100, false)
	r := newReader(t, w)
	check(t, r.read())
	size := w.Size()
	v := r.view(0)
	before := dump(t, v)
	check(t, v.Close())
	for _, more := range []int{0, 1, 5} { // pages that fit
		v := r.view(0)
		pages, err := v.Query(t.Context(), "PRAGMA page_count")
		check(t, err)
		check(t, v.Close())
		var n int
		fmt.Sscan(pages[0], &n)
		check(t, r.x.Pragma(fmt.Sprint("max_page_count = ", n+more)))
		w.Story(rnd, w.Size()+300, false)
		if err := r.read(); err == nil || !strings.Contains(r.x.Notice(), "full") {
			t.Errorf("reading: %v; the notice is %q", err, r.x.Notice())
		}
		v = r.view(0)
		if v.Size() != size {
			t.Errorf("the view has the size %d, want %d", v.Size(), size)
		}
		differs(t, "what is indexed", dump(t, v), before)
		check(t, v.Close())
		r.restart()
	}
	check(t, r.x.Pragma("max_page_count = 1000000"))
	check(t, r.read())
	r.whole()
}

// TestNoDirectory: there is no index without a directory.
func TestNoDirectory(t *testing.T) {
	if _, err := index.Open(index.Config{Path: filepath.Join(t.TempDir(), "none", "index.db"), Origin: "log.example/log"}); err == nil {
		t.Error("an index is opened")
	}
}

// TestHostileStrings: what a log says is a value and no query, of any bytes that an event can have.
func TestHostileStrings(t *testing.T) {
	w := newLog(t)
	w.Append([]byte("'; DROP TABLE entry; --\x00\xff{}"))
	w.Append(nil)
	for _, code := range []string{"x-or-1-1", strings.Repeat("a", 32)} {
		b := w.WarrantBody()
		b.Offence, b.Instrument = code, code
		ev := w.Event(b)
		w.Seal(ev, w.Now+people.Day)
		w.LogEvent(ev, "court")
	}
	w.Anchor(w.Checkpoint("w1", "w2", "w3"))
	r := newReader(t, w)
	check(t, r.read())
	v := r.view(0)
	defer v.Close()
	compare(t, r, v)
	for _, bad := range []string{"' OR 1=1 --", "\x00", "%", "\xff", "\"", "(verdict)", strings.Repeat("x", 1<<16)} {
		p, err := v.Entries(t.Context(), index.Filter{Names: []facts.Name{{Member: "offence", Value: bad}}, Types: []event.Type{event.Type(bad)}})
		check(t, err)
		d, err := v.Duties(t.Context(), index.DutyFilter{By: bad, Rules: []string{bad}})
		check(t, err)
		x, err := v.Breaches(t.Context(), index.BreachFilter{By: bad, Rule: bad})
		check(t, err)
		h, err := v.Heartbeats(t.Context(), index.CustodyFilter{Custodian: bad, Key: bad})
		check(t, err)
		if p.Total+d.Total+x.Total+h.Total > 0 {
			t.Errorf("%q is found", bad)
		}
		if _, err := v.Duties(t.Context(), index.DutyFilter{State: index.DutyState(bad)}); err == nil {
			t.Errorf("%q is a state", bad)
		}
	}
	if _, err := r.x.View(t.Context(), w.Size()+1); !errors.Is(err, index.ErrSize) {
		t.Errorf("a view beyond the last head is %v", err)
	}
	if _, err := v.Entry(t.Context(), w.Size()); !errors.Is(err, index.ErrNone) {
		t.Errorf("an entry beyond the last head is %v", err)
	}
}
