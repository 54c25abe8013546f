// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/vasistas/vasistas/log/event"
)

// rich is a world whose state has every kind of element.
func rich(t testing.TB) *world {
	w := newWorld(t, nil)
	b := w.WarrantBody()
	b.Categories, b.Validates = []string{"content", "traffic"}, &w.Access(nil, w.Now+hour).Reference
	e := w.Event(b)
	w.Seal(e, w.Now+hour)
	order := w.LogEvent(e, "court")
	w.LogEvent(w.Event(&event.Response{Warrant: order.Reference, Outcome: event.Partial, Ground: "immunity", Categories: []string{"traffic"}}), "messenger")
	revoke := func(scope event.Scope, of *event.Reference, by string, categories ...string) *logged {
		return w.LogEvent(w.Event(&event.Revocation{Warrant: order.Reference, Reason: "ended", Scope: scope, Suspension: of, Categories: categories}), by)
	}
	revoke(event.ScopeResumed, &revoke(event.ScopeSuspended, nil, "enforcer").Reference, "enforcer")
	revoke(event.ScopeSuspended, nil, "court")
	revoke(event.ScopeCategories, nil, "court", "traffic")
	warrant := w.Warrant(w.Now + hour)
	access := w.Access(warrant, w.Now+hour)
	w.answer(access, "c1")
	w.LogEvent(w.Event(&event.Refusal{Access: access.Reference, Reason: "unreadable"}), "c2")
	w.Access(nil, w.Now+hour)
	w.LogEvent(w.Event(&event.Deferral{Event: warrant.Reference, Until: at(w.Now + 40*day), Ground: "investigation", Ordinal: 1}), "court")
	w.LogEvent(w.Event(&event.Heartbeat{From: at(1), To: at(2), Seq: 7, Prev: hash("x")}), "c3")
	e, _ = w.release(access, "c3")
	r := e.Body.(*event.Release)
	r.Seq, r.Prev = 3, hash("y")
	w.LogEvent(e, "c3")
	e, _ = w.release(access, "c4")
	w.LogEvent(e, "c4")
	w.Finding("a1", "release-chain", event.FindingClosed, 0, w.l.Size()-1)
	w.Now += hour
	w.anchor()
	d := &event.Disclosure{Event: warrant.Reference, Openings: warrant.Public[:1]}
	w.LogEvent(w.Event(d), "court")
	w.amend(nil)
	w.LogEvent(w.Event(w.WarrantBody()), "court") // without a seal
	return w
}

func (w *world) restore(b []byte) (*Ledger, error) {
	return Restore(b, w.l.Size(), w.tree.edge.Root(), w.tree)
}

// restored returns the ledger that a snapshot of l restores.
func restored(l *Ledger) (*Ledger, error) { return Restore(l.Snapshot(), l.Size(), l.Root(), l.tree) }

