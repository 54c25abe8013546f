// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package mirror_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/monitor/mirror"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/durable/durabletest"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/tlog"
)

func TestUpdate(t *testing.T) {
	l := newFileLog(t)
	dir := filepath.Join(t.TempDir(), "copy")
	config := mirror.Config{Dir: dir, Sources: []mirror.Source{source(t, "log", serve(t, l.Dir, nil))}, Policy: l.policy()}
	m := open(t, config)
	var before, now uint64
	for _, size := range []uint64{0, 1, 2, 255, 255, 256, 258, 300, 1000, 1024, 65_535, 65_536, 66_000} {
		l.grow(size)
		update(t, m, size)
		if n := l.whole(dir); n != size {
			t.Fatalf("the copy has %d entries, want %d", n, size)
		}
		if size != now {
			before, now = now, size
		}
		// Partial tiles are those of the present and the previous head.
		for _, name := range names(t, dir) {
			tile, err := tlog.ParseTilePath(name)
			if err != nil {
				if name != "checkpoint" && name != "lock" {
					t.Fatalf("size %d: %s", size, name)
				}
				continue
			}
			if !slices.Contains(slices.Collect(mirror.Files(size)), tile) && !slices.Contains(slices.Collect(mirror.Files(before)), tile) {
				t.Fatalf("size %d after %d: the copy still has %s", size, before, name)
			}
		}
	}
	// It is the log's checkpoint, with the newest cosignatures.
	l.grow(66_000)
	update(t, m, 66_000)
	want, err := os.ReadFile(filepath.Join(l.Dir, "checkpoint"))
	check(t, err)
	have, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	check(t, err)
	if string(have) != string(want) {
		t.Errorf("the copy's checkpoint is\n%s", have)
	}
	if _, err := mirror.Open(config); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("a second mirror of the directory: %v", err)
	}
}

func TestOpen(t *testing.T) {
	l := newFileLog(t)
	l.grow(300)
	dir := l.copied()
	stranger := people.New("other.example", "").ParsePolicy(1, "w")
	if _, err := mirror.Open(mirror.Config{Dir: dir, Policy: stranger}); err == nil {
		t.Error("the copy of another log was opened")
	}
	if _, err := mirror.Open(mirror.Config{Dir: dir}); !errors.Is(err, client.ErrNoPolicy) {
		t.Errorf("without a policy: %v", err)
	}
	m := open(t, mirror.Config{Dir: dir, Policy: l.policy()})
	if m.Head().Size != 300 {
		t.Errorf("size %d", m.Head().Size)
	}
	if _, err := m.Update(t.Context()); err == nil {
		t.Error("an update without a source")
	}
}

// A run that ended early is continued: what is on disk is not fetched again, and not
// believed.
func TestResume(t *testing.T) {
	l := newFileLog(t)
	l.grow(2000)
	dir := t.TempDir()
	check(t, os.CopyFS(dir, os.DirFS(l.Dir)))
	check(t, os.Remove(filepath.Join(dir, "checkpoint")))
	bad := filepath.Join(dir, "tile/entries/003")
	b, err := os.ReadFile(bad)
	check(t, err)
	b[len(b)/2] ^= 1
	check(t, os.WriteFile(bad, b, 0o644))
	check(t, os.WriteFile(filepath.Join(dir, ".durable-1.tmp"), b, 0o600))
	c := &counted{Source: client.Dir(l.Dir)}
	var w warnings
	m := open(t, mirror.Config{Dir: dir, Sources: []mirror.Source{{Name: "log", Source: c}}, Policy: l.policy(), Warn: w.add})
	update(t, m, 2000)
	l.whole(dir)
	if got := c.names(); !slices.Equal(got, []string{"tile/entries/003"}) {
		t.Errorf("the log was asked for %q", got)
	}
	var corrupt *tlog.CorruptError
	if !w.about("the copy", nil) || !errors.As(w.list[0], &corrupt) || corrupt.Tile.Index != 3 {
		t.Errorf("warnings: %v", w.list)
	}
	if slices.ContainsFunc(names(t, dir), func(n string) bool { return strings.HasSuffix(n, ".tmp") }) {
		t.Error("a temporary file was left")
	}
}

