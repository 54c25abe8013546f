// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package desk

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vasistas/vasistas/client/monitor/facts"
)

// TestFirstScreenWaitsForNoPage fills all places for pages that cost more: the first screen is made
// all the same, and a reader who has gone leaves the queue.
func TestFirstScreenWaitsForNoPage(t *testing.T) {
	d, err := New(Config{Logs: []Log{{Origin: "log.example", Report: func() *facts.Report { return new(facts.Report) }, Feed: filepath.Join(t.TempDir(), "changes.json")}}})
	if err != nil {
		t.Fatal(err)
	}
	for range cap(d.making) {
		d.making <- struct{}{}
	}
	get := func(ctx context.Context, path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		d.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil))
		return w
	}
	if w := get(t.Context(), "/?at=&x=1"); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "SILENT") {
		t.Errorf("the first screen: %d, %s", w.Code, w.Body)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if w := get(gone, "/desk/"+d.logs[0].Hash()+"/charts"); w.Code == http.StatusOK {
		t.Errorf("a page without a place: %d", w.Code)
	}
}

// TestKnown checks that parameters which no page has do not tell pages apart.
func TestKnown(t *testing.T) {
	for given, want := range map[string]string{
		"":                             "",
		"x=1":                          "",
		"sort=due&page=2&utm=%3Cb%3E":  "page=2&sort=due",
		"lang=fr&lang=de&at=5":         "at=5&lang=fr",
		"type=warrant&Type=access&a=%": "type=warrant",
	} {
		if got := known(httptest.NewRequest(http.MethodGet, "/?"+given, nil)).URL.RawQuery; got != want {
			t.Errorf("%q: %q, want %q", given, got, want)
		}
	}
}

// pipes is a listener for connections in memory.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{} }

// TestPatience: a reader who takes bytes all the time gets a whole answer, however long that lasts. A reader who takes
// nothing loses the connection, and loses it soon if many answers are unread.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := New(Config{})
		if err != nil {
			t.Fatal(err)
		}
		listener, server := make(pipes), &http.Server{Handler: d}
		done := make(chan struct{})
		go func() { defer close(done); server.Serve(listener) }()
		const name = "pico.classless.min.css"
		for _, c := range []struct {
			unread int64
			pause  time.Duration
			whole  bool
		}{{0, patience / 8, true}, {0, patience + time.Second, false}, {maxUnread, patience / 8, false}, {maxUnread, haste / 8, true}} {
			d.unread.Store(c.unread)
			here, there := net.Pipe()
			listener <- there
			go io.WriteString(here, "GET /desk/static/"+name+" HTTP/1.1\r\nHost: desk\r\nConnection: close\r\n\r\n")
			n := 0
			for b := make([]byte, 4<<10); err == nil; {
				time.Sleep(c.pause)
				var more int
				more, err = io.ReadAtLeast(here, b, 2<<10)
				n += more
			}
			if whole := n > len(styles()[name][0]); whole != c.whole {
				t.Errorf("%+v: %d bytes of %d: %v", c, n, len(styles()[name][0]), err)
			}
			err = here.Close()
		}
		close(listener)
		server.Close()
		<-done
	})
}

// stuck is an answer whose reader takes nothing until hold is closed.
type stuck struct {
	http.ResponseWriter
	begun chan struct{}
	hold  chan struct{}
}

func (s *stuck) Write(b []byte) (int, error) {
	s.begun <- struct{}{}
	<-s.hold
	return 0, net.ErrClosed
}

// TestDownloadsHoldNoPlace: slow readers of downloads keep no other reader from a download.
func TestDownloadsHoldNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which ends if all wait
		d, err := New(Config{})
		if err != nil {
			t.Fatal(err)
		}
		begun, hold := make(chan struct{}), make(chan struct{})
		for range 2 * maxMaking {
			go func() {
				defer func() { recover() }() // the connection is aborted
				q := &Request{HTTP: httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)}
				d.stream(&stuck{httptest.NewRecorder(), begun, hold}, q, &Answer{Stream: func() ([]byte, error) { return []byte("part"), nil }})
			}()
		}
		for range 2 * maxMaking {
			<-begun
		}
		close(hold)
	})
}
