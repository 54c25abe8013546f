// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package durable_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/durable/durabletest"
)

// faulty returns a new directory whose steps pass in.
func faulty(t *testing.T, in *durabletest.Injector) string {
	dir := t.TempDir()
	in.Inject(t, filepath.Dir(dir))
	return dir
}

// points returns the points that act passes when nothing fails.
func points(t *testing.T, act func(t *testing.T, in *durabletest.Injector) error) []durabletest.Point {
	t.Helper()
	var in durabletest.Injector
	if err := act(t, &in); err != nil {
		t.Fatalf("without a fault: %v", err)
	}
	return in.Points()
}

func wantFile(t *testing.T, name string, allowed ...[]byte) []byte {
	t.Helper()
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(allowed, func(a []byte) bool { return bytes.Equal(a, got) }) {
		t.Fatalf("%s holds %d bytes %.40q, which is neither state", name, len(got), got)
	}
	return got
}

// wantNames checks that nothing else, as a temporary file, is in dir.
func wantNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("%s holds %q, want %q", dir, got, want)
	}
}

func steps(points []durabletest.Point) (s []durable.Step) {
	for _, p := range points {
		if !p.Op.After {
			s = append(s, p.Op.Step)
		}
	}
	return s
}

// The order of steps makes them safe: data before name, name before the answer.
func TestStepOrder(t *testing.T) {
	for _, tc := range []struct {
		name string
		act  func(t *testing.T, in *durabletest.Injector) error
		want []durable.Step
	}{
		{"WriteFile", func(t *testing.T, in *durabletest.Injector) error {
			return durable.WriteFile(filepath.Join(faulty(t, in), "f"), []byte("x"), 0o600)
		}, []durable.Step{durable.Create, durable.Write, durable.Sync, durable.Rename, durable.SyncDir}},
		{"CreateFile", func(t *testing.T, in *durabletest.Injector) error {
			return durable.CreateFile(filepath.Join(faulty(t, in), "f"), []byte("x"), 0o600)
		}, []durable.Step{durable.Create, durable.Write, durable.Sync, durable.Link, durable.SyncDir}},
		{"MkdirAll", func(t *testing.T, in *durabletest.Injector) error {
			return durable.MkdirAll(filepath.Join(faulty(t, in), "a/b"), 0o700)
		}, []durable.Step{durable.SyncDir, durable.Mkdir, durable.SyncDir, durable.Mkdir, durable.SyncDir}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := steps(points(t, tc.act)); !slices.Equal(got, tc.want) {
				t.Fatalf("steps %q, want %q", got, tc.want)
			}
		})
	}
}

