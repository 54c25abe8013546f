// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
)

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain\ttext, ümläut\u00a0— 5\u202f€\n": "plain\ttext, ümläut\u00a0— 5\u202f€\n",
		"a\x1b[2Jb\x1b]0;t\x07c\rd\x00":         "a\ufffd[2Jb\ufffd]0;t\ufffdc\ufffdd\ufffd",
		"C1 \u009b2J, bidi \u202e, \x7f":        "C1 \ufffd2J, bidi \ufffd, \ufffd",
		"bad \xff\xc3( utf-8":                   "bad \ufffd\ufffd( utf-8",
	} {
		for n := 1; n < 6; n++ { // in pieces, which cut characters
			var out bytes.Buffer
			w := Clean(&out)
			for b := []byte(in); len(b) > 0; b = b[min(n, len(b)):] {
				if k, err := w.Write(b[:min(n, len(b))]); err != nil || k != min(n, len(b)) {
					t.Fatal(k, err)
				}
			}
			if out.String() != want {
				t.Errorf("%q in pieces of %d: %q, want %q", in, n, out.String(), want)
			}
		}
	}
}

// TestRunIsClean: neither a command's output nor its error reaches the terminal with escapes.
func TestRunIsClean(t *testing.T) {
	var out, errs bytes.Buffer
	commands := map[string]Command{"x": func(_ context.Context, c *Call) error {
		fmt.Fprintln(c.Stdout, "out\x1b[2J")
		fmt.Fprintln(c.Stderr, "note\x1b[2J")
		return errors.New("certificate for evil\x1b[2J.example")
	}}
	if code := (Program{Name: "p", Commands: commands}).Run(t.Context(), []string{"x"}, nil, &out, &errs); code != 1 {
		t.Error(code)
	}
	if want := "out\ufffd[2J\n"; out.String() != want {
		t.Errorf("%q", out.String())
	}
	if want := "note\ufffd[2J\np x: certificate for evil\ufffd[2J.example\n"; errs.String() != want {
		t.Errorf("%q", errs.String())
	}
}
