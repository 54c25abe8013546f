// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/vasistas/vasistas/log/event"
)

var (
	openingMatch      = &Way{"opening", "match", KindBreach, "it opens what entry {entry} did not seal: {why}", ""}
	openingEarly      = &Way{"opening", "early", KindBreach, "it opens entry {entry} before {until}, and the warrant's authority did not sign it", ""}
	openingOpened     = &Way{"opening", "opened", KindNoEffect, "all that it opens of entry {entry} is open already, or entry {entry} is closed", ""}
	openingIncomplete = &Way{"opening", "incomplete", KindBreach, "everything that it seals is open, and its type seals other values: it has {count} openings named {name}", ""}
)

// publicNames lists the values that each type seals for the public.
var publicNames = func() map[event.Type][]event.Name {
	m := make(map[event.Type][]event.Name)
	for _, t := range event.Types() {
		for _, n := range event.Names(t) {
			if n.Class == event.ClassPublic {
				m[t] = append(m[t], n)
			}
		}
	}
	return m
}()

// disclosed is what a disclosure opens.
type disclosed struct {
	openings []event.Opening
	digests  []event.Digest // of openings
	notices  []event.Digest
}

// disclosure checks the opening of sealed values and notices. A disclosure of
// notices names their release or the access that the release answers.
func (x *act) disclosure(d *event.Disclosure) (effect, *Violation, error) {
	it, r, ev, v, err := x.disclosable(d.Event)
	if v != nil || err != nil {
		return nil, v, err
	}
	if it == nil {
		return nil, x.closed(d, ev), nil
	}
	if v := x.mayDisclose(d, it, r); v != nil {
		return nil, v, nil
	}
	got, v := x.match(d, it, r)
	if v != nil {
		return nil, v, nil
	}
	if v := x.early(it, d.Event.Index); v != nil {
		return nil, v, nil
	}
	if !it.opensAny(got) {
		return nil, x.refer(d.Event, openingOpened, d.Event.Index), nil
	}
	wrong, err := x.opened(it, got)
	if err != nil {
		return nil, nil, err
	}
	return func() {
		if wrong != nil {
			x.l.note(wrong)
		}
		x.disclose(it, got)
	}, nil, nil
}

// disclosable resolves what a disclosure names: an open item, with the release in it
// if the reference names one, or a closed event.
func (x *act) disclosable(ref event.Reference) (*item, *release, *event.Event, *Violation, error) {
	if a, ok := x.l.released[ref.Index]; ok && ref.Index < x.e.Index {
		it := x.l.open.get(a)
		r := it.access.release(ref.Index)
		if r.leaf != ref.Leaf {
			return nil, nil, nil, x.refer(ref, referenceLeaf, ref.Index), nil
		}
		return it, r, nil, nil, nil
	}
	it, ev, v, err := x.resolve(ref, event.TypeWarrant, event.TypeAccess, event.TypeDeferral, event.TypeRelease)
	return it, nil, ev, v, err
}

// mayDisclose checks each signer's right: a provider discloses anything, an
// authority what it has standing in, a custodian the notices of its own releases.
func (x *act) mayDisclose(d *event.Disclosure, it *item, r *release) *Violation {
	for _, h := range x.signers {
		ok := true
		switch h.party.Role {
		case event.RoleAuthority:
			ok = h.standing(it.authority)
		case event.RoleCustodian:
			ok = len(d.Openings) == 0 && (r == nil || r.name == h.party.Name) && (r != nil || it.access != nil)
		}
		if !ok {
			return x.noStanding(h, d.Event.Index)
		}
	}
	return nil
}

// match returns what a disclosure opens.
func (x *act) match(d *event.Disclosure, it *item, r *release) (got disclosed, v *Violation) {
	bad := func(why any) *Violation { return x.refer(d.Event, openingMatch, d.Event.Index, why) }
	if len(d.Openings) > 0 {
		if r != nil {
			return got, bad(Term("a release seals nothing but notices"))
		}
		var err error
		if got.digests, err = matchOpenings(it.kind, it.seal.digests.list, d.Openings); err != nil {
			return got, bad(err)
		}
		got.openings = d.Openings
	}
	for _, n := range d.Notices {
		digest := event.Digest(sha256.Sum256(n))
		if !x.hasNotice(it, r, digest) {
			return got, bad(Term("a notice is not one whose digest a release states"))
		}
		got.notices = append(got.notices, digest)
	}
	return got, nil
}

