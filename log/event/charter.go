// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vasistas/vasistas/log/tlog"
)

// Bounds of a charter's lists.
const (
	maxLogKeys = 8
	maxParties = 256
	maxKeys    = 32
	maxGroups  = 32
	maxMembers = 32
	maxVoids   = 64
	maxPolicy  = 16384
)

// A Charter sets up a log or amends it. An amendment restates the whole charter,
// so the charter in force is one entry.
//
// Policies are C2SP tlog-policy text in one spelling: ASCII, one space between
// words, one LF after each line, no comments, no empty lines, exactly one quorum
// line. A log line must name one of LogKeys; a witness line of AuditPolicy must
// name a cosigner key of an auditor. The policy parser of log/tlog checks groups
// and quorum.
//
// A raw key has one use: one role, one party, and one name in a policy.
type Charter struct {
	Version       uint64     // 1 for the founding charter, then 2, ...
	Prev          *Reference // the charter before; nil at Version 1
	Rules         uint64     // version of the rules, from 1
	LogKeys       []string   // verifier keys under the origin's name, Ed25519 first
	Parties       []Party    // sorted
	Groups        []Group    // sorted; empty: the log releases no keys
	Thresholds    Thresholds
	Void          []Void // sorted
	Profile       Profile
	WitnessPolicy string
	AuditPolicy   string
}

// A Party holds a role under a name. A name has each role at most once.
type Party struct {
	Name      string
	Role      Role
	Keys      []*PublicKey // sorted; exactly one for charter, custodian and auditor, whose keys are counted or chained
	Kind      string       // authority: court, commission or another kind of the profile; "": none
	Above     []string     // authority: names of authorities whose warrants it may revoke and defer
	Enforces  []string     // authority: names of authorities whose warrants it may revoke and suspend, and never defer
	Cosigners []string     // auditor: its cosignature verifier keys
	Gates     []HPKEKey    // custodian: its gate's keys, at most one for each KEM
}

// A Group is a set of custodians that hold shares of the same escrow keys.
type Group struct {
	ID        string
	Threshold uint64   // how many shares open a key
	Members   []string // names of custodians; the first has share 1, and so on
}

// Thresholds says how many charter keys sign.
type Thresholds struct {
	Amend   uint64 // an amendment
	Recover uint64 // an amendment that takes effect without the old witness policy; at least Amend
}

// A Void ends a key: its events from an index on have no effect.
type Void struct {
	From uint64
	Key  string // key id
}

// PolicyFile returns a policy of the charter as a whole policy (C2SP tlog-policy): with a line for
// each of LogKeys that it lacks. policy is WitnessPolicy or AuditPolicy.
func (ch *Charter) PolicyFile(policy string) string {
	var b strings.Builder
	for _, k := range ch.LogKeys {
		if !strings.Contains(policy, "log "+k+"\n") && !strings.Contains(policy, "log "+k+" ") {
			b.WriteString("log " + k + "\n")
		}
	}
	return b.String() + policy
}

func (*Charter) Type() Type { return TypeCharter }

func (ch *Charter) fields(c *coder) {
	c.policy("auditPolicy", &ch.AuditPolicy, "which auditors must cosign before a key opens")
	listOf(c, "groups", "", optional, sorted, maxGroups, &ch.Groups, "custodian groups", elements((*Group).fields))
	listOf(c, "logKeys", "verifier keys", required, ordered, maxLogKeys, &ch.LogKeys, "the log's keys under its origin, an Ed25519 key first", vkeyElem)
	listOf(c, "parties", "", required, sorted, maxParties, &ch.Parties, "parties and their roles", elements((*Party).fields))
	objectOpt(c, "prev", "reference", optional, &ch.Prev, "the charter before; absent at version 1", (*Reference).fields)
	object(c, "profile", "", &ch.Profile, "what the legislator decided", (*Profile).fields)
	c.uint("rules", required, 1, &ch.Rules, "version of the rules")
	object(c, "thresholds", "", &ch.Thresholds, "how many charter keys sign", (*Thresholds).fields)
	c.uint("version", required, 1, &ch.Version, "1 for the founding charter, then 2, ...")
	listOf(c, "void", "", optional, sorted, maxVoids, &ch.Void, "keys whose events have no effect from an index on", elements((*Void).fields))
	c.policy("witnessPolicy", &ch.WitnessPolicy, "which witnesses must cosign before a head is published")
}

