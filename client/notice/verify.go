// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package notice

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// verifier verifies one file, step by step.
type verifier struct {
	f                        *File
	policy                   *verify.Policy
	o                        verify.Options
	charters                 []*charter
	release, access, warrant *verify.Inclusion
	out                      *Verified
}

type charter struct {
	*event.Charter
	index uint64
}

// Verify verifies the file under a policy. Errors are those of package verify, with
// BadNotice if notice and entries contradict each other. It uses only Origin and Now of
// the options: the signers' keys are those of the file's charters.
func (f *File) Verify(policy *verify.Policy, o verify.Options) (*Verified, error) {
	v := &verifier{f: f, policy: policy, o: verify.Options{Origin: o.Origin, Now: o.Now}, out: new(Verified)}
	if f.Warrant != nil {
		v.out.Warrant = new(Warrant)
	}
	for _, step := range []func() error{v.prove, v.refer, v.open, v.roles} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	v.consent()
	v.auditors()
	v.describe()
	return v.out, nil
}

func bad(format string, args ...any) error {
	return &verify.Error{Reason: verify.BadNotice, Err: fmt.Errorf(format, args...)}
}

// prove verifies that every entry is in the tree of one head, and the signatures of all
// but the charters: a charter's signers stand in earlier charters.
func (v *verifier) prove() error {
	if len(v.f.Charters) == 0 || len(v.f.Charters) > maxCharters {
		return bad("%d charters, want 1 to %d", len(v.f.Charters), maxCharters)
	}
	var head []byte
	one := func(b []byte, o verify.Options) (*verify.Inclusion, error) {
		in, err := verify.Proof(v.policy, b, o)
		if err != nil {
			return nil, err
		}
		if head == nil {
			head = in.Checkpoint()
		}
		if !bytes.Equal(head, in.Checkpoint()) {
			return nil, bad("its proofs are under different checkpoints")
		}
		return in, nil
	}
	for _, b := range v.f.Charters {
		in, err := one(b, v.o)
		if err != nil {
			return err
		}
		c, ok := in.Envelope().Event.Body.(*event.Charter)
		if !ok {
			return bad("entry %d is a %s, and not a charter", in.Index(), in.Envelope().Event.Type)
		}
		if n := len(v.charters); n > 0 && v.charters[n-1].index >= in.Index() {
			return bad("the charters are not in the log's order")
		}
		v.charters = append(v.charters, &charter{c, in.Index()})
	}
	o := v.o
	o.Signers = v.key
	var err error
	if v.release, err = one(v.f.Release, o); err != nil {
		return fmt.Errorf("the release: %w", err)
	}
	if v.access, err = one(v.f.Access, o); err != nil {
		return fmt.Errorf("the access: %w", err)
	}
	if v.f.Warrant != nil {
		if v.warrant, err = one(v.f.Warrant, o); err != nil {
			return fmt.Errorf("the warrant: %w", err)
		}
	}
	return nil
}

func (v *verifier) key(id string) *event.PublicKey {
	for _, c := range v.charters {
		for i := range c.Parties {
			for _, k := range c.Parties[i].Keys {
				if k.KeyID() == id {
					return k
				}
			}
		}
	}
	return nil
}

// signers returns the parties that signed an entry in a role, by the last charter of the
// file below the entry.
func (v *verifier) signers(in *verify.Inclusion, role event.Role) []string {
	var c *charter
	for _, ch := range v.charters {
		if ch.index < in.Index() {
			c = ch
		}
	}
	if c == nil {
		return nil
	}
	var out []string
	for _, s := range in.Envelope().Signatures {
		if p := c.Holder(s.KeyID); p != nil && p.Role == role {
			out = append(out, p.Name)
		}
	}
	return out
}

