// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/vasistas/vasistas/internal/strictjson"
)

// Errors of parsers and encoders. Each error of a parser, and of an encoder that
// refuses its input, wraps ErrMalformed.
var (
	ErrMalformed = errors.New("malformed")
	ErrTooLarge  = fmt.Errorf("%w: too large", ErrMalformed)
)

var (
	errMissing   = errors.New("is missing")
	errAbsent    = errors.New("must be absent")
	errRange     = errors.New("out of range")
	errEmptyList = errors.New("an empty list must be absent")
	errUnsorted  = errors.New("list must be sorted by JSON text, without duplicates")
	errLong      = errors.New("too many elements")
)

type mode uint8

const (
	encoding   mode = iota // values in, canonical text out
	sorting                // encoding that also sorts the lists that must be sorted
	decoding               // canonical text in, values out
	describing             // nothing in, rows of documentation out
)

type presence bool

const (
	required presence = true
	optional presence = false
)

// A row documents one member.
type row struct {
	name, kind, doc string
	presence        presence
}

// A coder walks the members of a value in canonical order (RFC 8785, section
// 3.2.3) and encodes, decodes or describes each. The walk accepts no other order,
// so it finds unknown, duplicate and misplaced members without a map. Each reader
// accepts only what its writer writes: no later step compares the encoding with the input.
type coder struct {
	mode mode
	b    []byte // encoding: the output; decoding: the input
	i    int    // decoding: the next byte to read
	more bool   // the current object has a member already
	err  error  // the first error; the walk goes on without effect
	path []string
	rows []row
	room [6]string // for path, which is rarely longer

	// For a file that a person edits, see filecoder.go.
	file   bool              // durations have units, a policy is a list of lines
	node   *strictjson.Value // decoding a file: the value that is read
	object *strictjson.Value // decoding a file: the object whose members are read
}

// coders holds idle coders, since an event may have hundreds of openings.
var coders = sync.Pool{New: func() any { return new(coder) }}

// walk runs f with a coder, and returns the coder's text and where f stopped in it.
func walk(m mode, b []byte, f func(*coder)) ([]byte, int, error) {
	c := coders.Get().(*coder)
	c.mode, c.b, c.i, c.more = m, b, 0, false
	f(c)
	b, i, err := c.b, c.i, c.err
	c.b, c.err = nil, nil
	coders.Put(c) // not after a panic
	return b, i, err
}

// decode decodes a value from all of b.
func decode(b []byte, value func(*coder)) error {
	_, n, err := walk(decoding, b, value)
	if err == nil && n != len(b) {
		err = fmt.Errorf("%w: %d bytes after the end", ErrMalformed, len(b)-n)
	}
	return err
}

// read decodes an object from all of b.
func read(b []byte, fields func(*coder)) error {
	return decode(b, func(c *coder) { c.braces(func() { fields(c) }) })
}

// appendObject appends the encoding of an object.
func appendObject(m mode, b []byte, fields func(*coder)) ([]byte, error) {
	b, _, err := walk(m, b, func(c *coder) { c.braces(func() { fields(c) }) })
	return b, err
}

func (c *coder) encodes() bool { return c.mode <= sorting }

// fail records the first error, with the path of its member.
func (c *coder) fail(name string, err error) {
	if c.err != nil {
		return
	}
	path := c.path
	if name != "" {
		path = append(slices.Clone(path), name)
	}
	p := strings.Join(path, ".")
	if c.node != nil {
		p, err = c.inFile(p, err)
	}
	if p == "" {
		c.err = fmt.Errorf("%w: %w", ErrMalformed, err)
		return
	}
	c.err = fmt.Errorf("%w: %s: %w", ErrMalformed, p, err)
}

// member begins a member and reports whether the caller must code its value.
// present matters only when encoding.
func (c *coder) member(name, kind string, p presence, present bool, doc string) bool {
	if c.err != nil {
		return false
	}
	switch c.mode {
	case describing:
		if kind != "" {
			c.rows = append(c.rows, row{strings.Join(append(c.path, name), "."), kind, doc, p})
		}
		return true
	case decoding:
		if c.node != nil {
			return c.enterMember(name)
		}
		return c.readMember(name, p)
	}
	if !present {
		if p == required {
			c.fail(name, errMissing)
		}
		return false
	}
	if c.more {
		c.b = append(c.b, ',')
	}
	c.more = true
	c.b = append(c.b, '"')
	c.b = append(c.b, name...)
	c.b = append(c.b, '"', ':')
	return true
}

func (c *coder) readMember(name string, p presence) bool {
	j := c.i
	comma := !c.more
	if c.more && j < len(c.b) && c.b[j] == ',' {
		comma = true
		j++
	}
	n := len(name)
	if comma && len(c.b)-j >= n+3 && c.b[j] == '"' && string(c.b[j+1:j+1+n]) == name &&
		c.b[j+1+n] == '"' && c.b[j+2+n] == ':' {
		c.i = j + n + 3
		c.more = true
		return true
	}
	if p == required {
		c.fail(name, fmt.Errorf("%w, or stands after an unknown or misplaced member at byte %d", errMissing, c.i))
	}
	return false
}

// token appends or consumes one structural byte.
func (c *coder) token(t byte) {
	if c.err != nil || c.mode == describing {
		return
	}
	if c.encodes() {
		c.b = append(c.b, t)
		return
	}
	if !c.peek(t) {
		c.fail("", fmt.Errorf("want %q at byte %d (unknown, duplicate or misplaced member, or space)", t, c.i))
		return
	}
	c.i++
}

func (c *coder) peek(t byte) bool { return c.i < len(c.b) && c.b[c.i] == t }

