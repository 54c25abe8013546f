// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/vasistas/vasistas/log/pgstate"
)

// follower is a front end that does not lead, as a server, and knows a leader.
func follower(t *testing.T, url string) (f *FrontEnd, server *httptest.Server) {
	t.Helper()
	f = &FrontEnd{cfg: Config{URL: "http://127.0.0.1:1"}, metrics: newMetrics()}
	transport := newTransport()
	t.Cleanup(transport.CloseIdleConnections)
	f.forwarder = &forwarder{f: f, single: semaphore.NewWeighted(1), streams: semaphore.NewWeighted(1), transport: transport}
	f.leader.Store(&leader{Lease: pgstate.Lease{Holder: "x", URL: url, Term: 1, Seconds: 60}, changed: time.Now(), over: make(chan struct{})})
	server = httptest.NewServer(f.Handler())
	t.Cleanup(server.Close)
	return f, server
}

// problem checks that an answer is a problem of this code.
func problem(t *testing.T, resp *http.Response, status int, code string) {
	t.Helper()
	defer resp.Body.Close()
	var p struct{ Type, Detail string }
	err := json.NewDecoder(resp.Body).Decode(&p)
	if err != nil || resp.StatusCode != status || p.Type != "urn:vasistas:error:"+code || resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s %q %+v %v; want %d %s", resp.Status, resp.Header.Get("Content-Type"), p, err, status, code)
	}
	if status == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") == "" {
		t.Error("it does not say when to try again")
	}
}

