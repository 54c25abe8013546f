// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

var (
	charterFirst    = &Way{"charter", "first", KindBreach, "entry 0 is not a first charter of this log", ""}
	charterMiddle   = &Way{"charter", "middle", KindBreach, "a first charter stands in the middle of the log", ""}
	charterVersion  = &Way{"charter", "version", KindBreach, "it has version {version}, and the next version is {next}", ""}
	charterTaken    = &Way{"charter", "taken", KindNoEffect, "the log already has version {version}, and the first one stands", "sign an amendment of the charter in force"}
	charterPrev     = &Way{"charter", "prev", KindBreach, "prev does not name the charter in force, entry {entry}", ""}
	charterFew      = &Way{"charter", "few", KindBreach, "{signed} charter keys signed, and {needed} are needed", "log it with more signatures"}
	charterPolicy   = &Way{"charter", "policy", KindBreach, "the {policy} policy: {why}", ""}
	charterOperator = &Way{"charter", "operator", KindBreach, "the {policy} policy can count {operator} twice: put the operator's keys into one group that any of them satisfies", ""}
	charterBars     = &Way{"charter", "bars", KindBreach, `the profile names "{rule}" in bars, and no obligation has that rule`, ""}
)

// A Charter is a charter that the log accepted, with its policies parsed. It is
// immutable.
type Charter struct {
	*event.Charter
	Index uint64
	Leaf  tlog.Hash
	Time  int64 // the claimed or, if later, the proven time; POSIX seconds

	// The policies, with all the log's keys as log lines. Witnesses has the profile's
	// spread; Auditors has none, since auditors promise no time before which.
	Witnesses, Auditors *tlog.Policy

	rules     *rules
	holders   map[string]*holder
	cosigners map[string]string // key in the audit policy -> auditor
	env       *event.Envelope
	number    uint32 // place in Ledger.charters
}

// Charter returns the charter in force at the next index, nil before entry 0.
func (l *Ledger) Charter() *Charter {
	if len(l.charters) == 0 {
		return nil
	}
	return l.charters[len(l.charters)-1]
}

// CharterAt returns the charter in force at an index or tree size: the last charter
// below it, nil at 0.
func (l *Ledger) CharterAt(size uint64) *Charter {
	for _, c := range slices.Backward(l.charters) {
		if c.Index < size {
			return c
		}
	}
	return nil
}

// Signer returns the party that holds an event key under this charter: nil if no
// party does or the key is void at that index.
func (c *Charter) Signer(keyID string, index uint64) *event.Party {
	h := c.holders[keyID]
	if h == nil || h.void && index >= h.from {
		return nil
	}
	return h.party
}

// Hash returns the charter's event hash, which no added signature changes.
func (c *Charter) Hash() event.Digest { return c.env.Hash() }

// founding checks entry 0.
func (x *act) founding() (effect, *Violation, error) {
	ch, ok := x.ev.Body.(*event.Charter)
	if !ok || ch.Version != 1 || x.e.Index != 0 {
		return nil, x.fail(charterFirst), nil
	}
	c, v := x.newCharter(ch)
	if v != nil {
		return nil, v, nil
	}
	for i, s := range x.e.Envelope.Signatures {
		p := ch.Holder(s.KeyID)
		switch {
		case p == nil:
			return nil, x.fail(roleUnknown, s.KeyID), nil
		case p.Role != event.RoleCharter:
			return nil, x.fail(roleWrong, p.Role, p.Name, x.ev.Type), nil
		}
		if v := x.verify(i, p, keyOf(p, s.KeyID)); v != nil {
			return nil, v, nil
		}
	}
	if n := uint64(len(x.e.Envelope.Signatures)); n < ch.Thresholds.Amend {
		return nil, x.fail(charterFew, n, ch.Thresholds.Amend), nil
	}
	return x.force(c)
}

// charter checks an amendment.
func (x *act) charter(ch *event.Charter) (effect, *Violation, error) {
	c, v := x.amendment(ch)
	if v != nil {
		return nil, v, nil
	}
	return x.force(c)
}

