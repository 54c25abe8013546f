// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// MaxInteger is the largest integer in a payload: 2^53-1, the largest that
// every JSON reader holds exactly (RFC 8259, section 6).
const MaxInteger = 1<<53 - 1

const alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

const timeLayout = "2006-01-02T15:04:05Z"

var (
	std = base64.StdEncoding.Strict()
	url = base64.RawURLEncoding.Strict()

	errString = errors.New("want a string without unneeded escapes")
	errBase64 = errors.New("not canonical base64, or of a wrong length")
	errTime   = errors.New("want a time exactly as " + timeLayout)
	errCode   = errors.New("want a code: [a-z0-9][a-z0-9._-]{0,63}")
)

// uint codes an integer from low to MaxInteger. An optional one is absent
// when 0.
func (c *coder) uint(name string, p presence, low uint64, v *uint64, doc string) {
	c.number(name, p, low, MaxInteger, v, doc, false)
}

// seconds is uint for a duration, which has a unit in a file.
func (c *coder) seconds(name string, p presence, low, high uint64, v *uint64, doc string) {
	c.number(name, p, low, high, v, doc, c.file)
}

// count codes a number within a range.
func (c *coder) count(name string, high uint64, v *uint64, doc string) {
	c.number(name, required, 1, high, v, doc, false)
}

func (c *coder) number(name string, p presence, low, high uint64, v *uint64, doc string, unit bool) {
	if p == optional {
		low = max(low, 1)
	}
	kind := "integer"
	switch {
	case c.mode != describing:
	case high < MaxInteger:
		kind = fmt.Sprintf("integer, %d to %d", low, high)
	case low > 0:
		kind = fmt.Sprintf("integer, at least %d", low)
	}
	if !c.member(name, kind, p, p == required || *v != 0, doc) || c.mode == describing {
		return
	}
	if c.mode == decoding {
		read := c.readUint
		if unit {
			read = c.readDuration
		}
		n, err := read()
		if err != nil {
			c.fail(name, err)
			return
		}
		*v = n
	}
	if *v < low || *v > high {
		err := fmt.Errorf("integer %w", errRange)
		if high < MaxInteger {
			err = fmt.Errorf("%w (%d to %d)", err, low, high)
		}
		c.fail(name, err)
		return
	}
	switch {
	case c.encodes() && unit:
		c.b = append(c.b, `"`+formatDuration(*v)+`"`...)
	case c.encodes():
		c.b = strconv.AppendUint(c.b, *v, 10)
	}
}

func (c *coder) readUint() (uint64, error) {
	j := c.i
	var n uint64
	for j < len(c.b) && '0' <= c.b[j] && c.b[j] <= '9' {
		if n > MaxInteger {
			return 0, fmt.Errorf("integer %w", errRange)
		}
		n = n*10 + uint64(c.b[j]-'0')
		j++
	}
	if j == c.i || c.b[c.i] == '0' && j > c.i+1 || c.node != nil && j < len(c.b) {
		return 0, errors.New("want an integer without sign, fraction, exponent or leading zeros")
	}
	c.i = j
	return n, nil
}

// bool codes a required boolean.
func (c *coder) bool(name string, v *bool, doc string) {
	if !c.member(name, "boolean", required, true, doc) || c.mode == describing {
		return
	}
	switch {
	case c.encodes():
		c.b = strconv.AppendBool(c.b, *v)
	case bytes.HasPrefix(c.b[c.i:], []byte("true")):
		*v = true
		c.i += len("true")
	case bytes.HasPrefix(c.b[c.i:], []byte("false")):
		c.i += len("false")
	default:
		c.fail(name, errors.New("want true or false"))
	}
}

// flag codes an optional boolean that is true or absent.
func (c *coder) flag(name string, v *bool, doc string) {
	if !c.member(name, "true", optional, *v, doc) || c.mode == describing {
		return
	}
	if c.encodes() {
		c.b = append(c.b, "true"...)
		return
	}
	if !bytes.HasPrefix(c.b[c.i:], []byte("true")) {
		c.fail(name, errors.New("want true, or no such member"))
		return
	}
	*v = true
	c.i += len("true")
}

// plain reads a string that has no escapes, without copying it.
func (c *coder) plain() ([]byte, bool) {
	if !c.peek('"') {
		return nil, false
	}
	rest := c.b[c.i+1:]
	n := bytes.IndexByte(rest, '"')
	if n < 0 {
		return nil, false
	}
	c.i += n + 2
	return rest[:n], true
}

// A stringKind is a set of strings that need no JSON escapes.
type stringKind struct {
	name   string
	check  func(string) error
	values []string // all values, if they are few; decoding then allocates nothing
}

