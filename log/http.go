// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vasistas/vasistas/internal/linger"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/internal/tiles/prover"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/internal/chain"
	"github.com/vasistas/vasistas/log/tlog"
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
		"/events":           {"POST", events},
		"/checkpoint":       {read, r.serveCheckpoint},
		"/charter":          {read, r.serveCharter},
		"/audit/round":      {read, r.serveRound},
		"/audit/checkpoint": {read, r.serveAudited},
		"/healthz":          {read, func(w http.ResponseWriter, _ *http.Request) error { return writeText(w, "ok\n") }},
		"/readyz":           {read, func(w http.ResponseWriter, _ *http.Request) error { return r.serveReady(w, ready()) }},
	}
	tile := resource{read, r.serveTile}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.EscapedPath()
		res, ok := resources[path]
		if !ok && strings.HasPrefix(path, "/tile/") {
			res, ok = tile, true
		}
		if res.methods != http.MethodPost { // a page of any origin may read, and see why there is nothing
			w.Header().Set("Access-Control-Allow-Origin", "*")
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

// headerDuplicate marks the answer to an event that was logged before.
const headerDuplicate = "Vasistas-Duplicate"

func serveEvents(in *intake, w http.ResponseWriter, r *http.Request) error {
	wait, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	encoding := r.Header.Get("Content-Encoding")
	// Of two headers of one name, a proxy may believe the other one.
	twice := len(r.Header.Values("Content-Type")) > 1 || len(r.Header.Values("Content-Encoding")) > 1
	switch {
	case err != nil || twice || encoding != "" && !strings.EqualFold(encoding, "identity"):
	case kind == "application/json":
		return serveOne(in, w, r, wait)
	case kind == "application/x-ndjson":
		return serveStream(in, w, r, wait)
	}
	return errMediaType
}

// serveOne answers with the proof, or the index for wait=sequenced.
func serveOne(in *intake, w http.ResponseWriter, r *http.Request, wait Wait) error {
	rc := http.NewResponseController(w)
	body := in.bodies.join(func() { _ = rc.SetReadDeadline(time.Unix(1, 0)) })
	buf := buffers.Get().(*buffer)
	defer buf.free()
	err := readEntry(r, buf, func(n int64) bool { return in.bodies.take(body, n) })
	in.bodies.leave(body)
	closing := in.draining.Err() != nil
	if closing {
		if err = in.status.err(); err == nil {
			err = ErrClosing
		}
	}
	if err != nil {
		w.Header().Set("Connection", "close")
		problemOf(err).Answer(w)
		if !closing {
			linger.After(r)
		}
		return nil
	}
	res, err := in.submit(r.Context(), buf.b, wait)
	if err != nil {
		return err
	}
	h := w.Header()
	status, text := http.StatusAccepted, []byte(nil)
	if wait == Cosigned {
		status, text = http.StatusCreated, res.proof()
		h.Set("Content-Type", "text/plain; charset=utf-8")
	} else {
		text = appendLine(nil, res, nil)
		h.Set("Content-Type", "application/json")
	}
	if res.Duplicate {
		status = http.StatusOK
		h.Set(headerDuplicate, "true")
	}
	h.Set(headerIndex, strconv.FormatUint(res.Index, 10))
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(text)
	return nil
}

// readEntry reads a body of at most the length of a submission. It takes memory as bytes
// arrive, whatever Content-Length says, and asks take for it before.
func readEntry(r *http.Request, buf *buffer, take func(n int64) bool) error {
	tooLarge := faulty{fmt.Errorf("%w: a submission has at most %d bytes, and an entry 48000", event.ErrTooLarge, event.MaxSubmissionSize)}
	if r.ContentLength > event.MaxSubmissionSize {
		return tooLarge
	}
	if buf.b == nil {
		buf.b = make([]byte, 0, bytes.MinRead+int(min(2048, max(r.ContentLength, 0))))
	}
	if !take(int64(cap(buf.b))) {
		return errQueueFull
	}
	for {
		if len(buf.b) == cap(buf.b) {
			if !take(int64(cap(buf.b))) {
				return errQueueFull
			}
			buf.b = slices.Grow(buf.b, cap(buf.b))
		}
		n, err := r.Body.Read(buf.b[len(buf.b):cap(buf.b)])
		buf.b = buf.b[:len(buf.b)+n]
		switch {
		case len(buf.b) > event.MaxSubmissionSize:
			return tooLarge
		case err == io.EOF:
			return nil
		case err != nil:
			return bodyError(err)
		}
	}
}

// bodyError returns the error for a body that came too late, or that was malformed HTTP.
func bodyError(err error) error {
	var cut net.Error
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &cut) {
		return fmt.Errorf("%w: %w", errIncomplete, err)
	}
	return fmt.Errorf("%w: %w", errBody, err)
}

