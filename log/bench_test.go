// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vasistas/vasistas/log/event"
)

// warrantsOf signs n warrants of one authority, as fast as it can.
func warrantsOf(b testing.TB, authority event.Signer, n int) [][]byte {
	b.Helper()
	out := make([][]byte, n)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				out[i] = warrant(b, origin, authority)
			}
		})
	}
	wg.Wait()
	return out
}

// BenchmarkAppend measures the way from a signed event over HTTP to its index or
// proof, with fsync and one witness, by a process of its own.
func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct {
		conns int
		wait  string
	}{{1, "sequenced"}, {256, "sequenced"}, {256, "cosigned"}} {
		b.Run(fmt.Sprintf("single/%s/%d", c.wait, c.conns), func(b *testing.B) {
			w := newWorld(b, 1, 1)
			w.spawn()
			w.ready()
			entries := warrantsOf(b, w.authority, b.N)
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: c.conns}}
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for range c.conns {
				wg.Go(func() {
					for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
						resp, err := client.Post(w.url+"/events?wait="+c.wait, "application/json", bytes.NewReader(entries[i]))
						if err != nil {
							b.Error(err)
							return
						}
						io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
						if resp.StatusCode >= 300 {
							b.Error(resp.Status)
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
	for _, wait := range []string{"sequenced", "cosigned"} {
		b.Run("stream/"+wait, func(b *testing.B) {
			w := newWorld(b, 1, 1)
			w.spawn()
			w.ready()
			entries := warrantsOf(b, w.authority, b.N)
			b.ResetTimer()
			body, out := io.Pipe()
			go func() {
				buf := bufio.NewWriterSize(out, 256<<10)
				for _, e := range entries {
					buf.Write(e)
					buf.WriteByte('\n')
				}
				buf.Flush()
				out.Close()
			}()
			req, err := http.NewRequest(http.MethodPost, w.url+"/events?wait="+wait, body)
			check(b, err)
			req.Header.Set("Content-Type", "application/x-ndjson")
			resp, err := http.DefaultClient.Do(req)
			check(b, err)
			defer resp.Body.Close()
			lines := bufio.NewReaderSize(resp.Body, 1<<20)
			for i := range b.N {
				line, err := lines.ReadSlice('\n')
				if err != nil || !bytes.Contains(line, []byte(`"index":`)) {
					b.Fatalf("line %d: %s %v", i, line, err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
