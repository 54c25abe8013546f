// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"errors"
	"fmt"
	"slices"
)

// Errors of [Policy.Verify]. Each means that the checkpoint proves nothing
// under this policy.
var (
	ErrUnknownLog = errors.New("no signature by a log of the policy")
	ErrNoQuorum   = errors.New("the cosignatures do not meet the quorum of the policy")
)

// Verified is a checkpoint that a policy accepts.
type Verified struct {
	Checkpoint *Checkpoint
	Logs       []*VerifierKey // keys of the policy's logs that signed
	Witnesses  []Cosignature  // of the policy's witnesses that signed

	// The two times of the cosignatures, in POSIX seconds, 0 for a policy with
	// "quorum none". The tree existed before the first, and entries that are not in
	// it were logged after the second, unless all witnesses of a set that meets the
	// policy are dishonest.
	ExistedBefore, LoggedAfter uint64
}

// Cosignature is a verified signature line of a witness.
type Cosignature struct {
	Witness *PolicyWitness
	Time    uint64 // POSIX seconds
	Line    *Signature
}

// Verify checks a checkpoint against the policy: a log of the policy signed it, every
// line of a key of the policy verifies, and the cosignatures meet the quorum. With
// origin "", the checkpoint's origin must be the name of the log's key. Otherwise it
// must be origin, and the log's key must have that name; only if no log of the policy
// has that name may any of its logs sign, for a log whose origin is not its key name.
//
// Verify ignores lines of keys that the policy lacks. The error wraps
// [ErrBadSignature], [ErrUnknownLog] or [ErrNoQuorum].
func (p *Policy) Verify(c *Checkpoint, origin string) (*Verified, error) {
	v := &Verified{Checkpoint: c}
	if err := p.verifyLogs(v, origin); err != nil {
		return nil, err
	}
	times := make(map[int]uint64, len(p.Witnesses))
	for i := range p.Witnesses {
		w := &p.Witnesses[i]
		if s := c.Find(w.Key); s != nil {
			t, err := w.Key.Verify(&c.Head, s)
			if err != nil {
				return nil, fmt.Errorf("cosignature of witness %s: %w", w.Name, err)
			}
			v.Witnesses = append(v.Witnesses, Cosignature{Witness: w, Time: t, Line: s})
			times[i] = t
		}
	}
	var ok bool
	if v.ExistedBefore, v.LoggedAfter, ok = p.Times(times); !ok {
		return nil, fmt.Errorf("checkpoint of %q at size %d with %d cosignatures of known witnesses: %w",
			c.Origin, c.Size, len(v.Witnesses), ErrNoQuorum)
	}
	return v, nil
}

func (p *Policy) verifyLogs(v *Verified, origin string) error {
	c := v.Checkpoint
	// If a log's key has the origin as its name, no other log may sign for it.
	named := slices.ContainsFunc(p.Logs, func(l PolicyLog) bool { return l.Key.Name == c.Origin })
	mayDiffer := origin != "" && !named
	for i := range p.Logs {
		key := p.Logs[i].Key
		s := c.Find(key)
		if s == nil {
			continue
		}
		if _, err := key.Verify(&c.Head, s); err != nil {
			return fmt.Errorf("signature of the log: %w", err)
		}
		if mayDiffer || key.Name == c.Origin {
			v.Logs = append(v.Logs, key)
		}
	}
	if len(v.Logs) == 0 || (origin != "" && c.Origin != origin) {
		return fmt.Errorf("checkpoint of %q: %w", c.Origin, ErrUnknownLog)
	}
	return nil
}

// Satisfied reports whether a set of witnesses, given by their index in p.Witnesses,
// meets the quorum.
func (p *Policy) Satisfied(has func(witness int) bool) bool {
	_, ok := p.SmallestSet(has)
	return ok
}

// Times returns the two times of a set of cosignatures, given by the index of the
// witness: before is the smallest T such that the witnesses with a time of at most T
// meet the quorum, after the largest T such that those with a time of at least T do.
// For k of n they are the k-th smallest and the k-th largest time. ok is false if the
// set does not meet the quorum. Both times are 0 under "quorum none".
func (p *Policy) Times(times map[int]uint64) (before, after uint64, ok bool) {
	if p.quorum == quorumNone {
		return 0, 0, true
	}
	return p.times(member{group: true, i: p.quorum}, times)
}

// times works from the leaves up. Each name is a member at most once, which makes the
// quorum a read-once threshold formula, so a group's T is the k-th of its members'.
func (p *Policy) times(m member, times map[int]uint64) (before, after uint64, ok bool) {
	if !m.group {
		t, ok := times[m.i]
		return t, t, ok
	}
	g := &p.groups[m.i]
	var befores, afters []uint64
	for _, m := range g.members {
		if b, a, ok := p.times(m, times); ok {
			befores, afters = append(befores, b), append(afters, a)
		}
	}
	if len(befores) < g.k {
		return 0, 0, false
	}
	slices.Sort(befores)
	slices.Sort(afters)
	return befores[g.k-1], afters[len(afters)-g.k], true
}

// SmallestSet returns a smallest set of witnesses, in ascending order, that
// meets the quorum and lies in has. ok is false if there is none.
func (p *Policy) SmallestSet(has func(witness int) bool) (set []int, ok bool) {
	if p.quorum == quorumNone {
		return nil, true
	}
	set, ok = p.smallestSet(member{group: true, i: p.quorum}, has)
	slices.Sort(set)
	return set, ok
}

func (p *Policy) smallestSet(m member, has func(int) bool) ([]int, bool) {
	if !m.group {
		return []int{m.i}, has(m.i)
	}
	g := &p.groups[m.i]
	var sets [][]int
	for _, m := range g.members {
		if s, ok := p.smallestSet(m, has); ok {
			sets = append(sets, s)
		}
	}
	if len(sets) < g.k {
		return nil, false
	}
	slices.SortStableFunc(sets, func(a, b []int) int { return len(a) - len(b) })
	return slices.Concat(sets[:g.k]...), true
}