// reads serves what is published: the same bytes from the active instance as from a
// standby.
type reads struct {
	published *atomic.Pointer[publication]
	audits    func() (*audits, error) // what is served of rounds; an error: the round is not known here
	tiles     tlog.TileReader
	prover    *prover.Prover
	behind    func() error // why the published checkpoint must not be served any more, or nil
	logger    *slog.Logger
}

// headerIndex has the index of an entry.
const headerIndex = "Vasistas-Index"

var errUnpublished = fmt.Errorf("%w: no checkpoint is published yet", errNotFound)

// serveCheckpoint: tlog-tiles, "Checkpoints".
func (r *reads) serveCheckpoint(w http.ResponseWriter, req *http.Request) error {
	if err := r.behind(); err != nil {
		return err
	}
	pub := r.published.Load()
	if pub == nil {
		return errUnpublished
	}
	return newPage(pub.bytes).serve(w, req, "text/plain; charset=utf-8")
}

// serveCharter serves the charter in force at the published size, as its entry, and
// its index in a header. A reader can prove the entry; that it is in force is only the
// log's claim.
func (r *reads) serveCharter(w http.ResponseWriter, req *http.Request) error {
	if err := r.behind(); err != nil {
		return err
	}
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

// serveRound serves the head that is named for auditors; see package round.
func (r *reads) serveRound(w http.ResponseWriter, req *http.Request) error {
	a, err := r.audits()
	switch {
	case err != nil:
		return err
	case a.none:
		return errNoAuditors
	case a.round == nil:
		return unready{errUnnamed}
	}
	return a.round.serve(w, req, "application/json")
}

// serveAudited serves the checkpoint that met the audit policy last, with the
// cosignatures of witnesses and auditors.
func (r *reads) serveAudited(w http.ResponseWriter, req *http.Request) error {
	if err := r.behind(); err != nil {
		return err
	}
	a, err := r.audits()
	switch {
	case a.none:
		return errNoAuditors
	case a.audited == nil && err != nil:
		return fmt.Errorf("%w: this instance is a standby, and the state has no audited checkpoint", errNotFound)
	case a.audited == nil:
		return unready{errUnaudited}
	}
	return a.audited.serve(w, req, "text/plain; charset=utf-8")
}

var (
	errNoAuditors = fmt.Errorf("%w: the charter in force asks for no auditors (its audit policy has \"quorum none\")", errNotFound)
	errUnaudited  = errors.New("no head has met the audit policy yet; /audit/round has the auditors' answers")
	errNoHead     = errors.New("nothing is published yet")
	errUnnamed    = errors.New("no head is named for auditors yet, since none was published since the start")
)

// serve answers a read, and a conditional one by If-None-Match (RFC 9110, section 13.1.2).
func (p *page) serve(w http.ResponseWriter, req *http.Request, kind string) error {
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", p.etag)
	for tag := range strings.SplitSeq(req.Header.Get("If-None-Match"), ",") {
		if tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/"); tag == p.etag || tag == "*" {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(len(p.body)))
	w.Write(p.body)
	return nil
}

// serveTile: tlog-tiles, "Merkle Tree" and "Log entries". Only what a published
// checkpoint commits to is served. The path is parsed into a tile, and no file path is
// made of it.
func (r *reads) serveTile(w http.ResponseWriter, req *http.Request) error {
	t, err := tlog.ParseTilePath(strings.TrimPrefix(req.URL.EscapedPath(), "/"))
	if err != nil {
		return faulty{err}
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
		if req.Header.Get("Range") == "" && acceptsGzip(req) { // a range counts uncompressed bytes
			h.Set("Content-Encoding", "gzip")
			if req.Method != http.MethodHead {
				writeGzip(w, b)
			}
			return nil
		}
	}
	http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(b))
	return nil
}

// serveReady answers that the instance is ready, unless err says why it admits no
// events, or nothing is published: then also what ends that.
func (r *reads) serveReady(w http.ResponseWriter, err error) error {
	if err == nil && r.published.Load() == nil {
		err = errNoHead
	}
	if end := ends(err); end != "" {
		return fmt.Errorf("%w; it is ready again once %s", err, end)
	} else if err != nil {
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
	w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // fails for an unknown level only
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
