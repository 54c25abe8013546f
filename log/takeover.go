// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"context"
	"errors"
	"slices"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// takeOver lets the recovery that the operator gave take the log over: it is logged,
// if it isn't yet, and the recorded head is signed by the keys that it names, so that
// its witnesses can be asked whether they know a later one. Nothing runs yet that
// writes to the tree or the record.
func (l *Log) takeOver(ctx context.Context, t *tree, h *head) error {
	env, err := event.ParseEnvelope(l.cfg.Recovery)
	if err != nil {
		return err
	}
	c, err := l.book.recovers(env)
	if err != nil {
		return err
	}
	if pub, err := h.record.published(ctx); err == nil && pub != nil && pub.Size > c.Index {
		l.cfg.Logger.Info("this recovery took the log over before", "version", c.Version, "entry", c.Index)
		_, _, err = h.record.head(ctx, verifiers(h.keys))
		return err
	}
	keys, err := signersOf(h.keys, c.LogKeys)
	if err != nil {
		return err
	}
	found, err := l.index.find(ctx, env.Hash())
	if err != nil {
		return err
	}
	if found == nil {
		if err := l.enter(ctx, t, env); err != nil {
			return err
		}
	}
	l.book.takeOver(c)
	if err := h.signedBy(ctx, l.book.view.Load()); err != nil {
		return err
	}
	if err := h.takeOver(ctx, keys); err != nil {
		return err
	}
	l.cfg.Logger.Warn("a recovery takes the log over: its heads meet this charter alone",
		"version", c.Version, "entry", c.Index, "event", event.Digest(env.Hash()).String())
	return nil
}

// enter logs an envelope that the rules admit.
func (l *Log) enter(ctx context.Context, t *tree, env *event.Envelope) error {
	ev, index := newAdmitted(env, env.Bytes()), t.size()
	if err := l.book.add(ev); err != nil {
		return err
	}
	if err := t.append(ctx, [][]byte{ev.entry}, []tiles.Hash{ev.leaf}); err != nil {
		return err
	}
	l.index.add(index, ev.hash)
	l.book.settle(t)
	return nil
}

// recovers returns the charter that takes the log over.
func (b *book) recovers(env *event.Envelope) (*ledger.Charter, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c, err := b.ledger.Recovers(env, b.ledger.Size())
	var v *ledger.Violation
	if errors.As(err, &v) {
		return nil, &RuleError{v}
	}
	return c, err
}

// takeOver has the view say by which charter the log is recovered.
func (b *book) takeOver(c *ledger.Charter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.recovery = c.Leaf
	b.publish(nil)
}

// hearing returns the policies of those that are asked, at a start, whether they know
// a later head than that of this size.
func (v *view) hearing(size uint64) []*tlog.Policy {
	if v.recovery != nil && v.recovery.Index >= size {
		return []*tlog.Policy{v.recovery.Witnesses}
	}
	return v.policies(size, size)
}

// signedBy checks that the recorded head has a signature by a key that a charter
// named at its size, or that the recovery names.
func (h *head) signedBy(ctx context.Context, v *view) error {
	size := h.signed.Size
	named := slices.Concat(v.at(size).LogKeys, v.at(max(size, 1)-1).LogKeys, v.recovery.LogKeys)
	var keys []*tlog.VerifierKey
	for _, s := range named {
		k, err := tlog.ParseVerifierKey(s)
		if err != nil {
			return err
		}
		keys = append(keys, k)
	}
	_, _, err := h.record.head(ctx, keys)
	return err
}

// takeOver signs the recorded head with the keys that a recovery names, and records
// that. It is the head that was signed before: so it can't conflict with anything.
func (h *head) takeOver(ctx context.Context, keys []*tlog.Signer) error {
	if !slices.ContainsFunc(keys, func(k *tlog.Signer) bool { return h.signed.Find(k.Verifier()) == nil }) {
		return nil
	}
	return h.sign(ctx, keys, h.signed.Head)
}