// refer compares the notice's references with the entries.
func (v *verifier) refer() error {
	n := v.f.Notice
	if n.Origin != v.access.Origin() {
		return bad("the notice is of the log %q, and its proofs of %q", n.Origin, v.access.Origin())
	}
	release, ok := v.release.Envelope().Event.Body.(*event.Release)
	if !ok {
		return bad("entry %d is no release", v.release.Index())
	}
	access, ok := v.access.Envelope().Event.Body.(*event.Access)
	if !ok {
		return bad("entry %d is no access", v.access.Index())
	}
	switch {
	case n.Access != v.access.Reference():
		return bad("the notice is about the access in entry %d, and the proof is of entry %d", n.Access.Index, v.access.Index())
	case release.Access != n.Access:
		return bad("the release answers the access in entry %d, and the notice is about entry %d", release.Access.Index, n.Access.Index)
	case release.Seq != n.Seq:
		return bad("the notice is about release %d of its custodian, and entry %d is release %d", n.Seq, v.release.Index(), release.Seq)
	case (access.Warrant == nil) != (n.Warrant == nil) || n.Warrant != nil && *access.Warrant != *n.Warrant:
		return bad("the access and the notice do not stand on the same warrant")
	case access.Recipient.KEM != n.Recipient.KEM || !bytes.Equal(access.Recipient.Public, n.Recipient.Public):
		return bad("the access and the notice name different recipient keys")
	}
	if v.warrant != nil {
		if _, ok := v.warrant.Envelope().Event.Body.(*event.Warrant); !ok {
			return bad("entry %d is no warrant", v.warrant.Index())
		}
		if *n.Warrant != v.warrant.Reference() {
			return bad("the notice stands on the warrant in entry %d, and the proof is of entry %d", n.Warrant.Index, v.warrant.Index())
		}
	}
	return nil
}

// open verifies every opening against the digests of its event.
func (v *verifier) open() error {
	n := v.f.Notice
	closed, err := matches(v.access, n.AccessOpenings)
	if err != nil {
		return bad("openings of the access: %w", err)
	}
	v.out.Closed = closed
	if v.warrant != nil {
		if closed, err = matches(v.warrant, n.WarrantOpenings); err != nil {
			return bad("openings of the warrant: %w", err)
		}
		v.out.Closed += closed
	}
	v.out.Accounts = texts(n.AccessOpenings.Subject, "account")
	if len(v.out.Accounts) == 0 {
		return bad("it opens no account of the access")
	}
	if v.warrant != nil {
		named := texts(n.WarrantOpenings.Subject, "identifier")
		for _, a := range v.out.Accounts {
			if !slices.Contains(named, a) {
				v.warn(Warning{Code: WarnAccount, Account: a})
			}
		}
	}
	if len(texts(n.AccessOpenings.Subject, "package")) == 0 {
		v.warn(Warning{Code: WarnPackages})
	}
	return nil
}

// matches verifies that o opens all public values of an entry, and verifies the subject's
// openings in o. It returns how many of the subject's values stay closed.
func matches(in *verify.Inclusion, o *event.Openings) (closed int, err error) {
	env := in.Envelope()
	if o.Event != env.Hash() {
		return 0, errors.New("they are of another event")
	}
	if err := env.Event.MatchAll(event.ClassPublic, o.Public); err != nil {
		return 0, err
	}
	rest, err := env.Event.Match(event.ClassSubject, o.Subject)
	return len(rest), err
}

func texts(openings []event.Opening, name string) []string {
	var out []string
	for _, o := range openings {
		if o.Name == name {
			out = append(out, o.Value.Text())
		}
	}
	return out
}

// find returns the first value of a name. what describes it in the error.
func find(openings []event.Opening, name, what string) (event.Value, error) {
	if i := slices.IndexFunc(openings, func(o event.Opening) bool { return o.Name == name }); i >= 0 {
		return openings[i].Value, nil
	}
	return event.Value{}, fmt.Errorf("%s is not among the openings", what)
}

func first(openings []event.Opening, name string) string {
	v, _ := find(openings, name, name)
	return v.Text()
}

