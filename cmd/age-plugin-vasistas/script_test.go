// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs whole cases with the programs themselves, and age: each party has its
// own process.
func TestScripts(t *testing.T) {
	bin := t.TempDir()
	for _, pkg := range []string{"filippo.io/age/cmd/age", "filippo.io/age/cmd/age-keygen", ".", "../vasistas", "../vasistas-log", "../vasistas-witness", "../vasistas-gate"} {
		build := exec.Command("go", "build", "-o", bin+string(filepath.Separator), pkg)
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", bin+string(filepath.ListSeparator)+e.Getenv("PATH"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"await": await, "field": field, "now": now, "until": until, "code": code,
		},
	})
}

func check(ts *testscript.TestScript, err error) {
	if err != nil {
		ts.Fatalf("%v", err)
	}
}

// eventually tries until it works, for five minutes at most.
func eventually(ts *testscript.TestScript, what string, try func() error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var last error
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); <-tick.C {
		if last = try(); last == nil {
			return
		}
	}
	ts.Fatalf("%s: %v", what, last)
}

// await NAME ADDRFILE [PATH] waits until a server that was started in the background
// answers PATH (default: /readyz), and sets $NAME to its URL.
func await(ts *testscript.TestScript, _ bool, args []string) {
	path := "/readyz"
	if len(args) > 2 {
		path = args[2]
	}
	eventually(ts, args[0], func() error {
		b, err := os.ReadFile(ts.MkAbs(args[1]))
		if err != nil {
			return err
		}
		url := strings.TrimSuffix(strings.TrimSpace(string(b)), "/")
		if !strings.Contains(url, "://") {
			url = "http://" + url
		}
		ts.Setenv(args[0], url)
		resp, err := http.Get(url + path)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK && path != "/" {
			return errors.New(resp.Status)
		}
		return nil
	})
}

// until TEXT COMMAND... runs a command until its output has TEXT.
func until(ts *testscript.TestScript, _ bool, args []string) {
	eventually(ts, args[0], func() error {
		err := ts.Exec(args[1], args[2:]...)
		if strings.Contains(ts.ReadFile("stdout"), args[0]) {
			return nil
		}
		return fmt.Errorf("it did not say so, and ended with %v", err)
	})
}

// field NAME FILE MEMBER sets $NAME to a member of a JSON object.
func field(ts *testscript.TestScript, _ bool, args []string) {
	var v map[string]json.RawMessage
	check(ts, json.Unmarshal([]byte(ts.ReadFile(args[1])), &v))
	var s string
	if json.Unmarshal(v[args[2]], &s) != nil {
		s = string(v[args[2]])
	}
	if s == "" {
		ts.Fatalf("%s has no %s", args[1], args[2])
	}
	ts.Setenv(args[0], s)
}

// now NAME DURATION sets $NAME to the time so long from now.
func now(ts *testscript.TestScript, _ bool, args []string) {
	d, err := time.ParseDuration(args[1])
	check(ts, err)
	ts.Setenv(args[0], time.Now().Add(d).UTC().Format("2006-01-02T15:04:05Z"))
}

// code N COMMAND... runs a command that must exit with N.
func code(ts *testscript.TestScript, _ bool, args []string) {
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if fmt.Sprint(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}
