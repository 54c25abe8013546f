// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"

	"github.com/vasistas/vasistas/log/event"
)

var url = base64.RawURLEncoding.Strict()

// MaxRecordSize bounds a record, in bytes: a submission has no more.
const MaxRecordSize = event.MaxSubmissionSize

// maxNotices bounds the notices of a submission and of a disclosure.
const maxNotices = 64

// A Record holds the openings and notices of one event. It is immutable.
type Record struct {
	hash     event.Digest
	openings []event.Opening // of all public digests, sorted by their text
	notices  [][]byte        // of a release, sorted by base64url text
	text     []byte          // the one encoding
}

// Event returns the event hash.
func (r *Record) Event() event.Digest { return r.hash }

// Openings returns the openings of the event's public digests.
func (r *Record) Openings() []event.Opening { return slices.Clone(r.openings) }

// Prepare checks a submission's openings and notices against its entry and makes
// their record: nil if the event has nothing to disclose. Its error is a
// *[SubmissionError]. Prepare doesn't change s and is safe for concurrent use.
func Prepare(s *event.Submission) (*Record, error) {
	if s == nil || s.Envelope == nil || s.Envelope.Event == nil {
		return nil, &SubmissionError{Err: fmt.Errorf("%w: no envelope", event.ErrMalformed)}
	}
	r := &Record{hash: s.Envelope.Hash(), notices: slices.Clone(s.Notices)}
	if err := s.Complete(); err != nil {
		return nil, &SubmissionError{r.hash, err}
	}
	if len(s.Openings)+len(r.notices) == 0 {
		return nil, nil
	}
	var err error
	if r.text, r.openings, err = s.OpeningsFile(r.hash); err == nil {
		err = r.addNotices()
	}
	if err != nil {
		return nil, &SubmissionError{r.hash, err}
	}
	return r, nil
}

// addNotices sorts the notices and appends them to the text, which is the file of the openings.
func (r *Record) addNotices() (err error) {
	text := r.text
	lines := make([][]byte, len(r.notices))
	for i, n := range r.notices {
		lines[i] = append(url.AppendEncode(nil, n), '\n')
	}
	slices.SortFunc(lines, bytes.Compare)
	for i, line := range lines {
		text = append(text, line...)
		if r.notices[i], err = url.AppendDecode(nil, line[:len(line)-1]); err != nil {
			return err
		}
	}
	if len(text) > MaxRecordSize {
		return fmt.Errorf("%w: %d bytes of openings and notices, at most %d", ErrTooLarge, len(text), MaxRecordSize)
	}
	r.text = text
	return nil
}

// parseRecord reads the text of a record. The record keeps b.
func parseRecord(b []byte) (*Record, error) {
	if len(b) > MaxRecordSize {
		return nil, fmt.Errorf("%w: record of %d bytes", ErrTooLarge, len(b))
	}
	end := bytes.IndexByte(b, '\n') + 1
	o, err := event.ParseOpenings(b[:end])
	if err != nil {
		return nil, fmt.Errorf("%w: record: %w", ErrMalformed, err)
	}
	if len(o.Subject) > 0 {
		return nil, fmt.Errorf("%w: record: a subject's openings are not kept", ErrMalformed)
	}
	r := &Record{hash: o.Event, openings: o.Public, text: b}
	var last []byte
	for rest := b[end:]; len(rest) > 0; {
		line, after, ok := bytes.Cut(rest, []byte("\n"))
		if !ok || bytes.Compare(last, line) >= 0 || bytes.IndexByte(line, '\r') >= 0 {
			return nil, fmt.Errorf("%w: record: notices are not sorted lines", ErrMalformed)
		}
		notice, err := url.AppendDecode(nil, line)
		if err != nil || len(notice) > event.MaxNoticeSize || len(r.notices) == maxNotices {
			return nil, fmt.Errorf("%w: record: a notice is not base64url of up to %d bytes, or one too many", ErrMalformed, event.MaxNoticeSize)
		}
		r.notices = append(r.notices, notice)
		last, rest = line, after
	}
	if len(r.openings)+len(r.notices) == 0 {
		return nil, fmt.Errorf("%w: record: it holds nothing", ErrMalformed)
	}
	return r, nil
}

// bodyRoom bounds a disclosure's openings and notices, in bytes of their JSON. The
// envelope is base64 of the payload (4 bytes for 3) and up to event.MaxSignatures
// signatures; the payload also has the header, with an origin of up to 255 bytes,
// and the reference.
const (
	signatureRoom = event.MaxSignatures * 200
	headerRoom    = 700
	bodyRoom      = (event.MaxEntrySize-200-signatureRoom)/4*3 - headerRoom
)

// Disclosures returns the bodies of the disclosure events that publish the whole
// record. Each entry stays within [event.MaxEntrySize] under any origin and any
// number of signatures. index is the log's index of env. Disclosures fails if the
// record is not of this event.
func Disclosures(index uint64, env *event.Envelope, r *Record) ([]*event.Disclosure, error) {
	if h := event.Digest(env.Hash()); h != r.hash {
		return nil, fmt.Errorf("vault: the record is of event %s, not of event %s in entry %d", r.hash, h, index)
	}
	if err := (&event.Submission{Envelope: env, Openings: r.openings, Notices: r.notices}).Complete(); err != nil {
		return nil, fmt.Errorf("vault: the record doesn't match entry %d: %w", index, err)
	}
	ref := event.Reference{Index: index, Leaf: env.LeafHash()}
	var out []*event.Disclosure
	room, openings, notices := 0, 0, 0 // left in the last one
	next := func(size int) *event.Disclosure {
		if len(out) == 0 || room < size || openings == 0 || notices == 0 {
			out = append(out, &event.Disclosure{Event: ref})
			room, openings, notices = bodyRoom, event.MaxDigests, maxNotices
		}
		room -= size
		return out[len(out)-1]
	}
	for _, o := range r.openings {
		text, err := o.Encode()
		if err != nil {
			return nil, fmt.Errorf("vault: %w", err)
		}
		d := next(len(text) + len(`"",`))
		d.Openings = append(d.Openings, o)
		openings--
	}
	for _, n := range r.notices {
		d := next(base64.RawURLEncoding.EncodedLen(len(n)) + len(`"",`))
		d.Notices = append(d.Notices, n)
		notices--
	}
	return out, nil
}
