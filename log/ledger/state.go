// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"github.com/vasistas/vasistas/internal/wakes"
	"github.com/vasistas/vasistas/log/event"
)

// maxTime is the last second that an event can state, and bounds the time of a
// cosignature. Sums of times and profile figures then fit an int64.
const maxTime = 253402300799

// item is an event that is open: it allows or owes something.
type item struct {
	index      uint64
	leaf       [32]byte
	kind       event.Type // warrant, access, or deferral (for its own seal)
	charter    uint32     // in force at its index
	time       int64      // claimed
	base       int64      // the later of time and the then proven time
	keys       []uint32   // numbers of the keys that signed
	authority  string     // of the warrant; in an emergency the duty key's
	validator  string     // the authority that validated the warrant; "": none
	provider   string
	instrument string // of the warrant; "" in an emergency
	measure    uint64 // index of the warrant, or the emergency access, whose end is seal.end
	voidAt     uint64 // index of the charter that voided it; 0: not void
	seal       seal
	touched    uint64   // 1 more than the last entry that touched it; derived
	warrant    *warrant // of a warrant
	access     *access  // of an access
}

// dutyState is the state of an obligation.
type dutyState uint8

const (
	owed dutyState = iota
	fulfilled
	lapsed // a breach is on record, and stays if the obligation is fulfilled later
)

// debt is the state of an obligation.
type debt struct {
	state dutyState
	late  int64 // the logged-after time of the anchor that first proved it late; 0: none did
}

// seal is what an event must open, and when.
type seal struct {
	end       int64 // of the measure, from which a deferral's age counts
	first     int64 // until, as it was sealed
	until     int64 // the date in force, as deferred
	never     bool
	debt      debt
	digests   digests
	names     [6]uint8   // openings by name, in the order of event.Names
	ordinal   uint64     // of the last deferral
	deferrals []deferred // those that count, ascending
}

// deferred is one deferral and the date that it replaced.
type deferred struct {
	index uint64
	until int64 // the date that it replaced
	keys  []uint32
}

// digests are a class's digests, the closed ones first.
type digests struct {
	list   []event.Digest
	closed int
}

func (d *digests) open(x event.Digest) {
	if i := slices.Index(d.list[:d.closed], x); i >= 0 {
		d.closed--
		d.list[i], d.list[d.closed] = d.list[d.closed], d.list[i]
	}
}

// void undoes the deferrals of a key from an index on. It moves until no further
// back than now.
func (s *seal) void(key uint32, from uint64, now int64) {
	for i, d := range s.deferrals {
		if d.index >= from && slices.Contains(d.keys, key) {
			// Later deferrals build on this one.
			s.deferrals = s.deferrals[:i]
			if s.never || s.until > now {
				s.until = max(d.until, now)
			}
			s.never = false
			return
		}
	}
}

// warrant is the state of an open warrant.
type warrant struct {
	denied, preserves   bool
	notBefore, notAfter int64
	accesses, accounts  uint64 // left
	opens               uint64 // accounts that the accesses on it open
	categories          []category
	suspensions         []suspension // one for each author, in the order of their first
	revokedAt           uint64       // index of the revocation; 0: none
	refusedAt           uint64       // index of the response that it is not executed; 0: none
	returned            debt
	open                int // accesses on it that are open; derived
}

// access is the state of an open access.
type access struct {
	onWarrant  bool   // it stands on a warrant, or a decision granted it
	warrant    uint64 // index
	emergency  bool
	accounts   uint64
	group      string
	categories []string
	ends       int64
	decision   debt     // emergency: owed until an authority decides
	decidedAt  uint64   // index of the decision
	decidedBy  []uint32 // keys that signed it
	decideBy   int64    // when the time for a decision began again; 0: with the access
	denied     bool
	releases   []release
	refusals   []refused
}

// release returns the effective release at an index, which must exist.
func (a *access) release(index uint64) *release {
	return &a.releases[slices.IndexFunc(a.releases, func(r release) bool { return r.index == index })]
}

// release is a custodian's effective release.
type release struct {
	index   uint64
	leaf    [32]byte
	key     uint32
	name    string // of the custodian
	base    int64
	charter uint32
	notices digests
	debt    debt // of the notices
}

type refused struct {
	key    uint32
	reason string
}

// chain holds the releases of a custodian's key, in the order of their seq.
type chain struct {
	key     uint32
	name    string
	count   uint64     // effective releases
	recent  [][32]byte // event hashes of the last releases, at most MaxAhead
	pending []pending  // releases ahead of the chain, by seq
	stated  []stated   // counts that the log doesn't hold yet, ascending
	broken  uint64     // missing releases up to this seq are a breach already
	ended   bool       // no custodian holds the key any more

	beat      int64  // the end of the last heartbeat's period; the next is due from here
	beatIndex uint64 // the entry of that heartbeat
	charter   uint32 // in force at beatIndex
	pulse     debt   // of the next heartbeat
	touched   uint64 // 1 more than the last entry that touched it; derived
}

