// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Vasistas-monitor is the watchdog's daemon: it keeps and serves full copies of one or more logs,
// and cosigns their heads while the rules hold. Packages monitor and auditor state its promises.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/vasistas/vasistas/client/monitor"
	"github.com/vasistas/vasistas/client/monitor/auditor"
	"github.com/vasistas/vasistas/client/monitor/desk"
	"github.com/vasistas/vasistas/client/monitor/facts"
	"github.com/vasistas/vasistas/client/monitor/mirror"
	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/internal/cosigning"
	"github.com/vasistas/vasistas/internal/daemon"
	"github.com/vasistas/vasistas/internal/daemon/admin"
	"github.com/vasistas/vasistas/log/ledger"
)

func main() { command.Main(program.Run) }

const usage = `vasistas-monitor: copies, serves and audits logs, and cosigns their heads while the rules hold

Usage:
  vasistas-monitor init        -dir DIR -name NAME -key-name NAME         make the auditor's keys, on its own machine
  vasistas-monitor join        -dir DIR -name NAME -charter FILE -log URL  audit the log of this charter; without -name: copy it only
  vasistas-monitor serve       -dir DIR -listen ADDR                       follow, audit and serve all joined logs
  vasistas-monitor serve       -dir DIR -listen ADDR -log URL              first join that log by its URL alone, to copy it
  vasistas-monitor pin         -dir DIR -log URL -founded HASH             compare such a log with its founding hash
  vasistas-monitor status      -monitor URL                                show the state of a running monitor
  vasistas-monitor resume-lost -dir DIR -origin LOG -name NAME             resume a lost state at the head that the log shows
  vasistas-monitor version

"vasistas-monitor COMMAND -h" shows the options of a command. A monitor's directory has
three parts: keys, logs (one file each), and state. Never run two auditors with one key,
and never start one with a state from a backup: the auditor stops once the log shows a
later cosignature.

Exit codes: 0 done, 1 failed, 2 wrong use. "status" exits with 1 unless each log is OK.
`

var program = command.Program{Name: "vasistas-monitor", Usage: usage, Commands: map[string]command.Command{
	"init": runInit, "join": runJoin, "serve": runServe, "pin": runPin, "status": runStatus, "resume-lost": runResume,
}}

func runServe(ctx context.Context, c *command.Call) (err error) {
	l := start{stdin: c.Stdin, stderr: c.Stderr}
	var service daemon.Service
	var poll, check time.Duration
	l.define(c.Flags)
	service.Define(c.Flags, "127.0.0.1:7400", "with requests under way")
	c.Flags.StringVar(&l.url, "log", "", "`URL` of a log to join, unless it is joined already, by the charters that the log states: the log is only copied, and unpinned without its founding hash")
	c.Flags.StringVar(&l.copies, "copies", "", "`directory` of the copies of all logs (default: each is in the directory of its log's state)")
	command.DurationVar(c.Flags, &poll, "poll", time.Second, "pause between two looks at a log")
	command.DurationVar(c.Flags, &check, "check", time.Minute, "pause between two checks of a share of each copy")
	requests := c.Flags.Int("requests", 64, "requests for cosignatures under way at a time for one log")
	command.DurationVar(c.Flags, &l.timeout, "timeout", 30*time.Second, "time limit of a request to a log")
	if err := c.Parse(l.complete); err != nil {
		return err
	}
	if l.url != "" {
		if err := l.locked(func() error { return l.join(ctx) }); err != nil {
			return err
		}
	}
	cfg, err := l.configs()
	if err != nil {
		return err
	}
	cfg.Logger, cfg.Metrics = slog.New(slog.NewTextHandler(c.Stderr, nil)), auditor.NewMetrics()
	cfg.Run = mirror.RunOptions{Poll: poll, CheckEvery: check}
	for i := range cfg.Auditors {
		a := &cfg.Auditors[i]
		a.Logger, a.Metrics, a.Poll, a.CheckEvery, a.Requests, a.Timeout = cfg.Logger, cfg.Metrics, poll, check, *requests, l.timeout
	}
	m, err := desk.Open(cfg, l.stateDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	if err := service.Listen(); err != nil {
		return err
	}
	defer service.Close()
	m.Start()
	handler := daemon.WithMetrics(m, m.MetricsText)
	service.Logger, service.Server = cfg.Logger, &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      3*l.timeout + 10*time.Second, // a cosignature asks the log for its round, heads and entries
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    8 << 10,
	}
	return service.Run(ctx, c.Stdout)
}

const maxStatus = 64 << 20

