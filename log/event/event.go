// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package event parses, makes, seals and signs single entries of a Vasistas log:
// the header, the bodies of the thirteen event types, the DSSE envelope around them,
// sealed values, and the keys that sign.
//
// # Contract
//
// Every text has one encoding. [Parse], [ParseEnvelope], [ParseOpening],
// [ParseOpenings] and [ParsePublicKeyPEM] accept exactly the bytes that the
// matching Bytes, Encode or PEM method writes. So two parties that verified an
// entry have read the same event, and re-spelling a logged entry never makes a
// second one.
//
// A parsed value is well-formed, not trusted. [Envelope.Verify] checks signatures;
// package ledger checks the signer's role and all rules that need more than one
// entry (standing, windows, deadlines, chains). A time is the issuer's claim.
//
// The package does no network or file access and has no key store (see package
// eventkey), so an offline verifier may link it.
//
// # Payloads
//
// A payload is JSON in the form of RFC 8785 (JCS). An empty member is absent, never
// null. Integers are 0 to 2^53-1. Bytes are unpadded base64url, except leaf hashes:
// padded standard base64, as in C2SP. Times are exactly 2006-01-02T15:04:05Z. Names
// and codes are [a-z0-9][a-z0-9._-]{0,63}. No member takes free text, since a log
// can't erase it. A list whose order has no meaning is sorted by its elements' JSON
// text, strictly ascending; [New] sorts for the caller.
//
// One method of each type, fields, encodes, decodes, checks and documents its
// members; docs/events.md is rendered from it. The same walk reads and prints the
// charter file that founders edit: [ParseCharterFile].
//
// # Decisions
//
//   - The origin stands in the header (log) and not in a charter.
//   - Origins, key names and policies are printable ASCII. C2SP allows more, but
//     people confirm names, and names may look alike.
//   - Lists are sorted by JSON text, not by decoded bytes, since every reader in any
//     language has the text.
//   - Whether an event must carry seals is a rule (seal-limit), not a matter of form.
//     [Names] lists how many openings of each name a type has.
//   - An envelope has at most 48,000 bytes, so a proof that carries the entry fits
//     every parser's limit.
package event

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/vasistas/vasistas/log/tlog"
)

// MaxPayloadSize bounds a payload before it is read. The exact bound is the
// entry's, [MaxEntrySize].
const MaxPayloadSize = MaxEntrySize / 4 * 3

// MaxDigests bounds the digests of a class of a sealed section, and any other list
// of digests.
const MaxDigests = 512

// An ID is the header's id: 16 random bytes that a signer never uses twice.
// Its text is base64url.
type ID [16]byte

// String returns the text that stands in the header.
func (id ID) String() string { return url.EncodeToString(id[:]) }

// A Digest is a SHA-256 hash, in payloads as base64url. A leaf hash stands in a
// [Reference] instead.
type Digest [32]byte

// String returns unpadded base64url.
func (d Digest) String() string { return url.EncodeToString(d[:]) }

// Format prints what String returns, and hex digits for %x.
func (d Digest) Format(s fmt.State, verb rune) {
	if verb == 'x' {
		fmt.Fprintf(s, "%x", d[:])
		return
	}
	io.WriteString(s, d.String())
}

// ParseDigest reads what Digest.String writes.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	c := coder{mode: decoding, b: []byte(`"` + s + `"`)}
	c.fixedValue("digest", url, d[:])
	if c.err == nil && c.i != len(c.b) {
		c.fail("digest", errBase64)
	}
	return d, c.err
}

// MarshalText returns what String does.
func (d Digest) MarshalText() ([]byte, error) { return url.AppendEncode(nil, d[:]), nil }

// UnmarshalText reads what MarshalText writes.
func (d *Digest) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDigest(string(text))
	return err
}

// A Reference names an entry of the same log by index and RFC 6962 leaf hash.
type Reference struct {
	Index uint64
	Leaf  tlog.Hash
}

// String returns the index and the leaf hash in padded standard base64.
func (r Reference) String() string {
	var room [65]byte
	b := append(strconv.AppendUint(room[:0], r.Index, 10), ' ')
	return string(std.AppendEncode(b, r.Leaf[:]))
}

// ParseReference reads what String returns.
func ParseReference(s string) (r Reference, err error) {
	index, leaf, _ := strings.Cut(s, " ")
	b, err := std.DecodeString(leaf)
	if err == nil {
		r.Index, err = strconv.ParseUint(index, 10, 53)
	}
	if copy(r.Leaf[:], b); err != nil || r.String() != s {
		return Reference{}, fmt.Errorf("%w: %w", ErrMalformed, errReference)
	}
	return r, nil
}

var errReference = errors.New("want the index of an entry, a space, and its leaf hash in padded base64")

// MarshalJSON writes the reference as it stands in payloads.
func (r Reference) MarshalJSON() ([]byte, error) { return appendObject(encoding, nil, r.fields) }

