// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"context"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"mime"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/vasistas/vasistas/log"
)

// headerForwarded marks a request that one front end has passed on, which nobody
// passes on again.
const headerForwarded = "Vasistas-Forwarded"

const (
	dialTimeout = 2 * time.Second
	// answerTimeout is more than a log lets a submitter wait.
	answerTimeout = 60 * time.Second
	// streamIdle is how long a client of a stream may stand still.
	streamIdle = 30 * time.Second
)

var errBusy = fmt.Errorf("%w: too many events are on their way to the leader", log.ErrBusy)

// forwarder passes events on to the leader.
type forwarder struct {
	f               *FrontEnd
	single, streams *semaphore.Weighted
	transport       http.RoundTripper
}

// newTransport reaches other front ends only: it knows no proxy, and is no part of
// what the process uses otherwise.
func newTransport() *http.Transport {
	return &http.Transport{
		DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: answerTimeout,
		MaxIdleConnsPerHost:   256,
		IdleConnTimeout:       30 * time.Second,
		DisableCompression:    true,
	}
}

// serveEvents gives events to the log, if it is open here, or to the leader.
func (f *FrontEnd) serveEvents(w http.ResponseWriter, r *http.Request) {
	if l := f.leads.Load(); l != nil && l.serve(w, r) {
		f.metrics.forwards.WithLabelValues("here").Inc()
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		log.WriteProblem(w, log.ErrMethod)
		return
	}
	err := f.forwarder.forward(w, r)
	outcome := "forwarded"
	if err != nil {
		outcome = "refused"
		log.WriteProblem(w, err)
	}
	f.metrics.forwards.WithLabelValues(outcome).Inc()
}

// forward passes a request on, or returns why it does not.
func (p *forwarder) forward(w http.ResponseWriter, r *http.Request) error {
	to := p.f.leader.Load()
	switch {
	case len(r.Header.Values(headerForwarded)) > 0:
		return fmt.Errorf("%w (the front end that passed the event on took %s for the leader)", log.ErrNoLeader, p.f.cfg.URL)
	case !to.live():
		return log.ErrNoLeader
	case to.URL == p.f.cfg.URL:
		return fmt.Errorf("%w (this one is about to, or just did)", log.ErrNoLeader)
	}
	target, err := parseURL(to.URL)
	if err != nil {
		return fmt.Errorf("%w (the lease names %w)", log.ErrNoLeader, err)
	}
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	room := p.single
	if media == "application/x-ndjson" {
		room = p.streams
	}
	if !room.TryAcquire(1) {
		return errBusy
	}
	defer room.Release(1)
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	go func() {
		select {
		case <-to.over:
			cancel(errors.New("the leader has changed"))
		case <-ctx.Done():
		}
	}()
	r = r.WithContext(ctx)
	if room == p.streams {
		rc := http.NewResponseController(w)
		// HTTP/1 clients that read answers while they send.
		if err := rc.EnableFullDuplex(); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
		w.Header().Set("Connection", "close") // its deadlines are not those of another request
		r.Body = &patientBody{r.Body, rc}
		w = &patientWriter{w, rc}
	}
	p.proxy(target).ServeHTTP(w, r)
	return nil
}

// proxy passes on to the target what an event needs, and nothing else in either
// direction.
func (p *forwarder) proxy(target *url.URL) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			query := pr.In.URL.RawQuery
			pr.Out.URL = &url.URL{Scheme: target.Scheme, Host: target.Host, Path: "/events", RawQuery: query}
			pr.Out.Host = ""
			pr.Out.Header = http.Header{headerForwarded: {"1"}}
			copyHeaders(pr.Out.Header, pr.In.Header, "Content-Type", "Content-Encoding")
		},
		ModifyResponse: func(resp *http.Response) error {
			only := http.Header{}
			copyHeaders(only, resp.Header, "Content-Type", "Content-Length", "Cache-Control", "Retry-After", "Allow", "Vasistas-Index", "Vasistas-Duplicate")
			resp.Header = only
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if cause := context.Cause(r.Context()); cause != nil {
				err = cause
			}
			p.f.metrics.forwards.WithLabelValues("failed").Inc()
			log.WriteProblem(w, fmt.Errorf("%w; the event may or may not have been logged, and is logged once only (%w)", log.ErrNoLeader, err))
		},
		Transport:     p.transport,
		FlushInterval: -1,
		BufferPool:    buffers{},
		ErrorLog:      stdlog.New(io.Discard, "", 0), // clients that leave
	}
}

func copyHeaders(to, from http.Header, names ...string) {
	for _, name := range names {
		if v := from.Values(name); len(v) > 0 {
			to[name] = v
		}
	}
}

// patientBody gives the client of a stream time for each read, and patientWriter for
// each write.
type patientBody struct {
	io.ReadCloser
	rc *http.ResponseController
}

func (b *patientBody) Read(p []byte) (int, error) {
	_ = b.rc.SetReadDeadline(time.Now().Add(streamIdle))
	return b.ReadCloser.Read(p)
}

type patientWriter struct {
	http.ResponseWriter
	rc *http.ResponseController
}

func (w *patientWriter) Write(p []byte) (int, error) {
	_ = w.rc.SetWriteDeadline(time.Now().Add(streamIdle))
	return w.ResponseWriter.Write(p)
}

func (w *patientWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// buffers are what the proxy copies with.
type buffers struct{}

var bufferPool = sync.Pool{New: func() any { return new([16 << 10]byte) }}

func (buffers) Get() []byte { return bufferPool.Get().(*[16 << 10]byte)[:] }

func (buffers) Put(b []byte) { bufferPool.Put((*[16 << 10]byte)(b)) }
