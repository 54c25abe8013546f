// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
)

const usage = `vasistas-demo: the whole system on one machine, on real data

Usage:
  vasistas-demo [flags]

It starts a log and three witnesses, turns 5,382 real electronic search warrant
notifications (California, 2016 to 2019) into signed events, logs them, verifies
each proof offline, waits until the log has disclosed what is sealed for 10 days
(here a day is a second), shows one disclosure that is late and cured, takes one
warrant all the way, from an escrowed file through three gates to the notice of
the person concerned, shows attacks that fail, and audits the log. Then it stays
up, for you to look with the tool vasistas, until Ctrl-C.

Everything that it makes is in the directory of -dir. If there is a demo in it
already, the demo goes on: what was logged stays, and no row is logged twice. A
directory with anything else in it is refused.

Flags:
`

const exitCodes = `
Exit codes: 0 every proof held, every attack was refused and the audit was clean,
1 something failed, 2 wrong use.
`

// options are the flags.
type options struct {
	rows     int
	proofs   int
	listen   string
	fallback bool // to a free port, as the user named none
	dir      string
	exit     bool
}

const (
	defaultListen = "127.0.0.1:8080"
	defaultDir    = "vasistas-demo-data"
	defaultProofs = 50
)

// errUsage is a mistake in the arguments that was told already.
var errUsage = errors.New("usage")

func parseOptions(args []string, stdout, stderr io.Writer) (*options, error) {
	o := &options{}
	fs := flag.NewFlagSet("vasistas-demo", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.IntVar(&o.rows, "rows", 0, "use the first `N` rows; 0 means all")
	fs.IntVar(&o.proofs, "proofs", defaultProofs, "keep `N` proofs as files, spread evenly; 0 means all, 15 KB each")
	fs.StringVar(&o.listen, "listen", defaultListen, "`address` of the log; port 0 takes a free one, and so does a\ndefault that is taken")
	fs.StringVar(&o.dir, "dir", defaultDir, "`directory` of the demo")
	fs.BoolVar(&o.exit, "exit", false, "end when the story is told")
	fs.Usage = func() {
		fmt.Fprint(fs.Output(), usage)
		fs.PrintDefaults()
		fmt.Fprint(fs.Output(), exitCodes)
	}
	for _, a := range args {
		if a == "-h" || a == "-help" || a == "--help" {
			fs.SetOutput(stdout)
		}
	}
	if err := fs.Parse(args); err != nil {
		return nil, errors.Join(errUsage, err)
	}
	mistake := ""
	switch {
	case fs.NArg() > 0:
		mistake = fmt.Sprintf("%q is not a flag", fs.Arg(0))
	case o.rows < 0:
		mistake = "-rows is negative"
	case o.proofs < 0:
		mistake = "-proofs is negative"
	case o.dir == "":
		mistake = "-dir is empty"
	}
	if mistake != "" {
		fmt.Fprintf(stderr, "vasistas-demo: %s; see -help\n", mistake)
		return nil, errUsage
	}
	o.fallback = true
	fs.Visit(func(f *flag.Flag) { o.fallback = o.fallback && f.Name != "listen" })
	return o, nil
}

// run is the program. It returns the exit code, and ends when ctx does.
func run(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
	o, err := parseOptions(args, stdout, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
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
