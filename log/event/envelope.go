// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/vasistas/vasistas/log/tlog"
)

// PayloadType is the DSSE payload type of every event.
const PayloadType = "application/vnd.vasistas.event+json"

// MaxEntrySize bounds an entry: the exact bytes of an envelope.
const MaxEntrySize = 48000

// MaxSignatures bounds the signatures of one envelope.
const MaxSignatures = 16

const maxSignature = 72 // DER of an ECDSA P-256 signature

// A Signature is one signature of an envelope.
type Signature struct {
	KeyID string // PublicKey.KeyID of the signer
	Sig   []byte
}

// String names the signer.
func (s Signature) String() string { return "signature by " + s.KeyID }

// An Envelope is an entry: a DSSE envelope (secure-systems-lab/dsse) in JCS
// form, with standard padded base64 and signatures sorted by key id, one for each
// key. Payload is the canonical encoding of Event. Treat it as immutable.
type Envelope struct {
	Event      *Event
	Payload    []byte
	Signatures []Signature
}

// String returns the type of the event and its hash.
func (e *Envelope) String() string { return fmt.Sprintf("%s %s", e.Event.Type, e.Hash()) }

// ParseEnvelope reads an entry in its one encoding, and its payload with
// Parse. It verifies no signature. Errors wrap ErrMalformed.
func ParseEnvelope(b []byte) (*Envelope, error) {
	if len(b) > MaxEntrySize {
		return nil, fmt.Errorf("%w: entry has %d bytes, at most %d", ErrTooLarge, len(b), MaxEntrySize)
	}
	e := new(Envelope)
	err := read(b, e.fields)
	if err != nil {
		return nil, fmt.Errorf("not a signed event: %w", err)
	}
	if e.Event, err = Parse(e.Payload); err != nil {
		return nil, err
	}
	return e, nil
}

func (e *Envelope) fields(c *coder) {
	if c.member("payload", "base64", required, true, "the event's canonical JSON") && c.mode != describing {
		c.base64("payload", std, MaxPayloadSize, &e.Payload)
	}
	t := PayloadType
	code(c, "payloadType", payloadKind, required, &t, "payload type")
	listOf(c, "signatures", "", required, ordered, MaxSignatures, &e.Signatures, "sorted by key id, one for each key", elements((*Signature).fields))
	for i := 1; i < len(e.Signatures) && c.err == nil; i++ {
		if e.Signatures[i-1].KeyID >= e.Signatures[i].KeyID {
			c.fail("signatures", errors.New("not sorted by key id, or two of one key"))
		}
	}
}

var payloadKind = enumKind(PayloadType)

func (s *Signature) fields(c *coder) {
	code(c, "keyid", keyIDKind, required, &s.KeyID, "hex SHA-256 of the key's SubjectPublicKeyInfo")
	if c.member("sig", "base64", required, true, "signature over the DSSE pre-authentication encoding") && c.mode != describing {
		c.base64("sig", std, maxSignature, &s.Sig)
	}
}

// Bytes returns the exact bytes of the entry.
func (e *Envelope) Bytes() []byte {
	n := 96 + len(PayloadType) + std.EncodedLen(len(e.Payload))
	for i := range e.Signatures {
		n += 90 + std.EncodedLen(len(e.Signatures[i].Sig))
	}
	b, _ := appendObject(encoding, make([]byte, 0, n), e.fields) // an envelope's parts are valid
	return b
}

// scratch holds buffers for short-lived texts: of an opening, and of a payload, to verify
// signatures.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// LeafHash returns the RFC 6962 leaf hash of the entry.
func (e *Envelope) LeafHash() tlog.Hash {
	h := sha256.New()
	h.Write([]byte{0})
	h.Write(e.Bytes())
	return [32]byte(h.Sum(nil))
}

// Hash returns the event hash: SHA-256 of the DSSE pre-authentication
// encoding (dsse, protocol.md). It doesn't depend on the signatures.
func (e *Envelope) Hash() Digest {
	pae := scratch.Get().(*[]byte)
	defer scratch.Put(pae)
	*pae = AppendPAE((*pae)[:0], PayloadType, e.Payload)
	return sha256.Sum256(*pae)
}

// AppendPAE appends the pre-authentication encoding (dsse, protocol.md).
func AppendPAE(b []byte, payloadType string, body []byte) []byte {
	b = slices.Grow(b, len(payloadType)+len(body)+32)
	b = append(b, "DSSEv1 "...)
	b = strconv.AppendInt(b, int64(len(payloadType)), 10)
	b = append(b, ' ')
	b = append(b, payloadType...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(len(body)), 10)
	b = append(b, ' ')
	return append(b, body...)
}

