// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package scan_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/replica"
	"github.com/vasistas/vasistas/client/scan"
)

// long is a log with a case of the subject's in its first half, one in its second, and
// one that proves nothing.
func long(t *testing.T) *world {
	w := newWorld(t)
	for range 2 {
		c := w.release([]string{me}, w.key(0, kems[0]))
		w.Live(w.Size() + 300)
		w.disclose(c)
	}
	bad := &released{Case: w.NewCase(hour12, []string{me}, w.Wrap(w.key(0, kems[1]), me))}
	bad.releases = append(bad.releases, w.ReleaseWith(bad.Access, "c1", sealRaw(t, w.key(0, kems[1]), make([]byte, 4096))))
	w.disclose(bad)
	w.Publish("w1", "w2", "w3")
	return w
}

// text is a report without what a resumed run has otherwise.
func text(t testing.TB, r *scan.Report) string {
	t.Helper()
	c, a := *r, *r.Audit
	c.Audit, a.Resumed, c.Tries = &a, 0, 0
	b, err := json.MarshalIndent(c, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// From any state the report is that of a scan from the start.
func TestResume(t *testing.T) {
	w := long(t)
	var states [][]byte
	full := w.scan(func(c *scan.Config) {
		c.SaveEvery, c.Save = 1, func(b []byte) error { states = append(states, bytes.Clone(b)); return nil }
	})
	wants(t, full, scan.Found, 2)
	if len(full.Unproven) != 1 || len(states) < 3 {
		t.Fatalf("%d states\n%s", len(states), text(t, full))
	}
	want := text(t, full)
	for i := 0; i < len(states); i += max(1, len(states)/3) {
		state := states[i]
		got := w.scan(func(c *scan.Config) { c.Snapshot = state })
		if got.Audit.Resumed == 0 {
			t.Errorf("state %d: not resumed", i)
		}
		if d := cmp.Diff(want, text(t, got)); d != "" {
			t.Errorf("state %d: %s", i, d)
		}
	}
	// Entries that came later are found from the last one.
	w.disclose(w.release([]string{me}, w.key(0, kems[1])))
	last := states[len(states)-1]
	wants(t, w.scan(func(c *scan.Config) { c.Snapshot = last }), scan.Found, 3)
}

// One that is stopped goes on where it was.
func TestStopped(t *testing.T) {
	w := long(t)
	want := text(t, w.scan(nil))
	ctx, cancel := context.WithCancel(t.Context())
	var state []byte
	c := w.config(func(c *scan.Config) {
		c.Progress = func(done, _ uint64) {
			if done >= 256 {
				cancel()
			}
		}
		c.Save = func(b []byte) error { state = b; return nil }
	})
	r, err := scan.Run(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	if r.Audit.Complete || r.Sealed != nil || len(r.Reasons) == 0 {
		t.Fatal(text(t, r))
	}
	has(t, strings.Join(r.Reasons, " "), audit.ReasonInterrupted)
	got := w.scan(func(c *scan.Config) { c.Snapshot = state })
	if got.Audit.Resumed < 256 || got.Audit.Resumed == got.Audit.Audited {
		t.Errorf("resumed at %d of %d", got.Audit.Resumed, got.Audit.Audited)
	}
	if d := cmp.Diff(want, text(t, got)); d != "" {
		t.Error(d)
	}
}

func state(t testing.TB, w *world) []byte {
	t.Helper()
	var state []byte
	w.scan(func(c *scan.Config) { c.Save = func(b []byte) error { state = b; return nil } })
	return state
}

// A state that is not whole, or not of this seed or log, is refused.
func TestStateRefused(t *testing.T) {
	w := newWorld(t)
	w.disclose(w.release([]string{me}, w.key(0, kems[0])))
	good := state(t, w)
	var bad *replica.SnapshotError
	for i := 0; i < len(good); i += 1 + len(good)/97 {
		b := bytes.Clone(good)
		b[i] ^= 4
		if _, err := scan.Run(t.Context(), w.config(func(c *scan.Config) { c.Snapshot = b })); !errors.As(err, &bad) {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
	for _, b := range [][]byte{{}, good[:len(good)-1], append(bytes.Clone(good), 0)} {
		if _, err := scan.Run(t.Context(), w.config(func(c *scan.Config) { c.Snapshot = b })); !errors.As(err, &bad) {
			t.Errorf("%d bytes: %v", len(b), err)
		}
	}
	_, err := scan.Run(t.Context(), w.config(func(c *scan.Config) { c.Snapshot, c.Seed = good, escrow.NewSeed(nowOf(w)) }))
	if !errors.As(err, &bad) {
		t.Errorf("another seed: %v", err)
	}
	if _, err := scan.Run(t.Context(), w.config(func(c *scan.Config) { c.Seed = nil })); err == nil {
		t.Error("no seed")
	}
	other := newWorld(t)
	other.seed = w.seed
	other.Live(100)
	if _, err := scan.Run(t.Context(), other.config(func(c *scan.Config) { c.Snapshot = good })); !errors.As(err, &bad) {
		t.Errorf("another log: %v", err)
	}
	// Of the use and the layout of others, with the way out.
	body := good[:len(good)-sha256.Size]
	magic, _, _ := bytes.Cut(good, []byte("\n"))
	for other, want := range map[string]string{"vasistas scan state 1": "name another file",
		"vasistas replica snapshot 1 scan ": "name another file", "vasistas replica snapshot 2 audit": "it is the state of another command or version, and no scan snapshot"} {
		b := append([]byte(other), body[len(magic):]...)
		sum := sha256.Sum256(b)
		_, err := scan.Run(t.Context(), w.config(func(c *scan.Config) { c.Snapshot = append(b, sum[:]...) }))
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", other, err)
		}
	}
}

// One that can't be kept is no success.
func TestSaveFails(t *testing.T) {
	w := newWorld(t)
	w.Live(100)
	r := w.scan(func(c *scan.Config) { c.Save = func([]byte) error { return errors.New("disk full") } })
	wants(t, r, scan.Undecided, 0)
	has(t, r.Audit.Reasons[0].Err.Error(), "disk full")
}
