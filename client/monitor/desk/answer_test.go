// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package desk

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

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
