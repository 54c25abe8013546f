// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/recover"
	"github.com/vasistas/vasistas/log/tesserax"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/vault"
)

// request is a request as it goes over the wire: net/http's client would correct some
// of these.
type request struct {
	method, target string
	header         string // lines with CRLF
	body           string
}

func (r request) send(t *testing.T, url string) (*http.Response, []byte) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	check(t, err)
	defer conn.Close()
	check(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	header := r.header
	if !strings.Contains(header, "Content-Length") && !strings.Contains(header, "Transfer-Encoding") && r.body != "" {
		header += fmt.Sprintf("Content-Length: %d\r\n", len(r.body))
	}
	_, err = fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: log.example\r\nConnection: close\r\n%s\r\n%s", r.method, r.target, header, r.body)
	check(t, err)
	raw, err := io.ReadAll(conn)
	check(t, err)
	resp, err := http.ReadResponse(newReader(raw), &http.Request{Method: r.method})
	check(t, err)
	b, err := io.ReadAll(resp.Body)
	check(t, err)
	return resp, b
}

// chunked encodes a body whose length is not announced.
func chunked(b string) string { return fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(b), b) }

const (
	jsonType   = "Content-Type: application/json\r\n"
	ndjsonType = "Content-Type: application/x-ndjson\r\n"
)