// TestLivingTemps: an owner that comes at any moment removes no temporary file of a living
// process, and each of a dead one.
func TestLivingTemps(t *testing.T) {
	dir := t.TempDir()
	j := create(t, filepath.Join(dir, "j"), "0")
	defer j.Close()
	came := make(map[durable.Op]bool)
	durabletest.Inject(t, dir, func(op durable.Op, path string) error {
		if path == dir || came[op] { // once, also after the temporary file is made and before it is locked
			return nil
		}
		came[op] = true
		lock, err := durable.LockDir(dir)
		if err != nil {
			return err
		}
		return lock.Close()
	})
	for name, write := range map[string]func() error{
		"CreateFile": func() error { return durable.CreateFile(filepath.Join(dir, "c"), []byte("x"), 0o600) },
		"WriteFile":  func() error { return durable.WriteFile(filepath.Join(dir, "w"), []byte("x"), 0o200) },
		"Rewrite":    func() error { return j.Rewrite(each("1")) },
	} {
		clear(came)
		if err := write(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if len(came) < 7 {
			t.Errorf("%s: an owner came at %v only", name, came)
		}
	}
	cleansUp(t, dir, "c", "j", "w")
}

func TestWriteFileFaults(t *testing.T) {
	old, new := []byte("old"), bytes.Repeat([]byte("new"), 5000)
	all := points(t, func(t *testing.T, in *durabletest.Injector) error {
		return durable.WriteFile(filepath.Join(faulty(t, in), "f"), new, 0o640)
	})
	for n, p := range all {
		for _, fault := range []error{syscall.ENOSPC, &durable.Torn{Bytes: 4096, Err: syscall.EIO}} {
			t.Run(fmt.Sprintf("%s %s %T", p.Op.Step, map[bool]string{true: "after"}[p.Op.After], fault), func(t *testing.T) {
				dir := t.TempDir()
				name := filepath.Join(dir, "f")
				if err := durable.WriteFile(name, old, 0o640); err != nil {
					t.Fatal(err)
				}
				var in durabletest.Injector
				in.Inject(t, dir)
				in.FailAt(n, fault)
				if err := durable.WriteFile(name, new, 0o640); !errors.Is(err, fault) {
					t.Fatalf("error %v, want %v", err, fault)
				}
				renamed := p.Op == durable.Op{Step: durable.Rename, After: true} || p.Op.Step == durable.SyncDir
				if got := wantFile(t, name, old, new); bytes.Equal(got, new) != renamed {
					t.Errorf("holds %.10q", got)
				}
				wantNames(t, dir, "f")
				if err := durable.WriteFile(name, new, 0o600); err != nil {
					t.Fatal(err)
				}
				wantFile(t, name, new)
			})
		}
	}
}

func TestCreateFileFaults(t *testing.T) {
	data := bytes.Repeat([]byte("new"), 5000)
	create := func(t *testing.T, in *durabletest.Injector) error {
		return durable.CreateFile(filepath.Join(faulty(t, in), "f"), data, 0o600)
	}
	for n, p := range points(t, create) {
		t.Run(fmt.Sprint(p.Op), func(t *testing.T) {
			var in durabletest.Injector
			dir := faulty(t, &in)
			name := filepath.Join(dir, "f")
			in.FailAt(n, syscall.EIO)
			if err := durable.CreateFile(name, data, 0o600); !errors.Is(err, syscall.EIO) {
				t.Fatalf("error %v", err)
			}
			err := durable.CreateFile(name, data, 0o600)
			linked := p.Op == durable.Op{Step: durable.Link, After: true} || p.Op.Step == durable.SyncDir
			if linked != errors.Is(err, fs.ErrExist) || !linked && err != nil {
				t.Fatalf("second try: %v", err)
			}
			wantFile(t, name, data)
			wantNames(t, dir, "f")
		})
	}
}

func TestCreateFileExists(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	if err := durable.CreateFile(name, []byte("first"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := durable.CreateFile(name, []byte("second"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("error %v, want ErrExist", err)
	}
	wantFile(t, name, []byte("first"))
	wantNames(t, dir, "f")
}

func TestReplaceFile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	ours := func(old []byte) bool { return bytes.HasPrefix(old, []byte("ours")) }
	for _, text := range []string{"ours 1", "ours 2"} {
		if err := durable.ReplaceFile(name, []byte(text), 0o600, ours); err != nil {
			t.Fatal(err)
		}
		wantFile(t, name, []byte(text))
	}
	if err := os.WriteFile(name, []byte("a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{name, dir, os.DevNull} {
		if err := durable.ReplaceFile(name, []byte("ours 3"), 0o600, ours); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: error %v, want ErrExist", name, err)
		}
	}
	wantFile(t, name, []byte("a key"))
	wantNames(t, dir, "f")
}

func TestWriteFilePermissions(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	for _, perm := range []fs.FileMode{0o600, 0o666, 0o444, 0o640} {
		if err := durable.WriteFile(name, nil, perm); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(name)
		if err != nil || info.Mode() != perm {
			t.Fatalf("mode %v, want %v (%v)", info.Mode(), perm, err)
		}
	}
}

func TestMkdirAllFaults(t *testing.T) {
	mkdir := func(t *testing.T, in *durabletest.Injector) error {
		return durable.MkdirAll(filepath.Join(faulty(t, in), "a/b/c"), 0o700)
	}
	for n, p := range points(t, mkdir) {
		t.Run(fmt.Sprint(n, p.Op), func(t *testing.T) {
			var in durabletest.Injector
			dir := filepath.Join(faulty(t, &in), "a/b/c")
			in.FailAt(n, syscall.EIO)
			if err := durable.MkdirAll(dir, 0o700); !errors.Is(err, syscall.EIO) {
				t.Fatalf("error %v", err)
			}
			// The second try makes and syncs the rest, and syncs the parent of what exists.
			if err := durable.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			synced := map[string]bool{}
			for _, p := range in.Points() {
				if p.Op == (durable.Op{Step: durable.SyncDir, After: true}) {
					synced[p.Path] = true
				}
			}
			for _, up := range []string{"..", "../..", "../../.."} {
				if parent := filepath.Join(dir, up); !synced[parent] {
					t.Errorf("%s was never synced", parent)
				}
			}
			if info, err := os.Stat(dir); err != nil || !info.IsDir() {
				t.Fatal(err)
			}
		})
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "sub")} {
		if err := durable.MkdirAll(dir, 0o700); err == nil {
			t.Errorf("MkdirAll(%s) succeeded on a file", dir)
		}
	}
}
