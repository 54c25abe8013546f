// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package agency opens files: it asks the gates of a custodian group for the shares of a
// logged access, and combines them.
//
// It promises its caller that a file key is the one that the package's maker wrapped:
// the package names the hash of each share, and the cipher of the file key authenticates
// their combination. Gates that are down, slow or wrong cost no more than their share,
// as long as the threshold of others answer; the results name each gate's outcome. It
// trusts its case file, and no gate.
//
// It can open no file without the gates, and no gate opens without the log.
package agency

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"slices"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/escrow/charters"
	"github.com/vasistas/vasistas/internal/problem"
	"github.com/vasistas/vasistas/internal/strictjson"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// MaxCaseSize bounds a case file.
const MaxCaseSize = 2 * escrow.MaxRequestSize

// A Case is one access of an agency: the evidence for the gates, and the one-time key that
// they encrypt to. Call Check after filling it in; ParseCase does.
type Case struct {
	Charter         []byte            `json:"charter"`                   // entry or proof file of the charter in force at the access
	Key             []byte            `json:"key"`                       // escrow.SecretKey of the access's recipient
	Warrant         []byte            `json:"warrant,omitempty"`         // proof file; nil in an emergency
	WarrantOpenings []byte            `json:"warrantOpenings,omitempty"` // openings file; nil in an emergency
	Event           []byte            `json:"event,omitempty"`           // payload of the access, from [Ask.Case]
	Access          []byte            `json:"access,omitempty"`          // proof file; nil: see [Case.Find]
	AccessOpenings  []byte            `json:"accessOpenings"`            // openings file
	Packages        []string          `json:"packages"`                  // texts of all packages of the access
	Gates           map[string]string `json:"gates"`                     // URLs by the custodians' names
	Answers         []Answer          `json:"answers,omitempty"`         // of the gates that were asked last, see Remember

	charter   *charters.Charter
	group     *escrow.Group
	key       *escrow.SecretKey
	accessRef event.Reference
	request   escrow.Request
}

// String describes the value and leaves out its secrets.
func (c Case) String() string {
	return fmt.Sprintf("case of access %d, %d packages", c.accessRef.Index, len(c.Packages))
}

// GoString is String.
func (c Case) GoString() string { return c.String() }

const caseMagic = "vasistas case 1"

type caseText struct {
	Format string `json:"format"`
	*Case
}

// Bytes returns the case file. It has the private key and the openings: keep it with mode
// 0600.
func (c *Case) Bytes() ([]byte, error) {
	b, err := json.MarshalIndent(caseText{caseMagic, c}, "", " ")
	return append(b, '\n'), err
}

// ParseCase parses a case file and checks the case.
func ParseCase(b []byte) (*Case, error) {
	if len(b) > MaxCaseSize {
		return nil, fmt.Errorf("a case file of more than %d bytes", MaxCaseSize)
	}
	t := caseText{Case: new(Case)}
	if err := strictjson.Decode(b, &t); err != nil {
		return nil, fmt.Errorf("not a case file: %w", err)
	}
	if t.Format != caseMagic || t.Case == nil {
		return nil, errors.New("not a case file")
	}
	return t.Case, t.Check()
}

// Check returns an error if a member is missing or contradicts another, before a gate
// would refuse it. It needs no policy: only the gates verify that warrant and access are
// in the log.
func (c *Case) Check() (err error) {
	if c.charter, err = charters.Parse(c.Charter); err != nil {
		return fmt.Errorf("the charter: %w", err)
	}
	if c.key, err = escrow.ParseSecretKey(c.Key); err != nil {
		return fmt.Errorf("the recipient key: %w", err)
	}
	accessEnv, ref, err := c.access()
	if err != nil {
		return fmt.Errorf("the access: %w", err)
	}
	access, ok := accessEnv.Event.Body.(*event.Access)
	if !ok {
		return fmt.Errorf("the access: it is a %s", accessEnv.Event.Type)
	}
	c.accessRef = ref
	if accessEnv.Event.Log != c.charter.Origin {
		return fmt.Errorf("the access is for the log %q, and the charter is of the log %q", accessEnv.Event.Log, c.charter.Origin)
	}
	if c.group, err = escrow.NewGroup(c.charter.Origin, c.charter.Charter, access.Group); err != nil {
		return err
	}
	if own := c.key.Public(); own.KEM != access.Recipient.KEM || !bytes.Equal(own.Public, access.Recipient.Public) {
		return errors.New("the access is to another recipient key than this case's")
	}
	c.request = escrow.Request{Access: c.Access}
	var values map[string][]event.Value
	if c.request.AccessOpenings, values, err = openingsOf(c.AccessOpenings, accessEnv); err != nil {
		return fmt.Errorf("the access: %w", err)
	}
	agencyKey, warrant, err := c.checkWarrant(access, values)
	if err != nil {
		return err
	}
	if err := checkConsent(agencyKey, warrant, accessEnv.Event, values["agencySignature"]); err != nil {
		return err
	}
	if err := c.checkPackages(values["package"]); err != nil {
		return err
	}
	return c.checkGates()
}

