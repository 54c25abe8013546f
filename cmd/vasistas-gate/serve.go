// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

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

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"

	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/internal/daemon"
	"github.com/vasistas/vasistas/internal/durable"
)

// serveOptions are the flags of serve.
type serveOptions struct {
	layout
	listen, addrFile string
	poll, shutdown   time.Duration
	maxConns         int
	requests         int
}

func (o *serveOptions) parse(args []string, stderr io.Writer) error {
	fs := flag.NewFlagSet("serve", flag.ContinueOnError)
	o.defineRun(fs)
	fs.StringVar(&o.listen, "listen", "127.0.0.1:7390", "`address` to listen on; port 0 takes a free one")
	fs.StringVar(&o.addrFile, "addr-file", "", "`file` to write the address to, once it is known")
	fs.DurationVar(&o.poll, "poll", time.Second, "pause between two looks at the log")
	fs.DurationVar(&o.shutdown, "shutdown-timeout", 15*time.Second, "how long to go on with requests under way, when told to stop")
	fs.IntVar(&o.maxConns, "max-connections", 8192, "connections served at once; more wait")
	fs.IntVar(&o.requests, "requests", 64, "requests judged at once; more wait")
	if err := daemon.Parse(fs, args, stderr); err != nil {
		return err
	}
	return o.complete()
}

func runServe(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	var o serveOptions
	if err := o.parse(args, stderr); err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(stderr, nil))
	c, err := o.config(ctx)
	if err != nil {
		return err
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	c.Logger, c.Registry, c.Poll, c.Requests = logger, reg, o.poll, o.requests
	g, err := gate.Open(c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	defer listener.Close()
	g.Start()
	metrics := promhttp.HandlerFor(reg, promhttp.HandlerOpts{MaxRequestsInFlight: 8, Timeout: 10 * time.Second})
	handler := g.Handler()
	return o.serve(ctx, logger, stdout, listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// No ServeMux, which would redirect paths that it finds unclean.
		if r.URL.EscapedPath() == "/metrics" {
			metrics.ServeHTTP(w, r)
			return
		}
		handler.ServeHTTP(w, r)
	}))
}

// serve answers requests until ctx ends, and then those that are under way.
func (o *serveOptions) serve(ctx context.Context, logger *slog.Logger, stdout io.Writer, listener net.Listener, h http.Handler) error {
	addr := listener.Addr().String()
	fmt.Fprintf(stdout, "http://%s/\n", addr)
	logger.Info("serving", "url", "http://"+addr+"/")
	if o.addrFile != "" {
		if err := durable.WriteFile(o.addrFile, []byte("http://"+addr+"/\n"), 0o644); err != nil {
			return err
		}
	}
	server := gate.Server(h, o.timeout)
	server.ErrorLog = slog.NewLogLogger(logger.Handler(), slog.LevelWarn)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(netutil.LimitListener(listener, o.maxConns)) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	logger.Info("shutting down")
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.shutdown)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		return errors.Join(fmt.Errorf("waiting for requests under way: %w", err), server.Close())
	}
	return nil
}
