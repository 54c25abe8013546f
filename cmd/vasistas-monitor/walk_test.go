// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

const walkDoc = "../../docs/first-hour.md"

// A step is a command of the document, with the lines that it must print.
type step struct {
	command string
	prints  []string
}

// walks returns the blocks of the document's sections, by the last word of the section's heading.
func walks() (map[string][][]step, error) {
	doc, err := os.ReadFile(walkDoc)
	if err != nil {
		return nil, err
	}
	blocks := make(map[string][][]step)
	name, inside := "", false
	for line := range strings.Lines(strings.ReplaceAll(string(doc), "\\\n", "")) {
		line = strings.TrimRight(line, "\n")
		text, ok := strings.CutPrefix(line, "    ")
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			name = heading[strings.LastIndex(heading, " ")+1:]
		}
		switch list := blocks[name]; {
		case !ok:
		case strings.HasPrefix(text, "$ "):
			if !inside {
				list = append(list, nil)
			}
			list[len(list)-1] = append(list[len(list)-1], step{command: text[2:]})
			blocks[name] = list
		case !inside:
			return nil, fmt.Errorf("%s: a block begins with %q, and with no command", walkDoc, text)
		default:
			last := list[len(list)-1]
			last[len(last)-1].prints = append(last[len(last)-1].prints, text)
		}
		inside = ok
	}
	return blocks, nil
}

// walk N [OLD=NEW...] runs the commands of block N of the document's section whose heading ends with the
// script's name, in the order in which they stand there, after OLD was replaced. A command succeeds, unless the
// next one shows its exit code. The lines below a command are among those that it prints, in this order; there,
// ... stands for anything.
func walk(ts *testscript.TestScript, _ bool, args []string) {
	all, err := walks()
	ts.Check(err)
	n := int(args[0][0] - '1')
	if len(args[0]) != 1 || n < 0 || n >= len(all[ts.Name()]) {
		ts.Fatalf("%s has no block %s for the %s", walkDoc, args[0], ts.Name())
	}
	var pairs []string
	for _, a := range args[1:] {
		before, after, _ := strings.Cut(a, "=>")
		pairs = append(pairs, before, after)
	}
	replace := strings.NewReplacer(pairs...).Replace
	block, code := all[ts.Name()][n], 0
	for i, s := range block {
		var out string
		ts.Logf("$ %s", replace(s.command))
		out, code = shell(ts, fmt.Sprintf("(exit %d)\n%s", code, replace(s.command)))
		ts.Logf("%s", out)
		if code != 0 && (i+1 == len(block) || block[i+1].command != "echo $?") {
			ts.Fatalf("the exit code is %d", code)
		}
		rest := out
		for _, want := range s.prints {
			line := regexp.MustCompile("(?m)^" + strings.ReplaceAll(regexp.QuoteMeta(replace(want)), `\.\.\.`, ".*") + "$")
			at := line.FindStringIndex(rest)
			if at == nil {
				ts.Fatalf("it does not print, or not in this order: %s", want)
			}
			rest = rest[at[1]:]
		}
	}
}

// others FILE runs a shell script of what the other parties do.
func others(ts *testscript.TestScript, _ bool, args []string) {
	if out, code := shell(ts, "set -e\n"+ts.ReadFile(args[0])); code != 0 {
		ts.Fatalf("%s: exit code %d\n%s", args[0], code, out)
	}
}

// shell runs commands in the script's directory, and returns what they print and their exit code. What they
// leave running ends with the script.
func shell(ts *testscript.TestScript, commands string) (string, int) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	out, err := os.CreateTemp(ts.Getenv("TMPDIR"), "out") // no pipe, which what is left running would keep open
	ts.Check(err)
	defer out.Close()
	cmd := exec.CommandContext(ctx, "sh", "-c", commands)
	cmd.Dir, cmd.Stdout, cmd.Stderr = ts.MkAbs("."), out, out
	cmd.Env = append(os.Environ(), "HOME="+ts.Getenv("WORK"))
	for _, name := range []string{"PATH", "OTHERS", "EVENTKEY", "AGO", "UNTIL"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	kill := func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Cancel = kill
	ts.Check(cmd.Start())
	if strings.Contains(commands, "&\n") || strings.HasSuffix(commands, "&") {
		ts.Defer(func() { _ = kill() }) // an error: all have ended
	}
	err = cmd.Wait()
	if _, exited := errors.AsType[*exec.ExitError](err); !exited {
		ts.Check(err)
	}
	b, err := os.ReadFile(out.Name())
	ts.Check(err)
	return string(b), cmd.ProcessState.ExitCode()
}

// TestWalksAreWhole: the scripts walk every block of the document.
func TestWalksAreWhole(t *testing.T) {
	all, err := walks()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 5 {
		t.Errorf("the document has walks for %v", slices.Sorted(maps.Keys(all)))
	}
	for name, blocks := range all {
		script, err := os.ReadFile("testdata/script/" + name + ".txtar")
		if err != nil {
			t.Error(err)
			continue
		}
		for n := range blocks {
			if !regexp.MustCompile(fmt.Sprintf(`(?m)^walk %d\b`, n+1)).Match(script) {
				t.Errorf("%s.txtar does not walk block %d", name, n+1)
			}
		}
	}
}
