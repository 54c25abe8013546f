// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/event"
)

// orders logs arbitrary warrants and accesses, what ends, suspends, resumes or answers them,
// and amendments that void the keys of these.
type orders struct {
	*history
	warrants, accesses, suspensions []*logged
	void                            map[string]bool
	releases                        int
}

func (o *orders) pick(name string, list []*logged) *logged {
	return rapid.SampledFrom(list).Draw(o.rt, name)
}

func (o *orders) one(name string, list ...string) string {
	return rapid.SampledFrom(list).Draw(o.rt, name)
}

func (o *orders) categories() []string {
	return rapid.SampledFrom([][]string{nil, {"content"}, {"traffic"}, {"content", "traffic"}}).Draw(o.rt, "categories")
}

func (o *orders) by() string {
	return o.one("by", "court", "court2", "high", "enforcer", "over", "other", "police")
}

// effect logs an event and reports whether it had its effect. Admission agrees with Apply.
func (o *orders) effect(e *event.Event, by ...string) (*logged, bool) {
	env := o.Sign(e, by...)
	check, err := o.l.Check(Read(0, env.Bytes()))
	if err != nil {
		o.rt.Fatal(err)
	}
	out := o.LogEnvelope(env)
	for _, v := range o.violations {
		if v.Index == out.Index {
			if check == nil || check.Error() != v.Error() {
				o.rt.Fatalf("Check says %v, and Apply %v", check, v)
			}
			return out, false
		}
	}
	if check != nil {
		o.rt.Fatalf("Check says %v, and Apply nothing", check)
	}
	return out, true
}

func (o *orders) warrant() {
	b := o.WarrantBody()
	b.Accesses, b.Accounts, b.Categories = 3, 6, o.categories()
	b.NotAfter = at(o.Now + rapid.Int64Range(1, 20*day).Draw(o.rt, "window"))
	by := []string{o.by()}
	switch o.one("instrument", "search", "search", "content", "keep") {
	case "content":
		b.Instrument, by = "content", []string{"police", "court"}
	case "keep":
		b.Instrument, b.Accesses, b.Accounts = "keep", 0, 0
	}
	if len(o.accesses) > 0 && rapid.Bool().Draw(o.rt, "validates") {
		b.Validates = &o.pick("access", o.accesses).Reference
		if rapid.IntRange(0, 3).Draw(o.rt, "denied") == 0 {
			*b = event.Warrant{Decision: event.Denied, Provider: b.Provider, Instrument: b.Instrument, Offence: b.Offence, Categories: b.Categories, Validates: b.Validates}
		}
	}
	e := o.Event(b)
	public := o.Seal(e, o.Now+1)
	w, ok := o.effect(e, by...)
	if w.Public = public; ok {
		o.warrants = append(o.warrants, w)
	}
}

// blocked returns whether a warrant must allow no further access in these categories.
func (o *orders) blocked(w *logged, categories []string) bool {
	it := o.l.open.peek(w.Index)
	if it == nil {
		return true
	}
	for i := range it.warrant.suspensions {
		if it.warrant.suspensions[i].resumedAt == 0 {
			return true
		}
	}
	for _, c := range it.warrant.categories {
		for _, s := range categories {
			if s == c.code && (c.revokedAt != 0 || c.answeredAt != 0) {
				return true
			}
		}
	}
	return it.warrant.revokedAt != 0 || it.warrant.refusedAt != 0 || it.voidAt != 0 || it.warrant.preserves || it.warrant.denied
}

func (o *orders) access() {
	var w *logged
	by := []string{"messenger"}
	if len(o.warrants) > 0 && rapid.Bool().Draw(o.rt, "on a warrant") {
		w = o.pick("warrant", o.warrants)
	} else {
		by = append(by, "duty")
	}
	b := written.AccessBody(w)
	if rapid.Bool().Draw(o.rt, "states") {
		b.Categories = o.categories()
	}
	e := o.Event(b)
	public := o.Seal(e, o.Now+1)
	blocked := w != nil && o.blocked(w, b.Categories)
	a, ok := o.effect(e, by...)
	if a.Public = public; !ok {
		return
	}
	if blocked {
		o.rt.Fatalf("access %d stands on warrant %d, which allows none", a.Index, w.Index)
	}
	o.accesses = append(o.accesses, a)
}

func (o *orders) revocation() {
	if len(o.warrants) == 0 {
		return
	}
	r := &event.Revocation{Warrant: o.pick("warrant", o.warrants).Reference, Reason: "ended"}
	r.Scope = event.Scope(o.one("scope", "all", "categories", "suspended", "suspended", "suspended", "resumed", "resumed", "resumed"))
	switch r.Scope {
	case event.ScopeCategories:
		if r.Categories = o.categories(); r.Categories == nil {
			r.Categories = []string{"content", "subscriber"}
		}
	case event.ScopeResumed:
		if len(o.suspensions) == 0 {
			return
		}
		s := o.pick("suspension", o.suspensions)
		r.Suspension = &s.Reference
		r.Warrant = s.Envelope.Event.Body.(*event.Revocation).Warrant
	}
	by := []string{o.by()}
	if b := o.by(); rapid.IntRange(0, 4).Draw(o.rt, "two") == 0 && b != by[0] {
		by = append(by, b)
	}
	if s, ok := o.effect(o.Event(r), by...); ok && r.Scope == event.ScopeSuspended {
		o.suspensions = append(o.suspensions, s)
	}
}

