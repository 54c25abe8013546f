// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package tesserax_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/internal/world/engines"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/tesserax"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func create(t testing.TB) string {
	t.Helper()
	dir := tempDir(t)
	check(t, tesserax.Create(t.Context(), dir))
	return dir
}

// tempDir names a directory that the test removes. Tessera can make its lock file again for a moment
// after Close, in a directory that has still its name.
func tempDir(t testing.TB) string {
	dir := filepath.Join(t.TempDir(), "tree")
	t.Cleanup(func() { os.Rename(dir, dir+".gone") })
	return dir
}

func open(t testing.TB, dir string) *tesserax.Engine {
	t.Helper()
	e, err := tesserax.Open(t.Context(), dir)
	check(t, err)
	t.Cleanup(func() { e.Close(t.Context()) })
	return e
}

// TestContract: it is an engine as any other.
func TestContract(t *testing.T) {
	t.Parallel()
	engines.Run(t, func(t *testing.T) func() (log.Engine, error) {
		dir := create(t)
		return func() (log.Engine, error) { return tesserax.Open(t.Context(), dir) }
	})
}

// TestMissing: Open refuses a directory without a state, and Create one with a state.
func TestMissing(t *testing.T) {
	t.Parallel()
	dir := create(t)
	if err := tesserax.Create(t.Context(), dir); !errors.Is(err, fs.ErrExist) {
		t.Errorf("created twice: %v", err)
	}
	e := open(t, dir)
	if _, err := tesserax.Open(t.Context(), dir); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("opened twice: %v", err)
	}
	check(t, e.Close(t.Context()))
	check(t, os.RemoveAll(filepath.Join(dir, ".state")))
	for _, dir := range []string{dir, t.TempDir(), filepath.Join(t.TempDir(), "none")} {
		_, err := tesserax.Open(t.Context(), dir)
		if !errors.Is(err, tesserax.ErrMissing) || !errors.Is(err, log.ErrTreeBehind) {
			t.Errorf("opened: %v", err)
		}
	}
}

// TestSalvage: the entries are found without a state, also from full files alone, up to
// a cut.
func TestSalvage(t *testing.T) {
	t.Parallel()
	dir := create(t)
	e := open(t, dir)
	all := engines.Batch(0, 600)
	for _, n := range []int{100, 200, 250, 50} {
		_, err := e.Add(t.Context(), all[:n])
		check(t, err)
		all = slices.Concat(all[n:], all[:n])
		check(t, e.Move(t.Context()))
	}
	check(t, e.Close(t.Context()))
	// A rename also works while Tessera's last goroutine still writes.
	check(t, os.Rename(filepath.Join(dir, ".state"), filepath.Join(dir, "gone")))
	for _, from := range []int{0, 1, 255, 256, 599, 600, 10000} {
		got := slices.Collect(tesserax.Salvage(dir, uint64(from)))
		want := all[min(from, 600):]
		if !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("from %d: %d entries; want %d", from, len(got), len(want))
		}
	}
	check(t, os.WriteFile(filepath.Join(dir, "tile/entries/001"), []byte("x"), 0o644))
	if got := slices.Collect(tesserax.Salvage(dir, 0)); len(got) != 256 {
		t.Errorf("with a bad bundle: %d entries", len(got))
	}
}

// TestTidy: before the next batch, the files of a failed batch are gone, and the partial
// tiles that Tessera needs are there.
func TestTidy(t *testing.T) {
	t.Parallel()
	dir := create(t)
	state := filepath.Join(dir, ".state", "treeState")
	e := open(t, dir)
	_, err := e.Add(t.Context(), engines.Batch(0, 300))
	check(t, err)
	check(t, e.Move(t.Context()))
	before, err := os.ReadFile(state)
	check(t, err)
	_, err = e.Add(t.Context(), engines.Batch(1000, 700))
	check(t, err)
	check(t, e.Move(t.Context()))
	check(t, e.Close(t.Context()))
	// As if the second batch had failed in its last step. The partial tiles that it filled are gone.
	check(t, os.WriteFile(state, before, 0o644))
	e = open(t, dir)
	_, err = e.Add(t.Context(), engines.Batch(300, 300))
	check(t, err)
	var f tiles.Frontier
	_, err = f.Extend(t.Context(), e, 600, func(i uint64, entry []byte, _ tiles.Hash) error {
		if want := fmt.Sprintf("entry %d", i); string(entry) != want {
			return fmt.Errorf("%q at %d", entry, i)
		}
		return nil
	})
	check(t, err)
	if got := slices.Collect(tesserax.Salvage(dir, 0)); !slices.EqualFunc(got, engines.Batch(0, 600), bytes.Equal) {
		t.Errorf("salvaged: %d entries", len(got))
	}
}

