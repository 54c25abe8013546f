// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"net/http"
	"net/http/httptest"
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