func vkeyElem(s *string, c *coder) { c.plainValue("", vkeyKind, s) }

func (p *Party) fields(c *coder) {
	codes(c, "above", codeKind, optional, maxKeys, &p.Above, "authority: names of authorities whose warrants it may revoke and defer")
	codes(c, "cosigners", vkeyKind, optional, maxKeys, &p.Cosigners, "auditor: its cosignature keys")
	codes(c, "enforces", codeKind, optional, maxParties, &p.Enforces, "authority: names of authorities whose warrants it may revoke and suspend, and never defer")
	listOf(c, "gates", "", optional, sorted, 2, &p.Gates, "custodian: its gate's keys", elements((*HPKEKey).fields))
	listOf(c, "keys", "keys", required, sorted, maxKeys, &p.Keys, "event keys (SubjectPublicKeyInfo)", keyElem)
	code(c, "kind", codeKind, optional, &p.Kind, "authority: its kind, as the profile names kinds")
	code(c, "name", codeKind, required, &p.Name, "name, one for each role")
	code(c, "role", roleKind, required, &p.Role, "role")
}

var roleKind = enumKind(string(RoleAuditor), string(RoleAuthority), string(RoleCharter), string(RoleCustodian), string(RoleDuty), string(RoleProvider))

func keyElem(k **PublicKey, c *coder) {
	if c.encodes() {
		if *k == nil {
			c.fail("", errMissing)
			return
		}
		spki := (*k).SPKI()
		c.blob("", len(spki), &spki)
		return
	}
	var spki []byte
	if c.blob("", maxSPKI, &spki); c.err != nil {
		return
	}
	var err error
	if *k, err = ParsePublicKey(spki); err != nil {
		c.fail("", err)
	}
}

func (g *Group) fields(c *coder) {
	code(c, "id", codeKind, required, &g.ID, "id of the group")
	listOf(c, "members", "codes", required, ordered, maxMembers, &g.Members, "names of custodians, in the order of their shares", codeElem)
	c.uint("threshold", required, 1, &g.Threshold, "how many shares open a key")
}

func (t *Thresholds) fields(c *coder) {
	c.uint("amend", required, 1, &t.Amend, "signatures of an amendment")
	c.uint("recover", required, 1, &t.Recover, "signatures of an amendment that takes effect without the old witness policy")
}

var keyIDKind = stringKind{name: "key id", check: checkKeyID}

func checkKeyID(s string) error {
	ok := len(s) == 64
	for i := 0; ok && i < len(s); i++ {
		ok = '0' <= s[i] && s[i] <= '9' || 'a' <= s[i] && s[i] <= 'f'
	}
	if !ok {
		return errors.New("want a key id: 64 lowercase hex digits")
	}
	return nil
}

func (v *Void) fields(c *coder) {
	c.uint("from", required, 0, &v.From, "index of the first entry without effect")
	code(c, "key", keyIDKind, required, &v.Key, "key id")
}

