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
	return func() { x.disclose(it, got) }, nil, nil
}

// disclosable resolves what a disclosure names: an open item, with the release in it
// if the reference names one, or a closed event.
func (x *act) disclosable(ref event.Reference) (*item, *release, *event.Event, *Violation, error) {
	if a, ok := x.l.released[ref.Index]; ok && ref.Index < x.e.Index {
		it := x.l.open[a]
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
	case x.time < it.seal.until:
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
		for _, code := range o.Value.Codes() {
			if !slices.Contains(lists[o.Name], code) {
				return fmt.Errorf("%w: the profile has no %s %q", event.ErrWrongName, o.Name, code)
			}
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
