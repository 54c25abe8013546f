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
	openingEarly      = &Way{"opening", "early", KindBreach, "it opens entry {entry} before {until}, and none of the warrant's authority signed", ""}
	openingOpened     = &Way{"opening", "opened", KindNoEffect, "all that it opens of entry {entry} is open already, or entry {entry} is closed", ""}
	openingIncomplete = &Way{"opening", "incomplete", KindBreach, "all of it is open, and it is not what its type seals: {count} openings named {name}", ""}
)

// publicNames are the rows of what a type seals for everyone.
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
	digests  []event.Digest // that they open
	notices  []event.Digest
}

// disclosure judges the opening of sealed values and notices. Notices stand with
// their release, or with the access that it answers.
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
	return func() { x.disclose(it, got) }, nil, nil
}

// disclosable finds what a disclosure is about: an item, and in it a release if
// that is what was named; or a closed event.
func (x *act) disclosable(ref event.Reference) (*item, *release, *event.Event, *Violation, error) {
	if a, ok := x.l.released[ref.Index]; ok && ref.Index < x.e.Index {
		it := x.l.open[a]
		i := slices.IndexFunc(it.access.releases, func(r release) bool { return r.index == ref.Index })
		if it.access.releases[i].leaf != ref.Leaf {
			return nil, nil, nil, x.refer(ref, referenceLeaf, ref.Index), nil
		}
		return it, &it.access.releases[i], nil, nil, nil
	}
	it, ev, v, err := x.resolve(ref, event.TypeWarrant, event.TypeAccess, event.TypeDeferral, event.TypeRelease)
	return it, nil, ev, v, err
}

// mayDisclose holds signers to their part: a provider discloses anything, an
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

// match finds the digests that a disclosure opens.
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

// hasNotice says whether a notice is of this release or, without one, of any that
// answers the access; a custodian's of its own only.
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

// early judges the time of a disclosure.
func (x *act) early(it *item, index uint64) *Violation {
	if !it.seal.never && x.time >= it.seal.until {
		return nil
	}
	if slices.ContainsFunc(x.signers, func(h *holder) bool { return h.party.Role == event.RoleAuthority }) {
		return nil
	}
	if it.seal.never {
		return x.fail(openingEarly, index, Term("its date, which is never"))
	}
	return x.fail(openingEarly, index, unix(it.seal.until))
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

// disclose opens.
func (x *act) disclose(it *item, got disclosed) {
	s := &it.seal
	s.count(it.kind, got)
	for _, d := range got.digests {
		s.digests.open(d)
	}
	if len(got.digests) > 0 && s.digests.closed == 0 {
		s.state = fulfilled
		x.whole(it)
	}
	if it.access != nil {
		for i := range it.access.releases {
			r := &it.access.releases[i]
			for _, n := range got.notices {
				r.notices.open(n)
			}
			if r.notices.closed == 0 {
				r.state = fulfilled
			}
		}
	}
	x.l.settle(it)
}

// count counts the names of the openings that open something new.
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

// whole judges, once everything is open, whether it was what the type seals. The
// breach is the sealed event's, which the log let in.
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

// closed judges a disclosure of what is closed, or never had an effect: only that
// it opens nothing that was not sealed.
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

// Complete says whether all the openings of an event for the public, which
// event.Event.MatchAll has found to be that, are as the charter wants them: an
// emergency with its agency, codes that the profile has. Nobody sees that in the log
// until they are disclosed, so admission asks before it lets the event in. The error
// wraps one of package event's.
func (c *Charter) Complete(ev *event.Event, public []event.Opening) error {
	if len(public) == 0 {
		return nil
	}
	lists := map[string][]string{"grounds": c.Profile.Grounds, "reasons": c.Profile.Reasons}
	count := make(map[string]int)
	for _, o := range public {
		count[o.Name]++
		for _, code := range o.Value.Codes() {
			if !slices.Contains(lists[o.Name], code) {
				return fmt.Errorf("%w: the profile has no %s %q", event.ErrWrongName, o.Name, code)
			}
		}
	}
	if a, ok := ev.Body.(*event.Access); ok && a.Emergency != "" {
		for _, name := range []string{"agency", "agencyKey"} {
			if count[name] == 0 {
				return fmt.Errorf("%w: an emergency access opens its %s", event.ErrIncomplete, name)
			}
		}
	}
	return nil
}
