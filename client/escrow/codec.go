// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package escrow

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vasistas/vasistas/log/event"
)

var (
	// ErrMalformed is wrapped by errors about bytes that are not the one encoding of a
	// value.
	ErrMalformed = errors.New("escrow: malformed")
	// ErrKey is wrapped by errors about keys that are unsafe to encrypt to.
	ErrKey = errors.New("escrow: bad key")
	// ErrOpen: a ciphertext does not open, for its key is another, a bound field differs,
	// or it is damaged. Decryption can't tell which.
	ErrOpen = errors.New("escrow: does not open under this key and these fields")
	// ErrNotMine: a package has no part for this custodian or key.
	ErrNotMine = errors.New("escrow: not for this key")
	// ErrShare: a share is not the one that the package names.
	ErrShare = errors.New("escrow: bad share")
)

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrMalformed, fmt.Errorf(format, args...))
}

var url64 = base64.RawURLEncoding.Strict()

// labelled encodes what the package binds or hashes: a label and parts, each with its
// length, so that different lists have different bytes.
func labelled(label string, parts ...[]byte) []byte {
	var b []byte
	for _, p := range append([][]byte{[]byte(label)}, parts...) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(p)))
		b = append(b, p...)
	}
	return b
}

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// blob is bytes whose JSON is unpadded base64url.
type blob []byte

func (b blob) MarshalText() ([]byte, error) { return url64.AppendEncode(nil, b), nil }

func (b *blob) UnmarshalText(text []byte) error {
	if bytes.ContainsAny(text, "\r\n") {
		return errors.New("base64 with line breaks")
	}
	out, err := url64.AppendDecode(nil, text)
	*b = out
	return err
}

// openingsText is an openings file, as a blob in JSON. It encodes a copy, since
// event.Openings.Bytes sorts in place and goroutines share a request.
type openingsText struct{ *event.Openings }

func (o openingsText) MarshalText() ([]byte, error) {
	if o.Openings == nil {
		return nil, nil
	}
	c := event.Openings{Event: o.Event, Public: slices.Clone(o.Public), Subject: slices.Clone(o.Subject)}
	b, err := c.Bytes()
	return url64.AppendEncode(nil, b), err
}

func (o *openingsText) UnmarshalText(text []byte) error {
	var b blob
	err := b.UnmarshalText(text)
	if err == nil {
		o.Openings, err = event.ParseOpenings(b)
	}
	return err
}

// encode returns a struct in canonical JSON (RFC 8785). The struct's members must be in
// the order of their names, and hold printable ASCII without escapes, integers up to
// 2^53-1, or lists and structs of those.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// decode parses exactly what encode returns: it compares b with the encoding of v.
func decode(b []byte, limit int, v any) error {
	if len(b) > limit {
		return malformed("it has %d bytes, at most %d", len(b), limit)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	again, err := encode(v)
	if err != nil {
		return err
	}
	if !bytes.Equal(again, b) {
		return malformed("not the canonical encoding")
	}
	return nil
}

// checkName checks that an origin, name or code needs no escapes in JSON.
func checkName(what, s string) error {
	bad := func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }
	if len(s) == 0 || len(s) > 255 || strings.ContainsFunc(s, bad) {
		return malformed("%s: want 1 to 255 printable ASCII characters without space, quote and backslash", what)
	}
	return nil
}