func (x *act) amendment(ch *event.Charter) (*Charter, *Violation) {
	switch now := x.c; {
	case ch.Version == 1:
		return nil, x.fail(charterMiddle)
	case ch.Version <= now.Version:
		return nil, x.fail(charterTaken, ch.Version)
	case ch.Version != now.Version+1:
		return nil, x.fail(charterVersion, ch.Version, now.Version+1)
	case ch.Prev.Index != now.Index || ch.Prev.Leaf != now.Leaf:
		return nil, x.refer(*ch.Prev, charterPrev, now.Index)
	case uint64(len(x.signers)) < now.Thresholds.Amend:
		return nil, x.fail(charterFew, len(x.signers), now.Thresholds.Amend)
	}
	return x.newCharter(ch)
}

// force returns the effect that puts a charter into force, ErrRules if its rules
// are unknown.
func (x *act) force(c *Charter) (effect, *Violation, error) {
	if c.rules == nil {
		return nil, nil, fmt.Errorf("%w (version %d)", ErrRules, c.Rules)
	}
	return func() { x.install(c) }, nil, nil
}

// Recovers checks an envelope, received out of band, as a recovery charter and
// returns it. Such a charter is the next version, well-formed under the rules, and
// signed by as many charter keys of the charter before it as that one's recovery
// threshold demands. From then on the log's heads meet the new charter alone, so
// only a person who names the charter may accept it. index is where the charter
// stands or will stand. The charter before it is the one in force or, if the log
// already has this event as a charter, the one before that entry; then the entry's
// signatures count as well, and its leaf is the charter's.
func (l *Ledger) Recovers(env *event.Envelope, index uint64) (*Charter, error) {
	ch, ok := env.Event.Body.(*event.Charter)
	if !ok || l.Charter() == nil {
		return nil, errors.New("recovery takes a charter, and a log that has a charter")
	}
	now, leaf := l.Charter(), env.LeafHash()
	if c := l.sameCharter(env); c != nil && c.number > 0 {
		now, index, leaf = l.charters[c.number-1], c.Index, c.Leaf
		env = united(env, c.env)
	}
	x := &act{l: l, e: &Entry{Index: index, Leaf: leaf, Envelope: env}, ev: env.Event, by: Log, c: now,
		time: env.Event.Time.Unix(), base: env.Event.Time.Unix()}
	if x.ev.Log != l.origin {
		return nil, x.fail(formOrigin, x.ev.Log)
	}
	if v := x.sign(); v != nil {
		return nil, v
	}
	if n := uint64(len(x.signers)); n < now.Thresholds.Recover {
		return nil, x.fail(charterFew, n, now.Thresholds.Recover)
	}
	c, v := x.amendment(ch)
	if v != nil {
		return nil, v
	}
	_, _, err := x.force(c)
	return c, err
}

// united returns a with the signatures of b by keys that did not sign a. Both are
// envelopes of one event.
func united(a, b *event.Envelope) *event.Envelope {
	out := *a
	out.Signatures = slices.Clone(a.Signatures)
	for _, s := range b.Signatures {
		if !slices.ContainsFunc(a.Signatures, func(t event.Signature) bool { return t.KeyID == s.KeyID }) {
			out.Signatures = append(out.Signatures, s)
		}
	}
	return &out
}

// newCharter checks what a charter says by itself. If the version of its rules is
// unknown, rules is nil and the caller must refuse the charter.
func (x *act) newCharter(ch *event.Charter) (*Charter, *Violation) {
	c := &Charter{
		Charter: ch, Index: x.e.Index, Leaf: x.e.Leaf, Time: x.base, env: x.e.Envelope,
		rules: versions[ch.Rules], holders: make(map[string]*holder), cosigners: make(map[string]string),
	}
	for i := range ch.Parties {
		p := &ch.Parties[i]
		for _, k := range p.Keys {
			c.holders[k.KeyID()] = &holder{party: p}
		}
		for _, s := range p.Cosigners {
			c.cosigners[s] = p.Name
		}
	}
	for _, v := range ch.Void {
		if h := c.holders[v.Key]; h != nil {
			h.void, h.from = true, v.From
		}
	}
	var v *Violation
	if c.Witnesses, v = x.policy("witness", ch.PolicyFile(ch.WitnessPolicy), nil); v != nil {
		return nil, v
	}
	if c.Auditors, v = x.policy("audit", ch.PolicyFile(ch.AuditPolicy), c.cosigners); v != nil {
		return nil, v
	}
	c.Witnesses.Spread, c.Auditors.Spread = ch.Profile.Spread, tlog.NoSpread
	if c.rules == nil {
		return c, nil
	}
	for _, b := range ch.Profile.Bars {
		if !slices.Contains(c.rules.overdue, b) {
			return nil, x.fail(charterBars, b)
		}
	}
	return c, nil
}

