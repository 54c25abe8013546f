// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Vasistas-log is the provider's daemon: it takes in signed events, keeps them in
// a Merkle tree, and publishes checkpoints that a quorum of witnesses cosigned.
package main

import (
	"context"
	"io"
	"log/slog"

	"k8s.io/klog/v2"

	"github.com/vasistas/vasistas/internal/command"
)

func main() { command.Main(run) }

const usage = `vasistas-log: the provider's log

Usage:
  vasistas-log keygen  -dir DIR -origin NAME                make its keys
  vasistas-log init    -dir DIR -charter FILE               make the log, of its charter
  vasistas-log serve   -dir DIR -event-key KEY -listen ADDR run it
  vasistas-log recover -dir DIR -policy FILE -from URL|DIR  bring back what it lacks
  vasistas-log recover -dir DIR -to-engine ENGINE           move it to another engine
  vasistas-log vault   init|ls|check|export|audit -dir DIR  look into what it keeps sealed
  vasistas-log version

"vasistas-log COMMAND -h" shows the options of a command. A log's directory has
four parts: tree (the entries), state (what the log signed last), vault (what it is
to disclose) and keys. Do not restore tree and state from a backup and start: the
log would refuse. Use recover.

Exit codes: 0 done, 1 failed, 2 wrong use.
`

// run is the program. It returns the exit code, and ends when ctx does.
func run(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
	// What Tessera says of its daily work is nobody's business here.
	klog.SetSlogLogger(slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn})).With("part", "tessera"))
	return command.Run(ctx, "vasistas-log", usage, map[string]command.Command{
		"keygen": runKeygen, "init": runInit, "serve": runServe, "recover": runRecover, "vault": runVault,
	}, args, stdout, stderr)
}
