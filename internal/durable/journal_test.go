// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package durable_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/durable/durabletest"
)

const label = "witness.example/one"

func ignore([]byte) error { return nil }

func create(t testing.TB, name string, recs ...string) *durable.Journal {
	t.Helper()
	j, err := durable.CreateJournal(name, label, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range recs {
		if err := j.Append([]byte(r)); err != nil {
			t.Fatal(err)
		}
	}
	return j
}

// reopen opens name and returns its records.
func reopen(name string) (j *durable.Journal, recs []string, err error) {
	j, err = durable.OpenJournal(name, label, 1<<20, func(rec []byte) error {
		recs = append(recs, string(rec))
		return nil
	})
	return j, recs, err
}

func wantRecords(t *testing.T, name string, want ...string) {
	t.Helper()
	j, got, err := reopen(name)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if !slices.Equal(got, want) {
		t.Fatalf("%d records %.200q, want %d %.200q", len(got), got, len(want), want)
	}
}

// wantSize checks that the file has the journal's records, and after them only a reserve of zeros.
func wantSize(t *testing.T, j *durable.Journal, name string) {
	t.Helper()
	data, err := os.ReadFile(name)
	if n := int64(len(data)) - j.Size(); err != nil || n < 0 || n > durable.Reserve || len(bytes.Trim(data[j.Size():], "\x00")) > 0 {
		t.Fatalf("size %d, file %d (%v)", j.Size(), len(data), err)
	}
}

func TestJournal(t *testing.T) {
	name := filepath.Join(t.TempDir(), "j")
	if _, _, err := reopen(name); !errors.Is(err, durable.ErrMissing) {
		t.Fatalf("open of nothing: %v", err)
	}
	wantNames(t, filepath.Dir(name))
	j := create(t, name)
	if _, err := durable.CreateJournal(name, label, 10); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("second create: %v", err)
	}
	big := strings.Repeat("b", 1<<20)
	want := []string{"a", big, "\x00", "c\n"}
	for _, r := range want {
		if err := j.Append([]byte(r)); err != nil {
			t.Fatal(err)
		}
		wantSize(t, j, name)
	}
	for _, bad := range []string{"", big + "b"} {
		if err := j.Append([]byte(bad)); !errors.Is(err, durable.ErrTooLarge) {
			t.Fatalf("record of %d bytes: %v", len(bad), err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := j.Append([]byte("d")); !errors.Is(err, fs.ErrClosed) {
		t.Fatalf("append after close: %v", err)
	}
	if err := j.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Fatalf("second close: %v", err)
	}
	wantRecords(t, name, want...)
	before, _ := os.ReadFile(name)
	j, _, err := reopen(name)
	if err != nil || j.Truncated() != 0 {
		t.Fatalf("the reserve counts as %d torn bytes: %v", j.Truncated(), err)
	}
	j.Close()
	wantFile(t, name, before)
}

func TestJournalArguments(t *testing.T) {
	dir := t.TempDir()
	for _, l := range []string{"", " x", "x ", "a\nb", "é", strings.Repeat("x", 256)} {
		if _, err := durable.CreateJournal(filepath.Join(dir, "j"), l, 10); err == nil {
			t.Errorf("label %q was taken", l)
		}
	}
	for _, n := range []int{-1, 0, 16<<20 + 1} {
		if _, err := durable.CreateJournal(filepath.Join(dir, "j"), label, n); !errors.Is(err, durable.ErrTooLarge) {
			t.Errorf("record limit %d: %v", n, err)
		}
	}
	wantNames(t, dir)
	for i, l := range []string{"x", "a b", strings.Repeat("x", 255)} {
		name := filepath.Join(dir, fmt.Sprint(i))
		j, err := durable.CreateJournal(name, l, 10)
		if err != nil {
			t.Fatal(err)
		}
		j.Close()
		if _, err := durable.OpenJournal(name, l+"'", 10, ignore); !errors.Is(err, durable.ErrLabel) {
			t.Errorf("opened %q by another label: %v", l, err)
		}
		j, err = durable.OpenJournal(name, l, 10, ignore)
		if err != nil {
			t.Fatal(err)
		}
		j.Close()
	}
}

func TestJournalReplayError(t *testing.T) {
	name := filepath.Join(t.TempDir(), "j")
	create(t, name, "a", "b", "c").Close()
	stop := errors.New("stop")
	var seen int
	_, err := durable.OpenJournal(name, label, 10, func(rec []byte) error {
		if seen++; string(rec) == "b" {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || seen != 2 {
		t.Fatalf("error %v after %d records", err, seen)
	}
}

func TestGroupCommit(t *testing.T) {
	name := filepath.Join(t.TempDir(), "j")
	create(t, name).Close()
	var syncs atomic.Int32
	first, release := make(chan struct{}), make(chan struct{})
	durabletest.Inject(t, filepath.Dir(name), func(op durable.Op, _ string) error {
		if op == (durable.Op{Step: durable.AppendSync}) && syncs.Add(1) == 1 {
			close(first)
			<-release
		}
		return nil
	})
	j, _, err := reopen(name)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	var wg sync.WaitGroup
	add := func(s string) {
		wg.Go(func() {
			if err := j.Append([]byte(s)); err != nil {
				t.Error(err)
			}
		})
	}
	add("0")
	<-first
	var want []string
	for i := range 31 {
		want = append(want, fmt.Sprint(i+1))
		add(want[i])
	}
	for j.InFlight() < 32 {
		runtime.Gosched()
	}
	close(release)
	wg.Wait()
	if n := syncs.Load(); n != 2 {
		t.Errorf("32 records took %d syncs, want 2", n)
	}
	r, got, err := reopen(name)
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	slices.Sort(got[1:])
	slices.Sort(want)
	if got[0] != "0" || !slices.Equal(got[1:], want) {
		t.Errorf("records %q", got)
	}
}

// Records that together exceed the batch limit go into several frames.
func TestConcurrentAppends(t *testing.T) {
	name := filepath.Join(t.TempDir(), "j")
	j := create(t, name)
	var want []string
	var wg sync.WaitGroup
	for i := range 24 {
		rec := fmt.Sprintf("%02d %s", i, strings.Repeat("x", 100_000+i))
		want = append(want, rec)
		wg.Go(func() {
			if err := j.Append([]byte(rec)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	j.Close()
	r, got, err := reopen(name)
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Fatalf("%d records of %d, or others", len(got), len(want))
	}
}

func each(recs ...string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, r := range recs {
			if !yield([]byte(r), nil) {
				return
			}
		}
	}
}

func TestRewrite(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "j")
	j := create(t, name, "a", "b", "c")
	stop := errors.New("stop")
	for want, recs := range map[error]iter.Seq2[[]byte, error]{
		stop:                func(yield func([]byte, error) bool) { _ = yield([]byte("x"), nil) && yield(nil, stop) },
		durable.ErrTooLarge: each("x", ""),
	} {
		if err := j.Rewrite(recs); !errors.Is(err, want) {
			t.Fatalf("error %v, want %v", err, want)
		}
		wantNames(t, dir, "j")
	}
	if err := j.Append([]byte("d")); err != nil { // it goes on
		t.Fatal(err)
	}
	big := strings.Repeat("y", 400_000)
	for _, recs := range [][]string{{"x", big, big, big, "z"}, {}, {"x"}} {
		if err := j.Rewrite(each(recs...)); err != nil {
			t.Fatal(err)
		}
		if err := j.Append([]byte("after")); err != nil {
			t.Fatal(err)
		}
		wantSize(t, j, name)
		wantRecords(t, name, append(recs, "after")...)
		wantNames(t, dir, "j")
	}
}

func TestRewriteBusy(t *testing.T) {
	name := filepath.Join(t.TempDir(), "j")
	create(t, name, "a").Close()
	var j *durable.Journal
	var refused error
	durabletest.Inject(t, filepath.Dir(name), func(op durable.Op, _ string) error {
		if op == (durable.Op{Step: durable.AppendSync, After: true}) {
			refused = j.Rewrite(each())
		}
		return nil
	})
	j, _, err := reopen(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Append([]byte("b")); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(refused, durable.ErrBusy) {
		t.Fatalf("rewrite during an append: %v", refused)
	}
	wantRecords(t, name, "a", "b")
	if err := j.Rewrite(each("c")); err != nil {
		t.Fatal(err)
	}
	j.Close()
	wantRecords(t, name, "c")
}

func TestJournalChanged(t *testing.T) {
	for what, change := range map[string]func(name string) error{
		"appended": func(name string) error {
			f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				return err
			}
			_, err = f.Write([]byte("x"))
			return errors.Join(err, f.Close())
		},
		"written": func(name string) error { // by another process that holds the journal
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			data[len(data)-durable.Reserve] = 1
			return os.WriteFile(name, data, 0o600)
		},
		"put back": func(name string) error { // a copy of the same length, in place
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			end := len(data) - durable.Reserve
			clear(data[end-5 : end])
			copy(data[end-5-28:], make([]byte, 28))
			return os.WriteFile(name, data, 0o600)
		},
		"removed": os.Remove,
		"restored": func(name string) error {
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			return durable.WriteFile(name, data, 0o600)
		},
	} {
		t.Run(what, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "j")
			j := create(t, name, "a")
			defer j.Close()
			if err := change(name); err != nil {
				t.Fatal(err)
			}
			before, _ := os.ReadFile(name)
			for range 2 {
				if err := j.Append([]byte("b")); !errors.Is(err, durable.ErrChanged) || !errors.Is(err, durable.ErrFailed) {
					t.Fatalf("append: %v", err)
				}
			}
			if err := j.Rewrite(each("b")); !errors.Is(err, durable.ErrChanged) {
				t.Fatalf("rewrite: %v", err)
			}
			if after, _ := os.ReadFile(name); !bytes.Equal(before, after) {
				t.Error("the other's file was written to")
			}
		})
	}
}
