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
	it := &item{index: x.e.Index, leaf: x.e.Leaf, kind: x.ev.Type, charter: x.c.number, time: x.time, base: x.base,
		keys: x.keyNumbers(), authority: authority, provider: provider}
	it.seal.end = x.time
	it.seal.first = x.ev.Sealed.Until.Unix()
	it.seal.until = it.seal.first
	it.seal.digests = digests{slices.Clone(x.ev.Sealed.Public), len(x.ev.Sealed.Public)}
	if it.seal.digests.closed == 0 {
		it.seal.state = fulfilled
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
	if it == nil || it.warrant.denied || it.warrant.returned == fulfilled {
		return nil, x.refer(r.Warrant, returnTaken, r.Warrant.Index), nil
	}
	return func() {
		it.warrant.returned = fulfilled
		x.l.prune(it)
	}, nil, nil
}
