// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vasistas/vasistas/cmd/vasistas/cli"
	"github.com/vasistas/vasistas/internal/trilliantest"
	"github.com/vasistas/vasistas/witness/witnesscmd"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"vasistas-witness": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
			code := witnesscmd.Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
			stop()
			os.Exit(code)
		},
		"vasistas-log": func() {
			// So that the same scripts make their logs in Trillian.
			if addr := os.Getenv("TRILLIAN"); addr != "" && len(os.Args) > 1 && os.Args[1] == "init" {
				os.Args = append(os.Args, "-engine", "trillian", "-trillian", addr)
			}
			main()
		},
		"vasistas": func() {
			os.Exit(cli.Run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
		},
	})
}

// TestScripts runs the commands over POSIX files.
func TestScripts(t *testing.T) { runScripts(t, nil, nil, "testdata/script/*.txtar") }

// TestTrillianScripts runs the same over Trillian, and what is to be seen there
// only. Left out is what happens to the files of the other engine.
func TestTrillianScripts(t *testing.T) {
	tr := trilliantest.StartTrillian(t, trilliantest.StartPostgres(t))
	bucket := trilliantest.StartS3(t)
	setup := func(e *testscript.Env) error {
		e.Setenv("TRILLIAN", tr.Addr())
		e.Setenv("TILES", bucket.URL("log"))
		e.Setenv("AWS_ACCESS_KEY_ID", trilliantest.S3Key)
		e.Setenv("AWS_SECRET_ACCESS_KEY", trilliantest.S3Secret)
		return nil
	}
	runScripts(t, setup, nil, "testdata/script/life.txtar", "testdata/script/use.txtar", "testdata/trillian/*.txtar")
}

// TestDatabaseScripts runs what several instances share.
func TestDatabaseScripts(t *testing.T) {
	dsn := trilliantest.StartPostgres(t).CreateDatabase(t, "vasistas") // of the one script
	setup := func(e *testscript.Env) error {
		e.Setenv("DATABASE", dsn)
		return nil
	}
	runScripts(t, setup, nil, "testdata/database/standby.txtar")
}

// TestRestoredScripts runs what restores Trillian's database from a backup.
func TestRestoredScripts(t *testing.T) {
	db := trilliantest.StartPostgres(t)
	tr := trilliantest.StartTrillian(t, db)
	setup := func(e *testscript.Env) error {
		e.Setenv("TRILLIAN", tr.Addr())
		return nil
	}
	var kept string
	runScripts(t, setup, commands{
		"backup":  func(*testscript.TestScript, bool, []string) { kept = db.Backup(t) },
		"restore": func(*testscript.TestScript, bool, []string) { db.Restore(t, kept) },
	}, "testdata/restored/*.txtar")
}

// commands are those of scripts.
type commands = map[string]func(*testscript.TestScript, bool, []string)

func runScripts(t *testing.T, setup func(*testscript.Env) error, more commands, patterns ...string) {
	var files []string
	for _, p := range patterns {
		found, err := filepath.Glob(p)
		if err != nil || len(found) == 0 {
			t.Fatalf("no scripts %s: %v", p, err)
		}
		files = append(files, found...)
	}
	cmds := commands{"appear": appear, "await": await, "standby": standby, "code": code, "mode": mode, "damage": damage, "refuses": refuses, "walk": walk}
	maps.Copy(cmds, more)
	testscript.Run(t, testscript.Params{
		Files:               files,
		Setup:               setup,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                cmds,
	})
}

func check(ts *testscript.TestScript, err error) {
	if err != nil {
		ts.Fatalf("%v", err)
	}
}

// appear FILE waits until a command in the background has written a file.
func appear(ts *testscript.TestScript, _ bool, args []string) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); <-tick.C {
		if info, err := os.Stat(ts.MkAbs(args[0])); err == nil && info.Size() > 0 {
			return
		}
	}
	ts.Fatalf("%s did not appear", args[0])
}

// await NAME ADDRFILE waits until a log that was started in the background is
// ready, and sets $NAME to its URL, and $NAME_ADMIN to its operator's.
func await(ts *testscript.TestScript, _ bool, args []string) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var last error
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); <-tick.C {
		b, err := os.ReadFile(ts.MkAbs(args[1]))
		if err != nil {
			last = err
			continue
		}
		urls := strings.Fields(string(b))
		admin := strings.TrimSuffix(urls[len(urls)-1], "/")
		ts.Setenv(args[0], strings.TrimSuffix(urls[0], "/"))
		ts.Setenv(args[0]+"_ADMIN", admin)
		resp, err := http.Get(admin + "/readyz")
		if err != nil {
			last = err
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return
		}
		last = errors.New(resp.Status)
	}
	ts.Fatalf("the log is not ready: %v", last)
}

// standby NAME ADDRFILE waits until an instance that was started in the background is a
// standby, and sets $NAME to its URL.
func standby(ts *testscript.TestScript, _ bool, args []string) {
	appear(ts, false, args[1:])
	refuses(ts, false, []string{args[1], "is a standby"})
	b, err := os.ReadFile(ts.MkAbs(args[1]))
	check(ts, err)
	ts.Setenv(args[0], strings.TrimSuffix(strings.TrimSpace(string(b)), "/"))
}

// refuses ADDRFILE TEXT waits until a log is not ready, for a reason with that text.
func refuses(ts *testscript.TestScript, _ bool, args []string) {
	b, err := os.ReadFile(ts.MkAbs(args[0]))
	check(ts, err)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var last string
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); <-tick.C {
		resp, err := http.Get(strings.TrimSuffix(strings.TrimSpace(string(b)), "/") + "/readyz")
		check(ts, err)
		body, err := io.ReadAll(resp.Body)
		check(ts, errors.Join(err, resp.Body.Close()))
		if last = string(body); resp.StatusCode != http.StatusOK && strings.Contains(last, args[1]) {
			return
		}
	}
	ts.Fatalf("the log says %q", last)
}

// code N COMMAND... runs a command that must exit with N.
func code(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	check(ts, err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// mode PERM FILE checks a file's permissions.
func mode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[1]))
	check(ts, err)
	want, err := strconv.ParseUint(args[0], 8, 32)
	check(ts, err)
	if info.Mode().Perm() != fs.FileMode(want) {
		ts.Fatalf("%s has the mode %v", args[1], info.Mode())
	}
}

// damage FILE AT flips a bit of a file.
func damage(ts *testscript.TestScript, _ bool, args []string) {
	name := ts.MkAbs(args[0])
	b, err := os.ReadFile(name)
	check(ts, err)
	at, err := strconv.Atoi(args[1])
	check(ts, err)
	if at >= len(b) {
		ts.Fatalf("%s has %d bytes", args[0], len(b))
	}
	b[at] ^= 1
	check(ts, os.WriteFile(name, b, 0o600))
	fmt.Fprintf(ts.Stdout(), "damaged %s\n", args[0])
}
