// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package daemon serves HTTP for the daemons: flags, metrics, shutdown, and a bound on
// memory.
package daemon

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"

	"github.com/vasistas/vasistas/internal/durable"
)

// WithMetrics adds /metrics to a handler: metrics returns them in the Prometheus text
// format.
func WithMetrics(h http.Handler, metrics func() []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A ServeMux would redirect unclean paths.
		if r.URL.EscapedPath() != "/metrics" {
			h.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		w.Write(metrics())
	})
}

// Service is an HTTP server for [Service.Run].
type Service struct {
	Server   *http.Server  // Run sets its ErrorLog
	Listener net.Listener  // Listen makes it
	MaxConns int           // connections at once; more wait
	AddrFile string        // Run writes the address to it; "": no file
	Shutdown time.Duration // how long running requests may take on shutdown
	Drain    func()        // called first on shutdown; nil: nothing
	Logger   *slog.Logger
	address  string
}

// Define adds the flags. address is the default, and until names the work that goes on
// during shutdown, such as "answering".
func (s *Service) Define(fs *flag.FlagSet, address, until string) {
	fs.StringVar(&s.address, "listen", address, "`address` to listen on; port 0 takes a free one")
	fs.StringVar(&s.AddrFile, "addr-file", "", "`file` to write the address to, once it is known")
	fs.DurationVar(&s.Shutdown, "shutdown-timeout", 15*time.Second, "how long to go on "+until+", when told to stop")
	fs.IntVar(&s.MaxConns, "max-connections", 8192, "connections served at once; more wait")
}

// Listen opens the listener.
func (s *Service) Listen() (err error) {
	if s.Listener, err = net.Listen("tcp", s.address); err != nil {
		err = fmt.Errorf("listening: %w", err)
	}
	return err
}

// Run prints the address and serves until ctx ends. It then finishes running requests.
func (s *Service) Run(ctx context.Context, stdout io.Writer) error {
	url := "http://" + s.Listener.Addr().String() + "/"
	fmt.Fprintln(stdout, url)
	s.Logger.Info("serving", "url", url)
	if s.AddrFile != "" {
		if err := durable.WriteFile(s.AddrFile, []byte(url+"\n"), 0o644); err != nil {
			return err
		}
	}
	bounded, unbind := context.WithCancel(context.WithoutCancel(ctx))
	defer unbind()
	go boundMemory(bounded)
	s.Server.ErrorLog = slog.NewLogLogger(s.Logger.Handler(), slog.LevelWarn)
	failed := make(chan error, 1)
	go func() { failed <- s.Server.Serve(netutil.LimitListener(s.Listener, s.MaxConns)) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	s.Logger.Info("shutting down")
	if s.Drain != nil {
		s.Drain()
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.Shutdown)
	defer cancel()
	if err := s.Server.Shutdown(grace); err != nil {
		return errors.Join(fmt.Errorf("waiting for running requests: %w", err), s.Server.Close())
	}
	return nil
}
