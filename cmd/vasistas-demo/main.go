// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Vasistas-demo runs a whole Vasistas on one machine, on real data: a log, three witnesses, three
// gates, and the 5,382 electronic search warrant notifications that California published for 2016
// to 2019 (data/PROVENANCE.md). The usage text below says what it shows. Every part is the one
// that the daemons run, over HTTP. The exit code is 0 only if every proof held, every attack was
// refused, and the log kept its rules.
//
// All keys stand in one directory, whose owner can do anything. What an event needs and its row
// lacks, events.go fills in, and the story tells.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/vasistas/vasistas/internal/command"
)

func main() { command.Main(run) }

const usage = `vasistas-demo: the whole system on one machine, on real data

Usage:
  vasistas-demo [flags]

It starts a log and three witnesses, turns 5,382 real electronic search warrant
notifications (California, 2016 to 2019) into signed events, logs them, verifies
each proof offline and saves it, waits until the log has disclosed what is sealed
for 10 days (here a day is a second), shows one disclosure that is late and cured,
takes one warrant all the way, from an escrowed file through three gates to the
notice of the person concerned, shows two attacks on the gates and two on a proof
that fail, and audits the log. Then it stays up until Ctrl-C, for you to look with
the tool vasistas.

Everything that it makes is in the directory of -dir: 150 MB for all rows. If there
is a demo in it already, the demo goes on: what was logged stays, and no row is
logged twice. A directory with anything else in it is refused.

Flags:
`

const exitCodes = `
Exit codes: 0 every proof held, every attack was refused and the audit was clean,
1 something failed, 2 wrong use.
`

// options are the flags.
type options struct {
	rows     int
	listen   string
	fallback bool // to a free port, as the user named none
	dir      string
	exit     bool
}

// parseOptions writes help and errors to out.
func parseOptions(args []string, out io.Writer) (*options, error) {
	o := &options{}
	fs := flag.NewFlagSet("vasistas-demo", flag.ContinueOnError)
	fs.SetOutput(out)
	fs.IntVar(&o.rows, "rows", 0, "use the first `N` rows; 0 means all")
	fs.StringVar(&o.listen, "listen", "127.0.0.1:8080", "`address` of the log; port 0 takes a free one, and so does a\ndefault that is taken")
	fs.StringVar(&o.dir, "dir", "vasistas-demo-data", "`directory` of the demo")
	fs.BoolVar(&o.exit, "exit", false, "end when the story is told")
	fs.Usage = func() {
		fmt.Fprint(out, usage)
		fs.PrintDefaults()
		fmt.Fprint(out, exitCodes)
	}
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	o.fallback = true
	fs.Visit(func(f *flag.Flag) { o.fallback = o.fallback && f.Name != "listen" })
	var err error
	switch {
	case fs.NArg() > 0:
		err = fmt.Errorf("%q is not a flag", fs.Arg(0))
	case o.rows < 0:
		err = errors.New("-rows is negative")
	case o.dir == "":
		err = errors.New("-dir is empty")
	default:
		return o, nil
	}
	fmt.Fprintf(out, "vasistas-demo: %v; see -help\n", err)
	return nil, err
}

// run is the program until ctx ends. It returns the exit code.
func run(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
	var out bytes.Buffer
	o, err := parseOptions(args, &out)
	switch {
	case errors.Is(err, flag.ErrHelp):
		out.WriteTo(stdout)
		return 0
	case err != nil:
		out.WriteTo(stderr)
		return 2
	}
	switch err := demo(ctx, o, stdout, stderr); {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		fmt.Fprintf(stderr, "vasistas-demo: stopped before the end; run it again to go on (%v)\n", err)
	default:
		fmt.Fprintf(stderr, "vasistas-demo: %v\n", err)
	}
	return 1
}

// failure is the panic of a failed step: each step of the story needs the one before. caught
// recovers it; each goroutine needs a caught of its own.
type failure struct{ error }

// try ends the step on an error.
func try(err error) {
	if err != nil {
		panic(failure{err})
	}
}

func must[T any](v T, err error) T {
	try(err)
	return v
}

// caught returns the error that ended the steps of f.
func caught(f func()) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case failure:
			err = r.error
		default:
			panic(r)
		}
	}()
	f()
	return nil
}