// UnmarshalJSON reads what MarshalJSON writes.
func (r *Reference) UnmarshalJSON(b []byte) error { return read(b, r.fields) }

func (r *Reference) fields(c *coder) {
	c.uint("index", required, 0, &r.Index, "index of the entry, from 0")
	c.fixed("leaf", "leaf hash", required, std, r.Leaf[:], "RFC 6962 leaf hash of the entry")
}

// An Event is the payload of an entry.
type Event struct {
	Type   Type      // must be the type of Body
	Log    string    // origin of the log: no replay into another log
	ID     ID        // random; a signer never uses one twice
	Time   time.Time // the issuer's claim: UTC, whole seconds
	Body   Body      // one of *Charter, *Warrant, ... and never nil
	Sealed *Sealed   // nil: nothing is sealed
}

// A Body is the part of an event that depends on its type. Only the types of this
// package implement it.
type Body interface {
	Type() Type
	fields(*coder)
	check(*Event) error // conditions on several members
}

// New makes an event for the log with this origin, a fresh random id and the current
// time. It sorts the body's lists as Sort does, and fails if the body is not
// well-formed.
func New(log string, body Body) (*Event, error) {
	if body == nil {
		return nil, fmt.Errorf("%w: no body", ErrMalformed)
	}
	e := &Event{Type: body.Type(), Log: log, Time: time.Now().UTC().Truncate(time.Second), Body: body}
	rand.Read(e.ID[:])
	if err := e.Sort(); err != nil {
		return nil, err
	}
	return e, nil
}

// Sort sorts in place the lists whose order has no meaning, as Bytes requires. It
// fails if Bytes would fail for another reason.
func (e *Event) Sort() error {
	_, err := e.encode(sorting, nil)
	return err
}

// Bytes validates the event and returns its canonical payload, at most
// MaxPayloadSize bytes.
func (e *Event) Bytes() ([]byte, error) { return e.encode(encoding, make([]byte, 0, 1024)) }

// encode appends the event to b, which is empty.
func (e *Event) encode(m mode, b []byte) ([]byte, error) {
	if e.Body == nil || e.Body.Type() != e.Type {
		return nil, fmt.Errorf("%w: type %q and body disagree", ErrMalformed, e.Type)
	}
	b, err := appendObject(m, b, e.fields)
	if err != nil {
		return nil, err
	}
	if len(b) > MaxPayloadSize {
		return nil, fmt.Errorf("%w: payload has %d bytes, at most %d", ErrTooLarge, len(b), MaxPayloadSize)
	}
	if err := e.check(); err != nil {
		return nil, err
	}
	return b, nil
}

func (e *Event) fields(c *coder) {
	if c.member("body", "object", required, true, "members of the type, see below") {
		c.in("body", func() { c.braces(func() { e.Body.fields(c) }) })
	}
	c.header(e)
}

func (c *coder) header(e *Event) {
	c.fixed("id", "16 bytes", required, url, e.ID[:], "random; a signer never uses one twice")
	code(c, "log", originKind, required, &e.Log, "origin of the log")
	objectOpt(c, "sealed", "", optional, &e.Sealed, "digests of values that are opened later", (*Sealed).fields)
	c.time("time", required, &e.Time, "time of signing, as the issuer claims")
	code(c, "type", typeKind, required, &e.Type, "type of the body")
}

var typeKind = stringKind{"type", func(s string) error {
	if !Type(s).Valid() {
		return fmt.Errorf("unknown type %q", s)
	}
	return nil
}, typesAs[string]()}

func (e *Event) check() error {
	if zero(e.ID[:]) {
		return fmt.Errorf("%w: id: all zero is not random", ErrMalformed)
	}
	if err := e.Body.check(e); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrMalformed, e.Type, err)
	}
	if e.Sealed == nil {
		return nil
	}
	if err := e.Sealed.check(e.Type); err != nil {
		return fmt.Errorf("%w: sealed: %w", ErrMalformed, err)
	}
	return nil
}

// Parse reads a payload in its one encoding: RFC 8785 form, known members
// only, every value in its bounds. Errors wrap ErrMalformed.
func Parse(payload []byte) (*Event, error) {
	if len(payload) > MaxPayloadSize {
		return nil, fmt.Errorf("%w: payload has %d bytes, at most %d", ErrTooLarge, len(payload), MaxPayloadSize)
	}
	info := peekType(payload)
	if info == nil {
		return nil, fmt.Errorf("%w: payload must end with a known type", ErrMalformed)
	}
	e := &Event{Body: info.body()}
	if err := read(payload, e.fields); err != nil {
		return nil, err
	}
	if e.Type != info.t {
		return nil, fmt.Errorf("%w: type %q and body disagree", ErrMalformed, e.Type)
	}
	if err := e.check(); err != nil {
		return nil, err
	}
	return e, nil
}

