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

// entries is the list of entries.
func entries(q *Request) (*Answer, error) {
	f, page, err := q.entryFilter()
	if err != nil {
		return nil, err
	}
	v, err := q.indexed()
	if err != nil {
		return nil, err
	}
	defer v.Close()
	found, err := v.Entries(q.HTTP.Context(), f)
	if err != nil {
		return nil, err
	}
	l := &list[entryRow]{}
	l.filter.q, l.First, l.Total, l.Page = q, f.Offset+1, found.Total, page
	l.CSV = q.export("entries.csv", v.Size())
	if err := q.entryChoices(v, &l.filter); err != nil {
		return nil, err
	}
	for _, e := range found.Rows {
		l.Rows = append(l.Rows, q.entryRow(e))
	}
	l.Columns = q.columns(f.Window, [2]string{"list.index", "index"}, [2]string{"list.type"}, [2]string{"list.party"}, [2]string{"list.what"},
		[2]string{"list.after"}, [2]string{"list.claimed"}, [2]string{"list.verdict"})
	return q.fixed(v, "entries", l), nil
}

// entryFilter returns the filter of a request for entries.
func (q *Request) entryFilter() (f index.Filter, page uint64, err error) {
	if f.Window, page, err = q.window("index"); err != nil {
		return f, 0, err
	}
	if t := event.Type(q.Get("type")); t != "" {
		f.Types = []event.Type{t}
	}
	if f.From, f.To, err = monthOf(q.Get("month")); err != nil {
		return f, 0, err
	}
	f.Verdict = index.Verdict(q.Get("verdict"))
	if by := q.Get("party"); by != "" {
		role, name, ok := strings.Cut(by, " ")
		if !ok || !isRole(role) {
			return f, 0, errFilter
		}
		f.Names = append(f.Names, facts.Name{Member: role, Value: name})
	}
	for _, member := range []string{"instrument", "category", "offence"} {
		if s := q.Get(member); s != "" {
			f.Names = append(f.Names, facts.Name{Member: member, Value: s})
		}
	}
	return f, page, nil
}

var verdicts = []index.Verdict{index.Kept, index.Breach, index.NoEffect, index.Unreadable}

// verdict returns the text of a verdict.
func (l *Lang) verdict(v index.Verdict) string {
	return l.named("verdict.", strings.ReplaceAll(string(v), " ", "-"))
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
	var types, parties, found []option
	for _, t := range event.Types() {
		types = append(types, option{string(t), q.T("type." + string(t))})
	}
	f.choose("type", "list.type", types...)
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
	for _, member := range []string{"instrument", "offence", "category"} {
		values, err := v.Values(q.HTTP.Context(), "", member)
		if err != nil {
			return err
		}
		found = nil
		for _, value := range values {
			found = append(found, option{value, q.Name(member, value)})
		}
		f.choose(member, "list."+member, found...)
	}
	found = nil
	for _, verdict := range verdicts {
		found = append(found, option{string(verdict), q.verdict(verdict)})
	}
	f.choose("verdict", "list.verdict", found...)
	return nil
}

// kind names a type of entries.
func (l *Lang) kind(t event.Type) string {
	if t == "" {
		return l.T("type.unreadable")
	}
	return l.named("type.", string(t))
}

// entryRow puts an entry into words.
func (q *Request) entryRow(e index.Entry) entryRow {
	r := entryRow{Entry: e, Kind: q.kind(e.Type), Party: q.signers(&e)}
	for _, n := range e.Names {
		if !isRole(n.Member) {
			r.States = append(r.States, labelled{Label: q.named("field.", n.Member), Text: q.code(n.Member, n.Value)})
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
