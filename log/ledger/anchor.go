// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

var (
	anchorBad     = &Way{"anchor", "checkpoint", KindBreach, "it proves no time: {why}", "log another anchor"}
	anchorForeign = &Way{"anchor", "foreign", KindBreach, "it has a line of a key that is not in the policy in force at size {size}", "log another anchor, without that line"}
	anchorOld     = &Way{"anchor", "old", KindNoEffect, "an anchor of size {size} is in the log already", ""}
)

// anchor checks an earlier checkpoint of this log.
func (x *act) anchor(a *event.Anchor) (effect, *Violation, error) {
	cp, err := tlog.ParseCheckpoint([]byte(a.Checkpoint))
	switch {
	case err != nil:
		return nil, x.fail(anchorBad, err), nil
	case cp.Size == 0:
		return nil, x.fail(anchorBad, Term("it is of the empty tree")), nil
	case cp.Size > x.e.Index:
		return nil, x.fail(referenceFuture, cp.Size), nil
	case cp.Size <= x.l.anchored:
		return nil, x.fail(anchorOld, x.l.anchored), nil
	}
	c := x.l.CharterAt(cp.Size)
	ok, err := c.Witnesses.Verify(cp, x.l.origin)
	if err != nil {
		return nil, x.fail(anchorBad, err), nil
	}
	if len(ok.Logs)+len(ok.Witnesses) != len(cp.Signatures) {
		return nil, x.fail(anchorForeign, cp.Size), nil
	}
	root, err := x.l.root(cp.Size)
	if err != nil {
		return nil, nil, err
	}
	if root != cp.Root {
		return nil, x.fail(referenceHead, cp.Size), nil
	}
	return func() {
		if c.Witnesses.NeedsWitnesses() {
			x.prove(cp.Size, clamp(ok.ExistedBefore), clamp(ok.LoggedAfter))
		} else {
			x.prove(cp.Size, maxTime, 0)
		}
	}, nil, nil
}

func clamp(t uint64) int64 { return int64(min(t, maxTime)) }

// prove records the two times of an anchor: entries below size existed before the
// first; entries after the anchor were logged after the second.
func (x *act) prove(size uint64, existed, after int64) {
	l := x.l
	// An earlier anchor may prove a later time.
	existed = max(existed, l.after)
	n := 0
	var on map[uint64][]uint64
	for n < len(l.unanchored) && l.unanchored[n].index < size {
		c := l.unanchored[n]
		in := l.CharterAt(max(c.index, 1))
		if latest := existed + int64(in.Profile.Skew); c.time > latest {
			l.note(timeAhead.by(Log, c.index, x.e.Index, c.time-existed))
			if on == nil {
				on = l.dependents(c.index)
			}
			l.move(c.index, latest, on[c.index])
		}
		l.anchoredLate(c, in, after)
		n++
	}
	l.after = max(l.after, after)
	l.unanchored = l.unanchored[n:]
	l.cover(x.e.Index, size, existed)
	l.anchored, l.existed = size, existed
	l.floor = max(l.floor, l.after-int64(x.c.Profile.Lag))
	l.pass(x.e.Index)
}

// move makes what the entry at index owes and allows count from t, the latest time at
// which the entry can have been signed, since its own claim is later. Its seal and its
// window end no later than the longest that the profile allows from t. Deferrals that are
// granted stand, but end no later than the longest steps from there. The move makes
// nothing late before t, which is not before the time that the anchor proves. dependents are
// the entry's, as [Ledger.dependents] returns them.
func (l *Ledger) move(index uint64, t int64, dependents []uint64) {
	it := l.open.get(index)
	if it != nil {
		l.touch(it)
		l.moveItem(it, t)
		l.watch(it)
	}
	for _, i := range dependents {
		on := l.open.get(i)
		if it != nil && on.measure == index {
			on.seal.end = min(on.seal.end, it.seal.end)
		}
		if on.warrant != nil {
			on.warrant.moveEnd(index, t)
		}
	}
	if a, ok := l.released[index]; ok {
		it := l.open.get(a)
		l.touch(it)
		r := it.access.release(index)
		r.base = min(r.base, t)
	}
	for _, c := range l.chains {
		l.touchChain(c)
		if c.beatIndex == index {
			c.beat = min(c.beat, t)
		}
		for i := range c.stated {
			if s := &c.stated[i]; s.index == index {
				s.base = min(s.base, t)
			}
		}
		for i := range c.pending {
			if p := &c.pending[i]; p.index == index {
				p.base = min(p.base, t)
			}
		}
	}
}

func (l *Ledger) moveItem(it *item, t int64) {
	it.base = min(it.base, t)
	p := &l.charters[it.charter].Profile
	in := p.Instrument(it.instrument)
	limit, steps := p.Seal, p.Deferral.Steps
	if in != nil && in.Seal != nil && it.kind != event.TypeDeferral {
		limit = *in.Seal
	}
	if in != nil && in.Deferral != nil {
		steps = in.Deferral.Steps
	}
	longest := int64(0)
	for _, s := range steps {
		longest = max(longest, int64(s.Longest))
	}
	s := &it.seal
	end := t + int64(limit.Longest)
	s.first = min(s.first, end)
	for i := range s.deferrals {
		s.deferrals[i].until = min(s.deferrals[i].until, end+int64(i)*longest)
	}
	s.until = min(s.until, end+int64(len(s.deferrals))*longest)
	if a := it.access; a != nil {
		a.ends = min(a.ends, t+int64(p.AccessLife))
		if a.emergency {
			s.end = min(s.end, a.ends)
		}
	}
	if w := it.warrant; w != nil && in != nil {
		w.notAfter = min(w.notAfter, t+int64(in.Window))
		s.end = min(s.end, w.notAfter)
	}
}

// dependents returns, for each entry from an index on, the items whose measure it is and the
// warrants whose suspension it ended.
func (l *Ledger) dependents(from uint64) map[uint64][]uint64 {
	out := make(map[uint64][]uint64)
	l.open.all(func(it *item) {
		if it.measure >= from {
			out[it.measure] = append(out[it.measure], it.index)
		}
		if it.warrant == nil {
			return
		}
		for _, s := range it.warrant.suspensions {
			if s.resumedAt != 0 && s.resumedAt >= from {
				out[s.resumedAt] = append(out[s.resumedAt], it.index)
			}
		}
	})
	return out
}
