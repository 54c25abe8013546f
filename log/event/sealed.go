// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Class says to whom a sealed value is opened.
type Class string

// The classes.
const (
	ClassPublic  Class = "public"  // to everyone, by Until
	ClassSubject Class = "subject" // to the subject alone
)

// DecoyName is the name of an opening that hides how many there are. It may
// stand in each class that a type has.
const DecoyName = "_decoy"

// A Name is a row of the table of what a type seals.
type Name struct {
	Type     Type
	Class    Class
	Name     string
	Kind     ValueKind
	Min, Max int // how many openings of this name an event of this type has
	Doc      string
}

// names is the one table of what is sealed, in which class, and how often.
var names = []Name{
	{TypeWarrant, ClassPublic, "agency", KindCode, 1, 1, "who investigates"},
	{TypeWarrant, ClassPublic, "agencyKey", KindKey, 1, 1, "the agency's key: signs for recipient keys"},
	{TypeWarrant, ClassPublic, "grounds", KindCodes, 1, 1, "the profile's grounds"},
	{TypeWarrant, ClassSubject, "case", KindText, 1, 1, "case number"},
	{TypeWarrant, ClassSubject, "identifier", KindText, 0, MaxDigests, "one account of a subject; one opening each, so that a subject can be shown its own alone"},
	{TypeAccess, ClassPublic, "agency", KindCode, 0, 1, "who investigates; in an emergency only, when no warrant says it"},
	{TypeAccess, ClassPublic, "agencyKey", KindKey, 0, 1, "the agency's key; in an emergency only"},
	{TypeAccess, ClassPublic, "unit", KindCode, 1, 1, "the provider's unit that acts"},
	{TypeAccess, ClassSubject, "account", KindText, 1, MaxDigests, "one account; one opening each"},
	{TypeAccess, ClassSubject, "agencySignature", KindBytes, 1, 1, "the agency's signature over AgencyMessage"},
	{TypeAccess, ClassSubject, "package", KindDigest, 1, MaxDigests, "digest of one escrow package; one opening each"},
	{TypeDeferral, ClassPublic, "reasons", KindCodes, 0, 1, "the profile's reasons"},
}

// Names returns what an event of this type seals: the rows for its openings,
// by class and name. Empty when it seals nothing. Decoys are not listed.
func Names(t Type) []Name {
	return slices.DeleteFunc(slices.Clone(names), func(n Name) bool { return n.Type != t })
}

func seals(t Type, class Class) bool {
	return slices.ContainsFunc(names, func(n Name) bool { return n.Type == t && n.Class == class })
}

func lookupName(t Type, class Class, name string) *Name {
	for i, n := range names {
		if n.Type == t && n.Class == class && n.Name == name {
			return &names[i]
		}
	}
	return nil
}

// MinDigests returns the least number of digests that an event of this type
// has in this class: what the rule seal-limit asks for.
func MinDigests(t Type, class Class) int {
	n := 0
	for _, row := range names {
		if row.Type == t && row.Class == class {
			n += row.Min
		}
	}
	return n
}

// Sealed is the header's sealed section: digests of [Opening]s, by class.
type Sealed struct {
	Until   time.Time // by then everything in Public is opened, unless deferred
	Public  []Digest  // sorted; opened to everyone
	Subject []Digest  // sorted; opened to the subject alone
}

func (s *Sealed) fields(c *coder) {
	listOf(c, "public", "digests", optional, sorted, MaxDigests, &s.Public, "opened to everyone by until", digestElem)
	listOf(c, "subject", "digests", optional, sorted, MaxDigests, &s.Subject, "opened to the subject alone", digestElem)
	c.time("until", required, &s.Until, "by when the public digests are opened")
}

func digestElem(d *Digest, c *coder) { c.fixedValue("", url, d[:]) }

func (s *Sealed) check(t Type) error {
	if len(s.Public)+len(s.Subject) == 0 {
		return errors.New("no digests")
	}
	for _, class := range []Class{ClassPublic, ClassSubject} {
		if len(s.Digests(class)) > 0 && !seals(t, class) {
			return fmt.Errorf("a %s has no %s values to seal", t, class)
		}
	}
	return nil
}

// Digests returns the digests of one class.
func (s *Sealed) Digests(class Class) []Digest {
	switch {
	case s == nil:
		return nil
	case class == ClassPublic:
		return s.Public
	case class == ClassSubject:
		return s.Subject
	}
	return nil
}

// Errors of matching openings with an event.
var (
	ErrNoMatch    = errors.New("event: opening matches no digest of this class")
	ErrWrongName  = errors.New("event: opening's name or value is not one that this type seals in this class")
	ErrRepeated   = errors.New("event: opening given twice")
	ErrIncomplete = errors.New("event: not every digest of the class is opened as the type asks")
)

