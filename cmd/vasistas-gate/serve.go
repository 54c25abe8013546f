// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/internal/daemon"
)

type serveOptions struct {
	layout
	service  daemon.Service
	poll     time.Duration
	requests int
}

func (o *serveOptions) parse(args []string, stderr io.Writer) error {
	fs := flag.NewFlagSet("serve", flag.ContinueOnError)
	o.defineRun(fs)
	o.service.Define(fs, "127.0.0.1:7390", "with requests under way")
	fs.DurationVar(&o.poll, "poll", time.Second, "pause between two updates from the log")
	fs.IntVar(&o.requests, "requests", 64, "requests under way at a time; more wait")
	return command.Parse(fs, args, stderr, o.complete)
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
	if err := o.service.Listen(); err != nil {
		return err
	}
	defer o.service.Listener.Close()
	g.Start()
	o.service.Server, o.service.Logger = gate.Server(daemon.WithMetrics(g.Handler(), reg), o.timeout), logger
	return o.service.Run(ctx, stdout)
}
