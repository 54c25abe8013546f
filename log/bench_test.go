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
	"time"

	"github.com/vasistas/vasistas/log/event"
)

// many calls f n times, as fast as it can.
func many(n int, f func() []byte) [][]byte {
	out := make([][]byte, n)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				out[i] = f()
			}
		})
	}
	wg.Wait()
	return out
}

// warrantsOf signs n warrants of one authority.
func warrantsOf(b testing.TB, authority event.Signer, n int) [][]byte {
	return many(n, func() []byte { return warrant(b, origin, authority) })
}

// drive posts each entry in a request of its own, and returns how long that took.
func drive(b *testing.B, url, kind string, conns int, entries [][]byte) time.Duration {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: conns, DisableCompression: true}}
	defer client.CloseIdleConnections()
	var next atomic.Int64
	var wg sync.WaitGroup
	began := time.Now()
	for range min(conns, len(entries)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(entries)); i = next.Add(1) - 1 {
				resp, err := client.Post(url, kind, bytes.NewReader(entries[i]))
				if err != nil {
					b.Error(err)
					return
				}
				answer, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode >= 300 {
					b.Errorf("%s: %s %v", resp.Status, answer, err)
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(began)
}

// driveStreams posts the entries in NDJSON streams, reads each answer, and returns
// how long that took.
func driveStreams(b *testing.B, url string, streams int, entries [][]byte) time.Duration {
	var wg sync.WaitGroup
	began := time.Now()
	for i := range streams {
		part := entries[i*len(entries)/streams : (i+1)*len(entries)/streams]
		wg.Go(func() {
			if err := driveStream(url, part); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
	return time.Since(began)
}

func driveStream(url string, entries [][]byte) error {
	body, pipe := io.Pipe()
	go func() {
		out := bufio.NewWriterSize(pipe, 64<<10)
		for _, e := range entries {
			out.Write(e)
			out.WriteByte('\n')
		}
		pipe.CloseWithError(out.Flush())
	}()
	resp, err := http.Post(url, "application/x-ndjson", body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewReaderSize(resp.Body, 1<<20)
	for i := range entries {
		if line, err := lines.ReadSlice('\n'); err != nil || !bytes.Contains(line, []byte(`"index":`)) {
			return fmt.Errorf("%s: line %d of the answer: %s %v", resp.Status, i, line, err)
		}
	}
	return nil
}

// BenchmarkAppend measures the way from a signed event over HTTP to its index or
// proof, with fsync and one witness, by a process of its own.
func BenchmarkAppend(b *testing.B) {
	run := func(name string, send func(b *testing.B, w *world, entries [][]byte)) {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b, 1, 1)
			w.spawn()
			w.ready()
			entries := warrantsOf(b, w.authority, b.N)
			b.ResetTimer()
			send(b, w, entries)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
	for _, c := range []struct {
		conns int
		wait  string
	}{{1, "sequenced"}, {256, "sequenced"}, {256, "cosigned"}} {
		run(fmt.Sprintf("single/%s/%d", c.wait, c.conns), func(b *testing.B, w *world, entries [][]byte) {
			drive(b, w.url+"/events?wait="+c.wait, "application/json", c.conns, entries)
		})
	}
	for _, wait := range []string{"sequenced", "cosigned"} {
		run("stream/"+wait, func(b *testing.B, w *world, entries [][]byte) {
			driveStreams(b, w.url+"/events?wait="+wait, 1, entries)
		})
	}
}
