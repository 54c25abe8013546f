// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"bytes"
	"fmt"
	"net/url"
	"strings"
)

// Policy is a transparency log trust policy (tlog-policy). It is immutable.
type Policy struct {
	Logs      []PolicyLog
	Witnesses []PolicyWitness

	text   []byte
	groups []group
	quorum int // a member; quorumNone if no cosignature is needed
}

// PolicyLog is a log that a policy accepts. Its origin is the key's name.
type PolicyLog struct {
	Key *VerifierKey // Ed25519, or an ML-DSA-44 cosignature key
	URL string       // "" if not given
}

// PolicyWitness is a witness that may count towards the quorum.
type PolicyWitness struct {
	Name string       // what the policy calls it; it means nothing elsewhere
	Key  *VerifierKey // a cosignature key
	URL  string       // submission prefix, "" if not given
}

// group is satisfied if k of its members are. A member below len(Witnesses) is
// a witness; the others are groups, all of them earlier ones.
type group struct {
	name    string
	k       int
	members []member
}

// member is a witness or a group, by its place in Policy.
type member struct {
	group bool
	i     int
}

const quorumNone = -1

// PolicyError is a line of a policy that breaks a rule. It wraps
// [ErrMalformed].
type PolicyError struct {
	Line int // 1 for the first; 0 for what is missing from the whole
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

// policyParser fails closed: whatever the specification does not allow by
// name is an error that names its line.
type policyParser struct {
	p     *Policy
	names map[string]member
	keys  map[string]string // raw public key -> what it was used for
	ids   map[keyIdentity]string
	used  map[string]bool // names that are members of a group
	noted bool            // the quorum line was seen
}

// ParsePolicy parses a policy file. Of what the specification leaves open it
// is strict: a key must not be both a log's and a witness's, key IDs are
// checked, and the last line ends in a line feed too.
func ParsePolicy(b []byte) (*Policy, error) {
	if len(b) > MaxPolicySize {
		return nil, &PolicyError{Msg: fmt.Sprintf("%d bytes, and %d are allowed", len(b), MaxPolicySize)}
	}
	pp := &policyParser{
		p:     &Policy{text: bytes.Clone(b)},
		names: make(map[string]member),
		keys:  make(map[string]string),
		ids:   make(map[keyIdentity]string),
		used:  make(map[string]bool),
	}
	rest := string(b)
	for n := 1; rest != ""; n++ {
		line, after, ok := cutLine(rest)
		if !ok {
			return nil, &PolicyError{Line: n, Msg: "the last line does not end in a line feed"}
		}
		rest = after
		if err := pp.line(line); err != nil {
			return nil, &PolicyError{Line: n, Msg: err.Error()}
		}
	}
	if !pp.noted {
		return nil, &PolicyError{Msg: "there is no quorum line; write \"quorum none\" to ask for no cosignatures"}
	}
	return pp.p, nil
}

func (pp *policyParser) line(line string) error {
	for i := range len(line) {
		if c := line[i]; c < 0x20 && c != '\t' || c == 0x7f {
			return fmt.Errorf("control character %#02x at column %d", c, i+1)
		}
	}
	// Not strings.Fields, for which Unicode has more spaces than the format.
	words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
	if len(words) == 0 || strings.HasPrefix(words[0], "#") {
		return nil
	}
	switch words[0] {
	case "log":
		return pp.log(words[1:])
	case "witness":
		return pp.witness(words[1:])
	case "group":
		return pp.group(words[1:])
	case "quorum":
		return pp.quorum(words[1:])
	}
	return fmt.Errorf("it begins with %q, and not with log, witness, group or quorum", words[0])
}

func (pp *policyParser) log(words []string) error {
	if len(words) != 1 && len(words) != 2 {
		return fmt.Errorf("want: log <vkey> [<url>]")
	}
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
	l := PolicyLog{Key: key}
	if len(words) == 2 {
		if l.URL, err = policyURL(words[1]); err != nil {
			return err
		}
	}
	pp.p.Logs = append(pp.p.Logs, l)
	return nil
}

func (pp *policyParser) witness(words []string) error {
	if len(words) != 2 && len(words) != 3 {
		return fmt.Errorf("want: witness <name> <vkey> [<url>]")
	}
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
	w := PolicyWitness{Name: words[0], Key: key}
	if len(words) == 3 {
		if w.URL, err = policyURL(words[2]); err != nil {
			return err
		}
	}
	pp.p.Witnesses = append(pp.p.Witnesses, w)
	return nil
}

// claimKey refuses a second use of one raw public key, under whatever name,
// and a second key of one name and key ID: a signature line could not say whose
// it is, and key IDs are short enough to be made to collide.
func (pp *policyParser) claimKey(key *VerifierKey, who string) error {
	if other, ok := pp.keys[string(key.Key)]; ok {
		return fmt.Errorf("the public key is already that of %s", other)
	}
	id := keyIdentity{key.Name, key.ID}
	if other, ok := pp.ids[id]; ok {
		return fmt.Errorf("the key name and key ID are already those of %s", other)
	}
	pp.keys[string(key.Key)], pp.ids[id] = who, who
	return nil
}

// keyIdentity is how signature lines name a key.
type keyIdentity struct {
	name string
	id   uint32
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
	if len(words) < 3 {
		return fmt.Errorf("want: group <name> all|any|<k> and at least one member")
	}
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
	if len(words) != 1 {
		return fmt.Errorf("want: quorum <name>")
	}
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
	// A single witness is the group of which it is the only member.
	if m.group {
		pp.p.quorum = m.i
		return nil
	}
	pp.p.groups = append(pp.p.groups, group{k: 1, members: []member{m}})
	pp.p.quorum = len(pp.p.groups) - 1
	return nil
}

func policyURL(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.User != nil || strings.ContainsAny(s, "?#") {
		return "", fmt.Errorf("%q is not an http or https URL of a prefix", s)
	}
	return s, nil
}
