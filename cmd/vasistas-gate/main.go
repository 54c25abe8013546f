// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Vasistas-gate is the custodian's daemon: it holds a share of escrow keys, and
// opens it only for a release that is in the public, cosigned log.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

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
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return 2
	}
	commands := map[string]func(context.Context, []string, io.Writer, io.Writer) error{
		"init": runInit, "join": runJoin, "serve": runServe, "status": runStatus, "confirm": runConfirm, "resume": runResume, "version": runVersion,
	}
	switch name := args[0]; name {
	case "help", "-h", "-help", "--help":
		fmt.Fprint(stdout, usage)
		return 0
	default:
		command := commands[name]
		if command == nil {
			fmt.Fprintf(stderr, "vasistas-gate: there is no command %q\n\n%s", name, usage)
			return 2
		}
		err := command(ctx, args[1:], stdout, stderr)
		var wrong usageError
		switch {
		case err == nil, errors.Is(err, flag.ErrHelp):
			return 0
		case errors.As(err, &wrong):
			fmt.Fprintf(stderr, "vasistas-gate %s: %v\n", name, err)
			return 2
		}
		fmt.Fprintf(stderr, "vasistas-gate %s: %v\n", name, err)
		return 1
	}
}

// usageError says that the arguments are wrong.
type usageError struct{ error }

func wrongUse(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// parse parses the flags of a command that takes no other arguments.
func parse(fs *flag.FlagSet, args []string, stderr io.Writer) error {
	fs.SetOutput(stderr)
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil {
		return usageError{err}
	}
	if fs.NArg() > 0 {
		return wrongUse("unexpected argument %q", fs.Arg(0))
	}
	return nil
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

func runVersion(_ context.Context, _ []string, stdout, _ io.Writer) error {
	fmt.Fprintln(stdout, "vasistas-gate", version())
	return nil
}
