// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"slices"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// view is the charters and keys of the ledger. It is immutable, and read without a
// lock.
type view struct {
	charters []*ledger.Charter // ascending, at least one
	keys     map[string]*event.PublicKey
	recovery *ledger.Charter // one of the charters, by which the operator recovers the log; or nil
}

// newView returns the view of a ledger; recovery is the leaf hash of the recovery, or
// zero.
func newView(l *ledger.Ledger, recovery [32]byte) *view {
	v := &view{keys: make(map[string]*event.PublicKey)}
	for c := l.Charter(); c != nil; c = l.CharterAt(c.Index) {
		v.charters = append(v.charters, c)
	}
	slices.Reverse(v.charters)
	for _, id := range l.KeyIDs() {
		v.keys[id] = l.Key(id)
	}
	if i := slices.IndexFunc(v.charters, func(c *ledger.Charter) bool { return c.Leaf == recovery }); i > 0 {
		v.recovery = v.charters[i]
	}
	return v
}

// at returns the charter in force at a tree of that size.
func (v *view) at(size uint64) *ledger.Charter {
	for _, c := range slices.Backward(v.charters) {
		if c.Index < size {
			return c
		}
	}
	return v.charters[0]
}

// inForce returns the charter in force at the next index.
func (v *view) inForce() *ledger.Charter { return v.charters[len(v.charters)-1] }

// logKeys returns the vkeys that sign a head of this size: those of the charter in
// force and, if the head ends with an amendment, also those of the charter before,
// since such a head meets the old policies and the new ones.
func (v *view) logKeys(size uint64) []string {
	now := v.at(size)
	if now.Index+1 == size {
		return slices.Concat(now.LogKeys, v.at(now.Index).LogKeys)
	}
	return now.LogKeys
}

// allLogKeys returns the log's keys of all charters.
func (v *view) allLogKeys() []*tlog.VerifierKey {
	var out []*tlog.VerifierKey
	for _, c := range v.charters {
		for _, l := range c.Witnesses.Logs {
			out = append(out, l.Key)
		}
	}
	return out
}

// policies returns the witness policies that a head must meet; see
// ledger.Ledger.Policies. A head that first contains a recovery need not meet the
// policies before that.
func (v *view) policies(from, size uint64) []*tlog.Policy {
	var out []*tlog.Policy
	for _, c := range v.charters {
		if c.Index >= size {
			break
		}
		if c.Index < from || c == v.recovery {
			out = out[:0]
		}
		out = append(out, c.Witnesses)
	}
	return out
}

// hearing returns the policies whose witnesses are asked at a start whether they know
// a later head than that of this size.
func (v *view) hearing(size uint64) []*tlog.Policy {
	if v.recovery != nil && v.recovery.Index >= size {
		return []*tlog.Policy{v.recovery.Witnesses}
	}
	return v.policies(size, size)
}

// step returns the size of the next head to publish of a tree, after one of size
// from: the tree's own, or that which ends with the next amendment.
func (v *view) step(from, size uint64) uint64 {
	for _, c := range v.charters {
		if v.recovery != nil && c.Index < v.recovery.Index {
			continue
		}
		if c.Index >= from && c.Index+1 < size {
			return c.Index + 1
		}
	}
	return size
}
