// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vasistas/vasistas/internal/world/written"
)

// TestMirrorFork: a fork is exit code 1, the evidence is kept, and the copy stays.
func TestMirrorFork(t *testing.T) {
	w := written.New(t.TempDir(), nil)
	defer w.Report(t.Error)
	fork := w.Fork(t.TempDir())
	grow := func(l *written.Log, what string, n int) {
		for i := range n {
			l.Append(fmt.Appendf(nil, "%s %d", what, i))
		}
		l.Publish("w1", "w2", "w3")
	}
	grow(w, "true", 300)
	grow(fork, "false", 700)
	dir := t.TempDir()
	policy := filepath.Join(dir, "policy")
	p := w.ParsePolicy(3, "w1", "w2", "w3", "w4")
	if err := os.WriteFile(policy, p.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	run := func(code int, args ...string) (stdout, stderr string) {
		t.Helper()
		var out, errs bytes.Buffer
		if args[0] != "verify" {
			args = append([]string{"mirror", "--policy", policy}, args...)
		}
		if got := Run(t.Context(), args, strings.NewReader(""), &out, &errs); got != code {
			t.Fatalf("%v: exit code %d, want %d\n%s%s", args, got, code, out.String(), errs.String())
		}
		return out.String(), errs.String()
	}
	copied := filepath.Join(dir, "copy")
	run(0, w.Dir, copied)
	_, stderr := run(1, fork.Dir, copied)
	if !strings.Contains(stderr, "has forked") {
		t.Errorf("it says %q", stderr)
	}
	stdout, _ := run(1, "--json", fork.Dir, copied)
	var r mirrored
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || r.Size != w.Size() || r.New != 0 || r.Fork == nil {
		t.Errorf("it prints %s, %v", stdout, err)
	}
	b, err := os.ReadFile(filepath.Join(copied, "fork.json"))
	if err != nil || !bytes.Equal(b, r.Fork.Bytes()) {
		t.Errorf("the evidence is %s, %v", b, err)
	}
	// The log's key alone convicts it.
	key := filepath.Join(dir, "key")
	if err := os.WriteFile(key, fmt.Appendf(nil, "log %s\nquorum none\n", w.Log().Verifier()), 0o644); err != nil {
		t.Fatal(err)
	}
	evidence := filepath.Join(copied, "fork.json")
	if out, _ := run(0, "verify", "--policy", key, evidence); !strings.HasPrefix(out, "PROVEN FORK: the log "+strconv.Quote(w.Origin)) {
		t.Errorf("verify says %q", out)
	}
	if out, _ := run(0, "verify", "--policy", key, "--json", evidence); !strings.Contains(out, `"verdict":"proven","fork":{"small":`) {
		t.Errorf("verify says %q", out)
	}
	none := r.Fork
	none.Large, none.Proof = none.Small, nil
	for name, b := range map[string][]byte{"not a fork": none.Bytes(), "cut": b[:100], "two lines": append(slices.Clone(b), '\n')} {
		if err := os.WriteFile(evidence, b, 0o644); err != nil {
			t.Fatal(err)
		}
		if out, _ := run(1, "verify", "--policy", key, evidence); !strings.HasPrefix(out, "NOT PROVEN (disproven)") {
			t.Errorf("%s: verify says %q", name, out)
		}
	}
	// A changed file at a source is undecided, and so is a source without a head.
	if err := os.Truncate(filepath.Join(w.Dir, "tile/entries/000"), 100); err != nil {
		t.Fatal(err)
	}
	if _, stderr := run(2, "--check", w.Dir, copied); !strings.Contains(stderr, "tile/entries/000") {
		t.Errorf("it says %q", stderr)
	}
	run(2, t.TempDir(), copied)
	run(0, "--from", w.Dir, t.TempDir()+"/", copied)
}
