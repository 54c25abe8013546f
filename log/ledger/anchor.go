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
	for n < len(l.unanchored) && l.unanchored[n].index < size {
		c := l.unanchored[n]
		skew := int64(l.CharterAt(max(c.index, 1)).Profile.Skew)
		if c.time > existed+skew {
			l.note(timeAhead.by(l.answerer(c), c.index, x.e.Index, c.time-existed))
		}
		n++
	}
	l.unanchored = l.unanchored[n:]
	l.anchored = size
	l.after = max(l.after, after)
	l.floor = max(l.floor, l.after-int64(x.c.Profile.Lag))
	l.pass(x.e.Index)
}