var (
	codeKind   = stringKind{name: "code", check: checkCode}
	originKind = stringKind{name: "origin", check: checkOrigin}
	vkeyKind   = stringKind{name: "verifier key", check: checkVKey}
	lawKind    = stringKind{name: "citation", check: checkCitation}
)

// string returns b as a string, without allocating if it is one of values.
func (k *stringKind) string(b []byte) string {
	for _, v := range k.values {
		if string(b) == v {
			return v
		}
	}
	return string(b)
}

func enumKind(values ...string) stringKind {
	list := strings.Join(values, ", ")
	return stringKind{"one of: " + list, func(s string) error {
		if slices.Contains(values, s) {
			return nil
		}
		return fmt.Errorf("want one of: %s", list)
	}, values}
}

// code codes a member that is a plain string of the kind.
func code[S ~string](c *coder, name string, k stringKind, p presence, v *S, doc string) {
	if c.member(name, k.name, p, *v != "", doc) && c.mode != describing {
		s := string(*v)
		c.plainValue(name, k, &s)
		*v = S(s)
	}
}

// codes codes a sorted list of plain strings.
func codes(c *coder, name string, k stringKind, p presence, limit int, v *[]string, doc string) {
	listOf(c, name, k.name+"s", p, sorted, limit, v, doc, func(s *string, c *coder) { c.plainValue("", k, s) })
}

func (c *coder) plainValue(name string, k stringKind, v *string) {
	if c.mode == decoding {
		s, ok := c.plain()
		if !ok {
			c.fail(name, errString)
			return
		}
		*v = k.string(s)
	}
	if err := k.check(*v); err != nil {
		c.fail(name, err)
		return
	}
	if c.encodes() {
		c.b = append(c.b, '"')
		c.b = append(c.b, *v...)
		c.b = append(c.b, '"')
	}
}

func checkCode(s string) error {
	if len(s) == 0 || len(s) > 64 {
		return errCode
	}
	for i := range len(s) {
		switch b := s[i]; {
		case 'a' <= b && b <= 'z', '0' <= b && b <= '9':
		case i > 0 && (b == '.' || b == '_' || b == '-'):
		default:
			return errCode
		}
	}
	return nil
}

// checkOrigin checks an origin or key name: 1 to 255 bytes of printable ASCII
// without space and plus (C2SP signed-note), quote and backslash.
func checkOrigin(s string) error {
	if len(s) == 0 || len(s) > 255 {
		return errors.New("origin must have 1 to 255 bytes")
	}
	for i := range len(s) {
		if b := s[i]; b <= ' ' || b > '~' || b == '+' || b == '"' || b == '\\' {
			return fmt.Errorf("origin must be printable ASCII without space, plus, quote and backslash")
		}
	}
	return nil
}

func checkCitation(s string) error {
	if len(s) == 0 || len(s) > 96 || s != strings.Trim(s, " ") || strings.Trim(s, alphanumeric+" .,()/-") != "" {
		return errors.New("want a citation: 1 to 96 letters, digits, spaces and .,()/-")
	}
	return nil
}

// text codes a string that may need JSON escapes: well-formed UTF-8 whose
// only control characters are those in allowed (of "\n\t").
func (c *coder) text(name, kind string, p presence, limit int, allowed string, v *string, doc string) {
	if c.member(name, kind, p, *v != "", doc) && c.mode != describing {
		if err := c.textValue(limit, allowed, v); err != nil {
			c.fail(name, err)
		}
	}
}

func (c *coder) textValue(limit int, allowed string, v *string) error {
	if c.mode == decoding {
		s, err := c.readText(limit)
		if err != nil {
			return err
		}
		*v = s
	}
	if err := checkText(*v, limit, allowed); err != nil {
		return err
	}
	if c.encodes() {
		c.b = appendText(c.b, *v)
	}
	return nil
}

func checkText(s string, limit int, allowed string) error {
	if len(s) == 0 || len(s) > limit {
		return fmt.Errorf("text must have 1 to %d bytes", limit)
	}
	if !utf8.ValidString(s) {
		return errors.New("text is not valid UTF-8")
	}
	for _, r := range s {
		if unicode.IsControl(r) && !strings.ContainsRune(allowed, r) {
			return fmt.Errorf("text has the control character %U", r)
		}
	}
	return nil
}

// appendText writes a string as in RFC 8785, section 3.2.2.2. Its only control
// characters are LF and tab, see checkText.
func appendText(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch s[i] {
		case '"', '\\':
			b = append(b, '\\', s[i])
		case '\n':
			b = append(b, '\\', 'n')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, s[i])
		}
	}
	return append(b, '"')
}

