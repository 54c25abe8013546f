// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"bytes"
	"fmt"
	"iter"
	"math"
	"net/url"
	"strings"
)

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
		p:     &Policy{text: bytes.Clone(b), Spread: DefaultSpread},
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
