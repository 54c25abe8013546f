// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package daemon serves HTTP for the daemons: flags, metrics, shutdown, and a bound on
// memory.
package daemon

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/internal/daemon/admin"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/linger"
)

// maxScrapes bounds the requests for metrics at once: a gate's wait for its lock.
const maxScrapes = 8

// WithMetrics adds /metrics to a handler: metrics returns them in the Prometheus text
// format. More than maxScrapes requests at once are answered 503.
func WithMetrics(h http.Handler, metrics func() []byte) http.Handler {
	busy := make(chan struct{}, maxScrapes)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A ServeMux would redirect unclean paths.
		if r.URL.EscapedPath() != "/metrics" {
			h.ServeHTTP(w, r)
			return
		}
		select {
		case busy <- struct{}{}:
			defer func() { <-busy }()
		default:
			http.Error(w, "too many requests for metrics at once; try again", http.StatusServiceUnavailable)
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
	admin    admin.Listener
}

// Define adds the flags. address is the default, and until names the work that goes on
// during shutdown, such as "answering".
func (s *Service) Define(fs *flag.FlagSet, address, until string) {
	fs.StringVar(&s.address, "listen", address, "`address` to listen on; port 0 takes a free one")
	s.admin.Define(fs)
	fs.StringVar(&s.AddrFile, "addr-file", "", "`file` to write the address to, once it is known, and that of -admin-listen to its second line")
	command.DurationVar(fs, &s.Shutdown, "shutdown-timeout", 15*time.Second, "how long to go on "+until+", when told to stop")
	fs.IntVar(&s.MaxConns, "max-connections", 8192, "connections served at once; more wait")
}

// Listen opens the listeners.
func (s *Service) Listen() (err error) {
	if s.Listener, err = net.Listen("tcp", s.address); err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	if err := s.admin.Listen(); err != nil {
		return errors.Join(err, s.Listener.Close())
	}
	return nil
}

// Close closes the listeners.
func (s *Service) Close() {
	s.Listener.Close()
	s.admin.Close()
}

// Run prints the addresses and serves until ctx ends. It then finishes running requests. The
// operator's address, if there is one, is the second line, and answers until the end.
func (s *Service) Run(ctx context.Context, stdout io.Writer) error {
	url := "http://" + s.Listener.Addr().String() + "/"
	addresses := url + "\n"
	if at := s.admin.Addr(); at != "" {
		addresses += "http://" + at + "/\n"
	}
	io.WriteString(stdout, addresses)
	s.Logger.Info("serving", "url", url)
	if s.AddrFile != "" {
		earlier := func(old []byte) bool { return len(old) == 0 || bytes.HasPrefix(old, []byte("http://")) }
		if err := durable.ReplaceFile(s.AddrFile, []byte(addresses), 0o644, earlier); err != nil {
			return err
		}
	}
	bounded, unbind := context.WithCancel(context.WithoutCancel(ctx))
	defer unbind()
	go boundMemory(bounded)
	defer s.admin.Close()
	s.Server.Handler = s.admin.Serve(s.Server.Handler, s.Logger)
	s.Server.ErrorLog = slog.NewLogLogger(s.Logger.Handler(), slog.LevelWarn)
	failed := make(chan error, 1)
	go func() { failed <- s.Server.Serve(linger.Listener(s.Server, s.Listener, s.MaxConns)) }()
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

// Up to leastLimit, in bytes, the collector lets the heap grow to three times its live part, which saves
// more than half of its runs. When most of the heap is the open state of a log, the memory limit
// is one and a half times the live part of the heap, plus spareLimit.
const (
	gcPercent  = 200
	leastLimit = 112 << 20
	spareLimit = 32 << 20
)

// memoryLimit returns the limit for a number of live bytes on the heap.
func memoryLimit(live uint64) int64 {
	return int64(max(leastLimit, min(live, math.MaxInt64/2)/2*3+spareLimit))
}

// bounding counts the running calls of boundMemory. The last one restores what was set
// before the first one.
var bounding struct {
	sync.Mutex
	n       int
	limit   int64
	percent int
}

// boundMemory sets gcPercent, and keeps the runtime's memory limit in proportion to live
// memory, until ctx ends. It does nothing if the operator has set GOMEMLIMIT or GOGC.
func boundMemory(ctx context.Context) {
	if os.Getenv("GOMEMLIMIT") != "" || os.Getenv("GOGC") != "" {
		return
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	bounding.Lock()
	if bounding.n++; bounding.n == 1 {
		bounding.limit, bounding.percent = debug.SetMemoryLimit(-1), debug.SetGCPercent(gcPercent)
	}
	bounding.Unlock()
	defer func() {
		bounding.Lock()
		defer bounding.Unlock()
		if bounding.n--; bounding.n == 0 {
			debug.SetMemoryLimit(bounding.limit)
			debug.SetGCPercent(bounding.percent)
		}
	}()
	for {
		metrics.Read(live)
		if v := live[0].Value; v.Kind() == metrics.KindUint64 {
			debug.SetMemoryLimit(memoryLimit(v.Uint64()))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
