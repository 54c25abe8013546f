// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/internal/held"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
)

var errHeld = errors.New("the gate already holds such an event, or too many of this signer; try again once the log has them")

// readHeld parses a submission that a gate may hold.
func readHeld(submission []byte) (*held.Event, error) {
	h, err := held.Read(submission, "a gate", false)
	if err != nil {
		return nil, refuse(CodeForm, "%w", err)
	}
	return h, nil
}

// Hold takes an event, as it would be submitted to the log. If the ledger would give it an
// effect, or would find it a breach of its own signer, it binds this gate at once, and the
// gate submits it to the log.
func (g *Gate) Hold(ctx context.Context, submission []byte) error {
	h, err := readHeld(submission)
	if err != nil {
		return err
	}
	return g.with(ctx, func(f *follower) error {
		in := f.ledger.Charter()
		if in == nil {
			return refuse(CodeNotReady, "%w", errBehind)
		}
		ev := h.Entry.Envelope.Event
		if err := f.at(time.Now()).claimed(ev, in); err != nil {
			return err
		}
		if err := in.Complete(ev, h.Sub.Openings); err != nil {
			return refuse(CodeForm, "%w", err)
		}
		h.Entry.Verify(f.ledger.Key)
		v, err := f.ledger.Check(h.Entry)
		if err == nil && v != nil && v.Rule == "reference" && v.Code == "future" {
			// The entry may be newer than the gate's ledger. If the update fails, the gate judges
			// by what it has.
			_ = g.follow(ctx, f, h.Since)
			v, err = f.ledger.Check(h.Entry)
		}
		switch {
		case err != nil:
			return refuse(CodeNotReady, "%w", err)
		case held.Repeated(v) || f.held.Has(h):
			return nil
		case !h.Counts(f.ledger, v):
			return refuse(CodeAccess, "%w", v)
		case slices.ContainsFunc(h.Entry.Envelope.Signatures, func(s event.Signature) bool { return s.KeyID == g.cfg.Signer.KeyID() }):
			e := h.Entry
			e.Index, e.Leaf = f.ledger.Size(), [32]byte{} // no tree has it, so it marks nothing as logged
			return f.stop(g.journal.seen(e, false))
		case !f.held.Room(h):
			return refuse(CodeBusy, "%w", errHeld)
		}
		// It counts at once, even if the disk fails.
		f.held, f.trial = append(f.held, h), nil
		g.cfg.Logger.Info("holding an event that the log does not show", "type", h.Key.Kind, "about", h.Key.Subject)
		if err := g.journal.hold(h.Bytes); err != nil {
			return refuse(CodeStorage, "%w", err)
		}
		return nil
	})
}

// tidy drops the held events that are in the followed tree, and those that have had no effect
// for as long as the log may take to include an event.
func (g *Gate) tidy(f *follower) error {
	var kept held.List
	for _, h := range f.held {
		v, err := f.ledger.Check(h.Entry)
		if err != nil {
			return err
		}
		if held.Repeated(v) || !h.Counts(f.ledger, v) && time.Since(h.Since) > seconds(f.ledger.Charter().Profile.Inclusion) {
			if err := g.journal.letGo(h.Entry.Leaf); err != nil {
				return err
			}
			continue
		}
		kept = append(kept, h)
	}
	if len(kept) < len(f.held) {
		f.held, f.trial = kept, nil
	}
	return nil
}

// judged returns the ledgers by which the gate judges: the log's and, while it holds events,
// what the ledger would be if the log had them.
func (f *follower) judged() ([]*ledger.Ledger, error) {
	if len(f.held) == 0 {
		f.trial = nil
		return []*ledger.Ledger{f.ledger}, nil
	}
	if f.trial == nil || f.trialAt != f.ledger.Size() {
		l, err := f.replica.Copy()
		if err != nil {
			return nil, err
		}
		for _, h := range f.held {
			e := h.Entry
			e.Index = l.Size()
			v, err := l.Check(e)
			if err != nil {
				return nil, err
			}
			if !h.Counts(l, v) {
				continue
			}
			if _, _, err := l.Apply(e); err != nil {
				return nil, err
			}
		}
		f.trial, f.trialAt = l, f.ledger.Size()
	}
	return []*ledger.Ledger{f.ledger, f.trial}, nil
}

// forward submits the held events to the log, again from time to time.
func (g *Gate) forward(ctx context.Context) error {
	var list held.List
	err := g.with(ctx, func(f *follower) error {
		list = slices.Clone(f.held)
		return nil
	})
	for _, h := range list {
		if time.Now().Before(h.Next) {
			continue
		}
		_, err := g.client.Load().Submit(ctx, h.Sub, client.WaitSequenced)
		g.metrics.posts.Add(1, string(h.Key.Kind), outcome(err))
		if err != nil && !final(err) {
			return err
		}
		h.Next = time.Now().Add(g.cfg.Timeout) // the log may have refused for now
	}
	return err
}
