// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"runtime"
	"testing"

	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/event"
)

// unsigned is a world whose events are made without signing, which would take
// longer than all that is measured: the caller of Apply passes them as Good.
type unsigned struct {
	*world
	root    [32]byte
	serial  uint64
	entries []Entry
	n       uint64
}

// Root returns one root for all sizes, so that releases can be made ahead.
func (s *unsigned) Root(uint64) ([32]byte, error)  { return s.root, nil }
func (s *unsigned) Entry(i uint64) ([]byte, error) { return s.tree.Entry(i) }

// newUnsigned has a charter with wide limits; its clock stands still.
func newUnsigned(t testing.TB) *unsigned {
	s := &unsigned{world: emptyWorld(t), root: hash("root")}
	s.l = New(testLog, s)
	charter := testCharter()
	charter.AuditPolicy = "quorum none\n"
	s.Charter = s.LogEvent(s.Event(charter), "f1", "f2")
	s.n = 1
	return s
}

var keyIDs = map[string]string{}

func (s *unsigned) add(body event.Body, by string, seals int) *logged {
	s.serial++
	e := &event.Event{Type: body.Type(), Log: testLog, Time: at(s.Now), Body: body}
	binary.BigEndian.PutUint64(e.ID[:], s.serial)
	entry := Entry{Index: s.n, Signatures: []SigState{Good}}
	if seals > 0 {
		e.Sealed = &event.Sealed{Until: at(s.Now + day)}
		for i := range seals + 3 {
			d := event.Digest{byte(i)}
			binary.BigEndian.PutUint64(d[8:], s.serial)
			if i < seals {
				e.Sealed.Public = append(e.Sealed.Public, d)
			} else {
				e.Sealed.Subject = append(e.Sealed.Subject, d)
			}
		}
	}
	binary.BigEndian.PutUint64(entry.Leaf[:], s.serial)
	binary.BigEndian.PutUint64(entry.Hash[:], s.serial+1<<40)
	if keyIDs[by] == "" {
		keyIDs[by] = keyID(by)
	}
	entry.Envelope = &event.Envelope{Event: e, Signatures: []event.Signature{{KeyID: keyIDs[by]}}}
	s.entries = append(s.entries, entry)
	s.n++
	return &logged{Envelope: entry.Envelope, Reference: event.Reference{Index: entry.Index, Leaf: entry.Leaf}}
}

// cases adds accesses from warrant to return, with two releases each, their
// notices, a heartbeat now and then, and no openings of their own (they are
// public at once).
func (s *unsigned) cases(n int) {
	recipient := written.AccessBody(nil).Recipient
	type place struct {
		seq  uint64
		prev event.Digest
	}
	chains := map[string]*place{"c1": {}, "c2": {}}
	for i := range n {
		w := s.add(s.WarrantBody(), "court", 3)
		ref := w.Reference
		a := s.add(&event.Access{Warrant: &ref, Group: "main", Recipient: recipient, Accounts: 1}, "messenger", 1)
		for _, c := range []string{"c1", "c2"} {
			notice := binary.BigEndian.AppendUint64([]byte(c), uint64(i))
			p := chains[c]
			r := s.add(&event.Release{Access: a.Reference, Seq: p.seq + 1, Prev: p.prev, Notices: []event.Digest{sha256.Sum256(notice)},
				Head: event.Head{Size: s.n, Root: s.root}}, c, 0)
			p.seq, p.prev = p.seq+1, s.entries[r.Index-1].Hash
		}
		s.add(&event.Return{Warrant: ref}, "messenger", 0)
		if i%8 == 0 {
			s.add(&event.Heartbeat{From: at(s.Now - day), To: at(s.Now)}, "c3", 0)
		}
	}
}

// BenchmarkApply measures the state machine alone: entries are read, hashed and
// verified before.
func BenchmarkApply(b *testing.B) {
	s := newUnsigned(b)
	s.cases(4000)
	base := s.l.Snapshot()
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		b.StopTimer()
		l, err := Restore(base, 1, s.l.Root(), s)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		for i := range s.entries {
			v, _, err := l.Apply(s.entries[i])
			if err != nil || len(v) > 0 {
				b.Fatal(v, err)
			}
		}
		n += len(s.entries)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
}

