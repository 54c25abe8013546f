// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vasistas/vasistas/cmd/vasistas/cli"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/witness/witnesscmd"
)

func TestMain(m *testing.M) {
	program := func(run func() int) func() { return func() { os.Exit(run()) } }
	testscript.Main(m, map[string]func(){
		"vasistas-monitor": main,
		"vasistas": program(func() int {
			return cli.Run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
		}),
		"vasistas-witness": program(func() int {
			return witnesscmd.Run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
		}),
	})
}

func TestScripts(t *testing.T) {
	demo, err := filepath.Abs("../../log/profile/data/demo.profile")
	if err != nil {
		t.Fatal(err)
	}
	here, err := filepath.Abs("testdata/script")
	if err != nil {
		t.Fatal(err)
	}
	// The log's and the gate's programs can't be linked into this one.
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", bin+string(filepath.Separator), "../vasistas-log", "../vasistas-gate")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", bin+string(filepath.ListSeparator)+e.Getenv("PATH"))
			e.Setenv("DEMO", demo)
			e.Setenv("OTHERS", filepath.Join(filepath.Dir(here), "others"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"await": await, "field": field, "front": front, "now": now, "others": others, "served": served, "until": until, "walk": walk},
	})
}

// address reads the URL of a server from the file that it writes.
func address(name string) (string, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	at := strings.TrimSpace(string(b))
	if !strings.Contains(at, "://") {
		at = "http://" + at
	}
	return strings.TrimSuffix(at, "/"), nil
}

// await NAME ADDRFILE [PATH] waits until a server that was started in the background answers
// PATH (default: /readyz) with 200, and sets $NAME to its URL.
func await(ts *testscript.TestScript, _ bool, args []string) {
	path := "/readyz"
	if len(args) > 2 {
		path = args[2]
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var last error
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); <-tick.C {
		at, err := address(ts.MkAbs(args[1]))
		if err != nil {
			last = err
			continue
		}
		ts.Setenv(args[0], at)
		resp, err := http.Get(at + path)
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

// field NAME FILE MEMBER sets $NAME to a member of a JSON object: a text, or a whole number.
func field(ts *testscript.TestScript, _ bool, args []string) {
	var v map[string]json.RawMessage
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &v))
	if v[args[2]] == nil {
		ts.Fatalf("%s has no %s", args[1], args[2])
	}
	ts.Setenv(args[0], strings.Trim(string(v[args[2]]), `"`))
}

// now NAME DURATION sets $NAME to the time so long from now.
func now(ts *testscript.TestScript, _ bool, args []string) {
	d, err := time.ParseDuration(args[1])
	ts.Check(err)
	ts.Setenv(args[0], time.Now().Add(d).UTC().Format("2006-01-02T15:04:05Z"))
}

// until REGEXP COMMAND... runs a command until its output matches.
func until(ts *testscript.TestScript, _ bool, args []string) {
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); <-tick.C {
		err = ts.Exec(args[1], args[2:]...)
		if want.MatchString(ts.ReadFile("stdout")) {
			return
		}
	}
	ts.Fatalf("its output never matched %q, and it ended with %v", args[0], err)
}

// served REGEXP URL waits until a server answers what matches.
func served(ts *testscript.TestScript, _ bool, args []string) {
	want, err := regexp.Compile(args[0])
	ts.Check(err)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var body []byte
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); <-tick.C {
		resp, err := http.Get(args[1])
		ts.Check(err)
		body, err = io.ReadAll(resp.Body)
		resp.Body.Close()
		ts.Check(err)
		if want.Match(body) {
			return
		}
	}
	ts.Fatalf("it never served %q, but %s", args[0], body)
}

// front NAME ADDRFILE sets $NAME to the URL of a proxy for a server that will write ADDRFILE: a
// charter names an auditor's URL before the auditor can run.
func front(ts *testscript.TestScript, _ bool, args []string) {
	file := ts.MkAbs(args[1])
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			if at, err := address(file); err == nil {
				if to, err := url.Parse(at); err == nil {
					r.SetURL(to)
				}
			}
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	s := httptest.NewServer(proxy)
	ts.Defer(s.Close)
	ts.Setenv(args[0], s.URL)
}

// TestOneAtATime: while one command joins or pins a log, no other changes the files of the logs, and it says why.
func TestOneAtATime(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "logs"), 0o700); err != nil {
		t.Fatal(err)
	}
	lock, err := durable.LockDir(filepath.Join(dir, "logs"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	for _, args := range [][]string{
		{"pin", "-dir", dir, "-log", "http://127.0.0.1:1", "-founded", "AAAA"},
		{"serve", "-dir", dir, "-log", "http://127.0.0.1:1", "-listen", "127.0.0.1:0"},
	} {
		var out bytes.Buffer
		if code := program.Run(t.Context(), args, strings.NewReader(""), io.Discard, &out); code != 1 || !strings.Contains(out.String(), "another command joins or pins a log now") {
			t.Errorf("%s: %d, %s", args[0], code, &out)
		}
	}
}
