// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vasistas/vasistas/cmd/vasistas/cli"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/profile"
	"github.com/vasistas/vasistas/log/recover"
	"github.com/vasistas/vasistas/log/tesserax"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/vault"
	"github.com/vasistas/vasistas/witness"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"vasistas": recorded})
}

func TestScripts(t *testing.T) {
	dir := t.TempDir()
	t.Cleanup(func() { checkJSON(t, dir) })
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv(jsonDir, dir)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"startlog":     startLog,
			"startwitness": startWitness,
			"code":         code,
			"full":         full,
			"mode":         mode,
			"expand":       expand,
			"plugin":       plugin,
			"flip":         flip,
			"followuntil":  followUntil,
		},
	})
}

func check(ts *testscript.TestScript, err error) {
	if err != nil {
		ts.Fatalf("%v", err)
	}
}

func signer(ts *testscript.TestScript, file string) *tlog.Signer {
	s, err := tlog.ParseSigner(strings.TrimSuffix(ts.ReadFile(file), "\n"))
	check(ts, err)
	return s
}

// startwitness NAME KEY LOGVKEY serves a witness, whose URL becomes $NAME.
func startWitness(ts *testscript.TestScript, _ bool, args []string) {
	logKey, err := tlog.ParseVerifierKey(strings.TrimSuffix(ts.ReadFile(args[2]), "\n"))
	check(ts, err)
	config := witness.Config{
		Dir:     ts.MkAbs(args[0] + ".state"),
		Signers: []*tlog.Signer{signer(ts, args[1])},
		Logs:    []tlog.PolicyLog{{Key: logKey}},
	}
	check(ts, witness.Create(config.Dir, config))
	w, err := witness.Open(context.Background(), config)
	check(ts, err)
	s := httptest.NewServer(w.Handler())
	ts.Defer(func() {
		s.Close()
		w.Close()
	})
	ts.Setenv(args[0], s.URL)
}

// startlog NAME KEY POLICY ROLE=PUBLICKEY... serves a log, whose URL becomes
// $NAME, and waits until it admits events. Its charter names each key under a name
// of its own, and a provider and a founder.
func startLog(ts *testscript.TestScript, _ bool, args []string) {
	policy, err := tlog.ParsePolicy([]byte(ts.ReadFile(args[2])))
	check(ts, err)
	keys := []*tlog.Signer{signer(ts, args[1])}
	ctx := context.Background()
	state, tree := ts.MkAbs(args[0]+".state"), ts.MkAbs(args[0]+".tree")
	check(ts, tesserax.Create(ctx, tree))
	kept := vault.Config{Dir: ts.MkAbs(args[0] + ".vault"), Identity: ts.MkAbs(args[0] + ".vault.key")}
	check(ts, vault.Create(kept))
	v, err := vault.Open(kept)
	check(ts, err)
	engine, err := tesserax.Open(ctx, tree)
	check(ts, err)
	check(ts, recover.Init(ctx, recover.InitConfig{StateDir: state, Engine: engine, Keys: keys, Charter: founding(ts, keys[0], args[3:])}))
	l, err := log.Open(ctx, log.Config{
		StateDir: state, Engine: engine, Keys: keys, Vault: v, Policy: policy,
		Interval: 20 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	})
	check(ts, err)
	s := httptest.NewServer(l.Handler())
	ts.Defer(func() {
		s.Close()
		l.Close(ctx)
		v.Close()
	})
	ts.Setenv(args[0], s.URL)
	check(ts, awaitReady(s.URL))
}

// founding is a charter of the demo's profile with these parties, signed by its founders.
func founding(ts *testscript.TestScript, key *tlog.Signer, roles []string) []byte {
	p := people.New(key.Verifier().Name, "")
	ch := p.Charter(func(c *event.Charter) {
		var err error
		c.Profile, err = profile.Load("demo")
		check(ts, err)
		c.LogKeys, c.WitnessPolicy, c.AuditPolicy = []string{key.Verifier().String()}, "quorum none\n", "quorum none\n"
		p.Cast(c, event.RoleProvider, "provider")
		for i, arg := range roles {
			role, file, _ := strings.Cut(arg, "=")
			k, err := event.ParsePublicKeyPEM([]byte(ts.ReadFile(file)))
			check(ts, err)
			party := p.Party(event.Role(role), "p"+strconv.Itoa(i+1))
			party.Keys = []*event.PublicKey{k}
			c.Parties = append(c.Parties, party)
		}
	})
	env, err := p.Signed(time.Now(), ch, "f1", "f2")
	check(ts, err)
	return env.Bytes()
}

func awaitReady(url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		resp, err := http.Get(url + "/readyz")
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.New("the log did not get ready")
		}
	}
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

