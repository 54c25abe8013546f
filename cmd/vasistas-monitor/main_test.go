// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vasistas/vasistas/cmd/vasistas/cli"
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
	// The log's program can't be linked into this one.
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", bin+string(filepath.Separator), "../vasistas-log")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", bin+string(filepath.ListSeparator)+e.Getenv("PATH"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"await": await, "front": front},
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
