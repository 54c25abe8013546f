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

// registers are files of a register that holds "old": as earlier versions wrote it, new,
// and so long that a swap drops earlier values.
var registers = map[string]func(t *testing.T, name string){
	"plain": func(t *testing.T, name string) {
		if err := os.WriteFile(name, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
	},
	"new": func(t *testing.T, name string) {
		if _, err := durable.CreateRegister(name, 1<<20, []byte("old")); err != nil {
			t.Fatal(err)
		}
	},
	"long": func(t *testing.T, name string) {
		r, err := durable.CreateRegister(name, 1<<20, make([]byte, 1<<20))
		if err == nil {
			err = errors.Join(r.CompareAndSwap(make([]byte, 1<<20), []byte("old")), r.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	},
}

// swapFaulty opens a register and swaps.
func swapFaulty(name string) (*durable.Register, error) {
	r, err := durable.OpenRegister(name, 1<<20)
	if err != nil {
		return nil, err
	}
	return r, r.CompareAndSwap([]byte("old"), []byte("new"))
}

func TestRegisterFaults(t *testing.T) {
	for kind, make := range registers {
		swap := func(t *testing.T, in *durabletest.Injector) error {
			name := filepath.Join(t.TempDir(), "r")
			make(t, name)
			in.Inject(t, filepath.Dir(name))
			r, err := swapFaulty(name)
			return errors.Join(err, r.Close())
		}
		for n, p := range points(t, swap) {
			for _, forever := range []bool{false, true} {
				t.Run(fmt.Sprint(kind, n, p.Op, forever), func(t *testing.T) { registerFault(t, make, n, forever) })
			}
		}
	}
}

func registerFault(t *testing.T, make func(*testing.T, string), n int, forever bool) {
	dir := t.TempDir()
	name := filepath.Join(dir, "r")
	make(t, name)
	var in durabletest.Injector
	remove := in.Inject(t, dir)
	if forever {
		in.FailFrom(n, syscall.EIO)
	} else {
		in.FailAt(n, syscall.EIO)
	}
	r, err := swapFaulty(name)
	if !errors.Is(err, syscall.EIO) {
		t.Fatalf("error %v", err)
	}
	onDisk := held(t, name)
	if onDisk != "old" && onDisk != "new" {
		t.Fatalf("the file holds %q", onDisk)
	}
	wantNames(t, dir, "r")
	if r != nil {
		before := len(in.Points())
		v, err := r.Load()
		switch {
		case err == nil && string(v) != onDisk:
			t.Fatalf("loaded %q, the file holds %q", v, onDisk)
		case err == nil && string(v) == "new" && len(in.Points()) == before:
			t.Fatal("a value that was never made durable was given out")
		case err != nil && !forever:
			t.Fatalf("load: %v", err)
		}
		in.FailAt(0, nil) // the disk is well again
		if load(t, r) != onDisk {
			t.Fatalf("loaded %q, the file holds %q", load(t, r), onDisk)
		}
		if err := r.CompareAndSwap([]byte(onDisk), []byte("next")); err != nil {
			t.Fatal(err)
		}
		onDisk = "next"
	}
	remove()
	if got := held(t, name); got != onDisk {
		t.Fatalf("the file holds %q instead of %q", got, onDisk)
	}
}

func held(t *testing.T, name string) string { return string(durabletest.Value(t, name)) }

// A write that a crash tore leaves the value before it, wherever it was torn.
func TestRegisterTorn(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "r")
	registers["new"](t, name)
	before, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	r, err := swapFaulty(name)
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	after, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	end := len(bytes.TrimRight(after, "\x00"))
	for n := len(before); n <= end; n++ {
		want := "old"
		if n == end {
			want = "new"
		}
		for _, reserved := range []int{0, len(after) - n} {
			torn := append(bytes.Clone(after[:n]), make([]byte, reserved)...)
			if err := os.WriteFile(name, torn, 0o600); err != nil {
				t.Fatal(err)
			}
			if got := held(t, name); got != want {
				t.Fatalf("torn after %d of %d bytes: %q", n, end, got)
			}
		}
	}
}

// Damage is reported, and the file stays as it is.
func TestRegisterDamaged(t *testing.T) {
	name := filepath.Join(t.TempDir(), "r")
	registers["new"](t, name)
	good, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for i := range bytes.IndexByte(good, '\n') + 1 {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if err := os.WriteFile(name, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := durable.OpenRegister(name, 100); !errors.Is(err, durable.ErrCorrupt) {
			t.Fatalf("byte %d: %v", i, err)
		}
		wantFile(t, name, bad)
	}
}

// TestRegisterLimit checks that a register's file stays short.
func TestRegisterLimit(t *testing.T) {
	name := filepath.Join(t.TempDir(), "r")
	values := [2][]byte{bytes.Repeat([]byte("a"), 100_000), bytes.Repeat([]byte("b"), 100_000)}
	r, err := durable.CreateRegister(name, 100_000, values[0])
	if err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		if err := r.CompareAndSwap(values[i%2], values[(i+1)%2]); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(name); err != nil || info.Size() > 1_300_000 {
			t.Fatalf("%d bytes: %v", info.Size(), err)
		}
	}
	if held(t, name) != string(values[0]) {
		t.Fatal("another value")
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Load(); !errors.Is(err, fs.ErrClosed) {
		t.Fatal(err)
	}
}

func TestRegisterChanged(t *testing.T) {
	older := func(t *testing.T, dir string) []byte {
		name := filepath.Join(dir, "copy")
		if _, err := durable.CreateRegister(name, 100, []byte("restored")); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(name)
		if err := errors.Join(err, os.Remove(name)); err != nil {
			t.Fatal(err)
		}
		return b
	}
	plain := func(*testing.T, string) []byte { return []byte("restored") }
	for kind, restored := range map[string]func(*testing.T, string) []byte{"plain": plain, "journal": older} {
		for _, state := range []string{"made", "open", "doubt"} {
			t.Run(kind+" "+state, func(t *testing.T) { registerChanged(t, restored, state) })
		}
	}
}

func registerChanged(t *testing.T, restored func(*testing.T, string) []byte, state string) {
	dir := t.TempDir()
	name := filepath.Join(dir, "r")
	var in durabletest.Injector
	in.Inject(t, dir)
	r, err := durable.CreateRegister(name, 100, []byte("one"))
	if err != nil {
		t.Fatal(err)
	}
	if state != "made" && load(t, r) != "one" {
		t.Fatal("another value")
	}
	other := restored(t, dir)
	if state == "doubt" {
		in.FailAt(0, syscall.EIO)
		if err := r.CompareAndSwap([]byte("one"), []byte("two")); !errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(name, other, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.CompareAndSwap([]byte("one"), []byte("two")); !errors.Is(err, durable.ErrChanged) {
		t.Fatalf("swap: %v", err)
	}
	if _, err := r.Load(); !errors.Is(err, durable.ErrChanged) {
		t.Fatalf("load: %v", err)
	}
	wantFile(t, name, other)
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

// TestRegisterUnchecked: a register goes on once its file can be checked again.
func TestRegisterUnchecked(t *testing.T) {
	for kind, make := range registers {
		for what, c := range unchecked {
			t.Run(kind+" "+what, func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "d")
				name := filepath.Join(dir, "r")
				if err := os.Mkdir(dir, 0o700); err != nil {
					t.Fatal(err)
				}
				make(t, name)
				r, err := durable.OpenRegister(name, 1<<20)
				if err == nil {
					err = c.fault(dir, r.Blind)
				}
				if err != nil {
					t.Fatal(err)
				}
				if err := r.CompareAndSwap([]byte("old"), []byte("new")); !errors.Is(err, c.want) || errors.Is(err, durable.ErrChanged) {
					t.Fatalf("swap: %v", err)
				}
				if v, err := r.Load(); what == "stat" && !errors.Is(err, c.want) {
					t.Fatalf("load: %q, %v", v, err)
				}
				if err := c.heal(dir); err != nil {
					t.Fatal(err)
				}
				if got := load(t, r); got != "old" {
					t.Fatalf("the register holds %q", got)
				}
				if err := r.CompareAndSwap([]byte("old"), []byte("new")); err != nil {
					t.Fatal(err)
				}
				if got := held(t, name); got != "new" {
					t.Fatalf("the file holds %q", got)
				}
			})
		}
	}
}

// TestRegisterTruncated: a cut file gives an earlier value, and Truncated shows it.
func TestRegisterTruncated(t *testing.T) {
	name := filepath.Join(t.TempDir(), "r")
	registers["new"](t, name)
	for i, want := range []struct {
		value string
		cut   int64
	}{{"new", 0}, {"old", 28 + 4 + 3 - 1}, {"old", 0}} {
		r, err := durable.OpenRegister(name, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			if err := r.CompareAndSwap([]byte("old"), []byte("new")); err != nil {
				t.Fatal(err)
			}
		}
		if got := load(t, r); got != want.value || r.Truncated() != want.cut {
			t.Fatalf("opened %d times: %q, %d bytes cut; want %+v", i+1, got, r.Truncated(), want)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			continue
		}
		data, err := os.ReadFile(name)
		if err == nil {
			err = os.Truncate(name, int64(len(bytes.TrimRight(data, "\x00"))-1))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