// full N ARGS... runs vasistas with a standard output that takes nothing. It must say so, and exit
// with N.
func full(ts *testscript.TestScript, _ bool, args []string) {
	out, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	check(ts, err)
	defer out.Close()
	exe, err := exec.LookPath("vasistas")
	check(ts, err)
	var stderr bytes.Buffer
	cmd := exec.Command(exe, args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = ts.Getenv("WORK"), out, &stderr
	cmd.Run()
	if got := cmd.ProcessState.ExitCode(); strconv.Itoa(got) != args[0] || !strings.Contains(stderr.String(), "no space left on device") {
		ts.Fatalf("%s: exit code %d, want %s, and that there is no space\n%s", args[1:], got, args[0], &stderr)
	}
}

// TestFullIsWhole: the script full tries each command that prints something.
func TestFullIsWhole(t *testing.T) {
	script, err := os.ReadFile("testdata/script/full.txtar")
	if err != nil {
		t.Fatal(err)
	}
	silent := []string{
		"finding close", "open", // print to standard error, or need a case
		"escrow", "escrow rewrap", "escrow show", // the script of age-plugin-vasistas tries them
		"charter", "finding", "policy", "completion",
	}
	commands := 0
	var walk func(path string)
	walk = func(path string) {
		var out bytes.Buffer
		args := append(append([]string{"__complete"}, strings.Fields(path)...), "")
		if cli.Run(t.Context(), args, strings.NewReader(""), &out, io.Discard) != 0 {
			t.Fatal(path)
		}
		for line := range strings.Lines(out.String()) {
			name, help, ok := strings.Cut(strings.TrimSpace(line), "\t")
			if !ok || help == "" || strings.HasPrefix(name, "-") || name == "help" {
				continue
			}
			sub := strings.TrimSpace(path + " " + name)
			commands++
			if !slices.Contains(silent, sub) && !regexp.MustCompile(`(?m)^full \d `+sub+`( |$)`).Match(script) {
				t.Errorf("testdata/script/full.txtar does not try %s", sub)
			}
			walk(sub)
		}
	}
	if walk(""); commands < 30 {
		t.Errorf("only %d commands", commands)
	}
}

// mode PERM FILE checks a file's permissions.
func mode(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.ParseUint(args[0], 8, 32)
	check(ts, err)
	info, err := os.Stat(ts.MkAbs(args[1]))
	check(ts, err)
	if info.Mode().Perm() != fs.FileMode(want) {
		ts.Fatalf("%s has mode %#o", args[1], info.Mode().Perm())
	}
}

// expand FILE replaces $NAME by the environment, and <FILE> by a file's line.
func expand(ts *testscript.TestScript, _ bool, args []string) {
	s := os.Expand(ts.ReadFile(args[0]), ts.Getenv)
	for strings.Contains(s, "<") {
		before, rest, _ := strings.Cut(s, "<")
		name, after, ok := strings.Cut(rest, ">")
		if !ok {
			ts.Fatalf("%s: < without >", args[0])
		}
		s = before + strings.TrimSpace(ts.ReadFile(name)) + after
	}
	check(ts, os.WriteFile(ts.MkAbs(args[0]), []byte(s), 0o644))
}

// plugin NAME builds the KMS plug-in of package eventkey's tests under that
// name, into a directory of PATH.
func plugin(ts *testscript.TestScript, _ bool, args []string) {
	bin := ts.MkAbs("bin")
	check(ts, os.MkdirAll(bin, 0o755))
	cmd := exec.Command("go", "build", "-o", filepath.Join(bin, "sigstore-kms-"+args[0]), "../../log/event/eventkey/testdata/plugin")
	if out, err := cmd.CombinedOutput(); err != nil {
		ts.Fatalf("%v\n%s", err, out)
	}
	ts.Setenv("PATH", bin+string(os.PathListSeparator)+ts.Getenv("PATH"))
}

// flip FROM TO OLD NEW copies a file with one text replaced by another.
func flip(ts *testscript.TestScript, _ bool, args []string) {
	b := []byte(ts.ReadFile(args[0]))
	if !bytes.Contains(b, []byte(args[2])) {
		ts.Fatalf("%s does not have %q", args[0], args[2])
	}
	check(ts, os.WriteFile(ts.MkAbs(args[1]), bytes.Replace(b, []byte(args[2]), []byte(args[3]), 1), 0o644))
}

// lineCounter calls done when it has got so many lines.
type lineCounter struct {
	lines int
	done  func()
}

func (c *lineCounter) Write(b []byte) (int, error) {
	if c.lines -= bytes.Count(b, []byte("\n")); c.lines <= 0 {
		c.done()
	}
	return len(b), nil
}

// followuntil N ARGS... follows a log until it has printed N lines, and is then
// interrupted: it must save its state and end without an error.
func followUntil(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	check(ts, err)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	argv := []string{"follow"}
	for _, a := range args[1:] {
		if strings.Contains(a, ".") {
			a = ts.MkAbs(a)
		}
		argv = append(argv, a)
	}
	var stderr bytes.Buffer
	if exit := cli.Run(ctx, argv, strings.NewReader(""), &lineCounter{n, cancel}, &stderr); exit != 0 {
		ts.Fatalf("exit code %d\n%s", exit, &stderr)
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		ts.Fatalf("it did not print %d lines", n)
	}
}

// A command without an example in its help is hard to use.
func TestHelp(t *testing.T) {
	for _, name := range []string{"append", "due", "escrow", "escrow key", "escrow recipient", "escrow rewrap", "escrow seed", "escrow show", "finding close", "finding new", "follow", "keygen", "open", "open request", "open status", "policy check", "policy of", "prove", "scan", "show", "sign", "verify", "version"} {
		var out bytes.Buffer
		args := append(strings.Fields(name), "--help")
		if exit := cli.Run(t.Context(), args, strings.NewReader(""), &out, &out); exit != 0 {
			t.Errorf("%s: exit code %d", name, exit)
		}
		if !strings.Contains(out.String(), fmt.Sprintf("  vasistas %s", name)) || !strings.Contains(out.String(), "Examples:") {
			t.Errorf("%s has no example:\n%s", name, out.String())
		}
		if strings.Contains(out.String(), `\\`+"\n") {
			t.Errorf("%s has an example that no shell takes:\n%s", name, out.String())
		}
	}
}