// matchOpenings returns the digests that openings open, in the order of public.
func matchOpenings(t event.Type, public []event.Digest, openings []event.Opening) ([]event.Digest, error) {
	sealed := &event.Event{Type: t, Sealed: &event.Sealed{Public: public}}
	closed, err := sealed.Match(event.ClassPublic, openings)
	if err != nil {
		return nil, err
	}
	out := make([]event.Digest, 0, len(openings))
	for _, d := range public {
		if len(closed) > 0 && closed[0] == d {
			closed = closed[1:]
			continue
		}
		out = append(out, d)
	}
	return out, nil
}

// hasNotice reports whether r states the notice or, if r is nil, whether any release
// that answers the access does. A custodian's signature limits the search to its own
// releases.
func (x *act) hasNotice(it *item, r *release, d event.Digest) bool {
	if r != nil {
		return slices.Contains(r.notices.list, d)
	}
	if it.access == nil {
		return false
	}
	own := ""
	for _, h := range x.signers {
		if h.party.Role == event.RoleCustodian {
			own = h.party.Name
		}
	}
	return slices.ContainsFunc(it.access.releases, func(r release) bool {
		return (own == "" || own == r.name) && slices.Contains(r.notices.list, d)
	})
}

// early checks the time of a disclosure. An authority may disclose at any time.
func (x *act) early(it *item, index uint64) *Violation {
	switch {
	case signerOf(x.signers, event.RoleAuthority) != nil:
		return nil
	case it.seal.never:
		return x.fail(openingEarly, index, Term("its date, which is never"))
	case it.seal.hides(x.time):
		return x.fail(openingEarly, index, unix(it.seal.until))
	}
	return nil
}

func (it *item) opensAny(got disclosed) bool {
	for _, d := range got.digests {
		if slices.Contains(it.seal.digests.list[:it.seal.digests.closed], d) {
			return true
		}
	}
	for _, n := range got.notices {
		for _, r := range it.access.releases {
			if slices.Contains(r.notices.list[:r.notices.closed], n) {
				return true
			}
		}
	}
	return false
}

func (x *act) disclose(it *item, got disclosed) {
	x.l.touch(it)
	s := &it.seal
	s.count(it.kind, got)
	for _, d := range got.digests {
		s.digests.open(d)
	}
	if len(got.digests) > 0 && s.digests.closed == 0 {
		s.debt.state = fulfilled
		x.whole(it)
	}
	if it.access != nil {
		for i := range it.access.releases {
			r := &it.access.releases[i]
			for _, n := range got.notices {
				r.notices.open(n)
			}
			if r.notices.closed == 0 {
				r.debt.state = fulfilled
			}
		}
	}
	x.l.prune(it)
}

// count counts, by name, the openings whose digests were closed.
func (s *seal) count(t event.Type, got disclosed) {
	isNew := func(d event.Digest) bool { return slices.Contains(s.digests.list[:s.digests.closed], d) }
	all := !slices.ContainsFunc(got.digests, func(d event.Digest) bool { return !isNew(d) })
	for _, o := range got.openings {
		i := slices.IndexFunc(publicNames[t], func(n event.Name) bool { return n.Name == o.Name })
		if i < 0 {
			continue // a decoy
		}
		if !all {
			if d, err := o.Digest(); err != nil || !isNew(d) {
				continue
			}
		}
		s.names[i] = uint8(min(int(s.names[i])+1, 255))
	}
}

// whole checks, once everything is open, that an event sealed what its type
// demands. The log answers for a breach, since it let the event in.
func (x *act) whole(it *item) {
	for i, n := range publicNames[it.kind] {
		least := n.Min
		if it.access != nil && it.access.emergency {
			least = 1
		}
		if got := int(it.seal.names[i]); got < least || got > n.Max {
			x.l.note(openingIncomplete.by(Log, it.index, x.e.Index, got, n.Name))
		}
	}
}