// braces codes one object whose members f walks.
func (c *coder) braces(f func()) {
	if c.node != nil {
		c.readObject(f)
		return
	}
	saved := c.more
	c.token('{')
	c.more = false
	f()
	c.token('}')
	c.more = saved
}

// in runs f with name on the path that errors and documentation show.
func (c *coder) in(name string, f func()) {
	if c.path == nil {
		c.path = c.room[:0]
	}
	c.path = append(c.path, name)
	f()
	c.path = c.path[:len(c.path)-1]
}

// object codes a required object. With a kind, the object is documented under that
// name; without one, its members are documented in place.
func object[T any](c *coder, name, kind string, v *T, doc string, fields func(*T, *coder)) {
	ptr := v
	objectOpt(c, name, kind, required, &ptr, doc, fields)
}

// objectOpt codes a member that is absent when *v is nil.
func objectOpt[T any](c *coder, name, kind string, p presence, v **T, doc string, fields func(*T, *coder)) {
	show := kind
	if show == "" {
		show = "object"
	}
	if !c.member(name, show, p, *v != nil, doc) || (c.mode == describing && kind != "") {
		return
	}
	t := *v
	if t == nil {
		t = new(T)
	}
	if c.mode == decoding {
		*v = t
	}
	c.in(name, func() { c.braces(func() { fields(t, c) }) })
}

type order bool

const (
	sorted  order = true  // order has no meaning: sorted by JSON text, no duplicates
	ordered order = false // order has a meaning
)

// listOf codes a member that is a list of 1 to limit elements. Optional lists
// are absent when empty.
func listOf[T any](c *coder, name, kind string, p presence, o order, limit int, v *[]T, doc string, elem func(*T, *coder)) {
	show := ""
	if c.mode == describing {
		show = listKind(kind, o, limit)
	}
	if !c.member(name, show, p, len(*v) > 0, doc) {
		return
	}
	switch {
	case c.mode == describing:
		if kind == "" {
			c.in(name+"[]", func() { elem(new(T), c) })
		}
	case len(*v) > limit && c.encodes():
		c.fail(name, errLong)
	case c.node != nil:
		c.in(name, func() { readNodes(c, limit, v, elem) })
	case c.mode == decoding:
		c.in(name, func() { readList(c, o, limit, v, elem) })
	default:
		c.in(name, func() { writeList(c, o, *v, elem) })
	}
}

func listKind(kind string, o order, limit int) string {
	if kind == "" {
		kind = "objects"
	}
	s := fmt.Sprintf("list of %s, at most %d", kind, limit)
	if o == ordered {
		s += ", in order"
	}
	return s
}

func readList[T any](c *coder, o order, limit int, v *[]T, elem func(*T, *coder)) {
	c.token('[')
	if c.err == nil && c.peek(']') {
		c.fail("", errEmptyList)
	}
	strings := c.err == nil && c.peek('"')
	if strings { // few contain a comma or a bracket; a wrong guess costs no more than the input has
		*v = make([]T, 0, min(limit, bytes.Count(c.b[c.i:c.i+c.to(']')], []byte{','})+1))
	}
	var previous []byte
	for n := 0; c.err == nil; n++ {
		if n == limit {
			c.fail("", errLong)
			return
		}
		start := c.i
		var zero T
		*v = append(*v, zero)
		elem(&(*v)[n], c)
		if c.err != nil {
			return
		}
		text := c.b[start:c.i]
		if o == sorted && n > 0 && bytes.Compare(previous, text) >= 0 {
			c.fail("", errUnsorted)
			return
		}
		previous = text
		if n == 0 && !strings && c.peek(',') { // most elements are as long as the first
			*v = slices.Grow(*v, min(limit-1, (c.to(']')+1)/(len(text)+1)))
		}
		if !c.peek(',') {
			break
		}
		c.i++
	}
	c.token(']')
}

// to returns the distance to the next byte b, or to the end.
func (c *coder) to(b byte) int {
	rest := c.b[c.i:]
	if n := bytes.IndexByte(rest, b); n >= 0 {
		return n
	}
	return len(rest)
}

func writeList[T any](c *coder, o order, v []T, elem func(*T, *coder)) {
	c.token('[')
	first := len(c.b)
	var last, end int // the previous element is c.b[last:end]
	for n := range v {
		if n > 0 {
			c.token(',')
		}
		start := len(c.b)
		elem(&v[n], c)
		if c.err != nil {
			return
		}
		if o == sorted && n > 0 && bytes.Compare(c.b[last:end], c.b[start:]) >= 0 {
			if c.mode == sorting {
				c.b = c.b[:first-1]
				sortList(c, v, elem) // and the lists in it
				c.mode = encoding
				writeList(c, o, v, elem)
				c.mode = sorting
				return
			}
			c.fail("", errUnsorted)
			return
		}
		last, end = start, len(c.b)
	}
	c.token(']')
}

// sortList sorts v in place by the elements' JSON text.
func sortList[T any](c *coder, v []T, elem func(*T, *coder)) {
	type keyed struct {
		text []byte
		v    T
	}
	list := make([]keyed, len(v))
	for i := range v {
		sub := coder{mode: sorting, path: c.path}
		elem(&v[i], &sub)
		if c.err = sub.err; c.err != nil {
			return
		}
		list[i] = keyed{sub.b, v[i]}
	}
	slices.SortStableFunc(list, func(a, b keyed) int { return bytes.Compare(a.text, b.text) })
	for i := range v {
		v[i] = list[i].v
	}
}

// elements makes a list element out of an object's fields.
func elements[T any](fields func(*T, *coder)) func(*T, *coder) {
	return func(v *T, c *coder) { c.braces(func() { fields(v, c) }) }
}
