// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Deferral moves the date until which an event stays sealed. The profile says
// which authorities sign it.
type Deferral struct {
	Event   Reference
	Until   time.Time // the new date; zero when Never
	Never   bool      // only where the profile allows it
	Ground  string    // a code of the profile
	Ordinal uint64    // 1 for the first deferral of this event, then 2, ...
}

// never is the until of a deferral without end.
const never = "never"

func (*Deferral) Type() Type { return TypeDeferral }

func (d *Deferral) fields(c *coder) {
	object(c, "event", "reference", &d.Event, "the sealed event", (*Reference).fields)
	code(c, "ground", codeKind, required, &d.Ground, "ground, of the profile")
	c.uint("ordinal", required, 1, &d.Ordinal, "1 for the first deferral of this event")
	d.until(c)
}

func (d *Deferral) until(c *coder) {
	if c.encodes() && d.Never && !d.Until.IsZero() {
		c.fail("until", errBoth)
		return
	}
	s := ""
	switch {
	case d.Never:
		s = never
	case !d.Until.IsZero() && c.encodes():
		if err := checkTime(d.Until); err != nil {
			c.fail("until", err)
			return
		}
		s = d.Until.Format(timeLayout)
	}
	code(c, "until", untilKind, required, &s, "the new date, or never")
	if c.mode != decoding || c.err != nil {
		return
	}
	if d.Never = s == never; !d.Never {
		d.Until, _ = parseTime([]byte(s)) // untilKind has checked it
	}
}

var untilKind = stringKind{name: "time, or never", check: func(s string) error {
	if s == never {
		return nil
	}
	_, err := parseTime([]byte(s))
	return err
}}

func (*Deferral) check(*Event) error { return nil }

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
func (k HPKEKey) Bytes() ([]byte, error) { return appendObject(encoding, nil, k.fields) }

// MarshalJSON returns what Bytes does.
func (k HPKEKey) MarshalJSON() ([]byte, error) { return k.Bytes() }

// UnmarshalJSON reads what Bytes writes.
func (k *HPKEKey) UnmarshalJSON(b []byte) error { return read(b, k.fields) }

// consentType is the DSSE payload type of an agency's message. It differs from
// PayloadType, so no such message passes for an event.
const consentType = "application/vnd.vasistas.consent"

// AgencyMessage returns the message by which an agency's key claims a recipient
// key: the DSSE pre-authentication encoding of the SHA-256 of the log's origin, the
// warrant's event hash (all zero in an emergency), the access's id and the recipient
// key's canonical JSON.
func AgencyMessage(origin string, warrant Digest, access ID, recipient HPKEKey) ([]byte, error) {
	key, err := recipient.Bytes()
	if err != nil {
		return nil, err
	}
	log := sha256.Sum256([]byte(origin))
	body := slices.Concat(log[:], warrant[:], access[:], key)
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

	// Categories are the categories of data that it opens, sorted: some of its warrant's, or
	// none if the warrant states none. In an emergency they are of the profile's emergency.
	Categories []string
}

func (*Access) Type() Type { return TypeAccess }

func (a *Access) fields(c *coder) {
	c.uint("accounts", required, 1, &a.Accounts, "how many accounts it opens")
	codes(c, "categories", codeKind, optional, maxCategories, &a.Categories, "categories of data that it opens: some of its warrant's or, in an emergency, those that the profile allows")
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

	// Audit is the checkpoint, with cosignatures that meet the audit policy, under which
	// the custodian opens; "" under the audit policy "quorum none". Parse checks only its
	// outer form.
	Audit string
}

func (*Release) Type() Type { return TypeRelease }

func (r *Release) fields(c *coder) {
	object(c, "access", "reference", &r.Access, "the access it answers", (*Reference).fields)
	c.text("audit", "signed note", optional, maxNote, "\n", &r.Audit, "the checkpoint with audit cosignatures under which the custodian opens")
	object(c, "head", "head", &r.Head, "the tree head that was relied on", (*Head).fields)
	listOf(c, "notices", "digests", required, sorted, MaxDigests, &r.Notices, "SHA-256 of each notice's ciphertext", digestElem)
	c.fixed("prev", "digest", optional, url, r.Prev[:], "event hash of the release before; absent at seq 1")
	c.uint("seq", required, 1, &r.Seq, "number of the release in this key's chain")
}

