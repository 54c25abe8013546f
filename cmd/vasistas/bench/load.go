// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

func newHTTPClient(connections int) *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConns: connections, MaxIdleConnsPerHost: connections, DisableCompression: true}}
}

// drive posts each entry in a request of its own, over as many connections, and
// returns how long that took. Any answer but the expected ones is an error.
func drive(ctx context.Context, url, kind string, connections int, entries [][]byte, expected ...int) (time.Duration, error) {
	client := newHTTPClient(connections)
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	began := time.Now()
	for range min(connections, len(entries)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(entries)); i = next.Add(1) - 1 {
				if err := post(ctx, client, url, kind, entries[i], expected); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(began), context.Cause(ctx)
}

func post(ctx context.Context, client *http.Client, url, kind string, entry []byte, expected []int) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(entry))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", kind)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	for _, status := range expected {
		if resp.StatusCode == status {
			_, err := io.Copy(io.Discard, resp.Body)
			return err
		}
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
	return fmt.Errorf("%s: %s", resp.Status, body)
}

func (w *world) driveTessera(ctx context.Context, connections int, entries [][]byte) (time.Duration, error) {
	return drive(ctx, w.tesseraURL+"/add", "application/octet-stream", connections, entries, http.StatusOK)
}

func (w *world) driveLog(ctx context.Context, connections int, wait string, entries [][]byte) (time.Duration, error) {
	return drive(ctx, w.logURL+"events?wait="+wait, "application/json", connections, entries, http.StatusAccepted, http.StatusCreated)
}

// driveStream posts the entries in NDJSON streams, and reads every answer.
func (w *world) driveStream(ctx context.Context, streams int, entries [][]byte) (time.Duration, error) {
	client := newHTTPClient(streams)
	defer client.CloseIdleConnections()
	errs := make([]error, streams)
	var wg sync.WaitGroup
	began := time.Now()
	for i := range streams {
		part := entries[i*len(entries)/streams : (i+1)*len(entries)/streams]
		wg.Go(func() { errs[i] = stream(ctx, client, w.logURL+"events?wait=sequenced", part) })
	}
	wg.Wait()
	return time.Since(began), errors.Join(errs...)
}

func stream(ctx context.Context, client *http.Client, url string, entries [][]byte) error {
	body, pipe := io.Pipe()
	go func() {
		out := bufio.NewWriterSize(pipe, 64<<10)
		for _, e := range entries {
			out.Write(e)
			out.WriteByte('\n')
		}
		pipe.CloseWithError(errors.Join(out.Flush()))
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	n := 0
	for ; lines.Scan(); n++ {
		var line struct {
			Index *uint64
			Error json.RawMessage
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil || line.Index == nil {
			return fmt.Errorf("line %d of the answer: %s", n, lines.Bytes())
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if n != len(entries) {
		return fmt.Errorf("%s: %d answers to %d events", resp.Status, n, len(entries))
	}
	return nil
}
