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

// batch writes two files, one of which exists.
func batch(dir string, data []byte) error {
	b := durable.NewBatch(dir)
	for _, name := range []string{"d/new", "d/old"} {
		if err := b.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	return b.Sync()
}

// startBatch returns a directory with the file that exists.
func startBatch(t *testing.T) string {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "d/old"), []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestBatchFaults(t *testing.T) {
	data := bytes.Repeat([]byte("new"), 5000)
	all := points(t, func(t *testing.T, in *durabletest.Injector) error {
		dir := startBatch(t)
		in.Inject(t, dir)
		return batch(dir, data)
	})
	file := []durable.Step{durable.Create, durable.Write, durable.Sync, durable.Rename}
	if got, want := steps(all), slices.Concat([]durable.Step{durable.SyncDir}, file, file, []durable.Step{durable.SyncDir}); !slices.Equal(got, want) {
		t.Fatalf("steps %q, want %q", got, want)
	}
	for n, p := range all {
		t.Run(fmt.Sprint(n, p.Op), func(t *testing.T) {
			dir := startBatch(t)
			var in durabletest.Injector
			remove := in.Inject(t, dir)
			in.FailAt(n, syscall.EIO)
			if err := batch(dir, data); !errors.Is(err, syscall.EIO) {
				t.Fatalf("error %v", err)
			}
			remove()
			wantFile(t, filepath.Join(dir, "d/old"), []byte("old"), data)
			if b, err := os.ReadFile(filepath.Join(dir, "d/new")); !errors.Is(err, fs.ErrNotExist) && !bytes.Equal(b, data) {
				t.Errorf("%d bytes, %v", len(b), err)
			}
			wantNames(t, dir, "d")
			if err := batch(dir, data); err != nil {
				t.Fatal(err)
			}
			wantNames(t, filepath.Join(dir, "d"), "new", "old")
		})
	}
	// What is there already is synced only.
	dir := startBatch(t)
	if err := batch(dir, data); err != nil {
		t.Fatal(err)
	}
	var in durabletest.Injector
	in.Inject(t, dir)
	if err := batch(dir, data); err != nil {
		t.Fatal(err)
	}
	if got, want := steps(in.Points()), []durable.Step{durable.SyncDir, durable.Sync, durable.Sync, durable.SyncDir}; !slices.Equal(got, want) {
		t.Errorf("steps %q, want %q", got, want)
	}
}

// TestBatchGoesOn: a batch that goes on after Sync knows its directories. It makes new ones durable
// with their files.
func TestBatchGoesOn(t *testing.T) {
	dir := startBatch(t)
	b := durable.NewBatch(dir)
	add := func(names ...string) error {
		for _, name := range names {
			if err := b.WriteFile(filepath.Join(dir, name), []byte(name), 0o644); err != nil {
				return err
			}
		}
		return b.Sync()
	}
	if err := add("d/a"); err != nil {
		t.Fatal(err)
	}
	var in durabletest.Injector
	remove := in.Inject(t, dir)
	if err := add("d/b", "d/e/c"); err != nil {
		t.Fatal(err)
	}
	remove()
	synced := make(map[string]bool)
	for _, p := range in.Points() {
		if p.Op == (durable.Op{Step: durable.SyncDir, After: true}) {
			if synced[p.Path] {
				t.Errorf("%s is synced twice", p.Path)
			}
			synced[p.Path] = true
		}
	}
	if len(synced) != 2 || !synced[filepath.Join(dir, "d")] || !synced[filepath.Join(dir, "d/e")] {
		t.Errorf("synced: %v", synced)
	}
	wantFile(t, filepath.Join(dir, "d/e/c"), []byte("d/e/c"))
	// Each directory's sync counts.
	for _, failing := range []string{"d", "d/e"} {
		fail := func(op durable.Op, path string) error {
			if op == (durable.Op{Step: durable.SyncDir}) && path == filepath.Join(dir, failing) {
				return syscall.EIO
			}
			return nil
		}
		remove := durabletest.Inject(t, dir, fail)
		if err := add("d/"+failing[len(failing)-1:]+"1", "d/e/"+failing[len(failing)-1:]+"2"); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: %v", failing, err)
		}
		remove()
	}
}
