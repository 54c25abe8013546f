// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"slices"

	"github.com/vasistas/vasistas/log/event"
)

// known reports whether u is a use. Entry 0, the first charter, records none, so index 0 means none.
func (u *usedID) known() bool { return u.index > 0 }

// use returns what a key has used an id for. The result is not known if the key did not use the id, or long ago.
func (l *Ledger) use(key uint32, id event.ID) usedID {
	if u, _, _ := l.ids.find(key, id); u != nil && u.time >= l.floor {
		return *u
	}
	return usedID{key: key}
}

// reused checks that no signer has used the event's id for another event, and that
// the event is not recorded by the signers' keys.
func (x *act) reused() *Violation {
	for _, h := range x.signers {
		u := x.l.use(h.key, x.ev.ID)
		if u.known() && u.hash != cut(x.hash()) {
			return x.fail(formID)
		}
		x.uses = append(x.uses, u)
	}
	if index, effect, ok := x.l.logged(x.ev, x.hash(), x.uses); ok && effect {
		return x.fail(formRepeated, index)
	}
	return nil
}

// again returns the verdict about an event without effect: if the log has it by the
// same keys, the log repeats it, and its signers don't answer twice.
func (x *act) again(v *Violation) *Violation {
	if index, _, ok := x.l.logged(x.ev, x.hash(), x.uses); ok {
		return x.fail(formRepeated, index)
	}
	return v
}

// logged returns the entry by which the log has the event by the keys of all uses; ok is
// false if the log lacks it by one of them. If the event had an effect under each key, index
// is the last entry of the uses. Otherwise effect is false, and index is the last entry of
// the uses without an effect.
func (l *Ledger) logged(ev *event.Event, hash event.Digest, uses []usedID) (index uint64, effect, ok bool) {
	effect = true
	for _, u := range uses {
		switch {
		case !u.known() || u.hash != cut(hash):
			return 0, false, false
		case u.effect && l.lost(u.key, ev, hash):
			u.effect = false
		}
		if u.effect == effect {
			index = max(index, u.index)
		} else if !u.effect {
			index, effect = u.index, false
		}
	}
	return index, effect, len(uses) > 0
}

// lost reports whether a release that had a place in its key's chain has it no more:
// it waited when the chain ended.
func (l *Ledger) lost(key uint32, ev *event.Event, hash event.Digest) bool {
	r, ok := ev.Body.(*event.Release)
	if !ok || r.Seq <= l.chains[key].count {
		return false
	}
	h, known := l.chains[key].hashOf(r.Seq)
	return !known || h != hash
}

// Recorded returns the entry by which an envelope is recorded: the event had an
// effect under the verified signature of each key that signed the envelope. The log
// is never given a recorded envelope again; any other is judged on its own. An
// envelope whose leaf is in the tree, which the caller knows, is recorded too, and so
// may be an event whose claim is older than the profile's lag, which the ledger has
// forgotten. The ledger verifies the signatures that e.Signatures leaves open.
func (l *Ledger) Recorded(e Entry) (index uint64, ok bool) {
	if e.Envelope == nil {
		return 0, false
	}
	uses := make([]usedID, 0, len(e.Envelope.Signatures))
	x := &act{l: l, e: &e, ev: e.Envelope.Event}
	for i, s := range e.Envelope.Signatures {
		k, named := l.keyNum[s.KeyID]
		if !named || !x.good(i, l.keys[k]) {
			return 0, false
		}
		uses = append(uses, l.use(k, x.ev.ID))
	}
	if c := l.sameCharter(e.Envelope); c != nil {
		had := func(s event.Signature) bool {
			return slices.ContainsFunc(c.env.Signatures, func(t event.Signature) bool { return t.KeyID == s.KeyID })
		}
		return c.Index, !slices.ContainsFunc(e.Envelope.Signatures, func(s event.Signature) bool { return !had(s) })
	}
	index, effect, ok := l.logged(x.ev, x.hash(), uses)
	return index, ok && effect
}

// sameCharter returns the accepted charter of the same event, nil if there is none.
func (l *Ledger) sameCharter(env *event.Envelope) *Charter {
	if env.Event.Type != event.TypeCharter {
		return nil
	}
	h := env.Hash()
	i := slices.IndexFunc(l.charters, func(c *Charter) bool { return c.env.Event.ID == env.Event.ID && c.env.Hash() == h })
	if i < 0 {
		return nil
	}
	return l.charters[i]
}

func cut(h [32]byte) [16]byte { return [16]byte(h[:16]) }

func (x *act) hash() [32]byte {
	if x.e.Hash == [32]byte{} {
		x.e.Hash = x.e.Envelope.Hash()
	}
	return x.e.Hash
}

// remember records the event's id for each signer, and counts it in the budget. A claim
// below the floor is not recorded: a repetition of it would have no effect anyway.
func (x *act) remember(effect bool) {
	x.spend()
	if len(x.signers) == 0 || x.time < x.l.floor {
		return
	}
	h := x.hash()
	for i, s := range x.signers {
		if i == len(x.uses) { // reused was not called, or ended before this signer
			x.uses = append(x.uses, x.l.use(s.key, x.ev.ID))
		}
		if u := &x.uses[i]; u.known() && (u.effect || !effect) {
			continue // the first event with an id stands
		}
		x.l.ids.put(usedID{x.ev.ID, cut(h), x.time, x.e.Index, s.key, effect})
	}
}

// forget drops the ids below the floor once enough ids were added.
func (l *Ledger) forget() {
	if l.ids.n >= 2*l.lastIDs+1024 {
		l.ids = newIDs(l.ids.all(l.floor))
		l.lastIDs = l.ids.n
	}
}
