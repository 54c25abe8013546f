// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package admin serves what only a daemon's operator needs, its health and its metrics, on an
// address of its own, and takes it from the public one. It promises that the public address has
// none of it then, however its path is written. It links no more than the standard library and
// package problem, since the witness links it.
package admin

import (
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/vasistas/vasistas/internal/problem"
)

// Listener is the operator's listener. Without an address it does nothing, and everything is
// public.
type Listener struct {
	Address  string // "": none
	listener net.Listener
	server   *http.Server
}

// Define adds the flag.
func (l *Listener) Define(fs *flag.FlagSet) {
	fs.StringVar(&l.Address, "admin-listen", "", "`address` for health and metrics, which -listen then does not have; without it, -listen has them")
}

// Listen opens the listener.
func (l *Listener) Listen() (err error) {
	if l.Address == "" {
		return nil
	}
	if l.listener, err = net.Listen("tcp", l.Address); err != nil {
		return fmt.Errorf("listening for the operator: %w", err)
	}
	return nil
}

// Addr returns the bound address, "" if there is none.
func (l *Listener) Addr() string {
	if l.listener == nil {
		return ""
	}
	return l.listener.Addr().String()
}

// Serve serves /healthz, /readyz, /metrics and more of h for the operator in the background, until
// Close, and returns the handler of the rest.
func (l *Listener) Serve(h http.Handler, logger *slog.Logger, more ...string) (public http.Handler) {
	if l.listener == nil {
		return h
	}
	paths := append([]string{"/healthz", "/readyz", "/metrics"}, more...)
	only := func(private bool) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if slices.Contains(paths, r.URL.Path) != private {
				problem.New(problem.NotFound, "Not found", "there is no such resource").Answer(w)
				return
			}
			h.ServeHTTP(w, r)
		})
	}
	l.server = &http.Server{
		Handler:           only(true),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
	logger.Info("serving health and metrics", "address", l.Addr())
	go l.server.Serve(l.listener) // ends with Close
	return only(false)
}

// Close ends the listener and its requests.
func (l *Listener) Close() {
	if l.server != nil {
		l.server.Close()
	} else if l.listener != nil {
		l.listener.Close()
	}
}
