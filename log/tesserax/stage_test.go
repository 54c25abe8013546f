// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package tesserax_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/durable/durabletest"
	"github.com/vasistas/vasistas/internal/world/engines"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/tesserax"
	"github.com/vasistas/vasistas/log/tlog"
)

func add(t testing.TB, e *tesserax.Engine, from, n int) {
	t.Helper()
	first, err := e.Add(t.Context(), engines.Batch(from, n))
	check(t, err)
	if first != uint64(from) {
		t.Fatalf("a batch is at %d; want %d", first, from)
	}
}

func holds(t testing.TB, e *tesserax.Engine, n int) {
	t.Helper()
	engines.Holds(t, e, engines.Batch(0, n))
}

// crash returns a copy of the tree's directory, as a crash leaves it before the next move.
func crash(t testing.TB, e *tesserax.Engine, dir string) string {
	t.Helper()
	defer e.Hold()()
	return copyOf(t, dir)
}

func copyOf(t testing.TB, dir string) string {
	t.Helper()
	to := tempDir(t)
	check(t, os.CopyFS(to, os.DirFS(dir)))
	return to
}

// TestStagedFaults fails each durable step of adding and moving, before and after it, once and for
// good. It checks that the tree has what was acknowledged, at once and after a crash and a restart.
func TestStagedFaults(t *testing.T) {
	t.Parallel()
	base := create(t)
	e := open(t, base)
	add(t, e, 0, 250)
	check(t, e.Close(t.Context()))
	// play adds two batches in two moves, and returns how many entries the tree has.
	play := func(t *testing.T, e *tesserax.Engine) (size int) {
		size = 250
		for range 2 {
			for range 2 {
				if _, err := e.Add(t.Context(), engines.Batch(size, 10)); err == nil {
					size += 10
				} else if got, _, err := e.Tree(t.Context()); err == nil {
					if got != uint64(size) && got != uint64(size)+10 {
						t.Fatalf("the tree has %d entries, and had %d", got, size)
					}
					size = int(got)
				} else {
					return size
				}
			}
			e.Move(t.Context())
		}
		return size
	}
	open := func(t *testing.T, dir string) *tesserax.Engine {
		e := open(t, dir)
		holds(t, e, 250)
		return e
	}
	var trace durabletest.Injector
	dir := copyOf(t, base)
	e = open(t, dir)
	release := trace.Inject(t, dir)
	play(t, e)
	release()
	check(t, e.Close(t.Context()))
	points := trace.Points()
	if len(points) < 20 {
		t.Fatalf("the story has %d durable steps", len(points))
	}
	for n, point := range points {
		for _, sticky := range []bool{false, true} {
			name := strings.ReplaceAll(fmt.Sprintf("%d %v %s %s sticky=%v", n, point.Op.After, point.Op.Step, filepath.Base(point.Path), sticky), " ", "_")
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				dir := copyOf(t, base)
				e := open(t, dir)
				var in durabletest.Injector
				remove := in.Inject(t, dir)
				if sticky {
					in.FailFrom(n, syscall.ENOSPC)
				} else {
					in.FailAt(n, syscall.EIO)
				}
				size := play(t, e)
				if !sticky && size < 280 {
					t.Errorf("it did not go on by itself: %d entries", size)
				}
				left := crash(t, e, dir)
				remove()
				// Without a last successful Tree, the last batch may be there.
				if got, _, err := e.Tree(t.Context()); err != nil || got != uint64(size) && got != uint64(size)+10 {
					t.Fatalf("the tree has %d entries; want %d: %v", got, size, err)
				} else {
					size = int(got)
				}
				check(t, e.Move(t.Context()))
				holds(t, e, size)
				add(t, e, size, 10)
				holds(t, e, size+10)
				check(t, e.Close(t.Context()))
				e = tesseraxOpen(t, dir)
				holds(t, e, size+10)
				e = tesseraxOpen(t, left)
				holds(t, e, size)
				check(t, e.Move(t.Context()))
				holds(t, e, size)
			})
		}
	}
}

func tesseraxOpen(t testing.TB, dir string) *tesserax.Engine { return open(t, dir) }