func (v *verifier) roles() error {
	out := v.out
	custodians := v.signers(v.release, event.RoleCustodian)
	if !slices.Contains(custodians, v.f.Notice.Custodian) {
		return bad("the notice names the custodian %q, whose key in the charter did not sign the release", v.f.Notice.Custodian)
	}
	out.Release.By = v.f.Notice.Custodian
	if out.Access.By = strings.Join(v.signers(v.access, event.RoleProvider), ", "); out.Access.By == "" {
		v.warn(Warning{Code: WarnAccessSigner})
	}
	if v.warrant == nil {
		if out.Duty = strings.Join(v.signers(v.access, event.RoleDuty), ", "); out.Duty == "" {
			v.warn(Warning{Code: WarnDutySigner})
		}
		return nil
	}
	if out.Warrant.By = strings.Join(v.signers(v.warrant, event.RoleAuthority), ", "); out.Warrant.By == "" {
		v.warn(Warning{Code: WarnSigner})
	}
	return nil
}

// consent verifies the agency's signature over the recipient key. If that fails, the
// notice still proves the access, and that the custodian let it pass.
func (v *verifier) consent() {
	n := v.f.Notice
	from, hash := n.AccessOpenings, event.Digest{}
	if v.warrant != nil {
		from, hash = n.WarrantOpenings, v.warrant.Envelope().Hash()
	}
	var key *event.PublicKey
	var message, sig []byte
	value, err := find(from.Public, "agencyKey", "the agency's key")
	if err == nil {
		key, err = value.Key()
	}
	if err == nil {
		v.out.AgencyKey = key.KeyID()
		message, err = event.AgencyMessage(v.access.Origin(), hash, v.access.Envelope().Event.ID, n.Recipient)
	}
	if err == nil {
		value, err = find(n.AccessOpenings.Subject, "agencySignature", "agencySignature")
	}
	if err == nil {
		sig, err = value.Bytes()
	}
	if err == nil {
		err = key.Verify(message, sig)
	}
	if err != nil {
		v.warn(Warning{Code: WarnConsent, Err: err})
	}
	v.out.Consent = err == nil
}

// auditors names the auditors whose cosignatures on the head meet the audit policy of the
// file's last charter.
func (v *verifier) auditors() {
	c := v.charters[len(v.charters)-1]
	var text strings.Builder
	for _, k := range c.LogKeys {
		if !strings.Contains(c.AuditPolicy, "log "+k) {
			fmt.Fprintf(&text, "log %s\n", k)
		}
	}
	p, err := tlog.ParsePolicy([]byte(text.String() + c.AuditPolicy))
	if err != nil || !p.NeedsWitnesses() {
		return
	}
	cp, err := tlog.ParseCheckpoint(v.access.Checkpoint())
	if err != nil {
		return
	}
	verified, err := p.Verify(cp, v.access.Origin())
	if err != nil {
		return
	}
	for _, w := range verified.Witnesses {
		v.out.Auditors = append(v.out.Auditors, w.Witness.Name)
	}
}

func (v *verifier) warn(w Warning) { v.out.Warnings = append(v.out.Warnings, w) }

// describe sets the members that need no verification.
func (v *verifier) describe() {
	out, n := v.out, v.f.Notice
	out.Origin, out.Size, out.Root = v.access.Origin(), v.access.Size(), v.access.Root()
	out.ExistedBefore, out.LoggedAfter = v.access.ExistedBefore(), v.access.LoggedAfter()
	for _, w := range v.access.Witnesses() {
		if w.Counted {
			out.Witnesses = append(out.Witnesses, w.Name)
		}
	}
	for _, c := range v.charters {
		out.Charters = append(out.Charters, c.index)
	}
	entry := func(e *Entry, in *verify.Inclusion) {
		e.Index, e.Time = in.Index(), in.Envelope().Event.Time
	}
	entry(&out.Release, v.release)
	entry(&out.Access, v.access)
	out.Seq = n.Seq
	access := v.access.Envelope().Event.Body.(*event.Access)
	out.Group, out.Emergency = access.Group, access.Emergency
	if h, err := escrow.KeyHash(n.Recipient); err == nil {
		out.Recipient = hex.EncodeToString(h[:])
	}
	out.Unit = first(n.AccessOpenings.Public, "unit")
	out.Agency = first(n.AccessOpenings.Public, "agency")
	if v.warrant == nil {
		return
	}
	w := v.warrant.Envelope().Event.Body.(*event.Warrant)
	entry(&out.Warrant.Entry, v.warrant)
	out.Warrant.Decision, out.Warrant.Instrument, out.Warrant.Offence = w.Decision, w.Instrument, w.Offence
	out.Warrant.NotBefore, out.Warrant.NotAfter = w.NotBefore, w.NotAfter
	grounds, _ := find(n.WarrantOpenings.Public, "grounds", "grounds")
	out.Warrant.Grounds = grounds.Codes()
	out.Agency = first(n.WarrantOpenings.Public, "agency")
	out.Case = first(n.WarrantOpenings.Subject, "case")
}