func runStatus(ctx context.Context, c *command.Call) error {
	url := c.Flags.String("monitor", "", "`URL` of a running monitor (required)")
	asJSON := c.Flags.Bool("json", false, "print JSON")
	var timeout time.Duration
	command.DurationVar(c.Flags, &timeout, "timeout", 30*time.Second, "time limit of the request")
	if err := c.Parse(); err != nil {
		return err
	}
	if *url == "" {
		return command.WrongUse("give the -monitor that runs")
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var list []*monitor.Status
	if err := admin.FetchStatus(ctx, "monitor", *url, maxStatus, &list); err != nil {
		return err
	}
	var bad []string
	for _, s := range list {
		if s == nil {
			return errors.New("the monitor's status lists an empty log")
		}
		if s.Line.Verdict != facts.OK {
			bad = append(bad, fmt.Sprintf("%s is %s", s.Origin, s.Line.Verdict))
		}
		if !*asJSON {
			printStatus(c.Stdout, s)
			fmt.Fprintf(c.Stdout, "desk       %s/desk/%s/\n", strings.TrimSuffix(*url, "/"), cosigning.OriginHash(s.Origin))
		} else if err := command.PrintJSON(c.Stdout, s); err != nil {
			return err
		}
	}
	if len(bad) > 0 {
		return errors.New(strings.Join(bad, ", "))
	}
	return nil
}

// printStatus prints a status as lines. Lines cleans the texts, which come from another machine and from the log.
func printStatus(out io.Writer, s *monitor.Status) {
	line := command.Lines(out)
	line("%-10s %s", s.Line.Verdict, s.Origin)
	for _, why := range s.Line.Reasons {
		line("           %s", why.Text)
	}
	printFacts(line, s.Facts)
	line("copied     size %d", s.Copied)
	if s.CopyFails != "" {
		line("copying    fails: %s", s.CopyFails)
	}
	if s.Auditor == "" {
		return
	}
	line("auditor    %s", s.Auditor)
	if s.Cosigned != nil {
		line("cosigned   size %d, at %s", s.Size, s.Cosigned.Format(time.RFC3339))
	} else {
		line("cosigned   nothing yet")
	}
	line("applied    %d entries; the log names size %d", s.Applied, s.Named)
	if s.Declines == "" {
		line("cosigns    yes")
	} else {
		line("cosigns    no: %s", s.Declines)
		line("           It cosigns again once %s.", s.Ends)
	}
	for _, b := range s.Bars {
		if o := b.Obligation; o != nil {
			line("bar        %s owes %s since %s: %s", ledger.Party(o.By), o.Rule, o.Late.Format(time.RFC3339), o.Text)
		} else if v := b.Breach; v != nil {
			line("bar        %s has broken %s at entry %d: %s", ledger.Party(v.By), v.Rule, v.Index, v.Text)
		}
	}
	if s.Stopped != "" {
		line("STOPPED    %s", s.Stopped)
	}
}

const printed = 8

func printFacts(line func(string, ...any), f *facts.Report) {
	if f == nil {
		return
	}
	list := func(n uint64, list []ledger.Obligation, print func(*ledger.Obligation)) {
		shown := list[:min(len(list), printed)]
		for i := range shown {
			print(&shown[i])
		}
		if more := n - uint64(len(shown)); more > 0 {
			line("           and %d more", more)
		}
	}
	list(f.Overdue, f.Owed, func(o *ledger.Obligation) {
		line("overdue    %s owes %s since %s: %s; cure: %s", ledger.Party(o.By), o.Rule, o.Late.Format(time.RFC3339), o.Text, o.Cure)
	})
	line("due        %d in 7 days, %d in 30 days", f.Due7, f.Due30)
	list(f.Due30, f.Due, func(o *ledger.Obligation) {
		line("due        %s owes %s by %s, in entry %d", ledger.Party(o.By), o.Rule, o.Due.Format(time.RFC3339), o.Index)
	})
	if o := f.Total.Owed; len(o) > 0 {
		late, lapsed := uint64(0), uint64(0)
		for _, n := range o {
			late, lapsed = late+n.Late, lapsed+n.Lapsed
		}
		line("was late   %d that were cured, %d that became breaches", late, lapsed)
	}
}

func runResume(ctx context.Context, c *command.Call) error {
	var l layout
	l.define(c.Flags)
	origin := c.Flags.String("origin", "", "`origin` of the log whose state is lost (required)")
	name := c.Flags.String("name", "", "the exact `name` of the auditor's keys, to confirm (required)")
	if err := c.Parse(l.complete); err != nil {
		return err
	}
	if *origin == "" || *name == "" {
		return command.WrongUse("give -origin and -name")
	}
	j, err := readJoined(l.logFile(*origin))
	if err != nil {
		return err
	}
	cfg, audited, err := l.load(j)
	if err != nil {
		return err
	}
	if !audited {
		return fmt.Errorf("the log %s is only copied, and a copy resumes by itself", *origin)
	}
	size, err := auditor.ResumeLost(ctx, cfg, *name)
	if err == nil {
		fmt.Fprintf(c.Stdout, "Resumed at size %d. If this auditor has cosigned more than the log shows, its promise is broken.\n", size)
	}
	return err
}
