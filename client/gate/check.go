// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// claim is a request whose warrant and access are in the log.
type claim struct {
	request *escrow.Request
	access  *verify.Inclusion
	warrant *verify.Inclusion // nil in an emergency
	body    *event.Access
	name    string // of this gate's custodian
	group   *escrow.Group
	head    event.Head // at which check passed
	release *signed    // this gate's, once it has answered
	void    *signed    // an earlier one that had no effect; nil: none

	// heads prove the access, and then the warrant, by the witnesses; audit is that of the
	// first, for the release. See fresh.
	heads []*tlog.Verified
	audit string
}

func (c *claim) event() *event.Event { return c.access.Envelope().Event }

// prove is step 2: warrant and access are in the followed log, under a fresh head that
// meets the policies.
func (g *Gate) prove(ctx context.Context, f *follower, r *escrow.Request, now moment) (*claim, error) {
	c := &claim{request: r}
	var err error
	if c.access, err = g.proof(ctx, f, c, r.Access, now); err != nil {
		return nil, err
	}
	body, ok := c.event().Body.(*event.Access)
	if !ok {
		return nil, refuse(CodeAccess, "entry %d is a %s, and not an access", c.access.Index(), c.event().Type)
	}
	c.body = body
	if (body.Warrant == nil) != (r.Warrant == nil) {
		return nil, refuse(CodeProof, "the request must have the access's warrant, and no warrant in an emergency")
	}
	if r.Warrant == nil {
		return c, nil
	}
	if c.warrant, err = g.proof(ctx, f, c, r.Warrant, now); err != nil {
		return nil, err
	}
	if c.warrant.Reference() != *body.Warrant {
		return nil, refuse(CodeProof, "access %d names the warrant in entry %d, and the request has entry %d", c.access.Index(), body.Warrant.Index, c.warrant.Index())
	}
	return c, nil
}

// proof verifies one proof file (C2SP tlog-proof). It adds to c the times of its head.
func (g *Gate) proof(ctx context.Context, f *follower, c *claim, file []byte, now moment) (*verify.Inclusion, error) {
	p, err := tlog.ParseProof(file)
	if err != nil {
		return nil, refuse(CodeProof, "%w", err)
	}
	cp := p.Checkpoint
	if cp.Origin != g.cfg.Origin {
		return nil, refuse(CodeProof, "the proof is of the log %q, and not of %q", cp.Origin, g.cfg.Origin)
	}
	in := f.ledger.CharterAt(cp.Size)
	if in == nil {
		return nil, refuse(CodeProof, "no charter is in force at the proof's size %d", cp.Size)
	}
	if cp.Size > f.ledger.Size() {
		return nil, refuse(CodeHead, "the proof's head has the size %d, but the log publishes %d; try again later", cp.Size, f.ledger.Size())
	}
	// Comparing a head with the log reads tiles under the lock, so the head must count
	// first: replayed and forged ones cost no more than this.
	v, err := in.Witnesses.Verify(cp, g.cfg.Origin)
	switch {
	case errors.Is(err, tlog.ErrNoQuorum):
		return nil, refuse(CodeQuorum, "the policy of the witnesses: %w", err).until(newer)
	case err != nil:
		return nil, refuse(CodeProof, "%w", err)
	}
	c.heads = append(c.heads, v)
	if err := c.fresh(f, now); err != nil {
		return nil, err
	}
	switch err := f.contains(ctx, cp); {
	case errors.Is(err, ErrForked), errors.Is(err, errContradiction):
		return nil, refuse(CodeFork, "%w", err)
	case err != nil:
		return nil, refuse(CodeNotReady, "%w", err)
	}
	inclusion, err := verify.Proof(in.Witnesses, file, verify.Options{Origin: g.cfg.Origin, Signers: f.ledger.Key})
	if err != nil {
		return nil, refuse(CodeProof, "%w", err)
	}
	return inclusion, nil
}

