// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Vasistas-log is the provider's daemon: it accepts signed events, keeps them in a Merkle
// tree, and publishes checkpoints that a quorum of witnesses has cosigned. Package log states
// its promises.
package main

import (
	"context"
	"io"
	"log/slog"

	"k8s.io/klog/v2"

	"github.com/vasistas/vasistas/internal/command"
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

// run is the program. It returns the exit code, and ends when ctx ends.
func run(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
	// Log only warnings and errors of Tessera.
	klog.SetSlogLogger(slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn})).With("part", "tessera"))
	return command.Run(ctx, "vasistas-log", usage, map[string]command.Command{
		"keygen": runKeygen, "init": runInit, "serve": runServe, "status": runStatus, "recover": runRecover, "vault": runVault,
	}, args, stdout, stderr)
}

func runVault(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	return vaultcmd.Run(ctx, args, stdout, stderr, openShared)
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
