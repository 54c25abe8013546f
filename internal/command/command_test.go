// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package command_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/vasistas/vasistas/internal/command"
)

// TestMain lets the test program be a program of [command.Main].
func TestMain(m *testing.M) {
	if os.Getenv("VASISTAS_COMMAND_TEST") != "" {
		command.Main(func(_ context.Context, _ []string, _ io.Reader, stdout, stderr io.Writer) int {
			fmt.Fprintln(stderr, "a message")
			fmt.Fprintln(stderr, "another message")
			fmt.Fprintln(stdout, "alive")
			return 7
		})
	}
	os.Exit(m.Run())
}

// TestReaderGone: a program outlives the reader of its messages.
func TestReaderGone(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env, cmd.Stderr = append(os.Environ(), "VASISTAS_COMMAND_TEST=1"), w
	out, _ := cmd.Output()
	if string(out) != "alive\n" || cmd.ProcessState.ExitCode() != 7 {
		t.Errorf("%q, %v", out, cmd.ProcessState)
	}
}

type fullWriter struct{}

func (fullWriter) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// TestNotWritten: output that could not be written is a failure, whatever the command says.
func TestNotWritten(t *testing.T) {
	commands := map[string]command.Command{
		"say": func(_ context.Context, c *command.Call) error {
			fmt.Fprintln(c.Stdout, "hello")
			return nil
		},
		"act": func(context.Context, *command.Call) error { return nil },
	}
	for args, want := range map[string]int{"say": 1, "version": 1, "--version": 1, "help": 1, "act": 0} {
		var stderr bytes.Buffer
		code := command.Program{Name: "prog", Usage: "the usage", Commands: commands}.Run(t.Context(), []string{args}, nil, fullWriter{}, &stderr)
		if code != want || strings.Contains(stderr.String(), "no space left") != (want == 1) {
			t.Errorf("%s: %d, %q", args, code, stderr.String())
		}
	}
}

// TestRun: wrong use exits with 2 and a failure with 1, each with a message.
func TestRun(t *testing.T) {
	commands := map[string]command.Command{
		"greet": func(_ context.Context, c *command.Call) error {
			name := c.Flags.String("name", "", "whom")
			if err := c.Parse(); err != nil {
				return err
			}
			if *name == "" {
				return command.WrongUse("-name is missing")
			}
			fmt.Fprintln(c.Stdout, "hello", *name)
			return nil
		},
		"fail": func(context.Context, *command.Call) error { return errors.New("no disk") },
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
		{"-version", 0, "prog ", ""},
		{"--version", 0, "prog ", ""},
		{"greet -name you", 0, "hello you", ""},
		{"greet -h", 0, "", "whom"},
		{"greet", 2, "", "prog greet: -name is missing"},
		{"greet --name=you", 0, "hello you", ""},
		{"greet -nme you", 2, "", "prog greet: unknown flag: -nme\nSee 'prog greet --help'.\n"},
		{"greet -name you too", 2, "", `unexpected argument "too"`},
		{"fail", 1, "", "prog fail: no disk"},
		{"wave", 2, "", `there is no command "wave"`},
	} {
		var stdout, stderr bytes.Buffer
		code := command.Program{Name: "prog", Usage: "the usage", Commands: commands}.Run(t.Context(), strings.Fields(c.args), nil, &stdout, &stderr)
		if code != c.code || !strings.Contains(stdout.String(), c.stdout) || !strings.Contains(stderr.String(), c.stderr) ||
			c.stdout == "" && stdout.Len() > 0 || c.stderr == "" && stderr.Len() > 0 {
			t.Errorf("%q: %d, %q, %q", c.args, code, stdout.String(), stderr.String())
		}
	}
}