// fresh checks the times of the heads that prove warrant and access, by the witnesses and by
// the auditors whose lines count now, and sets the audit.
func (c *claim) fresh(f *follower, now moment) error {
	in := f.ledger.Charter()
	for i, v := range c.heads {
		size := v.Checkpoint.Size
		if err := now.fresh(vouched{"witnesses", size, v.LoggedAfter}, in); err != nil {
			return older(err)
		}
		note, after, err := f.ledger.AuditNote(v.Checkpoint)
		if err != nil {
			return refuse(CodeQuorum, "the policy of the auditors: %w", err).until(newer)
		}
		if note != "" {
			if err := now.fresh(vouched{"auditors", size, after}, in); err != nil {
				return older(err)
			}
		}
		if i == 0 {
			c.audit = note
		}
	}
	return nil
}

// older says what ends it that the head of a request's proof is stale.
func older(err error) error {
	if r := refusal(err); r.Code == CodeStale {
		return r.until(newer)
	}
	return err
}

// standing returns why this gate would open nothing, whatever is asked. What bars it is left
// to unbarred.
func (g *Gate) standing(f *follower, now moment) error {
	if err := cmp.Or(f.stopped, g.journal.failed()); err != nil {
		return refuse(CodeStopped, "%w", err)
	}
	if list := f.pending(); len(list) > 0 {
		last := list[len(list)-1]
		return refuse(CodeTrust, "this gate's operator must first confirm the charter of version %d, %s, which changes who is trusted or what is demanded", last.Version, last.Hash)
	}
	if f.head == nil || f.head.Checkpoint.Size != f.ledger.Size() {
		return refuse(CodeNotReady, "%w", errBehind)
	}
	return now.fresh(vouched{"witnesses", f.head.Checkpoint.Size, f.head.LoggedAfter}, f.ledger.Charter())
}

// check is step 3, and step 8 once c has its release: it checks the access by the ledger,
// at the largest head that this gate has ever verified, and as if the log had the events
// that the gate holds. It sets the name, group, head and release of c.
func (g *Gate) check(f *follower, c *claim, now moment) error {
	if err := g.standing(f, now); err != nil {
		return err
	}
	in := f.ledger.Charter()
	c.head = event.Head{Size: f.head.Checkpoint.Size, Root: event.Digest(f.head.Checkpoint.Root)}
	if err := g.member(f, c); err != nil {
		return err
	}
	if err := cmp.Or(c.fresh(f, now), now.claimed(c.event(), in)); err != nil {
		return err
	}
	if c.warrant != nil {
		w := c.warrant.Envelope().Event
		if err := cmp.Or(now.claimed(w, in), now.within(w.Body.(*event.Warrant))); err != nil {
			return err
		}
	}
	judged, err := f.judged()
	if err != nil {
		return refuse(CodeNotReady, "%w", err)
	}
	for _, l := range judged {
		if err := g.alive(l, c, now); err != nil {
			return err
		}
	}
	if err := g.unbarred(judged, c.name, c.body.Group, now); err != nil {
		return err
	}
	return g.answered(f, c)
}

// member checks that this gate is a member of the access's group, now and when the access
// was logged.
func (g *Gate) member(f *follower, c *claim) error {
	name, err := g.custodian(f)
	if err != nil {
		return refuse(CodeGroup, "%w", err)
	}
	then := f.ledger.CharterAt(c.access.Index())
	list := then.Group(c.body.Group)
	if list == nil || !slices.Contains(list.Members, name) {
		return refuse(CodeGroup, "access %d names the group %s, of which %s is no member", c.access.Index(), c.body.Group, name)
	}
	if c.name = name; c.group != nil {
		return nil // in step 8: the charter is the same
	}
	if c.group, err = escrow.NewGroup(g.cfg.Origin, then.Charter, c.body.Group); err != nil {
		return refuse(CodeGroup, "%w", err)
	}
	return nil
}

