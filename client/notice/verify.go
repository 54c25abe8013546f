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

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// verifier verifies one file, step by step.
type verifier struct {
	f                        *File
	policy                   *verify.Policy
	o                        verify.Options
	file                     []ledger.Entry    // the file's charters
	charters                 []*ledger.Charter // file, proven; nil if out.Doubt is set
	release, access, warrant *verify.Inclusion
	out                      *Verified
}

// Verify verifies the file under a policy. Errors are those of package verify, with
// BadNotice if notice and entries contradict each other. It uses only Origin, Audit and
// Now of the options: the signers' keys are those of the file's charters. If the charters prove no
// signer, Verify returns the error NoCharters together with what the file claims of entries
// that are in the log. The cosignatures' spread is that of the last charter if that is
// proven, else the policy's.
func (f *File) Verify(policy *verify.Policy, o verify.Options) (*Verified, error) {
	if policy == nil {
		return nil, &verify.Error{Reason: verify.NoPolicy, Err: errors.New("no policy: nothing can be verified without one")}
	}
	v := &verifier{f: f, policy: policy, o: verify.Options{Origin: o.Origin, Now: o.Now, Audit: o.Audit}, out: new(Verified)}
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
	return v.out, v.out.Doubt
}

func bad(format string, args ...any) error {
	return &verify.Error{Reason: verify.BadNotice, Err: fmt.Errorf(format, args...)}
}

