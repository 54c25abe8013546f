// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package adversary

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// fault is a fault put back: one that the project once had, or a check left out.
type fault struct {
	name, file string
	right      string // occurs once in file
	wrong      string // in its place, if fault(name) is true
	attacks    string // that reach it
	finds      string // what must find it, and nothing else: the start of an invariant's message
	seed       uint64 // at which the search begins
}

var faults = []fault{
	{"the log's word is enough", "client/gate/outbox.go",
		"if err == nil && got.Duplicate {", `if err == nil && fault("the log's word is enough") { g.journal.drop(s.hash); return nil }
		if err == nil && got.Duplicate {`, "posts", "1: the release", 79},
	{"any proof is one", "witness/decide.go",
		"if size > 0 && tiles", `if size > 0 && !fault("any proof is one") && tiles`, "fork", "2: the witness", 2},
	{"signed before it is durable", "witness/store.go",
		"err = s.write(next.record(), sign)", `if !fault("signed before it is durable") { err = s.write(next.record(), sign) } else if sign != nil { sign() }`, "show", "3: the witness", 1},
	{"a release need not be logged", "client/gate/release.go",
		"index := c.access.Index()\n\tvar last", `if fault("a release need not be logged") { return nil }
		index := c.access.Index()
		var last`, "posts", "4: custodian", 1},
	{"no disk is needed", "witness/store.go",
		"l.writing = 0\n\tif err", `l.writing = 0
		if fault("no disk is needed") { err = nil }
		if err`, "disk", "5: the witness", 2},
	{"junk is the witness's fault", "witness/http.go",
		"case errors.Is(err, tlog.ErrMalformed):", `case errors.Is(err, tlog.ErrMalformed) && !fault("junk is the witness's fault"):`, "bytes", "6: w", 1},
	{"the signer answers for the log", "log/ledger/anchor.go",
		"timeAhead.by(Log,", `timeAhead.by(map[bool]string{false: Log, true: "authority court"}[fault("the signer answers for the log")],`, "claim anchor", "7: authority court", 1},
	{"a hash is an event", "client/gate/outbox.go",
		"g.journal.seen(e, !bad && held.Repeated(v))", `g.journal.seen(e, fault("a hash is an event") || !bad && held.Repeated(v))`, "posts", "1: the release", 22},
	{"an old head shows absence", "client/audit/audit.go",
		"now.Sub(seen) > stale:", `now.Sub(seen) > stale && !fault("an old head shows absence"):`, "show restart", "9: the scan", 37},
	{"any spread", "log/ledger/charter.go",
		"c.Witnesses.Spread, c.Auditors.Spread = ch.Profile.Spread, tlog.NoSpread",
		`c.Witnesses.Spread, c.Auditors.Spread = ch.Profile.Spread, tlog.NoSpread
		if fault("any spread") { c.Witnesses.Spread = tlog.NoSpread }`, "times anchor", "time: a head", 79},
	{"claims are believed", "log/ledger/anchor.go",
		"c.time > latest {", `c.time > latest && !fault("claims are believed") {`, "claim anchor", "time: what the anchored entry", 79},
	{"now is the head's", "client/gate/now.go",
		"at := posix(v.loggedAfter)\n", `at := posix(v.loggedAfter)
		if fault("now is the head's") { m = moment{at, at} }
		`, "bytes", "(time: custodian .* under a head|4: custodian|5: custodian)", 92},
	{"what is handed in is forgotten", "client/gate/held.go",
		"if len(f.held) == 0 {\n\t\tf.trial", `if len(f.held) == 0 || fault("what is handed in is forgotten") {
		f.trial`, "court posts", "4: custodian .* handed in", 1},
	{"a gate believes claims", "client/gate/now.go",
		"if e.Time.After(", `if !fault("a gate believes claims") && e.Time.After(`, "claim", "time: custodian .* which claims", 46},
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
			run := exec.Command(binary, "-test.run=^TestAdversary$", fmt.Sprintf("-rapid.seed=%d", f.seed), "-rapid.checks=100", "-rapid.shrinktime=0s", "-rapid.nofailfile")
			run.Env = append(os.Environ(), "VASISTAS_FAULT="+f.name, "VASISTAS_ATTACKS="+f.attacks)
			out, err := run.CombinedOutput()
			first, _, _ := strings.Cut(string(out), "To reproduce")
			found := regexp.MustCompile(`invariant .*`).FindAllString(first, -1)
			if err == nil || len(found) == 0 || slices.ContainsFunc(found, func(s string) bool { return !regexp.MustCompile("^invariant " + f.finds).MatchString(s) }) {
				t.Fatalf("want %q: %v\n%s", f.finds, err, out)
			}
			t.Log(regexp.MustCompile(`failed after \d+ tests`).FindString(first), regexp.MustCompile(`rapid.seed=\d+`).FindString(string(out)), found[0])
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