// closed checks a disclosure of an event that is closed or never had an effect: it
// may open only what was sealed.
func (x *act) closed(d *event.Disclosure, ev *event.Event) *Violation {
	ref := d.Event
	for _, h := range x.signers {
		if h.party.Role == event.RoleCustodian && len(d.Openings) > 0 {
			return x.noStanding(h, ref.Index)
		}
	}
	if _, err := matchOpenings(ev.Type, ev.Sealed.Digests(event.ClassPublic), d.Openings); err != nil {
		return x.refer(ref, openingMatch, ref.Index, err)
	}
	if r, ok := ev.Body.(*event.Release); ok {
		for _, n := range d.Notices {
			if !slices.Contains(r.Notices, event.Digest(sha256.Sum256(n))) {
				return x.refer(ref, openingMatch, ref.Index, Term("a notice is not one whose digest the release states"))
			}
		}
	}
	return x.refer(ref, openingOpened, ref.Index)
}

// Complete checks the public openings of an event against the charter: an emergency
// opens its agency, and every code stands in the profile. Admission calls it, since
// the log shows the openings only once they are disclosed. public must have passed
// [event.Event.MatchAll]. Errors wrap event.ErrWrongName or event.ErrIncomplete.
func (c *Charter) Complete(ev *event.Event, public []event.Opening) error {
	if len(public) == 0 {
		return nil
	}
	lists := map[string][]string{"grounds": c.Profile.Grounds, "reasons": c.Profile.Reasons}
	count := make(map[string]int)
	for _, o := range public {
		count[o.Name]++
		list, ok := lists[o.Name]
		if code, out := outside(o.Value.Codes(), list); ok && out {
			return fmt.Errorf("the profile has no %s %q; 'vasistas sign --charter' lists the valid codes (%w)", o.Name, code, event.ErrWrongName)
		}
	}
	if a, ok := ev.Body.(*event.Access); ok && a.Emergency != "" {
		for _, name := range []string{"agency", "agencyKey"} {
			if count[name] == 0 {
				return fmt.Errorf("%w: an emergency access must seal its %s", event.ErrIncomplete, name)
			}
		}
	}
	return nil
}

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
	case it == nil || it.seal.debt.state != owed || it.seal.never:
		return nil, x.refer(d.Event, deferralOver, d.Event.Index), nil
	case !slices.Contains(p.Grounds, d.Ground):
		return nil, x.fail(formCode, Term("ground"), d.Ground), nil
	case d.Ordinal <= it.seal.ordinal:
		return nil, x.fail(deferralTaken, d.Ordinal), nil
	case d.Ordinal != it.seal.ordinal+1:
		return nil, x.fail(deferralOrdinal, d.Ordinal, it.seal.ordinal+1), nil
	case x.l.after > x.deferrable(it):
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
		own.instrument, own.measure, own.seal.end = it.instrument, it.measure, it.seal.end
	}
	return func() {
		x.l.touch(it)
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

// deferrable returns the time up to which a deferral of it may come: until, or until and
// the grace if the deferral was claimed before. So a deferral that was signed in time
// counts after weeks without an anchor, unless the event was disclosed meanwhile.
func (x *act) deferrable(it *item) int64 {
	until := max(it.seal.until, it.base)
	if x.time <= until {
		return until + int64(x.l.charters[it.charter].Profile.DisclosureGrace)
	}
	return it.seal.until
}

// moves checks who signed a deferral and how far it moves the date. The age counts
// from the end of the measure up to the date that the deferral sets, so several
// deferrals on one day don't get around the step that names a court. For never, it
// counts up to the proven time, since no later anchor undoes that. A signature counts if
// its authority is of a kind that the step names or, if the step names none, has standing.
// Every signer must be one or the other.
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
	} else if step == nil || max(0, x.l.after-it.seal.end) < int64(step.After) {
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
