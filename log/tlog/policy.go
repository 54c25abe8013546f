// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"math"
	"net/url"
	"slices"
	"strings"
)

// Policy is a transparency log trust policy (tlog-policy). It is immutable.
type Policy struct {
	Logs      []PolicyLog
	Witnesses []PolicyWitness

	text   []byte
	groups []group
	quorum int // index in groups; quorumNone if no cosignature is needed
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

// PolicyError reports a malformed policy (tlog-policy). It wraps [ErrMalformed].
type PolicyError struct {
	Line int // 1 for the first; 0: the error is about the whole policy
	Msg  string
}

func (e *PolicyError) Error() string {
	if e.Line == 0 {
		return "malformed policy: " + e.Msg
	}
	return fmt.Sprintf("malformed policy: line %d: %s", e.Line, e.Msg)
}

func (e *PolicyError) Unwrap() error { return ErrMalformed }

// Bytes returns the text that was parsed.
func (p *Policy) Bytes() []byte { return bytes.Clone(p.text) }

// NeedsWitnesses returns false for a policy with "quorum none".
func (p *Policy) NeedsWitnesses() bool { return p.quorum != quorumNone }

// policyParser fails closed: it refuses every line that the specification does not
// allow.
type policyParser struct {
	p     *Policy
	names map[string]member
	keys  map[string]string // raw public key -> what it was used for
	ids   map[string]string // key name and key ID -> what the key was used for
	used  map[string]bool   // names that are members of a group
	noted bool              // there was a quorum line
}

// ParsePolicy parses a policy file (tlog-policy). Beyond the specification, a key
// must not be both a log's and a witness's, a key ID must be correct, and the last
// line must end in a line feed.
func ParsePolicy(b []byte) (*Policy, error) {
	if len(b) > MaxPolicySize {
		return nil, &PolicyError{Msg: fmt.Sprintf("%d bytes, and %d are allowed", len(b), MaxPolicySize)}
	}
	pp := &policyParser{
		p:     &Policy{text: bytes.Clone(b)},
		names: make(map[string]member),
		keys:  make(map[string]string),
		ids:   make(map[string]string),
		used:  make(map[string]bool),
	}
	for line, err := range PolicyLines(string(b)) {
		if err != nil {
			return nil, err
		}
		if err := pp.line(line.Words); err != nil {
			return nil, &PolicyError{Line: line.Number, Msg: err.Error()}
		}
	}
	if !pp.noted {
		return nil, &PolicyError{Msg: "there is no quorum line; write \"quorum none\" to need no cosignatures"}
	}
	return pp.p, nil
}

// PolicyLine is a line of a policy, other than a comment or an empty line. Its first
// word is log, witness, group or quorum; the number of words fits the format.
type PolicyLine struct {
	Number int // 1 for the first
	Words  []string
}

// PolicyLines splits a policy into its lines, without comments and empty lines. Unlike
// [ParsePolicy] it checks only their form. It ends with the first error, a
// [*PolicyError].
func PolicyLines(text string) iter.Seq2[PolicyLine, error] {
	return func(yield func(PolicyLine, error) bool) {
		for n := 1; text != ""; n++ {
			line, rest, ok := strings.Cut(text, "\n")
			text = rest
			words, err := policyWords(line)
			if !ok {
				err = fmt.Errorf("the last line does not end in a line feed")
			}
			if err != nil {
				yield(PolicyLine{}, &PolicyError{Line: n, Msg: err.Error()})
				return
			}
			if len(words) > 0 && !yield(PolicyLine{n, words}, nil) {
				return
			}
		}
	}
}

// policyForms maps the first word of a line to the number of words after it and to
// its form.
var policyForms = map[string]struct {
	least, most int
	form        string
}{
	"log":     {1, 2, "log <vkey> [<url>]"},
	"witness": {2, 3, "witness <name> <vkey> [<url>]"},
	"group":   {3, math.MaxInt, "group <name> all|any|<k> and at least one member"},
	"quorum":  {1, 1, "quorum <name>"},
}

// policyWords returns the words of a line, none for a comment.
func policyWords(line string) ([]string, error) {
	for i := range len(line) {
		if c := line[i]; c < 0x20 && c != '\t' || c == 0x7f {
			return nil, fmt.Errorf("control character %#02x at column %d", c, i+1)
		}
	}
	// strings.Fields also splits at Unicode spaces, which the format does not.
	words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
	if len(words) == 0 || strings.HasPrefix(words[0], "#") {
		return nil, nil
	}
	f, ok := policyForms[words[0]]
	switch n := len(words) - 1; {
	case !ok:
		return nil, fmt.Errorf("it begins with %q, and not with log, witness, group or quorum", words[0])
	case n < f.least || n > f.most:
		return nil, fmt.Errorf("want: %s", f.form)
	}
	return words, nil
}

func (pp *policyParser) line(words []string) error {
	switch words[0] {
	case "log":
		return pp.log(words[1:])
	case "witness":
		return pp.witness(words[1:])
	case "group":
		return pp.group(words[1:])
	}
	return pp.quorum(words[1:])
}

func (pp *policyParser) log(words []string) error {
	if len(pp.p.Logs) == MaxPolicyNames {
		return fmt.Errorf("more than %d logs", MaxPolicyNames)
	}
	key, err := ParseVerifierKey(words[0])
	if err != nil {
		return err
	}
	if key.Algorithm == CosignatureEd25519 {
		return fmt.Errorf("a log signs with a key of type 1 or 6, and this is one of type 4")
	}
	if err := pp.claimKey(key, "a log"); err != nil {
		return err
	}
	prefix, err := policyURL(words[1:])
	if err != nil {
		return err
	}
	pp.p.Logs = append(pp.p.Logs, PolicyLog{key, prefix})
	return nil
}

func (pp *policyParser) witness(words []string) error {
	if len(pp.p.Witnesses) == MaxPolicyNames {
		return fmt.Errorf("more than %d witnesses", MaxPolicyNames)
	}
	key, err := ParseVerifierKey(words[1])
	if err != nil {
		return err
	}
	if key.Algorithm == Ed25519 {
		return fmt.Errorf("a witness signs with a cosignature key of type 4 or 6, and this is one of type 1")
	}
	if err := pp.claimKey(key, "witness "+words[0]); err != nil {
		return err
	}
	if err := pp.define(words[0], member{i: len(pp.p.Witnesses)}); err != nil {
		return err
	}
	prefix, err := policyURL(words[2:])
	if err != nil {
		return err
	}
	pp.p.Witnesses = append(pp.p.Witnesses, PolicyWitness{words[0], key, prefix})
	return nil
}

// claimKey refuses a second use of one raw public key under any name, and a second
// key with the same name and key ID: key IDs are short enough to collide, and a
// signature line has only these two.
func (pp *policyParser) claimKey(key *VerifierKey, who string) error {
	if other, ok := pp.keys[string(key.Key)]; ok {
		return fmt.Errorf("the public key is already that of %s", other)
	}
	id := fmt.Sprintf("%s+%08x", key.Name, key.ID)
	if other, ok := pp.ids[id]; ok {
		return fmt.Errorf("the key name and key ID are already those of %s", other)
	}
	pp.keys[string(key.Key)], pp.ids[id] = who, who
	return nil
}

func (pp *policyParser) define(name string, m member) error {
	if name == "none" {
		return fmt.Errorf("the name none is reserved")
	}
	if _, ok := pp.names[name]; ok {
		return fmt.Errorf("the name %q is already defined", name)
	}
	pp.names[name] = m
	return nil
}

func (pp *policyParser) group(words []string) error {
	if len(pp.p.groups) == MaxPolicyNames {
		return fmt.Errorf("more than %d groups", MaxPolicyNames)
	}
	g := group{name: words[0]}
	for _, name := range words[2:] {
		m, ok := pp.names[name]
		switch {
		case name == "none":
			return fmt.Errorf("none can't be a member of a group")
		case !ok:
			return fmt.Errorf("%q is not defined above this line", name)
		case pp.used[name]:
			return fmt.Errorf("%q is already a member of a group", name)
		}
		pp.used[name] = true
		g.members = append(g.members, m)
	}
	var err error
	if g.k, err = threshold(words[1], len(g.members)); err != nil {
		return err
	}
	if err := pp.define(g.name, member{group: true, i: len(pp.p.groups)}); err != nil {
		return err
	}
	pp.p.groups = append(pp.p.groups, g)
	return nil
}

func threshold(word string, n int) (int, error) {
	switch word {
	case "any":
		return 1, nil
	case "all":
		return n, nil
	}
	k, ok := parseDecimal(word)
	if !ok {
		return 0, fmt.Errorf("the threshold %q is neither all, any nor a decimal without leading zeros", word)
	}
	if k < 1 || k > uint64(n) {
		return 0, fmt.Errorf("the threshold is %d, and the group has %d members", k, n)
	}
	return int(k), nil
}

func (pp *policyParser) quorum(words []string) error {
	if pp.noted {
		return fmt.Errorf("a second quorum line")
	}
	pp.noted = true
	if words[0] == "none" {
		pp.p.quorum = quorumNone
		return nil
	}
	m, ok := pp.names[words[0]]
	if !ok {
		return fmt.Errorf("%q is not defined above this line", words[0])
	}
	// A single witness becomes a group of one member.
	if m.group {
		pp.p.quorum = m.i
		return nil
	}
	pp.p.groups = append(pp.p.groups, group{k: 1, members: []member{m}})
	pp.p.quorum = len(pp.p.groups) - 1
	return nil
}

// policyURL checks the optional last word of a line.
func policyURL(words []string) (string, error) {
	if len(words) == 0 {
		return "", nil
	}
	s := words[0]
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.User != nil || strings.ContainsAny(s, "?#") {
		return "", fmt.Errorf("%q is not an http or https URL of a prefix", s)
	}
	return s, nil
}

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
