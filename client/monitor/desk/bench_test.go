// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package desk_test

import (
	"flag"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

var events = flag.Uint64("desk.events", 10_000, "entries of the benchmark's log")

// BenchmarkReaders has 50 readers, each of whom opens a page a second for ten seconds: the first screen,
// lists by page and filter, events, charts, the timeline and custodians, so that few pages come from
// the cache.
func BenchmarkReaders(b *testing.B) {
	l := newBed(b, "log.example/readers")
	l.Live(*events)
	l.publish()
	l.open()
	pages := func(reader, second int) string {
		n := uint64(reader*1009+second*9176) % l.Size()
		return l.path([]string{
			"", fmt.Sprintf("entries?page=%d", n%50+1), fmt.Sprintf("entry/%d", n), fmt.Sprintf("entries?type=warrant&page=%d", n%20+1),
			"duties?state=open", fmt.Sprintf("duties?page=%d", n%20+1), "charts", "timeline", "custodians", "trust",
		}[(reader+second)%10])
	}
	check(b, func() error { l.get(l.path("charts")); return nil }())
	for b.Loop() {
		var mu sync.Mutex
		var took []time.Duration
		var readers sync.WaitGroup
		for reader := range 50 {
			readers.Go(func() {
				<-time.After(time.Duration(reader) * time.Second / 50) // readers come at different times
				tick := time.NewTicker(time.Second)
				defer tick.Stop()
				for second := range 10 {
					<-tick.C
					began := time.Now()
					if status, body := l.try(pages(reader, second)); status != http.StatusOK {
						b.Errorf("%s: %d, %s", pages(reader, second), status, body)
					}
					mu.Lock()
					took = append(took, time.Since(began))
					mu.Unlock()
				}
			})
		}
		readers.Wait()
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2])/1e6, "ms-median")
		b.ReportMetric(float64(took[len(took)*95/100])/1e6, "ms-p95")
		b.ReportMetric(float64(took[len(took)-1])/1e6, "ms-longest")
	}
}
