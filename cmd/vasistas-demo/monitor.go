// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/monitor"
	"github.com/vasistas/vasistas/client/monitor/desk"
	"github.com/vasistas/vasistas/client/monitor/mirror"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/tlog"
)

// startMonitor starts the watchdog's monitor. It knows the log's keys, witnesses and first charter.
func (s *system) startMonitor(logger *slog.Logger) {
	url := s.LogServer.URL
	cl := must(client.New(client.Config{URL: url, UserAgent: "vasistas-demo"}))
	c := monitor.Config{
		Mirrors: []mirror.Config{{Dir: s.Path("monitor", "copy"), Sources: []mirror.Source{{Name: url, Source: cl.Source()}}, Policy: s.policy.WithSpread(tlog.NoSpread), Origin: origin}},
		URLs:    map[string]string{origin: url}, Founded: map[string]tlog.Hash{origin: s.Founded},
		Run: mirror.RunOptions{Poll: 250 * time.Millisecond}, Logger: logger.With("part", "monitor"),
	}
	s.monitor = must(desk.Open(c, func(string) string { return s.Path("monitor") }))
	s.monitor.Start()
	s.desk = must(s.Listen())
	s.desk.Serve(s.monitor)
	try(durable.WriteFile(s.Path("monitor.url"), []byte(s.deskURL()+"\n"), 0o644))
}

// deskURL is the address of the desk.
func (s *system) deskURL() string { return s.desk.URL + "/" }

func (s *system) stopMonitor(ctx context.Context) (err error) {
	if s.desk != nil {
		err = s.desk.Close(ctx)
	}
	if s.monitor != nil {
		err = errors.Join(err, s.monitor.Close())
	}
	return err
}
