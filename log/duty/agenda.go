// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package duty

import (
	"cmp"
	"encoding/binary"
	"errors"
	"io"
	"iter"
	"slices"
	"time"

	"github.com/vasistas/vasistas/internal/wakes"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
)

// Agenda is the open duties of a log: which events it must disclose, when to check each
// of them, and which anchors no later anchor covers.
// The lock of the ledger guards the agenda too.
type Agenda struct {
	anchors  []uint64   // indices of the anchors that no anchor covers, ascending
	deposits []deposit  // ascending, some of them gone
	gone     int        // how many of deposits are gone
	ahead    []uint64   // releases ahead of their chains: checked at the next entry that can change that
	checks   wakes.Heap // some name deposits that are gone, or that have an earlier check
}

// deposit is a logged event that the log must disclose from the vault. It has no pointers, since
// there may be millions.
type deposit struct {
	index   uint64
	hash    event.Digest
	release bool  // the vault has its notices; else its openings
	lost    bool  // the vault has lost it, and the operator was told
	gone    bool  // it was dropped
	again   bool  // its first check repeats one that settled nothing
	next    int64 // 1 more than the time of its first check; 0: it has none
}

// NewAgenda returns the agenda of an empty ledger.
func NewAgenda() *Agenda { return new(Agenda) }

// find returns a deposit, nil if there is none. The pointer holds until one is added or dropped.
func (a *Agenda) find(index uint64) *deposit {
	i, ok := slices.BinarySearchFunc(a.deposits, index, func(d deposit, index uint64) int { return cmp.Compare(d.index, index) })
	if !ok || a.deposits[i].gone {
		return nil
	}
	return &a.deposits[i]
}

// Applied adds the duties of an entry that the ledger has applied, and schedules the checks that the
// entry makes necessary, without a walk over all deposits.
func (a *Agenda) Applied(l *ledger.Ledger, e *ledger.Entry) {
	if e.Envelope == nil {
		return
	}
	if d, ok := depositOf(e); ok {
		a.deposits = append(a.deposits, d)
	}
	if e.Envelope.Event.Type == event.TypeAnchor {
		a.anchors = append(a.anchors, e.Index)
		a.anchors = slices.DeleteFunc(a.anchors, func(i uint64) bool { return i < l.Anchored() })
	}
	a.schedule(l, e.Index)
	l.Touched(func(index uint64) {
		if index != e.Index {
			a.schedule(l, index)
		}
	})
	switch e.Envelope.Event.Body.(type) {
	case *event.Release, *event.Anchor, *event.Charter: // releases ahead may wait for this entry, or it ends their chain
		for _, i := range a.ahead {
			a.check(0, i)
		}
		a.ahead = nil
	}
}

// schedule schedules the next check of an entry that is a deposit: when its seal ends, or now.
func (a *Agenda) schedule(l *ledger.Ledger, index uint64) {
	if a.find(index) == nil {
		return
	}
	switch state, until := l.Disclosable(index, time.Time{}); {
	case state != ledger.StillSealed:
		a.check(0, index)
	case !until.IsZero(): // else an amendment may end the seal
		a.check(until.Unix(), index)
	}
}

func depositOf(e *ledger.Entry) (d deposit, ok bool) {
	ev := e.Envelope.Event
	d = deposit{index: e.Index, hash: e.Hash}
	if r, is := ev.Body.(*event.Release); is {
		d.release = true
		return d, len(r.Notices) > 0
	}
	return d, len(ev.Sealed.Digests(event.ClassPublic)) > 0
}

// CheckIdle schedules a check now of every deposit without one: an earlier keeper took its last check, and may
// not have finished, or was to repeat it. The entries applied since then have scheduled all other checks.
func (a *Agenda) CheckIdle() {
	for d := range a.all() {
		if d.next == 0 {
			a.check(0, d.index)
		}
	}
}

// check schedules a check of an entry that is a deposit, at a witnessed time in POSIX
// seconds. If the deposit has an earlier check, that one will schedule the next.
func (a *Agenda) check(at int64, index uint64) {
	d := a.find(index)
	if d == nil || d.next != 0 && d.next <= at+1 {
		return
	}
	d.next, d.again = at+1, false
	a.checks.Push(wakes.Wake{Time: at, Index: index})
	if len(a.checks) > 2*(len(a.deposits)-a.gone)+1024 {
		a.sortChecks()
	}
}

// checkAgain schedules a check that repeats one that settled nothing, some seconds after the log's time. That
// time may be wrong, and years ahead, so no snapshot has it: the next start checks the deposit at once.
func (a *Agenda) checkAgain(at int64, index uint64) {
	a.check(at, index)
	if d := a.find(index); d != nil && d.next == at+1 {
		d.again = true
	}
}

// sortChecks makes the heap again from the first check of each deposit.
func (a *Agenda) sortChecks() {
	a.checks = a.checks[:0]
	for d := range a.all() {
		if d.next != 0 {
			a.checks = append(a.checks, wakes.Wake{Time: d.next - 1, Index: d.index})
		}
	}
	slices.SortFunc(a.checks, wakes.Compare)
}

// first returns the deposit whose first check w is; nil: none.
func (a *Agenda) first(w wakes.Wake) *deposit {
	if d := a.find(w.Index); d != nil && d.next == w.Time+1 {
		return d
	}
	return nil
}

