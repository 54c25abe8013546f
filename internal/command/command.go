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
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vasistas/vasistas/internal/strictjson"
	"github.com/vasistas/vasistas/log/tlog"
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

// A Program is a command line whose first argument names a command.
type Program struct {
	Name, Usage string
	Commands    map[string]Command
}

// A Command runs until it is done or ctx ends.
type Command = func(ctx context.Context, c *Call) error

// A Call has the flags, arguments and streams of a command.
type Call struct {
	Flags          *flag.FlagSet // the command defines and parses them
	Args           []string      // without the command's name
	Stdin          io.Reader
	Stdout, Stderr io.Writer // for text: see [Clean]
}

// Run runs the command that args[0] names and returns the exit code. It adds the usual
// spellings of "version" and "help". Run and the command print text: see [Clean]. It is a failure
// if output can't be written.
func (p Program) Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := &Call{Stdin: stdin, Stdout: Clean(stdout), Stderr: Clean(stderr)}
	code := p.run(ctx, args, c)
	if err := Failed(c.Stdout); err != nil && code == 0 {
		io.WriteString(c.Stderr, Message("%s: %v", p.Name, err)+Advice(err))
		return 1
	}
	return code
}

func (p Program) run(ctx context.Context, args []string, c *Call) int {
	if len(args) == 0 {
		fmt.Fprint(c.Stderr, p.Usage)
		return 2
	}
	name := args[0]
	switch name {
	case "help", "-h", "-help", "--help":
		fmt.Fprint(c.Stdout, p.Usage)
		return 0
	case "version", "-version", "--version":
		fmt.Fprintln(c.Stdout, p.Name, Version())
		return 0
	}
	command := p.Commands[name]
	if command == nil {
		fmt.Fprintf(c.Stderr, "%s: there is no command %q\nSee '%s help'.\n", p.Name, name, p.Name)
		return 2
	}
	c.Flags, c.Args = flag.NewFlagSet(p.Name+" "+name, flag.ContinueOnError), args[1:]
	err := command(ctx, c)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	io.WriteString(c.Stderr, Message("%s: %v", c.Flags.Name(), err)+Advice(err))
	if IsWrongUse(err) {
		fmt.Fprintf(c.Stderr, "See '%s --help'.\n", c.Flags.Name())
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
func (c *Call) List(name, usage string) *[]string {
	var list []string
	c.Flags.Func(name, usage, func(s string) error {
		list = append(list, s)
		return nil
	})
	return &list
}

// Each returns the results of f for all elements. It ends with the first error.
func Each[T, U any](list []T, f func(T) (U, error)) (out []U, err error) {
	for _, v := range list {
		u, err := f(v)
		if err != nil {
			return nil, err
		}
		out = append(out, u)
	}
	return out, nil
}

// Parse parses the flags of a command that takes no other arguments, and runs the
// checks. Its own errors are about wrong arguments, or flag.ErrHelp, for which it prints the
// flags.
func (c *Call) Parse(checks ...func() error) error {
	fs := c.Flags
	fs.SetOutput(io.Discard) // an unknown flag needs no list of all flags
	err := fs.Parse(c.Args)
	fs.SetOutput(c.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(c.Stderr, "Usage of %s:\n", fs.Name())
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

// A Duration is the value of a flag, of package flag or of pflag, in the form of
// [ParseDuration].
type Duration time.Duration

// Set parses the value.
func (d *Duration) Set(s string) error {
	v, err := ParseDuration(s)
	*d = Duration(v)
	return err
}

func (d *Duration) String() string {
	if *d == 0 {
		return "0" // which help does not show as a default
	}
	return time.Duration(*d).String()
}

// Type is the name of the type in pflag's help.
func (*Duration) Type() string { return "duration" }

// DurationVar adds a flag with a default value.
func DurationVar(fs *flag.FlagSet, p *time.Duration, name string, value time.Duration, usage string) {
	*p = value
	fs.Var((*Duration)(p), name, usage)
}

var errDuration = errors.New("want a duration such as 10d, 36h or 30s")

// ParseDuration parses a duration that a person wrote: as [time.ParseDuration] does, with whole
// days of 24 hours in front, as in 10d and 1d12h. It is not negative.
func ParseDuration(s string) (time.Duration, error) {
	var days uint64
	if n, rest, ok := strings.Cut(s, "d"); ok {
		var err error
		if days, err = strconv.ParseUint(n, 10, 16); err != nil {
			return 0, errDuration
		}
		if s = rest; s == "" {
			s = "0"
		}
	}
	d, err := time.ParseDuration(s)
	sum := time.Duration(days)*24*time.Hour + d
	if err != nil || d < 0 || sum < d {
		return 0, errDuration
	}
	return sum, nil
}

// ReadSigner reads the file of a note key: the key, and a line feed. It refuses a file that every
// user of the machine may read.
func ReadSigner(name string) (*tlog.Signer, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("reading a key: %w", err)
	}
	if info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("reading the key in %s: every user of this machine may read it; change its mode to 0600", name)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("reading a key: %w", err)
	}
	k, err := tlog.ParseSigner(strings.TrimSuffix(string(b), "\n"))
	if err != nil {
		return nil, fmt.Errorf("reading the key in %s: %w", name, err)
	}
	return k, nil
}