// readText reads what appendText writes, and no other escape.
func (c *coder) readText(limit int) (string, error) {
	if !c.peek('"') {
		return "", errString
	}
	j := c.i + 1
	for j < len(c.b) && j-c.i <= limit+1 && c.b[j] >= ' ' && c.b[j] != '"' && c.b[j] != '\\' {
		j++
	}
	out := c.b[c.i+1 : j : j] // up to the first escape it is the text itself
	for ; j < len(c.b) && len(out) <= limit; j++ {
		b := c.b[j]
		switch {
		case b == '"':
			c.i = j + 1
			return string(out), nil
		case b < ' ':
			return "", errString
		case b == '\\':
			j++
			if j == len(c.b) {
				return "", errString
			}
			i := strings.IndexByte(`"\nt`, c.b[j])
			if i < 0 {
				return "", errString
			}
			out = append(out, "\"\\\n\t"[i])
		default:
			out = append(out, b)
		}
	}
	return "", fmt.Errorf("text is unterminated or longer than %d bytes", limit)
}

// fixed codes bytes of a fixed length. An optional value is absent when all
// its bytes are zero.
func (c *coder) fixed(name, kind string, p presence, enc *base64.Encoding, v []byte, doc string) {
	if c.member(name, kind, p, p == required || !zero(v), doc) && c.mode != describing {
		c.fixedValue(name, enc, v)
		if p == optional && zero(v) {
			c.fail(name, errors.New("all zero stands for absent"))
		}
	}
}

func (c *coder) fixedValue(name string, enc *base64.Encoding, v []byte) {
	if c.encodes() {
		c.b = append(c.b, '"')
		c.b = enc.AppendEncode(c.b, v)
		c.b = append(c.b, '"')
		return
	}
	s, ok := c.plain()
	if !ok || len(s) != enc.EncodedLen(len(v)) {
		c.fail(name, errBase64)
		return
	}
	// Decode writes whole quanta, so it may need more room than v has.
	var room [48]byte
	if n, err := enc.Decode(room[:], s); err != nil || n != len(v) {
		c.fail(name, errBase64)
		return
	}
	copy(v, room[:])
}

// blob codes base64url bytes of 1 to limit length.
func (c *coder) blob(name string, limit int, v *[]byte) {
	if c.encodes() && (len(*v) == 0 || len(*v) > limit) {
		c.fail(name, fmt.Errorf("want 1 to %d bytes", limit))
		return
	}
	c.base64(name, url, limit, v)
}

// base64 codes bytes. It reads 1 to limit bytes.
func (c *coder) base64(name string, enc *base64.Encoding, limit int, v *[]byte) {
	if c.encodes() {
		c.b = append(c.b, '"')
		c.b = enc.AppendEncode(c.b, *v)
		c.b = append(c.b, '"')
		return
	}
	s, ok := c.plain()
	if !ok || len(s) == 0 || len(s) > enc.EncodedLen(limit) {
		c.fail(name, errBase64)
		return
	}
	out, err := appendDecode(nil, enc, s)
	if err != nil {
		c.fail(name, err)
		return
	}
	*v = out
}

// appendDecode decodes base64 that has one encoding. Package base64 skips line breaks, but they make
// the text too long.
func appendDecode(b []byte, enc *base64.Encoding, s []byte) ([]byte, error) {
	out, err := enc.AppendDecode(b, s)
	if err != nil || enc.EncodedLen(len(out)-len(b)) != len(s) {
		return b, errBase64
	}
	return out, nil
}

func zero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

// time codes a time; the zero time is absent.
func (c *coder) time(name string, p presence, v *time.Time, doc string) {
	if !c.member(name, "time", p, !v.IsZero(), doc) || c.mode == describing {
		return
	}
	if c.encodes() {
		if err := checkTime(*v); err != nil {
			c.fail(name, err)
			return
		}
		c.b = append(c.b, '"')
		c.b = v.AppendFormat(c.b, time.RFC3339) // of UTC the same as timeLayout, and fast
		c.b = append(c.b, '"')
		return
	}
	s, ok := c.plain()
	if !ok {
		c.fail(name, errString)
		return
	}
	t, err := parseTime(s)
	if err != nil {
		c.fail(name, err)
		return
	}
	*v = t
}

func parseTime(s []byte) (time.Time, error) {
	if len(s) != len(timeLayout) {
		return time.Time{}, errTime
	}
	// Package time accepts other forms, too.
	for i, b := range s {
		if want := timeLayout[i]; b != want && (!digit(want) || !digit(b)) {
			return time.Time{}, errTime
		}
	}
	var t time.Time
	if err := t.UnmarshalText(s); err != nil {
		return time.Time{}, fmt.Errorf("%w: no such time", errTime)
	}
	return t, checkTime(t)
}

func digit(b byte) bool { return '0' <= b && b <= '9' }

// checkTime checks that a time is UTC, in whole seconds, from 1970 to 9999.
func checkTime(t time.Time) error {
	if t.Nanosecond() != 0 || t.Location() != time.UTC || t.Unix() < 0 || t.Year() > 9999 {
		return errTime
	}
	return nil
}
