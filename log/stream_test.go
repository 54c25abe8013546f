// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// result is one line of an answer to NDJSON.
type result struct {
	Index     *uint64
	Leaf      []byte
	Duplicate bool
	Proof     string
	Error     *problem
}

func (r *result) code() string {
	if r.Error == nil {
		return ""
	}
	return strings.TrimPrefix(r.Error.Type, "urn:vasistas:error:")
}

func parseResults(t testing.TB, r io.Reader) []result {
	t.Helper()
	var out []result
	lines := bufio.NewReader(r)
	for {
		b, err := lines.ReadBytes('\n')
		if err == io.EOF && len(b) == 0 {
			return out
		}
		check(t, err)
		var one result
		d := json.NewDecoder(bytes.NewReader(b))
		d.DisallowUnknownFields()
		check(t, d.Decode(&one))
		if (one.Error == nil) == (one.Index == nil) {
			t.Fatalf("neither a result nor an error: %s", b)
		}
		out = append(out, one)
	}
}

// lines submits a body of NDJSON.
func (w *world) lines(body, wait string) []result {
	w.t.Helper()
	resp, answer := w.post("?wait="+wait, "application/x-ndjson", []byte(body))
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/x-ndjson" {
		w.t.Fatalf("%s: %s", resp.Status, answer)
	}
	return parseResults(w.t, bytes.NewReader(answer))
}

// stream submits entries, all of which must be admitted, and checks each answer.
func (w *world) stream(entries [][]byte, wait string) []result {
	w.t.Helper()
	results := w.lines(string(bytes.Join(entries, []byte("\n")))+"\n", wait)
	if len(results) != len(entries) {
		w.t.Fatalf("%d answers for %d events", len(results), len(entries))
	}
	for i, r := range results {
		leaf := tiles.LeafHash(entryOf(entries[i]))
		if r.Error != nil || !bytes.Equal(r.Leaf, leaf[:]) {
			w.t.Fatalf("line %d: %+v %v", i, r, r.Error)
		}
		w.seen.acknowledged(*r.Index, entryOf(entries[i]))
		if wait == "cosigned" {
			p, err := tlog.ParseProof([]byte(r.Proof))
			check(w.t, err)
			check(w.t, w.verify(p))
			if p.Index != *r.Index || !bytes.Equal(p.Extra, entryOf(entries[i])) {
				w.t.Fatalf("line %d has the proof of another entry", i)
			}
		}
	}
	return results
}

// TestStream checks that order is kept, and that a bad line does not affect other
// lines.
func TestStream(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, 3)
	w.start()
	for i, r := range w.stream(w.warrants(700), "sequenced") {
		if *r.Index != uint64(i+1) {
			t.Fatalf("line %d is at %d", i, *r.Index)
		}
	}
	for i, r := range w.stream(w.warrants(300), "cosigned") {
		if *r.Index != uint64(701+i) {
			t.Fatalf("line %d is at %d", i, *r.Index)
		}
	}
	if r := w.lines("", "sequenced"); len(r) != 0 {
		t.Errorf("an empty stream has the answers %v", r)
	}
	good := w.warrants(4)
	stranger := warrant(t, origin, newSigner())
	long := strings.Repeat("x", event.MaxEntrySize+1)
	body := strings.Join([]string{
		string(good[0]), "", string(stranger), string(good[1]) + "\r", string(good[1]), string(good[1]), "{}",
		string(warrant(t, "other.example", w.authority)), long, string(good[2]), strings.Repeat(long, 5), string(good[3]),
	}, "\n") + "\n"
	want := []string{"", "form", "unknown-signer", "form", "", "", "form", "origin", "too-large", "", "too-large"}
	results := w.lines(body, "sequenced")
	if len(results) != len(want) {
		t.Fatalf("%d answers; want %d: a line that is too long by far ends the stream", len(results), len(want))
	}
	next := uint64(1001)
	for i, r := range results {
		if r.code() != want[i] {
			t.Errorf("line %d: %q; want %q", i, r.code(), want[i])
		}
		if want[i] != "" {
			continue
		}
		if i == 5 {
			if !r.Duplicate || *r.Index != next-1 {
				t.Errorf("the same line again: %+v", r)
			}
			continue
		}
		if r.Duplicate || *r.Index != next {
			t.Errorf("line %d is at %d", i, *r.Index)
		}
		next++
	}
	// Without the last line feed, the last line may be cut off.
	results = w.lines(string(good[3])+"\n"+string(w.warrant()), "cosigned")
	if len(results) != 2 || results[0].Error != nil || results[1].code() != "incomplete" {
		t.Errorf("without the last line feed: %+v", results)
	}
	if got := w.audit(); uint64(len(got)) != next+1 {
		t.Errorf("the log has %d entries; want %d", len(got), next+1)
	}
}

