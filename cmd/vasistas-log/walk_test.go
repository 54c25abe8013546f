// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// walkSections are run in one shell, in this order, each where the one before it ends. A
// section without a heading is a whole document.
var walkSections = []struct{ doc, heading string }{
	{"operations.md", "## All of it on one machine, step by step\n"},
	{"operations.md", "## Another key for the log\n"},
	{"drills.md", ""},
	{"http.md", ""},
}

// example is a command that stands after "$ " in a document, and the answer that follows it.
type example struct {
	doc, command, answer string
}

// walkCommands returns the commands of the walk, as they stand in the documents, and its examples.
// The commands write the output of example N to the file N.answer.
func walkCommands() (string, []example, error) {
	var commands strings.Builder
	var examples []example
	for _, s := range walkSections {
		b, err := os.ReadFile(filepath.Join("../../docs", s.doc))
		if err != nil {
			return "", nil, err
		}
		_, section, ok := strings.Cut("\n"+string(b), "\n"+s.heading)
		if !ok {
			return "", nil, fmt.Errorf("%s has no section %q", s.doc, s.heading)
		}
		if s.heading != "" {
			section, _, _ = strings.Cut(section, "\n## ")
		}
		answers := false // the lines that follow are an example's answer
		for line := range strings.Lines(section) {
			text, ok := strings.CutPrefix(line, "    ")
			command, prompt := strings.CutPrefix(text, "$ ")
			switch {
			case ok && prompt:
				// Without the colon, dash takes the outer redirection for that of a subshell.
				fmt.Fprintf(&commands, "{ %s\n:\n} > %d.answer 2>&1 || :\n", strings.TrimSpace(command), len(examples))
				examples, answers = append(examples, example{doc: s.doc, command: command}), true
			case answers && (ok || line == "\n"): // an answer may have an empty line
				examples[len(examples)-1].answer += strings.TrimPrefix(line, "    ")
			case ok:
				commands.WriteString(text)
			default:
				answers = false
			}
		}
	}
	return commands.String(), examples, nil
}

// compare reports an answer that is not as the document has it, where ... stands for any text.
func (e *example) compare(got string) error {
	want := strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(e.answer)), `\.\.\.`, `[\s\S]*?`)
	got = strings.TrimSpace(strings.ReplaceAll(got, "\r", ""))
	if e.answer != "" && !regexp.MustCompile("^"+want+"$").MatchString(got) {
		return fmt.Errorf("docs/%s: $ %s\ngot: %s\nwant: %s", e.doc, e.command, got, e.answer)
	}
	return nil
}

// freePorts returns a number n such that the ports 10n to 10n+9 are free. They are below
// those that the system gives away, so no other process takes one in passing.
func freePorts() (int, error) {
	for range 100 {
		n := 1100 + rand.IntN(2000)
		free := true
		for i := range 10 {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10*n+i))
			if err != nil {
				free = false
				break
			}
			l.Close()
		}
		if free {
			return n, nil
		}
	}
	return 0, fmt.Errorf("no ten ports in a row are free")
}

// walk runs the commands of the documents in a shell, prints what they do, and compares the
// answers. What they leave running is ended.
func walk(ts *testscript.TestScript, _ bool, _ []string) {
	commands, examples, err := walkCommands()
	check(ts, err)
	ports, err := freePorts()
	check(ts, err)
	// The documents have ports that people remember.
	commands = strings.NewReplacer(":8080", fmt.Sprintf(":%d0", ports), ":738", fmt.Sprintf(":%d", ports)).Replace(commands)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	// These programs can't be linked into this one.
	bin := ts.MkAbs("bin")
	build := exec.CommandContext(ctx, "go", "build", "-o", bin+string(filepath.Separator), "../vasistas-gate", "../vasistas-monitor", "filippo.io/age/cmd/age-keygen")
	if out, err := build.CombinedOutput(); err != nil {
		ts.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.CommandContext(ctx, "sh", "-e", "-c", commands)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "PATH="+bin+string(filepath.ListSeparator)+ts.Getenv("PATH"), "HOME="+ts.MkAbs("."))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := os.Create(filepath.Join(cmd.Dir, "walk.out")) // no pipe, which what is left running would keep open
	check(ts, err)
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	check(ts, cmd.Start())
	err = cmd.Wait()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // an error: all have ended
	said, readErr := os.ReadFile(out.Name())
	check(ts, readErr)
	if err != nil {
		ts.Fatalf("%v\n%s", err, said)
	}
	var wrong []error
	for i, e := range examples {
		wrong = append(wrong, e.compare(ts.ReadFile(fmt.Sprintf("%d.answer", i))))
	}
	check(ts, errors.Join(wrong...))
	fmt.Fprintf(ts.Stdout(), "%s", said)
}

// TestWalkIsWhole: no command of the documents is overlooked, as one that stands in
// another kind of block would be.
func TestWalkIsWhole(t *testing.T) {
	commands, examples, err := walkCommands()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"vasistas-witness serve", "vasistas-log serve", "vasistas sign", "vasistas verify", "vasistas audit", "vasistas-log recover",
		"vasistas policy of", "vasistas vault check", "vasistas-gate confirm", "vasistas escrow rewrap"} {
		if !strings.Contains(commands, want) {
			t.Errorf("there is no %q in:\n%s", want, commands)
		}
	}
	if strings.Contains(commands, "```") {
		t.Error("there is another kind of block")
	}
	// Each resource of the four programs has an example.
	var asked strings.Builder
	for _, e := range examples {
		asked.WriteString(e.command)
	}
	for _, want := range []string{":8080/healthz", ":8080/readyz", ":8080/metrics", ":8080/checkpoint", ":8080/charter", ":8080/audit/round", ":8080/audit/checkpoint",
		":8080/tile/0/", ":8080/tile/entries/", ":8080/events", ":7381/add-checkpoint", ":7381/$HASH/checkpoint", ":7381/readyz",
		":7385/release", ":7385/events", ":7385/status", ":7385/readyz", ":7389/status", ":7389/readyz", ":7389/$HASH/checkpoint", ":7389/events"} {
		if !strings.Contains(asked.String(), want) {
			t.Errorf("docs/http.md has no example of %s", want)
		}
	}
	e := example{answer: "{...,\"status\":404}\n"}
	if e.compare("{\"a\":1,\"status\":404}\r\n") != nil || e.compare("{\"a\":1,\"status\":405}") == nil {
		t.Error("an answer is not compared")
	}
}
