// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package witness_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/durable/durabletest"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/witness"
)

// claim is a head that was cosigned, with its time.
type claim struct {
	head tlog.Head
	time uint64
}

// story opens a witness, has two logs cosigned, asks for what must be refused
// (which writes evidence), and closes it. It returns every signature that left.
// Any step may fail; broken says whether the last one was to the journal.
func story(t *testing.T, c witness.Config, broken func() bool, logs ...*testLog) []claim {
	t.Helper()
	w, err := witness.Open(t.Context(), c)
	if err != nil {
		return nil
	}
	defer w.Close()
	var claims []claim
	for _, size := range []uint64{3, 3, 5, 8} {
		for _, l := range logs {
			// A log that was refused asks again, from the size that it is told.
			for old := uint64(0); ; {
				was := broken()
				lines, err := w.AddCheckpoint(t.Context(), l.request(old, size))
				if err == nil && !was && broken() {
					t.Error("signed, though the journal failed in between")
				}
				if err == nil {
					claims = append(claims, claim{l.head(size), verify(t, c.Signers, l.head(size), lines)})
				}
				conflict := (*witness.ConflictError)(nil)
				if !errors.As(err, &conflict) || conflict.Size == old {
					break
				}
				old = conflict.Size
			}
		}
	}
	evil := logs[0].fork("evil", 9)
	if _, err := w.AddCheckpoint(t.Context(), evil.request(8, 8)); err == nil {
		t.Error("cosigned a fork")
	}
	return claims
}

// checkWorld opens the state again, without faults, and compares it with what
// was claimed.
func checkWorld(t *testing.T, c witness.Config, claims []claim, logs ...*testLog) {
	t.Helper()
	w, err := witness.Open(t.Context(), c)
	if err != nil {
		t.Fatalf("restart: %v", err)
	}
	defer w.Close()
	url := serveWitness(t, w)
	for _, l := range logs {
		var last claim
		var recorded uint64 // time of the first claim of the last head; later ones need no record
		for _, c := range claims {
			if c.head.Origin != l.origin {
				continue
			}
			if c.head.Size < last.head.Size || c.time < last.time {
				t.Errorf("claims went back: %v after %v", c, last)
			}
			if c.head.Size > last.head.Size {
				recorded = c.time
			}
			last = c
		}
		m := get(t, monitorURL(url, l.origin))
		if m.status == 404 {
			if last.time > 0 {
				t.Errorf("%s: the state has nothing, and %v was claimed", l.origin, last)
			}
		} else {
			got, err := tlog.ParseCheckpoint(m.body)
			if err != nil {
				t.Fatal(err)
			}
			if got.Size < last.head.Size || got.Root != l.head(got.Size).Root {
				t.Errorf("%s: the state is %v, and %v was claimed", l.origin, got.Head, last)
			}
			k := c.Signers[0].Verifier()
			if at, err := k.Verify(&got.Head, got.Find(k)); err != nil || at < recorded {
				t.Errorf("%s: it says the time %d, and %d was claimed (%v)", l.origin, at, recorded, err)
			}
		}
	}
	// And the witness works.
	for _, l := range logs {
		lines, err := w.AddCheckpoint(t.Context(), l.request(0, 9))
		if conflict := (*witness.ConflictError)(nil); errors.As(err, &conflict) {
			lines, err = w.AddCheckpoint(t.Context(), l.request(conflict.Size, 9))
		}
		if err != nil {
			t.Errorf("after a restart: %v", err)
			continue
		}
		at := verify(t, c.Signers, l.head(9), lines)
		for _, c := range claims {
			if at < c.time {
				t.Errorf("%s: after a restart the time is %d, and %d was claimed", l.origin, at, c.time)
			}
		}
	}
}

