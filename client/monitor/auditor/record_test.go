// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"bytes"
	"testing"
	"time"

	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// FuzzRecord: one encoding in, the same bytes out.
func FuzzRecord(f *testing.F) {
	log, err := tlog.GenerateSigner("log.example", tlog.Ed25519)
	if err != nil {
		f.Fatal(err)
	}
	cp := &tlog.Checkpoint{Head: tlog.Head{Origin: "log.example", Size: 7}}
	line, err := log.Sign(&cp.Head, 0)
	if err != nil {
		f.Fatal(err)
	}
	cp.Signatures = append(cp.Signatures, line)
	for _, r := range []record{{Auditor: "dog", Key: "dog.example"}, {Auditor: "dog", Key: "dog.example", Time: 9, Checkpoint: string(cp.Bytes())}} {
		f.Add(r.bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRecord(b)
		if err == nil && (!bytes.Equal(r.bytes(), b) || (r.head == nil) != (r.Checkpoint == "") || r.head != nil && string(r.head.Bytes()) != r.Checkpoint) {
			t.Errorf("parsed, and written again as %q", r.bytes())
		}
	})
}

// TestJudgedOnce: what bars the auditor is found once for each second and size, however often
// strangers ask.
func TestJudgedOnce(t *testing.T) {
	w := written.New("", nil)
	t.Cleanup(func() { w.Report(t.Error) })
	l := ledger.New(w.Origin, nil)
	apply := func(entry []byte) {
		t.Helper()
		if _, _, err := l.Apply(ledger.Read(l.Size(), entry)); err != nil {
			t.Fatal(err)
		}
	}
	apply(w.Charter.Envelope.Bytes())
	a := &Auditor{cfg: Config{Name: "dog"}, copy: &replicated{ledger: l}}
	at := time.Now().Add(100 * 365 * 24 * time.Hour).Truncate(time.Second) // all is overdue
	found := func(at time.Time) *ledger.Obligation {
		bars := a.bars(at)
		if len(bars) == 0 {
			t.Fatal("nothing is overdue")
		}
		return bars[0].Obligation
	}
	first := found(at)
	if found(at.Add(time.Second/2)) != first {
		t.Error("the same second is judged twice")
	}
	if found(at.Add(time.Second)) == first {
		t.Error("a second has the bars of the one before")
	}
	first = found(at)
	apply(w.Warrant(w.Now + 3600).Envelope.Bytes())
	if found(at) == first {
		t.Error("a larger tree has the bars of a smaller one")
	}
}