// TestStreamSpeaksBoth checks that a client gets an answer before it sends the next
// line.
func TestStreamSpeaksBoth(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	w.start()
	body, out := io.Pipe()
	req, err := http.NewRequest(http.MethodPost, w.url+"/events", body)
	check(t, err)
	req.Header.Set("Content-Type", "application/x-ndjson")
	go func() {
		// The first line, so that there is an answer to wait for.
		out.Write(append(w.warrant(), '\n'))
	}()
	resp, err := http.DefaultClient.Do(req)
	check(t, err)
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	for i := range 5 {
		b, err := lines.ReadBytes('\n')
		check(t, err)
		var r result
		check(t, json.Unmarshal(b, &r))
		if r.Index == nil || *r.Index != uint64(i+1) || r.Proof == "" {
			t.Fatalf("line %d: %s", i, b)
		}
		if i < 4 {
			_, err = out.Write(append(w.warrant(), '\n'))
			check(t, err)
		}
	}
	check(t, out.Close())
	if rest := must(io.ReadAll(lines)); len(rest) != 0 {
		t.Errorf("after the last answer: %s", rest)
	}
}

// streamConn is a stream over a connection of its own; the test uses each direction as
// it likes.
func (w *world) streamConn(wait string) net.Conn {
	w.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	check(w.t, err)
	w.t.Cleanup(func() { conn.Close() })
	_, err = fmt.Fprintf(conn, "POST /events?wait=%s HTTP/1.1\r\nHost: x\r\n%sTransfer-Encoding: chunked\r\n\r\n", wait, ndjsonType)
	check(w.t, err)
	return conn
}

func writeChunk(conn net.Conn, b string) error {
	_, err := fmt.Fprintf(conn, "%x\r\n%s\r\n", len(b), b)
	return err
}