// TestBadRequests checks that a bad request gets a precise answer and changes nothing.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	w.start()
	w.append(w.warrant())
	good := string(w.warrant())
	long := strings.Repeat("x", event.MaxEntrySize+1)
	post := func(header, body string) request { return request{"POST", "/events", header, body} }
	get := func(target string) request { return request{"GET", target, "", ""} }
	flipped := []byte(good) // in the signature
	i := strings.LastIndex(good, `"sig":"`) + 10
	if flipped[i] == 'A' {
		flipped[i] = 'B'
	} else {
		flipped[i] = 'A'
	}
	stranger := newSigner()
	for _, c := range []struct {
		name   string
		req    request
		status int
		code   string
		says   string
	}{
		{"unknown signer", post(jsonType, string(warrant(t, origin, stranger))), 403, "unknown-signer", stranger.KeyID()},
		{"one known and one unknown signer", post(jsonType, string(warrant(t, origin, w.authority, stranger))), 403, "unknown-signer", stranger.KeyID()},
		{"bad signature", post(jsonType, string(flipped)), 422, "signature", w.authority.KeyID()},
		{"another log", post(jsonType, string(warrant(t, "other.example", w.authority))), 421, "origin", "other.example"},
		{"wrong role", post(jsonType, string(w.heartbeat())), 403, "rule", "authority"},
		{"no JSON", post(jsonType, "hello"), 400, "form", ""},
		{"empty", post(jsonType+"Content-Length: 0\r\n", ""), 400, "form", ""},
		{"JSON, but no envelope", post(jsonType, "{}"), 400, "form", ""},
		{"a line feed at the end", post(jsonType, good+"\n"), 400, "form", "after the end"},
		{"spaces", post(jsonType, strings.Replace(good, ":", ": ", 1)), 400, "form", ""},
		{"a byte order mark", post(jsonType, "\ufeff"+good), 400, "form", ""},
		{"a duplicate key", post(jsonType, strings.Replace(good, "{", `{"payloadType":"x",`, 1)), 400, "form", ""},
		{"an unknown key", post(jsonType, strings.Replace(good, "{", `{"a":1,`, 1)), 400, "form", ""},
		{"an escape", post(jsonType, strings.Replace(good, "payload", `p\u0061yload`, 1)), 400, "form", ""},
		{"cut off in the middle", post(jsonType, good[:len(good)/2]), 400, "form", ""},
		{"too long", post(jsonType, long), 413, "too-large", "48000"},
		{"too long, length not announced", post(jsonType+"Transfer-Encoding: chunked\r\n", chunked(long)), 413, "too-large", "48000"},
		{"too long by its header", post(jsonType+"Content-Length: 9999999999\r\n", ""), 413, "too-large", "48000"},
		{"longest, but no envelope", post(jsonType, long[:event.MaxEntrySize]), 400, "form", ""},
		{"no media type", post("", good), 415, "media-type", "application/json"},
		{"another media type", post("Content-Type: text/json\r\n", good), 415, "media-type", "application/json"},
		{"no media type at all", post("Content-Type: ;;\r\n", good), 415, "media-type", "application/json"},
		{"compressed", post(jsonType+"Content-Encoding: gzip\r\n", good), 415, "media-type", "encoding"},
		{"not compressed, in capitals", post(jsonType+"Content-Encoding: IDENTITY\r\n", "{}"), 400, "form", ""},
		{"two media types", post(jsonType+ndjsonType, good), 415, "media-type", "application/json"},
		{"two content encodings", post(jsonType+"Content-Encoding: identity\r\nContent-Encoding: gzip\r\n", good), 415, "media-type", "encoding"},
		{"no chunk", post(jsonType+"Transfer-Encoding: chunked\r\n", "zz\r\n\r\n"), 400, "form", "form of HTTP"},
		{"many times too long", post(jsonType, strings.Repeat(long, 200)), 413, "too-large", "48000"},
		{"many times too long, length not announced", post(jsonType+"Transfer-Encoding: chunked\r\n", chunked(strings.Repeat(long, 200))), 413, "too-large", "48000"},
		{"bad wait", request{"POST", "/events?wait=forever", jsonType, good}, 400, "form", "sequenced or cosigned"},
		{"empty wait", request{"POST", "/events?wait=", jsonType, good}, 400, "form", "sequenced or cosigned"},
		{"two waits", request{"POST", "/events?wait=sequenced&wait=cosigned", jsonType, good}, 400, "form", "wait"},
		{"another parameter", request{"POST", "/events?wiat=sequenced", jsonType, good}, 400, "form", "wait"},
		{"a bad query", request{"POST", "/events?wait=%zz", jsonType, good}, 400, "form", ""},
		{"bad wait of a stream", request{"POST", "/events?wait=1", ndjsonType, good + "\n"}, 400, "form", "sequenced or cosigned"},
		{"GET of events", get("/events"), 405, "method", "POST"},
		{"POST of the checkpoint", request{"POST", "/checkpoint", "", "x"}, 405, "method", "GET, HEAD"},
		{"DELETE of a tile", request{"DELETE", "/tile/0/000.p/1", "", ""}, 405, "method", "GET, HEAD"},
		{"PUT of readyz", request{"PUT", "/readyz", "", "x"}, 405, "method", "GET, HEAD"},
		{"nothing", get("/"), 404, "not-found", ""},
		{"the state", get("/tree/.state/treeState"), 404, "not-found", ""},
		{"a slash too many", get("//checkpoint"), 404, "not-found", ""},
		{"a slash at the end", get("/checkpoint/"), 404, "not-found", ""},
		{"another spelling", get("/%63heckpoint"), 404, "not-found", ""},
		{"up", get("/tile/../checkpoint"), 400, "form", ""},
		{"up, spelt out", get("/tile/%2e%2e/checkpoint"), 400, "form", ""},
		{"up from a tile", get("/tile/0/../../state/head"), 400, "form", ""},
		{"up with a spelt-out slash", get("/tile/..%2f..%2fstate%2fhead"), 400, "form", ""},
		{"a tile, spelt otherwise", get("/tile/0/%3000.p/1"), 400, "form", ""},
		{"an absolute path", get("/tile//etc/passwd"), 400, "form", ""},
		{"Tessera's state", get("/tile/.state/treeState"), 400, "form", ""},
		{"a tile of level 64", get("/tile/64/000"), 400, "form", ""},
		{"a tile of level 00", get("/tile/00/000.p/1"), 400, "form", ""},
		{"a tile of two digits", get("/tile/0/00"), 400, "form", ""},
		{"a tile with leading zeros", get("/tile/0/x000/000"), 400, "form", ""},
		{"a tile of width 0", get("/tile/0/000.p/0"), 400, "form", ""},
		{"a tile of width 256", get("/tile/0/000.p/256"), 400, "form", ""},
		{"a tile of width 01", get("/tile/0/000.p/01"), 400, "form", ""},
		{"a wider tile than there is", get("/tile/0/000.p/3"), 404, "not-found", ""},
		{"a full tile that is not", get("/tile/0/000"), 404, "not-found", ""},
		{"a tile beyond the tree", get("/tile/0/001.p/1"), 404, "not-found", ""},
		{"a bundle beyond the tree", get("/tile/entries/x001/234.p/1"), 404, "not-found", ""},
		{"the last tile there can be", get("/tile/0/x036/x028/x797/x018/x963/967"), 404, "not-found", ""},
		{"a tile of a level that is empty", get("/tile/1/000.p/1"), 404, "not-found", ""},
		{"a tile of level 63", get("/tile/63/000"), 404, "not-found", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp, body := c.req.send(t, w.url)
			var p *problem
			if err := problemOf(resp, body); !errors.As(err, &p) {
				t.Fatal(err)
			}
			if p.status != c.status || p.code != c.code || !strings.Contains(p.Detail, c.says) {
				t.Errorf("%v; want %d %s that says %q", p, c.status, c.code, c.says)
			}
			if c.status == http.StatusMethodNotAllowed && resp.Header.Get("Allow") != c.says {
				t.Errorf("Allow: %q; want %q", resp.Header.Get("Allow"), c.says)
			}
		})
	}
	if p := w.append([]byte(good)); p.Index != 2 {
		t.Errorf("the bad requests left %d entries", p.Index-2)
	}
	w.audit()
}

