// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/vasistas/vasistas/internal/tiles/prover"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/vault"
)

// keeper does what the log owes the world by itself: it anchors what is published,
// and discloses what is sealed no longer. Its time is the logged-after time of the
// published head, and its events claim just that: so no clock of this machine makes
// a disclosure early, or has it refused.
//
// A seal that ended while the log was down waits, with admission open, so that a
// deferral that was signed in time and could not be submitted gets in; see
// patience. While any waits, no anchor is logged, which would prove that the
// deferral comes too late.
type keeper struct {
	book      *book
	vault     *vault.Vault
	signer    event.Signer // nil: it only watches
	engine    Engine
	prover    *prover.Prover
	publisher *publisher
	sequencer *sequencer
	clock     *clock
	metrics   *metrics
	logger    *slog.Logger

	// What follows is of run alone.
	proven  int64             // by anchors, when the log was opened
	first   int64             // time of the first head since; 0: none yet
	waiting map[uint64]int64  // deposits that wait, and until when
	closing map[uint64]uint64 // deposits of which nothing is owed, and the size that says so
	opened  uint64            // the book's count when closing was begun
	told    map[string]bool   // failures that the operator was told of
	counted time.Time         // when overdue was counted last
	costs   time.Duration     // what that took
}

const (
	// keeperWindow is how many disclosures are on their way at once.
	keeperWindow = 64
	// keeperRetry is after how long what failed is tried again, in witnessed
	// seconds.
	keeperRetry = 60
)

func newKeeper(cfg Config, b *book, p *publisher, s *sequencer, c *clock, m *metrics) *keeper {
	return &keeper{
		book: b, vault: cfg.Vault, signer: cfg.Provider, engine: cfg.Engine, prover: p.prover, publisher: p, sequencer: s, clock: c,
		metrics: m, logger: cfg.Logger, proven: b.proven(),
		waiting: make(map[uint64]int64), closing: make(map[uint64]uint64), told: make(map[string]bool),
	}
}

// clean drops from the vault what was put and never sequenced, and forgets what was
// disclosed and is gone. What was disclosed and is still there stays until a head is
// published that shows it. It names what the vault should have and hasn't.
func (k *keeper) clean(ctx context.Context) error {
	deposits := k.book.deposited()
	keep := make(map[event.Digest]bool, len(deposits))
	for _, d := range deposits {
		keep[d.hash] = true
	}
	dropped, err := k.vault.Retain(ctx, func(h event.Digest) bool { return keep[h] })
	if err != nil {
		return fmt.Errorf("cleaning the vault: %w", err)
	}
	if len(dropped) > 0 {
		k.logger.Info("dropped from the vault what was never logged", "events", len(dropped))
	}
	var gone []uint64
	for i := range deposits {
		d := &deposits[i]
		if k.vault.Has(d.hash) {
			continue
		}
		if _, _, over := k.book.sealed(d); over {
			gone = append(gone, d.index)
		} else {
			k.lose(d, nil)
		}
	}
	k.book.drop(gone)
	return nil
}

// lose says that the vault hasn't what it should have.
func (k *keeper) lose(d *deposit, err error) {
	if !k.book.setLost(d.index) {
		return
	}
	what := "openings"
	if d.release {
		what = "notices"
	}
	k.metrics.lost.Inc()
	k.logger.Error("the vault has lost what is to be disclosed, and this entry can't be disclosed: "+
		"restore the vault, or have the event submitted again with its "+what, "entry", d.index, "event", d.hash.String(), "err", err)
}

// run tends to each published head until ctx ends.
func (k *keeper) run(ctx context.Context) {
	for {
		pub, changed := k.publisher.current()
		// What was published before the start says nothing about now.
		if pub != nil && pub.fresh {
			k.tend(ctx, pub)
		}
		if !k.wait(ctx, pub, changed) {
			return
		}
	}
}

// wait waits for the next head, and asks for one when something is due: an idle log
// would else not hear from its witnesses in time. It returns false when ctx ends.
func (k *keeper) wait(ctx context.Context, pub *publication, changed <-chan struct{}) bool {
	var due <-chan time.Time
	if at, ok := k.next(pub); ok && k.signer != nil {
		// Cosignatures have whole seconds.
		due = time.After(max(time.Second, time.Unix(at, 0).Sub(k.clock.now())))
	}
	for {
		select {
		case <-ctx.Done():
			return false
		case <-changed:
			return true
		case <-due:
			k.publisher.wake()
			due = time.After(time.Second)
		}
	}
}

