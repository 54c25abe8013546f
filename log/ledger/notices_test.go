// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"crypto/sha256"
	"testing"

	"github.com/vasistas/vasistas/log/event"
)

// Which release states a notice, and what is outstanding, through a life with two
// accesses, one of them sealed without end, and a release that comes before its turn.
func TestNotices(t *testing.T) {
	w := founded(t, nil)
	outstanding := func(want Outstanding) {
		t.Helper()
		if got := w.l.Outstanding(); got != want {
			t.Errorf("outstanding %+v, want %+v", got, want)
		}
	}
	stating := func(named *logged, notice event.Digest, want ...*logged) {
		t.Helper()
		got := w.l.Stating(named.ref(), notice)
		if len(got) != len(want) {
			t.Fatalf("%d releases state it, want %d", len(got), len(want))
		}
		for i, r := range got {
			if r.Reference != want[i].ref() {
				t.Errorf("release %d, want %d", r.Index, want[i].index)
			}
		}
	}
	outstanding(Outstanding{})
	first, last := w.now+150*day, w.now+160*day
	a := w.access(w.warrant(first), first)
	b := w.access(w.warrant(last), last)
	outstanding(Outstanding{Live: 2})
	ra, rb := w.answer(a, "c1"), w.answer(b, "c2")
	na, nb := digestOf(ra.notices[0]), digestOf(rb.notices[0])
	outstanding(Outstanding{Releases: 2, Notices: 2, Last: at(last), Live: 2})
	stating(a, na, ra)
	stating(ra, na, ra)
	stating(rb, na)
	stating(b, na)
	stating(b, nb, rb)

	// The third release of c1 is in the log before its second: c is answered later.
	c := w.access(w.warrant(last), last)
	d := w.access(w.warrant(last), last)
	second, _ := w.release(c, "c1")
	env := w.sign(second, "c1")
	w.follow("c1", env)
	third := w.answer(d, "c1")
	outstanding(Outstanding{Releases: 3, Notices: 3, Last: at(last), Live: 4})
	got := w.l.Stating(d.ref(), digestOf(third.notices[0]))
	if len(got) != 1 || !got[0].Waiting || got[0].Custodian != "c1" {
		t.Errorf("%+v", got)
	}
	w.logEnvelope(env)
	if got := w.l.Stating(d.ref(), digestOf(third.notices[0])); len(got) != 1 || got[0].Waiting {
		t.Errorf("%+v", got)
	}

	// Sealed without end.
	w.now += 149 * day
	w.log(w.event(&event.Deferral{Event: a.ref(), Never: true, Ground: "investigation", Ordinal: 1}), "com1", "com2", "com3")
	if w.found != nil {
		t.Fatal(w.found)
	}
	outstanding(Outstanding{Releases: 4, Notices: 4, Never: 1, Last: at(last), Live: w.l.Outstanding().Live})
	w.now += 12 * day
	w.disclose(b, rb)
	if w.found != nil {
		t.Fatal(w.found)
	}
	outstanding(Outstanding{Releases: 3, Notices: 3, Never: 1, Last: at(last), Live: w.l.Outstanding().Live})
}

func digestOf(notice []byte) event.Digest { return sha256.Sum256(notice) }

// What never came is no more sealed than it is told.
func TestNeverTold(t *testing.T) {
	w := founded(t, nil)
	until := w.now + day
	w.answer(w.access(w.warrant(until), until), "c1")
	w.anchor()
	if got := w.l.Outstanding(); got.Releases != 1 {
		t.Errorf("%+v", got)
	}
	w.now += 60 * day
	w.anchor()
	w.anchor()
	got := w.l.Outstanding()
	if got.Releases != 0 || !got.Last.IsZero() {
		t.Errorf("%+v", got)
	}
}
