// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package escrow defines how the key of an age file is escrowed to the custodians of a
// log, and the messages between custodian, agency and subject.
//
// # Contract
//
// It promises the encryptor who wraps a file key with a [Recipient] that unwrapping takes
// the group's threshold of shares; that a gate's own share tells it nothing about the key;
// and that exchanging a part of the package makes the package useless, so that only its
// maker decides which subject is notified. It promises a gate that the first part,
// [Package.OpenNotice], does not help to open the file, and that the last part,
// [Package.OpenShare], opens only if the first was the package's own. It promises an
// agency that a wrong share is an error, [ErrShare], and never a wrong file key.
//
// The package trusts the charter of a [Group] and its cryptography. It does not decide
// whether a file may be opened: the gate does, by the log. Only [ReadPackages] does I/O,
// and no network code is linked.
//
// # Package
//
// An age file has, for each custodian in the order of their shares, one stanza of type
// vasistas/escrow/v1. Its arguments are
//
//  1. SHA-256 of label, origin, group id, threshold t and number n of shares
//  2. a nonce of 16 bytes, the package's
//  3. digest of the account's sealed opening
//  4. the share's index, from 1; 5. t; 6. n
//  7. SHA-256 of the canonical JSON of the gate's key
//  8. SHA-256 of label, nonce, index and share
//  9. the file key, wrapped
//
// digests and bytes in unpadded base64url. Its body is the length of part one in two bytes,
// big-endian, part one, and part two: two HPKE ciphertexts (RFC 9180; HKDF-SHA256,
// ChaCha20-Poly1305; DHKEM(X25519) or ML-KEM-768 with X25519) to the gate's key. Part one
// is the subject's notice key and the opening of the account, each with its length in
// two bytes, and zeros up to a multiple of 256 bytes. Part two is the share, 32 bytes.
//
// The info of both is, each with its length in four bytes: label, origin, group id, t, n,
// index, hash of the gate's key, nonce, account digest; and for part two the hash of part
// one. A gate computes it from its own group, not from the stanza's claims.
//
// Shares are Shamir's, of a random scalar of ristretto255's field, by a polynomial of
// degree t-1. HKDF of the scalar, with all arguments of the stanzas as info, gives the key
// under which ChaCha20-Poly1305 with a zero nonce wraps the file key: one key for one
// message. The package's digest is SHA-256 of its stanzas' canonical text.
//
// # Messages
//
// A [Request] is sealed to a gate's key, and begins with the key's hash. An [Answer] is
// signed with the gate's event key, as DSSE under [AnswerType]; each of its shares is HPKE
// to the access's recipient key, bound to log, access, release, index and package. A
// [Notice] is HPKE to the subject's notice key, padded to one of four sizes; its digest is
// SHA-256 of the ciphertext. These messages, addresses and key files are canonical JSON
// (RFC 8785), of which parsers accept only the one encoding.
//
// # Decisions
//
//   - A notice has the openings that concern its subject, not those of the accounts and
//     packages of others: see [SubjectOpenings].
//   - An [Address], the content of a recipient string, has the account, so that a plug-in
//     can't take another file's account for it.
//   - Parsers refuse keys of low order and second spellings of a key, which crypto/hpke
//     accepts.
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

	"github.com/vasistas/vasistas/internal/strictjson"
	"github.com/vasistas/vasistas/log/event"
)

var (
	// ErrMalformed is wrapped by errors about bytes that are not the one encoding of a
	// value.
	ErrMalformed = errors.New("malformed")
	// ErrKey is wrapped by errors about keys that are unsafe to encrypt to.
	ErrKey = errors.New("bad key")
	// ErrOpen: a ciphertext does not open, for its key is another, a bound field differs,
	// or it is damaged. Decryption can't tell which.
	ErrOpen = errors.New("does not open under this key and these fields")
	// ErrNotMine: a package has no part for this custodian or key.
	ErrNotMine = errors.New("not for this key")
	// ErrShare: a share is not the one that the package names.
	ErrShare = errors.New("bad share")
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
	b, err := strictjson.Line(v)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return bytes.TrimSuffix(b, []byte("\n")), nil
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
