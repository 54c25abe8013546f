// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package tlog holds strict codecs for the C2SP transparency-log formats:
// checkpoints (tlog-checkpoint, signed-note), cosignatures (tlog-cosignature),
// proofs (tlog-proof), add-checkpoint requests (tlog-witness), trust policies
// (tlog-policy), tile paths and entry bundles (tlog-tiles).
//
// Each parser accepts one encoding of a value. If Parse accepts b, then Bytes of the
// result equals b; any second spelling (a carriage return, a leading zero, a non-zero
// trailing bit of base64, an extra line) is [ErrMalformed]. Every parser checks a size
// limit before it allocates.
//
// The package verifies signatures and evaluates policies. A parsed value is not
// trusted until [Policy.Verify] or [VerifierKey.Verify] accepts it. The package does
// no Merkle tree arithmetic and no I/O.
package tlog

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits that every parser of this package enforces.
const (
	// MaxNameLen is the longest origin or key name in bytes, the limit of the
	// ML-DSA-44 signed message (tlog-cosignature, "ML-DSA-44 signed message").
	MaxNameLen = 255
	// MaxSignatures bounds the signature lines of a note. The specification
	// requires at least 16 (signed-note, "Format").
	MaxSignatures = 64
	// MaxCheckpointSize bounds a checkpoint in bytes: 64 lines with
	// ML-DSA-44 signatures fit with room to spare.
	MaxCheckpointSize = 256 << 10
	// MaxExtensionLines bounds the extension lines of a checkpoint.
	MaxExtensionLines = 16
	// MaxExtra bounds the decoded extra data of a tlog-proof in bytes.
	MaxExtra = 64 << 10
	// MaxHashes bounds the hashes of an inclusion or consistency proof
	// (tlog-witness, "add-checkpoint").
	MaxHashes = 63
	// MaxPolicySize bounds a policy in bytes, MaxPolicyNames its log lines, its
	// witness lines and its group lines, each.
	MaxPolicySize  = 1 << 20
	MaxPolicyNames = 1024
)

// ErrMalformed is wrapped by every error of a parser in this package.
var ErrMalformed = errors.New("malformed")

// ErrTooManySignatures: a note has more than [MaxSignatures] signature lines, so this reader
// can't tell what they say. It wraps [ErrMalformed].
var ErrTooManySignatures = malformed("signatures: more than %d lines", MaxSignatures)

// Hash is a SHA-256 Merkle tree hash (RFC 6962, section 2.1).
type Hash [32]byte

// String returns the hash in base64, as in a checkpoint.
func (h Hash) String() string { return base64.StdEncoding.EncodeToString(h[:]) }

// Format prints what String returns, and hex digits for %x.
func (h Hash) Format(s fmt.State, verb rune) {
	if verb == 'x' {
		fmt.Fprintf(s, "%x", h[:])
		return
	}
	io.WriteString(s, h.String())
}

// MarshalText returns what String does.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (h *Hash) UnmarshalText(text []byte) error {
	read, ok := decodeHash(string(text))
	if *h = read; !ok {
		return malformed("hash: want base64 of %d bytes", len(h))
	}
	return nil
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// strictBase64 rejects non-zero trailing bits. decodeBase64 also rejects line breaks,
// which the standard library skips.
var strictBase64 = base64.StdEncoding.Strict()

func decodeBase64(s string) ([]byte, bool) {
	b, err := strictBase64.DecodeString(s)
	if err != nil || base64.StdEncoding.EncodedLen(len(b)) != len(s) {
		return nil, false
	}
	return b, true
}

func decodeHash(s string) (h Hash, ok bool) {
	if len(s) != 44 {
		return h, false
	}
	b, ok := decodeBase64(s)
	if !ok || len(b) != len(h) {
		return h, false
	}
	return Hash(b), true
}

func appendHashLine(b []byte, h Hash) []byte {
	b = base64.StdEncoding.AppendEncode(b, h[:])
	return append(b, '\n')
}

// parseDecimal reads an ASCII decimal up to 2^63-1, without sign or leading zeros.
func parseDecimal(s string) (uint64, bool) {
	n, err := strconv.ParseUint(s, 10, 63)
	return n, err == nil && strconv.FormatUint(n, 10) == s
}

// validText reports whether s may stand in a note: valid UTF-8 without ASCII control
// characters other than line feed (signed-note, "Format").
func validText(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 && s[i] != '\n' {
			return false
		}
	}
	return utf8.ValidString(s)
}

// validKeyName returns an error unless name can be the key name of a note
// signature: 1 to 255 bytes of UTF-8 without control characters, Unicode
// spaces or plus signs (signed-note, "Format").
func validKeyName(name string) error {
	if err := validName("key name", name); err != nil {
		return err
	}
	if strings.ContainsFunc(name, unicode.IsSpace) || strings.Contains(name, "+") {
		return malformed("key name %q: it has a space or a plus sign", name)
	}
	return nil
}

// validOrigin allows more than validKeyName: other logs' origins may have spaces
// (tlog-checkpoint, "Note text").
func validOrigin(origin string) error { return validName("origin", origin) }

func validName(what, s string) error {
	switch {
	case s == "":
		return malformed("%s: it is empty", what)
	case len(s) > MaxNameLen:
		return malformed("%s: %d bytes, and %d are allowed", what, len(s), MaxNameLen)
	case !validText(s) || strings.Contains(s, "\n"):
		return malformed("%s: it has a control character or is not UTF-8", what)
	}
	return nil
}
