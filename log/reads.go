// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"compress/gzip"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/internal/tiles/prover"
	"github.com/vasistas/vasistas/log/internal/chain"
	"github.com/vasistas/vasistas/log/tlog"
)

// reads serves what is published: the same bytes from the active instance as from a
// standby.
type reads struct {
	published *atomic.Pointer[publication]
	tiles     tlog.TileReader
	prover    *prover.Prover
	logger    *slog.Logger
}

// headerIndex has the index of an entry.
const headerIndex = "Vasistas-Index"

var errUnpublished = fmt.Errorf("%w: no checkpoint is published yet", errNotFound)

// serveCheckpoint: tlog-tiles, "Checkpoints".
func (r *reads) serveCheckpoint(w http.ResponseWriter, _ *http.Request) error {
	pub := r.published.Load()
	if pub == nil {
		return errUnpublished
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	w.Write(pub.bytes)
	return nil
}

// serveCharter serves the charter in force at the published size, as its entry, and
// its index in a header. A reader can prove the entry; that it is in force is only the
// log's claim.
func (r *reads) serveCharter(w http.ResponseWriter, req *http.Request) error {
	pub := r.published.Load()
	if pub == nil {
		return errUnpublished
	}
	entry, err := chain.ReadProven(req.Context(), r.tiles, r.prover, pub.charter, chain.EdgeOf(&pub.checkpoint.Head))
	if err != nil {
		r.logger.Error("the charter can't be read", "entry", pub.charter, "err", err)
		return errReading
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-cache")
	h.Set(headerIndex, strconv.FormatUint(pub.charter, 10))
	w.Write(entry)
	return nil
}

// serveTile: tlog-tiles, "Merkle Tree" and "Log entries". Only what a published
// checkpoint commits to is served. The path is parsed into a tile, and no file path is
// made of it.
func (r *reads) serveTile(w http.ResponseWriter, req *http.Request) error {
	t, err := tlog.ParseTilePath(strings.TrimPrefix(req.URL.EscapedPath(), "/"))
	if err != nil {
		return err
	}
	pub := r.published.Load()
	if pub == nil || !t.In(pub.checkpoint.Size) {
		return errNotFound
	}
	// In the width that the engine certainly has.
	whole := t
	whole.Width = tiles.Width(max(t.Level, 0), t.Index, pub.checkpoint.Size)
	b, err := r.tiles.ReadTile(req.Context(), whole)
	if err == nil {
		b, err = t.Cut(b)
	}
	if err != nil {
		r.logger.Error("a tile can't be read", "tile", t.Path(), "err", err)
		return errReading
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	if t.Level == tlog.Entries {
		h.Set("Vary", "Accept-Encoding")
		if acceptsGzip(req) {
			h.Set("Content-Encoding", "gzip")
			if req.Method != http.MethodHead {
				writeGzip(w, b)
			}
			return nil
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(b)))
	w.Write(b)
	return nil
}

// serveReady answers that the instance is ready, unless err says why it admits no
// events, or nothing is published.
func (r *reads) serveReady(w http.ResponseWriter, err error) error {
	if err == nil && r.published.Load() == nil {
		err = errors.New("nothing is published yet")
	}
	if err != nil {
		return err
	}
	return writeText(w, "ready\n")
}

func writeText(w http.ResponseWriter, s string) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Write([]byte(s))
	return nil
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
	// An error means that the client has gone.
	if _, err := z.Write(b); err == nil {
		z.Close()
	}
}
