// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
)

// maxOutbox is how many events may wait to be posted before no more are made:
// half of what the ledger lets a chain be ahead.
const maxOutbox = 32

var errOutbox = errors.New("too many events wait for the log to take them")

// beat signs a heartbeat if one is due: at once after a resumption, and then once
// in each of the profile's periods.
func (g *Gate) beat(b *book) error {
	if _, err := g.custodian(b); err != nil {
		return nil // of nobody's chain
	}
	in := b.ledger.Charter()
	now := time.Now().UTC().Truncate(time.Second)
	if b.head == nil || b.head.Checkpoint.Size != b.ledger.Size() || fresh(b.head.Checkpoint.Size, b.head.LoggedAfter, in, now) != nil {
		return nil // what was signed elsewhere may not be seen yet
	}
	from, resumed := g.journal.last()
	if c, ok := b.ledger.Chain(g.cfg.Signer.KeyID()); ok && c.Heartbeat.After(from) {
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

// sign puts an event of this gate's chain into the outbox, if there is room and body
// returns one. A nil body means that the event is not needed any more.
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

// refuseInLog tells the log that an access was refused, once for each reason.
func (g *Gate) refuseInLog(access event.Reference, reason string) error {
	err := g.sign(func(uint64, event.Digest) event.Body {
		if g.journal.refused[refusalKey{access.Index, reason}] {
			return nil
		}
		return &event.Refusal{Access: access, Reason: reason}
	})
	if errors.Is(err, errOutbox) {
		return nil
	}
	return err
}

// post submits what the log does not hold yet, in the order of signing. What a
// head then shows to be logged leaves the outbox; see journal.seen.
func (g *Gate) post(ctx context.Context) error {
	if !g.posting.TryLock() {
		return nil
	}
	defer g.posting.Unlock()
	var refused error
	for _, s := range g.journal.waiting() {
		err := g.postOne(ctx, s)
		if final(err) {
			// What comes after it may be taken all the same.
			refused = errors.Join(refused, fmt.Errorf("the log refuses a %s: %w", s.kind, err))
			continue
		}
		if err != nil {
			return errors.Join(refused, err)
		}
	}
	return refused
}

// settle takes an event for logged that the log says it has at an index which this gate
// has read already: its journal may be older than its ledger. The verified tree says
// whether that is so.
func (g *Gate) settle(ctx context.Context, b *book, s *signed, index uint64) error {
	if b.stopped != nil || index >= b.ledger.Size() {
		return nil
	}
	raw, err := b.replica.Tree().Entry(ctx, index)
	if err != nil {
		return err
	}
	if e := ledger.Read(index, raw); e.Hash == s.hash {
		return g.journal.seen(e)
	}
	return nil
}

// submit posts a submission of the journal. Each call parses its bytes again, since
// calls may run at the same time.
func (g *Gate) submit(ctx context.Context, s *signed, wait client.Wait) (*client.Submitted, error) {
	sub, err := event.ParseSubmission(s.submission)
	if err != nil {
		return nil, err
	}
	got, err := g.client.Load().Submit(ctx, sub, wait)
	g.metrics.posted(s.kind, err)
	return got, err
}

// final says whether the log will never take what it has refused.
func final(err error) bool {
	p, ok := errors.AsType[*client.Problem](err)
	return ok && !p.Temporary()
}

func (g *Gate) postOne(ctx context.Context, s *signed) error {
	got, err := g.submit(ctx, s, client.WaitSequenced)
	if err == nil && got.Duplicate {
		return g.with(ctx, func(b *book) error { return g.settle(ctx, b, s, got.Index) })
	}
	if s.kind == event.TypeRelease || !final(err) {
		return err
	}
	// A heartbeat or refusal that the log will never take holds up nothing.
	g.cfg.Logger.Error("the log refuses an event", "type", s.kind, "err", err)
	g.journal.drop(s.hash)
	return nil
}
