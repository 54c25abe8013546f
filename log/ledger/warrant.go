// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"slices"

	"github.com/vasistas/vasistas/log/event"
)

var (
	warrantDenied   = &Way{"warrant-live", "denied", KindBreach, "warrant {warrant} denies it", ""}
	warrantRevoked  = &Way{"warrant-live", "revoked", KindBreach, "warrant {warrant} is revoked by entry {entry}", ""}
	warrantVoid     = &Way{"warrant-live", "void", KindBreach, "warrant {warrant} is voided by the charter {charter}", ""}
	warrantEnded    = &Way{"warrant-live", "ended", KindBreach, "warrant {warrant} is over, or never had an effect", ""}
	warrantWindow   = &Way{"warrant-live", "window", KindBreach, "it is outside the window of warrant {warrant}", ""}
	warrantAccesses = &Way{"warrant-live", "accesses", KindBreach, "warrant {warrant} has no accesses left", ""}
	warrantAccounts = &Way{"warrant-live", "accounts", KindBreach, "it opens {accounts} accounts, and warrant {warrant} has {left} left", ""}
	warrantLong     = &Way{"warrant-live", "long", KindBreach, "its window ends more than {seconds} seconds after its time, the longest that the profile allows for its instrument", ""}
	warrantOver     = &Way{"warrant-live", "over", KindNoEffect, "warrant {warrant} is over already", ""}

	returnTaken = &Way{"return", "taken", KindNoEffect, "warrant {warrant} owes no return: it has one, was denied, or is closed", ""}
)

// warrant checks an authority's decision.
func (x *act) warrant(w *event.Warrant) (effect, *Violation, error) {
	signer, v := x.one(event.RoleAuthority)
	if v != nil {
		return nil, v, nil
	}
	p := &x.c.Profile
	in := p.Instrument(w.Instrument)
	switch {
	case in == nil:
		return nil, x.fail(formCode, Term("instrument"), w.Instrument), nil
	case !slices.Contains(p.Offences, w.Offence):
		return nil, x.fail(formCode, Term("offence class"), w.Offence), nil
	case x.c.Party(event.RoleProvider, w.Provider) == nil:
		return nil, x.fail(formName, Term("provider"), w.Provider), nil
	}
	if w.Decision != event.Denied && w.NotAfter.Unix() > x.time+int64(in.Window) {
		return nil, x.fail(warrantLong, in.Window), nil
	}
	if v := x.sealed(x.sealLimit(in.Code), 0); v != nil {
		return nil, v, nil
	}
	var on *item
	if w.Validates != nil {
		var err error
		if on, v, err = x.validates(w); v != nil || err != nil {
			return nil, v, err
		}
	}
	it := x.item(signer.party.Name, w.Provider)
	it.instrument = in.Code
	it.warrant = &warrant{denied: w.Decision == event.Denied}
	if !it.warrant.denied {
		it.warrant.notBefore, it.warrant.notAfter = w.NotBefore.Unix(), w.NotAfter.Unix()
		it.warrant.accesses, it.warrant.accounts = w.Accesses, w.Accounts
		it.seal.end = it.warrant.notAfter
	}
	return func() {
		if on != nil {
			x.decide(on, it)
		}
		x.l.add(it)
	}, nil, nil
}

// item makes an item of the event, whose seal is checked.
func (x *act) item(authority, provider string) *item {
	it := &item{index: x.e.Index, leaf: x.e.Leaf, kind: x.ev.Type, charter: x.c.number, time: x.time, base: x.base, measure: x.e.Index,
		keys: x.keyNumbers(), authority: authority, provider: provider}
	it.seal.end = x.time
	it.seal.first = x.ev.Sealed.Until.Unix()
	it.seal.until = it.seal.first
	it.seal.digests = digests{slices.Clone(x.ev.Sealed.Public), len(x.ev.Sealed.Public)}
	if it.seal.digests.closed == 0 {
		it.seal.debt.state = fulfilled
	}
	return it
}