// peekType finds the type, which is the last member in canonical order but decides
// how to read the first one.
func peekType(payload []byte) *typeInfo {
	const mark = `,"type":"`
	rest, ok := bytes.CutSuffix(payload, []byte(`"}`))
	if !ok {
		return nil
	}
	i := bytes.LastIndex(rest, []byte(mark))
	if i < 0 {
		return nil
	}
	return Type(rest[i+len(mark):]).info()
}

var errBoth = errors.New("exclude each other")

// A Type is the type of an event.
type Type string

// The types. Signers and sealed names of each: [Type.Signers], [Names].
const (
	TypeCharter    Type = "charter"
	TypeWarrant    Type = "warrant"
	TypeRevocation Type = "revocation"
	TypeAccess     Type = "access"
	TypeRelease    Type = "release"
	TypeRefusal    Type = "refusal"
	TypeDeferral   Type = "deferral"
	TypeDisclosure Type = "disclosure"
	TypeResponse   Type = "response"
	TypeReturn     Type = "return"
	TypeHeartbeat  Type = "heartbeat"
	TypeAnchor     Type = "anchor"
	TypeFinding    Type = "finding"
)

// A Role says which events a charter lets a key sign.
type Role string

// The roles that sign events.
const (
	RoleCharter   Role = "charter"   // amends the charter, t of n
	RoleAuthority Role = "authority" // court, judge or commission: decides on warrants
	RoleDuty      Role = "duty"      // an authority's on-call key, for emergencies
	RoleProvider  Role = "provider"  // operates the service and the log
	RoleCustodian Role = "custodian" // holds a share of an escrow key
	RoleAuditor   Role = "auditor"   // reads every entry and cosigns while the rules hold
)

// A typeInfo is one row of the table of all types.
type typeInfo struct {
	t       Type
	signers []Role
	body    func() Body
	doc     string
}

// types lists all types in the order of the documentation.
var types = []typeInfo{
	{TypeCharter, []Role{RoleCharter}, func() Body { return new(Charter) },
		"Sets up the log (entry 0) or amends it: keys, groups, thresholds, profile, policies."},
	{TypeWarrant, []Role{RoleAuthority}, func() Body { return new(Warrant) },
		"An authority's decision on one request for access."},
	{TypeRevocation, []Role{RoleAuthority}, func() Body { return new(Revocation) },
		"Ends a warrant before its window does, in whole or in some categories; or suspends it, or resumes it."},
	{TypeAccess, []Role{RoleProvider, RoleDuty}, func() Body { return new(Access) },
		"Asks one custodian group to open packages to one recipient key. In an emergency a duty key signs too."},
	{TypeRelease, []Role{RoleCustodian}, func() Body { return new(Release) },
		"A custodian's promise to answer an access, logged before the custodian uses its key."},
	{TypeRefusal, []Role{RoleCustodian}, func() Body { return new(Refusal) },
		"A custodian's refusal of an access that names its group."},
	{TypeDeferral, []Role{RoleAuthority}, func() Body { return new(Deferral) },
		"Moves the date by which an event must be disclosed."},
	{TypeDisclosure, []Role{RoleProvider, RoleAuthority, RoleCustodian}, func() Body { return new(Disclosure) },
		"Opens sealed values and publishes notices."},
	{TypeResponse, []Role{RoleProvider}, func() Body { return new(Response) },
		"A provider's answer that it does not execute a warrant, or not fully."},
	{TypeReturn, []Role{RoleProvider}, func() Body { return new(Return) },
		"The outcome of a warrant, in figures."},
	{TypeHeartbeat, []Role{RoleCustodian}, func() Body { return new(Heartbeat) },
		"A custodian's count of its releases, on a schedule."},
	{TypeAnchor, []Role{RoleProvider}, func() Body { return new(Anchor) },
		"An earlier cosigned checkpoint of this log, which proves times to every replay."},
	{TypeFinding, []Role{RoleAuditor}, func() Body { return new(Finding) },
		"An auditor's statement that a rule was broken, or that the breach no longer bars the auditor."},
}

func (t Type) info() *typeInfo { return first(types, func(i *typeInfo) bool { return i.t == t }) }

// first returns the first element that ok accepts, or nil.
func first[T any](list []T, ok func(*T) bool) *T {
	for i := range list {
		if ok(&list[i]) {
			return &list[i]
		}
	}
	return nil
}

// Valid reports whether t is one of the types.
func (t Type) Valid() bool { return t.info() != nil }

// Types returns all types, in the order of the documentation.
func Types() []Type { return typesAs[Type]() }

func typesAs[S ~string]() []S {
	out := make([]S, len(types))
	for i := range types {
		out[i] = S(types[i].t)
	}
	return out
}

// Signers returns the roles whose keys, and no others, may sign an event of this
// type: nil for an unknown type. The provider must sign an access, in an emergency
// with a duty key; one signer of the roles must sign any other event.
func (t Type) Signers() []Role {
	if i := t.info(); i != nil {
		return append([]Role(nil), i.signers...)
	}
	return nil
}
