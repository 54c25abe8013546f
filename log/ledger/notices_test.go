// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"crypto/sha256"
	"testing"

	"github.com/vasistas/vasistas/log/event"
)

// Stating and Outstanding through a life with two accesses, one of them sealed
// without end, and a release that comes before its turn.
func TestNotices(t *testing.T) {
	w := newWorld(t, nil)
	outstanding := func(want Outstanding) {
		t.Helper()
		if got := w.l.Outstanding(); got != want {
			t.Errorf("outstanding %+v, want %+v", got, want)
		}
	}
	stating := func(named *logged, notice event.Digest, want ...*logged) {
		t.Helper()
		got := w.l.Stating(named.Reference, notice)
		if len(got) != len(want) {
			t.Fatalf("%d releases state it, want %d", len(got), len(want))
		}
		for i, r := range got {
			if r.Reference != want[i].Reference {
				t.Errorf("release %d, want %d", r.Index, want[i].Index)
			}
		}
	}
	outstanding(Outstanding{})
	first, last := w.Now+150*day, w.Now+160*day
	a := w.Access(w.Warrant(first), first)
	b := w.Access(w.Warrant(last), last)
	outstanding(Outstanding{Live: 2})
	ra, rb := w.answer(a, "c1"), w.answer(b, "c2")
	na, nb := digestOf(ra.Notices[0]), digestOf(rb.Notices[0])
	outstanding(Outstanding{Releases: 2, Notices: 2, Last: at(last), Live: 2})
	stating(a, na, ra)
	stating(ra, na, ra)
	stating(rb, na)
	stating(b, na)
	stating(b, nb, rb)

	// The third release of c1 is in the log before its second: c is answered later.
	c := w.Access(w.Warrant(last), last)
	d := w.Access(w.Warrant(last), last)
	second, _ := w.release(c, "c1")
	env := w.Sign(second, "c1")
	w.Follow("c1", env)
	third := w.answer(d, "c1")
	outstanding(Outstanding{Releases: 3, Notices: 3, Last: at(last), Live: 4})
	got := w.l.Stating(d.Reference, digestOf(third.Notices[0]))
	if len(got) != 1 || !got[0].Waiting || got[0].Custodian != "c1" {
		t.Errorf("%+v", got)
	}
	w.LogEnvelope(env)
	if got := w.l.Stating(d.Reference, digestOf(third.Notices[0])); len(got) != 1 || got[0].Waiting {
		t.Errorf("%+v", got)
	}

	// Sealed without end.
	w.Now += 149 * day
	w.anchor()
	w.LogEvent(w.Event(&event.Deferral{Event: a.Reference, Never: true, Ground: "investigation", Ordinal: 1}), "com1", "com2", "com3")
	if w.violations != nil {
		t.Fatal(w.violations)
	}
	outstanding(Outstanding{Releases: 4, Notices: 4, Never: 1, Last: at(last), Live: w.l.Outstanding().Live})
	w.Now += 12 * day
	w.Disclose(b, rb)
	if w.violations != nil {
		t.Fatal(w.violations)
	}
	outstanding(Outstanding{Releases: 3, Notices: 3, Never: 1, Last: at(last), Live: w.l.Outstanding().Live})
}

func digestOf(notice []byte) event.Digest { return sha256.Sum256(notice) }

// A missing notice that became a breach is no longer outstanding.
func TestNeverTold(t *testing.T) {
	w := newWorld(t, nil)
	until := w.Now + day
	w.answer(w.Access(w.Warrant(until), until), "c1")
	w.anchor()
	if got := w.l.Outstanding(); got.Releases != 1 {
		t.Errorf("%+v", got)
	}
	for range 3 { // one proves the release late, the next that 30 days have passed
		w.Now += 30 * day
		w.anchor()
	}
	got := w.l.Outstanding()
	if got.Releases != 0 || !got.Last.IsZero() {
		t.Errorf("%+v", got)
	}
}

// An access that is suspended may still be answered, once it is resumed.
func TestSuspendedMayBeAnswered(t *testing.T) {
	w := newWorld(t, nil)
	warrant := w.Warrant(w.Now + day)
	w.Access(warrant, w.Now+day)
	w.Revoke(warrant, event.ScopeSuspended)
	if got := w.l.Outstanding(); got.Live != 1 {
		t.Errorf("suspended: %+v", got)
	}
	w.Revoke(warrant, event.ScopeAll)
	if got := w.l.Outstanding(); got.Live != 0 {
		t.Errorf("revoked: %+v", got)
	}
}
