// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package witnesscmd is the command vasistas-witness, as a function that tests call in
// process. It only reads flags and files: package witness keeps all promises.
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
	keygen       create the witness's keys
	vkey         print the public keys, for policies
	init         create an empty state, once, for keys that never signed
	serve        answer requests (the default)
	resume-lost  replace a lost state by the heads that the logs publish
	version      print the version
	help         print this text, or the flags of a command

To set up a witness:
	vasistas-witness keygen -name witness.example/w1 -out keys
	vasistas-witness init -dir state -key keys/ed25519.key -key keys/mldsa44.key
	vasistas-witness serve -dir state -key keys/ed25519.key -key keys/mldsa44.key -logs logs.txt

A file of logs has the form of a trust policy (c2sp.org/tlog-policy):
	log <vkey> [<url>]
	quorum none
The URL is the one under which a log serves /checkpoint. The witness reads it at
the start, and refuses to start if it shows that the witness's state is old.
`

// errUsage is returned after printing a mistake in the arguments.
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
	{"keygen", "Create an Ed25519 and an ML-DSA-44 cosignature key, each in a file of mode 0600,\nand print the public keys and the lines for a policy.", keygen},
	{"vkey", "Print the verifier keys of key files.", vkey},
	{"init", "Create an empty state, in a directory that has none.\nOnly for keys that never signed: after the loss of a state use resume-lost.", initState},
	{"serve", "Answer requests until SIGINT or SIGTERM. SIGHUP reads the files of logs again.", serve},
	{"resume-lost", "Replace a lost state by the heads that the logs publish, under the same keys.\nIf the witness has cosigned more than is published, this breaks its promise, so\nconfirm it with the exact name in the witness's keys. Every log must answer or be\nskipped. Retiring the keys is the safe way.", resumeLost},
	{"version", "Print the version.", version},
}

// Run runs the command with args, which do not include its name, and returns its exit
// status: 0, 1 for a failure, 2 for a mistake in the arguments. It returns when ctx ends.
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

// parse parses the flags, of which those in required must be given.
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