// A directory that vanishes from the copy while it is open fails one update at most.
func TestVanished(t *testing.T) {
	l := newFileLog(t)
	l.grow(300)
	dir := filepath.Join(t.TempDir(), "copy")
	m := open(t, mirror.Config{Dir: dir, Sources: []mirror.Source{source(t, "log", serve(t, l.Dir, nil))}, Policy: l.policy()})
	update(t, m, 300)
	check(t, os.RemoveAll(filepath.Join(dir, "tile")))
	l.grow(700)
	if _, err := m.Update(t.Context()); err == nil {
		t.Error("the directory was not missed")
	}
	update(t, m, 700)
	_, err := m.Check(t.Context(), int(m.Files()))
	check(t, err)
	l.whole(dir)
}

// TestClosed: Close waits for the update under way, and later ones do not reach the directory, which
// another process may have.
func TestClosed(t *testing.T) {
	l := newFileLog(t)
	l.grow(300)
	dir := t.TempDir()
	m, err := mirror.Open(mirror.Config{Dir: dir, Sources: []mirror.Source{{Name: "log", Source: client.Dir(l.Dir)}}, Policy: l.policy()})
	check(t, err)
	var closed atomic.Bool
	var once sync.Once
	writing, goOn := make(chan struct{}), make(chan struct{})
	durabletest.Inject(t, dir, func(op durable.Op, path string) error {
		if closed.Load() {
			t.Errorf("after Close: %s of %s", op.Step, path)
		}
		once.Do(func() {
			close(writing)
			<-goOn
		})
		return nil
	})
	under, done := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := m.Update(t.Context())
		under <- err
	}()
	<-writing
	go func() {
		err := m.Close()
		closed.Store(true)
		done <- err
	}()
	close(goOn)
	check(t, <-under)
	check(t, <-done)
	l.grow(400)
	_, err = m.Update(t.Context())
	_, cerr := m.Check(t.Context(), 10)
	if !errors.Is(err, fs.ErrClosed) || !errors.Is(cerr, fs.ErrClosed) {
		t.Errorf("a closed mirror: %v, %v", err, cerr)
	}
	if n := l.whole(dir); n != 300 {
		t.Errorf("the copy has %d entries", n)
	}
}

// Each durable step of an update fails in turn, once or from then on. The copy is then whole
// at the old or the new head, and the next process finishes the update.
func TestFaults(t *testing.T) {
	l := newFileLog(t)
	l.grow(300)
	start := l.copied()
	l.grow(700)
	run := func(t *testing.T, in *durabletest.Injector) (dir string, err error) {
		dir = link(t, start)
		m, err := mirror.Open(mirror.Config{Dir: dir, Sources: []mirror.Source{{Name: "log", Source: client.Dir(l.Dir)}}, Policy: l.policy()})
		check(t, err)
		remove := in.Inject(t, dir)
		_, err = m.Update(t.Context())
		if err != nil && m.Head().Size != l.whole(dir) {
			t.Errorf("the mirror believes size %d", m.Head().Size)
		}
		remove()
		check(t, m.Close())
		return dir, err
	}
	var none durabletest.Injector
	_, err := run(t, &none)
	check(t, err)
	points := none.Points()
	if len(points) < 60 {
		t.Fatalf("%d points", len(points))
	}
	hits := 0
	for n, p := range points {
		for name, fault := range map[string]func(*durabletest.Injector){
			"once":    func(in *durabletest.Injector) { in.FailAt(n, syscall.EIO) },
			"forever": func(in *durabletest.Injector) { in.FailFrom(n, syscall.ENOSPC) },
			"torn":    func(in *durabletest.Injector) { in.FailAt(n, &durable.Torn{Bytes: 5, Err: syscall.EIO}) },
		} {
			if name == "torn" && p.Op != (durable.Op{Step: durable.Write}) {
				continue
			}
			t.Run(fmt.Sprintf("%d %s", n, name), func(t *testing.T) {
				l := *l
				l.t = t
				var in durabletest.Injector
				fault(&in)
				dir, err := run(t, &in)
				size := l.whole(dir)
				if err == nil && size != 700 || err != nil && size != 300 && size != 700 {
					t.Fatalf("size %d, %v", size, err)
				}
				if in.Hit() {
					hits++
				}
				if name == "forever" && err != nil && !durable.NoRoom(err) {
					t.Errorf("a full disk: %v", err)
				}
				m := open(t, mirror.Config{Dir: dir, Sources: []mirror.Source{{Name: "log", Source: client.Dir(l.Dir)}}, Policy: l.policy()})
				update(t, m, 700)
				l.whole(dir)
			})
		}
	}
	// Two files at a time may need a directory more or less than others did.
	if hits < 2*(len(points)-8) {
		t.Errorf("%d faults at %d points", hits, len(points))
	}
}
