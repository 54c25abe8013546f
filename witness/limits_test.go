// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package witness_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/durable/durabletest"
	"github.com/vasistas/vasistas/witness"
)

// blockSyncs holds back syncs of the journal in dir until release is called.
func blockSyncs(t *testing.T, dir string) (blocked <-chan struct{}, release func()) {
	var on atomic.Bool
	on.Store(true)
	hit, open := make(chan struct{}, 1), make(chan struct{})
	durabletest.Inject(t, dir, func(op durable.Op, _ string) error {
		if op.Step == durable.AppendSync && !op.After && on.Load() {
			hit <- struct{}{}
			<-open
		}
		return nil
	})
	return hit, func() { on.Store(false); close(open) }
}

// TestBusy checks that requests over a limit are refused at once, and that other logs and
// monitors do not wait.
func TestBusy(t *testing.T) {
	a, b := newLog(t, "log.example/a", "a", 9), newLog(t, "log.example/b", "b", 9)
	for _, limits := range []struct {
		name             string
		requests, perLog int
		logs             []*testLog
	}{{"requests", 1, 5, []*testLog{a, b}}, {"per log", 5, 1, []*testLog{a}}} {
		t.Run(limits.name, func(t *testing.T) {
			c := create(t, bothSigners()[:1], a, b)
			blocked, release := blockSyncs(t, c.Dir)
			c.MaxRequests, c.MaxPerLog = limits.requests, limits.perLog
			url := serveWitness(t, open(t, c))
			var wg sync.WaitGroup
			var first answer
			wg.Go(func() { first = post(t, url, a.request(0, 3)) })
			<-blocked
			for _, l := range limits.logs {
				if got := post(t, url, l.request(0, 3)); got.status != 503 || got.header.Get("Retry-After") != "1" {
					t.Errorf("%s: %d %s", l.origin, got.status, got.body)
				}
			}
			if got := get(t, url+"/healthz"); got.status != 200 {
				t.Errorf("healthz: %d", got.status)
			}
			release()
			wg.Wait()
			if first.status != 200 {
				t.Errorf("the first one: %d", first.status)
			}
			if got := post(t, url, b.request(0, 3)); got.status != 200 {
				t.Errorf("afterwards: %d", got.status)
			}
		})
	}
}

// TestSlowBodies: clients whose bodies do not come take no place among the requests
// at work.
func TestSlowBodies(t *testing.T) {
	l := newLog(t, "log.example/a", "a", 9)
	c := create(t, bothSigners()[:1], l)
	c.MaxRequests = 1
	url := serveWitness(t, open(t, c))
	for range 3 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 400\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		// The server asks for the body when it reads it.
		if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
			t.Fatalf("%q, %v", line, err)
		}
	}
	if got := post(t, url, l.request(0, 3)); got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// TestNothingBeforeDurable: while the sync has not returned, no signature is to
// be had anywhere.
func TestNothingBeforeDurable(t *testing.T) {
	l := newLog(t, "log.example/a", "a", 9)
	c := create(t, bothSigners(), l)
	blocked, release := blockSyncs(t, c.Dir)
	url := serveWitness(t, open(t, c))
	done := make(chan answer, 1)
	go func() { done <- post(t, url, l.request(0, 3)) }()
	<-blocked
	select {
	case a := <-done:
		t.Errorf("an answer before the sync: %d", a.status)
	default:
	}
	if a := get(t, monitorURL(url, l.origin)); a.status != 404 {
		t.Errorf("monitors get %d before the sync", a.status)
	}
	release()
	if a := <-done; a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// TestShutdown: requests under way get their answer.
func TestShutdown(t *testing.T) {
	l := newLog(t, "log.example/a", "a", 9)
	c := create(t, bothSigners()[:1], l)
	blocked, release := blockSyncs(t, c.Dir)
	w := open(t, c)
	url := ""
	done := make(chan answer, 1)
	t.Run("serving", func(t *testing.T) {
		url = serveWitness(t, w)
		body := l.request(0, 3)
		go func() {
			resp, err := http.Post(url+"/add-checkpoint", "", bytes.NewReader(body))
			if err != nil {
				done <- answer{}
				return
			}
			b, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			done <- answer{status: resp.StatusCode, body: b}
		}()
		<-blocked
		time.AfterFunc(50*time.Millisecond, release)
	}) // whose cleanup shuts down, and waits
	if a := <-done; a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if resp, err := http.Get(url + "/healthz"); err == nil {
		resp.Body.Close()
		t.Error("it still answers")
	}
}

// TestClosed: what a request under way has signed while the witness closed is in the state, and
// afterwards the witness signs and writes nothing, since another process may have the state.
func TestClosed(t *testing.T) {
	l := newLog(t, "log.example/a", "a", 9)
	c := create(t, bothSigners()[:1], l)
	blocked, release := blockSyncs(t, c.Dir)
	w := open(t, c)
	under, done := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := w.AddCheckpoint(t.Context(), l.request(0, 3))
		under <- err
	}()
	<-blocked
	var closed atomic.Bool
	go func() {
		err := w.Close()
		closed.Store(true)
		done <- err
	}()
	durabletest.Inject(t, c.Dir, func(op durable.Op, path string) error {
		if closed.Load() {
			t.Errorf("after Close: %s of %s", op.Step, path)
		}
		return nil
	})
	release()
	signed := <-under == nil
	if err := <-done; err != nil {
		t.Error(err)
	}
	for _, request := range [][]byte{l.request(3, 3), l.request(3, 5), l.request(0, 3)} {
		if lines, err := w.AddCheckpoint(t.Context(), request); err == nil {
			t.Errorf("a closed witness says %s", lines)
		}
	}
	closed.Store(false)
	_, err := open(t, c).AddCheckpoint(t.Context(), l.request(0, 3))
	if known := errors.As(err, new(*witness.ConflictError)); known != signed {
		t.Errorf("the request was answered: %t; and the state says %v", signed, err)
	}
}