// next returns when there will be something to do, if all goes on as it is.
func (k *keeper) next(pub *publication) (at int64, ok bool) {
	if pub == nil || pub.after == 0 {
		return 0, false
	}
	at, ok = k.book.nextLook()
	for _, t := range k.waiting {
		if !ok || t < at {
			at, ok = t, true
		}
	}
	if t, fresh := k.anchorDue(pub); fresh && (!ok || t < at) && len(k.waiting) == 0 {
		at, ok = t, true
	}
	return at, ok
}

// tend does what is due at a published head.
func (k *keeper) tend(ctx context.Context, pub *publication) {
	now := int64(pub.after)
	if k.first == 0 {
		k.first = now
	}
	k.erase(ctx, pub)
	k.count(pub)
	if now == 0 {
		return // no witness has given a time, so nothing can be known to be due
	}
	for ctx.Err() == nil {
		deposits := k.book.woken(now, keeperWindow)
		if len(deposits) == 0 {
			break
		}
		k.disclose(ctx, k.judge(deposits, now), now)
	}
	for i, until := range k.waiting {
		if until <= now {
			delete(k.waiting, i)
			k.book.lookAt(0, i)
		}
	}
	if at, fresh := k.anchorDue(pub); fresh && at <= now && len(k.waiting) == 0 {
		k.report("anchor", k.anchor(ctx, pub))
	}
}

// judge returns those deposits that are to be disclosed now.
func (k *keeper) judge(deposits []deposit, now int64) []deposit {
	var due []deposit
	for _, d := range deposits {
		until, never, over := k.book.sealed(&d)
		switch {
		case d.index >= k.book.edge.Load().size:
			// It is applied and not stored yet, and perhaps never will be.
			k.book.lookAt(now+1, d.index)
		case over:
			k.closing[d.index] = k.book.size()
			delete(k.waiting, d.index)
		case never: // an amendment may take that back, and then it is looked at
		case until > now:
			k.book.lookAt(until, d.index)
		case k.signer == nil:
			k.book.lookAt(now+keeperRetry, d.index)
		default:
			if end := k.patience(until); end > now {
				k.waiting[d.index] = end
				continue
			}
			due = append(due, d)
		}
	}
	return due
}

// patience returns until when a seal waits: not at all, unless it ended after what
// anchors had proven when the log was opened and before the first head since, which
// is while the log was down. Then it waits for the profile's grace. But a disclosure
// that can be in time is not made late by that: it waits until half of its grace is
// left at most.
func (k *keeper) patience(until int64) int64 {
	if until <= k.proven || until > k.first {
		return 0
	}
	grace := int64(min(k.book.view.Load().inForce().Profile.DisclosureGrace, 1<<40))
	end := k.first + grace
	if k.first <= until+grace {
		end = min(end, until+grace/2)
	}
	return end
}

// erase drops from the vault what a published head shows that nothing is owed of.
func (k *keeper) erase(ctx context.Context, pub *publication) {
	if n := k.book.opened.Load(); n != k.opened {
		// What closed them was applied, and perhaps not stored.
		for i := range k.closing {
			k.book.lookAt(0, i)
		}
		clear(k.closing)
		k.opened = n
	}
	var gone []uint64
	for i, size := range k.closing {
		if size <= pub.checkpoint.Size {
			gone = append(gone, i)
			delete(k.closing, i)
		}
	}
	if len(gone) == 0 {
		return
	}
	k.vault.Delete(k.book.drop(gone)...)
	if err := k.vault.Compact(ctx); err != nil && ctx.Err() == nil {
		k.report("vault", err)
	}
}

// count shows what is overdue. It looks at all that is open, so it takes at most a
// fiftieth of the time.
func (k *keeper) count(pub *publication) {
	if !k.counted.IsZero() && time.Since(k.counted) < max(5*time.Second, 50*k.costs) {
		return
	}
	began := time.Now()
	if pub.after != 0 {
		k.metrics.owed(k.book.overdue(time.Unix(int64(pub.after), 0)))
	}
	k.metrics.vault(k.vault.Stats())
	k.counted, k.costs = time.Now(), time.Since(began)
}

// report tells the operator of a failure, once until it is over.
func (k *keeper) report(what string, err error) {
	if err == nil {
		k.metrics.disclosures.WithLabelValues(what, "logged").Inc()
		if k.told[what] {
			delete(k.told, what)
			k.logger.Info("it works again", "what", what)
		}
		return
	}
	if errors.Is(err, ErrClosing) || errors.Is(err, context.Canceled) {
		return
	}
	k.metrics.disclosures.WithLabelValues(what, "failed").Inc()
	if !k.told[what] {
		k.told[what] = true
		k.logger.Error("the log can't do what it owes; trying again", "what", what, "err", err)
	}
}