// alive checks that the access is live.
func (g *Gate) alive(l *ledger.Ledger, c *claim, now moment) error {
	index := c.access.Index()
	a, ok := l.Access(index)
	switch {
	case !ok:
		return refuse(CodeAccess, "access %d is over, or never had an effect", index)
	case a.Suspended:
		return refuse(CodeDead, "access %d %s", index, a.Dead).logged(reasonSuspended).until("the log shows that the warrant is resumed")
	case a.Dead != "":
		return refuse(CodeDead, "access %d %s", index, a.Dead).logged(reasonRevoked)
	case now.latest().After(a.Ends):
		return refuse(CodeDead, "access %d expired at %s", index, formatTime(a.Ends)).logged(reasonExpired)
	}
	return nil
}

// answered sets the release from the journal. A release that is in the chain and opens
// nothing, though the access is live, came too late for its audit: in step 3 c may have
// another one.
func (g *Gate) answered(f *follower, c *claim) error {
	index, again := c.access.Index(), c.release != nil
	a, _ := f.ledger.Access(index)
	chain, _ := f.ledger.Chain(g.cfg.Signer.KeyID())
	c.release = g.journal.release(index)
	answered := slices.Contains(a.Answered, c.name)
	switch {
	case c.release == nil && answered:
		return refuse(CodeAnswered, "this custodian has answered access %d, but the gate has lost its release", index)
	case c.release == nil || answered || !c.release.logged || chain.Seq < c.release.seq:
		return nil
	case again:
		return refuse(CodeEffect, "this gate's release %d had no effect on access %d: ask again, with proofs under a newer head", c.release.seq, index)
	}
	c.void, c.release = c.release, nil
	return nil
}

// unbarred checks that no breach or overdue obligation bars this custodian from answering
// an access of a group, by each of these ledgers.
func (g *Gate) unbarred(judged []*ledger.Ledger, name, group string, now moment) error {
	for _, l := range judged {
		chain, ok := l.Chain(g.cfg.Signer.KeyID())
		if !ok || chain.Ended || chain.Broken {
			return refuse(CodeChain, "the chain of custodian %s is broken or has ended", name)
		}
		bars := l.BarredGate(name, group, now.latest())
		if len(bars) == 0 {
			continue
		}
		if v := bars[0].Breach; v != nil {
			return refuse(CodeBreach, "the breach of the rule %s at entry %d bars until an audit quorum closes it: %s", v.Rule, v.Index, v.Text()).logged(reasonBreach)
		}
		o := bars[0].Obligation
		r := refuse(CodeOverdue, "an overdue obligation bars: %s (%s), due %s", o.Rule, o.Text, formatTime(o.Due)).until(cures(o))
		if o.Auditors {
			r = r.logged(reasonOverdue)
		}
		return r
	}
	return nil
}

// shut returns why the gate would open nothing at present, nil if it would.
func (g *Gate) shut(f *follower) error {
	now := f.at(time.Now())
	if err := g.standing(f, now); err != nil {
		return err
	}
	g.mu.Lock()
	lately := g.lately
	g.mu.Unlock()
	if lately != nil {
		return refuse(CodeNotReady, "%w", lately)
	}
	if since := f.syncing; !since.IsZero() && time.Since(since) > patience {
		return refuse(CodeNotReady, "the log has not answered since %s", formatTime(since))
	}
	name, err := g.custodian(f)
	if err != nil {
		return refuse(CodeGroup, "%w", err)
	}
	judged, err := f.judged()
	if err != nil {
		return refuse(CodeNotReady, "%w", err)
	}
	// It would open, if it would for one of its groups.
	refused := error(refuse(CodeGroup, "custodian %s is in no group", name))
	for _, group := range f.ledger.Charter().GroupsOf(name) {
		if refused = g.unbarred(judged, name, group, now); refused == nil {
			return f.audited(now)
		}
	}
	return refused
}

type sealed struct {
	accounts []string
	packages []event.Digest
}