// heartbeat is an event that the authority may not sign.
func (w *world) heartbeat() []byte {
	w.t.Helper()
	now := time.Now().UTC().Truncate(time.Second)
	ev, err := event.New(origin, &event.Heartbeat{From: now.Add(-time.Hour), To: now})
	check(w.t, err)
	env, err := event.Sign(ev, w.authority)
	check(w.t, err)
	return env.Bytes()
}

// TestCutOff checks that a body that does not come ends with the server's time-out, and
// that the event is not logged.
func TestCutOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	w.start()
	good := string(w.warrant())
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	check(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "POST /events HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s", jsonType, len(good)+1, good)
	check(t, err)
	check(t, conn.(*net.TCPConn).CloseWrite())
	resp, err := http.ReadResponse(newReader(must(io.ReadAll(conn))), nil)
	check(t, err)
	body := must(io.ReadAll(resp.Body))
	if err := problemOf(resp, body); !isProblem(err, "incomplete") {
		t.Errorf("a body that is cut off: %v", err)
	}
	if p := w.append(w.warrant()); p.Index != 1 {
		t.Errorf("an event that was cut off was logged")
	}
}

// TestReads checks the resources of tlog-tiles, with the headers that caches and
// clients need.
func TestReads(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	w.start()
	w.stream(w.warrants(300), "sequenced")
	w.published(301)
	header := func(path, accept string) (*http.Response, []byte) {
		t.Helper()
		req, err := http.NewRequest(http.MethodGet, w.url+path, nil)
		check(t, err)
		req.Header.Set("Accept-Encoding", accept)
		resp, err := http.DefaultTransport.RoundTrip(req)
		check(t, err)
		defer resp.Body.Close()
		return resp, must(io.ReadAll(resp.Body))
	}
	plain, b := header("/tile/entries/000", "identity")
	if plain.Header.Get("Content-Encoding") != "" || plain.Header.Get("Vary") != "Accept-Encoding" ||
		!strings.Contains(plain.Header.Get("Cache-Control"), "immutable") || plain.Header.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("a bundle has the headers %v", plain.Header)
	}
	entries, err := tlog.ParseBundle(b, 256)
	check(t, err)
	for _, accept := range []string{"gzip", "br, GZIP;q=0.5", "*", "identity;q=0, *;q=0.1"} {
		zipped, z := header("/tile/entries/000", accept)
		if zipped.Header.Get("Content-Encoding") != "gzip" {
			t.Fatalf("%s: not compressed", accept)
		}
		r, err := gzip.NewReader(bytes.NewReader(z))
		check(t, err)
		if !bytes.Equal(must(io.ReadAll(r)), b) || len(z) >= len(b) {
			t.Errorf("%s: it unpacks to something else", accept)
		}
	}
	for _, accept := range []string{"", "br", "gzip;q=0", "gzip;q=0, *", "gzip;q=x"} {
		if resp, _ := header("/tile/entries/000", accept); resp.Header.Get("Content-Encoding") != "" {
			t.Errorf("%q: compressed", accept)
		}
	}
	req, err := http.NewRequest(http.MethodGet, w.url+"/tile/entries/000", nil)
	check(t, err)
	req.Header.Set("Accept-Encoding", "gzip")
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-", len(b)-9))
	resp, err := http.DefaultTransport.RoundTrip(req)
	check(t, err)
	defer resp.Body.Close()
	if tail := must(io.ReadAll(resp.Body)); resp.StatusCode != http.StatusPartialContent || resp.Header.Get("Content-Encoding") != "" || !bytes.Equal(tail, b[len(b)-9:]) {
		t.Errorf("a range of a bundle: %s, %d bytes, %v", resp.Status, len(tail), resp.Header)
	}
	// Partial tiles of any width that the tree had, and none beyond.
	for _, width := range []int{1, 43, 44} {
		_, b := header("/tile/0/001.p/"+strconv.Itoa(width), "")
		if len(b) != 32*width {
			t.Errorf("a partial tile of width %d has %d bytes", width, len(b))
		}
	}
	_, part := header("/tile/entries/000.p/7", "")
	seven, err := tlog.ParseBundle(part, 7)
	check(t, err)
	for i := range seven {
		if !bytes.Equal(seven[i], entries[i]) {
			t.Errorf("entry %d of the partial bundle is another", i)
		}
	}
	cp, _ := header("/checkpoint", "")
	if cp.Header.Get("Cache-Control") != "no-cache" || !strings.HasPrefix(cp.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("the checkpoint has the headers %v", cp.Header)
	}
	// Pages of any origin may read, and see why there is nothing.
	for _, path := range []string{"/checkpoint", "/charter", "/tile/0/000", "/tile/entries/000.p/7", "/tile/7/000", "/nothing", "/audit/round"} {
		if resp, _ := header(path, ""); resp.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %s with the headers %v", path, resp.Status, resp.Header)
		}
	}
	// A conditional read of the checkpoint, which may change meanwhile.
	for tag := cp.Header.Get("ETag"); ; {
		req, err := http.NewRequest(http.MethodGet, w.url+"/checkpoint", nil)
		check(t, err)
		req.Header.Set("If-None-Match", `"other", W/`+tag)
		resp, err := http.DefaultTransport.RoundTrip(req)
		check(t, err)
		body := must(io.ReadAll(resp.Body))
		resp.Body.Close()
		if resp.StatusCode == http.StatusNotModified && tag != "" && len(body) == 0 {
			break
		}
		if next := resp.Header.Get("ETag"); next == tag || next == "" {
			t.Fatalf("of %s: %s with the headers %v", tag, resp.Status, resp.Header)
		} else {
			tag = next
		}
	}
	for _, path := range []string{"/checkpoint", "/tile/0/000", "/tile/entries/000", "/healthz", "/readyz"} {
		resp, err := http.Head(w.url + path)
		check(t, err)
		body := must(io.ReadAll(resp.Body))
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || len(body) != 0 {
			t.Errorf("HEAD %s: %s with %d bytes", path, resp.Status, len(body))
		}
	}
	w.audit()
}