func (ch *Charter) check(e *Event) error {
	if (ch.Version == 1) != (ch.Prev == nil) {
		return errors.New("body.prev: an amendment must have it, and the first charter must not")
	}
	for _, check := range []func() error{ch.checkParties, ch.checkGroups, ch.checkVoid, ch.Profile.check, func() error { return ch.checkRawKeys(e.Log) }} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// Party returns the party of this role and name, or nil.
func (ch *Charter) Party(role Role, name string) *Party {
	return first(ch.Parties, func(p *Party) bool { return p.Role == role && p.Name == name })
}

// Holder returns the party whose event key has this id, or nil.
func (ch *Charter) Holder(keyID string) *Party {
	return first(ch.Parties, func(p *Party) bool {
		return slices.ContainsFunc(p.Keys, func(k *PublicKey) bool { return k.KeyID() == keyID })
	})
}

// Group returns the custodian group of this id, or nil.
func (ch *Charter) Group(id string) *Group {
	return first(ch.Groups, func(g *Group) bool { return g.ID == id })
}

// GroupsOf returns the ids of the groups that a custodian is a member of.
func (ch *Charter) GroupsOf(custodian string) []string {
	var out []string
	for _, g := range ch.Groups {
		if slices.Contains(g.Members, custodian) {
			out = append(out, g.ID)
		}
	}
	return out
}

func (ch *Charter) checkParties() error {
	count := make(map[Role]uint64)
	for i := range ch.Parties {
		p := &ch.Parties[i]
		if ch.Party(p.Role, p.Name) != p {
			return fmt.Errorf("body.parties: %s %s stands twice", p.Role, p.Name)
		}
		if err := ch.checkParty(p); err != nil {
			return fmt.Errorf("body.parties: %s %s: %w", p.Role, p.Name, err)
		}
		count[p.Role]++
	}
	if count[RoleProvider] == 0 {
		return errors.New("body.parties: no provider")
	}
	t := ch.Thresholds
	if t.Amend > t.Recover || t.Recover > count[RoleCharter] {
		return fmt.Errorf("body.thresholds: want amend <= recover <= %d, the number of charter keys", count[RoleCharter])
	}
	return nil
}

func (ch *Charter) checkParty(p *Party) error {
	single := p.Role == RoleCharter || p.Role == RoleCustodian || p.Role == RoleAuditor
	switch {
	case single && len(p.Keys) != 1:
		return errors.New("keys: want exactly one")
	case p.Role != RoleAuthority && (p.Kind != "" || len(p.Above)+len(p.Enforces) > 0):
		return fmt.Errorf("kind, above, enforces: %w: for authorities only", errAbsent)
	case p.Role != RoleAuditor && len(p.Cosigners) > 0:
		return fmt.Errorf("cosigners: %w: for auditors only", errAbsent)
	case (p.Role == RoleCustodian) != (len(p.Gates) > 0):
		return errors.New("gates: a custodian must have them, and no other party may")
	case len(p.Gates) == 2 && p.Gates[0].KEM == p.Gates[1].KEM:
		return errors.New("gates: two keys of one KEM")
	case p.Role == RoleDuty && ch.Party(RoleAuthority, p.Name) == nil:
		return errors.New("a duty key needs an authority of the same name")
	}
	return cmp.Or(ch.checkOthers(p, "above", p.Above), ch.checkOthers(p, "enforces", p.Enforces))
}

// checkOthers checks that a list of a party names other authorities.
func (ch *Charter) checkOthers(p *Party, member string, list []string) error {
	for _, name := range list {
		if name == p.Name || ch.Party(RoleAuthority, name) == nil {
			return fmt.Errorf("%s: %s is not another authority", member, name)
		}
	}
	return nil
}

func (ch *Charter) checkGroups() error {
	for i, g := range ch.Groups {
		switch {
		case slices.ContainsFunc(ch.Groups[:i], func(o Group) bool { return o.ID == g.ID }):
			return fmt.Errorf("body.groups: %s stands twice", g.ID)
		case g.Threshold > uint64(len(g.Members)):
			return fmt.Errorf("body.groups: %s: threshold %d of %d members", g.ID, g.Threshold, len(g.Members))
		}
		for j, m := range g.Members {
			if ch.Party(RoleCustodian, m) == nil || slices.Contains(g.Members[:j], m) {
				return fmt.Errorf("body.groups: %s: %s is not a custodian, or stands twice", g.ID, m)
			}
		}
	}
	return nil
}

func (ch *Charter) checkVoid() error {
	for i, v := range ch.Void {
		if slices.ContainsFunc(ch.Void[:i], func(o Void) bool { return o.Key == v.Key }) {
			return fmt.Errorf("body.void: key %s stands twice", v.Key)
		}
	}
	return nil
}

// parseVKey reads a verifier key whose name is ASCII. It accepts a weak key, since a
// charter that names one may be logged; the rules keep it out of every policy.
func parseVKey(s string) (*tlog.VerifierKey, error) {
	k, err := tlog.ParseVerifierKey(s)
	if weak := (*tlog.WeakKeyError)(nil); errors.As(err, &weak) {
		k = weak.Key
	} else if err != nil {
		return nil, err
	}
	if err := checkOrigin(k.Name); err != nil {
		return nil, fmt.Errorf("verifier key: name: %w", err)
	}
	return k, nil
}

func checkVKey(s string) error {
	_, err := parseVKey(s)
	return err
}

// A keyring maps a raw key to its one use.
type keyring map[string]string

func (k keyring) add(raw []byte, owner string) error {
	if was, ok := k[string(raw)]; ok {
		return fmt.Errorf("one key is used for %s and for %s", was, owner)
	}
	k[string(raw)] = owner
	return nil
}

// checkRawKeys checks that every raw key in the charter has one use. A key of the
// audit policy is an auditor's cosigner key and a policy's log key is the log's;
// each of these is one use, written twice.
func (ch *Charter) checkRawKeys(origin string) error {
	ring := make(keyring)
	for i, s := range ch.LogKeys {
		k, err := parseVKey(s)
		switch {
		case err != nil:
			return fmt.Errorf("body.logKeys: %w", err)
		case k.Name != origin:
			return fmt.Errorf("body.logKeys: %s is not the origin", k.Name)
		case i == 0 && k.Algorithm != tlog.Ed25519, k.Algorithm == tlog.CosignatureEd25519:
			return errors.New("body.logKeys: want an Ed25519 key first, then Ed25519 and ML-DSA keys")
		}
		if err := ring.add(k.Key, "the log"); err != nil {
			return fmt.Errorf("body.logKeys: %w", err)
		}
	}
	cosigners := make(map[string]bool)
	for i := range ch.Parties {
		p := &ch.Parties[i]
		if err := p.addKeys(ring, cosigners); err != nil {
			return fmt.Errorf("body.parties: %w", err)
		}
	}
	if err := ch.checkPolicy(ch.AuditPolicy, func(vkey string, _ []byte) error {
		if !cosigners[vkey] {
			return errors.New("a witness line names a key that is not a cosigner key of an auditor")
		}
		return nil
	}); err != nil {
		return fmt.Errorf("body.auditPolicy: %w", err)
	}
	if err := ch.checkPolicy(ch.WitnessPolicy, func(_ string, raw []byte) error {
		return ring.add(raw, "a witness")
	}); err != nil {
		return fmt.Errorf("body.witnessPolicy: %w", err)
	}
	return nil
}

func (p *Party) addKeys(ring keyring, cosigners map[string]bool) error {
	owner := string(p.Role) + " " + p.Name
	for _, k := range p.Keys {
		if err := ring.add(k.raw(), owner); err != nil {
			return err
		}
	}
	for _, g := range p.Gates {
		if err := ring.add(g.Public, owner+"'s gate"); err != nil {
			return err
		}
	}
	for _, s := range p.Cosigners {
		k, err := parseVKey(s)
		if err != nil || k.Algorithm == tlog.Ed25519 {
			return fmt.Errorf("%s: cosigners: want cosignature keys", owner)
		}
		if err := ring.add(k.Key, owner+"'s cosigner"); err != nil {
			return err
		}
		cosigners[s] = true
	}
	return nil
}

// checkPolicy checks a policy's spelling and its keys. Groups and quorum are left to
// the policy parser.
func (ch *Charter) checkPolicy(text string, witness func(vkey string, raw []byte) error) error {
	var again strings.Builder
	quorums, seen := 0, make(keyring)
	for line, err := range tlog.PolicyLines(text) {
		if err != nil {
			return err
		}
		words := line.Words
		again.WriteString(strings.Join(words, " ") + "\n")
		switch words[0] {
		case "log":
			if !slices.Contains(ch.LogKeys, words[1]) {
				return errors.New("a log line names a key that isn't in logKeys: leave the log lines out, since a charter's policies need none")
			}
		case "witness":
			k, err := parseVKey(words[2])
			if err != nil {
				return err
			}
			if k.Algorithm == tlog.Ed25519 {
				return errors.New("a witness line names a log's key type, not a cosignature key")
			}
			if err := seen.add(k.Key, "a witness"); err != nil {
				return err
			}
			if err := witness(words[2], k.Key); err != nil {
				return err
			}
		case "quorum":
			quorums++
		}
	}
	if again.String() != text || strings.ContainsFunc(text, func(r rune) bool { return r > '~' }) {
		return errors.New("want ASCII words with single spaces, LF after each line, no comments and no empty lines")
	}
	if quorums != 1 {
		return errors.New("want exactly one quorum line")
	}
	return nil
}
