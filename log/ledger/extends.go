// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"slices"

	"github.com/vasistas/vasistas/log/event"
)

var (
	extendsAuthority = &Way{"extends", "authority", KindBreach, "it extends warrant {warrant}, and its authority is neither that warrant's nor above it", ""}
	extendsProvider  = &Way{"extends", "provider", KindBreach, "it extends warrant {warrant}, which addresses provider {provider}", ""}
)

// Extends returns the earlier warrant that an event of this type extends, as its public
// openings say; nil: none.
func Extends(typ event.Type, public []event.Opening) *event.Reference {
	if typ != event.TypeWarrant {
		return nil
	}
	for _, o := range public {
		if o.Name == "extends" {
			if ref, err := event.ParseReference(o.Value.Text()); err == nil {
				return &ref
			}
		}
	}
	return nil
}

// opened checks the earlier warrant that a disclosure shows an item to extend. A wrong one is
// the log's breach, since admission had the openings.
func (x *act) opened(it *item, got disclosed) (*Violation, error) {
	openings := slices.DeleteFunc(slices.Clone(got.openings), func(o event.Opening) bool {
		d, err := o.Digest()
		return err != nil || !slices.Contains(it.seal.digests.list[:it.seal.digests.closed], d)
	})
	ref := Extends(it.kind, openings)
	if ref == nil {
		return nil, nil
	}
	v, err := x.extends(*ref, it)
	if v != nil {
		v = v.Way.by(Log, it.index, x.e.Index, v.Args...)
		v.About = ref
	}
	return v, err
}

// extends checks that a warrant may extend an earlier one, by the charters at both.
func (x *act) extends(ref event.Reference, it *item) (*Violation, error) {
	if ref.Index >= it.index {
		return x.refer(ref, referenceFuture, ref.Index), nil
	}
	earlier, env, v, err := x.resolveEnvelope(ref, event.TypeWarrant)
	if v != nil || err != nil {
		return v, err
	}
	at := x.l.CharterAt(ref.Index)
	authority, provider := "", ""
	if earlier != nil {
		authority, provider = earlier.authority, earlier.provider
	} else {
		authority, provider = at.issuer(env, ref.Index), env.Event.Body.(*event.Warrant).Provider
	}
	above := func(c *Charter) bool {
		p := c.Party(event.RoleAuthority, it.authority)
		return p != nil && slices.Contains(p.Above, authority)
	}
	switch {
	case provider != it.provider:
		return x.refer(ref, extendsProvider, ref.Index, provider), nil
	case authority != it.authority && !above(at) && !above(x.l.charters[it.charter]):
		return x.refer(ref, extendsAuthority, ref.Index), nil
	}
	return nil, nil
}

// issuer returns the name of the authority that issued the warrant at an index; "": none.
func (c *Charter) issuer(env *event.Envelope, index uint64) (name string) {
	in := c.Profile.Instrument(env.Event.Body.(*event.Warrant).Instrument)
	for _, s := range env.Signatures {
		p := c.Signer(s.KeyID, index)
		if p == nil || p.Role != event.RoleAuthority {
			continue
		}
		if name = p.Name; in == nil || slices.Contains(in.Validated, p.Kind) {
			return name
		}
	}
	return name
}
