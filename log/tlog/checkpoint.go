// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"fmt"
	"math"
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

// validate checks that ParseCheckpoint accepts the text of h, so that no line feed in
// a field makes it the text of another head.
func (h *Head) validate() error {
	if err := validOrigin(h.Origin); err != nil {
		return err
	}
	if h.Size > math.MaxInt64 {
		return malformed("checkpoint: the tree size is not below 2^63")
	}
	if len(h.Extension) > MaxExtensionLines {
		return malformed("checkpoint: more than %d extension lines", MaxExtensionLines)
	}
	for _, e := range h.Extension {
		if e == "" || !validText(e) || strings.Contains(e, "\n") {
			return malformed("checkpoint: an extension line is empty, has a control character or is not UTF-8")
		}
	}
	return nil
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
