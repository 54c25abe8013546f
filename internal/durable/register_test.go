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
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/durable/durabletest"
)

func load(t *testing.T, r *durable.Register) string {
	t.Helper()
	v, err := r.Load()
	if err != nil {
		t.Fatal(err)
	}
	return string(v)
}

func TestRegister(t *testing.T) {
	name := filepath.Join(t.TempDir(), "r")
	if _, err := durable.OpenRegister(name, 10); !errors.Is(err, durable.ErrMissing) || !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("open of nothing: %v", err)
	}
	if _, err := durable.CreateRegister(name, 10, nil); !errors.Is(err, durable.ErrTooLarge) {
		t.Fatalf("empty value: %v", err)
	}
	r, err := durable.CreateRegister(name, 10, []byte("one"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := durable.CreateRegister(name, 10, []byte("uno")); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("second create: %v", err)
	}
	for _, tc := range []struct {
		old, new string
		want     error
		then     string
	}{
		{"zero", "two", durable.ErrConflict, "one"},
		{"", "two", durable.ErrConflict, "one"},
		{"one", "", durable.ErrTooLarge, "one"},
		{"one", "elevenbytes", durable.ErrTooLarge, "one"},
		{"one", "two", nil, "two"},
		{"one", "two", durable.ErrConflict, "two"},
		{"two", "two", nil, "two"},
		{"two", "exactlyten", nil, "exactlyten"},
	} {
		if err := r.CompareAndSwap([]byte(tc.old), []byte(tc.new)); !errors.Is(err, tc.want) {
			t.Fatalf("%q to %q: %v, want %v", tc.old, tc.new, err, tc.want)
		}
		if got := load(t, r); got != tc.then {
			t.Fatalf("%q to %q: holds %q", tc.old, tc.new, got)
		}
	}
	if _, err := durable.OpenRegister(name, 9); !errors.Is(err, durable.ErrTooLarge) {
		t.Fatalf("open with a lower limit: %v", err)
	}
	r, err = durable.OpenRegister(name, 10)
	if err != nil || load(t, r) != "exactlyten" {
		t.Fatal(err)
	}
	v, _ := r.Load()
	v[0] = 'X'
	if load(t, r) != "exactlyten" {
		t.Fatal("Load gave out its own memory")
	}
	if err := os.Truncate(name, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := durable.OpenRegister(name, 10); !errors.Is(err, durable.ErrTooLarge) {
		t.Fatalf("open of an emptied file: %v", err)
	}
}

func TestRegisterFaults(t *testing.T) {
	swap := func(t *testing.T, in *durabletest.Injector) error {
		name := filepath.Join(t.TempDir(), "r")
		if _, err := durable.CreateRegister(name, 100, []byte("old")); err != nil {
			return err
		}
		in.Inject(t, filepath.Dir(name))
		r, err := durable.OpenRegister(name, 100)
		if err != nil {
			return err
		}
		return r.CompareAndSwap([]byte("old"), []byte("new"))
	}
	for n, p := range points(t, swap) {
		for _, forever := range []bool{false, true} {
			t.Run(fmt.Sprint(n, p.Op, forever), func(t *testing.T) { registerFault(t, n, forever) })
		}
	}
}

func registerFault(t *testing.T, n int, forever bool) {
	dir := t.TempDir()
	name := filepath.Join(dir, "r")
	if _, err := durable.CreateRegister(name, 100, []byte("old")); err != nil {
		t.Fatal(err)
	}
	var in durabletest.Injector
	remove := in.Inject(t, dir)
	if forever {
		in.FailFrom(n, syscall.EIO)
	} else {
		in.FailAt(n, syscall.EIO)
	}
	r, err := durable.OpenRegister(name, 100)
	if err == nil {
		err = r.CompareAndSwap([]byte("old"), []byte("new"))
	}
	if !errors.Is(err, syscall.EIO) {
		t.Fatalf("error %v", err)
	}
	onDisk := wantFile(t, name, []byte("old"), []byte("new"))
	wantNames(t, dir, "r")
	if r != nil {
		before := len(in.Points())
		v, err := r.Load()
		switch {
		case err == nil && !bytes.Equal(v, onDisk):
			t.Fatalf("loaded %q, the file holds %q", v, onDisk)
		case err == nil && string(v) == "new" && len(in.Points()) == before:
			t.Fatal("a value that was never made durable was given out")
		case err != nil && !(forever && string(onDisk) == "new"):
			t.Fatalf("load: %v", err)
		}
		in.FailAt(0, nil) // the disk is well again
		if load(t, r) != string(onDisk) {
			t.Fatalf("loaded %q, the file holds %q", load(t, r), onDisk)
		}
		if err := r.CompareAndSwap(onDisk, []byte("next")); err != nil {
			t.Fatal(err)
		}
		onDisk = []byte("next")
	}
	remove()
	r, err = durable.OpenRegister(name, 100)
	if err != nil || load(t, r) != string(onDisk) {
		t.Fatal(err)
	}
}

func TestRegisterChanged(t *testing.T) {
	for _, doubt := range []bool{false, true} {
		name := filepath.Join(t.TempDir(), "r")
		var in durabletest.Injector
		in.Inject(t, filepath.Dir(name))
		r, err := durable.CreateRegister(name, 100, []byte("one"))
		if err != nil {
			t.Fatal(err)
		}
		if doubt {
			in.FailAt(0, syscall.EIO)
			if err := r.CompareAndSwap([]byte("one"), []byte("two")); !errors.Is(err, syscall.EIO) {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(name, []byte("restored"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := r.CompareAndSwap([]byte("one"), []byte("two")); !errors.Is(err, durable.ErrChanged) {
			t.Fatalf("swap: %v", err)
		}
		if _, err := r.Load(); !errors.Is(err, durable.ErrChanged) {
			t.Fatalf("load: %v", err)
		}
		wantFile(t, name, []byte("restored"))
	}
}

func TestRegisterConcurrent(t *testing.T) {
	name := filepath.Join(t.TempDir(), "r")
	r, err := durable.CreateRegister(name, 20, []byte("0"))
	if err != nil {
		t.Fatal(err)
	}
	const workers, each = 8, 10
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for done := 0; done < each; {
				old, err := r.Load()
				if err != nil {
					t.Error(err)
					return
				}
				n, _ := strconv.Atoi(string(old))
				switch err := r.CompareAndSwap(old, strconv.AppendInt(nil, int64(n+1), 10)); {
				case err == nil:
					done++
				case !errors.Is(err, durable.ErrConflict):
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if r, err = durable.OpenRegister(name, 20); err != nil || load(t, r) != strconv.Itoa(workers*each) {
		t.Fatalf("%v, %v", r, err)
	}
}