// next returns the deposits to check now, ascending, at most n of them.
func (a *Agenda) next(now int64, n int) []deposit {
	var out []deposit
	for len(a.checks) > 0 && a.checks[0].Time <= now && len(out) < n {
		if d := a.first(a.checks.Pop()); d != nil {
			d.next = 0
			out = append(out, *d)
		}
	}
	slices.SortFunc(out, func(a, b deposit) int { return cmp.Compare(a.index, b.index) })
	return out
}

// anchoring returns the time that the last anchor proves (that of the first charter
// if there is none), and whether a head of this size has entries, other than anchors,
// that no anchor covers.
func (a *Agenda) anchoring(l *ledger.Ledger, size uint64) (since int64, fresh bool) {
	since = max(l.CharterAt(1).Time, proven(l))
	anchored := l.Anchored()
	if size <= anchored {
		return since, false
	}
	below := uint64(0)
	for _, i := range a.anchors {
		if i >= anchored && i < size {
			below++
		}
	}
	return since, size-anchored > below
}

// proven returns the time that the anchors prove, in POSIX seconds; 0 if there is none.
func proven(l *ledger.Ledger) int64 {
	if t := l.Time(); !t.IsZero() {
		return t.Unix()
	}
	return 0
}

// drop removes deposits, and returns their events.
func (a *Agenda) drop(indices ...uint64) (events []event.Digest) {
	for _, i := range indices {
		if d := a.find(i); d != nil {
			events = append(events, d.hash)
			d.gone = true
			a.gone++
		}
	}
	if a.gone > len(a.deposits)/2 {
		a.deposits = slices.DeleteFunc(a.deposits, func(d deposit) bool { return d.gone })
		a.gone = 0
	}
	return events
}

// lose marks a deposit as lost, and returns whether it was not marked before.
func (a *Agenda) lose(index uint64) bool {
	d := a.find(index)
	if d == nil || d.lost {
		return false
	}
	d.lost = true
	return true
}

// Restored records that the vault has an event again, and returns how many others it has
// lost.
func (a *Agenda) Restored(hash event.Digest, index uint64) (lost int) {
	if d := a.find(index); d != nil && d.hash == hash {
		d.lost = false
		a.check(0, index)
	}
	return a.lost()
}

// lost returns how many deposits the vault has lost.
func (a *Agenda) lost() (n int) {
	for d := range a.all() {
		if d.lost {
			n++
		}
	}
	return n
}

// Owes returns whether the log must disclose something of an entry.
func (a *Agenda) Owes(index uint64) bool { return a.find(index) != nil }

// all iterates over the deposits, ascending. None may be added or dropped meanwhile.
func (a *Agenda) all() iter.Seq[*deposit] {
	return func(yield func(*deposit) bool) {
		for i := range a.deposits {
			if d := &a.deposits[i]; !d.gone && !yield(d) {
				return
			}
		}
	}
}

const depositSize = 8 + 8 + 1 + 32

// SnapshotLater returns a function that writes the agenda as it is now. Calling write needs no lock.
// It writes
//
//	number of anchors, number of deposits: 8 bytes each
//	each anchor that no anchor covers: its index, 8 bytes
//	each deposit, ascending: its index, 8 bytes; 1 more than the time of its first check, 0 for none
//	or one of checkAgain, 8 bytes; 1 for a release, else 0; 32 bytes event hash
func (a *Agenda) SnapshotLater() (write func(io.Writer) error) {
	now := &Agenda{anchors: slices.Clone(a.anchors), deposits: slices.Clone(a.deposits), gone: a.gone}
	return func(w io.Writer) error {
		b := binary.BigEndian.AppendUint64(nil, uint64(len(now.anchors)))
		b = binary.BigEndian.AppendUint64(b, uint64(len(now.deposits)-now.gone))
		for _, i := range now.anchors {
			b = binary.BigEndian.AppendUint64(b, i)
		}
		_, err := w.Write(b)
		for d := range now.all() {
			if err != nil {
				break
			}
			b = binary.BigEndian.AppendUint64(b[:0], d.index)
			next, kind := uint64(d.next), byte(0)
			if d.again {
				next = 0
			}
			b = binary.BigEndian.AppendUint64(b, next)
			if d.release {
				kind = 1
			}
			_, err = w.Write(append(append(b, kind), d.hash[:]...))
		}
		return err
	}
}

// ReadAgenda reads the at most size bytes that a function of SnapshotLater has written.
func ReadAgenda(r io.Reader, size int64) (a *Agenda, err error) {
	var buf [depositSize]byte
	read := func(n int) []byte {
		if err == nil {
			_, err = io.ReadFull(r, buf[:n])
		}
		return buf[:n]
	}
	next := func() uint64 { return binary.BigEndian.Uint64(read(8)) }
	anchors, deposits := next(), next()
	damaged := errors.New("it is damaged")
	if most := uint64(max(size, 0)); anchors > most/8 || deposits > most/depositSize {
		return nil, damaged
	}
	a = NewAgenda()
	for range anchors {
		a.anchors = append(a.anchors, next())
	}
	a.deposits = make([]deposit, deposits)
	for i := range a.deposits {
		b := read(depositSize)
		if err != nil {
			return nil, err
		}
		d := deposit{index: binary.BigEndian.Uint64(b), next: int64(binary.BigEndian.Uint64(b[8:])), release: b[16] == 1, hash: event.Digest(b[17:])}
		if d.next < 0 || i > 0 && d.index <= a.deposits[i-1].index {
			return nil, damaged
		}
		a.deposits[i] = d
	}
	a.sortChecks()
	return a, err
}