func TestConnectionLimit(t *testing.T) {
	c := create(t, bothSigners()[:1], newLog(t, "log.example/a", "a", 9))
	c.MaxConnections = 2
	addr := strings.TrimPrefix(serveWitness(t, open(t, c)), "http://")
	ask := func(conn net.Conn) error {
		fmt.Fprintf(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	var conns []net.Conn
	for range 3 {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns = append(conns, conn)
	}
	for _, conn := range conns[:2] {
		if err := ask(conn); err != nil {
			t.Fatal(err)
		}
	}
	conns[2].SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if err := ask(conns[2]); err == nil {
		t.Error("a third connection is served")
	}
	conns[0].Close()
	conns[2].SetReadDeadline(time.Now().Add(10 * time.Second))
	resp, err := http.ReadResponse(bufio.NewReader(conns[2]), nil)
	if err != nil || resp.StatusCode != 200 {
		t.Errorf("a place came free, and the third gets %v", err)
	}
}

// TestBodies that do not arrive as announced.
func TestBodies(t *testing.T) {
	l := newLog(t, "log.example/a", "a", 9)
	url := serveWitness(t, open(t, create(t, bothSigners()[:1], l)))
	addr := strings.TrimPrefix(url, "http://")
	body := string(l.request(0, 3))
	for _, c := range []struct {
		name, request string
		status        int
	}{
		{"announced over the limit", "Content-Length: 65537\r\n\r\n", 413},
		{"sent over the limit", "Content-Length: 5000000\r\n\r\n" + strings.Repeat("x", 5000000), 413},
		{"chunked far over the limit", "Transfer-Encoding: chunked\r\n\r\n4c4b40\r\n" + strings.Repeat("x", 5000000) + "\r\n0\r\n\r\n", 413},
		{"chunked over the limit", "Transfer-Encoding: chunked\r\n\r\n10001\r\n" + strings.Repeat("x", 0x10001) + "\r\n0\r\n\r\n", 413},
		{"cut off", "Content-Length: 400\r\n\r\n" + body, 400},
		{"a bad chunk", "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
		{"two lengths", "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400},
		{"too many headers", "X: " + strings.Repeat("x", 12<<10-len("POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nX: ")), 431}, // all of which is read
		{"chunked", fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body), 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, "POST /add-checkpoint HTTP/1.1\r\nHost: x\r\n"+c.request); err != nil {
				t.Fatal(err)
			}
			if c.name == "cut off" { // else the server takes it that the client has gone
				if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
					t.Fatal(err)
				}
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != c.status {
				t.Errorf("%d, want %d", resp.StatusCode, c.status)
			}
		})
	}
}

// FuzzAddCheckpoint sends arbitrary bodies: no panic, no 5xx, and nothing is
// cosigned but what the log signed.
func FuzzAddCheckpoint(f *testing.F) {
	l := newLog(f, "log.example/a", "a", 9)
	for old := uint64(0); old < 9; old += 2 {
		f.Add(l.request(old, 9))
	}
	f.Add([]byte("old 0\n\nx\n1\n"))
	c := create(f, bothSigners()[:1], l)
	w := open(f, c)
	h := w.Handler()
	f.Fuzz(func(t *testing.T, body []byte) {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("POST", "/add-checkpoint", bytes.NewReader(body)))
		switch rec.Code {
		case 200:
			if !bytes.Contains(body, []byte("\n— "+l.origin+" ")) {
				t.Errorf("cosigned %q", body)
			}
		case 400, 403, 404, 409, 413, 422:
		default:
			t.Errorf("%d for %q", rec.Code, body)
		}
	})
}
