// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Vasistas-gate is the custodian's daemon: it holds a share of escrow keys, and
// opens it only for a release that is in the public, cosigned log.
package main

import (
	"context"
	"io"

	"github.com/vasistas/vasistas/internal/command"
)

func main() { command.Main(run) }

const usage = `vasistas-gate: a custodian's gate

Usage:
  vasistas-gate init    -dir DIR -name NAME               make its keys, on its own machine
  vasistas-gate join    -dir DIR -charter FILE -log URL   make its state, for the log of this charter
  vasistas-gate serve   -dir DIR -listen ADDR             run it
  vasistas-gate status  -dir DIR | -gate URL              say how it stands
  vasistas-gate confirm -dir DIR -name NAME...            follow a change of who is trusted
  vasistas-gate resume  -dir DIR -confirm                 take its chain up from the log
  vasistas-gate version

"vasistas-gate COMMAND -h" shows the options of a command. A gate's directory has
three parts: keys, gate.json (which log), and state. Never run two gates with one
key, and don't start one with a state from a backup: it would find out and stop.

Exit codes: 0 done, 1 failed, 2 wrong use.
`

// run is the program. It returns the exit code, and ends when ctx does.
func run(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
	return command.Run(ctx, "vasistas-gate", usage, map[string]command.Command{
		"init": runInit, "join": runJoin, "serve": runServe, "status": runStatus, "confirm": runConfirm, "resume": runResume,
	}, args, stdout, stderr)
}