// whole is a log with all kinds of entries, as bytes.
func whole(b *testing.B, cases int) *world {
	w := newWorld(b, nil)
	for i := range cases {
		warrant := w.Warrant(w.Now + minute)
		access := w.Access(warrant, w.Now+minute)
		r1, r2 := w.answer(access, "c1"), w.answer(access, "c2")
		w.Now += minute
		w.Disclose(access, r1, r2)
		w.Disclose(warrant)
		w.LogEvent(w.Event(&event.Return{Warrant: warrant.Reference}), "messenger")
		if i%25 == 24 {
			w.anchor()
		}
	}
	return w
}

func BenchmarkReplay(b *testing.B) {
	w := whole(b, 200)
	entries := make([]Entry, len(w.tree.entries))
	good := func(e *Entry) {
		for range e.Envelope.Signatures {
			e.Signatures = append(e.Signatures, Good)
		}
	}
	for i := range entries {
		entries[i] = Read(uint64(i), w.tree.entries[i])
		good(&entries[i])
	}
	run := func(read func(i int) Entry) func(b *testing.B) {
		return func(b *testing.B) {
			n := 0
			for b.Loop() {
				l := New(testLog, w.tree)
				for i := range entries {
					if v, _, err := l.Apply(read(i)); err != nil || len(v) > 0 {
						b.Fatal(v, err)
					}
				}
				n += len(entries)
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
		}
	}
	// One entry in 176 is an anchor, whose three signatures are verified.
	b.Run("read", run(func(i int) Entry { return entries[i] }))
	b.Run("parsing", run(func(i int) Entry { e := Read(uint64(i), w.tree.entries[i]); good(&e); return e }))
	b.Run("verifying", run(func(i int) Entry { return Read(uint64(i), w.tree.entries[i]) }))
}

// obligations is a ledger with many open obligations.
func obligations(b testing.TB, n int) *Ledger {
	s := newUnsigned(b)
	for range n {
		s.add(s.WarrantBody(), "court", 3)
	}
	for i := range s.entries {
		if v, _, err := s.l.Apply(s.entries[i]); err != nil || len(v) > 0 {
			b.Fatal(v, err)
		}
	}
	return s.l
}

const manyOpen = 100_000

func BenchmarkSnapshot(b *testing.B) {
	l := obligations(b, manyOpen)
	for b.Loop() {
		b.SetBytes(int64(len(l.Snapshot())))
	}
}

func BenchmarkRestore(b *testing.B) {
	l := obligations(b, manyOpen)
	snapshot := l.Snapshot()
	for b.Loop() {
		if _, err := Restore(snapshot, l.Size(), l.Root(), l.tree); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOverdue(b *testing.B) {
	l := obligations(b, manyOpen)
	b.Run("none", func(b *testing.B) {
		for b.Loop() {
			l.Overdue(at(testStart))
		}
	})
	b.Run("all", func(b *testing.B) {
		for b.Loop() {
			l.Overdue(at(testStart + 50*day))
		}
	})
}

// An open warrant, with its id and its unanchored claim, costs less than 1 KiB.
func TestMemoryOfAnObligation(t *testing.T) {
	s := newUnsigned(t)
	const n = 20_000
	for range n {
		s.add(s.WarrantBody(), "court", 3)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range s.entries {
		if _, _, err := s.l.Apply(s.entries[i]); err != nil {
			t.Fatal(err)
		}
	}
	s.entries = nil
	runtime.GC()
	runtime.ReadMemStats(&after)
	// The entries are gone, and were counted before.
	l, err := restored(s.l)
	if err != nil {
		t.Fatal(err)
	}
	var cloned runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&cloned)
	per := float64(cloned.HeapAlloc-after.HeapAlloc) / n
	if open, ids := l.Open(); open != n || ids != n {
		t.Fatalf("%d open, %d ids", open, ids)
	}
	t.Logf("%.0f bytes an obligation, %.0f in the snapshot", per, float64(len(l.Snapshot()))/n)
	if per > 1024 {
		t.Errorf("%.0f bytes an obligation", per)
	}
	runtime.KeepAlive(l)
	runtime.KeepAlive(s)
}
