// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log_test

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tesserax"
	"github.com/vasistas/vasistas/log/tlog"
)

var long = flag.Bool("long", false, "run TestMemory with a million entries instead of a few thousand")

// TestMemory checks that a log with many entries serves reads and writes in a bounded
// amount of memory, after a start with its index of events and after one without.
func TestMemory(t *testing.T) {
	t.Parallel()
	entries, most := 2560, int64(150<<20)
	if *long {
		entries, most = 1_000_000, 250<<20
	}
	w := newWorld(t, 1, 1)
	engine, err := tesserax.Open(t.Context(), w.tree())
	check(t, err)
	for done := 0; done < entries; {
		n := min(log.DefaultMaxBatch, entries-done)
		batch := make([][]byte, n)
		for i, b := range w.warrants(n) {
			sub, err := event.ParseSubmission(b)
			check(t, err)
			batch[i] = sub.Envelope.Bytes()
		}
		_, err := engine.Add(t.Context(), batch)
		check(t, err)
		done += n
	}
	check(t, engine.Close(t.Context()))
	for _, start := range []string{"without its index", "with its index"} {
		began := time.Now()
		d := w.spawn()
		w.ready()
		took := time.Since(began)
		w.load(t, 64, 20, uint64(entries))
		peak, now := memory(t, d)
		t.Logf("%d entries, started %s in %v: %d MiB, at most %d MiB", entries, start, took.Round(time.Millisecond), now>>20, peak>>20)
		if peak > most {
			t.Errorf("it took %d MiB, and may take %d", peak>>20, most>>20)
		}
		check(t, d.end(t, os.Interrupt))
	}
}

// load reads and writes from many clients.
func (w *world) load(t *testing.T, clients, each int, size uint64) {
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for i := range each {
				n := uint64(c*7919+i*104729) % (size / tlog.TileWidth)
				for _, level := range []int{tlog.Entries, 0} {
					resp, err := http.Get(w.url + "/" + tlog.Tile{Level: level, Index: n, Width: tlog.TileWidth}.Path())
					if err != nil {
						t.Error(err)
						return
					}
					resp.Body.Close()
				}
				if _, err := w.sequence(w.warrant()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 4 {
		wg.Go(func() { w.lines(string(bytes.Join(w.warrants(200), []byte("\n")))+"\n", "cosigned") })
	}
	wg.Wait()
}

// memory returns the most memory that a process has had resident, and its memory now,
// in bytes.
func memory(t testing.TB, d *daemon) (peak, now int64) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.Process.Pid))
	check(t, err)
	for line := range bytes.Lines(b) {
		var kib int64
		if _, err := fmt.Sscanf(string(line), "VmHWM: %d kB", &kib); err == nil {
			peak = kib << 10
		}
		if _, err := fmt.Sscanf(string(line), "VmRSS: %d kB", &kib); err == nil {
			now = kib << 10
		}
	}
	if peak == 0 || now == 0 {
		t.Fatalf("no figures in %s", b)
	}
	return peak, now
}
