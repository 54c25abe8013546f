// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"slices"

	"github.com/vasistas/vasistas/log/event"
)

var (
	roleUnknown   = &Way{"role", "unknown", KindBreach, "no charter ever named the key {key}", ""}
	roleEnded     = &Way{"role", "ended", KindNoEffect, "the charter in force no longer names the key {key}", "sign the event again with a key that it names"}
	roleVoid      = &Way{"role", "void", KindNoEffect, "the charter voids the key {key} from entry {entry} on", "sign the event again with another key"}
	roleAside     = &Way{"role", "aside", KindNoEffect, "the key {key} is set aside, since an audit quorum has closed a breach by it", "name a new key by an amendment, and sign the event again"}
	roleWrong     = &Way{"role", "wrong", KindBreach, "{role} {name} signs no {type}", ""}
	roleSignature = &Way{"role", "signature", KindBreach, "the signature of {role} {name} does not verify", ""}
	roleMissing   = &Way{"role", "missing", KindBreach, "no {role} key signed it", "log the event with all its signatures"}
	roleSeveral   = &Way{"role", "several", KindBreach, "{name} and {other} both signed, and only one may", ""}
	roleStanding  = &Way{"role", "standing", KindBreach, "{role} {name} has no standing in entry {entry}", ""}
)

// holder is a party and one of its keys under one charter.
type holder struct {
	party *event.Party
	key   uint32 // number; not set before the charter is installed
	void  bool
	from  uint64 // if void
}

// signerRoles are the roles that may sign a type.
var signerRoles = func() map[event.Type][]event.Role {
	m := make(map[event.Type][]event.Role)
	for _, t := range event.Types() {
		m[t] = t.Signers()
	}
	return m
}()

// sign checks the signatures: each must verify under a key whose role may sign this
// type, and those that the type needs must be there. It sets signers and by.
func (x *act) sign() *Violation {
	env := x.e.Envelope
	signers := x.signers
	var ended *Violation
	for i, s := range env.Signatures {
		h, named := x.c.holders[s.KeyID], x.l.Key(s.KeyID) != nil
		if h == nil && x.ev.Type == event.TypeCharter {
			// A new charter key may sign the charter that names it, but its signature
			// doesn't count.
			p := x.ev.Body.(*event.Charter).Holder(s.KeyID)
			if p != nil && p.Role == event.RoleCharter {
				if v := x.verify(i, p, keyOf(p, s.KeyID)); v != nil {
					return v
				}
				continue
			}
		}
		switch {
		case h == nil && !named:
			return x.fail(roleUnknown, s.KeyID)
		case h == nil:
			ended = x.fail(roleEnded, s.KeyID)
			continue
		case !slices.Contains(signerRoles[x.ev.Type], h.party.Role):
			return x.fail(roleWrong, h.party.Role, h.party.Name, x.ev.Type)
		}
		if v := x.verify(i, h.party, x.l.keys[h.key]); v != nil {
			return v
		}
		if h.void && x.e.Index >= h.from {
			ended = x.fail(roleVoid, s.KeyID, h.from)
			continue
		}
		signers = append(signers, h)
	}
	if ended != nil {
		return ended
	}
	if v := x.required(signers); v != nil {
		return v
	}
	x.signers = signers
	x.by = x.answers()
	return nil
}

func (x *act) verify(i int, p *event.Party, k *event.PublicKey) *Violation {
	if !x.good(i, k) {
		return x.fail(roleSignature, p.Role, p.Name)
	}
	return nil
}

// good reports whether the signature with this number verifies under its key.
func (x *act) good(i int, k *event.PublicKey) bool {
	state := Unchecked
	if i < len(x.e.Signatures) {
		state = x.e.Signatures[i]
	}
	if state == Unchecked {
		state = verify(x.e.Envelope, i, k)
	}
	return state == Good
}

func keyOf(p *event.Party, id string) *event.PublicKey {
	i := slices.IndexFunc(p.Keys, func(k *event.PublicKey) bool { return k.KeyID() == id })
	return p.Keys[i]
}

// required checks that the signatures that the type needs are there.
func (x *act) required(signers []*holder) *Violation {
	access, ok := x.ev.Body.(*event.Access)
	duty := signerOf(signers, event.RoleDuty)
	switch {
	case !ok && len(signers) == 0:
		return x.fail(roleMissing, signerRoles[x.ev.Type][0])
	case !ok:
		return nil
	case signerOf(signers, event.RoleProvider) == nil:
		return x.fail(roleMissing, event.RoleProvider)
	case access.Emergency != "" && duty == nil:
		return x.fail(roleMissing, event.RoleDuty)
	case access.Emergency == "" && duty != nil:
		return x.fail(roleWrong, event.RoleDuty, duty.party.Name, Term("access on a warrant"))
	}
	return nil
}

// signerOf returns the first signer of a role, nil if there is none.
func signerOf(signers []*holder, r event.Role) *holder {
	if i := slices.IndexFunc(signers, func(h *holder) bool { return h.party.Role == r }); i >= 0 {
		return signers[i]
	}
	return nil
}

// answers returns who must answer for the event: custodians and auditors for what
// they alone signed, the log for all other events, which it should have refused. A
// second party may have added its signature without the first one's will.
func (x *act) answers() string {
	first := x.signers[0].party
	for _, h := range x.signers {
		if h.party != first || h.party.Role != event.RoleCustodian && h.party.Role != event.RoleAuditor {
			return Log
		}
	}
	return string(first.Role) + " " + first.Name
}

// one returns the signer of this role, or a verdict if two parties of the role
// signed. Two keys of one party may sign.
func (x *act) one(r event.Role) (*holder, *Violation) {
	var first *holder
	for _, h := range x.signers {
		switch {
		case h.party.Role != r:
		case first == nil:
			first = h
		case first.party.Name != h.party.Name:
			return nil, x.fail(roleSeveral, first.party.Name, h.party.Name).byLog()
		}
	}
	return first, nil
}

// standing reports whether a signer is the named authority or one that the charter
// sets above it.
func (h *holder) standing(authority string) bool {
	return h.party.Role == event.RoleAuthority &&
		(h.party.Name == authority || slices.Contains(h.party.Above, authority))
}

func (x *act) noStanding(h *holder, index uint64) *Violation {
	return x.fail(roleStanding, h.party.Role, h.party.Name, index).byLog() // admission refuses it from any signer
}

// keyNumbers returns the numbers of the keys that signed.
func (x *act) keyNumbers() []uint32 {
	out := make([]uint32, len(x.signers))
	for i, h := range x.signers {
		out[i] = h.key
	}
	return out
}