func TestSnapshot(t *testing.T) {
	w := rich(t)
	b := w.l.Snapshot()
	l, err := w.restore(b)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(l.Snapshot(), b) {
		t.Fatal("another snapshot")
	}
	if l.Size() != w.l.Size() || l.Origin() != testLog || l.undecided != 1 || len(l.KeyIDs()) != len(w.l.KeyIDs()) {
		t.Error("state differs")
	}
	for name, f := range map[string]func() (*Ledger, error){
		"another size": func() (*Ledger, error) { return Restore(b, w.l.Size()-1, w.tree.edge.Root(), w.tree) },
		"another root": func() (*Ledger, error) { return Restore(b, w.l.Size(), hash("x"), w.tree) },
		"no bytes":     func() (*Ledger, error) { return w.restore(nil) },
		"another layout": func() (*Ledger, error) {
			return w.restore(bytes.Replace(b, []byte("snapshot 6"), []byte("snapshot 5"), 1))
		},
	} {
		if _, err := f(); !errors.Is(err, ErrSnapshot) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := range b {
		bad := bytes.Clone(b)
		bad[i] ^= 1
		if _, err := w.restore(bad); !errors.Is(err, ErrSnapshot) {
			t.Fatalf("a flipped bit in byte %d: %v", i, err)
		}
	}
}

// TestSnapshotOrder checks that a snapshot in another order is refused.
func TestSnapshotOrder(t *testing.T) {
	w := rich(t)
	b := w.l.Snapshot()
	p := w.l.open.parts[0]
	text := func(i int) []byte { r := p.records[i]; return p.text[r.off : r.off+r.size] }
	var digests [][]byte
	w.l.open.all(func(it *item) {
		if d := it.seal.digests; d.closed > 1 {
			digests = [][]byte{d.list[0][:], d.list[1][:]}
		}
	})
	var ids [][]byte
	for k := range w.l.ids.all(0) {
		if len(ids) < 2 && k.key == w.l.keyNum[keyID("court")] {
			ids = append(ids, bytes.Clone(k.id[:]))
		}
	}
	for what, x := range map[string][][]byte{"events": {text(0), text(1)}, "digests": digests, "ids": ids} {
		i, j := bytes.Index(b, x[0]), bytes.Index(b, x[1])
		if i > j {
			i, j, x = j, i, [][]byte{x[1], x[0]}
		}
		swapped := slices.Concat(b[:i], x[1], b[i+len(x[0]):j], x[0], b[j+len(x[1]):])
		if _, err := w.restore(resum(swapped)); !errors.Is(err, ErrSnapshot) || !strings.Contains(err.Error(), "the order of "+what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestDecisionWithoutWarrant: a snapshot in which an emergency access has a decision and no warrant is
// refused, since a void key would undo that decision.
func TestDecisionWithoutWarrant(t *testing.T) {
	w := newWorld(t, nil)
	access := w.Access(nil, w.Now+hour)
	b := w.WarrantBody()
	b.Validates = &access.Reference
	e := w.Event(b)
	w.Seal(e, w.Now+hour)
	w.LogEvent(e, "court")
	a := w.l.open.get(access.Index).access
	if !a.onWarrant {
		t.Fatal("the decision has no effect")
	}
	a.onWarrant = false
	if _, err := w.restore(w.l.Snapshot()); !errors.Is(err, ErrSnapshot) {
		t.Fatal(err)
	}
}

// An empty ledger has a snapshot too.
func TestEmptySnapshot(t *testing.T) {
	l := New(testLog, new(memTree))
	if _, err := Restore(l.Snapshot(), 0, l.Root(), new(memTree)); err != nil {
		t.Fatal(err)
	}
}

func TestRestoredIsApart(t *testing.T) {
	w := rich(t)
	before := w.l.Snapshot()
	c, err := restored(w.l)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Apply(Read(c.Size(), w.Sign(w.Event(&event.Heartbeat{From: at(1), To: at(2)}), "c2").Bytes())); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, w.l.Snapshot()) || bytes.Equal(before, c.Snapshot()) {
		t.Error("the copy and its source are not apart")
	}
}

// resum replaces the hash after a change, so that fuzzing gets past it.
func resum(b []byte) []byte {
	if len(b) < sha256.Size {
		return b
	}
	body := b[:len(b)-sha256.Size]
	sum := sha256.Sum256(body)
	return append(bytes.Clone(body), sum[:]...)
}

// Damage with the right hash is an error, or reads to a usable ledger with the same
// bytes.
func FuzzRestore(f *testing.F) {
	w := rich(f)
	b := w.l.Snapshot()
	f.Add(b)
	f.Add(New(testLog, w.tree).Snapshot())
	void := w.Sign(w.Event(w.NextCharter(func(c *event.Charter) {
		c.Void = []event.Void{{From: 1, Key: keyID("court")}, {From: 1, Key: keyID("enforcer")}}
		slices.SortFunc(c.Void, func(a, b event.Void) int { return cmp.Compare(a.Key, b.Key) })
	})), "f1", "f2").Bytes()
	f.Fuzz(func(t *testing.T, b []byte) {
		b = resum(b)
		l, err := w.restore(b)
		if err != nil {
			return
		}
		if !bytes.Equal(l.Snapshot(), b) {
			t.Fatal("not the same bytes again")
		}
		l.Overdue(distant)
		l.Overdue(at(testStart + 100*day))
		l.Barred("a1", at(testStart))
		if _, _, err := l.Apply(Read(l.Size(), void)); err != nil && !errors.Is(err, ErrTree) && !errors.Is(err, ErrRules) {
			t.Fatal(err)
		}
	})
}

func FuzzRead(f *testing.F) {
	w := rich(f)
	for _, e := range w.tree.entries {
		f.Add(e)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e := Read(w.l.Size(), b)
		if e.Envelope != nil && !bytes.Equal(e.Envelope.Bytes(), b) {
			t.Fatal("not the same bytes again")
		}
		before := w.l.Snapshot()
		if _, err := w.l.Check(e); err != nil && !errors.Is(err, ErrTree) && !errors.Is(err, ErrRules) {
			t.Fatal(err)
		}
		if !bytes.Equal(before, w.l.Snapshot()) {
			t.Fatal("Check changed the state")
		}
	})
}
