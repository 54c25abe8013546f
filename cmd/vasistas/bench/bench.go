// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package bench measures how fast a log takes events in, end to end: real
// processes, HTTP over the loopback interface, fsync, three witnesses. Beside our
// log it drives Tessera's conformance server with the same entries and the same
// generator, in turns in one run, since on a shared machine only such ratios mean
// something. Tessera's server checks nothing and has no witnesses.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// Config says what to measure.
type Config struct {
	// Dir gets keys, logs and binaries, and must be empty or not exist. "": a
	// temporary directory that is removed at the end.
	Dir string
	// LogBinary and WitnessBinary are vasistas-log and vasistas-witness,
	// TesseraBinary Tessera's cmd/conformance/posix. "": built with the go
	// command. NoTessera leaves Tessera out.
	LogBinary, WitnessBinary, TesseraBinary string
	NoTessera                               bool

	Events      int // a round and case; 0: 20,000
	Rounds      int // 0: 3
	Connections int // 0: 256
	Streams     int // NDJSON streams at a time; 0: 4
	Idle        int // proofs to wait for on an idle log; 0: 20
	// Entries to append at the end, to see the memory at that size: first Fill that
	// owe nothing (heartbeats), then FillOwed that owe a disclosure (warrants).
	Fill, FillOwed int

	// Progress is told what is going on. nil: nobody is.
	Progress io.Writer
}

func (c *Config) setDefaults() {
	set := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	set(&c.Events, 20_000)
	set(&c.Rounds, 3)
	set(&c.Connections, 256)
	set(&c.Streams, 4)
	set(&c.Idle, 20)
	if c.Progress == nil {
		c.Progress = io.Discard
	}
}

// Rate is what one case did.
type Rate struct {
	Case      string    `json:"case"`
	PerSecond float64   `json:"perSecond"` // median of the rounds
	Rounds    []float64 `json:"rounds"`    // events a second
	// Ratio is the median over the rounds of the rate divided by Tessera's in
	// the same round; 0 without Tessera.
	Ratio float64 `json:"ratio,omitempty"`
}

// Report is the outcome. Times are in milliseconds.
type Report struct {
	EntryBytes int     `json:"entryBytes"` // length of an entry, median
	Rates      []Rate  `json:"rates"`
	IntervalMS float64 `json:"intervalMs"` // least time between checkpoints
	IdleMS     struct {
		Median, P90, Max float64
	} `json:"idleMs"` // from request to cosigned proof
	// Memory is the largest resident set in MiB, by process, and the number of
	// entries that the log then had.
	Memory  map[string]float64 `json:"memoryMiB"`
	Entries uint64             `json:"entries"`
}

// The cases.
const (
	caseTessera  = "Tessera conformance server, one entry a request, nothing checked"
	caseSingle   = "vasistas-log, one event a request"
	caseCosigned = "vasistas-log, one event a request, waiting for the cosigned proof"
	caseNDJSON   = "vasistas-log, NDJSON"
)

// Run measures.
func Run(ctx context.Context, cfg Config) (_ *Report, err error) {
	cfg.setDefaults()
	if cfg.Dir == "" {
		if cfg.Dir, err = os.MkdirTemp("", "vasistas-bench-"); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(cfg.Dir)) }()
	}
	w, err := startWorld(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	r := &Report{IntervalMS: float64(w.interval.Milliseconds())}
	if err := w.measureRates(ctx, cfg, r); err != nil {
		return nil, err
	}
	if err := w.measureIdle(ctx, cfg, r); err != nil {
		return nil, err
	}
	if err := w.fill(ctx, cfg, "that owe nothing", cfg.Fill, w.heartbeats); err != nil {
		return nil, err
	}
	if err := w.fill(ctx, cfg, "that owe a disclosure", cfg.FillOwed, w.makeEntries); err != nil {
		return nil, err
	}
	return r, w.measureMemory(ctx, cfg, r)
}

// measureMemory reads the peaks of all processes. If the log was filled, it is started
// again and given a round's events: what it needs at that size, not in getting there.
func (w *world) measureMemory(ctx context.Context, cfg Config, r *Report) error {
	r.Memory = make(map[string]float64)
	w.readMemory(r)
	if cfg.Fill+cfg.FillOwed > 0 {
		if err := w.restartLog(ctx, "vasistas-log, started again"); err != nil {
			return err
		}
		entries, err := w.makeEntries(cfg.Events)
		if err != nil {
			return err
		}
		if _, err := w.driveLog(ctx, cfg.Connections, "sequenced", entries); err != nil {
			return err
		}
		w.readMemory(r)
	}
	return w.countEntries(ctx, r)
}

