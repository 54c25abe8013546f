// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
)

// Policy is a transparency log trust policy (tlog-policy). It is immutable.
type Policy struct {
	Logs      []PolicyLog
	Witnesses []PolicyWitness

	// Spread is how many seconds apart the times of cosignatures may be that together meet
	// the policy. [ParsePolicy] sets DefaultSpread.
	Spread uint64

	text   []byte
	groups []group
	quorum int // index in groups; quorumNone if no cosignature is needed
}

// Values of Policy.Spread.
const (
	DefaultSpread = 300
	NoSpread      = math.MaxUint64 // any times meet the policy
)

// WithSpread returns a copy of the policy with another spread.
func (p *Policy) WithSpread(seconds uint64) *Policy {
	c := *p
	c.Spread = seconds
	return &c
}

// PolicyLog is a log that a policy accepts. Its origin is the key's name.
type PolicyLog struct {
	Key *VerifierKey // Ed25519, or an ML-DSA-44 cosignature key
	URL string       // "" if not given
}

// PolicyWitness is a witness that may count towards the quorum.
type PolicyWitness struct {
	Name string       // within the policy only
	Key  *VerifierKey // a cosignature key
	URL  string       // submission prefix, "" if not given
}

// group is satisfied if k of its members are. Its groups are earlier ones.
type group struct {
	name    string
	k       int
	members []member
}

// member is a witness or a group, by its index in Policy.
type member struct {
	group bool
	i     int
}

const quorumNone = -1

// Bytes returns the text that was parsed.
func (p *Policy) Bytes() []byte { return bytes.Clone(p.text) }

// NeedsWitnesses returns false for a policy with "quorum none".
func (p *Policy) NeedsWitnesses() bool { return p.quorum != quorumNone }

// Errors of [Policy.Verify]. Each means that the checkpoint proves nothing
// under this policy.
var (
	ErrUnknownLog = errors.New("no log key of the policy signed it; the policy is of another log, or lacks a newer key")
	ErrNoQuorum   = errors.New("the cosignatures do not meet the quorum of the policy")
	// ErrNoWindow wraps ErrNoQuorum: all cosignatures together meet the quorum, but
	// those of no span of time as long as the spread do.
	ErrNoWindow = fmt.Errorf("%w at times within the spread", ErrNoQuorum)
)

// Verified is a checkpoint that a policy accepts.
type Verified struct {
	Checkpoint *Checkpoint
	Logs       []*VerifierKey // keys of the policy's logs that signed
	Witnesses  []Cosignature  // of the policy's witnesses that signed

	// The two times of the cosignatures, in POSIX seconds, 0 for a policy with
	// "quorum none". See [Policy.Window].
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
	times := make(Times, len(p.Witnesses))
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
	w, err := p.Window(times)
	if err != nil {
		return nil, fmt.Errorf("checkpoint of %q at size %d with %d cosignatures of known witnesses: %w",
			c.Origin, c.Size, len(v.Witnesses), err)
	}
	v.ExistedBefore, v.LoggedAfter = w.ExistedBefore, w.LoggedAfter
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
	return p.quorum == quorumNone || p.satisfied(member{group: true, i: p.quorum}, has)
}

func (p *Policy) satisfied(m member, has func(int) bool) bool {
	if !m.group {
		return has(m.i)
	}
	g := &p.groups[m.i]
	n := 0
	for _, m := range g.members {
		if p.satisfied(m, has) {
			n++
		}
	}
	return n >= g.k
}

// Times are the times of cosignatures, in POSIX seconds, by the index of the witness.
type Times map[int]uint64

// A Window is what the times of a set of cosignatures prove.
type Window struct {
	// LoggedAfter is the latest time such that the cosignatures from it up to Spread
	// seconds later meet the policy: entries outside of the tree were logged after it.
	LoggedAfter uint64
	// ExistedBefore is the earliest time such that the cosignatures from LoggedAfter up
	// to it meet the policy: the tree existed before it.
	ExistedBefore uint64
	// Set is a smallest set of the witnesses between the two times that meets the policy,
	// ascending. Each such set has the same two times.
	Set []int
}

// Window returns what times prove. Fewer liars than [Strength.Time] can't move either of
// its times by more than the spread. It is zero under "quorum none". The error is
// [ErrNoQuorum] or [ErrNoWindow].
func (p *Policy) Window(times Times) (w Window, err error) {
	if p.quorum == quorumNone {
		return w, nil
	}
	all := slices.Sorted(maps.Values(times))
	from, to := uint64(0), uint64(0)
	within := func(i int) bool { t, ok := times[i]; return ok && from <= t && t <= to }
	for _, from = range slices.Backward(all) {
		if to = from + p.Spread; to < from {
			to = math.MaxUint64
		}
		if !p.Satisfied(within) {
			continue
		}
		for _, to = range all {
			if to >= from && p.Satisfied(within) {
				break
			}
		}
		w = Window{LoggedAfter: from, ExistedBefore: to}
		w.Set, _ = p.SmallestSet(within)
		return w, nil
	}
	if from, to = 0, math.MaxUint64; p.Satisfied(within) {
		return w, ErrNoWindow
	}
	return w, ErrNoQuorum
}

// Strength is how many keys of a policy, at least, must misbehave together to break what
// it promises. Keys of one name in a group that any of them satisfies are one operator's,
// who lies or is silent with all of them, and count as one. All are 0 under "quorum none".
type Strength struct {
	Fork    int // lie, for two conflicting heads that both meet the policy, or a stale view
	Silence int // stay silent, to stop publication
	Time    int // state false times, to move a head's times by more than the spread
}

// Strength measures the policy.
func (p *Policy) Strength() Strength {
	if p.quorum == quorumNone {
		return Strength{}
	}
	return p.strength(member{group: true, i: p.quorum})
}

func (p *Policy) strength(m member) (s Strength) {
	if !m.group {
		return Strength{1, 1, 1}
	}
	g := &p.groups[m.i]
	if p.oneOperator(g) {
		return Strength{1, 1, 1}
	}
	var forks, silences, times []int
	for _, m := range g.members {
		s := p.strength(m)
		forks, silences, times = append(forks, s.Fork), append(silences, s.Silence), append(times, s.Time)
	}
	n := len(g.members)
	return Strength{smallest(forks, 2*g.k-n), smallest(silences, n-g.k+1), smallest(times, g.k)}
}

// oneOperator returns true for a group that any of its members satisfies, which are keys of
// one name.
func (p *Policy) oneOperator(g *group) bool {
	first := g.members[0]
	return g.k == 1 && !slices.ContainsFunc(g.members, func(m member) bool {
		return m.group || p.Witnesses[m.i].Key.Name != p.Witnesses[first.i].Key.Name
	})
}

// smallest returns the sum of the n smallest numbers.
func smallest(list []int, n int) (sum int) {
	slices.Sort(list)
	for i := range n {
		sum += list[i]
	}
	return sum
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
