// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/vasistas/vasistas/internal/c2sp"
	"github.com/vasistas/vasistas/internal/tiles"
)

// Handler returns the log's HTTP interface: POST /events, GET /charter, and the reads
// of tlog-tiles for what is published. Metrics, profiles and the like are not in
// it. The server should bound headers, idle connections and the time of a
// request; a stream moves its deadlines by itself.
//
// Paths are compared as they are sent: no other spelling of one is known, and
// nothing is ever mapped onto a directory.
func (l *Log) Handler() http.Handler {
	type resource struct {
		methods string
		serve   http.HandlerFunc
	}
	const read = "GET, HEAD"
	resources := map[string]resource{
		"/events":     {"POST", l.serveEvents},
		"/checkpoint": {read, l.serveCheckpoint},
		"/charter":    {read, l.serveCharter},
		"/healthz":    {read, func(w http.ResponseWriter, _ *http.Request) { writeText(w, "ok\n") }},
		"/readyz":     {read, l.serveReady},
	}
	tile := resource{read, l.serveTile}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.EscapedPath()
		res, ok := resources[path]
		if !ok && strings.HasPrefix(path, "/tile/") {
			res, ok = tile, true
		}
		switch {
		case !ok:
			problemOf(errNotFound).writeTo(w)
		case r.Method == res.methods, res.methods == read && (r.Method == http.MethodGet || r.Method == http.MethodHead):
			res.serve(w, r)
		default:
			w.Header().Set("Allow", res.methods)
			problemOf(fmt.Errorf("%w; it has %s", errMethod, res.methods)).writeTo(w)
		}
	})
}

func writeText(w http.ResponseWriter, s string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Write([]byte(s))
}

// serveReady says whether events are admitted and something is published.
func (l *Log) serveReady(w http.ResponseWriter, _ *http.Request) {
	err := l.status.err()
	if err == nil && l.publisher.published.Load() == nil {
		err = errors.New("nothing is published yet")
	}
	if err != nil {
		problemOf(err).writeTo(w)
		return
	}
	writeText(w, "ready\n")
}

// serveCheckpoint: tlog-tiles, "Checkpoints".
func (l *Log) serveCheckpoint(w http.ResponseWriter, _ *http.Request) {
	pub := l.publisher.published.Load()
	if pub == nil {
		problemOf(fmt.Errorf("%w: no checkpoint is published yet", errNotFound)).writeTo(w)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	w.Write(pub.bytes)
}

// serveCharter serves the charter in force at the published size, as its entry, and
// its index in a header. A reader that has no earlier head believes it no more than
// the entry itself, which it can prove.
func (l *Log) serveCharter(w http.ResponseWriter, r *http.Request) {
	pub := l.publisher.published.Load()
	if pub == nil {
		problemOf(fmt.Errorf("%w: no checkpoint is published yet", errNotFound)).writeTo(w)
		return
	}
	c := l.book.view.Load().at(pub.checkpoint.Size)
	entry, err := readProven(r.Context(), l.cfg.Engine, l.publisher.prover, c.Index, &edge{pub.checkpoint.Size, pub.checkpoint.Root})
	if err != nil {
		l.cfg.Logger.Error("the charter can't be read", "entry", c.Index, "err", err)
		problemOf(errReading).writeTo(w)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-cache")
	h.Set(headerIndex, strconv.FormatUint(c.Index, 10))
	w.Write(entry)
}

// serveTile: tlog-tiles, "Merkle Tree" and "Log entries". Only what a published
// checkpoint commits to is served. The path is parsed into a tile, and never
// used as one.
func (l *Log) serveTile(w http.ResponseWriter, r *http.Request) {
	t, err := c2sp.ParseTilePath(strings.TrimPrefix(r.URL.EscapedPath(), "/"))
	if err != nil {
		problemOf(err).writeTo(w)
		return
	}
	pub := l.publisher.published.Load()
	if pub == nil || !t.In(pub.checkpoint.Size) {
		problemOf(errNotFound).writeTo(w)
		return
	}
	// In the width that the engine has for sure.
	whole := t
	whole.Width = tiles.Width(max(t.Level, 0), t.Index, pub.checkpoint.Size)
	b, err := l.cfg.Engine.ReadTile(r.Context(), whole)
	if err == nil {
		b, err = tiles.Cut(t, b)
	}
	if err != nil {
		l.cfg.Logger.Error("a tile can't be read", "tile", t.Path(), "err", err)
		problemOf(errReading).writeTo(w)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	if t.Level == c2sp.Entries {
		h.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r) {
			h.Set("Content-Encoding", "gzip")
			if r.Method != http.MethodHead {
				writeGzip(w, b)
			}
			return
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(b)))
	w.Write(b)
}

// acceptsGzip follows RFC 9110, section 12.5.3, as far as gzip goes.
func acceptsGzip(r *http.Request) bool {
	accepts := false
	for part := range strings.SplitSeq(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		coding, q, _ := strings.Cut(strings.TrimSpace(part), ";")
		coding = strings.TrimSpace(coding)
		gzip := strings.EqualFold(coding, "gzip")
		if !gzip && coding != "*" {
			continue
		}
		weight, err := strconv.ParseFloat(strings.TrimPrefix(strings.TrimSpace(q), "q="), 64)
		accepts = q == "" || err == nil && weight > 0
		if gzip {
			return accepts
		}
	}
	return accepts
}

var gzipWriters = sync.Pool{New: func() any {
	w, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		panic(err) // for an unknown level only
	}
	return w
}}

func writeGzip(w http.ResponseWriter, b []byte) {
	z := gzipWriters.Get().(*gzip.Writer)
	defer gzipWriters.Put(z)
	z.Reset(w)
	// An error means that the reader has gone.
	if _, err := z.Write(b); err == nil {
		z.Close()
	}
}

// appendJSON appends v, which has strings and numbers only, and a line feed.
func appendJSON(b []byte, v any) []byte {
	j, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return append(append(b, j...), '\n')
}
