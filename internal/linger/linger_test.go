// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package linger_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vasistas/vasistas/internal/linger"
	"github.com/vasistas/vasistas/internal/linger/lingertest"
)

// refuse answers without reading.
func refuse(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Connection", "close")
	w.WriteHeader(http.StatusRequestEntityTooLarge)
	io.WriteString(w, "too large")
	linger.After(r)
}

// late answers after the read deadline, so reading the body has failed.
func late(w http.ResponseWriter, r *http.Request) {
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Unix(1, 0))
	if _, err := io.Copy(io.Discard, r.Body); err == nil {
		panic("it was read")
	}
	refuse(w, r)
}

func dial(t *testing.T, s *httptest.Server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// answers checks that conn has the whole answer of refuse, and then its end.
func answers(t *testing.T, conn net.Conn) {
	t.Helper()
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || string(body) != "too large" || resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d: %q %v", resp.StatusCode, body, err)
	}
	if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("after the answer: %v", err)
	}
}

// TestAnswer: a client that sends all before it reads gets the answer, with and
// without an announced length.
func TestAnswer(t *testing.T) {
	const size = 8 << 20
	body := strings.Repeat("x", size)
	for name, h := range map[string]http.HandlerFunc{"refuse": refuse, "late": late} {
		s := lingertest.NewServer(h)
		defer s.Close()
		for kind, request := range map[string]string{
			"length": fmt.Sprintf("Content-Length: %d\r\n\r\n%s", size, body),
			"chunks": fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", size, body),
		} {
			t.Run(name+" "+kind, func(t *testing.T) {
				conn := dial(t, s)
				if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\n"+request); err != nil {
					t.Fatal(err)
				}
				answers(t, conn)
			})
		}
	}
}

// TestAnswerEnds: a client that goes on sending gets the whole answer at once, and the server
// reads until the client closes the connection.
func TestAnswerEnds(t *testing.T) {
	s := lingertest.NewServer(http.HandlerFunc(late))
	defer s.Close()
	conn := dial(t, s)
	if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	answers(t, conn)
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("the answer ended after %v", took)
	}
	for range 16 {
		if _, err := io.WriteString(conn, strings.Repeat("x", 64<<10)); err != nil {
			t.Fatalf("after the answer: %v", err)
		}
	}
}

// client is a connection whose client sends for ever: after each pause, it has the bytes of
// one read.
type client struct {
	net.Conn
	pause    time.Duration
	deadline time.Time
	read     int
	closed   atomic.Int32
}

func (c *client) Read(p []byte) (int, error) {
	if wait := time.Until(c.deadline); wait < c.pause {
		time.Sleep(wait)
		return 0, context.DeadlineExceeded
	}
	time.Sleep(c.pause)
	c.read += len(p)
	return len(p), nil
}

func (c *client) SetReadDeadline(t time.Time) error { c.deadline = t; return nil }
func (c *client) CloseWrite() error                 { return nil }
func (c *client) Close() error                      { c.closed.Add(1); return nil }

// once is a listener whose connections are all conn.
type once struct {
	net.Listener
	conn net.Conn
}

func (o once) Accept() (net.Conn, error) { return o.conn, nil }
func (o once) Close() error              { return nil }

// TestBounded: the server stops reading at each limit. Without a call of After, and at a
// second call of Close, it does not read.
func TestBounded(t *testing.T) {
	for name, c := range map[string]struct {
		pause      time.Duration
		off        bool
		least, max int
		took       time.Duration
	}{
		"fast":      {0, false, 16 << 20, 17 << 20, 0},
		"slow":      {time.Second, false, 1, 1 << 20, 10 * time.Second},
		"idle":      {time.Minute, false, 0, 0, 3 * time.Second},
		"not after": {0, true, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s http.Server
				sender := &client{pause: c.pause}
				l := linger.Listener(&s, once{conn: sender}, 1)
				conn, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				if !c.off {
					linger.After(new(http.Request).WithContext(s.ConnContext(t.Context(), conn)))
				}
				began := time.Now()
				if err := conn.Close(); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took != c.took || sender.read < c.least || sender.read > c.max {
					t.Errorf("it read %d bytes in %v", sender.read, took)
				}
				again := sender.read
				if err := conn.Close(); err != nil || sender.closed.Load() != 2 || sender.read != again {
					t.Errorf("a second Close: %v", err)
				}
				if _, err := l.Accept(); err != nil {
					t.Errorf("there is no slot: %v", err)
				}
				full := make(chan error)
				go func() {
					_, err := l.Accept()
					full <- err
				}()
				synctest.Wait()
				l.Close()
				if err := <-full; !errors.Is(err, net.ErrClosed) {
					t.Errorf("more connections than slots: %v", err)
				}
			})
		})
	}
}
