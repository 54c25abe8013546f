// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"errors"
	"fmt"
)

// MaxSubmissionSize bounds a submission: an entry with openings or notices of four
// times its size.
const MaxSubmissionSize = 5 * MaxEntrySize

// A Submission is a signer's message to a log: the entry, and openings and notices
// that the log keeps until they are disclosed. Only the entry is logged.
//
// A submission has one encoding. With openings or notices it is the JCS object of
// "envelope" (the entry itself), "notices" (base64url, sorted) and "openings"
// (disclosure texts, sorted); an empty list is absent. With neither it is the bare
// entry.
type Submission struct {
	Envelope *Envelope
	Openings []Opening // of every public digest of the event, sorted by their text
	Notices  [][]byte  // ciphertexts of a release's notices, sorted by base64url text

	entry   []byte // the bytes of entryOf, as it was read
	entryOf *Envelope
}

// String describes the submission without its secrets.
func (s *Submission) String() string {
	return fmt.Sprintf("%v with %d openings and %d notices", s.Envelope, len(s.Openings), len(s.Notices))
}

const submissionPrefix = `{"envelope":`

// ParseSubmission reads a submission. Errors wrap ErrMalformed. It doesn't match the
// openings with the event, see [Event.MatchAll].
func ParseSubmission(b []byte) (*Submission, error) {
	if len(b) > MaxSubmissionSize {
		return nil, fmt.Errorf("submission: %w: %d bytes, at most %d", ErrTooLarge, len(b), MaxSubmissionSize)
	}
	if !bytes.HasPrefix(b, []byte(submissionPrefix)) {
		env, err := ParseEnvelope(b)
		if err != nil {
			return nil, err
		}
		return &Submission{Envelope: env}, nil
	}
	s := new(Submission)
	var c coder
	if c.read(b, s.fields) == nil && len(s.Openings)+len(s.Notices) == 0 {
		c.fail("", errors.New("without openings and notices it is the bare envelope"))
	}
	if c.err != nil {
		return nil, fmt.Errorf("submission: %w", c.err)
	}
	buf := scratch.Get().(*[]byte)
	defer scratch.Put(buf)
	again, err := s.appendTo((*buf)[:0])
	if err != nil {
		return nil, err
	}
	*buf = again
	if !bytes.Equal(again, b) {
		return nil, fmt.Errorf("submission: %w: not the canonical encoding", ErrMalformed)
	}
	return s, nil
}

func (s *Submission) fields(c *coder) {
	if c.member("envelope", "object", required, s.Envelope != nil, "the entry") {
		s.envelope(c)
	}
	listOf(c, "notices", "bytes", optional, sorted, maxNotices, &s.Notices, "notices' ciphertexts", func(b *[]byte, c *coder) { c.blob("", MaxNoticeSize, b) })
	listOf(c, "openings", "disclosures", optional, sorted, MaxDigests, &s.Openings, "openings of the event's public digests", disclosureElem)
}

// envelope codes the entry as its own exact bytes.
func (s *Submission) envelope(c *coder) {
	if c.encodes() {
		c.b = append(c.b, s.Entry()...)
		return
	}
	// An envelope ends with its signatures and has no brace in a string.
	start := c.i
	n := bytes.Index(c.b[start:], []byte("}]}"))
	if n < 0 {
		c.fail("envelope", errors.New("it has no end"))
		return
	}
	c.i = start + n + len("}]}")
	env, err := ParseEnvelope(c.b[start:c.i])
	if err != nil {
		c.err = err
		return
	}
	s.Envelope, s.entry = env, c.b[start:c.i:c.i]
	s.entryOf = env
}

// Entry returns the exact bytes of the envelope. After ParseSubmission they share
// memory with its input.
func (s *Submission) Entry() []byte {
	if s.entryOf != nil && s.entryOf == s.Envelope {
		return s.entry
	}
	return s.Envelope.Bytes()
}

// Bytes encodes the submission. It sorts Openings and Notices in place.
func (s *Submission) Bytes() ([]byte, error) {
	if s.Envelope == nil {
		return nil, fmt.Errorf("submission: %w: no envelope", ErrMalformed)
	}
	return s.appendTo(nil)
}

func (s *Submission) appendTo(b []byte) ([]byte, error) {
	if len(s.Openings)+len(s.Notices) == 0 {
		return append(b, s.Entry()...), nil
	}
	c := coder{mode: sorting, b: b}
	c.braces(func() { s.fields(&c) })
	if c.err != nil {
		return nil, fmt.Errorf("submission: %w", c.err)
	}
	if len(c.b) > MaxSubmissionSize {
		return nil, fmt.Errorf("submission: %w: %d bytes, at most %d", ErrTooLarge, len(c.b), MaxSubmissionSize)
	}
	return c.b, nil
}
