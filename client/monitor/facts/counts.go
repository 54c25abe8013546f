// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package facts

import (
	"maps"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
)

// Counts count entries, obligations and breaches.
type Counts struct {
	Events     map[event.Type]*Tally `json:"events,omitempty"`
	Unreadable uint64                `json:"unreadable"` // entries that are no events
	Owed       map[string]*Owed      `json:"owed,omitempty"`
	Breaches   uint64                `json:"breaches"`
	Closed     uint64                `json:"closed"` // how often an audit quorum has closed one
}

// A Month has the counts of a month, like 2026-01.
type Month struct {
	Month string `json:"month"`
	Counts
}

// A Tally counts the entries of a type.
type Tally struct {
	Logged uint64 `json:"logged"`
	// Kept counts those about which there is no verdict, and Of their names, by member: authority,
	// provider, custodian or auditor that signed; the codes of the body; of a disclosure the agency
	// that it names.
	Kept uint64                       `json:"kept"`
	Of   map[string]map[string]uint64 `json:"of,omitempty"`
}

// Owed counts obligations by one rule, by what became of them. Anchors count only if they came
// late, as they are opened and met all the time.
type Owed struct {
	Opened  uint64 `json:"opened"`
	Settled uint64 `json:"settled"`
	Late    uint64 `json:"late"` // of the settled
	Lapsed  uint64 `json:"lapsed"`
}

// Name is a member of an event, with its value, by which entries are counted: see [Tally].
type Name struct{ Member, Value string }

func (c *Counts) add(e *ledger.Entry, kept bool, names []Name) {
	if e.Envelope == nil {
		c.Unreadable++
		return
	}
	if c.Events == nil {
		c.Events = make(map[event.Type]*Tally)
	}
	t := c.Events[e.Envelope.Event.Type]
	if t == nil {
		t = &Tally{Of: make(map[string]map[string]uint64)}
		c.Events[e.Envelope.Event.Type] = t
	}
	t.Logged++
	if !kept {
		return
	}
	t.Kept++
	for _, n := range names {
		of := t.Of[n.Member]
		if of == nil {
			of = make(map[string]uint64)
			t.Of[n.Member] = of
		}
		if _, known := of[n.Value]; !known && len(of) >= MaxNames {
			n.Value = Other
		}
		of[n.Value]++
	}
}

// WasLate counts a [ledger.Settled] change once more if the obligation was overdue.
const WasLate ledger.ChangeKind = "late"

func (c *Counts) change(x *ledger.Change) {
	rule := ""
	if x.Breach == nil {
		rule = x.Rule()
	}
	c.Change(x.Kind, rule, 1)
	if x.Kind == ledger.Settled && !x.LateSince.IsZero() {
		c.Change(WasLate, rule, 1)
	}
}

// Change counts n changes of one kind, to obligations of one rule.
func (c *Counts) Change(kind ledger.ChangeKind, rule string, n uint64) {
	switch kind {
	case ledger.Breached:
		c.Breaches += n
		return
	case ledger.Closed:
		c.Closed += n
		return
	}
	if c.Owed == nil {
		c.Owed = make(map[string]*Owed)
	}
	o := c.Owed[rule]
	if o == nil {
		o = new(Owed)
		c.Owed[rule] = o
	}
	switch kind {
	case ledger.Opened:
		o.Opened += n
	case ledger.Settled:
		o.Settled += n
	case WasLate:
		o.Late += n
	case ledger.Lapsed:
		o.Lapsed += n
	}
}

// clone returns counts that later entries do not change.
func (c *Counts) clone() Counts {
	out := *c
	out.Events, out.Owed = maps.Clone(c.Events), maps.Clone(c.Owed)
	for k, t := range out.Events {
		copied := *t
		copied.Of = maps.Clone(t.Of)
		for member, of := range copied.Of {
			copied.Of[member] = maps.Clone(of)
		}
		out.Events[k] = &copied
	}
	for k, o := range out.Owed {
		copied := *o
		out.Owed[k] = &copied
	}
	return out
}

// names returns the names by which an applied entry is counted: its signers, and codes that the
// rules have checked.
func (f *Facts) names(e *ledger.Entry) (out []Name) {
	in := f.ledger.CharterAt(max(e.Index, 1)) // the first charter names its own signers
	if e.Envelope == nil || in == nil {
		return nil
	}
	add := func(member string, values ...string) {
		for _, v := range values {
			if v != "" {
				out = append(out, Name{member, v})
			}
		}
	}
	for i, s := range e.Envelope.Signatures {
		if p := in.Signer(s.KeyID, e.Index); p != nil && i < len(e.Signatures) && e.Signatures[i] == ledger.Good {
			add(string(p.Role), p.Name)
		}
	}
	switch b := e.Envelope.Event.Body.(type) {
	case *event.Warrant:
		if len(out) == 0 || out[0].Member != "provider" {
			add("addressed", b.Provider)
		}
		add("decision", string(b.Decision))
		add("instrument", b.Instrument)
		add("offence", b.Offence)
		add("category", b.Categories...)
	case *event.Access:
		add("emergency", b.Emergency)
		add("group", b.Group)
		add("category", b.Categories...)
	case *event.Refusal:
		add("reason", b.Reason)
	case *event.Response:
		add("outcome", string(b.Outcome))
		add("ground", b.Ground)
	case *event.Revocation:
		add("scope", string(b.Scope))
		add("reason", b.Reason)
	case *event.Deferral:
		add("ground", b.Ground)
		if b.Never {
			add("never", b.Ground)
		}
	case *event.Finding:
		add("rule", b.Rule)
		add("state", string(b.State))
	case *event.Disclosure:
		for i := range b.Openings {
			if o := &b.Openings[i]; o.Name == "agency" {
				add("agency", o.Value.Text())
			}
		}
	}
	return out
}
