// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package desk

import (
	"slices"
	"strings"

	"github.com/vasistas/vasistas/client/monitor/facts"
	"github.com/vasistas/vasistas/client/monitor/index"
	"github.com/vasistas/vasistas/log/event"
)

// An entryRow is an entry in a list, in the words of a language.
type entryRow struct {
	index.Entry
	Kind   string // its type
	Party  string // who signed
	States []labelled
}

// labelled is a text with a label, and a link if it is about an entry.
type labelled struct{ Label, Text, Link string }

// exportedMembers are those that have a column in an export.
var exportedMembers = []string{"addressed", "decision", "instrument", "offence", "category", "emergency", "group", "scope", "reason", "outcome", "ground", "rule", "state", "agency"}

// entryListing is the list of entries.
func entryListing(q *Request) (*listing[index.Entry, entryRow], error) {
	f, err := q.entryFilter()
	columns := []string{"list.index", "list.type", "list.party", "list.after", "list.before", "list.claimed", "list.verdict"}
	for _, m := range exportedMembers {
		columns = append(columns, "field."+m)
	}
	return &listing[index.Entry, entryRow]{
		read: func(v *index.View, w index.Window) (index.Page[index.Entry], error) {
			f.Window = w
			return v.Entries(q.HTTP.Context(), f)
		},
		choices: q.entryChoices,
		heads: []head{{"list.index", "index"}, {key: "list.type"}, {key: "list.party"}, {key: "list.what"}, {key: "list.after"}, {key: "list.claimed"},
			{key: "list.verdict"}},
		row:     func(_ *index.View, e *index.Entry) entryRow { return q.entryRow(*e) },
		columns: append(columns, "type.access", "type.warrant", "field.court", "entry.leaf"),
		cells: func(e *index.Entry) []string {
			cells := []string{q.Number(e.Index), q.kind(e.Type), q.signers(e), stamp(e.After), stamp(e.Before), stamp(e.Claimed), q.Judged(*e)}
			for _, m := range exportedMembers {
				cells = append(cells, values(e.Names, m))
			}
			return append(cells, number(e.Access), number(e.Warrant), clean(e.Court), e.Leaf.String())
		},
	}, err
}

// entryFilter returns the filter of a request for entries.
func (q *Request) entryFilter() (f index.Filter, err error) {
	if t := event.Type(q.Get("type")); t != "" {
		f.Types = []event.Type{t}
	}
	if f.From, f.To, err = monthOf(q.Get("month")); err != nil {
		return f, err
	}
	f.Verdict = index.Verdict(q.Get("verdict"))
	if by := q.Get("party"); by != "" {
		role, name, ok := strings.Cut(by, " ")
		if !ok || !isRole(role) {
			return f, errFilter
		}
		f.Names = append(f.Names, facts.Name{Member: role, Value: name})
	}
	for _, member := range filteredMembers {
		if s := q.Get(member); s != "" {
			f.Names = append(f.Names, facts.Name{Member: member, Value: s})
		}
	}
	return f, nil
}

// filteredMembers are those by which entries can be filtered.
var filteredMembers = []string{"instrument", "offence", "category"}

var verdicts = []index.Verdict{index.Kept, index.Breach, index.NoEffect, index.Unreadable}

// verdict returns the text of a verdict.
func (l *Lang) verdict(v index.Verdict) string {
	return l.Name("verdict.", strings.ReplaceAll(string(v), " ", "-"))
}

// Judged returns the text of an entry's verdict, or of a breach that a later entry has shown.
func (l *Lang) Judged(e index.Entry) string {
	if e.Broken && e.Verdict == index.Kept {
		return l.T("verdict.later")
	}
	return l.verdict(e.Verdict)
}

// entryChoices adds what entries can be filtered by.
func (q *Request) entryChoices(v *index.View, f *filter) error {
	f.choose("type", "list.type", options(event.Types(), q.kind)...)
	var parties []option
	for _, role := range roles {
		names, err := v.Values(q.HTTP.Context(), "", string(role))
		if err != nil {
			return err
		}
		for _, name := range names[:min(len(names), maxOptions/2)] {
			by := string(role) + " " + name
			parties = append(parties, option{by, q.T("by."+string(role), name)})
		}
	}
	f.choose("party", "list.party", parties...)
	months, err := q.months(v)
	if err != nil {
		return err
	}
	f.choose("month", "list.month", months...)
	for _, member := range filteredMembers {
		values, err := v.Values(q.HTTP.Context(), "", member)
		if err != nil {
			return err
		}
		f.choose(member, "list."+member, options(values, func(value string) string { return q.Name(member+".", value) })...)
	}
	f.choose("verdict", "list.verdict", options(verdicts, q.verdict)...)
	return nil
}

// kind names a type of entries.
func (l *Lang) kind(t event.Type) string {
	if t == "" {
		return l.T("type.unreadable")
	}
	return l.Name("type.", string(t))
}

// entryRow puts an entry into words.
func (q *Request) entryRow(e index.Entry) entryRow {
	r := entryRow{Entry: e, Kind: q.kind(e.Type), Party: q.signers(&e)}
	for _, n := range e.Names {
		if !isRole(n.Member) {
			r.States = append(r.States, labelled{Label: q.Name("field.", n.Member), Text: q.code(n.Member, n.Value)})
		}
	}
	if e.Agency != "" && !slices.ContainsFunc(e.Names, func(n facts.Name) bool { return n.Member == "agency" }) {
		r.States = append(r.States, labelled{Label: q.T("field.agency"), Text: clean(e.Agency)})
	}
	about := func(t event.Type, index uint64, more string) {
		if index > 0 {
			r.States = append(r.States, labelled{q.kind(t), q.N(index) + more, q.Link("entry/" + number(index))})
		}
	}
	about(event.TypeAccess, e.Access, "")
	court := ""
	if e.Court != "" {
		court = " (" + clean(e.Court) + ")"
	}
	about(event.TypeWarrant, e.Warrant, court)
	return r
}