// TestFaults fails before and after every durable step of the story, once and
// for good, also in the middle of writes, and then looks at the whole world.
func TestFaults(t *testing.T) {
	a, b := newLog(t, "log.example/a", "a", 9), newLog(t, "log.example/b", "b", 9)
	signers := bothSigners()[:1]
	var trace durabletest.Injector
	c := create(t, signers, a, b)
	trace.Inject(t, c.Dir)
	if n := len(story(t, c, func() bool { return false }, a, b)); n != 8 {
		t.Fatalf("%d claims without faults", n)
	}
	points := trace.Points()
	steps := make(map[durable.Step]bool)
	for _, p := range points {
		steps[p.Op.Step] = true
	}
	for _, s := range []durable.Step{durable.Append, durable.AppendSync, durable.Create, durable.Write, durable.Sync, durable.Rename, durable.SyncDir, durable.Link, durable.Mkdir} {
		if !steps[s] {
			t.Errorf("the story has no step %q", s)
		}
	}
	for n, p := range points {
		for _, sticky := range []bool{false, true} {
			for _, fault := range []error{syscall.ENOSPC, &durable.Torn{Bytes: 11, Err: syscall.EIO}} {
				var in durabletest.Injector
				if sticky {
					in.FailFrom(n, fault)
				} else {
					in.FailAt(n, fault)
				}
				c := create(t, signers, a, b)
				remove := in.Inject(t, c.Dir)
				journal := func() bool { return in.Hit() && (p.Op.Step == durable.Append || p.Op.Step == durable.AppendSync) }
				claims := story(t, c, journal, a, b)
				if !in.Hit() {
					t.Errorf("%v was not reached", p)
				}
				remove()
				checkWorld(t, c, claims, a, b)
				if t.Failed() {
					t.Fatalf("with %v at %d (%v), for good: %v", fault, n, p, sticky)
				}
			}
		}
	}
	t.Logf("%d points", len(points))
}

// TestFaultsAtCreate fails before and after every durable step of Create: it
// can be repeated, or the state is there.
func TestFaultsAtCreate(t *testing.T) {
	l := newLog(t, "log.example/a", "a", 9)
	signers := bothSigners()[:1]
	var trace durabletest.Injector
	config := func(dir string) witness.Config {
		return witness.Config{Dir: dir, Signers: signers, Logs: l.policy()}
	}
	dir := t.TempDir()
	trace.Inject(t, dir)
	if err := witness.Create(dir+"/x", config("")); err != nil {
		t.Fatal(err)
	}
	for n, p := range trace.Points() {
		dir := t.TempDir() + "/x"
		var in durabletest.Injector
		remove := in.Inject(t, filepath.Dir(dir))
		in.FailAt(n, syscall.EIO)
		if err := witness.Create(dir, config("")); err == nil {
			t.Errorf("%v: no error", p)
		}
		remove()
		if err := witness.Create(dir, config("")); err != nil && !errors.Is(err, os.ErrExist) {
			t.Errorf("%v: %v", p, err)
		}
		checkWorld(t, config(dir), nil, l)
	}
}

// TestRecovers: after a failure of the disk the witness goes on by itself, and
// what was not acknowledged may count.
func TestRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLog(t, "log.example/a", "a", 9)
		var in durabletest.Injector
		c := create(t, bothSigners()[:1], l)
		in.Inject(t, c.Dir)
		w := open(t, c)
		if _, err := w.AddCheckpoint(t.Context(), l.request(0, 3)); err != nil {
			t.Fatal(err)
		}
		in.FailAt(2, syscall.EIO) // before the sync: the record is in the file
		for range 2 {             // the second one is too early
			_, err := w.AddCheckpoint(t.Context(), l.request(3, 5))
			if !errors.Is(err, witness.ErrNotDurable) && !errors.As(err, new(*witness.ConflictError)) {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Second)
		_, err := w.AddCheckpoint(t.Context(), l.request(3, 5))
		if conflict := (*witness.ConflictError)(nil); !errors.As(err, &conflict) || conflict.Size != 5 {
			t.Fatalf("%v, want a conflict at 5", err)
		}
		if _, err := w.AddCheckpoint(t.Context(), l.request(5, 5)); err != nil {
			t.Fatal(err)
		}
	})
}

