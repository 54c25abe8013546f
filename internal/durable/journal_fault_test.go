// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package durable_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/durable/durabletest"
)

func TestAppendFaults(t *testing.T) {
	appendB := func(t *testing.T, in *durabletest.Injector) error {
		name := filepath.Join(t.TempDir(), "j")
		create(t, name).Close()
		in.Inject(t, filepath.Dir(name))
		j, _, err := reopen(name)
		if err != nil {
			return err
		}
		defer j.Close()
		return j.Append([]byte("b"))
	}
	all := points(t, appendB)
	first := slices.IndexFunc(all, func(p durabletest.Point) bool { return p.Op.Step == durable.Append })
	if got := steps(all[first:]); !slices.Equal(got, []durable.Step{durable.Append, durable.AppendSync}) {
		t.Fatalf("an append takes the steps %q", got)
	}
	faults := []error{syscall.EIO}
	for n := range 40 { // a frame of 28 + 4 + 1 bytes, torn everywhere
		faults = append(faults, &durable.Torn{Bytes: n, Err: syscall.ENOSPC})
	}
	for n, p := range all[first:] {
		for i, fault := range faults {
			if i > 0 && p.Op != (durable.Op{Step: durable.Append}) {
				continue
			}
			t.Run(fmt.Sprint(p.Op, fault), func(t *testing.T) {
				for _, forever := range []bool{false, true} {
					appendFault(t, n, fault, forever)
				}
			})
		}
	}
}

func appendFault(t *testing.T, n int, fault error, forever bool) {
	name := filepath.Join(t.TempDir(), "j")
	create(t, name, "a").Close()
	var in durabletest.Injector
	remove := in.Inject(t, filepath.Dir(name))
	j, _, err := reopen(name)
	if err != nil {
		t.Fatal(err)
	}
	in.FailAt(n, fault)
	if forever {
		in.FailFrom(n, fault)
	}
	if err := j.Append([]byte("b")); !errors.Is(err, fault) {
		t.Fatalf("append: %v", err)
	}
	if j.Size() != int64(len(wantPrefix(t, name, j.Size()))) {
		t.Fatal("size counts what isn't durable")
	}
	passed := len(in.Points())
	if err := j.Append([]byte("c")); !errors.Is(err, durable.ErrFailed) || !errors.Is(err, fault) {
		t.Fatalf("append after the failure: %v", err)
	}
	if err := j.Rewrite(each("x")); !errors.Is(err, durable.ErrFailed) {
		t.Fatalf("rewrite after the failure: %v", err)
	}
	if len(in.Points()) != passed {
		t.Fatal("a failed journal touched its file")
	}
	j.Close()
	remove()
	j, got, err := reopen(name)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, []string{"a"}) && !slices.Equal(got, []string{"a", "b"}) {
		t.Fatalf("records %q", got)
	}
	if err := j.Append([]byte("d")); err != nil {
		t.Fatal(err)
	}
	j.Close()
	wantRecords(t, name, append(got, "d")...)
}

// wantPrefix returns the first n bytes of the file, which must be that long.
func wantPrefix(t *testing.T, name string, n int64) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil || int64(len(data)) < n {
		t.Fatalf("file of %d bytes, want %d: %v", len(data), n, err)
	}
	return data[:n]
}