// TestQueueFull checks that with too many events, or bytes, in flight the answer is 429
// at once, and that what was in the queue is answered.
func TestQueueFull(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]func(c *log.Config, entry []byte){
		"events": func(c *log.Config, _ []byte) { c.MaxInFlight = 2 },
		"bytes":  func(c *log.Config, entry []byte) { c.MaxInFlightBytes = int64(2*len(entry) + 100) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1, 1)
			entries := w.warrants(3)
			limit(&w.config, entries[0])
			gate := new(gate)
			w.wrap = gate.wrap
			w.start()
			gate.close()
			t.Cleanup(gate.open)
			answered := make(chan error, 1)
			go func() {
				_, err := w.sequence(entries[0])
				answered <- err
			}()
			eventually(t, gate.busy)
			// A client that leaves keeps its place.
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			if _, err := w.log.Submit(ctx, entries[1], log.Sequenced); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("behind a closed gate: %v", err)
			}
			_, err := w.sequence(entries[2])
			var p *problem
			if !errors.As(err, &p) || p.code != "queue-full" || p.status != http.StatusTooManyRequests || p.retryAfter == "" {
				t.Errorf("with a full queue: %v", err)
			}
			gate.open()
			check(t, <-answered)
			eventually(t, func() error { _, err := w.sequence(entries[2]); return err })
			if n := len(w.audit()); n != 4 {
				t.Errorf("the log has %d entries", n)
			}
		})
	}
}

