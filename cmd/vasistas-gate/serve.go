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
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/internal/daemon"
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
	service := daemon.Service{
		Server: gate.Server(daemon.WithMetrics(g.Handler(), reg), o.timeout), Listener: listener, MaxConns: o.maxConns,
		AddrFile: o.addrFile, Shutdown: o.shutdown, Logger: logger,
	}
	return service.Run(ctx, stdout)
}
