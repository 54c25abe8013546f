// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package world

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/vasistas/vasistas/client/gate"
)

// requestTimeout bounds what a request may wait for.
const requestTimeout = 30 * time.Second

// Server answers at one address until it is closed. The log, witness or gate behind it may
// stop and start again; meanwhile the server cuts off each request.
type Server struct {
	URL     string // without a trailing slash
	http    *http.Server
	handler atomic.Pointer[http.Handler]
	front   atomic.Pointer[Front]
}

// Front answers a request in place of the handler h, or passes it on to h.
type Front func(w http.ResponseWriter, r *http.Request, h http.Handler)

// listen opens a server at an address; "" is a free port of 127.0.0.1.
func listen(address string, logger *slog.Logger) (*Server, error) {
	l, err := net.Listen("tcp", cmp.Or(address, "127.0.0.1:0"))
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	s := &Server{URL: "http://" + l.Addr().String()}
	// A gate's limits suit log and witness, too: a stream extends its deadlines line by line.
	s.http = gate.Server(http.HandlerFunc(s.serve), requestTimeout)
	s.http.ErrorLog = slog.NewLogLogger(logger.Handler(), slog.LevelWarn)
	go s.http.Serve(l) // returns when the server is closed
	return s, nil
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	h := s.handler.Load()
	if h == nil {
		panic(http.ErrAbortHandler)
	}
	if f := s.front.Load(); f != nil {
		(*f)(w, r, *h)
		return
	}
	(*h).ServeHTTP(w, r)
}

// run makes h answer; nil: nothing runs.
func (s *Server) run(h http.Handler) {
	if h == nil {
		s.handler.Store(nil)
		return
	}
	s.handler.Store(&h)
}

// Between puts f before the handler; nil removes it.
func (s *Server) Between(f Front) {
	if f == nil {
		s.front.Store(nil)
		return
	}
	s.front.Store(&f)
}

// Close takes no more requests, and waits for those under way until ctx ends.
func (s *Server) Close(ctx context.Context) error {
	if err := s.http.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("waiting for requests under way: %w", err), s.http.Close())
	}
	return nil
}

// Await calls f until it returns nil, with a pause between two calls. When ctx ends, Await
// returns f's last error.
func Await(ctx context.Context, pause time.Duration, f func() error) error {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-tick.C:
		}
	}
}
