// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// MaxOpeningSize bounds the text of one opening.
const MaxOpeningSize = 2048

// Bounds of an opening's value.
const (
	maxTextValue  = 512
	maxListValues = 16
	maxBytesValue = 1024
)

// A ValueKind is a set of values that an opening of some name may have.
type ValueKind string

// The kinds. KindText is the only kind of free text: it names a case or an account
// and is never opened to the public. Texts are compared byte by byte, so a sealed
// account must have the exact form that the service uses.
const (
	KindCode      ValueKind = "code"      // string: a code
	KindCodes     ValueKind = "codes"     // list of 1 to 16 codes, sorted
	KindPeriods   ValueKind = "periods"   // list of 1 to 16 periods, sorted and apart: see Period
	KindText      ValueKind = "text"      // string: 1 to 512 bytes of UTF-8 without control characters
	KindBytes     ValueKind = "bytes"     // string: base64url of 1 to 1,024 bytes
	KindDigest    ValueKind = "digest"    // string: base64url of 32 bytes
	KindKey       ValueKind = "key"       // string: base64url of a SubjectPublicKeyInfo
	KindReference ValueKind = "reference" // string: an entry of this log, see Reference.String
	KindDecoy     ValueKind = "decoy"     // the integer 0, without meaning
)

// A Value is the value of an opening: a string, a sorted list of codes or periods, or
// the integer 0 of a decoy, which is the zero Value.
type Value struct {
	text string
	list []string
}

// Text makes a string value: a text, a code, or encoded bytes.
func Text(s string) Value { return Value{text: s} }

// Bytes makes a string value of base64url bytes.
func Bytes(b []byte) Value { return Value{text: url.EncodeToString(b)} }

// Codes makes a list value, sorted and without duplicates.
func Codes(codes ...string) Value {
	list := slices.Clone(codes)
	slices.Sort(list)
	return Value{list: slices.Compact(list)}
}

// Text returns the string, or "" if the value is not a string.
func (v Value) Text() string { return v.text }

// Codes returns a copy of the list of codes or of the texts of periods, nil if the value is not
// a list.
func (v Value) Codes() []string { return slices.Clone(v.list) }

// Bytes decodes a value of kind bytes, digest or key.
func (v Value) Bytes() ([]byte, error) {
	out, err := appendDecode(nil, url, []byte(v.text))
	if err != nil || len(out) == 0 || len(out) > maxBytesValue {
		return nil, fmt.Errorf("%w: value: %w", ErrMalformed, errBase64)
	}
	return out, nil
}

// Key decodes a value of kind key.
func (v Value) Key() (*PublicKey, error) {
	der, err := v.Bytes()
	if err != nil {
		return nil, err
	}
	return ParsePublicKey(der)
}

func (v Value) check(k ValueKind) error {
	isText, isList := v.text != "", len(v.list) > 0
	switch {
	case k == KindDecoy:
		if isText || isList {
			return errors.New("a decoy's value is 0")
		}
		return nil
	case k == KindCodes || k == KindPeriods:
		if !isList || isText {
			return fmt.Errorf("want a list of %s", k)
		}
		return checkList(k, v.list)
	case !isText || isList:
		return errors.New("want a string")
	}
	switch k {
	case KindCode:
		return checkCode(v.text)
	case KindText:
		return checkText(v.text, maxTextValue, "")
	case KindDigest:
		_, err := ParseDigest(v.text)
		return err
	case KindKey:
		der, err := v.Bytes()
		if err == nil {
			_, _, err = parseSPKI(der)
		}
		return err
	case KindReference:
		_, err := ParseReference(v.text)
		return err
	default:
		_, err := v.Bytes()
		return err
	}
}

func (v *Value) code(c *coder) {
	if c.encodes() {
		switch {
		case v.text != "" && len(v.list) > 0:
			c.fail("value", errBoth)
		case len(v.list) > maxListValues:
			c.fail("value", errLong)
		case v.text != "":
			v.codeText(c)
		case len(v.list) > 0:
			writeList(c, sorted, v.list, listElem)
		default:
			c.b = append(c.b, '0')
		}
		return
	}
	switch {
	case c.peek('"'):
		v.codeText(c)
	case c.peek('['):
		readList(c, sorted, maxListValues, &v.list, listElem)
	case c.peek('0'):
		c.i++
	default:
		c.fail("value", errors.New("want a string, a list of codes or periods, or 0"))
	}
}

func (v *Value) codeText(c *coder) {
	if err := c.textValue(url.EncodedLen(maxBytesValue), "", &v.text); err != nil {
		c.fail("value", err)
	}
}

// listElem codes an element of a list; its kind is not known yet.
func listElem(s *string, c *coder) { c.plainValue("", elemKind, s) }

var elemKind = stringKind{name: "code or period", check: func(s string) error {
	if strings.Contains(s, "/") {
		_, err := parsePeriod(s)
		return err
	}
	return checkCode(s)
}}

