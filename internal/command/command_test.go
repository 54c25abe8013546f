// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package command_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/vasistas/vasistas/internal/command"
)

// TestRun: wrong use exits with 2 and a failure with 1, each with a message.
func TestRun(t *testing.T) {
	commands := map[string]command.Command{
		"greet": func(_ context.Context, args []string, stdout, stderr io.Writer) error {
			fs := flag.NewFlagSet("greet", flag.ContinueOnError)
			name := fs.String("name", "", "whom")
			if err := command.Parse(fs, args, stderr); err != nil {
				return err
			}
			if *name == "" {
				return command.WrongUse("-name is missing")
			}
			fmt.Fprintln(stdout, "hello", *name)
			return nil
		},
		"fail": func(context.Context, []string, io.Writer, io.Writer) error { return errors.New("no disk") },
	}
	for _, c := range []struct {
		args           string
		code           int
		stdout, stderr string
	}{
		{"", 2, "", "the usage"},
		{"help", 0, "the usage", ""},
		{"--help", 0, "the usage", ""},
		{"version", 0, "prog ", ""},
		{"greet -name you", 0, "hello you", ""},
		{"greet -h", 0, "", "whom"},
		{"greet", 2, "", "prog greet: -name is missing"},
		{"greet -nme you", 2, "", "not defined"},
		{"greet -name you too", 2, "", `unexpected argument "too"`},
		{"fail", 1, "", "prog fail: no disk"},
		{"wave", 2, "", `there is no command "wave"`},
	} {
		var stdout, stderr bytes.Buffer
		code := command.Run(t.Context(), "prog", "the usage", commands, strings.Fields(c.args), &stdout, &stderr)
		if code != c.code || !strings.Contains(stdout.String(), c.stdout) || !strings.Contains(stderr.String(), c.stderr) ||
			c.stdout == "" && stdout.Len() > 0 || c.stderr == "" && stderr.Len() > 0 {
			t.Errorf("%q: %d, %q, %q", c.args, code, stdout.String(), stderr.String())
		}
	}
}