// Verify checks every signature, and fails if one is bad. lookup returns the key of
// an id, or nil: then the error wraps ErrUnknownSigner. The error about a bad
// signature wraps ErrBadSignature. Verify doesn't check which types a key may sign.
func (e *Envelope) Verify(lookup func(keyID string) *PublicKey) error {
	if len(e.Signatures) == 0 {
		return fmt.Errorf("%w: no signature", ErrBadSignature)
	}
	buf := scratch.Get().(*[]byte)
	defer scratch.Put(buf)
	*buf = AppendPAE((*buf)[:0], PayloadType, e.Payload)
	pae := *buf
	for _, s := range e.Signatures {
		k := lookup(s.KeyID)
		// A lookup that returns another key would attribute the event wrongly.
		if k == nil || k.id != s.KeyID {
			return fmt.Errorf("%w: %s", ErrUnknownSigner, s.KeyID)
		}
		if err := k.Verify(pae, s.Sig); err != nil {
			return fmt.Errorf("%w (key %s)", err, s.KeyID)
		}
	}
	return nil
}

// AddSignature returns a copy of the envelope with one more signature. It fails if
// the key has signed already or the entry would be too large.
func (e *Envelope) AddSignature(s Signer) (*Envelope, error) {
	id := s.KeyID()
	if s.Public().KeyID() != id {
		return nil, fmt.Errorf("%w: signer's key and key id disagree", ErrBadKey)
	}
	i, found := slices.BinarySearchFunc(e.Signatures, id, func(s Signature, id string) int { return strings.Compare(s.KeyID, id) })
	if found {
		return nil, fmt.Errorf("key %s has signed already", id)
	}
	if len(e.Signatures) == MaxSignatures {
		return nil, fmt.Errorf("%w: %d signatures", ErrTooLarge, MaxSignatures+1)
	}
	pae := AppendPAE(nil, PayloadType, e.Payload)
	sig, err := s.Sign(pae)
	if err != nil {
		return nil, err
	}
	if err := s.Public().Verify(pae, sig); err != nil {
		return nil, fmt.Errorf("signer %s: %w", id, err)
	}
	out := &Envelope{e.Event, e.Payload, slices.Insert(slices.Clone(e.Signatures), i, Signature{id, sig})}
	if n := len(out.Bytes()); n > MaxEntrySize {
		return nil, fmt.Errorf("%w: entry has %d bytes, at most %d", ErrTooLarge, n, MaxEntrySize)
	}
	return out, nil
}

// MaxSubmissionSize bounds a submission: an entry with openings or notices of four
// times its size.
const MaxSubmissionSize = 5 * MaxEntrySize

// A Submission is a signer's message to a log: the entry, and openings and notices
// that the log keeps until they are disclosed. Only the entry is logged.
//
// After ParseSubmission the elements of Openings must not be changed in place.
//
// A submission has one encoding. With openings or notices it is the JCS object of
// "envelope" (the entry itself), "notices" (base64url, sorted) and "openings"
// (disclosure texts, sorted); an empty list is absent. With neither it is the bare
// entry.
type Submission struct {
	Envelope *Envelope
	Openings []Opening // of every public digest of the event, sorted by their text
	Notices  [][]byte  // ciphertexts of a release's notices, sorted by base64url text

	read asRead
}

// asRead has texts of a submission as ParseSubmission read them. They share memory with its input, and
// hold while the submission's fields have these values.
type asRead struct {
	envelope *Envelope
	entry    []byte
	openings []Opening
	list     []byte // the JSON list of openings
}

// String describes the submission without its secrets.
func (s *Submission) String() string {
	return fmt.Sprintf("%v with %d openings and %d notices", s.Envelope, len(s.Openings), len(s.Notices))
}

const submissionPrefix = `{"envelope":`

// ParseSubmission reads a submission. Errors wrap ErrMalformed. It doesn't match the
// openings with the event, see [Submission.Complete].
func ParseSubmission(b []byte) (*Submission, error) {
	if len(b) > MaxSubmissionSize {
		return nil, fmt.Errorf("submission: %w: %d bytes, at most %d", ErrTooLarge, len(b), MaxSubmissionSize)
	}
	if !bytes.HasPrefix(b, []byte(submissionPrefix)) {
		env, err := ParseEnvelope(b)
		if err != nil {
			return nil, err
		}
		return &Submission{Envelope: env, read: asRead{envelope: env, entry: b}}, nil
	}
	s := new(Submission)
	err := read(b, s.fields)
	if err == nil && len(s.Openings)+len(s.Notices) == 0 {
		err = fmt.Errorf("%w: without openings and notices it is the bare envelope", ErrMalformed)
	}
	if err != nil {
		return nil, fmt.Errorf("not a signed event: %w", err)
	}
	return s, nil
}