// TestAbandoned checks that clients that leave free their places only when their events
// have been sequenced, and that these are sequenced.
func TestAbandoned(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	w.config.MaxInFlight = 4
	gate := new(gate)
	w.wrap = gate.wrap
	w.start()
	gate.close()
	t.Cleanup(gate.open)
	entries := w.warrants(5)
	for _, e := range entries[:4] {
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error)
		go func() {
			_, err := w.log.Submit(ctx, e, log.Sequenced)
			left <- err
		}()
		// The first is being written; the others wait behind it.
		eventually(t, gate.busy)
		cancel()
		if err := <-left; err == nil {
			t.Fatal("sequenced behind a closed gate")
		}
	}
	if _, err := w.sequence(entries[4]); !isProblem(err, "queue-full") {
		t.Errorf("the places of those who left are free: %v", err)
	}
	gate.open()
	w.published(5)
	for i, e := range entries[:4] {
		if p := w.append(e); p.Index != uint64(i+1) {
			t.Errorf("event %d is at %d", i, p.Index)
		}
	}
	eventually(t, func() error { _, err := w.sequence(entries[4]); return err })
	w.audit()
}

// TestNoQuorum checks that the wait for a proof ends, that the event then is in the
// tree, and that submitting it again later gets the proof.
func TestNoQuorum(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, 3)
	w.config.MaxWait = 10 * time.Second // for the first event too
	w.start()
	w.append(w.warrant())
	w.witnesses[0].answer(down)
	w.witnesses[1].answer(down)
	entry := w.warrant()
	_, err := w.submit(entry)
	var p *problem
	if !errors.As(err, &p) || p.code != "no-quorum" || p.status != http.StatusGatewayTimeout || p.Index == nil || *p.Index != 2 || p.retryAfter == "" {
		t.Fatalf("without a quorum: %v", err)
	}
	if i := w.mustSequence(entry); i != 2 {
		t.Errorf("again: at %d", i)
	}
	if cp := w.checkpoint(); cp.Size != 2 {
		t.Errorf("published without a quorum: %d", cp.Size)
	}
	if status, _ := w.get("/readyz"); status != http.StatusOK {
		t.Errorf("a missing quorum stops publication only; readyz says %d", status)
	}
	w.witnesses[1].answer(nil)
	w.published(3)
	if p := w.append(entry); p.Index != 2 {
		t.Errorf("its proof is for %d", p.Index)
	}
	w.audit()
}

// TestPatience checks that a wait for a proof outlasts the server's time for reading,
// and a stream's for standing still.
func TestPatience(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	const patience = 2 * time.Second // enough to send an event, also on a slow machine
	w.config.StreamIdle = patience
	w.start()
	w.append(w.warrant())
	w.witnesses[0].answer(down)
	web := httptest.NewUnstartedServer(w.log.Handler())
	web.Config.ReadTimeout = patience
	web.Start()
	defer web.Close()
	type answer struct {
		resp *http.Response
		body []byte
		err  error
	}
	answers := make(chan answer)
	for kind, end := range map[string]string{"application/json": "", "application/x-ndjson": "\n"} {
		entry := append(w.warrant(), end...)
		go func() {
			resp, body, err := post(web.URL+"/events", kind, entry)
			answers <- answer{resp, body, err}
		}()
	}
	w.sequencedUp(4)
	select {
	case a := <-answers:
		t.Fatalf("answered without a quorum: %v %s %v", a.resp, a.body, a.err)
	case <-time.After(2 * patience):
	}
	w.witnesses[0].answer(nil)
	for range 2 {
		a := <-answers
		check(t, a.err)
		if a.resp.StatusCode >= 300 || !bytes.Contains(a.body, []byte("index")) || bytes.Contains(a.body, []byte("error")) {
			t.Errorf("%s: %s", a.resp.Status, a.body)
		}
	}
}

