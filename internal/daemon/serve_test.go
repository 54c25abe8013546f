// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
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
