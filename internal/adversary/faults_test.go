// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package adversary

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// fault is a fault that the project once had, put back.
type fault struct {
	name, file string
	right      string // occurs once in file
	wrong      string // in its place, if fault(name) is true
	attacks    string // that reach it
	finds      string // what must find it: a regular expression
}

var faults = []fault{
	{"any spread", "log/ledger/charter.go",
		"c.Witnesses.Spread, c.Auditors.Spread = ch.Profile.Spread, tlog.NoSpread",
		`c.Witnesses.Spread, c.Auditors.Spread = ch.Profile.Spread, tlog.NoSpread
		if fault("any spread") { c.Witnesses.Spread = tlog.NoSpread }`, "times anchor", "invariant time: a head"},
	{"claims are believed", "log/ledger/anchor.go",
		"c.time > latest {", `c.time > latest && !fault("claims are believed") {`, "claim anchor", "invariant time: what the anchored entry"},
	{"now is the head's", "client/gate/now.go",
		"at := posix(v.loggedAfter)\n", `at := posix(v.loggedAfter)
		if fault("now is the head's") { m = moment{at, at} }
		`, "bytes", "invariant time: custodian .* under a head"},
	{"any contradiction stops", "client/gate/fork.go",
		"if in == nil || size <= f.settled {\n\t\tname,", `if !fault("any contradiction stops") && (in == nil || size <= f.settled) {
		name,`, "fork show", "invariant 8"},
	{"a hash is an event", "client/gate/outbox.go",
		"g.journal.seen(e, !bad && repeated(v))", `g.journal.seen(e, fault("a hash is an event") || !bad && repeated(v))`, "posts", "invariant 8"},
	{"an old head shows absence", "client/audit/audit.go",
		"now.Sub(seen) > stale:", `now.Sub(seen) > stale && !fault("an old head shows absence"):`, "show restart", "invariant 9"},
}

// TestAdversaryFindsOldFaults builds this package's test over code with old faults, each
// of which a variable of the environment switches on, and runs TestAdversary until it
// fails.
func TestAdversaryFindsOldFaults(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "adversary.test")
	build := exec.Command("go", "test", "-c", "-overlay", overlay(t, dir), "-o", binary, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			run := exec.Command(binary, "-test.run=^TestAdversary$", "-rapid.checks=1000", "-rapid.shrinktime=0s", "-rapid.nofailfile")
			run.Env = append(os.Environ(), "VASISTAS_FAULT="+f.name, "VASISTAS_ATTACKS="+f.attacks)
			out, err := run.CombinedOutput()
			if err == nil || !regexp.MustCompile(f.finds).Match(out) {
				t.Fatalf("want %q: %v\n%s", f.finds, err, out)
			}
			t.Log(regexp.MustCompile(`failed after \d+ tests: .*`).FindString(string(out)))
		})
	}
}

// overlay writes the files with the faults, and the file that go build's flag -overlay
// reads.
func overlay(t *testing.T, dir string) string {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	text, replace := make(map[string]string), make(map[string]string)
	write := func(name, content string) {
		to := filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(to, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(root, name)] = to
	}
	for _, f := range faults {
		if text[f.file] == "" {
			b, err := os.ReadFile(filepath.Join(root, f.file))
			if err != nil {
				t.Fatal(err)
			}
			text[f.file] = string(b)
		}
		if strings.Count(text[f.file], f.right) != 1 {
			t.Fatalf("%s: %q does not occur once; say again how to put the fault %q back", f.file, f.right, f.name)
		}
		text[f.file] = strings.Replace(text[f.file], f.right, f.wrong, 1)
		pkg := filepath.Dir(f.file)
		write(pkg+"/fault.go", "package "+filepath.Base(pkg)+"\n\nimport \"os\"\n\nfunc fault(name string) bool { return os.Getenv(\"VASISTAS_FAULT\") == name }\n")
	}
	for name, content := range text {
		write(name, content)
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
