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
	"github.com/vasistas/vasistas/log/tlog"
)

// judgement is a file that is being verified: its proofs, each proven to be in the
// tree of the one head.
type judgement struct {
	f                        *File
	policy                   *verify.Policy
	o                        verify.Options
	charters                 []*charter
	release, access, warrant *verify.Inclusion
	v                        *Verified
}

type charter struct {
	*event.Charter
	index uint64
}

// Verify judges the file under a policy. Errors are those of package verify, with
// BadNotice if notice and entries contradict each other. Of the options only Origin
// and Now are used: whose signatures count, the file's charters say.
func (f *File) Verify(policy *verify.Policy, o verify.Options) (*Verified, error) {
	j := &judgement{f: f, policy: policy, o: verify.Options{Origin: o.Origin, Now: o.Now}, v: new(Verified)}
	if f.Warrant != nil {
		j.v.Warrant = new(Warrant)
	}
	for _, step := range []func() error{j.prove, j.refer, j.open, j.roles} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	j.consent()
	j.auditors()
	j.describe()
	return j.v, nil
}

func bad(format string, args ...any) error {
	return &verify.Error{Reason: verify.BadNotice, Err: fmt.Errorf(format, args...)}
}

// prove finds every entry in the tree of one head, and verifies the signatures of all
// but the charters, whose own are a matter of what came before them.
func (j *judgement) prove() error {
	if len(j.f.Charters) == 0 || len(j.f.Charters) > MaxCharters {
		return bad("%d charters, want 1 to %d", len(j.f.Charters), MaxCharters)
	}
	var head []byte
	one := func(b []byte, o verify.Options) (*verify.Inclusion, error) {
		in, err := verify.Proof(j.policy, b, o)
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
	for _, b := range j.f.Charters {
		in, err := one(b, j.o)
		if err != nil {
			return err
		}
		c, ok := in.Envelope().Event.Body.(*event.Charter)
		if !ok {
			return bad("entry %d is a %s, and stands for a charter", in.Index(), in.Envelope().Event.Type)
		}
		if n := len(j.charters); n > 0 && j.charters[n-1].index >= in.Index() {
			return bad("the charters are not in the log's order")
		}
		j.charters = append(j.charters, &charter{c, in.Index()})
	}
	o := j.o
	o.Signers = j.key
	var err error
	if j.release, err = one(j.f.Release, o); err != nil {
		return fmt.Errorf("the release: %w", err)
	}
	if j.access, err = one(j.f.Access, o); err != nil {
		return fmt.Errorf("the access: %w", err)
	}
	if j.f.Warrant != nil {
		if j.warrant, err = one(j.f.Warrant, o); err != nil {
			return fmt.Errorf("the warrant: %w", err)
		}
	}
	return nil
}

// key finds an event key in the charters of the file.
func (j *judgement) key(id string) *event.PublicKey {
	for _, c := range j.charters {
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

// signers returns who signed an entry in a role, by the last charter of the file below
// it.
func (j *judgement) signers(in *verify.Inclusion, role event.Role) []string {
	var c *charter
	for _, x := range j.charters {
		if x.index < in.Index() {
			c = x
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

// refer holds the notice's references against the entries.
func (j *judgement) refer() error {
	n := j.f.Notice
	if n.Origin != j.access.Origin() {
		return bad("the notice is of the log %q, and its proofs of %q", n.Origin, j.access.Origin())
	}
	release, ok := j.release.Envelope().Event.Body.(*event.Release)
	if !ok {
		return bad("entry %d is no release", j.release.Index())
	}
	access, ok := j.access.Envelope().Event.Body.(*event.Access)
	if !ok {
		return bad("entry %d is no access", j.access.Index())
	}
	switch {
	case n.Access != j.access.Reference():
		return bad("the notice is about the access in entry %d, and the proof is of entry %d", n.Access.Index, j.access.Index())
	case release.Access != n.Access:
		return bad("the release answers the access in entry %d, and the notice is about entry %d", release.Access.Index, n.Access.Index)
	case release.Seq != n.Seq:
		return bad("the notice is about release %d of its custodian, and entry %d is release %d", n.Seq, j.release.Index(), release.Seq)
	case (access.Warrant == nil) != (n.Warrant == nil) || n.Warrant != nil && *access.Warrant != *n.Warrant:
		return bad("the access and the notice do not stand on the same warrant")
	case access.Recipient.KEM != n.Recipient.KEM || !bytes.Equal(access.Recipient.Public, n.Recipient.Public):
		return bad("the access and the notice name different recipient keys")
	}
	if j.warrant != nil {
		if _, ok := j.warrant.Envelope().Event.Body.(*event.Warrant); !ok {
			return bad("entry %d is no warrant", j.warrant.Index())
		}
		if *n.Warrant != j.warrant.Reference() {
			return bad("the notice stands on the warrant in entry %d, and the proof is of entry %d", n.Warrant.Index, j.warrant.Index())
		}
	}
	return nil
}

// open verifies every opening against the digests of its event.
func (j *judgement) open() error {
	n := j.f.Notice
	closed, err := matches(j.access, n.AccessOpenings)
	if err != nil {
		return bad("openings of the access: %w", err)
	}
	j.v.Closed = closed
	if j.warrant != nil {
		if closed, err = matches(j.warrant, n.WarrantOpenings); err != nil {
			return bad("openings of the warrant: %w", err)
		}
		j.v.Closed += closed
	}
	j.v.Accounts = texts(n.AccessOpenings.Subject, "account")
	if len(j.v.Accounts) == 0 {
		return bad("it opens no account of the access, so it concerns no account")
	}
	if j.warrant != nil {
		named := texts(n.WarrantOpenings.Subject, "identifier")
		for _, a := range j.v.Accounts {
			if !slices.Contains(named, a) {
				j.warn(Warning{Code: WarnAccount, Account: a})
			}
		}
	}
	if len(texts(n.AccessOpenings.Subject, "package")) == 0 {
		j.warn(Warning{Code: WarnPackages})
	}
	return nil
}

// matches wants all of the public's openings, and of the subject's those that are
// there; it returns how many of these stay closed.
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

// find returns the first value of a name; the error calls it what.
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

// roles says who signed, by the file's charters.
func (j *judgement) roles() error {
	v := j.v
	custodians := j.signers(j.release, event.RoleCustodian)
	if !slices.Contains(custodians, j.f.Notice.Custodian) {
		return bad("by the charter, the release was not signed by the custodian %q, who is said to have written the notice", j.f.Notice.Custodian)
	}
	v.Release.By = j.f.Notice.Custodian
	if v.Access.By = strings.Join(j.signers(j.access, event.RoleProvider), ", "); v.Access.By == "" {
		j.warn(Warning{Code: WarnAccessSigner})
	}
	if j.warrant == nil {
		if v.Duty = strings.Join(j.signers(j.access, event.RoleDuty), ", "); v.Duty == "" {
			j.warn(Warning{Code: WarnDutySigner})
		}
		return nil
	}
	if v.Warrant.By = strings.Join(j.signers(j.warrant, event.RoleAuthority), ", "); v.Warrant.By == "" {
		j.warn(Warning{Code: WarnSigner})
	}
	return nil
}

// consent verifies the agency's signature over the recipient key. If it does not, the
// notice is no less true: it shows what the custodian let pass.
func (j *judgement) consent() {
	n := j.f.Notice
	from, hash := n.AccessOpenings, event.Digest{}
	if j.warrant != nil {
		from, hash = n.WarrantOpenings, j.warrant.Envelope().Hash()
	}
	var key *event.PublicKey
	var message, sig []byte
	value, err := find(from.Public, "agencyKey", "the agency's key")
	if err == nil {
		key, err = value.Key()
	}
	if err == nil {
		j.v.AgencyKey = key.KeyID()
		message, err = event.AgencyMessage(hash, j.access.Envelope().Event.ID, n.Recipient)
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
		j.warn(Warning{Code: WarnConsent, Err: err})
	}
	j.v.Consent = err == nil
}

// auditors says whose cosignatures on the head meet the audit policy of the last
// charter in the file.
func (j *judgement) auditors() {
	c := j.charters[len(j.charters)-1]
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
	cp, err := tlog.ParseCheckpoint(j.access.Checkpoint())
	if err != nil {
		return
	}
	verified, err := p.Verify(cp, j.access.Origin())
	if err != nil {
		return
	}
	for _, w := range verified.Witnesses {
		j.v.Auditors = append(j.v.Auditors, w.Witness.Name)
	}
}

func (j *judgement) warn(w Warning) { j.v.Warnings = append(j.v.Warnings, w) }

// describe fills in what is left.
func (j *judgement) describe() {
	v, n := j.v, j.f.Notice
	v.Origin, v.Size, v.Root = j.access.Origin(), j.access.Size(), j.access.Root()
	v.ExistedBefore, v.LoggedAfter = j.access.ExistedBefore(), j.access.LoggedAfter()
	for _, w := range j.access.Witnesses() {
		if w.Counted {
			v.Witnesses = append(v.Witnesses, w.Name)
		}
	}
	for _, c := range j.charters {
		v.Charters = append(v.Charters, c.index)
	}
	entry := func(e *Entry, in *verify.Inclusion) {
		e.Index, e.Time = in.Index(), in.Envelope().Event.Time
	}
	entry(&v.Release, j.release)
	entry(&v.Access, j.access)
	v.Seq = n.Seq
	access := j.access.Envelope().Event.Body.(*event.Access)
	v.Group, v.Emergency = access.Group, access.Emergency
	if h, err := escrow.KeyHash(n.Recipient); err == nil {
		v.Recipient = hex.EncodeToString(h[:])
	}
	v.Unit = first(n.AccessOpenings.Public, "unit")
	v.Agency = first(n.AccessOpenings.Public, "agency")
	if j.warrant == nil {
		return
	}
	w := j.warrant.Envelope().Event.Body.(*event.Warrant)
	entry(&v.Warrant.Entry, j.warrant)
	v.Warrant.Decision, v.Warrant.Instrument, v.Warrant.Offence = w.Decision, w.Instrument, w.Offence
	v.Warrant.NotBefore, v.Warrant.NotAfter = w.NotBefore, w.NotAfter
	grounds, _ := find(n.WarrantOpenings.Public, "grounds", "grounds")
	v.Warrant.Grounds = grounds.Codes()
	v.Agency = first(n.WarrantOpenings.Public, "agency")
	v.Case = first(n.WarrantOpenings.Subject, "case")
}
