// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package audit_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/internal/world/written"
)

// rich is a log with something of everything.
func rich(t *testing.T) *written.Log {
	w := newLog(t)
	w.Live(400)
	w.Append([]byte("no event"))
	e := w.WarrantEvent(w.Now + day)
	w.LogBadly(e, "court")
	w.LogEvent(e, "stranger")
	w.Warrant(w.Now + day)
	return w
}

// A resumed audit gives the report of a replay from the start, wherever the
// snapshot was made.
func TestResumeIsFullReplay(t *testing.T) {
	w := rich(t)
	w.Publish("w1", "w2", "w3")
	var snaps [][]byte
	policy := w.ParsePolicy(3, "w1", "w2", "w3", "w4")
	sizes := []uint64{w.Size()}
	snaps = append(snaps, keep(t, w, audit.Violations))
	for i := range 5 {
		w.Live(w.Size() + uint64(37*i))
		w.Append([]byte("no event"))
		w.Now += 3 * day
		w.Publish("w1", "w2", "w3")
		snaps, sizes = append(snaps, keep(t, w, audit.Violations)), append(sizes, w.Size())
	}
	// And from the middle of a run.
	r := run(t, w.Dir, policy, audit.Config{SaveEvery: 1, Save: func(b []byte) error {
		if len(snaps) < 9 {
			snaps, sizes = append(snaps, b), append(sizes, uint64(256*(len(snaps)-5)))
		}
		return nil
	}})
	full := run(t, w.Dir, policy, audit.Config{})
	wants(t, r, audit.Violations)
	for i, snap := range snaps {
		got := run(t, w.Dir, policy, audit.Config{Snapshot: snap})
		if got.Resumed != sizes[i] {
			t.Errorf("snapshot %d: resumed at %d, want %d", i, got.Resumed, sizes[i])
		}
		got.Resumed = 0
		if d := cmp.Diff(text(t, full), text(t, got)); d != "" {
			t.Errorf("snapshot %d of size %d:\n%s", i, sizes[i], d)
		}
	}
	// What they leave is the same, too.
	var again []byte
	run(t, w.Dir, policy, audit.Config{Snapshot: snaps[0], Save: func(b []byte) error { again = b; return nil }})
	if !bytes.Equal(again, keep(t, w, audit.Violations)) {
		t.Error("the snapshots of a resumed and a full audit differ")
	}
}

