// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"slices"

	"github.com/vasistas/vasistas/log/event"
)

var (
	revocationTwice   = &Way{"revocation", "twice", KindNoEffect, "the same authority suspended warrant {warrant} by entry {entry}, and that suspension stands", ""}
	revocationOld     = &Way{"revocation", "old", KindNoEffect, "it was signed before entry {entry}, which ended its author's last suspension of warrant {warrant}", "sign a suspension that claims a later time"}
	revocationInPart  = &Way{"revocation", "in-part", KindNoEffect, "warrant {warrant} has ended in these categories already", ""}
	revocationResumed = &Way{"revocation", "resumed", KindNoEffect, "entry {entry} is no suspension of warrant {warrant} that stands", ""}

	responseWhole = &Way{"response", "whole", KindBreach, "it is partial, and names all categories of warrant {warrant}", "say that it is refused, or that the provider is unable"}
	responseOver  = &Way{"response", "over", KindNoEffect, "warrant {warrant} allows no further access that it could end", ""}
)

// category is a category of data that a warrant asks for.
type category struct {
	code       string
	revokedAt  uint64 // index of the revocation that ended it; 0: none
	answeredAt uint64 // index of the response that it is not executed; 0: none
}

// endedAt returns the index of what ended further accesses in the category, 0 if nothing did.
func (c *category) endedAt() uint64 {
	if c.revokedAt != 0 {
		return c.revokedAt
	}
	return c.answeredAt
}

// category returns a category that the warrant asks for, or nil.
func (w *warrant) category(code string) *category {
	for i := range w.categories {
		if w.categories[i].code == code {
			return &w.categories[i]
		}
	}
	return nil
}

// suspension is the last revocation by which an authority suspended a warrant.
type suspension struct {
	index     uint64
	leaf      [32]byte
	author    string
	since     uint64   // index from which it stands: its own or, if its end is void, that of the charter which voided the end
	resumedAt uint64   // index of what ended it; 0: it stands
	resumed   int64    // time that the entry resumedAt claims
	resumedBy []uint32 // keys that signed the entry resumedAt
}

// suspended returns the suspension that has stood for longest, nil if none stands.
func (w *warrant) suspended() *suspension {
	var first *suspension
	for i := range w.suspensions {
		if s := &w.suspensions[i]; s.resumedAt == 0 && (first == nil || s.since < first.since) {
			first = s
		}
	}
	return first
}

// void undoes what a key resumed from an index on. The charter at stands above it.
func (w *warrant) void(key uint32, from, at uint64) {
	for i := range w.suspensions {
		if s := &w.suspensions[i]; s.resumedAt != 0 && s.resumedAt >= from && slices.Contains(s.resumedBy, key) {
			s.since, s.resumedAt, s.resumed, s.resumedBy = at, 0, 0, nil
		}
	}
}

// moveEnd makes the end of a suspension by the entry at index count from t at the latest.
func (w *warrant) moveEnd(index uint64, t int64) {
	for i := range w.suspensions {
		if s := &w.suspensions[i]; s.resumedAt == index {
			s.resumed = min(s.resumed, t)
		}
	}
}

// revocation checks what ends or suspends a warrant, or resumes it.
func (x *act) revocation(r *event.Revocation) (effect, *Violation, error) {
	it, _, v, err := x.resolve(r.Warrant, event.TypeWarrant)
	if v != nil || err != nil {
		return nil, v, err
	}
	if it == nil {
		return nil, x.refer(r.Warrant, warrantOver, r.Warrant.Index), nil
	}
	w := it.warrant
	switch {
	case !slices.Contains(x.c.Profile.Reasons, r.Reason):
		return nil, x.fail(formCode, Term("reason"), r.Reason), nil
	case r.Scope == event.ScopeResumed:
		return x.resume(r, it)
	}
	for _, h := range x.signers {
		if !h.revokes(it) {
			return nil, x.noStanding(h, it.index), nil
		}
	}
	if w.denied || w.revokedAt != 0 {
		return nil, x.refer(r.Warrant, warrantOver, it.index), nil
	}
	switch r.Scope {
	case event.ScopeCategories:
		return x.endCategories(r.Warrant, it, r.Categories, revocationInPart, func(c *category) *uint64 { return &c.revokedAt })
	case event.ScopeSuspended:
		return x.suspend(r, it)
	}
	return func() {
		w.revokedAt = x.e.Index
		x.l.prune(it)
	}, nil, nil
}

// revokes reports whether a party may end or suspend a warrant: its issuer or validator, an
// authority above one of them, or one that enforces the issuer's warrants.
func (h *holder) revokes(it *item) bool {
	return h.standing(it.authority) || it.validator != "" && h.standing(it.validator) || slices.Contains(h.party.Enforces, it.authority)
}

