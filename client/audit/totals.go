// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"cmp"
	"slices"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
)

// maxListed bounds the list of violations of one way to break a rule; all are counted.
const maxListed = 64

// totals are the counts of the entries below a size. They are part of a snapshot, so
// their JSON is stable.
type totals struct {
	Events     map[string]uint64 `json:"events,omitempty"` // by type
	Unreadable uint64            `json:"unreadable"`       // entries that are no events
	Signatures Signatures        `json:"signatures"`
	Rules      []Rule            `json:"rules,omitempty"` // sorted
}

// Signatures counts the signatures of all entries.
type Signatures struct {
	Valid   uint64 `json:"valid"`
	Invalid uint64 `json:"invalid"`
	Unknown uint64 `json:"unknown"` // of keys that no earlier charter named
}

// Rule has the violations of one way to break a rule.
type Rule struct {
	Rule   string    `json:"rule"`
	Way    string    `json:"way"`
	Kind   string    `json:"kind"`   // breach, or "no effect"
	Count  uint64    `json:"count"`  // all of them
	Listed []Finding `json:"listed"` // the first 64
}

// Finding is a violation.
type Finding struct {
	Index uint64           `json:"index"` // the entry at fault
	Seen  uint64           `json:"seen"`  // the entry that revealed it
	By    string           `json:"by"`    // the responsible party
	About *event.Reference `json:"about,omitempty"`
	Text  string           `json:"text"`
	Cure  string           `json:"cure,omitempty"` // absent: nothing cures it
}

// add counts an applied entry and the violations that it revealed.
func (t *totals) add(l *ledger.Ledger, e *ledger.Entry, violations []*ledger.Violation) {
	if e.Envelope == nil {
		t.Unreadable++
	} else {
		if t.Events == nil {
			t.Events = make(map[string]uint64)
		}
		t.Events[string(e.Envelope.Event.Type)]++
	}
	for i, state := range e.Signatures {
		switch {
		case l.Key(e.Envelope.Signatures[i].KeyID) == nil:
			t.Signatures.Unknown++
		case state == ledger.Good:
			t.Signatures.Valid++
		default:
			t.Signatures.Invalid++
		}
	}
	for _, v := range violations {
		t.addViolation(v)
	}
}

func (t *totals) addViolation(v *ledger.Violation) {
	i, ok := slices.BinarySearchFunc(t.Rules, v, func(r Rule, v *ledger.Violation) int {
		return cmp.Or(cmp.Compare(r.Rule, v.Rule), cmp.Compare(r.Way, v.Code), cmp.Compare(r.Kind, v.Kind.String()))
	})
	if !ok {
		t.Rules = slices.Insert(t.Rules, i, Rule{Rule: v.Rule, Way: v.Code, Kind: v.Kind.String()})
	}
	r := &t.Rules[i]
	if r.Count++; r.Count > maxListed {
		return
	}
	r.Listed = append(r.Listed, Finding{Index: v.Index, Seen: v.Seen, By: v.By, About: v.About, Text: v.Text(), Cure: v.Cure})
}

func (t *totals) entries() uint64 {
	n := t.Unreadable
	for _, c := range t.Events {
		n += c
	}
	return n
}

func (t *totals) breaches() uint64 {
	n := uint64(0)
	for i := range t.Rules {
		if t.Rules[i].Kind == ledger.KindBreach.String() {
			n += t.Rules[i].Count
		}
	}
	return n
}
