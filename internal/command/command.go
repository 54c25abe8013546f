// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package command is the common part of the command lines: programs that end on a
// signal, commands by name, each with flags and no other arguments, and three exit
// codes: 0 done, 1 failed, 2 wrong use.
package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/vasistas/vasistas/internal/strictjson"
)

// Main runs a program with the process's arguments, without its name, and exits with
// the returned code. The context ends on SIGINT or SIGTERM. A write to a closed pipe is an
// error, and does not end the program by SIGPIPE: a daemon outlives the reader of its messages.
func Main(program func(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int) {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := program(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// A Command runs until it is done or ctx ends.
type Command = func(ctx context.Context, args []string, stdout, stderr io.Writer) error

// Run runs the command that args[0] names and returns the exit code. It adds the usual
// spellings of "version" and "help". What it and the command print is text: see [Clean]. Output
// that could not be written is a failure.
func Run(ctx context.Context, program, usage string, commands map[string]Command, args []string, stdout, stderr io.Writer) int {
	stdout, stderr = Clean(stdout), Clean(stderr)
	code := run(ctx, program, usage, commands, args, stdout, stderr)
	if err := Failed(stdout); err != nil && code == 0 {
		io.WriteString(stderr, Message("%s: %v", program, err)+Advice(err))
		return 1
	}
	return code
}

func run(ctx context.Context, program, usage string, commands map[string]Command, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return 2
	}
	name := args[0]
	switch name {
	case "help", "-h", "-help", "--help":
		fmt.Fprint(stdout, usage)
		return 0
	case "version", "-version", "--version":
		fmt.Fprintln(stdout, program, Version())
		return 0
	}
	command := commands[name]
	if command == nil {
		fmt.Fprintf(stderr, "%s: there is no command %q\nSee '%s help'.\n", program, name, program)
		return 2
	}
	err := command(ctx, args[1:], stdout, stderr)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	io.WriteString(stderr, Message("%s %s: %v", program, name, err)+Advice(err))
	if IsWrongUse(err) {
		fmt.Fprintf(stderr, "See '%s %s --help'.\n", program, name)
		return 2
	}
	return 1
}

// usageError is an error about wrong arguments.
type usageError struct{ error }

// WrongUse returns an error about wrong arguments.
func WrongUse(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// IsWrongUse reports whether an error is about wrong arguments.
func IsWrongUse(err error) bool { return errors.As(err, new(usageError)) }

// List adds a flag that may be given several times.
func List(fs *flag.FlagSet, name, usage string) *[]string {
	var list []string
	fs.Func(name, usage, func(s string) error {
		list = append(list, s)
		return nil
	})
	return &list
}

// Parse parses the flags of a command that takes no other arguments, and runs the
// checks. Its own errors are about wrong arguments, or flag.ErrHelp, for which it prints the
// flags.
func Parse(fs *flag.FlagSet, args []string, stderr io.Writer, checks ...func() error) error {
	fs.SetOutput(io.Discard) // an unknown flag needs no list of all flags
	err := fs.Parse(args)
	fs.SetOutput(stderr)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(stderr, "Usage of %s:\n", fs.Name())
		fs.PrintDefaults()
		return err
	} else if err != nil {
		if name, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: "); ok {
			return WrongUse("unknown flag: %s", name)
		}
		return usageError{err}
	}
	if fs.NArg() > 0 {
		return WrongUse("unexpected argument %q", fs.Arg(0))
	}
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// JSONVersion is the member version of all that commands print as JSON. It grows when a member
// goes or changes its meaning, and not when one is added; docs/json.md has the members.
const JSONVersion = 1

// PrintJSON prints an object on one line, with the member version before its own.
func PrintJSON(stdout io.Writer, object any) error {
	b, err := strictjson.Line(object)
	if err == nil {
		_, err = fmt.Fprintf(stdout, `{"version":%d,%s`, JSONVersion, b[1:])
	}
	return err
}

// Version returns the version of the built program.
func Version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
