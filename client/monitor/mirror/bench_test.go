// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package mirror_test

import (
	"bytes"
	"encoding/binary"
	"flag"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/monitor/mirror"
)

var benchEntries = flag.Uint64("mirror.entries", 100_000, "entries of the log of BenchmarkMirror, of 1,000 bytes each")

// sized is a log with entries of n bytes.
func sized(t testing.TB, n int) *fileLog {
	return newFileLog(t).branch(func(i uint64) []byte {
		return binary.BigEndian.AppendUint64(bytes.Repeat([]byte{'x'}, n-8), i)
	})
}

// peak returns a function for Config.Progress that keeps the largest heap seen, in bytes.
func peak(most *uint64) func(done, size uint64) {
	var n int
	return func(uint64, uint64) {
		if n++; n%8 == 0 {
			var s runtime.MemStats
			runtime.ReadMemStats(&s)
			*most = max(*most, s.HeapInuse)
		}
	}
}

// TestMemory: the memory of an update does not grow with the log. Bundles have 1 MB here.
func TestMemory(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(25)) // measures what is in use, and little garbage
	l := sized(t, 4000)
	used := func(size uint64) (most uint64) {
		l.grow(size)
		m := open(t, mirror.Config{Dir: t.TempDir(), Sources: []mirror.Source{source(t, "log", l.Dir)}, Policy: l.policy(), Progress: peak(&most)})
		update(t, m, size)
		return most
	}
	// Two batches, the bundles that the tree reads ahead and keeps.
	small, large := used(5_000), used(40_000)
	t.Logf("%d bytes for 20 MB, %d for 160 MB", small, large)
	if large > 90<<20 {
		t.Errorf("%d bytes for 20 MB, %d for 160 MB", small, large)
	}
}

// BenchmarkMirror copies a log, and measures next to it how long reading and verifying it
// once takes, by turns.
func BenchmarkMirror(b *testing.B) {
	l := sized(b, 1000)
	l.grow(*benchEntries)
	url := serve(b, l.Dir, nil)
	var read, copied time.Duration
	var most uint64
	for b.Loop() {
		start := time.Now()
		c, err := client.New(client.Config{URL: url, Policy: l.policy()})
		check(b, err)
		for _, err := range c.Follow(b.Context(), client.FollowOptions{UntilHead: true}) {
			check(b, err)
		}
		read += time.Since(start)
		start = time.Now()
		m, err := mirror.Open(mirror.Config{Dir: filepath.Join(b.TempDir(), "copy"), Sources: []mirror.Source{source(b, "log", url)}, Policy: l.policy(), Progress: peak(&most)})
		check(b, err)
		update(b, m, *benchEntries)
		check(b, m.Close())
		copied += time.Since(start)
	}
	b.ReportMetric(float64(*benchEntries)*float64(b.N)/copied.Seconds(), "entries/s")
	b.ReportMetric(copied.Seconds()/read.Seconds(), "of-reading")
	b.ReportMetric(float64(most)/(1<<20), "peak-MiB")
}