// Verified is what a file proves. Names and meanings of its JSON members are stable;
// members may be added.
type Verified struct {
	Origin        string    `json:"origin"`
	Size          uint64    `json:"size"` // of the tree in which every entry is
	Root          tlog.Hash `json:"root"`
	Witnesses     []string  `json:"witnesses,omitempty"`
	ExistedBefore time.Time `json:"existedBefore,omitzero"` // of the tree; zero under "quorum none"
	LoggedAfter   time.Time `json:"loggedAfter,omitzero"`   // of every entry outside the tree
	// Auditors whose cosignatures on the head meet the audit policy of the file's last
	// charter. They say that the rules held. None: the file does not show it.
	Auditors []string `json:"auditors,omitempty"`
	Charters []uint64 `json:"charters"` // indexes

	Accounts  []string `json:"accounts"`
	Case      string   `json:"case,omitempty"`
	Warrant   *Warrant `json:"warrant,omitempty"`   // nil in an emergency
	Emergency string   `json:"emergency,omitempty"` // its ground
	Duty      string   `json:"duty,omitempty"`      // the duty party that signed for it
	Agency    string   `json:"agency"`
	AgencyKey string   `json:"agencyKey"` // key id
	Consent   bool     `json:"consent"`   // the agency's signature covers Recipient
	Access    Entry    `json:"access"`
	Unit      string   `json:"unit"`
	Group     string   `json:"group"`
	Recipient string   `json:"recipient"` // hex SHA-256 of the recipient key
	Closed    int      `json:"closed"`    // sealed values that are not open to this subject: others', or decoys
	Release   Entry    `json:"release"`
	Seq       uint64   `json:"seq"`

	Warnings []Warning `json:"warnings,omitempty"`
}

// Codes of warnings.
const (
	WarnAccount      = "account"       // the notice does not show that the warrant names Account
	WarnPackages     = "packages"      // the notice does not show which packages were opened
	WarnAccessSigner = "access-signer" // by the charters in the file, no provider signed the access
	WarnDutySigner   = "duty-signer"   // no duty key signed the emergency access
	WarnSigner       = "signer"        // no authority signed the warrant
	WarnConsent      = "consent"       // the agency's signature does not cover Recipient, for Err
)

// A Warning is a proven fault. In JSON it is its code.
type Warning struct {
	Code    string
	Account string // of WarnAccount
	Err     error  // of WarnConsent
}

// MarshalText returns the code.
func (w Warning) MarshalText() ([]byte, error) { return []byte(w.Code), nil }

// UnmarshalText reads the code.
func (w *Warning) UnmarshalText(b []byte) error {
	w.Code = string(b)
	return nil
}

// Entry is an entry of the log.
type Entry struct {
	Index uint64    `json:"index"`
	Time  time.Time `json:"claimedTime"` // the signer's claim
	By    string    `json:"by"`          // the parties that signed, by the file's charters
}

// Warrant is the decision that an access stands on.
type Warrant struct {
	Entry
	Decision   event.Decision `json:"decision"`
	Instrument string         `json:"instrument"`
	Offence    string         `json:"offence"`
	Grounds    []string       `json:"grounds,omitempty"`
	NotBefore  time.Time      `json:"notBefore,omitzero"`
	NotAfter   time.Time      `json:"notAfter,omitzero"`
}
