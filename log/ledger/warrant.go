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

	warrantSuspended  = &Way{"warrant-live", "suspended", KindBreach, "warrant {warrant} is suspended by entry {entry}", ""}
	warrantResponse   = &Way{"warrant-live", "response", KindBreach, "the provider answered by entry {entry} that it does not execute warrant {warrant}", ""}
	warrantPreserves  = &Way{"warrant-live", "preserves", KindBreach, "warrant {warrant} only preserves data", ""}
	warrantCategory   = &Way{"warrant-live", "category", KindBreach, "warrant {warrant} does not ask for the category {category}", ""}
	warrantCategories = &Way{"warrant-live", "categories", KindBreach, "it states no categories, and warrant {warrant} does", "sign an access that states its categories"}
	warrantInPart     = &Way{"warrant-live", "in-part", KindBreach, "entry {entry} ended warrant {warrant} in the category {category}", ""}

	instrumentKind      = &Way{"instrument", "kind", KindBreach, "authority {authority} is of none of the kinds that sign a warrant of the instrument {instrument} alone", ""}
	instrumentValidated = &Way{"instrument", "validated", KindBreach, "a warrant of the instrument {instrument} by authority {authority} needs the signature of a validating authority too", "log it with both signatures"}
	instrumentEnforces  = &Way{"instrument", "enforces", KindBreach, "authority {authority} enforces the warrants of {issuer}, so it may not validate one", "have another authority validate it"}
	instrumentCategory  = &Way{"instrument", "category", KindBreach, "it states categories, but not {category}, its instrument's most demanding one", "sign it under the instrument of its most demanding category"}
	instrumentWith      = &Way{"instrument", "with", KindBreach, "its instrument is not for the category {category}", "sign it under the instrument of its most demanding category"}
	instrumentPreserves = &Way{"instrument", "preserves", KindBreach, "its instrument only preserves data, so it bears no accesses, no accounts and no emergency access", ""}
	instrumentAccesses  = &Way{"instrument", "accesses", KindBreach, "it bears no accesses, and its instrument does not only preserve data", ""}

	returnAccounts = &Way{"return", "accounts", KindBreach, "it says that {accounts} accounts were opened, and the accesses on warrant {warrant} open {opened}", ""}
	returnTaken    = &Way{"return", "taken", KindNoEffect, "warrant {warrant} owes no return: it has one, was denied, or is closed", ""}
)

// warrant checks an authority's decision.
func (x *act) warrant(w *event.Warrant) (effect, *Violation, error) {
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
	issuer, validator, v := x.issuers(in, w.Decision == event.Denied)
	if v != nil {
		return nil, v, nil
	}
	if v := x.instrument(in, w); v != nil {
		return nil, v, nil
	}
	if w.Decision != event.Denied && w.NotAfter.Unix() > x.time+int64(in.Window) {
		return nil, x.fail(warrantLong, in.Window), nil
	}
	if v := x.sealed(x.sealLimit(in.Code), 0); v != nil {
		return nil, v, nil
	}
	it := x.item(issuer, w.Provider)
	it.instrument, it.validator = in.Code, validator
	if x.e.Extends != nil {
		if v, err := x.extends(*x.e.Extends, it); v != nil || err != nil {
			return nil, v, err
		}
	}
	it.warrant = &warrant{denied: w.Decision == event.Denied, preserves: in.Preserves}
	if !it.warrant.denied {
		it.warrant.notBefore, it.warrant.notAfter = w.NotBefore.Unix(), w.NotAfter.Unix()
		it.warrant.accesses, it.warrant.accounts = w.Accesses, w.Accounts
		it.seal.end = it.warrant.notAfter
		for _, c := range w.Categories {
			it.warrant.categories = append(it.warrant.categories, category{code: c})
		}
	}
	var on *item
	if w.Validates != nil {
		var err error
		if on, v, err = x.validates(w); v != nil || err != nil {
			return nil, v, err
		}
	}
	return func() {
		x.l.add(it)
		if on != nil {
			x.decide(on, it)
		}
	}, nil, nil
}

// issuers returns the authority that issued a warrant and the one that validated it, "" if
// none had to. A denial needs one authority of any kind that the instrument names.
func (x *act) issuers(in *event.Instrument, denied bool) (issuer, validator string, v *Violation) {
	var list []*event.Party
	for _, h := range x.signers {
		if !slices.Contains(list, h.party) {
			list = append(list, h.party)
		}
	}
	first := list[0]
	validated, validates := slices.Contains(in.Validated, first.Kind), slices.Contains(in.Validators, first.Kind)
	if len(list) > 1 {
		second := list[1]
		switch {
		case len(list) == 2 && validated && slices.Contains(in.Validators, second.Kind):
		case len(list) == 2 && validates && slices.Contains(in.Validated, second.Kind):
			first, second = second, first
		default:
			return "", "", x.fail(roleSeveral, first.Name, second.Name)
		}
		if slices.Contains(second.Enforces, first.Name) {
			return "", "", x.fail(instrumentEnforces, second.Name, first.Name)
		}
		return first.Name, second.Name, nil
	}
	anyKind := len(in.Issuers)+len(in.Validated) == 0
	switch {
	case anyKind, slices.Contains(in.Issuers, first.Kind), denied && (validated || validates):
		return first.Name, "", nil
	case validated:
		return "", "", x.fail(instrumentValidated, in.Code, first.Name)
	}
	return "", "", x.fail(instrumentKind, first.Name, in.Code)
}

