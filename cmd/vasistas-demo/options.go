// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
)

const usage = `vasistas-demo: the whole system on one machine, on real data

Usage:
  vasistas-demo [flags]

It starts a log, four witnesses and three auditors, turns 5,382 real electronic search warrant
notifications (California, 2016 to 2019) into signed events, logs them, verifies each proof
offline and saves it, waits until the log has disclosed what is sealed for 10 days (here a day
is a second), shows one disclosure that is late and cured, takes one warrant all the way, from
an escrowed file through three gates to the notice of the person concerned, shows two attacks
on the gates and two on a proof that fail, and audits the log. Two sections show how auditors
keep the promise "no disclosure, no more keys": one disclosure is overdue, and one release is
hidden, and each stops every key until it is made good. That takes about two minutes, and
longer on a slow machine. Then it stays up until Ctrl-C: open the desk of the watchdog's
monitor in a browser, at the URL in the file monitor.url, or use the tool vasistas.

Everything that it makes is in the directory of -dir: 260 MB for all rows. If there is a demo
in it already, the demo goes on: what was logged stays, and no row is logged twice. A
directory with anything else in it is refused.

Flags:
`

const exitCodes = `
Exit codes: 0 every proof held, every attack and every key that was barred was
refused, and the audit was clean but for the release that was hidden on purpose,
1 something failed, 2 wrong use.
`

type options struct {
	rows     int
	listen   string
	fallback bool // to a free port, as the user named none
	dir      string
	serve    bool // until ctx ends, once the story is told
	verbose  bool
	version  bool
}

// parseOptions writes help and errors to out.
func parseOptions(args []string, out io.Writer) (*options, error) {
	o := &options{}
	fs := flag.NewFlagSet("vasistas-demo", flag.ContinueOnError)
	fs.SetOutput(out)
	fs.IntVar(&o.rows, "rows", 0, "use the first `N` rows; 0 means all")
	fs.StringVar(&o.listen, "listen", "127.0.0.1:8080", "`address` of the log; port 0 takes a free one, and so does a\ndefault that is taken")
	fs.StringVar(&o.dir, "dir", "vasistas-demo-data", "`directory` of the demo")
	fs.BoolVar(&o.serve, "serve", true, "stay up until Ctrl-C once the story is told")
	fs.BoolVar(&o.verbose, "v", false, "tell the whole story, and not one line for each part of it")
	fs.BoolVar(&o.version, "version", false, "print the version, and do nothing else")
	fs.Usage = func() {
		fmt.Fprint(out, usage)
		fs.PrintDefaults()
		fmt.Fprint(out, exitCodes)
	}
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	// Absolute, so that the commands that the demo prints work anywhere.
	if dir, err := filepath.Abs(o.dir); err == nil && o.dir != "" {
		o.dir = dir
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
