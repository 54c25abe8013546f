// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package witnesscmd is the command vasistas-witness, as a function that
// end-to-end tests and demonstrations call in process. It reads flags and
// files, and leaves everything that must hold to package witness.
package witnesscmd

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/vasistas/vasistas/internal/command"
)

const usage = `vasistas-witness cosigns the checkpoints of transparency logs (c2sp.org/tlog-witness).

Usage:
	vasistas-witness <command> [flags]

Commands:
	keygen       make the witness's keys
	vkey         print the public half of keys, for policies
	init         make an empty state, once, for keys that never signed
	serve        answer requests (the default)
	resume-lost  take up a lost state at what the logs publish
	version      print the version
	help         print this, or with the name of a command its flags

To set up a witness:
	vasistas-witness keygen -name witness.example/w1 -out keys
	vasistas-witness init -dir state -key keys/ed25519.key -key keys/mldsa44.key
	vasistas-witness serve -dir state -key keys/ed25519.key -key keys/mldsa44.key -logs logs.txt

A file of logs has the form of a trust policy (c2sp.org/tlog-policy):
	log <vkey> [<url>]
	quorum none
Give the URL under which a log serves /checkpoint: at the start the witness asks
there whether its own state is the latest, and refuses to start if it is not.
`

// errUsage is a mistake in the arguments; its text was printed already.
var errUsage = errors.New("usage")

type call struct {
	args   []string
	stdout io.Writer
	stderr io.Writer
	flags  *flag.FlagSet
}

type runner func(ctx context.Context, c *call) error

var commands = []struct {
	name, summary string
	run           runner
}{
	{"keygen", "Make an Ed25519 and an ML-DSA-44 cosignature key, each in a file of mode 0600,\nand print their public halves and the lines for a policy.", keygen},
	{"vkey", "Print the verifier keys of key files.", vkey},
	{"init", "Make an empty state. It refuses a directory that has one.\nOnly for keys that never signed: a state that was lost is taken up by resume-lost.", initState},
	{"serve", "Answer requests until SIGINT or SIGTERM. SIGHUP reads the files of logs again.", serve},
	{"resume-lost", "Take up a lost state under the same keys, at the heads that the logs publish.\nThis breaks the witness's promise if more was cosigned than is published; so\nacknowledge it with the exact name in the witness's keys. Every log must answer,\nor be skipped. Retiring the keys is the safe way.", resumeLost},
	{"version", "Print the version.", version},
}

// Run runs the command with args, which do not include its name, and returns
// its exit status: 0, 1 for a failure, 2 for a mistake in the arguments. It
// returns when ctx is done.
func Run(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
	err := dispatch(ctx, args, stdout, stderr)
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		return 2
	}
	fmt.Fprintf(stderr, "vasistas-witness: %v\n", err)
	return 1
}

func dispatch(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	name := "serve"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		name, args = args[0], args[1:]
	} else if len(args) > 0 && slices.Contains([]string{"-h", "-help", "--help"}, args[0]) {
		name, args = "help", nil
	}
	if name == "help" {
		if len(args) == 0 {
			_, err := fmt.Fprint(stdout, usage)
			return err
		}
		name, args, stderr = args[0], []string{"-help"}, stdout
	}
	for _, cmd := range commands {
		if cmd.name != name {
			continue
		}
		c := &call{args: args, stdout: stdout, stderr: stderr}
		c.flags = flag.NewFlagSet("vasistas-witness "+name, flag.ContinueOnError)
		c.flags.SetOutput(stderr)
		c.flags.Usage = func() {
			fmt.Fprintf(c.flags.Output(), "Usage: vasistas-witness %s [flags]\n\n%s\n\n", name, cmd.summary)
			c.flags.PrintDefaults()
		}
		return cmd.run(ctx, c)
	}
	fmt.Fprintf(stderr, "vasistas-witness: there is no command %q; see vasistas-witness help\n", name)
	return errUsage
}

// parse parses the flags; required are those that must be given.
func (c *call) parse(required ...string) error {
	if err := c.flags.Parse(c.args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errUsage
	}
	if c.flags.NArg() > 0 {
		return c.mistake("%q is not a flag", c.flags.Arg(0))
	}
	given := make(map[string]bool)
	c.flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for _, name := range required {
		if !given[name] {
			return c.mistake("-%s is missing", name)
		}
	}
	return nil
}

func (c *call) mistake(format string, args ...any) error {
	fmt.Fprintf(c.stderr, "%s: %s; see -help\n", c.flags.Name(), fmt.Sprintf(format, args...))
	return errUsage
}

func version(_ context.Context, c *call) error {
	if err := c.parse(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.stdout, "vasistas-witness %s\n", command.Version())
	return err
}
