// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Vasistas-gate is the custodian's daemon: it holds a share of each escrowed key, and opens
// it only for a release in the public, cosigned log. Package gate states its promises.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/internal/daemon"
	"github.com/vasistas/vasistas/internal/daemon/admin"
)

func main() { command.Main(program.Run) }

const usage = `vasistas-gate: a custodian's gate

Usage:
  vasistas-gate init    -dir DIR -name NAME               make the gate's keys, on its own machine
  vasistas-gate join    -dir DIR -charter FILE -log URL   make the gate's state, for the log of this charter
  vasistas-gate serve   -dir DIR -listen ADDR             run the gate
  vasistas-gate status  -dir DIR | -gate URL              show the state of the gate
  vasistas-gate confirm HASH -dir DIR                     confirm the charter that status shows
  vasistas-gate confirm SIZE:ROOT -dir DIR                confirm the head that stands after a fork
  vasistas-gate resume  -dir DIR -confirm                 resume the gate's chain from the log
  vasistas-gate version

"vasistas-gate COMMAND -h" shows the options of a command. A gate's directory has
three parts: keys, gate.json (the log), and state. Never run two gates with one key,
and don't start a gate with a state from a backup: it would notice and stop.

Exit codes: 0 done, 1 failed, 2 wrong use. "status" exits with 1 if the gate would open nothing.
`

var program = command.Program{Name: "vasistas-gate", Usage: usage, Commands: map[string]command.Command{
	"init": runInit, "join": runJoin, "serve": runServe, "status": runStatus, "confirm": runConfirm, "resume": runResume,
}}

func runServe(ctx context.Context, c *command.Call) (err error) {
	var l layout
	var service daemon.Service
	var poll time.Duration
	l.defineRun(c.Flags)
	service.Define(c.Flags, "127.0.0.1:7390", "with requests under way")
	command.DurationVar(c.Flags, &poll, "poll", time.Second, "pause between two updates from the log")
	requests := c.Flags.Int("requests", 64, "requests under way at a time; more wait")
	if err := c.Parse(l.complete); err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(c.Stderr, nil))
	cfg, err := l.config(ctx)
	if err != nil {
		return err
	}
	cfg.Logger, cfg.Poll, cfg.Requests = logger, poll, *requests
	g, err := gate.Open(cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	if err := service.Listen(); err != nil {
		return err
	}
	defer service.Close()
	g.Start()
	service.Server, service.Logger = gate.Server(daemon.WithMetrics(g.Handler(), g.Metrics), l.timeout), logger
	return service.Run(ctx, c.Stdout)
}

// open calls do with an opened gate, which does not serve.
func (l *layout) open(ctx context.Context, stderr io.Writer, do func(*gate.Gate) error) error {
	c, err := l.config(ctx)
	if err != nil {
		return err
	}
	c.Logger = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	g, err := gate.Open(c)
	if err != nil {
		return err
	}
	return errors.Join(do(g), g.Close())
}

func runStatus(ctx context.Context, c *command.Call) error {
	var l layout
	l.defineRun(c.Flags)
	url := c.Flags.String("gate", "", "`URL` of a running gate, in place of -dir")
	asJSON := c.Flags.Bool("json", false, "print JSON")
	if err := c.Parse(); err != nil {
		return err
	}
	var s *gate.Status
	var err error
	switch {
	case *url != "":
		s, err = fetchStatus(ctx, *url, l.timeout)
	case l.dir == "":
		return command.WrongUse("give -dir, or the -gate of a running gate")
	default:
		s, err = l.localStatus(ctx, c.Stderr)
	}
	if err != nil {
		return err
	}
	if *asJSON {
		err = command.PrintJSON(c.Stdout, s)
	} else {
		printStatus(c.Stdout, s)
	}
	if err == nil && s.Shut != "" {
		err = errors.New("the gate would open nothing")
	}
	return err
}

// localStatus reads the state and follows the log once. If that fails, it prints a warning
// and returns the status without it.
func (l *layout) localStatus(ctx context.Context, stderr io.Writer) (s *gate.Status, err error) {
	if err := l.complete(); err != nil {
		return nil, err
	}
	err = l.open(ctx, stderr, func(g *gate.Gate) (err error) {
		if err := g.Sync(ctx); err != nil {
			fmt.Fprintf(stderr, "vasistas-gate status: following the log: %v\n", err)
		}
		s, err = g.Status(ctx)
		return err
	})
	return s, err
}

