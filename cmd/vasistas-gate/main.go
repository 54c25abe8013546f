// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Vasistas-gate is the custodian's daemon: it holds a share of each escrowed key, and opens
// it only for a release in the public, cosigned log. Package gate states its promises.
package main

import (
	"context"
	"io"

	"github.com/vasistas/vasistas/internal/command"
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