func (o *orders) response() {
	if len(o.warrants) == 0 {
		return
	}
	r := &event.Response{Warrant: o.pick("warrant", o.warrants).Reference, Outcome: event.Refused, Ground: "immunity"}
	if c := o.categories(); c != nil {
		r.Outcome, r.Categories = event.Partial, c
	}
	o.effect(o.Event(r), o.one("provider", "messenger", "messenger", "mailer"))
}

func (o *orders) rest() {
	switch o.one("rest", "return", "disclose", "disclose", "time", "anchor", "release", "release", "void") {
	case "return":
		if len(o.warrants) > 0 {
			o.effect(o.Event(&event.Return{Warrant: o.pick("warrant", o.warrants).Reference}), "messenger")
		}
	case "disclose":
		if list := append(o.warrants[:len(o.warrants):len(o.warrants)], o.accesses...); len(list) > 0 {
			e := o.pick("disclosed", list)
			o.effect(o.Event(&event.Disclosure{Event: e.Reference, Openings: e.Public}), "messenger")
		}
	case "time":
		o.Now += rapid.Int64Range(1, 8*day).Draw(o.rt, "seconds")
	case "anchor":
		o.anchor()
	case "release":
		if o.releases++; len(o.accesses) > 0 {
			o.answer(o.pick("answered", o.accesses), o.one("custodian", "c1", "c2", "c3"))
		}
	case "void":
		key := o.one("key", "court", "enforcer", "high", "police", "over")
		if from := rapid.Uint64Range(1, o.l.Size()).Draw(o.rt, "from"); !o.void[key] {
			o.void[key] = true
			o.amend(func(c *event.Charter) { c.Void = append(c.Void, event.Void{From: from, Key: keyID(key)}) })
		}
	}
}

// same compares the ledger with one that a snapshot restores, and what it derives.
func (o *orders) same() {
	l, err := restored(o.l)
	if err != nil {
		o.rt.Fatal(err)
	}
	if l.undecided != o.l.undecided {
		o.rt.Fatalf("undecided: %d, and restored %d", o.l.undecided, l.undecided)
	}
	o.l.open.all(func(it *item) {
		i := it.index
		if o.l.done(it) {
			o.rt.Fatalf("item %d is done, and open", i)
		}
		if w := it.warrant; w != nil && w.open != l.open.peek(i).warrant.open {
			o.rt.Fatalf("warrant %d: %d accesses open, and restored %d", i, w.open, l.open.peek(i).warrant.open)
		}
		if it.access == nil {
			return
		}
		a, ok := o.l.Access(i)
		if b, _ := l.Access(i); !ok || a.Dead != b.Dead || a.Suspended != b.Suspended {
			o.rt.Fatalf("access %d: %+v, and restored %+v", i, a, b)
		}
		if it.access.onWarrant && a.Dead == "" && o.dead(it) {
			o.rt.Fatalf("access %d is live, and its warrant is not", i)
		}
	})
	if !bytes.Equal(l.Snapshot(), o.l.Snapshot()) {
		o.rt.Fatal("another snapshot")
	}
}

// dead returns whether what its warrant has lost stops an access.
func (o *orders) dead(it *item) bool {
	w := o.l.open.peek(it.access.warrant)
	for _, s := range w.warrant.suspensions {
		if s.resumedAt == 0 {
			return true
		}
	}
	for _, c := range w.warrant.categories {
		for _, s := range it.access.categories {
			if s == c.code && c.revokedAt != 0 {
				return true
			}
		}
	}
	return w.warrant.revokedAt != 0 || w.voidAt != 0
}

// TestOrders: whatever is ended, suspended, resumed, answered or void in whatever order, no
// access opens on what allows none, admission agrees with the replay, and a snapshot restores
// all of it.
func TestOrders(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		o := &orders{history: newHistory(t, rt), void: make(map[string]bool)}
		for range rapid.IntRange(5, 40).Draw(rt, "steps") {
			rapid.SampledFrom([]func(){o.warrant, o.access, o.access, o.revocation, o.revocation, o.response, o.rest, o.rest}).Draw(rt, "step")()
			o.same()
		}
		whole := New(testLog, o.tree)
		replay(rt, whole, o.tree.entries)
		if !bytes.Equal(whole.Snapshot(), o.l.Snapshot()) {
			rt.Fatal("another replay")
		}
	})
}