func (r *Release) check(e *Event) error {
	if r.Audit != "" {
		if err := checkNote("body.audit", r.Audit, e.Log); err != nil {
			return err
		}
	}
	return checkChain(r.Seq == 1, r.Prev)
}

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

// Bounds of what a disclosure and an anchor carry.
const (
	// MaxNoticeSize bounds one notice's ciphertext.
	MaxNoticeSize = 24000
	maxNotices    = 64
	maxNote       = 32000
)

// A Disclosure opens sealed values of an event and publishes notices. Several
// disclosures may share the openings of one event.
type Disclosure struct {
	Event    Reference
	Openings []Opening // sorted by disclosure text
	Notices  [][]byte  // ciphertexts, sorted by base64url text
}

func (*Disclosure) Type() Type { return TypeDisclosure }

func (d *Disclosure) fields(c *coder) {
	listOf(c, "disclosures", "disclosures", optional, sorted, MaxDigests, &d.Openings, "openings of the event's public digests", disclosureElem)
	object(c, "event", "reference", &d.Event, "the sealed event", (*Reference).fields)
	listOf(c, "notices", "bytes", optional, sorted, maxNotices, &d.Notices, "notices' ciphertexts", func(b *[]byte, c *coder) { c.blob("", MaxNoticeSize, b) })
}

func (d *Disclosure) check(*Event) error {
	if len(d.Openings)+len(d.Notices) == 0 {
		return errors.New("body: neither disclosures nor notices")
	}
	for _, o := range d.Openings {
		public := slices.ContainsFunc(names, func(n Name) bool { return n.Name == o.Name && n.Class == ClassPublic })
		if o.Name != DecoyName && !public {
			return fmt.Errorf("body.disclosures: %s is for the subject only, and never public", o.Name)
		}
	}
	return nil
}

// An Anchor carries an earlier checkpoint of this log as a C2SP signed note:
// its text, the log's signatures and one minimal satisfying set of cosignatures.
// Parse checks only its outer form; package ledger parses and verifies it.
type Anchor struct {
	Checkpoint string
}

func (*Anchor) Type() Type { return TypeAnchor }

func (a *Anchor) fields(c *coder) {
	c.text("checkpoint", "signed note", required, maxNote, "\n", &a.Checkpoint, "an earlier checkpoint of this log with its signatures")
}

func (a *Anchor) check(e *Event) error { return checkNote("body.checkpoint", a.Checkpoint, e.Log) }

// checkNote checks the outer form of a signed checkpoint of a log.
func checkNote(path, note, log string) error {
	origin, rest, _ := strings.Cut(note, "\n")
	if origin != log {
		return fmt.Errorf("%s: origin is %q, not this log", path, origin)
	}
	text, signatures, ok := strings.Cut(rest, "\n\n")
	if !ok || text == "" || !strings.HasSuffix(signatures, "\n") {
		return fmt.Errorf("%s: not a signed note", path)
	}
	for line := range strings.Lines(signatures) {
		if !strings.HasPrefix(line, "\u2014 ") {
			return fmt.Errorf("%s: not a signature line of a signed note", path)
		}
	}
	return nil
}

// A FindingState says whether a breach still bars the auditor that states it.
type FindingState string

// The states.
const (
	FindingOpen   FindingState = "open"
	FindingClosed FindingState = "closed"
)

var findingKind = enumKind(string(FindingClosed), string(FindingOpen))

// A Finding is an auditor's statement about breaches of a rule in a range of entries.
// A closed finding lifts the bar of these breaches for its auditor alone.
type Finding struct {
	First, Last uint64 // indexes, both included
	Rule        string // name of the rule
	State       FindingState
	Digest      Digest // SHA-256 of the finding's text, which the auditor publishes
}

func (*Finding) Type() Type { return TypeFinding }

func (f *Finding) fields(c *coder) {
	c.fixed("digest", "digest", required, url, f.Digest[:], "SHA-256 of the finding's text, which the auditor publishes")
	c.uint("first", required, 0, &f.First, "index of the first entry that it covers")
	c.uint("last", required, 0, &f.Last, "index of the last entry that it covers")
	code(c, "rule", codeKind, required, &f.Rule, "name of the rule")
	code(c, "state", findingKind, required, &f.State, "whether the breach still bars the auditor")
}

func (f *Finding) check(*Event) error {
	if f.Last < f.First {
		return errors.New("body.last: before first")
	}
	return nil
}
