// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package strictjson reads JSON files that a person writes, and writes JSON as one line.
//
// encoding/json takes the last of two members of one name, ignores the case of names,
// and replaces invalid UTF-8, so two programs may read one file differently. This
// package refuses invalid UTF-8, all that is not RFC 8259 syntax, unpaired surrogates,
// a repeated name in an object, and null. Its errors name line, byte offset and member. It keeps
// the line of every value for the errors of others.
package strictjson

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ErrSyntax: a text is not strict JSON.
var ErrSyntax = errors.New("not strict JSON")

// A Value is one JSON value with its place in the text.
type Value struct {
	Kind       byte     // '{', '[', '"', '0' (a number) or 't' (true or false)
	Text       string   // a string's content; a number or boolean as written
	Names      []string // an object's names, as written
	Values     []*Value // an object's values in the order of Names, or a list's
	Line       int      // of its first byte, from 1
	Start, End int      // byte offsets in the text
}

// Member returns the value of this name in an object, or nil. v may be nil.
func (v *Value) Member(name string) *Value {
	if v == nil {
		return nil
	}
	if i := slices.Index(v.Names, name); i >= 0 {
		return v.Values[i]
	}
	return nil
}

// Elements returns the values of a list, and nil for any other value. v may be nil.
func (v *Value) Elements() []*Value {
	if v == nil || v.Kind != '[' {
		return nil
	}
	return v.Values
}

// Parse reads one value. The caller must bound the text. Errors wrap ErrSyntax.
func Parse(b []byte) (*Value, error) {
	// Check the syntax first, since Token accepts more than the grammar.
	at, wrong := syntax(b)
	p := &parser{b: b[:at], d: json.NewDecoder(bytes.NewReader(b[:at])), line: 1}
	p.d.UseNumber()
	v, err := p.value()
	if wrong != nil && (err == nil || p.ended) {
		p.count(at)
		return nil, p.fail(wrong)
	}
	return v, err
}

// syntax returns the length of the text without what breaks the syntax of JSON, and what is wrong
// there.
func syntax(b []byte) (int, error) {
	at, err := len(b), json.Unmarshal(b, new(json.RawMessage))
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
		if !strings.HasPrefix(err.Error(), "unexpected end") {
			at = int(syntax.Offset) - 1
		}
		for _, c := range cures {
			if strings.HasSuffix(err.Error(), c.problem) {
				err = fmt.Errorf("%w: %s", err, c.cure)
			}
		}
	}
	for i := 0; i < at; {
		r, size := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && size == 1 {
			return i, errors.New("not valid UTF-8")
		}
		i += size
	}
	return at, err
}

// cures say what to do about errors of encoding/json.
var cures = []struct{ problem, cure string }{
	{"looking for beginning of object key string", "a name in double quotes must stand there, and no comma before a }"},
	{"looking for beginning of value", "a value must stand there, text in double quotes, and no comma before a ]"},
	{"after object key", "a colon must stand between name and value"},
	{"after object key:value pair", "a comma must stand between members, and } at the end"},
	{"after array element", "a comma must stand between elements, and ] at the end"},
	{"after top-level value", "nothing may follow"},
	{"in string literal", "write it as \\n, \\t or \\u0000"},
	{"unexpected end of JSON input", "the file was cut off, or lacks a closing quote, bracket or brace"},
}

// Decode reads an object into the struct to which v points, which has a tag for each member. A
// member that the struct lacks, or has in another case, is refused. Errors wrap ErrSyntax.
func Decode(b []byte, v any) error {
	object, err := Parse(b)
	if err != nil {
		return err
	}
	if object.Kind != '{' {
		return fmt.Errorf("%w: want an object, in braces", ErrSyntax)
	}
	var names []string
	for _, f := range reflect.VisibleFields(reflect.TypeOf(v).Elem()) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			names = append(names, name)
		}
	}
	for i, name := range object.Names {
		if !slices.Contains(names, name) {
			return fmt.Errorf("%w: line %d: %s: no such member; the members here are %s", ErrSyntax, object.Values[i].Line, name, strings.Join(names, ", "))
		}
	}
	err = json.Unmarshal(b, v)
	if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
		at := object
		for name := range strings.SplitSeq(wrong.Field, ".") {
			at = cmp.Or(at.Member(name), at)
		}
		return fmt.Errorf("%w: line %d, byte %d: %s: want %s, not a JSON %s", ErrSyntax, at.Line, at.Start, wrong.Field, kind(wrong.Type), wrong.Value)
	} else if err != nil {
		return fmt.Errorf("%w: %w", ErrSyntax, err)
	}
	return nil
}

