// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Vasistas-gate is the custodian's daemon: it holds a share of each escrowed key, and opens
// it only for a release in the public, cosigned log. Package gate states its promises.
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

func main() { command.Main(run) }

const usage = `vasistas-gate: a custodian's gate

Usage:
  vasistas-gate init    -dir DIR -name NAME               make the gate's keys, on its own machine
  vasistas-gate join    -dir DIR -charter FILE -log URL   make the gate's state, for the log of this charter
  vasistas-gate serve   -dir DIR -listen ADDR             run the gate
  vasistas-gate status  -dir DIR | -gate URL              show the state of the gate
  vasistas-gate confirm -dir DIR -name NAME...            confirm a change of who is trusted
  vasistas-gate resume  -dir DIR -confirm                 resume the gate's chain from the log
  vasistas-gate version

"vasistas-gate COMMAND -h" shows the options of a command. A gate's directory has
three parts: keys, gate.json (the log), and state. Never run two gates with one key,
and don't start a gate with a state from a backup: it would notice and stop.

Exit codes: 0 done, 1 failed, 2 wrong use.
`

// run is the program. It returns the exit code, and ends when ctx ends.
func run(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
	return command.Run(ctx, "vasistas-gate", usage, map[string]command.Command{
		"init": runInit, "join": runJoin, "serve": runServe, "status": runStatus, "confirm": runConfirm, "resume": runResume,
	}, args, stdout, stderr)
}

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
