// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package duty

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/vasistas/vasistas/log/event"
)

// TestAgendaEncoding checks that ReadAgenda reads what SnapshotLater writes and no byte after it, and
// refuses a part of it.
func TestAgendaEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := NewAgenda()
		a.anchors = rapid.SliceOfN(rapid.Uint64(), 0, 4).Draw(t, "anchors")
		indices := rapid.SliceOfNDistinct(rapid.Uint64(), 0, 6, rapid.ID).Draw(t, "deposits")
		slices.Sort(indices)
		for _, i := range indices {
			a.deposits = append(a.deposits, deposit{index: i, hash: event.Digest{byte(i)}, release: i%2 == 1, next: int64(i % 3)})
		}
		if len(indices) > 2 {
			a.drop(indices[0])
		}
		text := func(a *Agenda) []byte {
			var b bytes.Buffer
			if err := a.SnapshotLater()(&b); err != nil {
				t.Fatal(err)
			}
			return b.Bytes()
		}
		b := text(a)
		r := bytes.NewReader(append(bytes.Clone(b), "after"...))
		got, err := ReadAgenda(r, r.Size())
		if err != nil || r.Len() != len("after") {
			t.Fatalf("%d bytes are left, %v", r.Len(), err)
		}
		if again := text(got); !bytes.Equal(again, b) {
			t.Fatalf("%x is written as %x", b, again)
		}
		b = b[:rapid.IntRange(0, len(b)-1).Draw(t, "cut")]
		if _, err := ReadAgenda(bytes.NewReader(b), int64(len(b))); err == nil {
			t.Fatal("a part was read")
		}
	})
}

// TestAgendaChecks checks that deposits are returned when their checks are due, each
// once, and not after they were dropped.
func TestAgendaChecks(t *testing.T) {
	a := NewAgenda()
	for i := range uint64(5) {
		a.deposits = append(a.deposits, deposit{index: i, hash: event.Digest{byte(i)}})
	}
	next := func(now int64, n int, want ...uint64) {
		t.Helper()
		got := a.next(now, n)
		if len(got) != len(want) {
			t.Fatalf("%d deposits; want %d", len(got), len(want))
		}
		for i, d := range got {
			if d.index != want[i] {
				t.Errorf("deposit %d; want %d", d.index, want[i])
			}
		}
	}
	next(100, 10)
	for range 10 {
		a.CheckIdle()
		next(0, 2, 0, 1) // the oldest first
	}
	next(0, 10, 2, 3, 4)
	next(100, 10)
	a.check(30, 3)
	a.check(20, 4)
	a.check(20, 4)
	a.check(10, 1)
	a.check(10, 9) // there is none
	next(9, 10)
	next(10, 10, 1)
	next(30, 1, 4)
	if gone := a.drop(3, 9); len(gone) != 1 || gone[0] != (event.Digest{3}) {
		t.Errorf("dropped %v", gone)
	}
	next(30, 10)
	if !a.lose(2) || a.lose(2) || a.lose(3) {
		t.Error("a deposit is lost once, if it is one")
	}
	a.Restored(event.Digest{7}, 2) // another event
	next(100, 10)
	a.Restored(event.Digest{2}, 2)
	next(100, 10, 2)
	if !a.Owes(2) || a.Owes(3) {
		t.Error("the log owes what is deposited")
	}
}