// TestNotReady checks that nothing is admitted before enough witnesses were heard and
// while the log shuts down, and that the answer says which.
func TestNotReady(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 2) // of which both must be heard
	w.witnesses[0].answer(down)
	w.mustOpen()
	refused := func(code, says string) {
		t.Helper()
		entry := w.warrant()
		eventually(t, func() error {
			for kind, body := range map[string][]byte{"application/json": entry, "application/x-ndjson": append(bytes.Clone(entry), '\n')} {
				resp, answer := w.post("", kind, body)
				var p *problem
				if err := problemOf(resp, answer); !errors.As(err, &p) || p.code != code || p.status != 503 || p.retryAfter == "" {
					return err
				}
				if !strings.Contains(p.Detail, says) {
					return fmt.Errorf("it does not say %q: %s", says, p.Detail)
				}
			}
			if status, _ := w.get("/readyz"); status != 503 {
				return fmt.Errorf("readyz says %d", status)
			}
			if status, _ := w.get("/healthz"); status != 200 {
				return fmt.Errorf("healthz says %d", status)
			}
			return nil
		})
	}
	refused("not-ready", "witness w1")
	if status, _ := w.get("/checkpoint"); status != http.StatusNotFound {
		t.Errorf("a checkpoint before there is one: %d", status)
	}
	w.witnesses[0].answer(nil)
	w.ready()
	w.append(w.warrant())
	w.log.Drain()
	refused("shutting-down", "shutting down")
	w.checkpoint() // is still served
}

// gate blocks an engine's writes.
type gate struct {
	log.Engine
	mu   sync.Mutex
	shut chan struct{} // nil: open
	n    int           // writes that wait
}

func (g *gate) wrap(e log.Engine) log.Engine {
	g.Engine = e
	return g
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = make(chan struct{})
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut != nil {
		close(g.shut)
		g.shut = nil
	}
}

// busy returns an error while no write waits.
func (g *gate) busy() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.n == 0 {
		return errors.New("nothing has arrived")
	}
	return nil
}

func (g *gate) Add(ctx context.Context, entries [][]byte) (uint64, error) {
	g.mu.Lock()
	shut := g.shut
	g.n++
	g.mu.Unlock()
	if shut != nil {
		<-shut
	}
	g.mu.Lock()
	g.n--
	g.mu.Unlock()
	return g.Engine.Add(ctx, entries)
}

// TestConfig checks that a configuration that can't work is refused before anything is
// touched.
func TestConfig(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 2)
	open := func(change func(*log.Config)) error {
		engine, err := tesserax.Open(t.Context(), w.tree())
		check(t, err)
		v, err := vault.Open(w.vaultConfig())
		check(t, err)
		defer func() { check(t, v.Close()) }()
		c := log.Config{StateDir: w.state(), Engine: engine, Keys: w.keys, Vault: v, Policy: w.policy, Logger: slog.New(slog.DiscardHandler)}
		change(&c)
		l, err := log.Open(t.Context(), c)
		if err == nil {
			return l.Close(t.Context())
		}
		return errors.Join(err, engine.Close(t.Context()))
	}
	another, err := tlog.GenerateSigner(origin, tlog.Ed25519)
	check(t, err)
	elsewhere, err := tlog.GenerateSigner("other.example", tlog.Ed25519)
	check(t, err)
	none := func(urls ...string) *tlog.Policy {
		text := fmt.Sprintf("log %s\n", w.keys[0].Verifier())
		for i, u := range urls {
			text += fmt.Sprintf("witness w%d %s %s\n", i, w.witnesses[i].key.Verifier(), u)
		}
		p, err := tlog.ParsePolicy([]byte(text + "group g 1 w0 w1\nquorum g\n"))
		check(t, err)
		return p
	}
	for _, c := range []struct {
		change func(*log.Config)
		says   string
	}{
		{func(c *log.Config) { c.Policy = nil }, "name them with -policy"}, // the charter has no URLs
		{func(c *log.Config) { c.Vault = nil }, "vault"},
		{func(c *log.Config) { c.Engine = nil }, "engine"},
		{func(c *log.Config) { c.Interval = -1 }, "negative"},
		{func(c *log.Config) { c.MaxStreams = -1 }, "negative"},
		{func(c *log.Config) { c.Keys = nil }, "needs a key"},
		{func(c *log.Config) { c.Keys = []*tlog.Signer{another} }, "no signature by any of the keys"},
		{func(c *log.Config) { c.Keys = []*tlog.Signer{elsewhere} }, "other.example"},
		{func(c *log.Config) { c.Policy = none("", "") }, "can't be met"},
		{func(c *log.Config) { c.Policy = none(w.witnesses[0].URL, "") }, "without a URL"},
		{func(c *log.Config) { c.StateDir = t.TempDir() }, "init"},
	} {
		if err := open(c.change); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v; want one that says %q", err, c.says)
		}
	}
	// None of these kept the lock.
	lock, err := durable.LockDir(w.state())
	check(t, err)
	check(t, lock.Close())
}

