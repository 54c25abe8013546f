// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/vasistas/vasistas/internal/cosigning"
	"github.com/vasistas/vasistas/internal/linger"
	"github.com/vasistas/vasistas/log/tlog"
)

// Handler returns the HTTP interface of w: add-checkpoint and HASH/checkpoint for monitors
// (tlog-witness), under a prefix that the caller must strip; and /healthz, /readyz, /metrics
// and /status ([Status]).
func (w *Witness) Handler() http.Handler { return http.HandlerFunc(w.serve) }

func (w *Witness) serve(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("X-Content-Type-Options", "nosniff")
	switch path := r.URL.Path; path {
	case "/add-checkpoint":
		start := time.Now()
		add := func(body []byte) ([]byte, error) { return w.AddCheckpoint(r.Context(), body) }
		status := cosigning.Serve(rw, r, w.config.MaxBody, add, func(err error) int { return w.fail(rw, r, err) })
		w.metrics.requests.Add(1, strconv.Itoa(status))
		w.metrics.seconds.Observe(time.Since(start).Seconds())
	case "/healthz":
		w.serveGet(rw, r, func() ([]byte, error) { return []byte("ok\n"), nil })
	case "/readyz":
		w.serveGet(rw, r, func() ([]byte, error) { return []byte("ready\n"), w.ready() })
	case "/metrics":
		w.serveGet(rw, r, func() ([]byte, error) { return w.writeMetrics(), nil })
	case "/status":
		w.serveGet(rw, r, w.status)
	default:
		hash, ok := strings.CutSuffix(strings.TrimPrefix(path, "/"), "/checkpoint")
		if l := w.view.Load().byHash[hash]; ok && l != nil {
			w.serveGet(rw, r, func() ([]byte, error) { return w.latest(r.Context(), l) })
			return
		}
		http.Error(rw, "not found", http.StatusNotFound)
	}
}

var errNoHead = errors.New("no checkpoint of this log was cosigned")

func (w *Witness) latest(ctx context.Context, l *logState) ([]byte, error) {
	if err := enter(w.slots); err != nil {
		return nil, err
	}
	defer leave(w.slots)
	note, err := w.checkpoint(ctx, l)
	if err == nil && note == nil {
		err = errNoHead
	}
	return note, err
}

// enter takes a slot among the requests under way, or returns ErrBusy.
func enter(slots chan struct{}) error {
	select {
	case slots <- struct{}{}:
		return nil
	default:
		return fmt.Errorf("%w: %d requests are under way", ErrBusy, cap(slots))
	}
}

func leave(slots chan struct{}) { <-slots }

func (w *Witness) serveGet(rw http.ResponseWriter, r *http.Request, get func() ([]byte, error)) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		rw.Header().Set("Allow", "GET, HEAD")
		http.Error(rw, "use the method GET", http.StatusMethodNotAllowed)
		return
	}
	body, err := get()
	if err != nil {
		w.fail(rw, r, err)
		return
	}
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	rw.Header().Set("Cache-Control", "no-cache")
	rw.Write(body)
}

// fail maps an error to its status (tlog-witness, "add-checkpoint") and answers.
func (w *Witness) fail(rw http.ResponseWriter, r *http.Request, err error) int {
	var conflict *ConflictError
	var inconsistent *InconsistentError
	var behind *ClockError
	status, text, retry := http.StatusInternalServerError, err.Error(), 0
	switch {
	case errors.As(err, &conflict):
		return cosigning.Conflict(rw, conflict.Size)
	case errors.As(err, &inconsistent):
		status = http.StatusUnprocessableEntity
	case errors.Is(err, tlog.ErrMalformed):
		status = http.StatusBadRequest
	case errors.Is(err, ErrUnknownLog), errors.Is(err, errNoHead):
		status = http.StatusNotFound
	case errors.Is(err, ErrUntrusted):
		status = http.StatusForbidden
	case errors.Is(err, ErrTooLarge):
		status = http.StatusRequestEntityTooLarge
	case errors.As(err, &behind):
		status, retry = http.StatusServiceUnavailable, int(min(max(behind.Behind, 1), 3600))
	case errors.Is(err, ErrBusy):
		status, retry = http.StatusServiceUnavailable, 1
	case errors.Is(err, ErrNotDurable):
		status, retry = http.StatusServiceUnavailable, 10
		if r.URL.Path != "/readyz" { // the reason has paths: it is only for the operator
			text = ErrNotDurable.Error()
		}
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		status = http.StatusRequestTimeout
	case errors.Is(err, cosigning.ErrBody):
		status = http.StatusBadRequest
	default:
		text = "internal error"
	}
	if status >= 500 && !errors.Is(err, ErrBusy) {
		w.config.Logger.Error("request failed", "path", r.URL.Path, "status", status, "error", err)
	} else {
		w.config.Logger.Debug("request refused", "path", r.URL.Path, "status", status, "error", err)
	}
	if retry > 0 {
		rw.Header().Set("Retry-After", strconv.Itoa(retry))
	}
	http.Error(rw, text, status)
	return status
}

// shutdownTime bounds the wait for requests under way at the end of Serve.
const shutdownTime = 10 * time.Second

// Serve answers requests on l with h, which is [Witness.Handler] or a part of it, until ctx ends,
// then finishes those under way and returns nil. It closes l, and not w. It speaks HTTP/1.1
// without TLS, for a proxy in front of it.
func (w *Witness) Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          slog.NewLogLogger(w.config.Logger.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(linger.Listener(srv, l, w.config.MaxConnections)) }()
	select {
	case err := <-served:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	err := srv.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		w.config.Logger.Warn("closed requests that did not end", "after", shutdownTime)
		err = srv.Close()
	}
	<-served
	return err
}
