// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"slices"

	"github.com/vasistas/vasistas/log/event"
)

var (
	sealMissing = &Way{"seal-limit", "missing", KindBreach, "it seals {public} public and {subject} subject values, and its type needs {needPublic} and {needSubject}", ""}
	sealLong    = &Way{"seal-limit", "long", KindBreach, "it is sealed for longer than the {seconds} seconds that the profile allows", ""}
	sealOwn     = &Way{"seal-limit", "own", KindBreach, "it is sealed for longer than the warrant or deferral allows", ""}

	deferralFew     = &Way{"seal-limit", "few", KindBreach, "{signed} signatures count, and {needed} are needed at this age", "log a deferral with more of them"}
	deferralLong    = &Way{"seal-limit", "step", KindBreach, "it defers by more than {seconds} seconds, the limit of one deferral at this age", ""}
	deferralTotal   = &Way{"seal-limit", "total", KindBreach, "all deferrals together would exceed {seconds} seconds", ""}
	deferralBack    = &Way{"seal-limit", "back", KindBreach, "its date is not after the one in force", ""}
	deferralNever   = &Way{"seal-limit", "never", KindBreach, "the profile doesn't allow never at this age", ""}
	deferralOrdinal = &Way{"seal-limit", "ordinal", KindBreach, "it has the ordinal {ordinal}, and {next} is next", ""}
	deferralTaken   = &Way{"seal-limit", "taken", KindNoEffect, "the ordinal {ordinal} is in the log already, and the first stands", "sign a deferral with the next ordinal"}
	deferralExpired = &Way{"seal-limit", "expired", KindNoEffect, "it comes too late: an anchor below it proves that the seal of entry {entry} had expired", ""}
	deferralOver    = &Way{"seal-limit", "over", KindNoEffect, "entry {entry} has nothing to defer", ""}
)

// sealed checks that an event has the seals that its type needs, for no longer than
// the limit from its claimed time and, if own is not 0, no longer than until own.
func (x *act) sealed(limit event.SealLimit, own int64) *Violation {
	s := x.ev.Sealed
	public, subject := event.MinDigests(x.ev.Type, event.ClassPublic), event.MinDigests(x.ev.Type, event.ClassSubject)
	if a, ok := x.ev.Body.(*event.Access); ok && a.Emergency != "" {
		public += 2 // the agency and its key, which no warrant names
	}
	nPublic, nSubject := len(s.Digests(event.ClassPublic)), len(s.Digests(event.ClassSubject))
	switch {
	case s == nil || nPublic < public || nSubject < subject:
		return x.fail(sealMissing, nPublic, nSubject, public, subject)
	case s.Until.Unix() > x.time+int64(limit.Longest):
		return x.fail(sealLong, limit.Longest)
	case own != 0 && s.Until.Unix() > own:
		return x.fail(sealOwn)
	}
	return nil
}

// sealLimit returns the instrument's own limit or else the profile's.
func (x *act) sealLimit(instrument string) event.SealLimit {
	if in := x.c.Profile.Instrument(instrument); in != nil && in.Seal != nil {
		return *in.Seal
	}
	return x.c.Profile.Seal
}

// deferral checks a move of the date of disclosure. A deferral is a new decision, so
// the profile in force at its own index applies.
func (x *act) deferral(d *event.Deferral) (effect, *Violation, error) {
	it, _, v, err := x.resolve(d.Event, event.TypeWarrant, event.TypeAccess, event.TypeDeferral)
	if v != nil || err != nil {
		return nil, v, err
	}
	p := &x.c.Profile
	switch {
	case it == nil || it.seal.state != owed || it.seal.never:
		return nil, x.refer(d.Event, deferralOver, d.Event.Index), nil
	case !slices.Contains(p.Grounds, d.Ground):
		return nil, x.fail(formCode, Term("ground"), d.Ground), nil
	case d.Ordinal <= it.seal.ordinal:
		return nil, x.fail(deferralTaken, d.Ordinal), nil
	case d.Ordinal != it.seal.ordinal+1:
		return nil, x.fail(deferralOrdinal, d.Ordinal, it.seal.ordinal+1), nil
	case x.l.after > it.seal.until:
		return nil, x.refer(d.Event, deferralExpired, it.index), nil
	}
	if v := x.moves(it, d); v != nil {
		return nil, v, nil
	}
	var own *item
	if x.ev.Sealed != nil {
		until := d.Until.Unix()
		if d.Never {
			until = 0
		}
		if v := x.sealed(p.Seal, until); v != nil {
			return nil, v, nil
		}
		own = x.item(it.authority, it.provider)
		own.instrument, own.seal.end = it.instrument, it.seal.end
	}
	return func() {
		s := &it.seal
		s.deferrals = append(s.deferrals, deferred{x.e.Index, s.until, x.keyNumbers()})
		s.ordinal, s.never = d.Ordinal, d.Never
		if !d.Never {
			s.until = d.Until.Unix()
		}
		x.l.watch(it)
		if own != nil {
			x.l.add(own)
		}
	}, nil, nil
}

// moves checks who signed a deferral and how far it moves the date. The age counts
// from the end of the measure up to the date that the deferral sets, so several
// deferrals on one day don't get around the step that names a court. For never, it
// counts up to the claimed time. A signature counts if its authority is of a kind
// that the step names or, if the step names none, has standing. Every signer must be
// one or the other.
func (x *act) moves(it *item, d *event.Deferral) *Violation {
	limit := x.limit(it)
	age := uint64(max(0, x.time-it.seal.end))
	step := limit.Never
	if !d.Never {
		// A date exactly on the boundary belongs to the step before it.
		age = max(age, uint64(max(1, d.Until.Unix()-it.seal.end))-1)
		i := len(limit.Steps) - 1
		for limit.Steps[i].After > age {
			i--
		}
		step = &limit.Steps[i]
	} else if step == nil || age < step.After {
		return x.fail(deferralNever)
	}
	n := uint64(0)
	for _, h := range x.signers {
		kind := slices.Contains(step.Kinds, h.party.Kind)
		stands := h.standing(it.authority)
		if !kind && !stands {
			return x.noStanding(h, it.index)
		}
		if kind || len(step.Kinds) == 0 {
			n++
		}
	}
	if n < step.Signatures {
		return x.fail(deferralFew, n, step.Signatures)
	}
	if d.Never {
		return nil
	}
	until := d.Until.Unix()
	switch {
	case until <= it.seal.until:
		return x.fail(deferralBack)
	case uint64(until-it.seal.until) > step.Longest:
		return x.fail(deferralLong, step.Longest)
	case limit.Total != 0 && until > it.seal.first && uint64(until-it.seal.first) > limit.Total:
		return x.fail(deferralTotal, limit.Total)
	}
	return nil
}

// limit returns the limit of the item's instrument or else the profile's. An item
// without a warrant has no instrument.
func (x *act) limit(it *item) *event.DeferralLimit {
	if in := x.c.Profile.Instrument(it.instrument); in != nil && in.Deferral != nil {
		return in.Deferral
	}
	return &x.c.Profile.Deferral
}