// kind names the JSON for a Go type.
func kind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Struct, reflect.Map, reflect.Pointer:
		return "an object"
	case reflect.Slice, reflect.Array:
		return "a list"
	}
	return "a number"
}

// Line returns v as one line of JSON, with its line feed. Unlike [json.Marshal], Line writes <, >
// and & as they are: no browser reads it as HTML.
func Line(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}

type parser struct {
	b     []byte
	d     *json.Decoder
	at    int    // bytes whose lines are counted
	line  int    // of at
	path  string // of the value that is read, such as a.b[2]; "": the whole text
	ended bool   // the text ended, or is no JSON
}

func (p *parser) fail(err error) error {
	path := ""
	if p.path != "" {
		path = p.path + ": "
	}
	return fmt.Errorf("%w: line %d, byte %d: %s%w", ErrSyntax, p.line, p.at, path, err)
}

// count moves to a place in the text and counts its line.
func (p *parser) count(to int) {
	p.line += bytes.Count(p.b[p.at:to], []byte("\n"))
	p.at = to
}

// token reads the next token as a value without content.
func (p *parser) token() (*Value, json.Token, error) {
	i := int(p.d.InputOffset())
	for i < len(p.b) && bytes.IndexByte([]byte(" \t\r\n,:"), p.b[i]) >= 0 {
		i++
	}
	p.count(i)
	t, err := p.d.Token()
	if err != nil {
		p.ended = true
		return nil, nil, p.fail(err)
	}
	return &Value{Line: p.line, Start: i, End: int(p.d.InputOffset())}, t, nil
}

func (p *parser) value() (*Value, error) {
	v, t, err := p.token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Delim:
		v.Kind = byte(t)
		return v, p.inside(v)
	case string:
		v.Kind, v.Text = '"', t
		return v, p.surrogates(p.b[v.Start:v.End])
	case json.Number:
		v.Kind, v.Text = '0', t.String()
	case bool:
		v.Kind, v.Text = 't', strconv.FormatBool(t)
	default:
		return nil, p.fail(errors.New("null: leave the member out"))
	}
	return v, nil
}

// inside reads an object or a list up to its end.
func (p *parser) inside(v *Value) error {
	outer := p.path
	for p.d.More() {
		path := fmt.Sprintf("%s[%d]", outer, len(v.Values))
		if v.Kind == '{' {
			name, err := p.value()
			if err != nil {
				return err
			}
			if first := v.Member(name.Text); first != nil {
				p.path = outer
				return p.fail(fmt.Errorf("%q stands twice in one object, first in line %d", name.Text, first.Line))
			}
			v.Names = append(v.Names, name.Text)
			path = strings.TrimPrefix(outer+"."+name.Text, ".")
		}
		p.path = path
		element, err := p.value()
		if err != nil {
			return err
		}
		v.Values = append(v.Values, element)
	}
	end, _, err := p.token()
	if err == nil {
		v.End, p.path = end.End, outer
	}
	return err
}

var (
	// whole matches what half could take for a half of a UTF-16 pair: an escaped backslash, after which
	// a u is an ordinary letter, and a whole pair.
	whole = regexp.MustCompile(`\\\\|\\u[dD][89abAB]..\\u[dD][c-fC-F]..`)
	half  = regexp.MustCompile(`\\u[dD][89a-fA-F]`)
)

// surrogates refuses a string with half of a UTF-16 pair, which encoding/json
// replaces by U+FFFD.
func (p *parser) surrogates(raw []byte) error {
	if half.Match(whole.ReplaceAll(raw, []byte(" "))) {
		return p.fail(errors.New("a string has half of a surrogate pair"))
	}
	return nil
}
