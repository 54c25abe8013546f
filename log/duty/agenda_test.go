// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package duty

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/vault"
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

// toyLog is a log of one entry.
type toyLog struct {
	Log
	ledger *ledger.Ledger
	agenda *Agenda
}

func (l toyLog) Query(f func(*ledger.Ledger, *Agenda)) { f(l.ledger, l.agenda) }
func (l toyLog) Size() uint64                          { return 1 }

// TestAgendaWrongTime checks that a start retries what failed at a wrong time, years ahead, and keeps
// the ends of seals.
func TestAgendaWrongTime(t *testing.T) {
	const wrong = 1 << 40
	dir := t.TempDir()
	cfg := vault.Config{Dir: filepath.Join(dir, "vault"), Identity: filepath.Join(dir, "vault.key")}
	if err := vault.Create(cfg); err != nil {
		t.Fatal(err)
	}
	v, err := vault.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	a := NewAgenda()
	for i := range uint64(4) {
		a.deposits = append(a.deposits, deposit{index: i, hash: event.Digest{byte(i)}})
	}
	k := New(Config{Vault: v, Log: toyLog{ledger: ledger.New("", nil), agenda: a}, Logger: slog.New(slog.DiscardHandler)})
	k.disclose(t.Context(), a.deposits[:1], wrong) // the vault lacks it
	a.check(0, 1)
	k.due(wrong) // the tree lacks it
	a.check(100, 2)
	k.disclose(t.Context(), a.deposits[3:], wrong)
	a.check(100, 3)
	var b bytes.Buffer
	if err := a.SnapshotLater()(&b); err != nil {
		t.Fatal(err)
	}
	got, err := ReadAgenda(&b, int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	got.CheckIdle()
	for _, at := range []struct {
		now  int64
		want []uint64
	}{{0, []uint64{0, 1}}, {99, nil}, {100, []uint64{2, 3}}} {
		var is []uint64
		for _, d := range got.next(at.now, Window) {
			is = append(is, d.index)
		}
		if !slices.Equal(is, at.want) {
			t.Errorf("at %d: deposits %d; want %d", at.now, is, at.want)
		}
	}
}
