// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/internal/held"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
)

// maxOutbox bounds the signed events that wait to be posted: half of the releases that the
// ledger keeps ahead of a gap in a chain.
const maxOutbox = 32

var errOutbox = errors.New("too many signed events wait to be logged; try again later")

// beat signs a heartbeat if one is due: at once after a resumption, then once in each of
// the profile's periods.
func (g *Gate) beat(f *follower) error {
	if _, err := g.custodian(f); err != nil {
		return nil // this key has no chain
	}
	if err := g.standing(f, f.at(time.Now())); err != nil {
		if r, ok := errors.AsType[*Refusal](err); !ok || r.Code != CodeTrust {
			return nil // the log may have later entries signed by this key
		}
	}
	in := f.ledger.Charter()
	now := time.Now().UTC().Truncate(time.Second)
	from, resumed := g.journal.last()
	if c, ok := f.ledger.Chain(g.cfg.Signer.KeyID()); ok && c.Heartbeat.After(from) {
		from = c.Heartbeat
	}
	period := time.Duration(in.Profile.Heartbeat.Within) * time.Second
	if !resumed && now.Sub(from) < period || !from.Before(now) {
		return nil
	}
	err := g.sign(func(seq uint64, prev event.Digest) event.Body {
		return &event.Heartbeat{From: from, To: now, Seq: seq, Prev: prev, Resumed: resumed}
	})
	if errors.Is(err, errOutbox) {
		return nil
	}
	return err
}

// sign signs an event of this gate's chain into the outbox. It returns errOutbox if the
// outbox is full, or if body returns nil for an event that is not needed any more.
func (g *Gate) sign(body func(seq uint64, prev event.Digest) event.Body) error {
	_, err := g.journal.sign(func(seq uint64, prev event.Digest) (*event.Submission, error) {
		b := body(seq, prev)
		if b == nil || len(g.journal.outbox) >= maxOutbox {
			return nil, errOutbox
		}
		ev, err := event.New(g.cfg.Origin, b)
		if err != nil {
			return nil, err
		}
		env, err := event.Sign(ev, g.cfg.Signer)
		if err != nil {
			return nil, err
		}
		return &event.Submission{Envelope: env}, nil
	})
	return err
}

// post submits the outbox, in the order of signing. An event leaves the outbox once a head
// shows it: see journal.seen.
func (g *Gate) post(ctx context.Context) error {
	if !g.posting.TryLock() {
		return nil
	}
	defer g.posting.Unlock()
	var refused error
	for _, s := range g.journal.waiting() {
		err := g.postOne(ctx, s)
		if final(err) {
			// The log may accept later events all the same.
			refused = errors.Join(refused, fmt.Errorf("the log refuses a %s: %w", s.kind, err))
			continue
		}
		if err != nil {
			return errors.Join(refused, err)
		}
	}
	return refused
}

// resolve handles an event that the log reports at an index below the ledger's size, which
// happens if the journal is older than the ledger. It marks the event as logged if the
// verified tree has it there, and if that leaf is the journal's own or the ledger says that
// the event had an effect.
func (g *Gate) resolve(ctx context.Context, f *follower, s *signed, index uint64) error {
	if f.stopped != nil || index >= f.ledger.Size() {
		return nil
	}
	raw, err := f.replica.Tree().Entry(ctx, index)
	if err != nil {
		return err
	}
	e := ledger.Read(index, raw)
	if e.Hash != s.hash {
		return nil
	}
	e.Verify(f.ledger.Key)
	bad := slices.ContainsFunc(e.Signatures, func(s ledger.SigState) bool { return s != ledger.Good })
	v, err := f.verdict(s)
	if err != nil {
		return err
	}
	return g.journal.seen(e, !bad && held.Repeated(v))
}

// verdict returns what the ledger would say about an event of the outbox if it were logged now.
func (f *follower) verdict(s *signed) (*ledger.Violation, error) {
	sub, err := event.ParseSubmission(s.submission)
	if err != nil {
		return nil, err
	}
	return f.ledger.Check(ledger.Read(0, sub.Envelope.Bytes()))
}

// submit posts a submission of the journal. Concurrent calls may share s, so each parses
// its bytes again.
func (g *Gate) submit(ctx context.Context, s *signed, wait client.Wait) (*client.Submitted, error) {
	sub, err := event.ParseSubmission(s.submission)
	if err != nil {
		return nil, err
	}
	got, err := g.client.Load().Submit(ctx, sub, wait)
	if variant, ok := errors.AsType[*client.VariantError](err); ok { // resolve reads the entry
		got, err = &client.Submitted{Index: variant.Index, Leaf: variant.Leaf, Duplicate: true}, nil
	}
	g.metrics.posts.Add(1, string(s.kind), outcome(err))
	return got, err
}

// final returns whether an error is a refusal for good.
func final(err error) bool {
	p, ok := errors.AsType[*client.Problem](err)
	return ok && !p.Temporary()
}

func (g *Gate) postOne(ctx context.Context, s *signed) error {
	got, err := g.submit(ctx, s, client.WaitSequenced)
	if err == nil && got.Duplicate {
		return g.with(ctx, func(f *follower) error { return g.resolve(ctx, f, s, got.Index) })
	}
	if s.kind == event.TypeRelease || !final(err) {
		return err
	}
	// The log may refuse for now, such as a claim ahead of its time. Only what would have no
	// effect any more is not posted again.
	return errors.Join(err, g.with(ctx, func(f *follower) error {
		v, err := f.verdict(s)
		if err == nil && v != nil {
			g.journal.drop(s.hash)
		}
		return err
	}))
}

// discloseEvery is the time between two checks for overdue notices.
const discloseEvery = 5 * time.Second

// disclose publishes the notices of this gate's releases that the provider has not
// published in time. It forgets notices that are published or need not be.
func (g *Gate) disclose(f *follower) error {
	now := time.Now()
	if now.Before(g.disclosing) {
		return nil
	}
	g.disclosing = now.Add(discloseEvery)
	now = f.at(now).earliest() // a clock that is ahead must not publish what is still sealed
	list := g.journal.unpublished()
	if len(list) == 0 {
		return nil
	}
	late := make(map[uint64]bool) // releases
	for _, o := range f.ledger.Overdue(now) {
		if o.Rule == "disclosure" {
			late[o.Index] = true
		}
	}
	for _, s := range list {
		_, closed, ok := f.ledger.Notices(s.index)
		switch {
		case !ok && s.index < f.ledger.Size() || ok && closed == 0:
			g.journal.published(s.access.Index, len(s.notices))
		case ok && late[s.index]:
			if err := g.discloseOne(s); errors.Is(err, errOutbox) {
				return nil
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}

// discloseOne signs a disclosure for each notice of a release into the outbox, as many as it
// has room for. Of a notice that the log has already, post drops the disclosure.
func (g *Gate) discloseOne(s *signed) error {
	for _, n := range s.notices {
		err := g.sign(func(uint64, event.Digest) event.Body {
			return &event.Disclosure{Event: event.Reference{Index: s.index, Leaf: s.leaf}, Notices: [][]byte{n}}
		})
		if err != nil {
			return err
		}
		g.journal.published(s.access.Index, 1)
	}
	g.cfg.Logger.Warn("publishing the notices of a release, which the provider has not published in time", "release", s.seq)
	return nil
}