// open is step 4: it opens every digest of warrant and access, and checks the values.
func (c *claim) open() (*sealed, error) {
	values, err := c.request.AccessOpenings.Open(c.access.Envelope())
	if err != nil {
		return nil, refuse(CodeOpenings, "the access: %w", err).logged(reasonOpenings)
	}
	agency, warrant := values, event.Digest{}
	var named map[string][]event.Value
	if c.warrant != nil {
		if named, err = c.request.WarrantOpenings.Open(c.warrant.Envelope()); err != nil {
			return nil, refuse(CodeOpenings, "the warrant: %w", err).logged(reasonOpenings)
		}
		agency, warrant = named, c.warrant.Envelope().Hash()
	}
	out := new(sealed)
	for _, v := range values["package"] {
		d, err := event.ParseDigest(v.Text())
		if err != nil {
			return nil, refuse(CodeOpenings, "%w", err).logged(reasonOpenings)
		}
		out.packages = append(out.packages, d)
	}
	if err := c.accounts(out, values["account"], named); err != nil {
		return nil, err
	}
	if err := c.consent(agency["agencyKey"], values["agencySignature"], warrant); err != nil {
		return nil, err
	}
	return out, c.packages(out)
}

// accounts checks that the warrant names each account, and that there are no more than the
// access states.
func (c *claim) accounts(out *sealed, values []event.Value, warrant map[string][]event.Value) error {
	for _, v := range values {
		if slices.Contains(out.accounts, v.Text()) {
			return refuse(CodeAccount, "access %d seals an account twice", c.access.Index()).logged(reasonAccount)
		}
		named := slices.ContainsFunc(warrant["identifier"], func(i event.Value) bool { return i.Text() == v.Text() })
		if c.warrant != nil && !named {
			return refuse(CodeAccount, "access %d has an account that warrant %d does not name", c.access.Index(), c.warrant.Index()).logged(reasonAccount)
		}
		out.accounts = append(out.accounts, v.Text())
	}
	if n := uint64(len(out.accounts)); n > c.body.Accounts {
		return refuse(CodeAccount, "access %d seals %d accounts, and states %d", c.access.Index(), n, c.body.Accounts).logged(reasonLimits)
	}
	return nil
}

// consent checks the agency's signature over the recipient key, and the key.
func (c *claim) consent(keys, signatures []event.Value, warrant event.Digest) error {
	no := func(format string, args ...any) error {
		return refuse(CodeRecipient, format, args...).logged(reasonRecipient)
	}
	if len(keys) != 1 || len(signatures) != 1 {
		return no("want one agency key and one signature of it, and there are %d and %d", len(keys), len(signatures))
	}
	key, err := keys[0].Key()
	if err != nil {
		return no("%w", err)
	}
	sig, err := signatures[0].Bytes()
	if err != nil {
		return no("%w", err)
	}
	msg, err := event.AgencyMessage(c.event().Log, warrant, c.event().ID, c.body.Recipient)
	if err != nil {
		return no("%w", err)
	}
	if err := key.Verify(msg, sig); err != nil {
		return no("the agency did not sign for the recipient of access %d: %w", c.access.Index(), err)
	}
	if err := escrow.CheckKey(c.body.Recipient); err != nil {
		return no("%w", err)
	}
	return nil
}

// packages checks that each package is one of the access. The first request must have all
// of them, so that every subject gets a notice before any share leaves.
func (c *claim) packages(out *sealed) error {
	for _, p := range c.request.Packages {
		if !slices.Contains(out.packages, p.Digest()) {
			return refuse(CodePackage, "access %d does not name the package %s", c.access.Index(), p.Digest()).logged(reasonPackage)
		}
		if p.Group() != c.group.Digest() {
			return refuse(CodePackage, "the package %s is for another group", p.Digest()).logged(reasonPackage)
		}
	}
	if n := len(c.request.Packages); c.release == nil && n != len(out.packages) {
		return refuse(CodePackage, "access %d names %d packages, and the first request must have all of them, not %d", c.access.Index(), len(out.packages), n)
	}
	return nil
}