// stated is a count that a custodian stated at some index.
type stated struct {
	seq     uint64
	hash    [32]byte // event hash of the release of that seq
	base    int64
	index   uint64
	charter uint32
	debt    debt
}

// pending is a release that waits for those before it.
type pending struct {
	seq        uint64
	hash, prev [32]byte
	access     uint64 // index
	dead       bool   // it came too late for its access
	release
}

// last returns the event hash of the last effective release, zero if there is none.
func (c *chain) last() [32]byte {
	if len(c.recent) == 0 {
		return [32]byte{}
	}
	return c.recent[len(c.recent)-1]
}

// hashOf returns the event hash of a release by its seq, if it is still known.
func (c *chain) hashOf(seq uint64) (h [32]byte, ok bool) {
	if seq == 0 {
		return h, true
	}
	if seq <= c.count && c.count-seq < uint64(len(c.recent)) {
		return c.recent[uint64(len(c.recent))-1-(c.count-seq)], true
	}
	if i := slices.IndexFunc(c.pending, func(p pending) bool { return p.seq == seq }); i >= 0 {
		return c.pending[i].hash, true
	}
	if i := slices.IndexFunc(c.stated, func(s stated) bool { return s.seq == seq }); i >= 0 {
		return c.stated[i].hash, true
	}
	return h, false
}

// live reports whether a warrant allows accesses, apart from its window.
func (w *warrant) live() bool { return !w.denied && w.revokedAt == 0 && w.returned.state == owed }

// prune drops an item that allows and owes nothing any more.
func (l *Ledger) prune(it *item) {
	if !l.open.has(it) || !l.done(it) {
		return
	}
	l.open.remove(it)
	if a := it.access; a != nil {
		for i := range a.releases {
			delete(l.released, a.releases[i].index)
		}
		if a.onWarrant {
			w := l.open.get(a.warrant)
			w.warrant.open--
			l.prune(w)
		}
	}
}

// done reports whether an item allows and owes nothing any more.
func (l *Ledger) done(it *item) bool {
	if it.seal.debt.state != fulfilled {
		return false
	}
	switch {
	case it.warrant != nil:
		w := it.warrant
		live := w.live() && it.voidAt == 0 && l.after <= w.notAfter
		return !live && w.open == 0 && (w.denied || w.returned.state == fulfilled)
	case it.access != nil:
		a := it.access
		return l.after > a.ends && (!a.emergency || a.decision.state == fulfilled) &&
			!slices.ContainsFunc(a.releases, func(r release) bool { return r.debt.state != fulfilled })
	}
	return true
}

// add opens an item.
func (l *Ledger) add(it *item) {
	// A new item owes nothing before.
	it.touched = l.Size() + 1
	l.diff.touched = append(l.diff.touched, touched{it: it, from: len(l.diff.before)})
	l.open.add(it)
	if it.access != nil && it.access.onWarrant {
		l.open.get(it.access.warrant).warrant.open++
	}
	l.watch(it)
	l.prune(it)
}

func (l *Ledger) sortedChains() []*chain {
	return slices.SortedFunc(maps.Values(l.chains), func(a, b *chain) int { return cmp.Compare(a.key, b.key) })
}

// late returns when an item's first duty is late.
func (l *Ledger) late(it *item) int64 {
	first := int64(math.MaxInt64)
	l.duties(it, func(d duty) { first = min(first, d.late()) })
	return first
}

// names reports whether a key signed the item, or its decision, a deferral or the end of a suspension.
func (it *item) names(key uint32) bool {
	has := func(keys []uint32) bool { return slices.Contains(keys, key) }
	return has(it.keys) || it.access != nil && has(it.access.decidedBy) ||
		slices.ContainsFunc(it.seal.deferrals, func(d deferred) bool { return has(d.keys) }) ||
		it.warrant != nil && slices.ContainsFunc(it.warrant.suspensions, func(s suspension) bool { return has(s.resumedBy) })
}

// watch pushes the next time at which the item must be checked.
func (l *Ledger) watch(it *item) {
	next := int64(maxTime)
	if w := it.warrant; w != nil && !w.denied && w.notAfter >= l.after {
		next = min(next, w.notAfter)
	}
	if a := it.access; a != nil && a.ends >= l.after {
		next = min(next, a.ends)
	}
	l.duties(it, func(d duty) {
		next = min(next, d.wakes())
		l.soonest = min(l.soonest, d.late())
	})
	if next < maxTime {
		l.wake.Push(wakes.Wake{Time: next, Index: it.index})
	}
}

// woken pops the items whose time is proven past, and returns them ascending.
func (l *Ledger) woken() []*item {
	var out []*item
	for len(l.wake) > 0 && l.wake[0].Time < l.after {
		w := l.wake.Pop()
		if it := l.open.get(w.Index); it != nil {
			out = append(out, it)
		}
	}
	slices.SortFunc(out, func(a, b *item) int { return cmp.Compare(a.index, b.index) })
	return slices.Compact(out)
}