// fill appends n entries of what it makes.
func (w *world) fill(ctx context.Context, cfg Config, what string, n int, entries func(int) ([][]byte, error)) error {
	if n > 0 {
		fmt.Fprintf(cfg.Progress, "filling the log with %d entries %s\n", n, what)
	}
	for done := 0; done < n; done += cfg.Events {
		list, err := entries(min(cfg.Events, n-done))
		if err != nil {
			return err
		}
		if _, err := w.driveStream(ctx, cfg.Streams, list); err != nil {
			return err
		}
	}
	return nil
}

// measureRates runs every case once a round.
func (w *world) measureRates(ctx context.Context, cfg Config, r *Report) error {
	type runner func(entries [][]byte) (time.Duration, error)
	cases := []struct {
		name string
		run  runner
	}{
		{caseTessera, func(e [][]byte) (time.Duration, error) { return w.driveTessera(ctx, cfg.Connections, e) }},
		{caseSingle, func(e [][]byte) (time.Duration, error) { return w.driveLog(ctx, cfg.Connections, "sequenced", e) }},
		{caseNDJSON, func(e [][]byte) (time.Duration, error) { return w.driveStream(ctx, cfg.Streams, e) }},
		{caseCosigned, func(e [][]byte) (time.Duration, error) {
			return w.driveLog(ctx, 4*cfg.Connections, "cosigned", e[:len(e)/2])
		}},
	}
	if cfg.NoTessera {
		cases = cases[1:]
	}
	for _, c := range cases {
		r.Rates = append(r.Rates, Rate{Case: c.name})
	}
	for round := range cfg.Rounds {
		for i, c := range cases {
			entries, err := w.makeEntries(cfg.Events)
			if err != nil {
				return err
			}
			r.EntryBytes = len(entries[0])
			took, err := c.run(entries)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			n := len(entries)
			if c.name == caseCosigned {
				n /= 2
			}
			rate := float64(n) / took.Seconds()
			fmt.Fprintf(cfg.Progress, "round %d: %s: %.0f a second\n", round+1, c.name, rate)
			r.Rates[i].Rounds = append(r.Rates[i].Rounds, rate)
		}
	}
	for i := range r.Rates {
		rate := &r.Rates[i]
		rate.PerSecond = median(rate.Rounds)
		if !cfg.NoTessera {
			var ratios []float64
			for j := range rate.Rounds {
				ratios = append(ratios, rate.Rounds[j]/r.Rates[0].Rounds[j])
			}
			rate.Ratio = median(ratios)
		}
	}
	return nil
}

// measureIdle waits for proofs one by one, with pauses that let the log become
// idle.
func (w *world) measureIdle(ctx context.Context, cfg Config, r *Report) error {
	entries, err := w.makeEntries(cfg.Idle)
	if err != nil {
		return err
	}
	var times []float64
	for i, e := range entries {
		// Not in step with the log's interval.
		pause := w.interval*5/2 + time.Duration(i*37%100)*w.interval/100
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		took, err := w.driveLog(ctx, 1, "cosigned", [][]byte{e})
		if err != nil {
			return err
		}
		times = append(times, float64(took.Microseconds())/1000)
	}
	slices.Sort(times)
	r.IdleMS.Median, r.IdleMS.P90, r.IdleMS.Max = median(times), times[len(times)*9/10], times[len(times)-1]
	return nil
}

func median(v []float64) float64 {
	v = slices.Clone(v)
	slices.Sort(v)
	if len(v)%2 == 1 {
		return v[len(v)/2]
	}
	return (v[len(v)/2-1] + v[len(v)/2]) / 2
}

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) {
	fmt.Fprintf(w, "Entries of %d bytes. Events a second, median of the rounds:\n", r.EntryBytes)
	for _, rate := range r.Rates {
		fmt.Fprintf(w, "  %8.0f  ", rate.PerSecond)
		if rate.Ratio > 0 {
			fmt.Fprintf(w, "(%.2f)  ", rate.Ratio)
		}
		fmt.Fprintf(w, "%s\n", rate.Case)
	}
	if len(r.Rates) > 0 && r.Rates[0].Ratio > 0 {
		fmt.Fprintf(w, "In brackets: the median over the rounds of the ratio to Tessera.\n")
	}
	fmt.Fprintf(w, "Idle log, from request to cosigned proof: median %.0f ms, 90 %% within %.0f ms, longest %.0f ms (interval %.0f ms).\n",
		r.IdleMS.Median, r.IdleMS.P90, r.IdleMS.Max, r.IntervalMS)
	var names []string
	for name := range r.Memory {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(w, "%s: at most %.0f MiB resident.\n", name, r.Memory[name])
	}
	fmt.Fprintf(w, "The log has %d entries.\n", r.Entries)
}