const maxStatus = 1 << 20

func fetchStatus(ctx context.Context, url string, timeout time.Duration) (*gate.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	s := new(gate.Status)
	return s, admin.FetchStatus(ctx, "gate", url, maxStatus, s)
}

// printPending prints amendments, each change with its direction and what follows from it.
func printPending(out io.Writer, list []gate.Amendment) {
	line := command.Lines(out)
	for _, a := range list {
		line("confirm    %s: the charter of version %d, which changes:", a.Hash, a.Version)
		for _, c := range a.Changes {
			mark, direction := " ", ""
			if c.Confirm {
				mark = "!"
			}
			if c.Direction != "" {
				direction = fmt.Sprintf(" [%s]", c.Direction)
			}
			line("         %s %s%s", mark, c.Text, direction)
			if c.Means != "" {
				line("             %s", c.Means)
			}
		}
	}
}

// printStatus prints a status as lines. Lines cleans the texts, which come from another machine and from the log.
func printStatus(out io.Writer, s *gate.Status) {
	line := command.Lines(out)
	name := s.Custodian
	if name == "" {
		name = "none (the charter in force does not name the key)"
	}
	line("log        %s", s.Origin)
	line("custodian  %s", name)
	line("groups     %s", strings.Join(s.Groups, " "))
	line("key        %s", s.Key)
	line("head       size %d, cosigned after %s", s.Size, s.LoggedAfter)
	if s.Audited != "" {
		line("audited    size %d, vouched for after %s", s.AuditedSize, s.Audited)
	}
	line("charter    version %d, trusted %d", s.Charter, s.Trusted)
	line("releases   %d, of which the log lacks %d", s.Seq, len(s.Releases))
	printPending(out, s.Pending)
	if s.Shut == "" {
		line("opens      yes")
	} else {
		line("opens      no: %s", s.Shut)
		line("           It opens again once %s.", s.Ends)
	}
	if s.Alarm != "" {
		line("ALARM      %s", s.Alarm)
	}
	if s.Stopped != "" {
		line("STOPPED    %s", s.Stopped)
	}
}

// runConfirm writes the operator's decision for the gate, which may be running.
func runConfirm(_ context.Context, c *command.Call) error {
	var l layout
	l.define(c.Flags)
	what := ""
	if len(c.Args) > 0 && !strings.HasPrefix(c.Args[0], "-") {
		what, c.Args = c.Args[0], c.Args[1:]
	}
	if err := c.Parse(l.complete); err != nil {
		return err
	}
	if what == "" {
		return command.WrongUse("give the hash of the charter, or SIZE:ROOT of the head, that status shows")
	}
	list, err := gate.Confirm(l.path("state"), what)
	printPending(c.Stdout, list)
	if err != nil {
		return err
	}
	if len(list) == 0 && !strings.Contains(what, ":") {
		fmt.Fprintln(c.Stdout, "This gate has not read its log yet, so what the charter changes is not known here. See status once the gate runs.")
	}
	fmt.Fprintln(c.Stdout, "Recorded. The gate takes it up at its next update from the log, without a restart. See status.")
	return nil
}

func runResume(ctx context.Context, c *command.Call) error {
	var l layout
	l.defineRun(c.Flags)
	confirm := c.Flags.Bool("confirm", false, "confirm that no other gate runs with this key, and that the journal is lost (required)")
	if err := c.Parse(l.complete); err != nil {
		return err
	}
	if !*confirm {
		return command.WrongUse("resume continues the chain from the log, and the log will show it; if no other gate runs with this key, and its journal is lost, give -confirm")
	}
	return l.open(ctx, c.Stderr, func(g *gate.Gate) error {
		seq, err := g.Resume(ctx)
		if err == nil {
			fmt.Fprintf(c.Stdout, "The chain goes on after release %d. The next heartbeat states that it was resumed.\n", seq)
		}
		return err
	})
}
