// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
)

// Revoke accepts a revocation that was posted to this gate. If the ledger would give it an
// effect, it counts for this gate at once, and the gate submits it to the log.
func (g *Gate) Revoke(ctx context.Context, envelope []byte) error {
	if len(envelope) > event.MaxEntrySize {
		return refuse(CodeForm, "%w", event.ErrTooLarge)
	}
	e := ledger.Read(0, envelope)
	if e.Envelope == nil {
		return refuse(CodeForm, "%w", e.Err)
	}
	r, ok := e.Envelope.Event.Body.(*event.Revocation)
	if !ok {
		return refuse(CodeForm, "the event is a %s, and not a revocation", e.Envelope.Event.Type)
	}
	return g.with(ctx, func(f *follower) error {
		if f.ledger.Charter() == nil {
			return refuse(CodeNotReady, "%w", errBehind)
		}
		w, ok := f.ledger.Warrant(r.Warrant.Index)
		if ok && !w.Live || g.journal.isRevoked(r.Warrant.Index) {
			return nil // the warrant has ended already
		}
		v, err := f.ledger.Check(e)
		switch {
		case err != nil:
			return refuse(CodeNotReady, "%w", err)
		case v != nil:
			return refuse(CodeAccess, "%w", v)
		}
		if err := g.journal.revoke(e.Envelope); err != nil {
			return refuse(CodeStorage, "%w", err)
		}
		g.cfg.Logger.Info("accepted a revocation", "warrant", r.Warrant.Index)
		return nil
	})
}

// forward submits the accepted revocations that the log lacks.
func (g *Gate) forward(ctx context.Context) error {
	for warrant, env := range g.journal.unforwarded() {
		live := false
		err := g.with(ctx, func(f *follower) error {
			w, ok := f.ledger.Warrant(warrant)
			live = ok && w.Live
			return nil
		})
		if err == nil && live {
			_, err = g.client.Load().Submit(ctx, &event.Submission{Envelope: env}, client.WaitSequenced)
			g.metrics.posted(event.TypeRevocation, err)
		}
		if err != nil && !final(err) {
			return err
		}
		g.journal.forwarded(warrant)
	}
	return nil
}
