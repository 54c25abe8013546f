// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/log/event"
)

// KeyHolder holds one of the gate's keys, see [escrow.KeyHolder].
type KeyHolder = escrow.KeyHolder

// Release answers a sealed request, in the steps of the package comment. The error is a
// [Refusal].
func (g *Gate) Release(ctx context.Context, sealedRequest []byte) ([]byte, error) {
	begun := time.Now()
	answer, access, err := g.takeSteps(ctx, sealedRequest, begun)
	if err == nil {
		g.metrics.answer("answered", begun)
		return answer, nil
	}
	r := refusal(err)
	g.metrics.answer(string(r.Code), begun)
	if access != nil && r.reason != "" {
		g.logRefusal(ctx, *access, r)
	}
	return nil, r
}

// takeSteps takes the steps of Release. It also returns the access, once it is known to
// name this gate's group.
func (g *Gate) takeSteps(ctx context.Context, sealedRequest []byte, begun time.Time) (answer []byte, access *event.Reference, err error) {
	// Step 1.
	r, err := escrow.OpenRequest(g.cfg.Origin, g.cfg.Keys, sealedRequest)
	if err != nil {
		return nil, nil, refuse(CodeForm, "%w", err)
	}
	// Steps 2 and 3.
	var c *claim
	err = g.with(ctx, func(f *follower) (err error) {
		c, err = g.consider(ctx, f, r, begun)
		return err
	})
	if c != nil && c.group != nil {
		ref := c.access.Reference()
		access = &ref
	}
	if err != nil {
		return nil, access, err
	}
	// Step 4.
	opened, err := c.open()
	if err != nil {
		return nil, access, err
	}
	// Steps 5 to 8.
	if c.release == nil {
		err = g.promise(ctx, c, opened)
	}
	if err == nil {
		err = g.published(ctx, c)
	}
	if err != nil {
		return nil, access, err
	}
	// Step 9.
	answer, err = g.deliver(c)
	return answer, access, err
}

// consider takes steps 2 and 3 at the log's present head.
func (g *Gate) consider(ctx context.Context, f *follower, r *escrow.Request, begun time.Time) (*claim, error) {
	if err := g.follow(ctx, f, begun); err != nil {
		if f.stopped != nil || g.journal.failed() != nil {
			return nil, refuse(CodeStopped, "%w", err)
		}
		if len(f.pending()) == 0 {
			return nil, refuse(CodeNotReady, "%w", err)
		}
		return nil, refuse(CodeTrust, "%w", err)
	}
	now := f.at(time.Now())
	c, err := g.prove(ctx, f, r, now)
	if err != nil {
		return nil, err
	}
	return c, g.check(f, c, now)
}

// promise takes steps 5 and 6: it writes the notices and journals the release.
func (g *Gate) promise(ctx context.Context, c *claim, opened *sealed) error {
	subjects, err := g.subjects(c, opened)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return refuse(CodeNotReady, "%w", err)
	}
	s, err := g.journal.sign(func(seq uint64, prev event.Digest) (*event.Submission, error) {
		if s := g.journal.releases[c.access.Index()]; s != nil && (c.void == nil || s.hash != c.void.hash) {
			c.release = s.copy()
			return nil, errAnswered
		}
		if len(g.journal.outbox) >= maxOutbox {
			return nil, errOutbox
		}
		return g.makeRelease(c, subjects, seq+1, prev)
	})
	no, refused := errors.AsType[*Refusal](err)
	switch {
	case errors.Is(err, errAnswered): // by a concurrent request
		return nil
	case errors.Is(err, errOutbox):
		return refuse(CodeBusy, "%w", err)
	case refused:
		return no
	case err != nil:
		return refuse(CodeStorage, "%w", err)
	}
	c.release = s.copy()
	g.cfg.Logger.Info("a release is signed", "access", c.access.Index(), "release", c.release.seq)
	return nil
}

var errAnswered = errors.New("answered already")

type subject struct {
	key      event.HPKEKey
	accounts []string
	packages []event.Digest
}

// subjects is step 5: it opens part one of each stanza.
func (g *Gate) subjects(c *claim, opened *sealed) ([]*subject, error) {
	var out []*subject
	for _, p := range c.request.Packages {
		n, err := openPart(g.cfg.Keys, func(h KeyHolder) (*escrow.NoticePart, error) { return p.OpenNotice(h, c.group) })
		if err != nil {
			return nil, refuse(CodeStanza, "package %s: %w", p.Digest(), err).logged(reasonStanza)
		}
		account := n.Account.Value.Text()
		if !slices.Contains(opened.accounts, account) {
			return nil, refuse(CodeAccount, "access %d does not name the account of the package %s", c.access.Index(), p.Digest()).logged(reasonAccount)
		}
		i := slices.IndexFunc(out, func(s *subject) bool { return s.key.KEM == n.Key.KEM && string(s.key.Public) == string(n.Key.Public) })
		if i < 0 {
			i, out = len(out), append(out, &subject{key: n.Key})
		}
		out[i].packages = append(out[i].packages, p.Digest())
		if !slices.Contains(out[i].accounts, account) {
			out[i].accounts = append(out[i].accounts, account)
		}
	}
	return out, nil
}

// openPart opens a part with the gate's key that the package is for.
func openPart[T any](keys []KeyHolder, open func(KeyHolder) (T, error)) (out T, err error) {
	for _, h := range keys {
		if out, err = open(h); err == nil || !errors.Is(err, escrow.ErrNotMine) {
			return out, err
		}
	}
	return out, err
}

