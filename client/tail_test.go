// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/log/tlog"
)

// TestTail: if a head adds to a bundle whose first entries are known, the client reads only the new entries. Whatever a server
// answers to the range, the entries are the tree's.
func TestTail(t *testing.T) {
	part := func(w http.ResponseWriter, from string, body []byte) {
		w.Header().Set("Content-Range", from)
		w.WriteHeader(http.StatusPartialContent)
		w.Write(body)
	}
	for name, c := range map[string]struct {
		answer   func(w http.ResponseWriter, r *http.Request, skip int) // to a request with a range; nil: the range
		requests int32                                                  // for tiles, once the bundle has grown
	}{
		"range":     {nil, 1},
		"no ranges": {func(w http.ResponseWriter, r *http.Request, _ int) { w.Write(bundle(200)) }, 1},
		"zipped": {func(w http.ResponseWriter, r *http.Request, _ int) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(zipped(bundle(200)))
		}, 1},
		"not there": {func(w http.ResponseWriter, r *http.Request, _ int) { http.NotFound(w, r) }, 3},
		"no such": {func(w http.ResponseWriter, r *http.Request, _ int) {
			http.Error(w, "", http.StatusRequestedRangeNotSatisfiable)
		}, 3},
		"elsewhere": {func(w http.ResponseWriter, r *http.Request, skip int) {
			part(w, fmt.Sprintf("bytes %d-", skip+1), bundle(200)[skip:])
		}, 3},
		"nowhere": {func(w http.ResponseWriter, r *http.Request, skip int) { w.WriteHeader(http.StatusPartialContent) }, 3},
		"cut off": {func(w http.ResponseWriter, r *http.Request, skip int) {
			part(w, fmt.Sprintf("bytes %d-", skip), bundle(200)[skip+1:])
		}, 3},
		"short":    {func(w http.ResponseWriter, r *http.Request, _ int) { w.Write(bundle(1)) }, 3},
		"too many": {func(w http.ResponseWriter, r *http.Request, _ int) { w.Write(bundle(201)) }, 3},
		"another": {func(w http.ResponseWriter, r *http.Request, skip int) {
			b := bundle(200)
			b[len(b)-1] ^= 1
			part(w, fmt.Sprintf("bytes %d-", skip), b[skip:])
		}, 3},
		"zipped part": {func(w http.ResponseWriter, r *http.Request, skip int) {
			w.Header().Set("Content-Encoding", "gzip")
			part(w, fmt.Sprintf("bytes %d-", skip), zipped(bundle(200)[skip:]))
		}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			l := newFileLog(t)
			files := http.FileServer(http.Dir(l.Dir))
			var requests atomic.Int32
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasPrefix(r.URL.Path, "/tile/") {
					requests.Add(1)
				}
				if skip := 0; c.answer != nil && r.Header.Get("Range") != "" {
					fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &skip)
					c.answer(w, r, skip)
					return
				}
				files.ServeHTTP(w, r)
			}))
			t.Cleanup(s.Close)
			cl := newClient(t, client.Config{URL: s.URL, Policy: l.policy(), Retries: -1, Backoff: time.Millisecond})
			tree, err := cl.Tree(client.TreeOptions{})
			if err != nil {
				t.Fatal(err)
			}
			follow := func(from, to uint64) {
				t.Helper()
				l.grow(to)
				if _, err := tree.Update(t.Context()); err != nil {
					t.Fatal(err)
				}
				for b, err := range tree.Bundles(t.Context(), from) {
					if err != nil {
						t.Fatal(err)
					}
					for i, e := range b.Entries {
						if want := fmt.Sprintf("entry %d", b.First+uint64(i)); b.First+uint64(i) != from || string(e) != want {
							t.Fatalf("%d is %q", from, e)
						}
						from++
					}
				}
				if from != to {
					t.Fatalf("read up to %d, and there are %d", from, to)
				}
			}
			follow(0, 150)
			requests.Store(0)
			follow(150, 200)
			if n := requests.Load(); n != c.requests {
				t.Errorf("%d requests", n)
			}
			if b, err := tree.ReadTile(t.Context(), tlog.Tile{Level: tlog.Entries, Width: 200}); err != nil || !bytes.Equal(b, bundle(200)) {
				t.Errorf("the bundle has %d bytes, %v", len(b), err)
			}
			follow(200, 256)
			follow(256, 300)

			// A fork in the same last bundle still gives the evidence of a fork.
			fork := l.branch(func(i uint64) []byte { return fmt.Appendf(nil, "entry %d", i/299*1000+i) })
			fork.grow(310)
			files = http.FileServer(http.Dir(fork.Dir))
			_, err = tree.Update(t.Context())
			if f, ok := errors.AsType[*client.ForkError](err); !ok || f.Small.Size != 300 || f.Large.Size != 310 {
				t.Errorf("a fork: %v", err)
			}
		})
	}
}