// access returns the access and its place in the log. Without its proof it has no place and no
// signature.
func (c *Case) access() (*event.Envelope, event.Reference, error) {
	if c.Access != nil || c.Event == nil {
		return entryOf(c.Access)
	}
	ev, err := event.Parse(c.Event)
	return &event.Envelope{Payload: c.Event, Event: ev}, event.Reference{}, err
}

// checkWarrant returns the agency's key, from the warrant or, in an emergency, from the
// access, and the warrant's event hash.
func (c *Case) checkWarrant(access *event.Access, values map[string][]event.Value) (*event.PublicKey, event.Digest, error) {
	if access.Warrant == nil {
		if len(c.Warrant)+len(c.WarrantOpenings) > 0 {
			return nil, event.Digest{}, errors.New("there is a warrant, but the access is an emergency without one")
		}
		k, err := agencyKeyOf(values)
		return k, event.Digest{}, err
	}
	env, ref, err := entryOf(c.Warrant)
	if err != nil {
		return nil, event.Digest{}, fmt.Errorf("the warrant: %w", err)
	}
	if ref != *access.Warrant {
		return nil, event.Digest{}, fmt.Errorf("the access names the warrant in entry %d; the warrant given is another", access.Warrant.Index)
	}
	c.request.Warrant = c.Warrant
	if c.request.WarrantOpenings, values, err = openingsOf(c.WarrantOpenings, env); err != nil {
		return nil, event.Digest{}, fmt.Errorf("the warrant: %w", err)
	}
	k, err := agencyKeyOf(values)
	return k, env.Hash(), err
}

func agencyKeyOf(values map[string][]event.Value) (*event.PublicKey, error) {
	if len(values["agencyKey"]) == 0 {
		return nil, errors.New("no opening names the agency's key")
	}
	return values["agencyKey"][0].Key()
}

// checkConsent verifies the agency's signature, of which every access seals one.
func checkConsent(k *event.PublicKey, warrant event.Digest, ev *event.Event, signature []event.Value) error {
	msg, err := event.AgencyMessage(ev.Log, warrant, ev.ID, ev.Body.(*event.Access).Recipient)
	if err != nil {
		return err
	}
	sig, err := signature[0].Bytes()
	if err != nil {
		return err
	}
	if err := k.Verify(msg, sig); err != nil {
		return fmt.Errorf("the agency did not sign for this recipient key: %w", err)
	}
	return nil
}

func (c *Case) checkPackages(named []event.Value) error {
	var want []event.Digest
	for _, v := range named {
		d, err := event.ParseDigest(v.Text())
		if err != nil {
			return err
		}
		want = append(want, d)
	}
	for _, text := range c.Packages {
		p, err := escrow.ParsePackageText([]byte(text))
		if err != nil {
			return err
		}
		if p.Group() != c.group.Digest() {
			return fmt.Errorf("the package %s is for another group than %s", p.Digest(), c.group.ID())
		}
		i := slices.Index(want, p.Digest())
		if i < 0 {
			return fmt.Errorf("the access does not name the package %s, or it is given twice", p.Digest())
		}
		want = slices.Delete(want, i, i+1)
		c.request.Packages = append(c.request.Packages, p)
	}
	if len(want) > 0 {
		return fmt.Errorf("%d packages of the access are missing, such as %s: a gate needs all of them, to notify every subject", len(want), want[0])
	}
	return nil
}

// checkGates checks that the URLs of at least the threshold of gates are known.
func (c *Case) checkGates() error {
	known := 0
	for _, m := range c.group.Members() {
		if c.Gates[m.Name] != "" {
			known++
		}
	}
	if known < c.group.Threshold() {
		return fmt.Errorf("the group %s needs shares of %d gates, and the URLs of %d are known", c.group.ID(), c.group.Threshold(), known)
	}
	for name, s := range c.Gates {
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return fmt.Errorf("gate %s: %q is not an http or https URL", name, s)
		}
		if !slices.ContainsFunc(c.group.Members(), func(m escrow.Member) bool { return m.Name == name }) {
			return fmt.Errorf("gate %s: the group %s has no such custodian", name, c.group.ID())
		}
	}
	return nil
}

