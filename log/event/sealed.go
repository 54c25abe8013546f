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

// A Class says who may read a sealed value once it is opened.
type Class string

// The classes.
const (
	ClassPublic  Class = "public"  // everyone, by Until
	ClassSubject Class = "subject" // the subject alone
)

// DecoyName is the name of an opening that hides how many values are sealed. Each
// class that a type has may hold decoys.
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

// names is the table of all sealed values.
var names = []Name{
	{TypeWarrant, ClassPublic, "agency", KindCode, 1, 1, "the investigating agency"},
	{TypeWarrant, ClassPublic, "agencyKey", KindKey, 1, 1, "the agency's key, which claims recipient keys"},
	{TypeWarrant, ClassPublic, "grounds", KindCodes, 1, 1, "the profile's grounds"},
	{TypeWarrant, ClassPublic, "dataPeriods", KindPeriods, 0, 1, "the periods of the data that it asks for, never its window"},
	{TypeWarrant, ClassPublic, "extends", KindReference, 0, 1, "an earlier warrant that it extends; it moves no date"},
	{TypeWarrant, ClassPublic, "proceeding", KindDigest, 0, 1, "the authority's tag of its proceeding; equal tags of one authority are one proceeding"},
	{TypeWarrant, ClassSubject, "case", KindText, 1, 1, "case number"},
	{TypeWarrant, ClassSubject, "identifier", KindText, 0, MaxDigests, "an account of a subject; one opening for each, so that a subject sees only its own"},
	{TypeAccess, ClassPublic, "agency", KindCode, 0, 1, "the investigating agency; only in an emergency, which has no warrant"},
	{TypeAccess, ClassPublic, "agencyKey", KindKey, 0, 1, "the agency's key; only in an emergency"},
	{TypeAccess, ClassPublic, "unit", KindCode, 1, 1, "the acting unit of the provider"},
	{TypeAccess, ClassSubject, "account", KindText, 1, MaxDigests, "an account; one opening for each"},
	{TypeAccess, ClassSubject, "agencySignature", KindBytes, 1, 1, "the agency's signature over AgencyMessage"},
	{TypeAccess, ClassSubject, "package", KindDigest, 1, MaxDigests, "digest of an escrow package; one opening for each"},
	{TypeDeferral, ClassPublic, "reasons", KindCodes, 0, 1, "the profile's reasons"},
}

// Names returns the values that an event of this type seals, by class and name:
// none if it seals nothing. Decoys are not listed.
func Names(t Type) []Name {
	return slices.DeleteFunc(slices.Clone(names), func(n Name) bool { return n.Type != t })
}

func seals(t Type, class Class) bool {
	return slices.ContainsFunc(names, func(n Name) bool { return n.Type == t && n.Class == class })
}

func lookupName(t Type, class Class, name string) *Name {
	return first(names, func(n *Name) bool { return n.Type == t && n.Class == class && n.Name == name })
}

// MinDigests returns the least number of digests of this class in an event of this
// type, as the rule seal-limit requires.
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
	Until   time.Time // when everything in Public is due to be opened, unless deferred
	Public  []Digest  // sorted; opened to everyone
	Subject []Digest  // sorted; opened to the subject alone
}

func (s *Sealed) fields(c *coder) {
	listOf(c, "public", "digests", optional, sorted, MaxDigests, &s.Public, "opened to everyone by until", digestElem)
	listOf(c, "subject", "digests", optional, sorted, MaxDigests, &s.Subject, "opened to the subject alone", digestElem)
	c.time("until", required, &s.Until, "when the public digests are due to be opened")
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
	ErrNoMatch    = errors.New("opening matches no digest of this class")
	ErrWrongName  = errors.New("this type of event seals no such name or value there")
	ErrRepeated   = errors.New("opening given twice")
	ErrIncomplete = errors.New("openings are missing")
)

// Seal replaces the event's sealed section by the digests of these openings, which
// must be fresh and include the decoys. until must be UTC in whole seconds. Seal
// requires as many openings as [Names] lists, though [Parse] doesn't.
func (e *Event) Seal(until time.Time, public, subject []Opening) error {
	openDigests, err := e.digests(ClassPublic, public)
	if err != nil {
		return err
	}
	subjectDigests, err := e.digests(ClassSubject, subject)
	if err != nil {
		return err
	}
	before := e.Sealed
	e.Sealed = &Sealed{until, openDigests, subjectDigests}
	if _, err := e.Bytes(); err != nil {
		e.Sealed = before
		return err
	}
	return nil
}

// digests checks all openings of a class and returns their digests, sorted.
func (e *Event) digests(class Class, openings []Opening) (out []Digest, err error) {
	for i := range openings {
		if err := e.checkName(class, &openings[i]); err != nil {
			return nil, err
		}
		d, err := openings[i].Digest()
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	SortDigests(out)
	return out, e.checkCounts(class, openings)
}

// Match checks that each opening opens one digest of the class, under a name
// and with a value that the type allows, and returns the digests that are
// still closed, in their order. Any bad opening fails the whole call:
// ErrNoMatch, ErrWrongName or ErrRepeated.
func (e *Event) Match(class Class, openings []Opening) (closed []Digest, err error) {
	return e.match(class, openings, nil)
}

// match is Match. known has the openings' digests, or is nil.
func (e *Event) match(class Class, openings []Opening, known []Digest) (closed []Digest, err error) {
	digests := e.Sealed.Digests(class)
	find := finder(digests)
	var room [64]bool
	open := room[:]
	if len(digests) > len(room) {
		open = make([]bool, len(digests))
	}
	for i := range openings {
		o := &openings[i]
		if err := e.checkName(class, o); err != nil {
			return nil, err
		}
		var d Digest
		if known != nil {
			d = known[i]
		} else if d, err = o.Digest(); err != nil {
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

// finder returns a function that returns the index of a digest in list, or -1. A
// linear search is quicker than a map for most lists.
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

// MatchAll is Match with ErrIncomplete unless every digest of the class is opened,
// including decoys, with as many openings of each name as the type has.
func (e *Event) MatchAll(class Class, openings []Opening) error {
	return e.matchAll(class, openings, nil)
}

func (e *Event) matchAll(class Class, openings []Opening, known []Digest) error {
	closed, err := e.match(class, openings, known)
	if err != nil {
		return err
	}
	if len(closed) > 0 {
		return fmt.Errorf("%w: %d of %d %s digests closed", ErrIncomplete, len(closed), len(e.Sealed.Digests(class)), class)
	}
	return e.checkCounts(class, openings)
}

func (e *Event) checkName(class Class, o *Opening) error {
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

// SortDigests sorts as a payload requires: by base64url text.
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
