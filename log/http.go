// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"fmt"
	"net/http"
	"strings"
)

// handler serves the resources of an instance. ready returns why it admits no events. A
// function that serves a resource returns an error only if it has not answered.
func handler(events func(http.ResponseWriter, *http.Request) error, r *reads, ready func() error) http.Handler {
	type resource struct {
		methods string
		serve   func(http.ResponseWriter, *http.Request) error
	}
	const read = "GET, HEAD"
	resources := map[string]resource{
		"/events":     {"POST", events},
		"/checkpoint": {read, r.serveCheckpoint},
		"/charter":    {read, r.serveCharter},
		"/healthz":    {read, func(w http.ResponseWriter, _ *http.Request) error { return writeText(w, "ok\n") }},
		"/readyz":     {read, func(w http.ResponseWriter, _ *http.Request) error { return r.serveReady(w, ready()) }},
	}
	tile := resource{read, r.serveTile}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.EscapedPath()
		res, ok := resources[path]
		if !ok && strings.HasPrefix(path, "/tile/") {
			res, ok = tile, true
		}
		var err error
		switch {
		case !ok:
			err = errNotFound
		case r.Method == res.methods, res.methods == read && (r.Method == http.MethodGet || r.Method == http.MethodHead):
			err = res.serve(w, r)
		default:
			w.Header().Set("Allow", res.methods)
			err = fmt.Errorf("%w; it has %s", errMethod, res.methods)
		}
		if err != nil {
			problemOf(err).Answer(w)
		}
	})
}
