// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package forms says what becomes of each field of the forms and messages that carry an
// order: EPOC forms 1 and 3 (Regulation (EU) 2023/1543, annexes I and III), and the
// Authorisation, LITask and LDTask objects of ETSI TS 103 120. Each field goes to members
// of events, or is not kept, for a reason that its row states. docs/forms.md is rendered
// from these tables.
//
// No member of an event takes free text, and no case number or identifier is public, since a
// log can't erase them. So a converter asks this package where a value goes.
//
// Dictionaries of TS 103 120 are open lists: any owner may add a value. [Lookup] knows the
// entries of its table, and refuses every other one.
package forms

import (
	"errors"
	"fmt"
	"strings"

	"github.com/vasistas/vasistas/log/event"
)

// A Target is where the log keeps what a field says.
type Target struct {
	// Type is the event's type.
	Type event.Type
	// Member is a member of the body; time, sealed.until or signatures; or public.NAME or
	// subject.NAME for a sealed value of this class and name.
	Member string
	// Code is the member's value, a code of the profile eu or of the member's own list; "": the
	// field's own value.
	Code string
}

// String returns TYPE.MEMBER, or TYPE.MEMBER=CODE.
func (t Target) String() string {
	s := string(t.Type) + "." + t.Member
	if t.Code != "" {
		s += "=" + t.Code
	}
	return s
}

// targets reads a list of targets as String returns them, with spaces between them.
func targets(s string) (out []Target) {
	for _, f := range strings.Fields(s) {
		name, code, _ := strings.Cut(f, "=")
		t, member, _ := strings.Cut(name, ".")
		out = append(out, Target{event.Type(t), member, code})
	}
	return out
}

// A Field is one field of a form, or one element of an object.
type Field struct {
	Form    string   // the form or the type of the object
	Section string   // section of the form; "" in an object
	Name    string   // what the form asks for, in few words; or the element's path
	To      []Target // empty: no event keeps it
	Why     string   // why no event keeps it, or what else a converter must know
}

// row is a Field as the tables write it.
type row struct{ section, name, to, why string }

// Fields returns every field, in the order of the forms.
func Fields() (out []Field) {
	for _, f := range []struct {
		form string
		rows []row
	}{
		{"EPOC form 1", epoc1},
		{"EPOC form 3", epoc3},
		{"TS 103 120, every object", object},
		{"TS 103 120, AuthorisationObject", authorisation},
		{"TS 103 120, ApprovalDetails", approval},
		{"TS 103 120, LITaskObject", liTask},
		{"TS 103 120, LDTaskObject", ldTask},
	} {
		for _, r := range f.rows {
			out = append(out, Field{f.form, r.section, r.name, targets(r.to), r.why})
		}
	}
	return out
}

// An Entry is a dictionary entry of TS 103 120, and the element in which it stands. One
// dictionary serves elements that the authority writes (DesiredStatus) and elements that
// the provider writes (Status).
type Entry struct {
	Element            string // name of the element, without its prefix
	Owner, Name, Value string
}

// String returns ELEMENT OWNER/NAME/VALUE.
func (e Entry) String() string {
	return fmt.Sprintf("%s %s/%s/%s", e.Element, e.Owner, e.Name, e.Value)
}

// A Meaning is what an entry says to the log.
type Meaning struct {
	To  []Target // empty: no event
	Why string   // why no event, or when the entry is one
}

// ErrUnknownEntry is returned for an entry that the table lacks.
var ErrUnknownEntry = errors.New("forms: unknown dictionary entry")

// Lookup returns what an entry means. An unknown one is refused: its error wraps
// ErrUnknownEntry and names the entry.
func Lookup(e Entry) (Meaning, error) {
	for _, d := range dictionary {
		if d.Entry == e {
			return Meaning{targets(d.to), d.why}, nil
		}
	}
	return Meaning{}, fmt.Errorf("%w %q: add what it means to the table of package log/forms first", ErrUnknownEntry, e)
}

// Entries returns every entry that Lookup knows, in the table's order.
func Entries() []Entry {
	out := make([]Entry, len(dictionary))
	for i, d := range dictionary {
		out[i] = d.Entry
	}
	return out
}