// TestCrash checks that a tree is whole after a crash between two moves, in the middle of a move, and
// with Tessera's tree ahead of the journal, as a backup of a running log may have copied it.
func TestCrash(t *testing.T) {
	t.Parallel()
	dir := create(t)
	e := open(t, dir)
	add(t, e, 0, 300)
	check(t, e.Move(t.Context()))
	add(t, e, 300, 200)
	add(t, e, 500, 100)
	before := crash(t, e, dir)
	var during string
	e.OnAdded(func(index uint64) {
		if index == 599 {
			during = copyOf(t, dir)
		}
	})
	check(t, e.Move(t.Context()))
	add(t, e, 600, 10)
	check(t, e.Move(t.Context()))
	ahead := crash(t, e, dir)
	b, err := os.ReadFile(filepath.Join(during, tesserax.JournalName))
	check(t, err)
	check(t, os.WriteFile(filepath.Join(ahead, tesserax.JournalName), b, 0o600))
	earlier := crash(t, e, dir)
	check(t, os.Remove(filepath.Join(earlier, tesserax.JournalName)))
	if _, err := tesserax.Open(t.Context(), earlier); !errors.Is(err, log.ErrTreeBehind) {
		t.Errorf("opened without its journal: %v", err)
	}
	check(t, os.Remove(filepath.Join(earlier, tesserax.MarkName))) // an earlier program's
	for _, c := range []struct {
		dir  string
		size int
	}{{before, 600}, {during, 600}, {ahead, 610}, {earlier, 610}, {dir, 610}} {
		if got := slices.Collect(tesserax.Salvage(c.dir, 290)); !slices.EqualFunc(got, engines.Batch(290, c.size-290), bytes.Equal) {
			t.Errorf("%s: salvaged %d entries", c.dir, len(got))
		}
		if c.dir == dir {
			check(t, e.Close(t.Context()))
		}
		e := open(t, c.dir)
		holds(t, e, c.size)
		add(t, e, c.size, 20)
		check(t, e.Move(t.Context()))
		holds(t, e, c.size+20)
		check(t, e.Close(t.Context()))
		holds(t, open(t, c.dir), c.size+20)
	}
}

// TestStrangeJournal checks that a journal that does not continue the files opens no tree.
func TestStrangeJournal(t *testing.T) {
	t.Parallel()
	tree := func(batch func(from, n int) [][]byte) string {
		dir := create(t)
		e := open(t, dir)
		for n, moved := range []bool{true, false} {
			_, err := e.Add(t.Context(), batch(300*n, 300))
			check(t, err)
			if moved {
				check(t, e.Move(t.Context()))
			}
		}
		return crash(t, e, dir)
	}
	dir := tree(engines.Batch)
	journal := filepath.Join(dir, tesserax.JournalName)
	ours, err := os.ReadFile(journal)
	check(t, err)
	others, err := os.ReadFile(filepath.Join(tree(func(from, n int) [][]byte { return engines.Batch(from+1, n) }), tesserax.JournalName))
	check(t, err)
	empty, err := os.ReadFile(filepath.Join(create(t), ".state/treeState"))
	check(t, err)
	for _, c := range []struct {
		name string
		do   func(dir string) error
		want error
		left int // what Salvage finds
	}{
		{"of another tree", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, tesserax.JournalName), others, 0o600)
		}, log.ErrTreeConflict, -1},
		{"damaged", func(dir string) error {
			b := bytes.Clone(ours)
			b[10] ^= 1
			return os.WriteFile(filepath.Join(dir, tesserax.JournalName), b, 0o600)
		}, durable.ErrCorrupt, 300},
		{"of another owner", func(dir string) error {
			check(t, os.Remove(filepath.Join(dir, tesserax.JournalName)))
			j, err := durable.CreateJournal(filepath.Join(dir, tesserax.JournalName), "other", 10)
			check(t, err)
			return j.Close()
		}, durable.ErrLabel, 300},
		{"of bad records", func(dir string) error {
			check(t, os.Remove(filepath.Join(dir, tesserax.JournalName)))
			j, err := durable.CreateJournal(filepath.Join(dir, tesserax.JournalName), tesserax.JournalLabel, 10)
			check(t, err)
			check(t, j.Append([]byte("bad")))
			return j.Close()
		}, nil, 300},
		{"behind a gap", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, ".state/treeState"), empty, 0o644)
		}, log.ErrTreeBehind, 600},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := copyOf(t, dir)
			check(t, c.do(dir))
			e, err := tesserax.Open(t.Context(), dir)
			if err == nil {
				e.Close(t.Context())
				t.Fatal("it opened")
			}
			if c.want != nil && !errors.Is(err, c.want) || c.want == nil && !strings.Contains(err.Error(), "record") {
				t.Errorf("it says %v", err)
			}
			if got := slices.Collect(tesserax.Salvage(dir, 0)); c.left >= 0 && !slices.EqualFunc(got, engines.Batch(0, c.left), bytes.Equal) {
				t.Errorf("salvaged %d entries; want %d", len(got), c.left)
			}
			check(t, os.WriteFile(filepath.Join(dir, tesserax.JournalName), ours, 0o600))
		})
	}
}