// policy parses a policy, and refuses one that counts an operator twice.
func (x *act) policy(which Term, text string, auditors map[string]string) (*tlog.Policy, *Violation) {
	p, err := tlog.ParsePolicy([]byte(text))
	if err != nil {
		return nil, x.fail(charterPolicy, which, err)
	}
	if o := twice(p, text, auditors); o != "" {
		return nil, x.fail(charterOperator, which, o)
	}
	return p, nil
}

// twice returns an operator that a policy can count twice, "" if there is none.
// Keys with one name, or of one auditor, belong to one operator. All keys of one
// operator must be members of one group with the threshold 1.
func twice(p *tlog.Policy, text string, auditors map[string]string) string {
	group := make(map[string]string) // witness -> its group, if that has threshold 1
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); words[0] == "group" && (words[2] == "any" || words[2] == "1") {
			for _, m := range words[3:] {
				group[m] = words[1]
			}
		}
	}
	place := make(map[string]string) // operator -> group of its first witness
	for _, w := range p.Witnesses {
		operators := []string{w.Key.Name}
		if a := auditors[w.Key.String()]; a != "" {
			operators = append(operators, "auditor "+a)
		}
		for _, o := range operators {
			first, ok := place[o]
			if ok && (first == "" || group[w.Name] != first) {
				return o
			}
			place[o] = group[w.Name]
		}
	}
	return ""
}

// install puts a charter into force.
func (x *act) install(c *Charter) {
	l := x.l
	c.number = uint32(len(l.charters))
	l.number(c)
	l.charters = append(l.charters, c)
	x.forgive(c)
	for _, v := range c.Void {
		if k, ok := l.keyNum[v.Key]; ok {
			x.void(k, v.From)
		}
	}
	for i := range c.Parties {
		p := &c.Parties[i]
		if p.Role != event.RoleCustodian {
			continue
		}
		k := l.keyNum[p.Keys[0].KeyID()]
		if ch := l.chains[k]; ch == nil {
			ch = &chain{key: k, name: p.Name, charter: c.number, beat: c.Time, beatIndex: c.Index, touched: l.Size() + 1}
			l.chains[k] = ch
			l.diff.touched = append(l.diff.touched, touched{c: ch, from: len(l.diff.before)})
		} else if !l.aside(k, c.Index+1) {
			l.touchChain(ch)
			ch.restart(p.Name, c)
		}
	}
	for _, ch := range l.sortedChains() {
		h := c.holders[l.keys[ch.key].KeyID()]
		if !ch.ended && (h == nil || h.party.Role != event.RoleCustodian || h.void && h.from <= c.Index) {
			x.end(ch)
		}
	}
}

// number numbers the charter's names and keys, in the charter's order.
func (l *Ledger) number(c *Charter) {
	l.open.names.add(c)
	for i := range c.Parties {
		for _, k := range c.Parties[i].Keys {
			n, ok := l.keyNum[k.KeyID()]
			if !ok {
				n = uint32(len(l.keys))
				l.keys = append(l.keys, k)
				l.keyNum[k.KeyID()] = n
			}
			c.holders[k.KeyID()].key = n
		}
	}
}

// void revokes what a key's events from an index on allow. What they owe stays.
func (x *act) void(key uint32, from uint64) {
	for _, i := range x.l.open.those(func(it *item) bool { return it.names(key) }) {
		it := x.l.open.get(i)
		if it == nil {
			continue // pruned in an earlier step, with the access that it had decided on
		}
		x.l.touch(it)
		if it.index >= from && it.voidAt == 0 && slices.Contains(it.keys, key) {
			it.voidAt = x.e.Index
		}
		it.seal.void(key, from, x.base)
		if it.warrant != nil {
			it.warrant.void(key, from, x.e.Index)
		}
		if a := it.access; a != nil && a.decision.state == fulfilled && !a.denied && a.decidedAt >= from && slices.Contains(a.decidedBy, key) {
			a.decision, a.decideBy = debt{}, x.base // from now on
			x.l.undecided++
			w := x.l.open.get(a.warrant)
			a.onWarrant, a.warrant = false, 0
			w.warrant.open--
			x.l.prune(w)
		}
		x.l.watch(it)
		x.l.prune(it)
	}
	x.retract(key, from)
}
