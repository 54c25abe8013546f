// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/cmd/vasistas/cli"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/event"
)

// auditWorld is a log, and a policy for it in a file.
type auditWorld struct {
	*written.Log
	t      *testing.T
	policy string
}

func newAuditWorld(t *testing.T) *auditWorld {
	w := &auditWorld{written.New(t.TempDir(), nil), t, filepath.Join(t.TempDir(), "policy.txt")}
	t.Cleanup(func() { w.Report(t.Error) })
	if err := os.WriteFile(w.policy, w.ParsePolicy(3, "w1", "w2", "w3", "w4").Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	w.Live(600)
	w.Publish("w1", "w2", "w3")
	return w
}

// audit runs the command, which must exit with a code and print a text.
func (w *auditWorld) audit(code int, part string, args ...string) string {
	w.t.Helper()
	var out bytes.Buffer
	args = append([]string{"audit", "--policy", w.policy, "--at", written.At(w.Now).Format(time.RFC3339)}, args...)
	if got := cli.Run(w.t.Context(), args, strings.NewReader(""), &out, &out); got != code {
		w.t.Fatalf("%v: exit code %d, want %d\n%s", args, got, code, &out)
	}
	if !strings.Contains(out.String(), part) {
		w.t.Fatalf("%v: %q is missing:\n%s", args, part, &out)
	}
	return out.String()
}

func TestAuditExitCodes(t *testing.T) {
	w := newAuditWorld(t)
	s := httptest.NewServer(http.FileServer(http.Dir(w.Dir)))
	t.Cleanup(s.Close)
	before := fmt.Sprintf("%d of %[1]d entries, up to the signed root", w.Size())
	for _, where := range []string{w.Dir, "file://" + filepath.ToSlash(w.Dir), s.URL} {
		w.audit(0, before, where)
	}
	// The policy may say where.
	b, err := os.ReadFile(w.policy)
	if err != nil {
		t.Fatal(err)
	}
	named := filepath.Join(t.TempDir(), "policy.txt")
	line, rest, _ := strings.Cut(string(b), "\n")
	if err := os.WriteFile(named, []byte(line+" "+s.URL+"\n"+rest), 0o644); err != nil {
		t.Fatal(err)
	}
	w.audit(0, "CLEAN", "--policy", named)

	e := w.WarrantEvent(w.Now)
	w.LogBadly(e, "court")
	w.Publish("w1", "w2", "w3")
	out := w.audit(1, "role (signature): 1", w.Dir)
	if strings.Contains(out, "--help") || !strings.HasPrefix(out, "VIOLATIONS: ") {
		t.Error(out)
	}
	tile := filepath.Join(w.Dir, "tile/entries/001")
	if b, err = os.ReadFile(tile); err != nil {
		t.Fatal(err)
	}
	b[77] ^= 1
	if err := os.WriteFile(tile, b, 0o644); err != nil {
		t.Fatal(err)
	}
	w.audit(2, "COULD NOT TELL", w.Dir)
	w.audit(2, "corrupt: ", w.Dir)
	w.audit(2, "unreadable: ", t.TempDir())
	w.audit(2, "--list", "--list", "-1", w.Dir)
	w.audit(2, "give the URL")
}

// By the machine's clock the log of a test is old.
func TestAuditStale(t *testing.T) {
	w := newAuditWorld(t)
	w.audit(2, "stale: the witnesses saw this head at 2026-", "--at", "", w.Dir)
	w.audit(2, "--at yesterday", "--at", "yesterday", w.Dir)
}

func TestAuditJSON(t *testing.T) {
	w := newAuditWorld(t)
	var r audit.Report
	if err := json.Unmarshal([]byte(w.audit(0, `"verdict":"clean"`, "--json", w.Dir)), &r); err != nil {
		t.Fatal(err)
	}
	if r.Audited != w.Size() || r.Signatures.Valid != w.Size()+1 || !r.Complete || r.Log.Origin != written.Origin {
		t.Errorf("%+v", r)
	}
}

func TestAuditState(t *testing.T) {
	w := newAuditWorld(t)
	state := filepath.Join(t.TempDir(), "audit.state")
	size := w.Size()
	w.audit(0, "replayed from its start", "--state", state, w.Dir)
	w.Live(size + 300)
	w.Publish("w1", "w3", "w4")
	w.audit(0, fmt.Sprintf("the first %d by earlier runs", size), "--state", state, w.Dir)
	good, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	bad := bytes.Clone(good)
	bad[len(bad)/2] ^= 1
	if err := os.WriteFile(state, bad, 0o644); err != nil {
		t.Fatal(err)
	}
	w.audit(2, "damaged", "--state", state, w.Dir)
	if left, err := os.ReadFile(state); err != nil || !bytes.Equal(left, bad) {
		t.Errorf("what was refused is not what is left (%v)", err)
	}
	// A state that can't be kept is no success, though the log is clean.
	w.audit(2, "snapshot: ", "--state", filepath.Join(t.TempDir(), "no", "such", "directory"), w.Dir)
	w.audit(2, "audit.state", "--state", filepath.Join(state, "audit.state"), w.Dir)

	// An interrupted audit can go on.
	if err := os.WriteFile(state, good, 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	if code := cli.Run(ctx, []string{"audit", "--policy", w.policy, "--state", state, w.Dir}, strings.NewReader(""), &out, &out); code != 2 || !strings.Contains(out.String(), "interrupted: ") {
		t.Fatalf("exit code %d\n%s", code, &out)
	}
	w.audit(0, "CLEAN", "--state", state, w.Dir)
}

func TestAuditHelp(t *testing.T) {
	w := newAuditWorld(t)
	out := w.audit(0, "Examples:\n  vasistas audit ", "--help")
	for _, part := range []string{"Exit code: 0 if the log kept its rules", "--json", "--state", "--policy"} {
		if !strings.Contains(out, part) {
			t.Errorf("the help lacks %q", part)
		}
	}
}

// Commands that state no time take heads of every spread: the charter says which spread counts,
// and the policy file can't.
func TestCommandsTakeAWideSpread(t *testing.T) {
	w := &auditWorld{written.New(t.TempDir(), func(c *event.Charter) { c.Profile.Spread, c.Profile.Skew = 600, 1000 }), t, filepath.Join(t.TempDir(), "policy.txt")}
	t.Cleanup(func() { w.Report(t.Error) })
	head := w.Publish("w1", "w2")
	late, err := w.Witness("w3").Sign(&head.Head, uint64(w.Now)+400)
	if err != nil {
		t.Fatal(err)
	}
	head.Signatures = append(head.Signatures, late)
	for name, b := range map[string][]byte{filepath.Join(w.Dir, "checkpoint"): head.Bytes(), w.policy: w.ParsePolicy(3, "w1", "w2", "w3", "w4").Bytes()} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	proof := filepath.Join(t.TempDir(), "proof")
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"prove", "--policy", w.policy, "--log", w.Dir, "--index", "0", "--out", proof}, 0},
		{[]string{"follow", "--policy", w.policy, "--log", w.Dir, "--until-head"}, 0},
		{[]string{"verify", "--policy", w.policy, proof}, 1},
		{[]string{"verify", "--policy", w.policy, "--spread", "600", proof}, 0},
	} {
		var out bytes.Buffer
		if got := cli.Run(t.Context(), c.args, nil, &out, &out); got != c.code {
			t.Errorf("%v: exit code %d, want %d\n%s", c.args, got, c.code, &out)
		}
	}
}
