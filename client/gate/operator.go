// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vasistas/vasistas/log/event"
)

// Sync follows the log up to its present head, once. What the log has and the
// journal lacks is an error, as always.
func (g *Gate) Sync(ctx context.Context) error {
	return g.with(ctx, func(b *book) error { return g.follow(ctx, b, time.Now()) })
}

// Resume takes the chain up from the log: for a gate that lost its journal or was
// restored from a backup, and only once no other instance runs. It is an
// operator's act, and the next heartbeat says so. The gate must not be started. A
// count that was stated in the log and whose releases the log lacks can't be taken
// up: only the lost journal has them.
func (g *Gate) Resume(ctx context.Context) (seq uint64, err error) {
	err = g.with(ctx, func(b *book) error {
		if errors.Is(b.stopped, ErrForked) {
			return b.stopped
		}
		own := b.own
		b.own, b.stopped = nil, nil
		defer func() { b.own = own }()
		if err := b.sync(ctx); err != nil {
			return err
		}
		if err := fresh(b.head.Checkpoint.Size, b.head.LoggedAfter, b.ledger.Charter(), time.Now()); err != nil {
			return err
		}
		chain, ok := b.ledger.Chain(g.cfg.Signer.KeyID())
		switch {
		case !ok:
			return ErrNoCustodian
		case chain.Ended || chain.Broken:
			return errors.New("the chain of this key has ended or is broken; an amendment can start the custodian's anew under another key")
		case chain.Stated > chain.Seq || chain.Waiting > 0:
			return fmt.Errorf("the log holds %d releases of this key in order, and knows of %d: submit those that are missing, from the lost journal", chain.Seq, max(chain.Stated, chain.Seq+uint64(chain.Waiting)))
		}
		seq = chain.Seq
		return g.journal.resume(base{size: b.ledger.Size(), seq: chain.Seq, prev: chain.Hash, resumed: true})
	})
	return seq, err
}

// resume begins the journal anew at a place in the log.
func (j *journal) resume(b base) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.err = nil
	if err := j.append(b.record()); err != nil {
		return err
	}
	j.begin(b)
	return nil
}

// Confirm makes the charter in force the one that this gate trusts, if names are
// exactly those of the changes that wait (see [Status]).
func (g *Gate) Confirm(ctx context.Context, names []string) error {
	return g.with(ctx, func(b *book) error {
		// A head that only the new policy accepts is no reason not to look.
		if err := b.sync(ctx); err != nil && len(b.pending()) == 0 {
			return err
		}
		return b.confirm(names)
	})
}

// Status is a gate's state for people and scripts. Times are
// 2006-01-02T15:04:05Z, hashes base64.
type Status struct {
	Origin      string   `json:"origin"`
	Key         string   `json:"key"`       // id of the event key
	Custodian   string   `json:"custodian"` // "": the charter in force names the key as none's
	Groups      []string `json:"groups,omitempty"`
	Size        uint64   `json:"size"` // of the largest verified head; 0: none
	Root        string   `json:"root,omitempty"`
	LoggedAfter string   `json:"loggedAfter,omitempty"`
	Charter     uint64   `json:"charter"` // version of the charter in force
	Trusted     uint64   `json:"trusted"` // version of the charter that the operator trusts
	Pending     []Change `json:"pending,omitempty"`
	Seq         uint64   `json:"seq"`     // of the journal's last release
	Outbox      int      `json:"outbox"`  // events that the log has not shown
	Releases    []string `json:"waiting"` // of which releases, by number
	Stopped     string   `json:"stopped,omitempty"`
}

// Status returns the gate's state, as of the last look at the log.
func (g *Gate) Status(ctx context.Context) (*Status, error) {
	s := &Status{Origin: g.cfg.Origin, Key: g.cfg.Signer.KeyID(), Releases: []string{}}
	if err := g.journal.failed(); err != nil {
		s.Stopped = err.Error()
	}
	waiting := g.journal.waiting()
	s.Outbox = len(waiting)
	for _, w := range waiting {
		if w.kind == event.TypeRelease {
			s.Releases = append(s.Releases, fmt.Sprint(w.seq))
		}
	}
	g.journal.mu.Lock()
	s.Seq = g.journal.seq
	g.journal.mu.Unlock()
	return s, g.with(ctx, func(b *book) error {
		if b.stopped != nil {
			s.Stopped = b.stopped.Error()
		}
		if b.head != nil {
			cp := b.head.Checkpoint
			s.Size, s.Root, s.LoggedAfter = cp.Size, cp.Root.String(), stamp(time.Unix(int64(b.head.LoggedAfter), 0))
		}
		in := b.ledger.Charter()
		if in == nil {
			return nil
		}
		s.Charter, s.Pending = in.Version, b.pending()
		if b.trusted.charter != nil {
			s.Trusted = b.trusted.charter.Version
		}
		if name, err := g.custodian(b); err == nil {
			s.Custodian, s.Groups = name, in.GroupsOf(name)
		}
		return nil
	})
}