func text(t testing.TB, r *audit.Report) string {
	t.Helper()
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// One that is interrupted leaves what it has done.
func TestInterrupted(t *testing.T) {
	w := rich(t)
	w.Live(2000)
	w.Publish("w1", "w2", "w3")
	policy := w.ParsePolicy(3, "w1", "w2", "w3", "w4")
	cl, err := client.New(client.Config{URL: w.Dir, Policy: policy})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var snap []byte
	r := audit.Run(ctx, audit.Config{Client: cl, Policy: policy, Now: headTime(w.Dir),
		Progress: func(done, _ uint64) {
			if done >= 1024 {
				cancel()
			}
		},
		Save: func(b []byte) error { snap = b; return nil }})
	wants(t, r, audit.Violations, audit.ReasonInterrupted)
	if r.Audited != 1024 || r.Complete {
		t.Fatalf("%d entries", r.Audited)
	}
	got := run(t, w.Dir, policy, audit.Config{Snapshot: snap})
	if got.Resumed != 1024 {
		t.Errorf("resumed at %d", got.Resumed)
	}
	got.Resumed = 0
	if d := cmp.Diff(text(t, run(t, w.Dir, policy, audit.Config{})), text(t, got)); d != "" {
		t.Error(d)
	}
}

func TestSaveFails(t *testing.T) {
	w := newLog(t)
	w.Live(600)
	w.Publish("w1", "w2", "w3")
	calls := 0
	c := audit.Config{SaveEvery: 1, Save: func([]byte) error { calls++; return errors.New("disk full") }}
	r := run(t, w.Dir, w.ParsePolicy(3, "w1", "w2", "w3", "w4"), c)
	wants(t, r, audit.Undecided, audit.ReasonSnapshot)
	if calls != 1 || r.Audited != 256 {
		t.Errorf("%d calls, %d entries", calls, r.Audited)
	}
	c.SaveEvery = 0
	wants(t, run(t, w.Dir, w.ParsePolicy(3, "w1", "w2", "w3", "w4"), c), audit.Undecided, audit.ReasonSnapshot)
}

// A snapshot is taken whole and where it belongs, or not at all.
func TestBadSnapshots(t *testing.T) {
	w := newLog(t)
	w.Live(300)
	w.Publish("w1", "w2", "w3")
	snap := keep(t, w, audit.Clean)
	refused := func(name string, b []byte) {
		t.Helper()
		r := resume(t, w, b)
		if r.Result() != audit.Undecided || len(r.Reasons) != 1 || r.Reasons[0].Code != audit.ReasonSnapshot {
			t.Errorf("%s: %s", name, text(t, r))
		}
	}
	for i := 0; i < len(snap); i += 1 + len(snap)/150 {
		b := bytes.Clone(snap)
		b[i] ^= 1
		refused(fmt.Sprint("bit flipped at ", i), b)
		refused(fmt.Sprint("cut off at ", i), snap[:i])
	}
	refused("empty", []byte{})
	refused("longer", append(bytes.Clone(snap), 0))

	// With the right hash.
	body := string(snap[:len(snap)-sha256.Size])
	for _, change := range [][2]string{
		{`"size":`, `"size": `},
		{`"size":`, `"size":1`},
		{`"unreadable":0`, `"unreadable":1`},
		{`"origin":"log.example/2026"`, `"origin":"log.example/2027"`},
		{`"root":"`, `"root":"A`},
		{`,"own":`, `,"more":1,"own":`},
		{`"totals":`, `"more":1,"totals":`},
		{`"totals":{`, `"totals":null,"observer":{`},
		{"vasistas ledger snapshot 6", "vasistas ledger snapshot 5"},
		{"vasistas replica snapshot 2 audit", "vasistas replica snapshot 3 audit"},
		{"vasistas replica snapshot 2 audit", "vasistas replica snapshot 2 scan"},
	} {
		changed := strings.Replace(body, change[0], change[1], 1)
		if changed == body {
			t.Fatalf("the snapshot has no %s", change[0])
		}
		sum := sha256.Sum256([]byte(changed))
		b := append([]byte(changed), sum[:]...)
		refused(change[1], b)
		if why := resume(t, w, b).Reasons[0].Err.Error(); strings.Contains(change[1], "snapshot") && !strings.Contains(why, "version") {
			t.Errorf("%s: %s", change[1], why)
		}
	}

	// Of another log, under another policy, and of another history.
	other := newLog(t)
	other.Live(300)
	other.Publish("w1", "w2", "w3")
	refused("another log's", keep(t, other, audit.Clean))
	r := run(t, w.Dir, w.ParsePolicy(1, "w1", "w2", "w3"), audit.Config{Snapshot: snap})
	wants(t, r, audit.Undecided, audit.ReasonSnapshot)
	if !strings.Contains(r.Reasons[0].Err.Error(), "another policy") {
		t.Error(text(t, r))
	}
	graft(t, w, refused)
}

// graft gives a snapshot of one tree the header of another of the same log.
func graft(t *testing.T, w *written.Log, refused func(string, []byte)) {
	f := w.Fork(t.TempDir())
	for range 20 {
		w.Append([]byte("one story"))
		f.Append([]byte("another story"))
	}
	w.Publish("w1", "w2", "w3")
	f.Publish("w1", "w2", "w3")
	mine, theirs := keep(t, w, audit.Violations), keep(t, f, audit.Violations)
	cut := func(b []byte) (header, ledger []byte) {
		i := bytes.Index(b, []byte("vasistas ledger"))
		return b[:i], b[i : len(b)-sha256.Size]
	}
	header, _ := cut(mine)
	_, ledger := cut(theirs)
	b := append(bytes.Clone(header), ledger...)
	sum := sha256.Sum256(b)
	refused("a ledger of another tree", append(b, sum[:]...))
}
