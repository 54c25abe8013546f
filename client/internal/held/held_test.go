// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package held

import (
	"testing"

	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, env *event.Envelope, notices ...[]byte) *Event {
	t.Helper()
	b, err := (&event.Submission{Envelope: env, Notices: notices}).Bytes()
	check(t, err)
	h, err := Read(b, "a test", true)
	check(t, err)
	return h
}

// TestHas: an event that another key signed is another event, although its hash is the same.
func TestHas(t *testing.T) {
	w := written.New("", nil)
	ev := w.Event(&event.Heartbeat{From: written.At(w.Now - 1000), To: written.At(w.Now)})
	list := List{read(t, w.Sign(ev, "c1"))}
	if !list.Has(read(t, w.Sign(ev, "c1"))) {
		t.Error("the event is not held")
	}
	if other := read(t, w.Sign(ev, "c2")); list.Has(other) || !list.Room(other) {
		t.Error("the copy that another custodian signed passes for the event")
	}
	check(t, w.Err())
}

// TestCounts: a release that takes its place in the chain binds its holder, even if it opens nothing;
// one that has no place does not.
func TestCounts(t *testing.T) {
	w := written.New("", nil)
	m := w.Record()
	l := ledger.New(w.Origin, m)
	apply := func() {
		t.Helper()
		for l.Size() < uint64(len(m.Entries)) {
			violations, _, err := l.Apply(ledger.Read(l.Size(), m.Entries[l.Size()]))
			check(t, err)
			for _, v := range violations {
				t.Fatal(v)
			}
		}
	}
	warrant := w.Warrant(w.Now + 3600)
	access := w.Access(warrant, w.Now+3600)
	apply()
	notice := make([]byte, 512)
	late := w.Sign(w.ReleaseEvent(access, "c1", notice), "c1")
	early := w.ReleaseEvent(access, "c2", notice)
	r := *early.Body.(*event.Release)
	r.Seq, r.Prev = 2, event.Digest{1}
	waits := w.Sign(w.Event(&r), "c2")
	r.Seq = 1 << 20
	far := w.Sign(w.Event(&r), "messenger")
	w.Revoke(warrant, event.ScopeAll)
	w.Now += 10
	apply()
	check(t, w.Err())
	for name, c := range map[string]struct {
		env    *event.Envelope
		counts bool
		way    string
	}{
		"late":           {late, true, "late"},
		"early":          {waits, true, "early"},
		"no custodian's": {far, false, ""},
	} {
		h := read(t, c.env, notice)
		h.Entry.Verify(l.Key)
		v, err := l.Check(h.Entry)
		check(t, err)
		if v == nil || c.way != "" && (v.Kind != ledger.KindNoEffect || v.Code != c.way) || h.Counts(l, v) != c.counts {
			t.Errorf("%s: %v, and it counts: %v", name, v, h.Counts(l, v))
		}
	}
	check(t, w.Err())
}
