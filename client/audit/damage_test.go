// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package audit_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/event"
)

// edit changes a file of a log's directory.
func edit(t *testing.T, w *written.Log, name string, change func([]byte) []byte) {
	t.Helper()
	name = filepath.Join(w.Dir, name)
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, change(b), 0o644); err != nil {
		t.Fatal(err)
	}
}

// A file that does not fit the tree may be a broken mirror's: the audit can't tell.
func TestFlippedByte(t *testing.T) {
	w := newLog(t)
	w.Live(600)
	w.Publish("w1", "w2", "w3")
	var files int
	err := filepath.WalkDir(filepath.Join(w.Dir, "tile"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(w.Dir, path)
		files++
		bad := w.Fork(t.TempDir())
		edit(t, bad, name, func(b []byte) []byte {
			b[len(b)/2] ^= 1
			return b
		})
		r := audits(t, bad)
		wants(t, r, audit.Undecided, audit.ReasonCorrupt)
		if r.Complete || r.Overdue != 0 || r.OverdueAt != "" {
			t.Errorf("%s: an audit that is not complete says what is overdue", name)
		}
		return nil
	})
	if err != nil || files != 9 {
		t.Fatalf("%d files, %v", files, err)
	}
}

// What was proven before the damage is decided.
func TestViolationBeforeDamage(t *testing.T) {
	w := newLog(t)
	w.Append([]byte("no event"))
	w.Live(600)
	w.Publish("w1", "w2", "w3")
	edit(t, w, "tile/entries/001", func(b []byte) []byte { b[100] ^= 1; return b })
	r := audits(t, w)
	wants(t, r, audit.Violations, audit.ReasonCorrupt)
	if r.Audited != 256 || r.Complete {
		t.Error(text(t, r))
	}
}

func TestUnreadable(t *testing.T) {
	w := newLog(t)
	w.Live(300)
	w.Publish("w1", "w2", "w3")
	policy := w.ParsePolicy(3, "w1", "w2", "w3", "w4")
	gone := w.Fork(t.TempDir())
	if err := os.Remove(filepath.Join(gone.Dir, "tile/entries/000")); err != nil {
		t.Fatal(err)
	}
	wants(t, audits(t, gone), audit.Undecided, audit.ReasonUnreadable)
	wants(t, run(t, serve(t, gone.Dir), policy, audit.Config{}), audit.Undecided, audit.ReasonUnreadable)
	wants(t, run(t, t.TempDir(), policy, audit.Config{}), audit.Undecided, audit.ReasonUnreadable)
	edit(t, gone, "checkpoint", func(b []byte) []byte { return b[1:] })
	wants(t, audits(t, gone), audit.Undecided, audit.ReasonPolicy)
	edit(t, gone, "checkpoint", func(b []byte) []byte { return b[:20] })
	wants(t, audits(t, gone), audit.Undecided, audit.ReasonCorrupt)

	cl, err := client.New(client.Config{URL: w.Dir, Policy: policy})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wants(t, audit.Run(ctx, audit.Config{Client: cl, Policy: policy}), audit.Undecided, audit.ReasonInterrupted)
	wants(t, audit.Run(t.Context(), audit.Config{Client: cl}), audit.Undecided, audit.ReasonPolicy)
}

func TestPolicies(t *testing.T) {
	w := newLog(t)
	w.Publish("w1", "w2", "w3")
	other := newLog(t)
	wants(t, run(t, w.Dir, w.ParsePolicy(4, "w1", "w2", "w3", "w4"), audit.Config{}), audit.Undecided, audit.ReasonPolicy)
	wants(t, run(t, w.Dir, other.ParsePolicy(0), audit.Config{}), audit.Undecided, audit.ReasonPolicy)
	// The charter's policy bounds the time for who has none of his own.
	r := run(t, w.Dir, w.ParsePolicy(0), audit.Config{})
	wants(t, r, audit.Clean)
	if r.LoggedAfter != "" || r.OverdueAt != "2026-01-01T00:00:00Z" {
		t.Errorf("logged after %q, overdue at %q", r.LoggedAfter, r.OverdueAt)
	}
	// My policy is met, that of the charter is not.
	w.Publish("w1")
	r = run(t, w.Dir, w.ParsePolicy(1, "w1"), audit.Config{})
	wants(t, r, audit.Undecided, audit.ReasonCharter)
	if r.Charter.Met {
		t.Error("the charter's policy is met")
	}
	wants(t, run(t, w.Dir, w.ParsePolicy(0), audit.Config{}), audit.Undecided, audit.ReasonCharter, audit.ReasonTime)
}

// A charter with unknown rules can't be checked, nor the entries after it.
func TestUnknownRules(t *testing.T) {
	w := newLog(t)
	w.Amend(func(c *event.Charter) { c.Rules = 1 << 20 })
	w.Publish("w1", "w2", "w3")
	r := audits(t, w)
	wants(t, r, audit.Undecided, audit.ReasonRules)
	if r.Audited != 1 {
		t.Errorf("%d entries audited", r.Audited)
	}
}

// keep audits and returns the snapshot.
func keep(t *testing.T, w *written.Log, want audit.Verdict) []byte {
	t.Helper()
	var snap []byte
	r := run(t, w.Dir, w.ParsePolicy(3, "w1", "w2", "w3", "w4"), audit.Config{Save: func(b []byte) error { snap = b; return nil }})
	if r.Result() != want || snap == nil {
		t.Fatal(text(t, r))
	}
	return snap
}

func resume(t *testing.T, w *written.Log, snap []byte) *audit.Report {
	t.Helper()
	return run(t, w.Dir, w.ParsePolicy(3, "w1", "w2", "w3", "w4"), audit.Config{Snapshot: snap})
}

func TestRollback(t *testing.T) {
	w := newLog(t)
	w.Warrant(w.Now + day)
	w.Publish("w1", "w2", "w3")
	before := w.Fork(t.TempDir())
	w.Warrant(w.Now + day)
	w.Publish("w1", "w2", "w3")
	wants(t, resume(t, before, keep(t, w, audit.Clean)), audit.Undecided, audit.ReasonRollback)
}

// A signed fork convicts the log, and the report has what convinces others.
func TestFork(t *testing.T) {
	for name, grow := range map[string]int{"same size": 1, "longer": 300} {
		t.Run(name, func(t *testing.T) {
			w := newLog(t)
			w.Warrant(w.Now + day)
			other := w.Fork(t.TempDir())
			w.Warrant(w.Now + day)
			w.Publish("w1", "w2", "w3")
			for range grow {
				other.Append([]byte("another story"))
			}
			other.Publish("w1", "w3", "w4")
			r := resume(t, other, keep(t, w, audit.Clean))
			wants(t, r, audit.Violations)
			if r.Fork == nil || r.Breaches != 0 {
				t.Fatal(text(t, r))
			}
			small, large := r.Fork.Small, r.Fork.Large
			if small.Size != w.Size() || large.Size != other.Size() || small.Root == large.Root {
				t.Errorf("%+v", r.Fork)
			}
		})
	}
}