// TestSweep checks that only the partial tiles of the right edge stay, also after a crash before the
// others were removed, and that Tessera writes nothing by itself meanwhile.
func TestSweep(t *testing.T) {
	t.Parallel()
	dir := create(t)
	e := open(t, dir)
	partials := func() (found []string) {
		check(t, filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && strings.HasSuffix(name, ".p") {
				rel, err := filepath.Rel(dir, name)
				check(t, err)
				found = append(found, rel)
			}
			return err
		}))
		return found
	}
	size := 0
	for _, n := range []int{100, 100, 50, 5, 1, 300, 1000, 64000, 256} {
		_, err := e.Add(t.Context(), engines.Batch(size, n))
		check(t, err)
		check(t, e.Move(t.Context()))
		size += n
		for _, name := range partials() {
			if _, err := os.Stat(filepath.Join(dir, strings.TrimSuffix(name, ".p"))); err == nil {
				t.Errorf("size %d: %s stays, and its tile is full", size, name)
			}
		}
		if size == 1556 { // a crash before the sweep
			for _, name := range []string{"tile/entries/005.p", "tile/0/005.p", "tile/entries/004.p"} {
				check(t, os.MkdirAll(filepath.Join(dir, name, "7"), 0o755))
			}
		}
	}
	if got := len(partials()); got == 0 {
		t.Error("the right edge is gone")
	}
	if _, err := os.Stat(filepath.Join(dir, "tile/1/000")); err != nil {
		t.Error(err) // no full tile of level 1, so no such parent was swept
	}
}

// TestUnwritableLock checks that a directory in which Tessera can't open its lock file
// costs an error and not the process, that the tree can be read and added to meanwhile, and that
// Tessera gets the entries when the file can be opened again.
func TestUnwritableLock(t *testing.T) {
	t.Parallel()
	dir := create(t)
	e := open(t, dir)
	add(t, e, 0, 1)
	check(t, e.Move(t.Context()))
	lock := filepath.Join(dir, ".state", "treeState.lock")
	check(t, os.Remove(lock))
	check(t, os.Mkdir(lock, 0o755)) // which root can't open for writing either
	for i := range 3 {
		add(t, e, 1+i, 1)
		if err := e.Move(t.Context()); err == nil {
			t.Fatal("moved without the lock file")
		}
		if err := e.Writable(t.Context()); err == nil || !strings.Contains(err.Error(), "treeState.lock") {
			t.Errorf("writable: %v", err)
		}
		holds(t, e, 2+i)
	}
	check(t, os.Remove(lock))
	check(t, e.Writable(t.Context()))
	if _, err := os.Stat(filepath.Join(dir, "tile/entries/000.p/4")); err != nil {
		t.Error(err)
	}
	holds(t, e, 4)
}

// TestBallast checks that Writable makes the ballast, also again after it was used.
func TestBallast(t *testing.T) {
	t.Parallel()
	dir := create(t)
	e := open(t, dir)
	for range 2 {
		check(t, e.Writable(t.Context()))
		if info, err := os.Stat(filepath.Join(dir, ".state", "ballast")); err != nil || info.Size() < 1<<20 {
			t.Fatalf("the ballast: %v, %v", info, err)
		}
		check(t, e.UseReserve())
		if _, err := os.Stat(filepath.Join(dir, ".state", "ballast")); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("the ballast is there after its use: %v", err)
		}
	}
	check(t, e.UseReserve())
}

// TestLitter checks that temporary files which Tessera left behind go, and no others.
func TestLitter(t *testing.T) {
	t.Parallel()
	dir := create(t)
	e := open(t, dir)
	for name, c := range map[string]struct {
		age   time.Duration
		stays bool
	}{
		"treeState123": {time.Minute, false}, "treeState2000000000": {time.Minute, false},
		"treeState7": {0, true}, // Tessera is about to rename it
		"treeStateX": {time.Minute, true}, "other1": {time.Minute, true}, "treeState": {time.Minute, true},
	} {
		name = filepath.Join(dir, ".state", name)
		if filepath.Base(name) != "treeState" {
			check(t, os.WriteFile(name, nil, 0o600))
		}
		made := time.Now().Add(-c.age)
		check(t, os.Chtimes(name, made, made))
		check(t, e.Writable(t.Context()))
		if _, err := os.Stat(name); (err == nil) != c.stays {
			t.Errorf("%s: %v", name, err)
		}
	}
}
