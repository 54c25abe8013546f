// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log_test

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/durable/durabletest"
	"github.com/vasistas/vasistas/log/state"
	"github.com/vasistas/vasistas/log/tlog"
)

// TestLife is one event's way from its signer to a proof that verifies offline.
func TestLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, 3)
	w.start()
	entry := w.warrant()
	p := w.append(entry)
	if p.Index != 1 || !bytes.Equal(p.Extra, entryOf(entry)) {
		t.Errorf("the proof is of entry %d", p.Index)
	}
	again := w.append(entry)
	if again.Index != 1 {
		t.Errorf("the same event again is at %d", again.Index)
	}
	if q := w.append(w.warrant()); q.Index != 2 {
		t.Errorf("the second event is at %d", q.Index)
	}
	if cp := w.checkpoint(); cp.Size != 3 || len(cp.Signatures) < 4 {
		t.Errorf("published: size %d, %d lines", cp.Size, len(cp.Signatures))
	}
	w.stop()
	w.start()
	if cp := w.checkpoint(); cp.Size != 3 {
		t.Errorf("after a restart: size %d", cp.Size)
	}
	if r, _ := w.post("?wait=sequenced", "application/json", entry); r.StatusCode != http.StatusOK ||
		r.Header.Get("Vasistas-Index") != "1" || r.Header.Get("Vasistas-Duplicate") != "true" {
		t.Errorf("after a restart, the first event again: %s at %s", r.Status, r.Header.Get("Vasistas-Index"))
	}
	w.audit()
}

// TestConcurrency submits many events at once, each by several submitters. It checks
// that the indices are contiguous, each event has one, and all proofs verify.
func TestConcurrency(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, 3)
	w.start()
	entries := w.warrants(150)
	indices := make([]map[uint64]bool, len(entries))
	for i := range indices {
		indices[i] = make(map[uint64]bool)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	submit := func(i int, sequence bool) {
		var index uint64
		var err error
		if sequence {
			index, err = w.sequence(entries[i])
		} else if p, perr := w.submit(entries[i]); perr != nil {
			err = perr
		} else {
			index = p.Index
		}
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			t.Error(err)
		}
		indices[i][index] = true
	}
	const submitters = 24
	for s := range submitters {
		wg.Go(func() {
			for i := range entries {
				// Each event by four submitters, and the first by all of them.
				if (i+s)%8 == 0 || i == 0 {
					submit(i, s%2 == 0)
				}
			}
		})
	}
	// One event a hundred times at once.
	for n := range 100 {
		wg.Go(func() { submit(len(entries)-1, n%2 == 0) })
	}
	wg.Wait()
	used := make(map[uint64]int)
	for i, at := range indices {
		if len(at) != 1 {
			t.Errorf("event %d has the indices %v", i, at)
		}
		for index := range at {
			if other, ok := used[index]; ok {
				t.Errorf("the events %d and %d are both at %d", i, other, index)
			}
			used[index] = i
			if index > uint64(len(entries)) {
				t.Errorf("event %d is at %d of %d", i, index, len(entries))
			}
		}
	}
	if got := w.audit(); len(got) != len(entries)+1 {
		t.Errorf("the log has %d entries; want %d", len(got), len(entries))
	}
}

// TestClock checks that the time in the log's ML-DSA-44 line never goes back, also when
// the machine's clock does between two runs.
func TestClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	ahead := uint64(time.Now().Add(time.Hour).Unix())
	head, err := tlog.ParseCheckpoint(durabletest.Value(t, filepath.Join(w.state(), "head")))
	check(t, err)
	head.Signatures = nil
	for _, k := range w.keys {
		sig, err := k.Sign(&head.Head, ahead)
		check(t, err)
		head.Signatures = append(head.Signatures, sig)
	}
	check(t, os.WriteFile(filepath.Join(w.state(), "head"), head.Bytes(), 0o600))
	w.start()
	for range 2 {
		cp := w.append(w.warrant()).Checkpoint
		at, err := w.keys[1].Verifier().Verify(&cp.Head, cp.Find(w.keys[1].Verifier()))
		if err != nil || at < ahead {
			t.Errorf("signed with the time %d after %d: %v", at, ahead, err)
		}
	}
}

// TestStopped checks that a log that was stopped says why, and not that it is shutting
// down.
func TestStopped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	w.start()
	w.ready()
	w.log.Stop(state.ErrOusted)
	if _, err := w.submit(w.warrant()); !errors.Is(w.log.Err(), state.ErrOusted) || !isProblem(err, "standby") {
		t.Errorf("it says %v, and %v", w.log.Err(), err)
	}
}

// TestClosed closes a log, and its vault, with requests under way. It checks that afterwards they write
// nothing to directories that another process may have, and that what was acknowledged is there.
func TestClosed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	w.start()
	var closed atomic.Bool
	for _, dir := range []string{w.state(), w.vaultConfig().Dir} {
		durabletest.Inject(t, dir, func(op durable.Op, path string) error {
			if closed.Load() {
				t.Errorf("after Close: %s of %s", op.Step, path)
			}
			return nil
		})
	}
	entries := w.warrants(60)
	indices, some := make([]uint64, len(entries)), make(chan struct{}, len(entries))
	var wg sync.WaitGroup
	for i, entry := range entries {
		wg.Go(func() {
			if index, err := w.sequence(entry); err == nil {
				indices[i] = index
				some <- struct{}{}
			}
		})
	}
	<-some
	if err := w.log.Close(t.Context()); err != nil {
		t.Error(err)
	}
	check(t, w.vault.Close())
	closed.Store(true)
	wg.Wait()
	w.web.Close()
	closed.Store(false)
	w.start()
	for i, entry := range entries {
		if index := indices[i]; index > 0 && w.mustSequence(entry) != index {
			t.Errorf("what was acknowledged at %d is elsewhere", index)
		}
	}
}