// TestInit checks that Init refuses what can't be a log, and a directory that holds
// one.
func TestInit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0, 0)
	other, err := tlog.GenerateSigner("other.example", tlog.CosignatureMLDSA44)
	check(t, err)
	good := w.founding.Bytes()
	made := func(change func(ch *event.Charter), by ...event.Signer) []byte {
		ch := w.charter()
		change(ch)
		return signed(t, ch, by...).Bytes()
	}
	none := func(*event.Charter) {}
	many := func(ch *event.Charter) {
		ch.Parties = append(ch.Parties, event.Party{Name: "second", Role: event.RoleCharter, Keys: []*event.PublicKey{newSigner().Public()}})
		ch.Thresholds = event.Thresholds{Amend: 2, Recover: 2}
	}
	key, err := tlog.GenerateSigner("other.example/log", tlog.Ed25519)
	check(t, err)
	ch := w.charter()
	ch.LogKeys = []string{key.Verifier().String()}
	foreign, err := event.New("other.example/log", ch)
	check(t, err)
	elsewhere, err := event.Sign(foreign, w.founder)
	check(t, err)
	for _, c := range []struct {
		name    string
		state   string
		keys    []*tlog.Signer
		charter []byte
		says    string
	}{
		{"a log is there", w.state(), w.keys, good, "has a log already"},
		{"no key", "", nil, good, "needs a key"},
		{"ML-DSA first", "", []*tlog.Signer{w.keys[1]}, good, "first key"},
		{"Ed25519 twice", "", []*tlog.Signer{w.keys[0], w.keys[0]}, good, "second key"},
		{"two names", "", []*tlog.Signer{w.keys[0], other}, good, "two names"},
		{"three keys", "", []*tlog.Signer{w.keys[0], w.keys[1], w.keys[1]}, good, "more than two"},
		{"fewer keys than the charter names", "", w.keys[:1], good, "the charter names the log keys"},
		{"no charter", "", w.keys, nil, "vasistas charter new"},
		{"no envelope", "", w.keys, []byte("{}"), "the charter"},
		{"a warrant", "", w.keys, entryOf(w.warrant()), "charter (first)"},
		{"too few signatures", "", w.keys, made(many, w.founder), "charter (few)"},
		{"signed by another", "", w.keys, made(none, newSigner()), "role (unknown)"},
		{"signed by the authority", "", w.keys, made(none, w.authority), "role (wrong)"},
		{"unknown rules", "", w.keys, made(func(ch *event.Charter) { ch.Rules = 99 }, w.founder), "rules that this version does not know"},
		{"another log's", "", w.keys, elsewhere.Bytes(), "form (origin)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if c.state == "" {
				c.state = filepath.Join(dir, "state")
			}
			check(t, tesserax.Create(t.Context(), filepath.Join(dir, "tree")))
			engine, err := tesserax.Open(t.Context(), filepath.Join(dir, "tree"))
			check(t, err)
			defer engine.Close(t.Context())
			err = recover.Init(t.Context(), recover.InitConfig{StateDir: c.state, Engine: engine, Keys: c.keys, Charter: c.charter})
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v; want one that says %q", err, c.says)
			}
			if size, _, err := engine.Tree(t.Context()); err != nil || size != 0 {
				t.Errorf("the tree has %d entries: %v", size, err)
			}
		})
	}
}
