// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"cmp"
	"slices"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
)

// maxListed is how many verdicts of one way to break a rule are listed; all are
// counted.
const maxListed = 64

// totals is what was found in the entries below a size. It is part of a
// snapshot, so its encoding is.
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
	Unknown uint64 `json:"unknown"` // of keys that no charter named by then
}

// Rule is what was found against one rule, of one way to break it.
type Rule struct {
	Rule   string    `json:"rule"`
	Way    string    `json:"way"`
	Kind   string    `json:"kind"`   // breach, or "no effect"
	Count  uint64    `json:"count"`  // all of them
	Listed []Finding `json:"listed"` // the first 64
}

// Finding is a verdict about an entry.
type Finding struct {
	Index uint64           `json:"index"` // the entry at fault
	Seen  uint64           `json:"seen"`  // the entry at which it showed
	By    string           `json:"by"`    // who answers for it
	About *event.Reference `json:"about,omitempty"`
	Text  string           `json:"text"`
	Cure  string           `json:"cure,omitempty"` // what would cure it; absent: nothing does
}

// add counts an entry that was applied.
func (t *totals) add(l *ledger.Ledger, e *ledger.Entry, found []*ledger.Violation) {
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
	for _, v := range found {
		t.find(v)
	}
}

func (t *totals) find(v *ledger.Violation) {
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

// entries is how many entries were counted.
func (t *totals) entries() uint64 {
	n := t.Unreadable
	for _, c := range t.Events {
		n += c
	}
	return n
}

// breaches is how many breaches were found.
func (t *totals) breaches() uint64 {
	n := uint64(0)
	for i := range t.Rules {
		if t.Rules[i].Kind == ledger.KindBreach.String() {
			n += t.Rules[i].Count
		}
	}
	return n
}
