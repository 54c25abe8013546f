// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"errors"
	"fmt"
	"time"
)

// A KEM is the key encapsulation of an HPKE key (RFC 9180).
type KEM string

// The KEMs.
const (
	KEMX25519      KEM = "x25519"          // DHKEM(X25519, HKDF-SHA256)
	KEMMLKEMX25519 KEM = "mlkem768-x25519" // ML-KEM-768 with X25519, post-quantum hybrid
)

var kemKind = enumKind(string(KEMMLKEMX25519), string(KEMX25519))

// size returns the length of the KEM's public keys.
func (k KEM) size() int {
	switch k {
	case KEMX25519:
		return 32
	case KEMMLKEMX25519:
		return 1184 + 32
	}
	return 0
}

// An HPKEKey is a public key to encrypt to.
type HPKEKey struct {
	KEM    KEM
	Public []byte // as the KEM serializes it: 32 or 1,216 bytes
}

// String returns the KEM and the key in base64url.
func (k HPKEKey) String() string { return string(k.KEM) + " " + url.EncodeToString(k.Public) }

func (k *HPKEKey) fields(c *coder) {
	code(c, "kem", kemKind, required, &k.KEM, "key encapsulation")
	if !c.member("public", "bytes", required, true, "public key as the KEM serializes it") || c.mode == describing {
		return
	}
	c.blob("public", KEMMLKEMX25519.size(), &k.Public)
	if c.err == nil && len(k.Public) != k.KEM.size() {
		c.fail("public", fmt.Errorf("%s keys have %d bytes, not %d", k.KEM, k.KEM.size(), len(k.Public)))
	}
}

// Bytes returns the key's canonical JSON.
func (k HPKEKey) Bytes() ([]byte, error) { return appendObject(nil, k.fields) }

// MarshalJSON returns what Bytes does.
func (k HPKEKey) MarshalJSON() ([]byte, error) { return k.Bytes() }

// UnmarshalJSON reads what Bytes writes.
func (k *HPKEKey) UnmarshalJSON(b []byte) error { return new(coder).read(b, k.fields) }

// consentType is the DSSE payload type of an agency's message. It differs from
// PayloadType, so no such message passes for an event.
const consentType = "application/vnd.vasistas.consent"

// AgencyMessage returns the message by which an agency's key claims a recipient
// key: the DSSE pre-authentication encoding of the warrant's event hash (all zero
// in an emergency), the access's id and the recipient key's canonical JSON.
func AgencyMessage(warrant Digest, access ID, recipient HPKEKey) ([]byte, error) {
	key, err := recipient.Bytes()
	if err != nil {
		return nil, err
	}
	body := append(append(warrant[:], access[:]...), key...)
	return AppendPAE(nil, consentType, body), nil
}

// An Access asks a custodian group to open packages, on a warrant or, in an
// emergency, on a duty key's signature.
type Access struct {
	Warrant   *Reference // nil in an emergency
	Emergency string     // the emergency's ground, a code of the profile; "" on a warrant
	Group     string     // id of the custodian group
	Recipient HPKEKey    // one-time key that the agency claims
	Accounts  uint64     // how many accounts it opens
}

// Type returns TypeAccess.
func (*Access) Type() Type { return TypeAccess }

func (a *Access) fields(c *coder) {
	c.uint("accounts", required, 1, &a.Accounts, "how many accounts it opens")
	code(c, "emergency", codeKind, optional, &a.Emergency, "ground of an emergency; excludes warrant")
	code(c, "group", codeKind, required, &a.Group, "id of the custodian group")
	object(c, "recipient", "encryption key", &a.Recipient, "one-time key that the agency claims", (*HPKEKey).fields)
	objectOpt(c, "warrant", "reference", optional, &a.Warrant, "the warrant it stands on; excludes emergency", (*Reference).fields)
}

func (a *Access) check(*Event) error {
	if (a.Warrant == nil) == (a.Emergency == "") {
		return errors.New("want exactly one of body.warrant and body.emergency")
	}
	return nil
}

// A Head is a tree head that a signer relied on.
type Head struct {
	Size uint64
	Root Digest
}

func (h *Head) fields(c *coder) {
	c.fixed("root", "digest", required, url, h.Root[:], "root hash")
	c.uint("size", required, 1, &h.Size, "tree size")
}

// A Release is a custodian's promise to answer an access, in its chain.
type Release struct {
	Access  Reference
	Seq     uint64   // 1, 2, ... without gaps, per key
	Prev    Digest   // event hash of the release before; zero at Seq 1
	Notices []Digest // SHA-256 of each notice's ciphertext, sorted
	Head    Head     // the head that the custodian relied on
}

// Type returns TypeRelease.
func (*Release) Type() Type { return TypeRelease }

func (r *Release) fields(c *coder) {
	object(c, "access", "reference", &r.Access, "the access it answers", (*Reference).fields)
	object(c, "head", "head", &r.Head, "the tree head that was relied on", (*Head).fields)
	listOf(c, "notices", "digests", required, sorted, MaxDigests, &r.Notices, "SHA-256 of each notice's ciphertext", digestElem)
	c.fixed("prev", "digest", optional, url, r.Prev[:], "event hash of the release before; absent at seq 1")
	c.uint("seq", required, 1, &r.Seq, "number of the release in this key's chain")
}

func (r *Release) check(*Event) error { return checkChain(r.Seq == 1, r.Prev) }

func checkChain(first bool, prev Digest) error {
	switch {
	case first && !zero(prev[:]):
		return fmt.Errorf("body.prev: %w: the chain has no release before", errAbsent)
	case !first && zero(prev[:]):
		return fmt.Errorf("body.prev: %w", errMissing)
	}
	return nil
}

// A Refusal is a custodian's refusal of an access.
type Refusal struct {
	Access Reference
	Reason string // a code of the profile
}

// Type returns TypeRefusal.
func (*Refusal) Type() Type { return TypeRefusal }

func (r *Refusal) fields(c *coder) {
	object(c, "access", "reference", &r.Access, "the access that is refused", (*Reference).fields)
	code(c, "reason", codeKind, required, &r.Reason, "reason, of the profile")
}

func (*Refusal) check(*Event) error { return nil }

// A Heartbeat states a custodian's count of releases for one period, even
// when nothing happened.
type Heartbeat struct {
	From    time.Time // first second of the period
	To      time.Time // first second after it
	Seq     uint64    // how many releases the chain has; 0: none yet
	Prev    Digest    // event hash of the last one; zero at Seq 0
	Resumed bool      // the custodian lost its state and restored its chain from the log
}

// Type returns TypeHeartbeat.
func (*Heartbeat) Type() Type { return TypeHeartbeat }

func (h *Heartbeat) fields(c *coder) {
	c.time("from", required, &h.From, "first second of the period")
	c.fixed("prev", "digest", optional, url, h.Prev[:], "event hash of the chain's last release; absent at seq 0")
	c.flag("resumed", &h.Resumed, "the custodian lost its state and restored its chain from the log")
	c.uint("seq", required, 0, &h.Seq, "how many releases the chain has")
	c.time("to", required, &h.To, "first second after the period")
}

func (h *Heartbeat) check(*Event) error {
	if !h.From.Before(h.To) {
		return errors.New("body.to: not after from")
	}
	return checkChain(h.Seq == 0, h.Prev)
}
