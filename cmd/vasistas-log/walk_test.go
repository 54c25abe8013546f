// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

const (
	walkDoc     = "../../docs/operations.md"
	walkSection = "## All of it on one machine, step by step\n"
)

// walkCommands returns the commands of the walk, as they stand in the document.
func walkCommands() (string, error) {
	doc, err := os.ReadFile(walkDoc)
	if err != nil {
		return "", err
	}
	_, section, ok := strings.Cut(string(doc), walkSection)
	if !ok {
		return "", fmt.Errorf("%s has no section %q", walkDoc, walkSection)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var b strings.Builder
	for line := range strings.Lines(section) {
		if command, ok := strings.CutPrefix(line, "    "); ok {
			b.WriteString(command)
		}
	}
	return b.String(), nil
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

// walk runs the commands of docs/operations.md in a shell, and prints what they do.
// What they leave running is ended.
func walk(ts *testscript.TestScript, _ bool, _ []string) {
	commands, err := walkCommands()
	check(ts, err)
	ports, err := freePorts()
	check(ts, err)
	// The document has ports that people remember.
	commands = strings.NewReplacer(":8080", fmt.Sprintf(":%d0", ports), ":738", fmt.Sprintf(":%d", ports)).Replace(commands)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-e", "-c", commands)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "PATH="+ts.Getenv("PATH"), "HOME="+ts.MkAbs("."))
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
	fmt.Fprintf(ts.Stdout(), "%s", said)
}

// TestWalkIsWhole: no command of the document is overlooked, as one that stands in
// another kind of block would be.
func TestWalkIsWhole(t *testing.T) {
	commands, err := walkCommands()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"vasistas-witness serve", "vasistas-log serve", "vasistas sign", "vasistas verify", "vasistas audit", "vasistas-log recover"} {
		if !strings.Contains(commands, want) {
			t.Errorf("there is no %q in:\n%s", want, commands)
		}
	}
	if strings.Contains(commands, "```") {
		t.Error("there is another kind of block")
	}
}