func submit(t *testing.T, url string, header http.Header) *http.Response {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(`{"an":"event"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header.Clone()
	if req.Header == nil {
		req.Header = http.Header{}
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// TestForward: what an event needs is passed on, in both directions, and nothing else.
func TestForward(t *testing.T) {
	t.Parallel()
	got := make(chan *http.Request, 1)
	leads := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(b)))
		got <- r
		for name, v := range map[string]string{"Vasistas-Index": "7", "Vasistas-Duplicate": "true", "Content-Type": "text/plain", "Set-Cookie": "a=b", "Location": "http://elsewhere/"} {
			w.Header().Set(name, v)
		}
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, "a proof")
	}))
	defer leads.Close()
	_, server := follower(t, leads.URL)
	resp := submit(t, server.URL+"/events?wait=sequenced", http.Header{"Cookie": {"secret=1"}, "Authorization": {"Basic x"}, "X-Forwarded-Host": {"a"}})
	b, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != http.StatusCreated || string(b) != "a proof" || resp.Header.Get("Vasistas-Index") != "7" || resp.Header.Get("Vasistas-Duplicate") != "true" {
		t.Errorf("%s %q %v", resp.Status, b, resp.Header)
	}
	for _, name := range []string{"Set-Cookie", "Location"} {
		if resp.Header.Get(name) != "" {
			t.Errorf("the header %s came back", name)
		}
	}
	r := <-got
	body, _ := io.ReadAll(r.Body)
	if r.Method != http.MethodPost || r.RequestURI != "/events?wait=sequenced" || string(body) != `{"an":"event"}` || r.Host != strings.TrimPrefix(leads.URL, "http://") {
		t.Errorf("passed on: %s %s %s %q", r.Method, r.Host, r.RequestURI, body)
	}
	for name := range r.Header {
		switch name {
		case "Content-Type", "Content-Length", headerForwarded, "User-Agent":
		default:
			t.Errorf("the header %s was passed on", name)
		}
	}
}

// TestForwardRefuses: what is not passed on, and never twice.
func TestForwardRefuses(t *testing.T) {
	t.Parallel()
	leads := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("passed on: %s %s", r.Method, r.RequestURI)
	}))
	defer leads.Close()
	f, server := follower(t, leads.URL)
	problem(t, submit(t, server.URL+"/events", http.Header{headerForwarded: {"1"}}), 503, "no-leader")
	problem(t, submit(t, server.URL+"/events", http.Header{headerForwarded: {""}}), 503, "no-leader")
	resp, err := http.Get(server.URL + "/events")
	if err != nil {
		t.Fatal(err)
	}
	problem(t, resp, 405, "method")
	set := func(change func(*leader)) {
		l := *f.leader.Load()
		change(&l)
		f.leader.Store(&l)
	}
	was := *f.leader.Load()
	for name, change := range map[string]func(*leader){
		"itself":      func(l *leader) { l.URL = f.cfg.URL },
		"nobody":      func(l *leader) { l.Holder = "" },
		"it is over":  func(l *leader) { l.changed = time.Now().Add(-time.Hour) },
		"a path":      func(l *leader) { l.URL = leads.URL + "/metrics?" },
		"a user":      func(l *leader) { l.URL = "http://a:b@127.0.0.1:1" },
		"another":     func(l *leader) { l.URL = "file:///etc/passwd" },
		"not there":   func(l *leader) { l.URL = closedURL(t) },
		"no scheme":   func(l *leader) { l.URL = "127.0.0.1:80" },
		"not anybody": func(l *leader) { l.URL = "" },
	} {
		set(func(l *leader) { *l = was; change(l) })
		t.Run(name, func(t *testing.T) { problem(t, submit(t, server.URL+"/events", nil), 503, "no-leader") })
	}
	f.leader.Store(nil)
	problem(t, submit(t, server.URL+"/events", nil), 503, "no-leader")
}

func closedURL(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return "http://" + l.Addr().String()
}

// TestForwardEnds: a leader that stands still is waited for until somebody else leads,
// and meanwhile no more is passed on than there is room for.
func TestForwardEnds(t *testing.T) {
	t.Parallel()
	came, stop := make(chan bool, 1), make(chan struct{})
	leads := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { came <- true; <-stop }))
	defer leads.Close()
	defer close(stop)
	f, server := follower(t, leads.URL)
	answer := make(chan *http.Response)
	go func() { answer <- submit(t, server.URL+"/events", nil) }()
	<-came
	problem(t, submit(t, server.URL+"/events", nil), 429, "queue-full")
	f.see(pgstate.Lease{Holder: "y", URL: "http://127.0.0.1:1", Term: 2, Seconds: 60, Version: 1})
	problem(t, <-answer, 503, "no-leader")
}

// TestForwardStream: lines and answers pass while the request goes on, and the
// connection is cut when the leader has changed.
func TestForwardStream(t *testing.T) {
	t.Parallel()
	leads := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		if err := rc.EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/x-ndjson")
		for lines := bufio.NewScanner(r.Body); lines.Scan(); {
			fmt.Fprintf(w, "answer to %s\n", lines.Text())
			rc.Flush()
		}
	}))
	defer leads.Close()
	f, server := follower(t, leads.URL)
	conn, err := net.Dial("tcp", strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	fmt.Fprintf(conn, "POST /events HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n")
	in := bufio.NewReader(conn)
	var resp *http.Response
	var answers *bufio.Reader
	for _, line := range []string{"one", "two", "three"} {
		fmt.Fprintf(conn, "%x\r\n%s\n\r\n", len(line)+1, line)
		if resp == nil {
			if resp, err = http.ReadResponse(in, nil); err != nil {
				t.Fatal(err)
			}
			answers = bufio.NewReader(resp.Body)
		}
		if got, err := answers.ReadString('\n'); got != "answer to "+line+"\n" {
			t.Fatalf("%q %v", got, err)
		}
	}
	if second := streamStatus(t, server.URL); second != http.StatusTooManyRequests {
		t.Errorf("a second stream: %d", second)
	}
	f.see(pgstate.Lease{Holder: "y", URL: "http://127.0.0.1:1", Term: 2, Seconds: 60, Version: 1})
	if b, err := io.ReadAll(answers); err == nil {
		t.Errorf("the stream ended as if it were whole, with %q", b)
	}
}

func streamStatus(t *testing.T, url string) int {
	resp, err := http.Post(url+"/events", "application/x-ndjson", strings.NewReader("x\n"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// TestSee: a leader is believed to live as long as its lease lasts.
func TestSee(t *testing.T) {
	t.Parallel()
	f := &FrontEnd{metrics: newMetrics()}
	first := pgstate.Lease{Holder: "a", URL: "http://a:1", Term: 1, Seconds: 60, Version: 1}
	f.see(first)
	l := f.leader.Load()
	if !l.live() {
		t.Error("a new leader is not believed")
	}
	renewed := first
	renewed.Version = 2
	f.see(renewed)
	if now := f.leader.Load(); now.over != l.over || !now.changed.After(l.changed) {
		t.Error("a lease that was renewed is another")
	}
	f.see(pgstate.Lease{Version: -1}) // the database can't be reached
	if !f.leader.Load().live() {
		t.Error("the leader is not believed while its lease lasts")
	}
	old := *f.leader.Load()
	old.changed = time.Now().Add(-time.Minute)
	f.leader.Store(&old)
	f.see(renewed)
	if f.leader.Load().live() {
		t.Error("a leader that does not renew its lease is believed")
	}
	select {
	case <-l.over:
	default:
		t.Error("what was on its way to it goes on")
	}
	f.see(renewed)
	f.see(pgstate.Lease{Version: -1})
	renewed.Version++
	f.see(renewed) // it was only slow
	if !f.leader.Load().live() {
		t.Error("a leader that renews its lease late is not believed")
	}
}
