// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package mirror_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client/monitor/mirror"
	"github.com/vasistas/vasistas/log/tlog"
)

// await polls until f returns nil.
func await(t testing.TB, f func() error) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	var err error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); <-tick.C {
		if err = f(); err == nil {
			return
		}
	}
	t.Fatal(err)
}

// TestRun: a copy that is run follows its log, repairs what rots, and says once that the log fails,
// and that it works again.
func TestRun(t *testing.T) {
	l := newFileLog(t)
	l.grow(600)
	dir := t.TempDir()
	var w warnings
	m := open(t, mirror.Config{Dir: dir, Sources: []mirror.Source{source(t, "log", l.Dir)}, Policy: l.policy(), Warn: w.add})
	said := make(chan error, 100)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		m.Run(ctx, mirror.RunOptions{Poll: time.Millisecond, CheckEvery: time.Millisecond, Failed: func(err error) { said <- err }})
	})
	size := func(want uint64) {
		t.Helper()
		await(t, func() error {
			if h := m.Head(); h == nil || h.Size != want {
				return fmt.Errorf("the copy has not the size %d", want)
			}
			return nil
		})
	}
	size(600)
	name := filepath.Join(dir, "tile", "entries", "001")
	whole, err := os.ReadFile(name)
	check(t, err)
	rotten := slices.Clone(whole)
	rotten[300] ^= 1
	check(t, os.WriteFile(name, rotten, 0o600))
	await(t, func() error {
		if b, err := os.ReadFile(name); err != nil || !bytes.Equal(b, whole) {
			return fmt.Errorf("it is not repaired: %w", err)
		}
		return nil
	})
	checkpoint := filepath.Join(l.Dir, "checkpoint")
	check(t, os.Rename(checkpoint, checkpoint+".away"))
	if err := <-said; !errors.Is(err, os.ErrNotExist) || m.Failing() == nil {
		t.Errorf("it says %v", err)
	}
	check(t, os.Rename(checkpoint+".away", checkpoint))
	if err := <-said; err != nil {
		t.Errorf("it says %v", err)
	}
	l.grow(700)
	size(700)
}

// TestServedHead: the handler serves an earlier head that the operator has cosigned, never goes
// back, and serves the copy's own once the operator names none.
func TestServedHead(t *testing.T) {
	l := newFileLog(t)
	var serve *tlog.Checkpoint
	var w warnings
	m := open(t, mirror.Config{Dir: t.TempDir(), Sources: []mirror.Source{source(t, "log", l.Dir)}, Policy: l.policy(), Warn: w.add,
		Cosign: func(*tlog.Checkpoint) (*tlog.Checkpoint, error) { return serve, nil }})
	base := under(t, m)
	served := func(want uint64) {
		t.Helper()
		_, b := get(t, "GET", base+"/checkpoint")
		cp, err := tlog.ParseCheckpoint(b)
		check(t, err)
		if cp.Size != want {
			t.Errorf("size %d is served, want %d", cp.Size, want)
		}
	}
	first := l.grow(300)
	serve = first
	update(t, m, 300)
	second := l.grow(400)
	update(t, m, 400)
	served(300)
	serve = nil
	third := l.grow(500)
	update(t, m, 500)
	served(500)
	serve = second
	l.grow(600)
	update(t, m, 600)
	served(500)
	serve = third
	update(t, m, 600)
	served(500)
	if len(w.list) > 0 {
		t.Error(w.list)
	}
	forged := &tlog.Checkpoint{Head: third.Head, Signatures: third.Signatures}
	forged.Size = 550
	serve = forged
	update(t, m, 600)
	served(600)
	if len(w.list) != 1 {
		t.Errorf("a head of no tree: %v", w.list)
	}
}
