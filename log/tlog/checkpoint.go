// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// Head is the content of a checkpoint's note text (tlog-checkpoint, "Note text").
type Head struct {
	Origin string
	Size   uint64 // number of leaves, at most 2^63-1
	Root   Hash
	// Extension lines, without their line feeds. Vasistas logs write none. Readers
	// keep and cosign another log's lines as they are.
	Extension []string
}

// String returns origin, size and root.
func (h Head) String() string {
	return fmt.Sprintf("%s at size %d with the root %s", h.Origin, h.Size, h.Root)
}

// Text returns the note text, with its final line feed.
func (h *Head) Text() []byte {
	b := make([]byte, 0, len(h.Origin)+70)
	b = append(b, h.Origin...)
	b = append(b, '\n')
	b = strconv.AppendUint(b, h.Size, 10)
	b = append(b, '\n')
	b = appendHashLine(b, h.Root)
	for _, e := range h.Extension {
		b = append(b, e...)
		b = append(b, '\n')
	}
	return b
}

// validate checks that ParseCheckpoint would read h again from h's text. A line feed in a field would make
// it the text of another head.
func (h *Head) validate() error {
	text := string(h.Text())
	again, err := parseHead(text)
	if err == nil && (!validText(text) || strings.Contains(text, "\n\n") || len(again.Extension) != len(h.Extension)) {
		err = malformed("checkpoint: a field is empty, has a line feed or control character, or is not UTF-8")
	}
	return err
}

// Checkpoint is a head with signature lines: a signed note.
type Checkpoint struct {
	Head
	Signatures []Signature // one or more, in the order of the lines
}

// ParseCheckpoint parses a checkpoint. It verifies no signature.
func ParseCheckpoint(b []byte) (*Checkpoint, error) {
	if len(b) > MaxCheckpointSize {
		return nil, malformed("checkpoint: %d bytes, and %d are allowed", len(b), MaxCheckpointSize)
	}
	s := string(b)
	if !validText(s) {
		return nil, malformed("checkpoint: it has a control character or is not UTF-8")
	}
	// The lines of the text are not empty, so the first empty line ends it.
	i := strings.Index(s, "\n\n")
	if i < 0 {
		return nil, malformed("checkpoint: no empty line between text and signatures")
	}
	head, err := parseHead(s[:i+1])
	if err != nil {
		return nil, err
	}
	sigs, err := ParseSignatureLines(b[i+2:])
	if err != nil {
		return nil, err
	}
	return &Checkpoint{Head: *head, Signatures: sigs}, nil
}

// parseHead parses a note text of valid characters without an empty line.
func parseHead(text string) (*Head, error) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) < 3 {
		return nil, malformed("checkpoint: %d lines of text, and there are at least 3", len(lines))
	}
	if len(lines) > 3+MaxExtensionLines {
		return nil, malformed("checkpoint: more than %d extension lines", MaxExtensionLines)
	}
	h := &Head{Origin: lines[0]}
	if err := validOrigin(h.Origin); err != nil {
		return nil, err
	}
	var ok bool
	if h.Size, ok = parseDecimal(lines[1]); !ok {
		return nil, malformed("checkpoint: the tree size is not a decimal below 2^63 without leading zeros")
	}
	if h.Root, ok = decodeHash(lines[2]); !ok {
		return nil, malformed("checkpoint: the root hash is not base64 of 32 bytes")
	}
	h.Extension = append(h.Extension, lines[3:]...)
	return h, nil
}

// Bytes returns the checkpoint as it is served.
func (c *Checkpoint) Bytes() []byte {
	return append(append(c.Text(), '\n'), SignatureLines(c.Signatures)...)
}

// Find returns the signature line of key, or nil.
func (c *Checkpoint) Find(key *VerifierKey) *Signature {
	for i := range c.Signatures {
		if s := &c.Signatures[i]; s.Name == key.Name && s.KeyID == key.ID {
			return s
		}
	}
	return nil
}

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
			return nil, ErrTooManySignatures
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

// MaxAddCheckpointSize bounds an add-checkpoint body in bytes. Some witnesses read
// only 10 KiB, and a Vasistas log sends less.
const MaxAddCheckpointSize = MaxCheckpointSize + 45*MaxHashes + 32

// AddCheckpoint is the body of a request to a witness (tlog-witness,
// "add-checkpoint"). The witness must check that Old is at most the checkpoint's
// size.
type AddCheckpoint struct {
	Old        uint64 // size of the head that the witness last cosigned
	Proof      []Hash // consistency proof from Old
	Checkpoint *Checkpoint
}

// ParseAddCheckpoint parses the body of a request.
func ParseAddCheckpoint(b []byte) (*AddCheckpoint, error) {
	if len(b) > MaxAddCheckpointSize {
		return nil, malformed("add-checkpoint: %d bytes, and %d are allowed", len(b), MaxAddCheckpointSize)
	}
	line, rest, ok := strings.Cut(string(b), "\n")
	old, isOld := strings.CutPrefix(line, "old ")
	if !ok || !isOld {
		return nil, malformed("add-checkpoint: the first line is not an old size")
	}
	r := &AddCheckpoint{}
	if r.Old, ok = parseDecimal(old); !ok {
		return nil, malformed("add-checkpoint: the old size is not a decimal below 2^63 without leading zeros")
	}
	var err error
	if r.Proof, rest, err = parseHashes(rest, "add-checkpoint"); err != nil {
		return nil, err
	}
	if r.Checkpoint, err = ParseCheckpoint([]byte(rest)); err != nil {
		return nil, err
	}
	return r, nil
}

// Bytes returns the body.
func (r *AddCheckpoint) Bytes() []byte {
	b := appendHashes(fmt.Appendf(nil, "old %d\n", r.Old), r.Proof)
	return append(b, r.Checkpoint.Bytes()...)
}

// ParseTreeSize parses the body of a witness's 409 answer, of type
// text/x.tlog.size: a decimal and a line feed.
func ParseTreeSize(b []byte) (uint64, error) {
	s, ok := strings.CutSuffix(string(b), "\n")
	n, isDecimal := parseDecimal(s)
	if !ok || !isDecimal {
		return 0, malformed("tree size: not a decimal below 2^63 and a line feed")
	}
	return n, nil
}