func (s *Submission) fields(c *coder) {
	if c.member("envelope", "object", required, s.Envelope != nil, "the entry") {
		s.envelope(c)
	}
	listOf(c, "notices", "bytes", optional, sorted, maxNotices, &s.Notices, "notices' ciphertexts", func(b *[]byte, c *coder) { c.blob("", MaxNoticeSize, b) })
	start := c.i
	listOf(c, "openings", "disclosures", optional, sorted, MaxDigests, &s.Openings, "openings of the event's public digests", disclosureElem)
	if c.mode == decoding && len(s.Openings) > 0 {
		s.read.openings, s.read.list = s.Openings, bytes.TrimPrefix(c.b[start:c.i:c.i], []byte(`,"openings":`))
	}
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
	s.Envelope = env
	s.read.envelope, s.read.entry = env, c.b[start:c.i:c.i]
}

// Entry returns the exact bytes of the envelope. After ParseSubmission they share
// memory with its input.
func (s *Submission) Entry() []byte {
	if s.read.envelope != nil && s.read.envelope == s.Envelope {
		return s.read.entry
	}
	return s.Envelope.Bytes()
}

// list returns the JSON list of the openings as it was read, or nil.
func (s *Submission) list() []byte {
	if n := len(s.Openings); n > 0 && n == len(s.read.openings) && &s.Openings[0] == &s.read.openings[0] {
		return s.read.list
	}
	return nil
}

// OpeningsFile returns the openings as a file, as [Openings.Bytes] does, for the event with this hash,
// and the openings in the order of the file.
func (s *Submission) OpeningsFile(hash Digest) (file []byte, sorted []Opening, err error) {
	list := s.list()
	if list == nil {
		o := Openings{Event: hash, Public: slices.Clone(s.Openings)}
		file, err = o.Bytes()
		return file, o.Public, err
	}
	b := make([]byte, 0, len(list)+80)
	b = append(b, `{"event":"`...)
	b = url.AppendEncode(b, hash[:])
	b = append(b, `","public":`...)
	b = append(b, list...)
	return append(b, "}\n"...), s.Openings, nil
}

// digests returns the digests of the openings' texts, or nil if the texts are not known.
func (s *Submission) digests() []Digest {
	rest := s.list()
	if rest == nil {
		return nil
	}
	out := make([]Digest, len(s.Openings))
	for i := range out {
		_, rest, _ = bytes.Cut(rest, []byte{'"'})
		var text []byte
		text, rest, _ = bytes.Cut(rest, []byte{'"'})
		out[i] = sha256.Sum256(text)
	}
	return out
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
	b, err := appendObject(sorting, b, s.fields)
	if err != nil {
		return nil, fmt.Errorf("submission: %w", err)
	}
	if len(b) > MaxSubmissionSize {
		return nil, fmt.Errorf("submission: %w: %d bytes, at most %d", ErrTooLarge, len(b), MaxSubmissionSize)
	}
	return b, nil
}

// Complete checks that the submission has an opening of every public digest of its event,
// and the notice of every digest that a release states, and nothing else; no log takes
// another. The error wraps ErrNoMatch, ErrWrongName, ErrRepeated, ErrIncomplete or
// ErrTooLarge. See docs/events.md.
func (s *Submission) Complete() error {
	ev := s.Envelope.Event
	if len(ev.Sealed.Digests(ClassPublic)) > 0 || len(s.Openings) > 0 {
		if err := ev.matchAll(ClassPublic, s.Openings, s.digests()); err != nil {
			return fmt.Errorf("openings: %w", err)
		}
	}
	var want []Digest
	if release, ok := ev.Body.(*Release); ok {
		want = release.Notices
	} else if len(s.Notices) > 0 {
		return fmt.Errorf("%w: a %s has no notices", ErrNoMatch, ev.Type)
	}
	if len(want) > maxNotices {
		return fmt.Errorf("%w: %d notices, at most %d fit into a submission", ErrTooLarge, len(want), maxNotices)
	}
	open := make(map[Digest]bool, len(want))
	for _, n := range s.Notices {
		d := Digest(sha256.Sum256(n))
		switch {
		case !slices.Contains(want, d):
			return fmt.Errorf("notices: %w: one hashes to %s", ErrNoMatch, d)
		case open[d]:
			return fmt.Errorf("notices: %w: %s", ErrRepeated, d)
		case len(n) == 0 || len(n) > MaxNoticeSize:
			return fmt.Errorf("notices: %w: one has %d bytes, 1 to %d are allowed", ErrTooLarge, len(n), MaxNoticeSize)
		}
		open[d] = true
	}
	if len(open) < len(want) {
		return fmt.Errorf("notices: %w: %d of %d are missing", ErrIncomplete, len(want)-len(open), len(want))
	}
	return nil
}
