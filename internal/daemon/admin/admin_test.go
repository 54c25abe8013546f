// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestServe: what is the operator's is at the one address or at the other, and nothing is at both.
func TestServe(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) })
	for _, address := range []string{"", "127.0.0.1:0"} {
		l := Listener{Address: address}
		if err := l.Listen(); err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		public := httptest.NewServer(l.Serve(h, slog.New(slog.DiscardHandler), "/status"))
		defer public.Close()
		get := func(url string) int {
			resp, err := http.Get(url)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			return resp.StatusCode
		}
		for path, private := range map[string]bool{
			"/healthz": true, "/readyz": true, "/metrics": true, "/metrics?x=1": true, "/%6detrics": true, "/status": true,
			"/": false, "/checkpoint": false, "/metrics/": false,
		} {
			want := map[bool]int{true: http.StatusOK, false: http.StatusNotFound}
			if got := get(public.URL + path); got != want[address == "" || !private] {
				t.Errorf("with the address %q, %s is %d in public", address, path, got)
			}
			if l.Addr() == "" {
				continue
			}
			if got := get("http://" + l.Addr() + path); got != want[private] {
				t.Errorf("%s is %d for the operator", path, got)
			}
		}
	}
}
