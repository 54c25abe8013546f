// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package cli is the command vasistas, as a function that tests call in process. Each
// command has a file.
//
// Exit codes: 0 success, 1 failure, 2 wrong usage. verify, audit and scan differ: 0
// proven, clean or nothing found; 1 disproven, rules broken or a notice found; 2
// undecided.
//
// The command keeps no state but the files that its flags name. It trusts its operator's
// files, and of all other input only what the operator's policy accepts (C2SP tlog-policy).
// It writes private keys and openings with mode 0600, never overwrites them, and needs no
// secret as an argument.
package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/log/tlog"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
}

type exitError struct {
	code int
	err  error // nil: it was printed
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// Run runs the command with args, which do not include its name, and returns the exit code.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	e := &env{stdin, stdout, stderr}
	root := newRoot(e)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	exit, ok := errors.AsType[*exitError](err)
	if !ok {
		exit = &exitError{exitUsage, err} // of cobra's parsing
	}
	if exit.err != nil {
		fmt.Fprintf(stderr, "vasistas: %v\n", exit.err)
		if errors.Is(exit.err, fs.ErrExist) {
			fmt.Fprintln(stderr, "vasistas overwrites no file here: remove that one, or name another.")
		}
		if exit.code == exitUsage && cmd.Name() != "verify" && cmd.Name() != "audit" && cmd.Name() != "scan" {
			fmt.Fprintf(stderr, "See '%s --help'.\n", cmd.CommandPath())
		}
	}
	return exit.code
}

func newRoot(e *env) *cobra.Command {
	root := &cobra.Command{
		Use:   "vasistas",
		Short: "A transparency log for warrants and escrow access",
		Long: `vasistas makes keys, signs events, submits them to a log, and proves and verifies
the entries of a log.

It verifies everything on this machine, under the policy file that you give (C2SP
tlog-policy). It trusts neither the log nor the network.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.AddCommand(
		e.keygen(), e.sign(), e.show(), e.append(), e.prove(), e.verify(),
		e.follow(), e.audit(), e.policy(), e.charter(), e.vault(), e.escrow(), e.open(), e.scan(), e.version(),
	)
	return root
}

// do adapts a command's function to cobra. An error without an exit code gets exitFailed.
func do(f func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return orExit(exitFailed, f)
}

// orExit is do with another exit code.
func orExit(code int, f func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		err := f(c.Context(), args)
		if _, ok := errors.AsType[*exitError](err); err == nil || ok {
			return err
		}
		return &exitError{code, err}
	}
}

func (e *env) printJSON(v any) error {
	enc := json.NewEncoder(e.stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func (e *env) printf(format string, args ...any) {
	fmt.Fprintf(e.stdout, format, args...)
}

func (e *env) note(format string, args ...any) {
	fmt.Fprintf(e.stderr, format+"\n", args...)
}

// input opens a file; - is the standard input.
func (e *env) input(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(e.stdin), nil
	}
	return os.Open(name)
}

func (e *env) read(name string, limit int) ([]byte, error) {
	in, err := e.input(name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	b, err := io.ReadAll(io.LimitReader(in, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if len(b) > limit {
		return nil, fmt.Errorf("reading %s: it has more than %d bytes", name, limit)
	}
	return b, nil
}

// readAs reads and parses an input. Its errors name the file.
func readAs[T any](e *env, name string, limit int, parse func([]byte) (T, error)) (v T, err error) {
	b, err := e.read(name, limit)
	if err != nil {
		return v, err
	}
	if v, err = parse(b); err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return v, err
}

// line makes a parser ignore a line feed at the end, which editors add.
func line[T any](parse func([]byte) (T, error)) func([]byte) (T, error) {
	return func(b []byte) (T, error) { return parse(bytes.TrimSuffix(b, []byte("\n"))) }
}

const proofMagic = "c2sp.org/tlog-proof"

// unwrap returns entry and index of a proof file, or any other file without a line feed at
// its end.
func unwrap(b []byte) (entry []byte, index *uint64, err error) {
	if !bytes.HasPrefix(b, []byte(proofMagic)) {
		return bytes.TrimSuffix(b, []byte("\n")), nil, nil
	}
	proof, err := tlog.ParseProof(b)
	if err == nil && len(proof.Extra) == 0 {
		err = errors.New("the proof does not carry its entry")
	}
	if err != nil {
		return nil, nil, err
	}
	return proof.Extra, &proof.Index, nil
}
