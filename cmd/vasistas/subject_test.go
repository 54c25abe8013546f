// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vasistas/vasistas/cmd/vasistas/cli"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/witness"
)

// life is one machine with everyone on it: real binaries of log and gates, a real
// witness, and the command.
type life struct {
	*testing.T
	dir string
	bin string
}

func (l *life) path(names ...string) string {
	return filepath.Join(append([]string{l.dir}, names...)...)
}

func (l *life) write(name, text string) string {
	l.Helper()
	if err := os.WriteFile(l.path(name), []byte(text), 0o600); err != nil {
		l.Fatal(err)
	}
	return l.path(name)
}

func (l *life) read(name string) string {
	l.Helper()
	b, err := os.ReadFile(l.path(name))
	if err != nil {
		l.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// in makes paths that begin with ./ ones in the directory.
func (l *life) in(args []string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		before, after, ok := strings.Cut(a, "./")
		if out[i] = a; ok && (before == "" || strings.HasSuffix(before, "=")) {
			out[i] = before + l.path(after)
		}
	}
	return out
}

// exit runs the command, and returns what it prints and its exit code.
func (l *life) exit(args ...string) (string, int) {
	var out, notes bytes.Buffer
	code := cli.Run(l.Context(), l.in(args), strings.NewReader(""), &out, &notes)
	return out.String() + notes.String(), code
}

// vasistas runs the command, which must succeed, and returns what it prints.
func (l *life) vasistas(args ...string) string {
	l.Helper()
	var out, notes bytes.Buffer
	if code := cli.Run(l.Context(), l.in(args), strings.NewReader(""), &out, &notes); code != 0 {
		l.Fatalf("vasistas %v: exit code %d\n%s%s", args, code, &out, &notes)
	}
	return strings.TrimSpace(out.String())
}

// tool runs another binary to its end.
func (l *life) tool(name string, args ...string) string {
	l.Helper()
	ctx, cancel := context.WithTimeout(l.Context(), 5*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, filepath.Join(l.bin, name), l.in(args)...).Output()
	if err != nil {
		l.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// serve starts a binary, and returns its URL once it says that it is ready.
func (l *life) serve(name, addr string, args ...string) string {
	l.Helper()
	var log bytes.Buffer
	cmd := exec.Command(filepath.Join(l.bin, name), l.in(append(args, "-listen", "127.0.0.1:0", "-addr-file", "./"+addr))...)
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		err := cmd.Wait()
		if l.Failed() {
			l.Logf("%s: %v\n%s", addr, err, &log)
		}
	})
	url := ""
	l.await(name+" is ready", func() bool {
		b, err := os.ReadFile(l.path(addr))
		if err != nil {
			return false
		}
		url = strings.TrimSuffix(strings.TrimSpace(string(b)), "/")
		resp, err := http.Get(url + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return url
}

func (l *life) await(what string, done func() bool) {
	l.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(5 * time.Minute); !done(); <-tick.C {
		if time.Now().After(end) {
			l.Fatalf("%s: waited too long", what)
		}
	}
}

// witness serves one under a new key, which it returns with its URL.
func (l *life) witness(logKey string) (vkey, url string) {
	l.Helper()
	l.vasistas("keygen", "--note", "w1.example", "--alg", "cosignature", "--out", "./w1.key")
	key, err := tlog.ParseVerifierKey(logKey)
	if err != nil {
		l.Fatal(err)
	}
	signer, err := tlog.ParseSigner(l.read("w1.key"))
	if err != nil {
		l.Fatal(err)
	}
	c := witness.Config{Dir: l.path("witness"), Signers: []*tlog.Signer{signer}, Logs: []tlog.PolicyLog{{Key: key}}}
	if err := witness.Create(c.Dir, c); err != nil {
		l.Fatal(err)
	}
	w, err := witness.Open(l.Context(), c)
	if err != nil {
		l.Fatal(err)
	}
	s := httptest.NewServer(w.Handler())
	l.Cleanup(func() {
		s.Close()
		w.Close()
	})
	return l.read("w1.key.pub"), s.URL
}

// append appends an event, and returns how others name it.
func (l *life) append(event, openings string) string {
	l.Helper()
	var a struct {
		Index uint64
		Leaf  string
	}
	out := l.vasistas("append", "--policy", "./policy.txt", "--openings", "./"+openings, "--json", "./"+event)
	if err := json.Unmarshal([]byte(out), &a); err != nil {
		l.Fatal(err)
	}
	return fmt.Sprintf(`{"index":%d,"leaf":%q}`, a.Index, a.Leaf)
}

// found makes the log, two gates and their charter, and starts them. Whatever the law
// gives days or weeks for gets minutes here, and it is the demonstration's otherwise.
func (l *life) found() (gates [2]string) {
	l.Helper()
	for _, k := range []string{"founder", "provider", "judge", "agency"} {
		l.vasistas("keygen", "--out", "./"+k+".pem")
	}
	l.tool("vasistas-log", "keygen", "-dir", "./log", "-mldsa=false", "-origin", "log.example/life")
	w, witnessURL := l.witness(l.read("log/keys/ed25519.vkey"))
	l.write("witnesses.txt", "witness w1 "+w+"\nquorum w1\n")
	l.write("served.txt", "log "+l.read("log/keys/ed25519.vkey")+"\nwitness w1 "+w+" "+witnessURL+"\nquorum w1\n")
	l.write("groups.json", `{"groups": [{"id": "main", "threshold": 2, "members": ["one", "two"]}]}`)
	charter := []string{"charter", "new", "./groups.json", "--origin", "log.example/life", "--log-key", "./log/keys/ed25519.vkey", "--profile", "./life.profile",
		"--party", "charter:founder=./founder.pem.pub", "--party", "provider:messenger=./provider.pem.pub", "--party", "authority:court:court=./judge.pem.pub",
		"--threshold", "amend=1", "--threshold", "recover=1", "--witness-policy", "./witnesses.txt", "--audit-policy", "none", "--out", "./charter.json"}
	for _, g := range []string{"one", "two"} {
		charter = append(charter, strings.Fields(l.tool("vasistas-gate", "init", "-dir", "./"+g, "-name", g))...)
	}
	b, err := os.ReadFile("../../log/profile/data/demo.profile")
	if err != nil {
		l.Fatal(err)
	}
	l.write("life.profile", regexp.MustCompile(`(?m)^((?:accessLife|disclosureGrace|[a-zA-Z]+\.(?:within|grace)|unfulfilled|stale|instruments\.[a-z-]+\.window) +\|) *[0-9a-z]+`).ReplaceAllString(string(b), "$1 1h"))
	l.vasistas(charter...)
	l.vasistas("charter", "sign", "./charter.json", "--key", "./founder.pem", "--out", "./first.charter")
	l.tool("vasistas-log", "init", "-dir", "./log", "-charter", "./first.charter")
	log := l.serve("vasistas-log", "log.addr", "serve", "-dir", "./log", "-policy", "./served.txt", "-event-key", "./provider.pem", "-interval", "50ms", "-refresh", "1s")
	l.write("policy.txt", "log "+l.read("log/keys/ed25519.vkey")+" "+log+"\nwitness w1 "+w+"\nquorum w1\n")
	for i, g := range []string{"one", "two"} {
		l.tool("vasistas-gate", "join", "-dir", "./"+g, "-charter", "./first.charter", "-log", log)
		gates[i] = l.serve("vasistas-gate", g+".addr", "serve", "-dir", "./"+g, "-poll", "100ms")
	}
	return gates
}

// TestSubject takes one file all the way: escrowed by its owner, released by two gates
// on a warrant, disclosed by the log, and found by its owner, who keeps the proof.
func TestSubject(t *testing.T) {
	l := &life{t, t.TempDir(), t.TempDir()}
	for _, cmd := range []string{"vasistas-log", "vasistas-gate"} {
		if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(l.bin, cmd), "../"+cmd).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	gates := l.found()
	scan := func(seed string, args ...string) (string, int) {
		return l.exit(append([]string{"scan", "-i", "./" + seed, "--policy", "./policy.txt", "--state", "./" + seed + ".state", "--save", "./cases"}, args...)...)
	}

	// The owner, and another subject.
	l.vasistas("escrow", "seed", "--out", "./me.key")
	l.vasistas("escrow", "seed", "--out", "./you.key")
	to := l.vasistas("escrow", "recipient", "--seed", "./me.key", "--origin", "log.example/life", "--group", "main", "--account", "ada@example.org")
	l.write("letter.txt", "What only Ada should read.\n")
	l.vasistas("escrow", "-r", to, "--charters", l.dir, "-o", "./letter.age", "./letter.txt")
	if out, code := scan("me.key"); code != 0 {
		t.Fatalf("before anything: %d\n%s", code, out)
	}

	// The court, the agency, the provider.
	now := time.Now().UTC()
	until := now.Add(12 * time.Second).Format("2006-01-02T15:04:05Z") // of both, or the access would be sealed for longer
	l.write("w.json", fmt.Sprintf(`{"decision":"granted","provider":"messenger","instrument":"calecpa-search-warrant","offence":"narcotics","accounts":1,"accesses":1,"notBefore":%q,"notAfter":%q}`,
		now.Add(-time.Minute).Format("2006-01-02T15:04:05Z"), now.Add(time.Hour).Format("2006-01-02T15:04:05Z")))
	l.vasistas("sign", "--type", "warrant", "--origin", "log.example/life", "--body", "./w.json", "--key", "./judge.pem", "--until", until, "--public", "agency=sheriff",
		"--public", "agencyKey=@"+l.path("agency.pem.pub"), "--public", "grounds=evidence-of-felony", "--subject", "case=SW 7/26", "--subject", "identifier=ada@example.org",
		"--decoys", "2", "--out", "./w.event", "--openings", "./w.openings")
	l.append("w.event", "w.openings")
	l.vasistas("open", "request", "--key", "./agency.pem", "--charter", "./first.charter", "--warrant", "./w.event.tlog-proof", "--unit", "legal", "--until", until,
		"--gate", "one="+gates[0], "--gate", "two="+gates[1], "--out", "./letter", "./letter.age")
	l.vasistas("sign", "--payload", "./letter.access", "--key", "./provider.pem", "--out", "./letter.event")
	l.append("letter.event", "letter.openings")
	l.vasistas("open", "--case", "./letter.case", "--policy", "./policy.txt", "-o", "./opened.txt", "./letter.age")
	if l.read("opened.txt") != l.read("letter.txt") {
		t.Error("the agency has another text")
	}

	// The log discloses by itself, and Ada finds it.
	var report string
	l.await("the notices are found", func() bool {
		out, code := scan("me.key")
		report = out
		if code == 2 {
			t.Fatalf("could not tell:\n%s", out)
		}
		return code == 1 && strings.Contains(out, "custodian        one") && strings.Contains(out, "custodian        two")
	})
	for _, part := range []string{"FOUND: your data was released, in 1 case", `account          "ada@example.org"`, `case             "SW 7/26"`, "by the authority court", "instrument       calecpa-search-warrant, offence narcotics, grounds evidence-of-felony",
		"agency           sheriff", "by the provider messenger (unit legal)", "for which the agency signed", "no entry of this case broke a rule", "nothing else was disclosed about you up to 2", "by earlier runs"} {
		if !strings.Contains(report, part) {
			t.Errorf("%q is missing:\n%s", part, report)
		}
	}
	if strings.Contains(report, "WARNING") {
		t.Error(report)
	}
	if out, code := scan("you.key"); code != 0 || !strings.Contains(out, "NOTHING: ") {
		t.Errorf("another subject: %d\n%s", code, out)
	}
	files, err := filepath.Glob(l.path("cases", "*.notice"))
	if err != nil || len(files) != 2 {
		t.Fatalf("%v, %v", files, err)
	}
	out := l.vasistas(append([]string{"verify", "--policy", "./policy.txt"}, files...)...)
	if strings.Count(out, "PROVEN: a release of data of ") != 2 || strings.Contains(out, "WARNING   ") {
		t.Error(out)
	}
}
