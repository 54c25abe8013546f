// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package desk

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"

	"github.com/vasistas/vasistas/client/monitor"
	"github.com/vasistas/vasistas/client/monitor/facts"
	"github.com/vasistas/vasistas/client/monitor/index"
	"github.com/vasistas/vasistas/internal/durable"
)

// A Monitor is a monitor with the desk of its logs.
type Monitor struct {
	*monitor.Monitor
	Desk    *Desk
	indexes map[string]*index.Index // by origin
	stop    context.CancelFunc
	running sync.WaitGroup
}

// Open opens a monitor, an index of each log, and the desk. dir returns the directory of a log's state, which
// Open creates, for the index and the feed. Config.Tell is Open's.
func Open(c monitor.Config, dir func(origin string) string) (_ *Monitor, err error) {
	m := &Monitor{indexes: make(map[string]*index.Index)}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.Close())
		}
	}()
	var origins []string
	for _, a := range c.Auditors {
		origins = append(origins, a.Origin)
	}
	for _, a := range c.Mirrors {
		origins = append(origins, a.Origin)
	}
	c.Tell = func(origin string, f *facts.Fact) error { return m.indexes[origin].Tell(f) }
	if m.Monitor, err = monitor.Open(c); err != nil { // first, since the copies are locked for one monitor
		return nil, err
	}
	for _, origin := range origins {
		if err := durable.MkdirAll(dir(origin), 0o700); err != nil {
			return nil, err
		}
		x, err := index.Open(index.Config{Path: filepath.Join(dir(origin), "index.db"), Origin: origin, Logger: c.Logger})
		if err != nil {
			return nil, fmt.Errorf("the index of the log %s: %w", origin, err)
		}
		m.indexes[origin] = x
	}
	var logs []Log
	for _, origin := range origins {
		logs = append(logs, Log{Origin: origin, Report: func() *facts.Report { return m.Report(origin) }, Index: m.indexes[origin],
			Copy: m.Copy(origin), Feed: filepath.Join(dir(origin), "changes.json")})
	}
	m.Desk, err = New(Config{Logs: logs, Logger: c.Logger})
	return m, err
}

// Start follows the logs in the background, until Close.
func (m *Monitor) Start() {
	var ctx context.Context
	ctx, m.stop = context.WithCancel(context.Background())
	m.Monitor.Start()
	m.running.Go(func() { m.Desk.Run(ctx) })
}

// Close ends the monitor. Call it once no request is under way.
func (m *Monitor) Close() (err error) {
	if m.stop != nil {
		m.stop()
	}
	m.running.Wait()
	if m.Monitor != nil {
		err = m.Monitor.Close()
	}
	for _, x := range m.indexes {
		err = errors.Join(err, x.Close())
	}
	return err
}

// ServeHTTP serves the desk, and else what the monitor serves.
func (m *Monitor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if Serves(r.URL.Path) {
		m.Desk.ServeHTTP(w, r)
		return
	}
	m.Monitor.ServeHTTP(w, r)
}