// TestStreamSlowReader checks that the log stops reading from a client that does not
// read its answers, takes a bounded amount of memory for it, and serves other clients.
func TestStreamSlowReader(t *testing.T) {
	w := newWorld(t, 1, 1)
	w.config.MaxInFlight = 4
	w.start()
	conn := w.streamConn("sequenced")
	lines := strings.Repeat("{}\n", 10000) // which are refused, at length
	const most = 64 << 20
	check(t, conn.SetWriteDeadline(time.Now().Add(3*time.Second)))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	sent := 0
	for sent < most {
		if err := writeChunk(conn, lines); err != nil {
			break // the log does not read any more, as it must
		}
		sent += len(lines)
	}
	if sent >= most {
		t.Fatalf("the log took %d MiB from a client that does not read", sent>>20)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 16<<20 {
		t.Errorf("the log keeps %d MiB for it", grown>>20)
	}
	for range 5 {
		w.append(w.warrant())
	}
}

// TestStreamSlowWriter checks that lines that come byte by byte are lines too.
func TestStreamSlowWriter(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	w.start()
	conn := w.streamConn("cosigned")
	for _, b := range w.warrant() {
		check(t, writeChunk(conn, string(b)))
	}
	check(t, writeChunk(conn, "\n"))
	_, err := io.WriteString(conn, "0\r\n\r\n")
	check(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	check(t, err)
	if r := parseResults(t, resp.Body); len(r) != 1 || r[0].Proof == "" {
		t.Errorf("answers: %+v", r)
	}
	w.audit()
}

// TestStreamGone checks that a client that leaves leaves no goroutine and no place
// behind. What it sent in full may be logged, once.
func TestStreamGone(t *testing.T) {
	w := newWorld(t, 1, 1)
	w.config.MaxStreams = 2
	w.start()
	w.append(w.warrant())
	http.DefaultClient.CloseIdleConnections()
	before := runtime.NumGoroutine()
	entries := w.warrants(20)
	for round := range 10 {
		conn := w.streamConn("cosigned")
		for _, e := range entries {
			check(t, writeChunk(conn, string(e)+"\n"))
		}
		check(t, writeChunk(conn, string(entries[0][:100])))
		if round%2 == 0 {
			// Abruptly, with answers unread.
			check(t, conn.(*net.TCPConn).SetLinger(0))
		}
		check(t, conn.Close())
		// Two streams are allowed at once, so its place must be free again.
		eventually(t, func() error {
			resp, answer := w.post("", "application/x-ndjson", append(entries[1], '\n'))
			if resp.StatusCode != http.StatusOK {
				return problemOf(resp, answer)
			}
			return nil
		})
	}
	eventually(t, func() error {
		http.DefaultClient.CloseIdleConnections()
		if n := runtime.NumGoroutine(); n > before+2 {
			return fmt.Errorf("%d goroutines, and there were %d", n, before)
		}
		return nil
	})
	seen := make(map[string]bool)
	for _, e := range w.audit() {
		if seen[string(e)] {
			t.Error("an event is in the log twice")
		}
		seen[string(e)] = true
	}
}

// TestStreamIdle checks that a stream that stands still is cut off, with a line that
// says so, after the answers to what came before.
func TestStreamIdle(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	w.config.StreamIdle = 2 * time.Second
	w.start()
	conn := w.streamConn("cosigned")
	check(t, writeChunk(conn, string(w.warrant())+"\n"+string(w.warrant()[:100])))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	check(t, err)
	r := parseResults(t, resp.Body)
	if len(r) != 2 || r[0].Proof == "" || r[1].code() != "incomplete" {
		t.Errorf("answers: %+v", r)
	}
	w.append(w.warrant())
}

// TestStreamLimit checks that too many streams get a 429, and that single events do not
// suffer.
func TestStreamLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	w.config.MaxStreams = 1
	w.start()
	conn := w.streamConn("sequenced")
	check(t, writeChunk(conn, string(w.warrant())+"\n"))
	head := make([]byte, 15)
	_, err := io.ReadFull(conn, head) // so it is being served
	check(t, err)
	resp, answer := w.post("", "application/x-ndjson", append(w.warrant(), '\n'))
	if err := problemOf(resp, answer); !isProblem(err, "queue-full") || resp.Header.Get("Retry-After") == "" {
		t.Errorf("a second stream: %v", err)
	}
	w.append(w.warrant())
}

// TestStreamNoQuorum checks that each line waits from when it came, not one after the
// other.
func TestStreamNoQuorum(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	w.config.MaxWait = 8 * time.Second // for the first event too
	w.start()
	w.append(w.warrant())
	w.witnesses[0].answer(down)
	began := time.Now()
	entries := w.warrants(50)
	results := w.lines(string(bytes.Join(entries, []byte("\n")))+"\n", "cosigned")
	if took := time.Since(began); took > time.Minute {
		t.Errorf("50 lines waited for %v", took)
	}
	for i, r := range results {
		if r.code() != "no-quorum" || r.Error.Index == nil || *r.Error.Index != uint64(i+2) {
			t.Errorf("line %d: %+v", i, r)
		}
	}
	w.witnesses[0].answer(nil)
	w.stream(entries, "cosigned")
	w.audit()
}

// TestStreamDrain checks that a stream that stays open ends when the log shuts down,
// and that what was acknowledged is published.
func TestStreamDrain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	w.start()
	var conns []net.Conn
	var wg sync.WaitGroup
	for range 4 {
		conn := w.streamConn("sequenced")
		conns = append(conns, conn)
		entries := w.warrants(50)
		wg.Go(func() {
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for i := 0; writeChunk(conn, string(entries[i%len(entries)])+"\n") == nil; i++ {
				if i >= len(entries) {
					<-tick.C
				}
			}
		})
	}
	readers := make([]*http.Response, len(conns))
	for i, conn := range conns {
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		check(t, err)
		readers[i] = resp
	}
	w.published(201)
	w.log.Drain()
	for _, resp := range readers {
		results := parseResults(t, resp.Body)
		if last := results[len(results)-1]; last.code() != "shutting-down" {
			t.Errorf("a stream ended with %+v", last)
		}
	}
	for _, conn := range conns {
		conn.Close()
	}
	wg.Wait()
	w.stop()
	w.start()
	if n := len(w.audit()); n != 201 {
		t.Errorf("the log has %d entries; want 201", n)
	}
}