// instrument checks a warrant's categories and limits against its instrument.
func (x *act) instrument(in *event.Instrument, w *event.Warrant) *Violation {
	if c, ok := outside(w.Categories, x.c.Profile.Categories); ok {
		return x.fail(formCode, Term("category"), c)
	}
	if in.Category != "" && len(w.Categories) > 0 {
		if !slices.Contains(w.Categories, in.Category) {
			return x.fail(instrumentCategory, in.Category)
		}
		if c, ok := outside(w.Categories, append(slices.Clone(in.With), in.Category)); ok {
			return x.fail(instrumentWith, c)
		}
	}
	switch {
	case w.Decision == event.Denied:
	case in.Preserves && (w.Accesses != 0 || w.Validates != nil):
		return x.fail(instrumentPreserves)
	case !in.Preserves && w.Accesses == 0:
		return x.fail(instrumentAccesses)
	}
	return nil
}

// outside returns a code of list that all lacks.
func outside(list, all []string) (code string, ok bool) {
	i := slices.IndexFunc(list, func(c string) bool { return !slices.Contains(all, c) })
	if i < 0 {
		return "", false
	}
	return list[i], true
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

// returns checks the figures of a warrant. A return also ends the warrant, since the
// figures would leave out a later access.
func (x *act) returns(r *event.Return) (effect, *Violation, error) {
	it, ev, v, err := x.resolve(r.Warrant, event.TypeWarrant)
	if v != nil || err != nil {
		return nil, v, err
	}
	if v := x.addressed(r.Warrant, it, ev); v != nil {
		return nil, v, nil
	}
	if it == nil || it.warrant.denied || it.warrant.returned.state == fulfilled {
		return nil, x.refer(r.Warrant, returnTaken, r.Warrant.Index), nil
	}
	if r.Accounts > it.warrant.opens {
		return nil, x.refer(r.Warrant, returnAccounts, r.Accounts, it.index, it.warrant.opens), nil
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
	emergencyCategory = &Way{"emergency", "category", KindBreach, "an emergency access may open no data of the category {category}", ""}
	emergencyStates   = &Way{"emergency", "categories", KindBreach, "it states no categories, and an emergency access must", "sign an access that states its categories"}
	emergencyGranted  = &Way{"emergency", "granted", KindBreach, "it does not ask for the category {category}, which access {access} opens", "sign a decision that states the access's categories"}
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
		categories: a.Categories, ends: x.base + int64(x.c.Profile.AccessLife), decision: debt{state: fulfilled}}
	return func() {
		on.warrant.accesses--
		on.warrant.accounts -= a.Accounts
		on.warrant.opens += a.Accounts
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
	case w.refusedAt != 0:
		return x.fail(warrantResponse, w.refusedAt, on.index)
	case w.preserves:
		return x.fail(warrantPreserves, on.index)
	case w.returned.state != owed:
		return x.fail(warrantEnded, on.index)
	case w.suspended() != nil:
		return x.fail(warrantSuspended, on.index, w.suspended().index)
	case x.time < w.notBefore || x.time > w.notAfter || x.l.after > w.notAfter:
		return x.fail(warrantWindow, on.index)
	case w.accesses == 0:
		return x.fail(warrantAccesses, on.index)
	case w.accounts < a.Accounts:
		return x.fail(warrantAccounts, a.Accounts, on.index, w.accounts)
	case len(w.categories) > 0 && len(a.Categories) == 0:
		return x.fail(warrantCategories, on.index)
	}
	for _, code := range a.Categories {
		switch c := w.category(code); {
		case c == nil:
			return x.fail(warrantCategory, on.index, code)
		case c.endedAt() != 0:
			return x.fail(warrantInPart, c.endedAt(), on.index, code)
		}
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
	case len(p.Categories) > 0 && len(a.Categories) == 0:
		return nil, x.fail(emergencyStates), nil
	}
	if c, ok := outside(a.Categories, x.c.Profile.Categories); ok {
		return nil, x.fail(formCode, Term("category"), c), nil
	}
	if c, ok := outside(a.Categories, p.Categories); ok && len(p.Categories) > 0 {
		return nil, x.fail(emergencyCategory, c), nil
	}
	if v := x.sealed(x.c.Profile.Seal, 0); v != nil {
		return nil, v, nil
	}
	it := x.item(duty.party.Name, signer.party.Name)
	it.access = &access{emergency: true, accounts: a.Accounts, group: a.Group, categories: a.Categories, ends: x.base + int64(x.c.Profile.AccessLife)}
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
	if c, ok := outside(it.access.categories, w.Categories); ok && w.Decision != event.Denied {
		return nil, x.fail(emergencyGranted, c, it.index), nil
	}
	return it, nil, nil
}

// decide records a warrant's decision on an emergency access. The access counts as one of
// those that the warrant allows, and ends with it.
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
	w.opens += a.accounts
	if w.denied {
		x.l.note(emergencyDenied.by("duty "+x.l.dutyOf(on), on.index, x.e.Index, x.e.Index))
	} else {
		on.measure, on.seal.end = by.index, w.notAfter
		a.onWarrant, a.warrant = true, by.index
		w.open++
	}
	x.l.prune(on)
}
