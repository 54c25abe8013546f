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
	"sync"
	"time"
)

// shutdownTime bounds the wait for requests under way at the end of Serve.
const shutdownTime = 10 * time.Second

// Serve answers requests on l until ctx ends, then finishes those under way and returns
// nil. It closes l, and not w. It speaks HTTP/1.1 without TLS, for a proxy in front of it.
func (w *Witness) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler:           w.Handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          slog.NewLogLogger(w.config.Logger.Handler(), slog.LevelDebug),
	}
	limited := &limitListener{Listener: l, slots: make(chan struct{}, w.config.MaxConnections), closed: make(chan struct{})}
	srv.ConnState = limited.state
	served := make(chan error, 1)
	go func() { served <- srv.Serve(limited) }()
	select {
	case err := <-served:
		return fmt.Errorf("witness: serving: %w", err)
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

// limitListener accepts a connection only while fewer than cap(slots) are open.
type limitListener struct {
	net.Listener
	slots  chan struct{}
	closed chan struct{}
	once   sync.Once
}

func (l *limitListener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return c, nil
}

// state frees the slot of a closed connection.
func (l *limitListener) state(_ net.Conn, s http.ConnState) {
	if s == http.StateClosed {
		<-l.slots
	}
}

func (l *limitListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}