// Seal replaces the event's sealed section by the digests of these openings
// (fresh ones, and their decoys). until must be UTC in whole seconds. Fewer
// openings than [Names] asks for are an error here, though not to [Parse].
func (e *Event) Seal(until time.Time, public, subject []Opening) error {
	s := &Sealed{Until: until}
	for class, list := range map[Class]*[]Digest{ClassPublic: &s.Public, ClassSubject: &s.Subject} {
		openings := public
		if class == ClassSubject {
			openings = subject
		}
		for _, o := range openings {
			if err := e.checkName(class, o); err != nil {
				return err
			}
			d, err := o.Digest()
			if err != nil {
				return err
			}
			*list = append(*list, d)
		}
		if err := e.checkCounts(class, openings); err != nil {
			return err
		}
		SortDigests(*list)
	}
	before := e.Sealed
	e.Sealed = s
	if _, err := e.Bytes(); err != nil {
		e.Sealed = before
		return err
	}
	return nil
}

// Match checks that each opening opens one digest of the class, under a name
// and with a value that the type allows, and returns the digests that are
// still closed, in their order. Any bad opening fails the whole call:
// ErrNoMatch, ErrWrongName or ErrRepeated.
func (e *Event) Match(class Class, openings []Opening) (closed []Digest, err error) {
	digests := e.Sealed.Digests(class)
	find := finder(digests)
	open := make([]bool, len(digests))
	for _, o := range openings {
		if err := e.checkName(class, o); err != nil {
			return nil, err
		}
		d, err := o.Digest()
		if err != nil {
			return nil, err
		}
		i := find(d)
		if i < 0 {
			return nil, fmt.Errorf("%w: %s %s", ErrNoMatch, class, o.Name)
		}
		if open[i] {
			return nil, fmt.Errorf("%w: %s %s", ErrRepeated, class, o.Name)
		}
		open[i] = true
	}
	for i, d := range digests {
		if !open[i] {
			closed = append(closed, d)
		}
	}
	return closed, nil
}

// finder returns a function that returns the place of a digest in list, or -1. Most
// lists are so short that looking at each is quicker than a map.
func finder(list []Digest) func(Digest) int {
	if len(list) <= 16 {
		return func(d Digest) int { return slices.Index(list, d) }
	}
	at := make(map[Digest]int, len(list))
	for i, d := range list {
		at[d] = i
	}
	return func(d Digest) int {
		if i, ok := at[d]; ok {
			return i
		}
		return -1
	}
}

// MatchAll is Match that also wants every digest of the class opened, decoys
// too, and as many openings of each name as the type has; otherwise
// ErrIncomplete.
func (e *Event) MatchAll(class Class, openings []Opening) error {
	closed, err := e.Match(class, openings)
	if err != nil {
		return err
	}
	if len(closed) > 0 {
		return fmt.Errorf("%w: %d of %d %s digests closed", ErrIncomplete, len(closed), len(e.Sealed.Digests(class)), class)
	}
	return e.checkCounts(class, openings)
}

func (e *Event) checkName(class Class, o Opening) error {
	if o.Name == DecoyName && seals(e.Type, class) {
		return o.Value.check(KindDecoy)
	}
	n := lookupName(e.Type, class, o.Name)
	if n == nil {
		return fmt.Errorf("%w: %s %s %s", ErrWrongName, e.Type, class, o.Name)
	}
	if err := o.Value.check(n.Kind); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrWrongName, o.Name, err)
	}
	return nil
}

func (e *Event) checkCounts(class Class, openings []Opening) error {
	for i := range names {
		n := &names[i]
		if n.Type != e.Type || n.Class != class {
			continue
		}
		got := 0
		for j := range openings {
			if openings[j].Name == n.Name {
				got++
			}
		}
		if got < n.Min || got > n.Max {
			return fmt.Errorf("%w: %d %s openings named %s, want %d to %d", ErrIncomplete, got, class, n.Name, n.Min, n.Max)
		}
	}
	return nil
}

// SortDigests sorts as a payload wants it: by base64url text.
func SortDigests(list []Digest) {
	slices.SortFunc(list, compareDigests)
}

// compareDigests orders by text. base64url's alphabet is not in ASCII order,
// so this is not the order of the bytes.
func compareDigests(a, b Digest) int {
	var x, y [43]byte
	url.Encode(x[:], a[:])
	url.Encode(y[:], b[:])
	return bytes.Compare(x[:], y[:])
}
