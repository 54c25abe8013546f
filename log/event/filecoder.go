// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vasistas/vasistas/internal/strictjson"
)

// MaxCharterFile bounds a charter file, at ten times the size of an entry.
const MaxCharterFile = 512 << 10

// ParseCharterFile reads a charter as founders edit it: one strict JSON object
// (package strictjson) with the members of a charter's body and the log's origin as
// log. Members and lists may stand in any order; a duration is text such as 90d, and
// a policy is a list of its lines. The returned charter is sorted and valid. Errors
// wrap ErrMalformed and name line and member where possible.
func ParseCharterFile(b []byte) (log string, ch *Charter, err error) {
	if len(b) > MaxCharterFile {
		return "", nil, fmt.Errorf("%w: a charter file has at most %d bytes", ErrTooLarge, MaxCharterFile)
	}
	v, err := strictjson.Parse(b)
	if err != nil {
		return "", nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	ch = new(Charter)
	c := coder{mode: decoding, file: true}
	c.enter(v)
	c.braces(func() { charterFile(&c, &log, ch) })
	if c.err != nil {
		return "", nil, c.err
	}
	return log, ch, sortCharter(log, ch)
}

// ParseBodyFile reads the body of an event as a person writes it: one strict JSON object
// with the members that Parse expects, which, like their lists, may stand in any order.
// Event.Sort sorts and checks the body. Errors wrap ErrMalformed and name line and member
// where possible.
func ParseBodyFile(t Type, b []byte) (Body, error) {
	info := t.info()
	if info == nil {
		return nil, fmt.Errorf("%w: no type %q", ErrMalformed, t)
	}
	if len(b) > MaxCharterFile {
		return nil, fmt.Errorf("%w: the file of a body has at most %d bytes", ErrTooLarge, MaxCharterFile)
	}
	v, err := strictjson.Parse(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	body := info.body()
	c := coder{mode: decoding}
	c.enter(v)
	for i, name := range v.Names {
		if n := first(names, func(n *Name) bool { return n.Type == t && n.Name == name }); n != nil && c.err == nil {
			c.node = v.Values[i]
			c.fail(name, fmt.Errorf("it is a sealed value (%s), and no member of the body", n.Class))
			return nil, c.err
		}
	}
	c.braces(func() { body.fields(&c) })
	return body, c.err
}

// A Member is a row of docs/events.md: a member of a body.
type Member struct {
	Name, Kind, Doc string
}

// MemberReference is the kind of a member that names an entry.
const MemberReference = "reference"

// Members returns the members of a type's body, in the order of docs/events.md.
func Members(t Type) (out []Member) {
	info := t.info()
	if info == nil {
		return nil
	}
	c := new(coder)
	for _, r := range c.describe(func() { info.body().fields(c) }) {
		out = append(out, Member{r.name, r.kind, r.doc})
	}
	return out
}

// JSON returns what a file for ParseBodyFile has for a value of a command line: elements of a list
// stand between commas, and a reference is that of ParseReference. ParseBodyFile checks the value.
func (m Member) JSON(value string) (json.RawMessage, error) {
	plain := m.Kind == "boolean" || m.Kind == "true" || strings.HasPrefix(m.Kind, "integer")
	switch {
	case plain && json.Valid([]byte(value)):
		return json.RawMessage(value), nil
	case m.Kind == MemberReference:
		r, err := ParseReference(value)
		if err != nil {
			return nil, err
		}
		return json.Marshal(r)
	case strings.HasPrefix(m.Kind, "list of "):
		return json.Marshal(strings.Split(value, ","))
	}
	return json.Marshal(value)
}

// File returns the charter file in its one printed form. It sorts the charter's
// lists in place, as Event.Sort does.
func (ch *Charter) File(log string) ([]byte, error) {
	if err := sortCharter(log, ch); err != nil {
		return nil, err
	}
	return printFile(func(c *coder) { charterFile(c, &log, ch) })
}

// File returns the profile as it stands in a charter file.
func (p *Profile) File() ([]byte, error) { return printFile(p.fields) }

func charterFile(c *coder, log *string, ch *Charter) {
	code(c, "log", originKind, required, log, "origin of the log")
	ch.fields(c)
}

// sortCharter sorts and checks a charter.
func sortCharter(log string, ch *Charter) error {
	return (&Event{Type: TypeCharter, Log: log, ID: ID{1}, Time: time.Unix(0, 0).UTC(), Body: ch}).Sort()
}

func printFile(fields func(*coder)) ([]byte, error) {
	c := coder{mode: encoding, file: true}
	c.braces(func() { fields(&c) })
	if c.err != nil {
		return nil, c.err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, c.b, "", "  "); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// enter moves to a value of a file. It turns a scalar into canonical JSON, so one
// decoder checks scalars of events and files.
func (c *coder) enter(v *strictjson.Value) {
	c.node, c.b, c.i = v, nil, 0
	switch v.Kind {
	case '"':
		c.b = appendText(nil, v.Text)
	case '0', 't':
		c.b = []byte(v.Text)
	}
}

// enterMember moves to a member of the current object, if it exists.
func (c *coder) enterMember(name string) bool {
	v := c.object.Member(name)
	if v != nil {
		c.enter(v)
	}
	return v != nil
}

// readObject reads an object of a file. It first lists the allowed members, so that
// an error about a misspelled member comes before one about a missing member.
func (c *coder) readObject(f func()) {
	outer, object := c.object, c.node
	if object.Kind != '{' {
		c.fail("", errors.New("want an object, in braces"))
		return
	}
	known := c.describe(f)
	for i, name := range object.Names {
		if !slices.ContainsFunc(known, func(r row) bool { return r.name == name }) {
			var names []string
			for _, r := range known {
				names = append(names, r.name)
			}
			c.node = object.Values[i]
			c.fail(name, fmt.Errorf("no such member; the members here are %s", strings.Join(names, ", ")))
			return
		}
	}
	for _, r := range known {
		if r.presence == required && object.Member(r.name) == nil {
			c.fail(r.name, fmt.Errorf("it %w: %s", errMissing, r.doc))
			return
		}
	}
	c.object = object
	f()
	c.object = outer
}

// describe returns the rows of an object's own members.
func (c *coder) describe(f func()) []row {
	d := *c
	*c = coder{mode: describing}
	f()
	rows := slices.DeleteFunc(c.rows, func(r row) bool { return strings.Contains(r.name, ".") })
	*c = d
	return rows
}

// readNodes reads a list of a file.
func readNodes[T any](c *coder, limit int, v *[]T, elem func(*T, *coder)) {
	list := c.node
	switch {
	case list.Kind != '[':
		c.fail("", errors.New("want a list, in brackets"))
	case len(list.Values) == 0:
		c.fail("", errEmptyList)
	case len(list.Values) > limit:
		c.fail("", errLong)
	}
	for i, e := range list.Values {
		if c.err != nil {
			return
		}
		c.in(fmt.Sprintf("[%d]", i), func() {
			c.enter(e)
			*v = append(*v, *new(T))
			elem(&(*v)[i], c)
		})
	}
}

// inFile adds the line to the path of an error, and words the error for a file.
func (c *coder) inFile(path string, err error) (string, error) {
	switch {
	case errors.Is(err, errString):
		err = errors.New("want a string")
	case errors.Is(err, errEmptyList):
		err = errors.New("the list is empty: give an element, or leave out a member that is optional")
	}
	return fmt.Sprintf("line %d: %s", c.node.Line, strings.ReplaceAll(path, ".[", "[")), err
}

// policy codes a policy: in an event as one text, in a file as a list of lines.
func (c *coder) policy(name string, v *string, doc string) {
	if !c.file || c.mode == describing {
		c.text(name, "policy", required, maxPolicy, "\n", v, doc)
		return
	}
	var lines []string
	for line := range strings.Lines(*v) {
		lines = append(lines, strings.TrimSuffix(line, "\n"))
	}
	listOf(c, name, "", required, ordered, maxPolicy, &lines, doc, func(s *string, c *coder) {
		if err := c.textValue(maxPolicy, "", s); err != nil {
			c.fail("", err)
		}
	})
	if c.mode == decoding && c.err == nil {
		*v = strings.Join(lines, "\n") + "\n"
	}
}

var units = []struct {
	name    byte
	seconds uint64
}{{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}}

// formatDuration writes seconds with the largest unit that is exact: 90d, 36h, 10m
// or 45s.
func formatDuration(seconds uint64) string {
	for _, u := range units {
		if seconds > 0 && seconds%u.seconds == 0 {
			return fmt.Sprintf("%d%c", seconds/u.seconds, u.name)
		}
	}
	return "0s"
}

// Span says a number of seconds in words, by the largest unit and the next: 14 days, or 1 hour 30
// minutes. Smaller ones are cut off.
func Span(seconds uint64) string {
	var out []string
	for i, name := range []string{"day", "hour", "minute", "second"} {
		n := seconds / units[i].seconds
		seconds %= units[i].seconds
		if n == 1 {
			out = append(out, "1 "+name)
		} else if n > 1 {
			out = append(out, fmt.Sprintf("%d %ss", n, name))
		}
		if len(out) == 2 || len(out) == 1 && n == 0 {
			break
		}
	}
	if out == nil {
		return "0 seconds"
	}
	return strings.Join(out, " ")
}

// ParseDuration reads a whole number with a unit: s, m, h, or d for 86,400 seconds.
func ParseDuration(s string) (seconds uint64, err error) {
	for _, u := range units {
		text, ok := strings.CutSuffix(s, string(u.name))
		if !ok {
			continue
		}
		c := coder{b: []byte(text)}
		n, err := c.readUint()
		if err == nil && c.i == len(text) && n <= MaxInteger/u.seconds {
			return n * u.seconds, nil
		}
	}
	return 0, fmt.Errorf("%q is no duration like 90d, 6h, 10m or 45s", s)
}

func (c *coder) readDuration() (uint64, error) {
	if c.node.Kind != '"' {
		return 0, errors.New("want a duration in quotes, such as \"90d\", \"6h\", \"10m\" or \"45s\"")
	}
	return ParseDuration(c.node.Text)
}
