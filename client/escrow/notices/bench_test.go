// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package notices_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/client/audit/audittest"
	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/escrow/escrowtest"
	"github.com/vasistas/vasistas/client/escrow/notices"
	"github.com/vasistas/vasistas/log/event"
)

// BenchmarkScan scans a whole log of notices to others, with one key of each KEM: read,
// replayed, tried. The heap is what it holds at most, so that its growth with the log's
// size can be seen.
func BenchmarkScan(b *testing.B) {
	for _, n := range []int{5000, 15000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := manyNotices(b, n)
			policy := w.Policy(2, "w1", "w2")
			seed := escrow.NewSeed(time.Unix(audittest.Start, 0))
			peak := uint64(0)
			for b.Loop() {
				cl, err := client.New(client.Config{URL: w.Dir, Policy: policy})
				if err != nil {
					b.Fatal(err)
				}
				r := notices.Scan(b.Context(), notices.Config{Origin: audittest.Origin, Seed: seed, Until: seed.First,
					Audit: audit.Config{Client: cl, Policy: policy, Progress: func(_, _ uint64) {
						var m runtime.MemStats
						runtime.ReadMemStats(&m)
						peak = max(peak, m.HeapInuse)
					}}})
				if !r.Complete || r.Tried != uint64(n) {
					b.Fatalf("%d tried\n%s", r.Tried, r.Text(10))
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "notices/s")
			b.ReportMetric(float64(peak)/(1<<20), "heap-MiB")
		})
	}
}

// manyNotices writes a log with n notices, five to a release, all published.
func manyNotices(b *testing.B, n int) *escrowtest.World {
	b.Helper()
	const each = 5
	w := escrowtest.New(b)
	other := newPerson("x@example.org")
	k, err := other.seed.Key(audittest.Origin, other.seed.First, event.KEMX25519)
	if err != nil {
		b.Fatal(err)
	}
	p := w.Wrap(k.Public(), other.account)
	for range n / each {
		c := w.NewCase(0, []string{other.account}, p)
		var list [][]byte
		for range each {
			sealed, err := w.Notice(c, "c1", 0).Seal(k.Public())
			if err != nil {
				b.Fatal(err)
			}
			list = append(list, sealed)
		}
		release := w.ReleaseWith(c.Access, "c1", list...)
		w.Disclose(c.Access, release)
		w.Disclose(c.Warrant)
		w.Return(c.Warrant)
	}
	w.Publish("w1", "w2")
	return w
}