func entryOf(proof []byte) (*event.Envelope, event.Reference, error) {
	p, err := tlog.ParseProof(proof)
	if err != nil {
		return nil, event.Reference{}, err
	}
	env, err := event.ParseEnvelope(p.Extra)
	if err != nil {
		return nil, event.Reference{}, fmt.Errorf("the entry in its proof file: %w", err)
	}
	return env, event.Reference{Index: p.Index, Leaf: env.LeafHash()}, nil
}

// openingsOf parses an openings file and returns the values by name. The file must open all that the event seals.
func openingsOf(b []byte, env *event.Envelope) (*event.Openings, map[string][]event.Value, error) {
	o, err := event.ParseOpenings(b)
	if err != nil {
		return nil, nil, err
	}
	values, err := o.Open(env)
	return o, values, err
}

// renewEvery is the pause between two looks at the audited head.
const renewEvery = 250 * time.Millisecond

// Renew replaces the proofs of warrant and access by proofs under one head of the log, and
// checks the case: gates refuse heads whose cosignatures are stale. The head is the one
// that met the audit policy last, since gates open nothing under a head that auditors have not
// cosigned; Renew waits until that head contains the access, or ctx ends. Without auditors the
// head is the latest one.
//
// cl is a client of the case's log; its policy decides which heads Renew accepts. The
// auditors' lines are for the gates to judge, by the charter in force.
func (c *Case) Renew(ctx context.Context, cl *client.Client) error {
	if err := c.Find(ctx, cl); err != nil {
		return err
	}
	access, err := tlog.ParseProof(c.Access)
	if err != nil {
		return fmt.Errorf("the access: %w", err)
	}
	head, err := auditedHead(ctx, cl, access.Index)
	if err != nil {
		return err
	}
	next := *c
	for _, p := range []struct {
		name  string
		proof *[]byte
	}{{"access", &next.Access}, {"warrant", &next.Warrant}} {
		if *p.proof == nil {
			continue // an emergency
		}
		old, err := tlog.ParseProof(*p.proof)
		if err != nil {
			return fmt.Errorf("the %s: %w", p.name, err)
		}
		proof, err := cl.ProveAt(ctx, head, old.Index)
		if err != nil {
			return fmt.Errorf("proving the %s: %w", p.name, err)
		}
		*p.proof = proof.Bytes()
	}
	if err := next.Check(); err != nil {
		return fmt.Errorf("the log has another entry than the case: %w", err)
	}
	*c = next
	return nil
}

// ErrNotLogged is the error of a case whose access is not in the log, as far as is known.
var ErrNotLogged = errors.New("the access of this case is not known to be in the log: open with --policy, once the provider has signed and logged it")

// Find looks for the access of a case from [Ask.Case] in the log, and adds its proof to the
// case. A case that has its access stays as it is.
func (c *Case) Find(ctx context.Context, cl *client.Client) error {
	if c.Access != nil {
		return nil
	}
	env, _, err := c.access()
	if err != nil {
		return err
	}
	from := client.FollowOptions{UntilHead: true}
	if w := env.Event.Body.(*event.Access).Warrant; w != nil {
		from.Start = w.Index
	}
	// An event is logged again only if it then has an effect, so the last one counts.
	index, found := uint64(0), false
	for entry, err := range cl.Follow(ctx, from) {
		if err != nil {
			return fmt.Errorf("looking for the access in the log: %w", err)
		}
		if logged, err := event.ParseEnvelope(entry.Bytes); err == nil && c.Is(logged) {
			index, found = entry.Index, true
		}
	}
	if !found {
		return ErrNotLogged
	}
	proof, err := cl.Prove(ctx, index)
	if err != nil {
		return fmt.Errorf("proving the access: %w", err)
	}
	next := *c
	next.Access = proof.Bytes()
	if err := next.Check(); err != nil {
		return err
	}
	*c = next
	return nil
}

// auditedHead returns the head under which gates open, once it contains an entry.
func auditedHead(ctx context.Context, cl *client.Client, index uint64) (*tlog.Verified, error) {
	var last error
	for {
		head, _, err := cl.Audited(ctx, nil)
		if errors.Is(err, fs.ErrNotExist) { // there are no auditors
			head, err = cl.Checkpoint(ctx)
		}
		refused, ok := errors.AsType[*problem.Problem](err)
		switch {
		case err == nil && head.Checkpoint.Size > index:
			return head, nil
		case err == nil:
			last = fmt.Errorf("its latest one has %d entries, and the access is entry %d", head.Checkpoint.Size, index)
		case ok && refused.Temporary():
			last = err
		case ctx.Err() == nil:
			return nil, err
		}
		select {
		case <-time.After(renewEvery):
		case <-ctx.Done():
			if last == nil {
				last = context.Cause(ctx)
			}
			return nil, fmt.Errorf("the log shows no audited head with the access; its /audit/round says why: %w", last)
		}
	}
}