// TestDamagedMove checks that Tessera never builds on a damaged file, that the engine compares what
// Tessera wrote, reports both, and goes on when the file is right again. Readers get the right tiles
// meanwhile.
func TestDamagedMove(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		file    string
		written bool // by the move
	}{
		{"tile/entries/001.p/44", false}, {"tile/0/001.p/44", false},
		{"tile/entries/001", true}, {"tile/0/001", true}, {"tile/entries/002.p/88", true}, {"tile/0/002.p/88", true}, {"tile/1/000.p/2", true},
	} {
		t.Run(strings.ReplaceAll(c.file, "/", "_"), func(t *testing.T) {
			t.Parallel()
			dir := create(t)
			e := open(t, dir)
			add(t, e, 0, 300)
			check(t, e.Move(t.Context()))
			flip := func() {
				name := filepath.Join(dir, c.file)
				b, err := os.ReadFile(name)
				check(t, err)
				b[10] ^= 1
				check(t, os.WriteFile(name, b, 0o644))
			}
			if !c.written {
				flip()
			}
			e.OnAdded(func(index uint64) {
				if c.written && index == 599 {
					flip()
				}
			})
			add(t, e, 300, 300)
			var corrupt *tlog.CorruptError
			for range 2 {
				if err := e.Move(t.Context()); !errors.As(err, &corrupt) || corrupt.Tile.Path() != c.file {
					t.Fatalf("moved: %v", err)
				}
				if _, err := e.Add(t.Context(), engines.Batch(600, 1)); !errors.As(err, &corrupt) {
					t.Errorf("added: %v", err)
				}
				if _, _, err := e.Tree(t.Context()); !errors.As(err, &corrupt) {
					t.Errorf("the tree: %v", err)
				}
			}
			if _, err := os.Stat(filepath.Join(dir, "tile/entries/002.p/88")); (err == nil) != c.written {
				t.Errorf("what Tessera wrote: %v", err)
			}
			if b, err := e.ReadTile(t.Context(), tlog.Tile{Level: tlog.Entries, Index: 1, Width: 256}); err != nil || !bytes.Contains(b, []byte("entry 511")) {
				t.Errorf("a reader gets %d bytes: %v", len(b), err)
			}
			flip()
			holds(t, e, 600)
			add(t, e, 600, 1)
			check(t, e.Move(t.Context()))
			holds(t, e, 601)
		})
	}
}

// TestFullStage checks that Add fails once too many entries wait for Tessera, and works again when
// they can be moved.
func TestFullStage(t *testing.T) {
	t.Parallel()
	dir := create(t)
	e := open(t, dir)
	lock := filepath.Join(dir, ".state", "treeState.lock")
	check(t, os.Remove(lock))
	check(t, os.Mkdir(lock, 0o755)) // which root can't open for writing either
	size := 0
	for {
		if _, err := e.Add(t.Context(), engines.Batch(size, 1000)); err != nil {
			break
		}
		if size += 1000; size > tesserax.MostEntries {
			t.Fatalf("%d entries are staged", size)
		}
	}
	if size < tesserax.MostEntries-1000 {
		t.Errorf("only %d entries are staged", size)
	}
	holds(t, e, size)
	check(t, os.Remove(lock))
	add(t, e, size, 1000)
	holds(t, e, size+1000)
}
