// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vasistas/vasistas/cmd/vasistas/cli"
	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/witness/witnesscmd"
)

var update = flag.Bool("update", false, "write the golden texts in the scripts")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"vasistas-gate":    main,
		"vasistas":         func() { command.Main(cli.Run) },
		"vasistas-witness": func() { command.Main(witnesscmd.Run) },
	})
}

func TestScripts(t *testing.T) {
	// The programs of log and monitor can't be linked into this one.
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", bin+string(filepath.Separator), "../vasistas-log", "../vasistas-monitor")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       *update,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", bin+string(filepath.ListSeparator)+e.Getenv("PATH"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"await": await, "expand": expand, "field": field, "mistake": mistake, "now": now, "until": until},
	})
}

func check(ts *testscript.TestScript, err error) {
	if err != nil {
		ts.Fatalf("%v", err)
	}
}

// await NAME ADDRFILE [PATH] waits until a server that was started in the
// background answers PATH (default: /readyz) with 200, and sets $NAME to its URL.
func await(ts *testscript.TestScript, _ bool, args []string) {
	path := "/readyz"
	if len(args) > 2 {
		path = args[2]
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var last error
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); <-tick.C {
		b, err := os.ReadFile(ts.MkAbs(args[1]))
		if err != nil {
			last = err
			continue
		}
		url := strings.TrimSpace(string(b))
		if !strings.Contains(url, "://") {
			url = "http://" + url
		}
		url = strings.TrimSuffix(url, "/")
		ts.Setenv(args[0], url)
		resp, err := http.Get(url + path)
		if err != nil {
			last = err
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK || path == "/" {
			return
		}
		last = errors.New(resp.Status)
	}
	ts.Fatalf("%s is not ready: %v", args[0], last)
}

// field NAME FILE MEMBER sets $NAME to a member of a JSON object.
func field(ts *testscript.TestScript, _ bool, args []string) {
	var v map[string]any
	check(ts, json.Unmarshal([]byte(ts.ReadFile(args[1])), &v))
	if v[args[2]] == nil {
		ts.Fatalf("%s has no %s", args[1], args[2])
	}
	switch x := v[args[2]].(type) {
	case float64:
		ts.Setenv(args[0], fmt.Sprintf("%.0f", x))
	default:
		ts.Setenv(args[0], fmt.Sprint(x))
	}
}

// now NAME SECONDS sets $NAME to the time so many seconds from now.
func now(ts *testscript.TestScript, _ bool, args []string) {
	d, err := time.ParseDuration(args[1])
	check(ts, err)
	ts.Setenv(args[0], time.Now().Add(d).UTC().Format("2006-01-02T15:04:05Z"))
}

// expand FILE replaces $NAME in a file.
func expand(ts *testscript.TestScript, _ bool, args []string) {
	check(ts, os.WriteFile(ts.MkAbs(args[0]), []byte(os.Expand(ts.ReadFile(args[0]), ts.Getenv)), 0o600))
}

// mistake COMMAND... runs a command that must fail, and appends to the file "said" the command,
// its exit code and what it prints, with placeholders for what differs between runs.
func mistake(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[0], args[1:]...)
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		ts.Fatalf("no mistake: %v", err)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "$ %s\nexit code %d\n%s%s\n", strings.Join(args, " "), exit.ExitCode(), ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	said := strings.ReplaceAll(text.String(), ts.Getenv("WORK")+"/", "")
	for _, r := range []struct{ pattern, by string }{
		{`127\.0\.0\.1:\d{2,}`, "127.0.0.1:PORT"},
		{`\b[0-9a-f]{64}\b`, "HASH"},
		{`[0-9A-Za-z+/]{43}=|\b[0-9A-Za-z_-]{43}\b`, "HASH"},
		{`\+[0-9a-f]{8}\b`, "+KEYID"},
		{`process \d+`, "process N"},
		{`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`, "TIME"},
		{`\d+(\.\d+)?(m?s| seconds?)( old)`, "AGE$3"},
	} {
		said = regexp.MustCompile(r.pattern).ReplaceAllString(said, r.by)
	}
	f, err := os.OpenFile(ts.MkAbs("said"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	check(ts, err)
	_, err = f.WriteString(said)
	check(ts, errors.Join(err, f.Close()))
}

// until TEXT COMMAND... runs a command until its output has TEXT.
func until(ts *testscript.TestScript, _ bool, args []string) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var last error
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); <-tick.C {
		last = ts.Exec(args[1], args[2:]...)
		if strings.Contains(ts.ReadFile("stdout"), args[0]) {
			return
		}
	}
	ts.Fatalf("it never printed %q, and ended with %v", args[0], last)
}
