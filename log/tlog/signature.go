// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
)

// Signature is one signature line of a note (signed-note, "Signatures"), not verified
// before [VerifierKey.Verify].
type Signature struct {
	Name  string // key name
	KeyID uint32
	Bytes []byte // after the key ID: at least one byte
}

// String names the key.
func (s Signature) String() string { return fmt.Sprintf("signature by %s+%08x", s.Name, s.KeyID) }

const sigPrefix = "— "

// maxSigBytes exceeds the longest known signature, an ML-DSA-44 cosignature of 2,428
// bytes.
const maxSigBytes = 8 << 10

// ParseSignatureLines parses one or more signature lines, each ended by a line
// feed: the body of a witness's answer (tlog-witness, "add-checkpoint") and
// the tail of a note. A second line of one name and key ID is malformed, since
// readers disagree about which one counts.
func ParseSignatureLines(b []byte) ([]Signature, error) {
	if len(b) > MaxCheckpointSize {
		return nil, malformed("signatures: %d bytes, and %d are allowed", len(b), MaxCheckpointSize)
	}
	if len(b) == 0 {
		return nil, malformed("signatures: there is no signature line")
	}
	var sigs []Signature
	for rest := string(b); rest != ""; {
		line, after, ok := strings.Cut(rest, "\n")
		if !ok {
			return nil, malformed("signatures: the last line has no line feed")
		}
		rest = after
		if len(sigs) == MaxSignatures {
			return nil, malformed("signatures: more than %d lines", MaxSignatures)
		}
		s, err := parseSignature(line)
		if err != nil {
			return nil, err
		}
		for _, t := range sigs {
			if t.Name == s.Name && t.KeyID == s.KeyID {
				return nil, malformed("signatures: two lines of key %s+%08x", s.Name, s.KeyID)
			}
		}
		sigs = append(sigs, s)
	}
	return sigs, nil
}

func parseSignature(line string) (Signature, error) {
	rest, ok := strings.CutPrefix(line, sigPrefix)
	if !ok {
		return Signature{}, malformed("signature line: it does not begin with an em dash and a space")
	}
	name, encoded, ok := strings.Cut(rest, " ")
	if !ok {
		return Signature{}, malformed("signature line: no space after the key name")
	}
	if err := validKeyName(name); err != nil {
		return Signature{}, err
	}
	if len(encoded) > base64.StdEncoding.EncodedLen(maxSigBytes) {
		return Signature{}, malformed("signature of %s: it is too long", name)
	}
	raw, ok := decodeBase64(encoded)
	if !ok || len(raw) < 5 {
		return Signature{}, malformed("signature of %s: not base64 of a key ID and a signature", name)
	}
	return Signature{Name: name, KeyID: binary.BigEndian.Uint32(raw), Bytes: raw[4:]}, nil
}

// SignatureLines encodes signature lines, each with its line feed.
func SignatureLines(sigs []Signature) []byte {
	var b []byte
	for _, s := range sigs {
		raw := append(binary.BigEndian.AppendUint32(nil, s.KeyID), s.Bytes...)
		b = append(b, sigPrefix...)
		b = append(b, s.Name...)
		b = append(b, ' ')
		b = base64.StdEncoding.AppendEncode(b, raw)
		b = append(b, '\n')
	}
	return b
}
