// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vasistas/vasistas/log/tlog"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"vasistas-witness": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"logkey":  logKey,
			"await":   await,
			"request": request,
			"signal":  signalAll,
			"policy":  policy,
		},
	})
}

// logKey makes a log: logkey FILE ORIGIN writes its key to FILE, and a file of
// logs to FILE.logs.
func logKey(ts *testscript.TestScript, _ bool, args []string) {
	s, err := tlog.GenerateSigner(args[1], tlog.Ed25519)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(s.Secret()), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".logs"), []byte("log "+s.Verifier().String()+"\nquorum none\n"), 0o600))
}

// poll calls f until it is true.
func poll(ts *testscript.TestScript, what string, f func() bool) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(5 * time.Minute)
	for !f() {
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("waited in vain for %s", what)
		}
	}
}

// await FILE waits until FILE exists, and sets $ADMIN to its last line; ! await FILE until it
// doesn't.
func await(ts *testscript.TestScript, neg bool, args []string) {
	poll(ts, args[0], func() bool {
		_, err := os.Stat(ts.MkAbs(args[0]))
		return (err != nil) == neg
	})
	if lines := strings.Fields(ts.ReadFile(args[0])); !neg && len(lines) > 0 {
		ts.Setenv("ADMIN", lines[len(lines)-1])
	}
}

// request ADDRFILE KEYFILE STATUS sends the head of the empty tree of a log
// until the witness answers with STATUS.
func request(ts *testscript.TestScript, _ bool, args []string) {
	key, err := tlog.ParseSigner(ts.ReadFile(args[1]))
	ts.Check(err)
	h := tlog.Head{Origin: key.Verifier().Name, Root: tlog.Hash{
		0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
		0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
	}}
	sig, err := key.Sign(&h, 0)
	ts.Check(err)
	r := tlog.AddCheckpoint{Checkpoint: &tlog.Checkpoint{Head: h, Signatures: []tlog.Signature{sig}}}
	address, _, _ := strings.Cut(ts.ReadFile(args[0]), "\n")
	url := "http://" + address + "/add-checkpoint"
	last := ""
	poll(ts, "status "+args[2], func() bool {
		resp, err := http.Post(url, "", bytes.NewReader(r.Bytes()))
		ts.Check(err)
		resp.Body.Close()
		last = resp.Status
		return strings.HasPrefix(last, args[2])
	})
}

// signalAll is the command signal: signal HUP sends a signal to the background processes.
func signalAll(ts *testscript.TestScript, _ bool, args []string) {
	sig := map[string]os.Signal{"HUP": syscall.SIGHUP, "TERM": syscall.SIGTERM}[args[0]]
	for _, cmd := range ts.BackgroundCmds() {
		ts.Check(cmd.Process.Signal(sig))
	}
}

// policy FILE checks that FILE, with a quorum line, is a policy.
func policy(ts *testscript.TestScript, _ bool, args []string) {
	p, err := tlog.ParsePolicy([]byte(ts.ReadFile(args[0]) + "quorum " + args[1] + "\n"))
	ts.Check(err)
	if len(p.Witnesses) != 2 || !p.Satisfied(func(i int) bool { return i == 1 }) {
		ts.Fatalf("either of two keys should do: %s", p.Bytes())
	}
}