// prove verifies that every entry is in the tree of one head, the charters by the
// ledger's rules, and all other signatures.
func (v *verifier) prove() error {
	if len(v.f.Charters) == 0 || len(v.f.Charters) > maxCharters {
		return bad("%d charters, want 1 to %d", len(v.f.Charters), maxCharters)
	}
	var head []byte
	policy := v.policy.WithSpread(tlog.NoSpread) // the charters say which spread counts
	one := func(b []byte, o verify.Options) (*verify.Inclusion, error) {
		in, err := verify.Proof(policy, b, o)
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
		if env := in.Envelope(); env.Event.Type != event.TypeCharter {
			return bad("entry %d is a %s, and not a charter", in.Index(), env.Event.Type)
		}
		if n := len(v.file); n > 0 && v.file[n-1].Index >= in.Index() {
			return bad("the charters are not in the log's order")
		}
		v.file = append(v.file, ledger.Entry{Index: in.Index(), Leaf: in.LeafHash(), Envelope: in.Envelope()})
	}
	var err error
	if v.charters, err = ledger.Charters(v.file[0].Envelope.Event.Log, v.file); err != nil {
		v.charters = nil
		v.out.Doubt = &verify.Error{Reason: verify.NoCharters, Err: fmt.Errorf("the charters in the file are no chain from entry 0 of the log on that the founders signed: %w", err)}
	}
	if policy = v.policy; v.charters != nil {
		policy = policy.WithSpread(v.charters[len(v.charters)-1].Profile.Spread)
	}
	o := v.o
	o.Signers = v.key
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

// key returns the key of an id, which needs no proof: the id is its hash.
func (v *verifier) key(id string) *event.PublicKey {
	for _, e := range v.file {
		if p := e.Envelope.Event.Body.(*event.Charter).Holder(id); p != nil {
			return p.Keys[slices.IndexFunc(p.Keys, func(k *event.PublicKey) bool { return k.KeyID() == id })]
		}
	}
	return nil
}

// holder returns the party that could sign at an index with a key, by the last charter of
// the file below that index; in doubt, the party that this charter claims.
func (v *verifier) holder(id string, index uint64) *event.Party {
	i := len(v.file) - 1
	for i >= 0 && v.file[i].Index >= index {
		i--
	}
	switch {
	case i < 0:
		return nil
	case v.charters == nil:
		return v.file[i].Envelope.Event.Body.(*event.Charter).Holder(id)
	}
	return v.charters[i].Signer(id, index)
}

// signers returns the parties that signed an entry in a role.
func (v *verifier) signers(in *verify.Inclusion, role event.Role) []string {
	var out []string
	for _, s := range in.Envelope().Signatures {
		if p := v.holder(s.KeyID, in.Index()); p != nil && p.Role == role {
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
	case (n.Warrant == nil) != (v.warrant == nil):
		return bad("either the notice names a warrant that has no proof here, or a proof is for a warrant that it does not name")
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

// roles names the signers if the file's charters are proven, and the file's claims if
// they are not.
func (v *verifier) roles() error {
	out := v.out
	if custodian := v.f.Notice.Custodian; !slices.Contains(v.signers(v.release, event.RoleCustodian), custodian) {
		return bad("the notice names the custodian %q, who by the charters of the file did not sign the release", custodian)
	}
	v.name(&out.Release.By, v.release, event.RoleCustodian, "")
	v.name(&out.Access.By, v.access, event.RoleProvider, WarnAccessSigner)
	if v.warrant == nil {
		v.name(&out.Duty, v.access, event.RoleDuty, WarnDutySigner)
	} else {
		v.name(&out.Warrant.By, v.warrant, event.RoleAuthority, WarnSigner)
		v.voided(v.warrant)
	}
	v.voided(v.access)
	v.voided(v.release)
	return nil
}

func (v *verifier) name(by *string, in *verify.Inclusion, role event.Role, missing string) {
	names := strings.Join(v.signers(in, role), ", ")
	switch {
	case names == "":
		v.warn(Warning{Code: missing})
	case v.charters == nil:
		v.out.Claims = append(v.out.Claims, Claim{in.Index(), role, names})
	default:
		*by = names
	}
}

// voided warns of keys that a later charter voids: what they signed then ends.
func (v *verifier) voided(in *verify.Inclusion) {
	for _, s := range in.Envelope().Signatures {
		for _, c := range v.charters {
			for _, x := range c.Void {
				if c.Index > in.Index() && x.Key == s.KeyID && x.From <= in.Index() {
					v.warn(Warning{Code: WarnVoid, Err: fmt.Errorf("version %d of the charter voids the key %s, which signed entry %d, from entry %d on", c.Version, x.Key, in.Index(), x.From)})
				}
			}
		}
	}
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
// last charter that the founders signed.
func (v *verifier) auditors() {
	v.out.VouchedAt = v.access.VouchedAt()
	for _, w := range v.access.Auditors() {
		v.out.Auditors = append(v.out.Auditors, w.Name)
	}
	if len(v.charters) == 0 {
		return
	}
	c := v.charters[len(v.charters)-1]
	v.out.Version = c.Version
	if v.o.Audit != nil {
		return
	}
	cp, err := tlog.ParseCheckpoint(v.access.Checkpoint())
	if err != nil || !c.Auditors.NeedsWitnesses() {
		return
	}
	verified, err := c.Auditors.Verify(cp, v.access.Origin())
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
	out.ExistedBefore, out.LoggedAfter, out.Spread = v.access.ExistedBefore(), v.access.LoggedAfter(), v.access.Spread()
	for _, w := range v.access.Witnesses() {
		if w.Counted {
			out.Witnesses = append(out.Witnesses, w.Name)
		}
	}
	for _, e := range v.file {
		out.Charters = append(out.Charters, e.Index)
	}
	entry := func(e *Entry, in *verify.Inclusion) {
		e.Index, e.Time = in.Index(), in.Envelope().Event.Time
	}
	entry(&out.Release, v.release)
	entry(&out.Access, v.access)
	out.Seq = n.Seq
	access := v.access.Envelope().Event.Body.(*event.Access)
	out.Group, out.Emergency, out.Categories = access.Group, access.Emergency, access.Categories
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
	out.Warrant.NotBefore, out.Warrant.NotAfter, out.Warrant.Categories = w.NotBefore, w.NotAfter, w.Categories
	periods, _ := find(n.WarrantOpenings.Public, "dataPeriods", "dataPeriods")
	out.Warrant.DataPeriods = periods.Codes()
	out.Warrant.Extends = first(n.WarrantOpenings.Public, "extends")
	grounds, _ := find(n.WarrantOpenings.Public, "grounds", "grounds")
	out.Warrant.Grounds = grounds.Codes()
	out.Agency = first(n.WarrantOpenings.Public, "agency")
	out.Case = first(n.WarrantOpenings.Subject, "case")
}
