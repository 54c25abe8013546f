// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/vasistas/vasistas/log/event"
)

func BenchmarkPrepare(b *testing.B) {
	s := warrant(b, newSigner(), 2)
	for b.Loop() {
		if _, err := Prepare(s); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPutBatch includes the fsyncs. Encryption alone is BenchmarkEncodeBatch.
func BenchmarkPutBatch(b *testing.B) {
	for _, n := range []int{1, 32, 256, 1024} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			v := mustOpen(b, newConfig(b))
			records := someRecords(b, n)
			for b.Loop() {
				if err := v.PutBatch(context.Background(), records); err != nil {
					b.Fatal(err)
				}
				v.Delete(hashes(records)...)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n)/1e3, "µs/event")
		})
	}
}

func BenchmarkEncodeBatch(b *testing.B) {
	for _, n := range []int{1, 32, 256, 1024} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			v := mustOpen(b, newConfig(b))
			var list []stored
			for _, r := range someRecords(b, n) {
				list = append(list, stored{r.hash, r.text})
			}
			for b.Loop() {
				if _, _, err := encodeBatch(v.recipients, list); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n)/1e3, "µs/event")
		})
	}
}

// BenchmarkOpen reports what 100,000 open records cost: to open, to hold, to
// disclose.
func BenchmarkOpen(b *testing.B) {
	const n = 100_000
	ctx := context.Background()
	cfg := newConfig(b)
	v := mustOpen(b, cfg)
	var some []event.Digest
	for range n / 1000 {
		batch := someRecords(b, 1000)
		put(b, v, batch...)
		some = append(some, batch[0].hash)
	}
	began := time.Now()
	if err := v.Compact(ctx); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(time.Since(began).Seconds(), "s/compact")
	stats := v.Stats()
	if err := v.Close(); err != nil {
		b.Fatal(err)
	}
	v = nil
	for b.Loop() {
		before := heap()
		v, err := Open(cfg)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(heap()-before)/n, "B/record")
		if v.Len() != n {
			b.Fatal(v.Len())
		}
		b.StopTimer()
		began := time.Now()
		if _, err := v.Get(ctx, some...); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(began).Seconds()*1e3, "ms/get-100-scattered")
		if err := v.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(stats.Files), "files")
	b.ReportMetric(float64(stats.FileBytes)/n, "disk-B/record")
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
