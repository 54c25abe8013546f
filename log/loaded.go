// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/duty"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/internal/chain"
	"github.com/vasistas/vasistas/log/internal/cosign"
	"github.com/vasistas/vasistas/log/internal/entries"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/state"
	"github.com/vasistas/vasistas/log/tlog"
)

// loaded is what a process must have read of a tree before it writes to the tree. [Open]
// reads all of it. A standby keeps it up to date with the published tree, and so opens
// the log quickly.
type loaded struct {
	tree   *chain.Tree
	index  *entries.Index
	ledger *liveLedger
}

// load reads the tree of this size with the help of the caches. The tree must extend
// head. active: see liveLedger.open.
func load(ctx context.Context, caches *state.Dir, r tlog.TileReader, active bool, head *tlog.Head, size uint64, logger *slog.Logger) (_ *loaded, err error) {
	w := &loaded{ledger: newLiveLedger(head.Origin, caches, r, logger)}
	if w.index, err = entries.OpenIndex(caches.Path("events"), r, logger); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.index.Close())
		}
	}()
	if w.tree, err = chain.Load(ctx, r, head); err != nil {
		return nil, err
	}
	// The right edge of the head is sound, so its entries can be read.
	if err := w.index.Load(ctx, head.Size); err != nil {
		return nil, err
	}
	if err := w.tree.Extend(ctx, size, w.index.AddEntry); err != nil {
		return nil, err
	}
	return w, w.ledger.open(ctx, w.tree, active)
}

// follow reads on up to this size of the tree, which must extend head. After an error
// w is unusable.
func (w *loaded) follow(ctx context.Context, head *tlog.Head, size uint64) error {
	for _, to := range []uint64{head.Size, size} {
		if err := w.tree.Extend(ctx, to, w.index.AddEntry); err != nil {
			return err
		}
		if e := w.tree.Edge(); to == head.Size && e.Root != head.Root {
			return fmt.Errorf("%w (its root at size %d is not that of the head)", ErrTreeConflict, to)
		}
	}
	return w.ledger.follow(ctx, w.tree)
}

// use makes the engine the reader from now on, and reads on up to this size of its
// tree, which must extend head. After an error w is unusable.
func (w *loaded) use(ctx context.Context, engine Engine, head *tlog.Head, size uint64) error {
	// A head smaller than what was read comes from a restored state.
	if head.Size < w.tree.Size() {
		return fmt.Errorf("%w (the tree has %d entries, the head %d, and %d were read before)", ErrTreeBehind, size, head.Size, w.tree.Size())
	}
	w.tree.Use(engine)
	w.index.Use(engine)
	w.ledger.pages.Use(engine)
	if err := w.follow(ctx, head, size); err != nil {
		return err
	}
	w.ledger.Query(func(_ *ledger.Ledger, a *duty.Agenda) { a.CheckAll() })
	return nil
}

// takeOver lets the operator's recovery take the log over: it logs the recovery, unless
// that is logged, and has its keys sign the recorded head, so that its witnesses can be
// asked whether they know a later one. Nothing else writes to tree and record yet.
func (w *loaded) takeOver(ctx context.Context, cfg *Config, h *chain.Head, clock *cosign.Clock) error {
	env, err := event.ParseEnvelope(cfg.Recovery)
	if err != nil {
		return err
	}
	c, err := w.ledger.recovers(env)
	if err != nil {
		return err
	}
	if pub, err := h.Record.LastPublished(ctx); err == nil && pub != nil && pub.Size > c.Index {
		cfg.Logger.Info("this recovery took the log over before", "version", c.Version, "entry", c.Index)
		_, _, err = h.Record.Head(ctx, chain.Verifiers(cfg.Keys))
		return err
	}
	keys, err := chain.Signers(cfg.Keys, c.LogKeys)
	if err != nil {
		return err
	}
	known, err := w.index.Find(ctx, env.Hash())
	if err != nil {
		return err
	}
	if known == nil {
		if err := w.enter(ctx, env); err != nil {
			return err
		}
	}
	w.ledger.takeOver(c)
	// A charter at its size, or the recovery, must name a key that signed the head.
	v, size := w.ledger.view.Load(), h.Signed().Size
	if err := h.SignedBy(ctx, slices.Concat(v.at(size).LogKeys, v.at(max(size, 1)-1).LogKeys, v.recovery.LogKeys)); err != nil {
		return err
	}
	if err := h.Resign(ctx, keys, clock.Now()); err != nil {
		return err
	}
	cfg.Logger.Warn("a recovery takes the log over: its heads meet this charter alone",
		"version", c.Version, "entry", c.Index, "event", event.Digest(env.Hash()).String())
	return nil
}

// enter logs an envelope that the rules admit.
func (w *loaded) enter(ctx context.Context, env *event.Envelope) error {
	ev, index := newAdmitted(env, env.Bytes()), w.tree.Size()
	if err := w.ledger.add(ev.next(), ev.entry); err != nil {
		return err
	}
	if err := w.tree.Append(ctx, [][]byte{ev.entry}, []tiles.Hash{ev.leaf}); err != nil {
		return err
	}
	w.index.Add(index, ev.hash)
	w.ledger.commit(w.tree)
	return nil
}

// close writes the caches.
func (w *loaded) close() error { return errors.Join(w.ledger.save(), w.index.Close()) }
