// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"fmt"
)

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
	// The caller compares the encoding of the whole list with the input.
	if *o, err = readOpening(s); err != nil {
		c.fail("", err)
	}
}

// Bytes returns the file, sorting Public and Subject in place.
func (o *Openings) Bytes() ([]byte, error) {
	c := coder{mode: sorting, b: make([]byte, 0, 128+usualOpening*(len(o.Public)+len(o.Subject)))}
	c.braces(func() { o.fields(&c) })
	if c.err != nil {
		return nil, fmt.Errorf("openings: %w", c.err)
	}
	return append(c.b, '\n'), nil
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
	if err := new(coder).read(line, o.fields); err != nil {
		return nil, fmt.Errorf("openings: %w", err)
	}
	if again, err := o.Bytes(); err != nil || !bytes.Equal(again, b) {
		return nil, fmt.Errorf("%w: openings: not the canonical encoding", ErrMalformed)
	}
	return o, nil
}