// All calls that wait on one commit fail with it, and so do later ones.
func TestAppendFaultsConcurrent(t *testing.T) {
	name := filepath.Join(t.TempDir(), "j")
	create(t, name).Close()
	var in durabletest.Injector
	in.Inject(t, filepath.Dir(name))
	j, _, err := reopen(name)
	if err != nil {
		t.Fatal(err)
	}
	in.FailAt(4*5+2, syscall.EIO) // before the sixth sync
	var mu sync.Mutex
	var acked []string
	var failed int
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := 0; ; i++ {
				rec := fmt.Sprint(w, " ", i)
				err := j.Append([]byte(rec))
				mu.Lock()
				if err == nil {
					acked = append(acked, rec)
				} else if failed++; !errors.Is(err, durable.ErrFailed) || !errors.Is(err, syscall.EIO) {
					t.Error(err)
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	j.Close()
	if failed != 16 || len(acked) < 5 {
		t.Fatalf("%d failed, %d acknowledged", failed, len(acked))
	}
	j, got, err := reopen(name)
	if err != nil {
		t.Fatal(err)
	}
	j.Close()
	for _, rec := range acked {
		if !slices.Contains(got, rec) {
			t.Errorf("acknowledged record %q is lost", rec)
		}
	}
	if len(got) > len(acked)+16 {
		t.Errorf("%d records from %d acknowledged and 16 failed", len(got), len(acked))
	}
}

func TestOpenJournalFaults(t *testing.T) {
	torn := func(t *testing.T) string {
		name := filepath.Join(t.TempDir(), "j")
		j := create(t, name, "a", "b", "c")
		j.Close()
		if err := os.Truncate(name, j.Size()-1); err != nil {
			t.Fatal(err)
		}
		return name
	}
	open := func(t *testing.T, in *durabletest.Injector) error {
		name := torn(t)
		in.Inject(t, filepath.Dir(name))
		j, _, err := reopen(name)
		if err != nil {
			return err
		}
		if j.Truncated() != 28+4 {
			t.Errorf("truncated %d bytes", j.Truncated())
		}
		return j.Close()
	}
	all := points(t, open)
	if got := steps(all); !slices.Equal(got, []durable.Step{durable.Truncate, durable.Write, durable.Sync, durable.SyncDir}) {
		t.Fatalf("opening takes the steps %q", got)
	}
	for n, p := range all {
		t.Run(fmt.Sprint(p.Op), func(t *testing.T) {
			name := torn(t)
			var in durabletest.Injector
			in.Inject(t, filepath.Dir(name))
			in.FailAt(n, &durable.Torn{Bytes: 10, Err: syscall.EIO})
			if _, _, err := reopen(name); !errors.Is(err, syscall.EIO) {
				t.Fatalf("error %v", err)
			}
			wantRecords(t, name, "a", "b")
		})
	}
}

func TestCreateJournalFaults(t *testing.T) {
	act := func(t *testing.T, in *durabletest.Injector) error {
		j, err := durable.CreateJournal(filepath.Join(faulty(t, in), "j"), label, 10)
		if err != nil {
			return err
		}
		return j.Close()
	}
	for n, p := range points(t, act) {
		t.Run(fmt.Sprint(n, p.Op), func(t *testing.T) {
			var in durabletest.Injector
			dir := faulty(t, &in)
			name := filepath.Join(dir, "j")
			in.FailAt(n, syscall.EIO)
			if _, err := durable.CreateJournal(name, label, 10); !errors.Is(err, syscall.EIO) {
				t.Fatalf("error %v", err)
			}
			if _, err := os.Stat(name); err == nil {
				wantRecords(t, name)
				wantNames(t, dir, "j")
				return
			}
			wantNames(t, dir)
			create(t, name, "a").Close()
			wantRecords(t, name, "a")
		})
	}
}

func TestRewriteFaults(t *testing.T) {
	rewrite := func(t *testing.T, in *durabletest.Injector) error {
		name := filepath.Join(t.TempDir(), "j")
		create(t, name, "a", "b").Close()
		in.Inject(t, filepath.Dir(name))
		j, _, err := reopen(name)
		if err != nil {
			return err
		}
		defer j.Close()
		return j.Rewrite(each("x"))
	}
	all := points(t, rewrite)
	first := slices.IndexFunc(all, func(p durabletest.Point) bool { return p.Op.Step == durable.Create })
	want := []durable.Step{durable.Create, durable.Write, durable.Write, durable.Sync, durable.Rename, durable.SyncDir}
	if got := steps(all[first:]); !slices.Equal(got, want) {
		t.Fatalf("rewriting takes the steps %q", got)
	}
	for n, p := range all[first:] {
		for _, fault := range []error{syscall.ENOSPC, &durable.Torn{Bytes: 9, Err: syscall.EIO}} {
			t.Run(fmt.Sprint(n, p.Op, fault), func(t *testing.T) { rewriteFault(t, n, p, fault) })
		}
	}
}

func rewriteFault(t *testing.T, n int, p durabletest.Point, fault error) {
	dir := t.TempDir()
	name := filepath.Join(dir, "j")
	create(t, name, "a", "b").Close()
	var in durabletest.Injector
	remove := in.Inject(t, filepath.Dir(name))
	j, _, err := reopen(name)
	if err != nil {
		t.Fatal(err)
	}
	in.FailAt(n, fault)
	if err := j.Rewrite(each("x")); !errors.Is(err, fault) {
		t.Fatalf("rewrite: %v", err)
	}
	wantNames(t, dir, "j")
	late := p.Op.Step == durable.Rename || p.Op.Step == durable.SyncDir
	err = j.Append([]byte("c"))
	if late != errors.Is(err, durable.ErrFailed) || !late && err != nil {
		t.Fatalf("append: %v", err)
	}
	j.Close()
	remove()
	want := []string{"a", "b", "c"}
	if late {
		want = []string{"a", "b"}
	}
	if p.Op == (durable.Op{Step: durable.Rename, After: true}) || p.Op.Step == durable.SyncDir {
		want = []string{"x"}
	}
	wantRecords(t, name, want...)
}

// unchecked are faults that keep a journal from being checked before a write, and change nothing. For
// the first, a file stands where the directory was.
var unchecked = map[string]struct {
	fault func(dir string, blind func() error) error
	want  error
	heal  func(dir string) error
}{
	"stat": {func(dir string, _ func() error) error {
		return errors.Join(os.Rename(dir, dir+".away"), os.WriteFile(dir, nil, 0o600))
	}, syscall.ENOTDIR, func(dir string) error {
		return errors.Join(os.Remove(dir), os.Rename(dir+".away", dir))
	}},
	"read": {func(_ string, blind func() error) error { return blind() }, syscall.EBADF, func(string) error { return nil }},
}

// TestJournalUnchecked: a failed check is no change by another process.
func TestJournalUnchecked(t *testing.T) {
	for what, c := range unchecked {
		t.Run(what, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "d")
			name := filepath.Join(dir, "j")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			j := create(t, name, "a")
			defer j.Close()
			if err := c.fault(dir, j.Blind); err != nil {
				t.Fatal(err)
			}
			if err := j.Append([]byte("b")); !errors.Is(err, c.want) || !errors.Is(err, durable.ErrFailed) || errors.Is(err, durable.ErrChanged) {
				t.Fatalf("append: %v", err)
			}
			if err := c.heal(dir); err != nil {
				t.Fatal(err)
			}
			wantRecords(t, name, "a")
		})
	}
}