// revocation checks the end of a warrant.
func (x *act) revocation(r *event.Revocation) (effect, *Violation, error) {
	it, _, v, err := x.resolve(r.Warrant, event.TypeWarrant)
	if v != nil || err != nil {
		return nil, v, err
	}
	if it == nil {
		return nil, x.refer(r.Warrant, warrantOver, r.Warrant.Index), nil
	}
	if v := x.stand(it.authority, it.index); v != nil {
		return nil, v, nil
	}
	switch {
	case !slices.Contains(x.c.Profile.Reasons, r.Reason):
		return nil, x.fail(formCode, Term("reason"), r.Reason), nil
	case it.warrant.denied || it.warrant.revokedAt != 0:
		return nil, x.refer(r.Warrant, warrantOver, it.index), nil
	}
	return func() {
		it.warrant.revokedAt = x.e.Index
		x.l.prune(it)
	}, nil, nil
}

// returns checks the figures of a warrant. A return also ends the warrant, since the
// figures would leave out a later access.
func (x *act) returns(r *event.Return) (effect, *Violation, error) {
	it, ev, v, err := x.resolve(r.Warrant, event.TypeWarrant)
	if v != nil || err != nil {
		return nil, v, err
	}
	provider := ""
	if it != nil {
		provider = it.provider
	} else {
		provider = ev.Body.(*event.Warrant).Provider
	}
	for _, h := range x.signers {
		if h.party.Name != provider {
			return nil, x.noStanding(h, r.Warrant.Index), nil
		}
	}
	if it == nil || it.warrant.denied || it.warrant.returned.state == fulfilled {
		return nil, x.refer(r.Warrant, returnTaken, r.Warrant.Index), nil
	}
	return func() {
		x.l.touch(it)
		it.warrant.returned.state = fulfilled
		x.l.prune(it)
	}, nil, nil
}

var (
	emergencyNone     = &Way{"emergency", "none", KindBreach, "the profile has no emergencies", ""}
	emergencyOpen     = &Way{"emergency", "open", KindBreach, "{count} emergency accesses are undecided, which is the limit", "have an authority decide on one of them"}
	emergencyAccounts = &Way{"emergency", "accounts", KindBreach, "it opens {accounts} accounts, and an emergency may open {limit}", ""}
	emergencyProvider = &Way{"emergency", "provider", KindBreach, "it decides on an access of provider {provider}, but addresses provider {other}", ""}
	emergencyDecided  = &Way{"emergency", "decided", KindNoEffect, "access {access} is no emergency that awaits a decision", ""}
	emergencyDenied   = &Way{"emergency", "denied", KindBreach, "entry {entry} denies it", ""}
)

// access checks a request to a custodian group.
func (x *act) access(a *event.Access) (effect, *Violation, error) {
	signer, v := x.one(event.RoleProvider)
	if v != nil {
		return nil, v, nil
	}
	if !slices.ContainsFunc(x.c.Groups, func(g event.Group) bool { return g.ID == a.Group }) {
		return nil, x.fail(formName, Term("custodian group"), a.Group), nil
	}
	if a.Emergency != "" {
		return x.emergency(a, signer)
	}
	on, _, v, err := x.resolve(*a.Warrant, event.TypeWarrant)
	if v != nil || err != nil {
		return nil, v, err
	}
	if v := x.onWarrant(a, on); v != nil {
		v.About = a.Warrant
		return nil, v, nil
	}
	if signer.party.Name != on.provider {
		return nil, x.noStanding(signer, on.index), nil
	}
	limit, own := x.sealLimit(on.instrument), on.seal.until
	if on.seal.never {
		own = 0
	}
	if v := x.sealed(limit, own); v != nil {
		return nil, v, nil
	}
	it := x.item(on.authority, on.provider)
	it.instrument, it.measure, it.seal.end = on.instrument, on.index, on.warrant.notAfter
	it.access = &access{onWarrant: true, warrant: on.index, accounts: a.Accounts, group: a.Group,
		ends: x.base + int64(x.c.Profile.AccessLife), decision: debt{state: fulfilled}}
	return func() {
		on.warrant.accesses--
		on.warrant.accounts -= a.Accounts
		x.l.add(it)
	}, nil, nil
}

