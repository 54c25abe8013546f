// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Requests for metrics that hang hold up neither each other's answer nor the handler.
func TestScrapes(t *testing.T) {
	began, release := make(chan struct{}), make(chan struct{})
	h := WithMetrics(http.NotFoundHandler(), func() []byte {
		began <- struct{}{}
		<-release
		return []byte("up 1\n")
	})
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}
	var wg sync.WaitGroup
	for range maxScrapes {
		wg.Go(func() {
			if w := get("/metrics"); w.Code != http.StatusOK || w.Body.String() != "up 1\n" {
				t.Errorf("%d %q", w.Code, w.Body)
			}
		})
		<-began
	}
	if w := get("/metrics"); w.Code != http.StatusServiceUnavailable {
		t.Errorf("one too many: %d", w.Code)
	}
	if w := get("/other"); w.Code != http.StatusNotFound {
		t.Errorf("another path: %d", w.Code)
	}
	close(release)
	wg.Wait()
}

// The operator has health and metrics on an address of its own, until the daemon ends; the public
// address has the rest.
func TestAdmin(t *testing.T) {
	var s Service
	fs := flag.NewFlagSet("serve", flag.ContinueOnError)
	s.Define(fs, "127.0.0.1:0", "answering")
	name := filepath.Join(t.TempDir(), "addr")
	if err := fs.Parse([]string{"-admin-listen", "127.0.0.1:0", "-addr-file", name}); err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "rest") })
	s.Server, s.Logger = &http.Server{Handler: WithMetrics(h, func() []byte { return []byte("up 1\n") })}, slog.New(slog.DiscardHandler)
	ctx, end := context.WithCancel(t.Context())
	said, stdout := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, stdout); stdout.Close() }()
	var urls [2]string
	if _, err := fmt.Fscan(said, &urls[0], &urls[1]); err != nil {
		t.Fatal(err)
	}
	get := func(url string) string {
		resp, err := http.Get(url)
		if err != nil {
			return "no answer"
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(resp.StatusCode, " ", string(b))
	}
	for i, want := range [2]map[string]string{{"metrics": "404 {", "other": "200 rest"}, {"metrics": "200 up 1\n", "other": "404 {"}} {
		for path, want := range want {
			if got := get(urls[i] + path); !strings.HasPrefix(got, want) {
				t.Errorf("%s%s: %s", urls[i], path, got)
			}
		}
	}
	if b, err := os.ReadFile(name); err != nil || string(b) != urls[0]+"\n"+urls[1]+"\n" {
		t.Errorf("the file has %q, %v", b, err)
	}
	end()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got := get(urls[1] + "metrics"); got != "no answer" {
		t.Errorf("at the end: %s", got)
	}
}

// The address goes into a new file or over an earlier address, and over nothing else.
func TestAddrFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "addr")
	for _, c := range []struct {
		text string
		ok   bool
	}{{"", true}, {"http://127.0.0.1:1/\n", true}, {"-----BEGIN PRIVATE KEY-----\n", false}} {
		if err := os.WriteFile(name, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		s := Service{Server: &http.Server{}, MaxConns: 1, AddrFile: name, Logger: slog.New(slog.DiscardHandler), address: "127.0.0.1:0"}
		if err := s.Listen(); err != nil {
			t.Fatal(err)
		}
		ended, end := context.WithCancel(t.Context())
		end()
		err := s.Run(ended, io.Discard)
		s.Listener.Close()
		b, rerr := os.ReadFile(name)
		if (err == nil) != c.ok || rerr != nil || (string(b) == c.text) == c.ok {
			t.Errorf("over %q: %v, and %q, %v", c.text, err, b, rerr)
		}
	}
}