func codeElem(s *string, c *coder) { c.plainValue("", codeKind, s) }

// An Opening is a sealed value with its salt and name: a disclosure of RFC 9901,
// section 4.2.1, in JCS form. Deleting the salt erases the value.
type Opening struct {
	Salt  [16]byte // fresh for every opening, always
	Name  string   // one of Names, or DecoyName
	Value Value
}

// String describes the value and leaves out its secrets.
func (o Opening) String() string { return "opening of " + o.Name }

// GoString is String.
func (o Opening) GoString() string { return o.String() }

// NewOpening makes an opening with a fresh 128-bit salt.
func NewOpening(name string, value Value) Opening {
	o := Opening{Name: name, Value: value}
	rand.Read(o.Salt[:])
	return o
}

// Decoy makes an opening without meaning, which hides how many values are sealed.
func Decoy() Opening { return NewOpening(DecoyName, Value{}) }

var openingName = stringKind{"name", func(s string) error {
	if slices.Contains(openingNames, s) {
		return nil
	}
	return errors.New("unknown name")
}, openingNames}

var openingNames = func() []string {
	out := []string{DecoyName}
	for _, n := range names {
		out = append(out, n.Name)
	}
	return out
}()

func (o *Opening) code(c *coder) {
	c.token('[')
	c.fixedValue("salt", url, o.Salt[:])
	c.token(',')
	if c.err == nil {
		c.plainValue("name", openingName, &o.Name)
	}
	c.token(',')
	if c.err == nil {
		o.Value.code(c)
	}
	c.token(']')
	if c.err == nil && (o.Name == DecoyName) != (o.Value.text == "" && o.Value.list == nil) {
		c.fail("value", errors.New("0 is the value of decoys, and of decoys only"))
	}
}

// Encode returns the disclosure text: base64url(JCS [salt, name, value]). It fails
// if no event type seals such a name or value.
func (o Opening) Encode() (string, error) {
	b, err := o.appendTo(nil)
	return string(b), err
}

// appendTo appends the disclosure text.
func (o *Opening) appendTo(b []byte) ([]byte, error) {
	buf := scratch.Get().(*[]byte)
	defer scratch.Put(buf)
	inner, _, err := walk(encoding, (*buf)[:0], o.code)
	if *buf = inner; err != nil {
		return nil, fmt.Errorf("opening: %w", err)
	}
	if url.EncodedLen(len(inner)) > MaxOpeningSize {
		return nil, fmt.Errorf("opening: %w", ErrTooLarge)
	}
	return url.AppendEncode(b, inner), nil
}

// ParseOpening reads a disclosure text in its one encoding.
func ParseOpening(s string) (Opening, error) { return parseOpening([]byte(s)) }

func parseOpening(s []byte) (o Opening, err error) {
	if len(s) > MaxOpeningSize {
		return o, fmt.Errorf("opening: %w", ErrTooLarge)
	}
	buf := scratch.Get().(*[]byte)
	defer scratch.Put(buf)
	b, err := appendDecode((*buf)[:0], url, s)
	if *buf = b; err != nil {
		return o, fmt.Errorf("%w: opening: %w", ErrMalformed, err)
	}
	if err := decode(b, o.code); err != nil {
		return Opening{}, fmt.Errorf("opening: %w", err)
	}
	return o, nil
}

// Digest returns the opening's digest in the sealed section (RFC 9901, section
// 4.2.3): SHA-256 of the base64url text itself, not of the decoded bytes.
func (o Opening) Digest() (Digest, error) {
	buf := scratch.Get().(*[]byte)
	defer scratch.Put(buf)
	b, err := o.appendTo((*buf)[:0])
	if err != nil {
		return Digest{}, err
	}
	*buf = b
	return sha256.Sum256(b), nil
}

// MaxOpeningsSize bounds an openings file.
const MaxOpeningsSize = 4 << 20

// usualOpening is the length of most disclosure texts.
const usualOpening = 120

// Openings is an openings file: the secrets of one event's sealed section. Any
// holder of the file can open the event, and without it the event stays sealed, so
// keep it with mode 0600 for as long as the seal lasts.
//
// The file is one line of JSON in JCS form, ended by LF: the event's hash and
// the disclosure texts by class, sorted.
type Openings struct {
	Event   Digest // Envelope.Hash of the event
	Public  []Opening
	Subject []Opening
}

func (o *Openings) fields(c *coder) {
	c.fixed("event", "digest", required, url, o.Event[:], "event hash")
	listOf(c, "public", "disclosures", optional, sorted, MaxDigests, &o.Public, "opened to everyone", disclosureElem)
	listOf(c, "subject", "disclosures", optional, sorted, MaxDigests, &o.Subject, "opened to the subject", disclosureElem)
}