// TestRestoredWhileRunning: a journal that is put back under a running witness
// is noticed, and not taken up.
func TestRestoredWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLog(t, "log.example/a", "a", 9)
		c := create(t, bothSigners()[:1], l)
		w := open(t, c)
		name := filepath.Join(c.Dir, "journal")
		if _, err := w.AddCheckpoint(t.Context(), l.request(0, 3)); err != nil {
			t.Fatal(err)
		}
		backup, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.AddCheckpoint(t.Context(), l.request(3, 5)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, backup, 0o600); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			if _, err := w.AddCheckpoint(t.Context(), l.request(5, 7)); !errors.Is(err, witness.ErrNotDurable) {
				t.Fatalf("%v, want %v", err, witness.ErrNotDurable)
			}
			time.Sleep(2 * time.Second)
		}
	})
}

func TestMissingState(t *testing.T) {
	l := newLog(t, "log.example/a", "a", 9)
	c := create(t, bothSigners(), l)
	if err := witness.Create(c.Dir, c); !errors.Is(err, os.ErrExist) {
		t.Errorf("Create over a state: %v", err)
	}
	w := open(t, c)
	if _, err := witness.Open(t.Context(), c); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("a second Open: %v", err)
	}
	w.Close()
	other := c
	other.Signers = []*tlog.Signer{signer("witness.example/w2", tlog.CosignatureEd25519)}
	if _, err := witness.Open(t.Context(), other); !errors.Is(err, durable.ErrLabel) {
		t.Errorf("the state of another witness: %v", err)
	}
	if err := os.Remove(c.Dir + "/journal"); err != nil {
		t.Fatal(err)
	}
	if _, err := witness.Open(t.Context(), c); !errors.Is(err, durable.ErrMissing) {
		t.Errorf("Open without a journal: %v", err)
	}
	c.Dir += "x"
	if _, err := witness.Open(t.Context(), c); !errors.Is(err, durable.ErrMissing) {
		t.Errorf("Open without a directory: %v", err)
	}
	if _, err := os.Stat(c.Dir); err == nil {
		t.Error("Open made a directory")
	}
}

// TestCompaction: the journal does not grow for ever, and a journal that shrank
// says the same.
func TestCompaction(t *testing.T) {
	l := newLog(t, "log.example/a", "a", 9)
	l.ext = []string{string(bytes.Repeat([]byte("x"), 4000))}
	c := create(t, bothSigners()[:1], l)
	w := open(t, c)
	size := func() int64 {
		info, err := os.Stat(c.Dir + "/journal")
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	if _, err := w.AddCheckpoint(t.Context(), l.request(0, 9)); err != nil {
		t.Fatal(err)
	}
	heads := [][]byte{l.request(9, 9), nil} // in turn, since an unchanged head is not written
	l.ext = []string{string(bytes.Repeat([]byte("y"), 4000))}
	heads[1] = l.request(9, 9)
	var peak, last int64
	for i, shrunk := 1, false; !shrunk; i++ {
		if _, err := w.AddCheckpoint(t.Context(), heads[i%2]); err != nil {
			t.Fatal(err)
		}
		n := size()
		peak, shrunk, last = max(peak, n), n < last, n
		if n > 5<<20 {
			t.Fatalf("the journal has %d bytes", n)
		}
	}
	if _, err := w.AddCheckpoint(t.Context(), l.request(0, 9)); !errors.As(err, new(*witness.ConflictError)) {
		t.Errorf("after a compaction: %v", err)
	}
	w.Close()
	w = open(t, c)
	if n := size(); n > 10<<10 {
		t.Errorf("after a start the journal has %d bytes", n)
	}
	if _, err := w.AddCheckpoint(t.Context(), heads[0]); err != nil {
		t.Error(err)
	}
}
