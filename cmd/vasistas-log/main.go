// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Vasistas-log is the provider's daemon: it accepts signed events, keeps them in a Merkle
// tree, and publishes checkpoints that a quorum of witnesses has cosigned. Package log states
// its promises.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"k8s.io/klog/v2"

	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/internal/daemon/admin"
	"github.com/vasistas/vasistas/internal/problem"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/pgstate"
	"github.com/vasistas/vasistas/log/vault/vaultcmd"
)

func main() { command.Main(run) }

const usage = `vasistas-log: the provider's log

Usage:
  vasistas-log keygen  -dir DIR -origin NAME                make the log's keys
  vasistas-log init    -dir DIR -charter FILE               create the log, with its charter
  vasistas-log serve   -dir DIR -event-key KEY -listen ADDR run the log
  vasistas-log status  -log URL                             show the state of a running log
  vasistas-log recover -dir DIR -policy FILE -from URL|DIR  restore missing entries from a copy
  vasistas-log recover -dir DIR -to-engine ENGINE           move the log to another engine
  vasistas-log vault   init|ls|check|export|audit -dir DIR  show and export the vault
  vasistas-log version

"vasistas-log COMMAND -h" shows the options of a command. A log's directory has four
parts: tree (the entries), state (the last signed head), vault (what is still sealed)
and keys. A log does not start with tree and state from a backup: use recover.

Exit codes: 0 done, 1 failed, 2 wrong use. "status" exits with 1 if the log is not ready.
`

var program = command.Program{Name: "vasistas-log", Usage: usage, Commands: map[string]command.Command{
	"keygen": runKeygen, "init": runInit, "serve": runServe, "status": runStatus, "recover": runRecover, "vault": runVault,
}}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	// Log only warnings and errors of Tessera.
	klog.SetSlogLogger(slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn})).With("part", "tessera"))
	return program.Run(ctx, args, stdin, stdout, stderr)
}

func runVault(ctx context.Context, c *command.Call) error {
	return vaultcmd.Run(ctx, c.Args, c.Stdout, c.Stderr, openShared)
}

// openShared opens the vault that several instances share, for reading and exports.
func openShared(ctx context.Context, dsn string) (*vaultcmd.Shared, error) {
	db, err := pgstate.Open(ctx, dsn)
	if err != nil {
		return nil, err
	}
	published := func(ctx context.Context) ([]byte, error) {
		p, err := db.State().Published(ctx)
		return p.Checkpoint, err
	}
	return &vaultcmd.Shared{Storage: db.Vault(), Published: published, Close: db.Close}, nil
}

const maxMetrics = 4 << 20

// runStatus shows a running log by its health and its metrics, which its operator can reach.
func runStatus(ctx context.Context, c *command.Call) error {
	url := c.Flags.String("log", "", "`URL` of a running log: that of -admin-listen, if it has one (required)")
	asJSON := c.Flags.Bool("json", false, "print JSON")
	if err := c.Parse(); err != nil {
		return err
	}
	if *url == "" {
		return command.WrongUse("give the -log that runs")
	}
	*url = strings.TrimSuffix(*url, "/")
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	metrics, err := admin.Fetch(ctx, *url+"/metrics", maxMetrics)
	if _, none := errors.AsType[*problem.Problem](err); none {
		return fmt.Errorf("%s has no metrics (%w); if the log has an -admin-listen, give that address", *url, err)
	} else if err != nil {
		return err
	}
	status := log.ReadStatus(metrics)
	_, err = admin.Fetch(ctx, *url+"/readyz", maxMetrics)
	if p, unready := errors.AsType[*problem.Problem](err); unready {
		status.Unready = p.Detail
	} else if err != nil {
		return err
	}
	if *asJSON {
		err = command.PrintJSON(c.Stdout, status)
	} else {
		printStatus(c.Stdout, status)
	}
	if err == nil && status.Unready != "" {
		err = errors.New("the log is not ready")
	}
	return err
}

func printStatus(out io.Writer, s *log.Status) {
	line := command.Lines(out)
	head := func(what string, h *log.StatusHead) {
		if h != nil {
			line("%-10s size %d, at %s", what, h.Size, h.At.Format(time.RFC3339))
		}
	}
	if s.Unready == "" {
		line("ready      yes")
	} else {
		line("ready      no: %s", s.Unready)
	}
	head("published", s.Published)
	if s.Waiting != nil {
		line("waiting    %d entries", *s.Waiting)
	}
	head("named", s.Named)
	head("audited", s.Audited)
	for _, o := range s.Owed {
		line("owed       %d of rule %s, %d of them overdue; %d were late since the start", o.Owed, o.Rule, o.Overdue, o.Late)
	}
	if s.Lost > 0 {
		line("VAULT      has lost %d events that the log must disclose: restore the vault", s.Lost)
	}
}
