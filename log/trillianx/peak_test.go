// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package trillianx_test

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/internal/trilliantest"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/trillianx"
)

var (
	peakRate    = flag.Int("peak", 250, "entries a `second` that BenchmarkPeak adds")
	peakTime    = flag.Duration("peak-time", 20*time.Second, "for how long")
	coldEntries = flag.Uint64("cold-entries", 100_000, "`entries` of the tree that BenchmarkColdRead reads")
)

// BenchmarkPeak adds entries that arrive at a fixed rate, regardless of earlier answers.
// As in the log's sequencer, all waiting entries are the next batch. It reports how long
// an entry waits until its tiles are durable.
func BenchmarkPeak(b *testing.B) {
	db := trilliantest.StartPostgres(b)
	tr := trilliantest.StartTrillian(b, db)
	e := newPlace(b, tr).open(b)
	stored := func() float64 {
		n, err := strconv.ParseFloat(strings.TrimSpace(db.PSQL(b, tr.DSN(), "SELECT pg_database_size(current_database())")), 64)
		check(b, err)
		return n
	}
	for b.Loop() {
		before := stored()
		queue := make(chan time.Time, *peakRate*60)
		go func() {
			defer close(queue)
			began := time.Now()
			for i := range int(float64(*peakRate) * peakTime.Seconds()) {
				due := began.Add(time.Duration(i) * time.Second / time.Duration(*peakRate))
				time.Sleep(time.Until(due))
				queue <- due
			}
		}()
		var waited []float64
		backlog := 0
		for first := range queue {
			arrived := []time.Time{first}
			for len(arrived) < log.DefaultMaxBatch && len(queue) > 0 {
				arrived = append(arrived, <-queue)
			}
			backlog = max(backlog, len(arrived)+len(queue))
			_, err := add(b.Context(), e, randomBatch(len(arrived)))
			check(b, err)
			for _, at := range arrived {
				waited = append(waited, time.Since(at).Seconds()*1000)
			}
		}
		slices.Sort(waited)
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(waited[len(waited)/2], "ms-median")
		b.ReportMetric(waited[len(waited)*99/100], "ms-p99")
		b.ReportMetric(float64(backlog), "most-waiting")
		b.ReportMetric(float64(len(waited)), "entries")
		b.ReportMetric((stored()-before)/float64(len(waited)), "database-B/entry")
	}
}

// resident returns the most memory that this process has had, in MiB.
func resident(b *testing.B) float64 {
	status, err := os.ReadFile("/proc/self/status")
	check(b, err)
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	kib, err := strconv.Atoi(string(m[1]))
	check(b, err)
	return float64(kib) / 1024
}

// BenchmarkColdRead reads every tile and bundle of a large tree once, through the
// reader that a standby serves by, and, in turns, the bare files.
func BenchmarkColdRead(b *testing.B) {
	dir := b.TempDir()
	paths := growFiles(b, dir, *coldEntries)
	var ratio, rate []float64
	for b.Loop() {
		began := time.Now()
		for _, t := range paths {
			_, err := os.ReadFile(filepath.Join(dir, t.Path()))
			check(b, err)
		}
		bare := time.Since(began)
		r, err := trillianx.NewReader(trillianx.Config{Tiles: tileDir(b, dir)})
		check(b, err)
		began = time.Now()
		for _, t := range paths {
			_, err := r.ReadTile(b.Context(), t)
			check(b, err)
		}
		ours := time.Since(began)
		ratio, rate = append(ratio, float64(bare)/float64(ours)), append(rate, float64(len(paths))/ours.Seconds())
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(len(paths)), "tiles")
	b.ReportMetric(median(rate), "tiles/s")
	b.ReportMetric(median(ratio), "ratio")
	b.ReportMetric(resident(b), "MiB")
}

// growFiles writes the tiles of a tree, and returns their names.
func growFiles(b *testing.B, dir string, size uint64) (all []tlog.Tile) {
	put := func(t tlog.Tile, data []byte) error {
		all = append(all, t)
		name := filepath.Join(dir, t.Path())
		if err := os.MkdirAll(filepath.Dir(name), fs.ModePerm); err != nil {
			return err
		}
		return os.WriteFile(name, data, 0o644)
	}
	var f tiles.Frontier
	entry := randomBatch(1)[0]
	var bundle []byte
	for i := range size {
		copy(entry, fmt.Sprintf("%20d", i))
		bundle = tlog.AppendEntry(bundle, entry)
		check(b, f.Append(tiles.LeafHash(entry), put))
		if n := i + 1; n%tlog.TileWidth == 0 {
			check(b, put(tlog.Tile{Level: tlog.Entries, Index: i / tlog.TileWidth, Width: tlog.TileWidth}, bundle))
			bundle = bundle[:0]
		}
	}
	check(b, f.Partial(put))
	return all
}
