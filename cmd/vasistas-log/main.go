// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Vasistas-log is the provider's daemon: it takes in signed events, keeps them in
// a Merkle tree, and publishes checkpoints that a quorum of witnesses cosigned.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"k8s.io/klog/v2"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

const usage = `vasistas-log: the provider's log

Usage:
  vasistas-log keygen  -dir DIR -origin NAME                make its keys
  vasistas-log init    -dir DIR -charter FILE               make the log, of its charter
  vasistas-log serve   -dir DIR -event-key KEY -listen ADDR run it
  vasistas-log recover -dir DIR -policy FILE -from URL|DIR  bring back what it lacks
  vasistas-log migrate -dir DIR -to-engine ENGINE           move its tree to another engine
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
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return 2
	}
	commands := map[string]func(context.Context, []string, io.Writer, io.Writer) error{
		"keygen": runKeygen, "init": runInit, "serve": runServe, "recover": runRecover, "migrate": runMigrate, "vault": runVault, "version": runVersion,
	}
	switch name := args[0]; name {
	case "help", "-h", "-help", "--help":
		fmt.Fprint(stdout, usage)
		return 0
	default:
		command := commands[name]
		if command == nil {
			fmt.Fprintf(stderr, "vasistas-log: there is no command %q\n\n%s", name, usage)
			return 2
		}
		// What Tessera says of its daily work is nobody's business here.
		klog.SetSlogLogger(slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn})).With("part", "tessera"))
		err := command(ctx, args[1:], stdout, stderr)
		var wrong usageError
		switch {
		case err == nil, errors.Is(err, flag.ErrHelp):
			return 0
		case errors.As(err, &wrong):
			fmt.Fprintf(stderr, "vasistas-log %s: %v\n", name, err)
			return 2
		}
		fmt.Fprintf(stderr, "vasistas-log %s: %v\n", name, err)
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

func runVersion(_ context.Context, _ []string, stdout, _ io.Writer) error {
	version := "(devel)"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		version = info.Main.Version
	}
	fmt.Fprintln(stdout, "vasistas-log", version)
	return nil
}