func (g *Gate) makeRelease(c *claim, subjects []*subject, seq uint64, prev event.Digest) (*event.Submission, error) {
	sub := new(event.Submission)
	body := &event.Release{Access: c.access.Reference(), Seq: seq, Prev: prev, Head: c.head, Audit: c.audit}
	for _, s := range subjects {
		n := escrow.Notice{Origin: g.cfg.Origin, Access: c.access.Reference(), Custodian: c.name, Seq: seq, Recipient: c.body.Recipient,
			Warrant: c.body.Warrant, AccessOpenings: escrow.SubjectOpenings(c.request.AccessOpenings, s.accounts, s.packages),
			WarrantOpenings: escrow.SubjectOpenings(c.request.WarrantOpenings, s.accounts, s.packages)}
		b, err := n.Seal(s.key)
		if err != nil {
			return nil, refuse(CodeNotice, "%w", err).logged(reasonLimits)
		}
		sub.Notices = append(sub.Notices, b)
		body.Notices = append(body.Notices, escrow.NoticeDigest(b))
	}
	ev, err := event.New(g.cfg.Origin, body)
	if err != nil {
		return nil, refuse(CodeNotice, "%w", err).logged(reasonLimits)
	}
	if sub.Envelope, err = event.Sign(ev, g.cfg.Signer); err != nil {
		return nil, refuse(CodeStorage, "signing the release: %w", err)
	}
	if _, err := sub.Bytes(); err != nil {
		return nil, refuse(CodeNotice, "%d notices: %w", len(sub.Notices), err).logged(reasonLimits)
	}
	return sub, nil
}

// published takes steps 7 and 8: it waits until a witnessed head has the release, and
// checks the ledger there.
func (g *Gate) published(ctx context.Context, c *claim) error {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Timeout)
	defer cancel()
	index := c.access.Index()
	var last error
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, g.cfg.Poll) {
		if !c.release.logged {
			// Once the log answers, it has published a head with the release.
			var got *client.Submitted
			got, last = g.submit(ctx, c.release, client.WaitCosigned)
			if last == nil && got.Duplicate {
				last = g.with(ctx, func(f *follower) error { return g.resolve(ctx, f, c.release, got.Index) })
			}
		}
		done := false
		asked := time.Now()
		err := g.with(ctx, func(f *follower) error {
			if err := g.follow(ctx, f, asked); err != nil {
				last = errors.Join(last, err)
				if f.stopped != nil {
					return refuse(CodeStopped, "%w", err)
				}
				return nil
			}
			if c.release = g.journal.release(index); !c.release.logged || c.release.index >= f.head.Checkpoint.Size {
				return nil
			}
			if chain, _ := f.ledger.Chain(g.cfg.Signer.KeyID()); chain.Seq < c.release.seq {
				return nil // the log lacks earlier releases of this gate
			}
			done = true
			return g.check(f, c, f.at(time.Now()))
		})
		if done || err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return refuse(CodeLog, "the log does not show release %d in a witnessed head: %w", c.release.seq, errors.Join(ctx.Err(), last))
		case <-time.After(pause):
		}
	}
}

// deliver is step 9: it encrypts the shares to the recipient.
func (g *Gate) deliver(c *claim) ([]byte, error) {
	d := escrow.Delivery{Origin: g.cfg.Origin, Access: c.access.Reference(), Recipient: c.body.Recipient,
		Release: event.Reference{Index: c.release.index, Leaf: c.release.leaf}}
	a := escrow.Answer{Delivery: d}
	for _, p := range c.request.Packages {
		s, err := openPart(g.cfg.Keys, func(h KeyHolder) (*escrow.Share, error) { return p.OpenShare(h, c.group) })
		if err != nil {
			return nil, refuse(CodeShare, "package %s: %w", p.Digest(), err)
		}
		if a.Index != 0 && a.Index != s.Index() {
			return nil, refuse(CodeShare, "this gate has share %d of one package and share %d of another", a.Index, s.Index())
		}
		a.Index = s.Index()
		out, err := s.Seal(&d)
		if err != nil {
			return nil, refuse(CodeShare, "%w", err)
		}
		a.Shares = append(a.Shares, out)
	}
	b, err := a.Sign(g.cfg.Signer)
	if err != nil {
		return nil, refuse(CodeShare, "signing the answer: %w", err)
	}
	return b, nil
}

// logRefusal signs a refusal into the outbox, once for each reason, if the profile in force
// has the reason.
func (g *Gate) logRefusal(ctx context.Context, access event.Reference, r *Refusal) {
	err := g.with(ctx, func(f *follower) error {
		if f.stopped != nil || f.ledger.Charter() == nil || !slices.Contains(f.ledger.Charter().Profile.Reasons, r.reason) {
			return nil
		}
		err := g.sign(func(uint64, event.Digest) event.Body {
			if g.journal.refused[refusalKey{access.Index, r.reason}] {
				return nil
			}
			return &event.Refusal{Access: access, Reason: r.reason}
		})
		if errors.Is(err, errOutbox) {
			return nil
		}
		return err
	})
	if err != nil {
		g.cfg.Logger.Warn("signing a refusal failed", "access", access.Index, "code", r.Code, "err", err)
	}
}