// onWarrant checks whether an access may stand on a warrant. on is nil if the
// warrant is closed or never had an effect.
func (x *act) onWarrant(a *event.Access, on *item) *Violation {
	if on == nil {
		return x.fail(warrantEnded, a.Warrant.Index)
	}
	w := on.warrant
	switch {
	case w.denied:
		return x.fail(warrantDenied, on.index)
	case w.revokedAt != 0:
		return x.fail(warrantRevoked, on.index, w.revokedAt)
	case on.voidAt != 0:
		return x.fail(warrantVoid, on.index, on.voidAt)
	case w.returned.state != owed:
		return x.fail(warrantEnded, on.index)
	case x.time < w.notBefore || x.time > w.notAfter || x.l.after > w.notAfter:
		return x.fail(warrantWindow, on.index)
	case w.accesses == 0:
		return x.fail(warrantAccesses, on.index)
	case w.accounts < a.Accounts:
		return x.fail(warrantAccounts, a.Accounts, on.index, w.accounts)
	}
	return nil
}

// emergency checks an access without a warrant.
func (x *act) emergency(a *event.Access, signer *holder) (effect, *Violation, error) {
	p := x.c.Profile.Emergency
	duty, v := x.one(event.RoleDuty)
	switch {
	case v != nil:
		return nil, v, nil
	case p == nil:
		return nil, x.fail(emergencyNone), nil
	case !slices.Contains(p.Grounds, a.Emergency):
		return nil, x.fail(formCode, Term("emergency ground"), a.Emergency), nil
	case a.Accounts > p.Accounts:
		return nil, x.fail(emergencyAccounts, a.Accounts, p.Accounts), nil
	case uint64(x.l.undecided) >= p.Open:
		return nil, x.fail(emergencyOpen, x.l.undecided), nil
	}
	if v := x.sealed(x.c.Profile.Seal, 0); v != nil {
		return nil, v, nil
	}
	it := x.item(duty.party.Name, signer.party.Name)
	it.access = &access{emergency: true, accounts: a.Accounts, group: a.Group, ends: x.base + int64(x.c.Profile.AccessLife)}
	it.seal.end = it.access.ends
	return func() {
		x.l.undecided++
		x.l.add(it)
	}, nil, nil
}

// dutyOf returns the duty party that signed an emergency access.
func (l *Ledger) dutyOf(it *item) string {
	for _, k := range it.keys {
		if h := l.charters[it.charter].holders[l.keys[k].KeyID()]; h != nil && h.party.Role == event.RoleDuty {
			return h.party.Name
		}
	}
	return ""
}

// validates checks a decision on an emergency access and returns that access.
func (x *act) validates(w *event.Warrant) (*item, *Violation, error) {
	it, ev, v, err := x.resolve(*w.Validates, event.TypeAccess)
	switch {
	case v != nil || err != nil:
		return nil, v, err
	case it == nil && ev.Body.(*event.Access).Emergency == "", it != nil && !it.access.emergency:
		return nil, x.refer(*w.Validates, referenceType, w.Validates.Index, Term("access on a warrant")), nil
	case it == nil:
		return nil, x.refer(*w.Validates, emergencyDecided, w.Validates.Index), nil
	case it.access.decision.state == fulfilled:
		return nil, x.refer(*w.Validates, emergencyDecided, it.index), nil
	case it.provider != w.Provider:
		return nil, x.fail(emergencyProvider, it.provider, w.Provider), nil
	}
	return it, nil, nil
}

// decide records a warrant's decision on an emergency access. The access counts
// as one of those that the warrant allows.
func (x *act) decide(on, by *item) {
	x.l.touch(on)
	a, w := on.access, by.warrant
	if a.decision.state == owed {
		x.l.undecided--
	}
	a.decision.state, a.decidedAt, a.decidedBy, a.denied = fulfilled, x.e.Index, by.keys, w.denied
	on.authority, on.instrument = by.authority, by.instrument
	w.accesses -= min(w.accesses, 1)
	w.accounts -= min(w.accounts, a.accounts)
	if w.denied {
		x.l.note(emergencyDenied.by("duty "+x.l.dutyOf(on), on.index, x.e.Index, x.e.Index))
	} else {
		on.measure, on.seal.end = by.index, w.notAfter
	}
	x.l.prune(on)
}