// endCategories returns the effect that ends a warrant in some categories: at returns where a
// category keeps the index of its end. If all of them have ended so, over is the verdict.
func (x *act) endCategories(ref event.Reference, it *item, codes []string, over *Way, at func(*category) *uint64) (effect, *Violation, error) {
	left := false
	for _, code := range codes {
		c := it.warrant.category(code)
		if c == nil {
			return nil, x.refer(ref, warrantCategory, it.index, code), nil
		}
		left = left || *at(c) == 0
	}
	if !left {
		return nil, x.refer(ref, over, it.index), nil
	}
	return func() {
		for _, code := range codes {
			if c := at(it.warrant.category(code)); *c == 0 {
				*c = x.e.Index
			}
		}
	}, nil, nil
}

// suspend checks a suspension, which has one author. A suspension that was signed before its
// author's last one was resumed has no effect: else any party could hand it in again.
func (x *act) suspend(r *event.Revocation, it *item) (effect, *Violation, error) {
	author, v := x.one(event.RoleAuthority)
	if v != nil {
		return nil, v, nil
	}
	w, next := it.warrant, suspension{index: x.e.Index, leaf: x.e.Leaf, author: author.party.Name, since: x.e.Index}
	i := slices.IndexFunc(w.suspensions, func(s suspension) bool { return s.author == next.author })
	if i < 0 {
		return func() { w.suspensions = append(w.suspensions, next) }, nil, nil
	}
	switch last := &w.suspensions[i]; {
	case last.resumedAt == 0:
		return nil, x.refer(r.Warrant, revocationTwice, it.index, last.index), nil
	case x.time < last.resumed:
		return nil, x.refer(r.Warrant, revocationOld, last.resumedAt, it.index), nil
	}
	return func() { w.suspensions[i] = next }, nil, nil
}

// resume checks the end of one suspension, by its author or an authority above the author.
func (x *act) resume(r *event.Revocation, it *item) (effect, *Violation, error) {
	w, ref := it.warrant, *r.Suspension
	i := slices.IndexFunc(w.suspensions, func(s suspension) bool { return s.index == ref.Index && s.leaf == ref.Leaf })
	if i < 0 || w.suspensions[i].resumedAt != 0 {
		_, _, v, err := x.resolve(ref, event.TypeRevocation)
		if v == nil && err == nil {
			v = x.refer(ref, revocationResumed, ref.Index, it.index)
		}
		return nil, v, err
	}
	for _, h := range x.signers {
		if !h.standing(w.suspensions[i].author) {
			return nil, x.noStanding(h, ref.Index), nil
		}
	}
	return func() {
		s := &w.suspensions[i]
		s.resumedAt, s.resumed, s.resumedBy = x.e.Index, x.time, x.keyNumbers()
	}, nil, nil
}

// response checks a provider's answer that it does not execute a warrant, or not fully.
func (x *act) response(r *event.Response) (effect, *Violation, error) {
	it, ev, v, err := x.resolve(r.Warrant, event.TypeWarrant)
	if v != nil || err != nil {
		return nil, v, err
	}
	if v := x.addressed(r.Warrant, it, ev); v != nil {
		return nil, v, nil
	}
	switch {
	case !slices.Contains(x.c.Profile.NonExecution, r.Ground):
		return nil, x.fail(formCode, Term("ground for not executing a warrant"), r.Ground), nil
	case it == nil || !it.warrant.live() || it.voidAt != 0 || it.warrant.refusedAt != 0:
		return nil, x.refer(r.Warrant, responseOver, r.Warrant.Index), nil
	case slices.EqualFunc(r.Categories, it.warrant.categories, func(a string, c category) bool { return a == c.code }) && r.Outcome == event.Partial:
		return nil, x.refer(r.Warrant, responseWhole, it.index), nil
	case r.Outcome == event.Partial:
		return x.endCategories(r.Warrant, it, r.Categories, responseOver, func(c *category) *uint64 {
			if c.revokedAt != 0 {
				return &c.revokedAt
			}
			return &c.answeredAt
		})
	}
	return func() { it.warrant.refusedAt = x.e.Index }, nil, nil
}

// addressed checks that only the provider that a warrant addresses signed. The warrant is
// open, or ev is its event.
func (x *act) addressed(ref event.Reference, it *item, ev *event.Event) *Violation {
	provider := ""
	if it != nil {
		provider = it.provider
	} else {
		provider = ev.Body.(*event.Warrant).Provider
	}
	for _, h := range x.signers {
		if h.party.Name != provider {
			return x.noStanding(h, ref.Index)
		}
	}
	return nil
}