func disclosureElem(o *Opening, c *coder) {
	if c.encodes() {
		b, err := o.appendTo(append(c.b, '"'))
		if err != nil {
			c.fail("", err)
			return
		}
		c.b = append(b, '"')
		return
	}
	s, ok := c.plain()
	if !ok {
		c.fail("", errString)
		return
	}
	var err error
	if *o, err = parseOpening(s); err != nil {
		c.fail("", err)
	}
}

// Bytes returns the file, sorting Public and Subject in place.
func (o *Openings) Bytes() ([]byte, error) {
	b, err := appendObject(sorting, make([]byte, 0, 128+usualOpening*(len(o.Public)+len(o.Subject))), o.fields)
	if err != nil {
		return nil, fmt.Errorf("openings: %w", err)
	}
	return append(b, '\n'), nil
}

// Open checks that the openings open every digest of an event, and returns the values by name.
func (o *Openings) Open(env *Envelope) (map[string][]Value, error) {
	if o.Event != env.Hash() {
		return nil, errors.New("the openings are of another event")
	}
	if err := cmp.Or(env.Event.MatchAll(ClassPublic, o.Public), env.Event.MatchAll(ClassSubject, o.Subject)); err != nil {
		return nil, err
	}
	values := make(map[string][]Value)
	for _, opening := range slices.Concat(o.Public, o.Subject) {
		values[opening.Name] = append(values[opening.Name], opening.Value)
	}
	return values, nil
}

// ParseOpenings reads an openings file in its one encoding.
func ParseOpenings(b []byte) (*Openings, error) {
	if len(b) > MaxOpeningsSize {
		return nil, fmt.Errorf("openings: %w", ErrTooLarge)
	}
	line, ok := bytes.CutSuffix(b, []byte("\n"))
	if !ok {
		return nil, fmt.Errorf("%w: openings: file must end with LF", ErrMalformed)
	}
	o := new(Openings)
	if err := read(line, o.fields); err != nil {
		return nil, fmt.Errorf("openings: %w", err)
	}
	return o, nil
}

// A Period is a range of time of the data that a warrant asks for: both ends are included,
// UTC, in whole seconds. It says nothing of the warrant's window.
type Period struct{ From, To time.Time }

// String returns both ends with a slash between them (ISO 8601), each as in a payload.
func (p Period) String() string {
	return p.From.UTC().Format(timeLayout) + "/" + p.To.UTC().Format(timeLayout)
}

// ParsePeriod reads what String returns. The error wraps ErrMalformed.
func ParsePeriod(s string) (Period, error) {
	p, err := parsePeriod(s)
	if err != nil {
		return Period{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return p, nil
}

func parsePeriod(s string) (p Period, err error) {
	from, to, ok := strings.Cut(s, "/")
	if !ok {
		return p, errors.New("want a period: two times with a slash between them")
	}
	if p.From, err = parseTime([]byte(from)); err == nil {
		p.To, err = parseTime([]byte(to))
	}
	switch {
	case err != nil:
		return Period{}, err
	case p.To.Before(p.From):
		return Period{}, fmt.Errorf("the period %s ends before it begins", s)
	}
	return p, nil
}

// Periods makes a list value, sorted and without duplicates.
func Periods(list ...Period) Value {
	text := make([]string, len(list))
	for i, p := range list {
		text[i] = p.String()
	}
	return Codes(text...)
}

// Periods returns the periods of a value of kind periods.
func (v Value) Periods() ([]Period, error) {
	var out []Period
	for _, s := range v.list {
		p, err := ParsePeriod(s)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// checkList checks the elements of a list of codes or periods. The encoding checks that they
// are sorted.
func checkList(k ValueKind, list []string) error {
	if k == KindCodes {
		for _, s := range list {
			if err := checkCode(s); err != nil {
				return err
			}
		}
		return nil
	}
	var last Period
	for i, s := range list {
		p, err := parsePeriod(s)
		switch {
		case err != nil:
			return err
		case i > 0 && !last.To.Before(p.From):
			return fmt.Errorf("the period %s does not begin after %s has ended", p, last)
		}
		last = p
	}
	return nil
}

// ProceedingTag returns the tag by which an authority marks the warrants of one proceeding:
// HMAC-SHA256, under a secret that the authority keeps, of the proceeding's number, which
// must have one spelling. Equal tags of one authority are one proceeding. Without the secret
// a tag says nothing of the number. The secret has at least 16 bytes, and the number one.
func ProceedingTag(secret []byte, number string) (Digest, error) {
	if len(secret) < 16 {
		return Digest{}, fmt.Errorf("the secret of a proceeding's tag has %d bytes, and needs 16", len(secret))
	}
	if number == "" {
		return Digest{}, errors.New("the proceeding has no number")
	}
	m := hmac.New(sha256.New, secret)
	m.Write([]byte("vasistas proceeding\n" + number))
	return Digest(m.Sum(nil)), nil
}
