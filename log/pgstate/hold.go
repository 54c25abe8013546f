// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package pgstate

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/vasistas/vasistas/log/state"
)

// Candidate is an instance that takes the lease when it can. See [DB.Run].
type Candidate struct {
	// Name is written to the lease, for operators.
	Name string
	// Lease is how long a lease lasts without a renewal, in whole seconds.
	Lease time.Duration
	// Act is called with each term. The instance is active until Act returns, which
	// it must do soon after the term is over. Run then releases the lease, and the
	// instance is a candidate again after rest.
	Act func(term *Term) (rest time.Duration)
	// Logger: nil means slog.Default().
	Logger *slog.Logger
}

// rows reads the row of the lease, and writes it by compare-and-swap.
type rows interface {
	Lease(ctx context.Context) (Lease, error)
	swapLease(ctx context.Context, self string, next Lease) (version int64, err error)
}

// holder is a running candidate. All its times are on its own monotonic clock, so the
// clocks of instances need not agree, only run at about the same speed.
type holder struct {
	Candidate
	db      *DB
	rows    rows
	self    string // Lease.Holder, new for each term
	unheard bool   // the operator was warned that the database doesn't answer
}

// Run takes the lease whenever it is free or has run out, and calls Act for each term,
// until ctx ends. Act must then return by itself.
//
// A term is over when the lease was not renewed for two thirds of its time, which is
// before another instance can take it. The fence, not this time, keeps two instances
// from both writing.
func (db *DB) Run(ctx context.Context, c Candidate) error {
	return run(ctx, &holder{Candidate: c, db: db, rows: db})
}

// Check returns an error if the lease time is not valid.
func (c *Candidate) Check() error {
	if c.Lease < time.Second || c.Lease > time.Hour || c.Lease%time.Second != 0 {
		return fmt.Errorf("the lease time %v is not in whole seconds from 1s to 1h", c.Lease)
	}
	return nil
}

func run(ctx context.Context, h *holder) error {
	if err := h.Check(); err != nil {
		return err
	}
	h.Logger = cmp.Or(h.Logger, slog.Default())
	for ctx.Err() == nil {
		h.self = h.Name + "#" + rand.Text()
		term, lease := h.await(ctx)
		if term == nil {
			break
		}
		sleep(ctx, h.act(ctx, term, lease))
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// await takes the lease and returns the term, nil if ctx has ended.
func (h *holder) await(ctx context.Context) (*Term, Lease) {
	seen, since := Lease{Version: -1}, time.Now()
	for ; ctx.Err() == nil; sleep(ctx, h.Lease/10) {
		lease, err := h.read(ctx)
		if err != nil {
			continue
		}
		if lease.Version != seen.Version {
			seen, since = lease, time.Now()
		}
		lasts := time.Duration(lease.Seconds) * time.Second
		// The candidate may have the lease already, if the answer to its write was lost.
		if free := lease.Holder == "" || lease.Holder == h.self || time.Since(since) >= lasts; !free {
			continue
		}
		now := time.Now()
		lease.Holder, lease.Name, lease.Term, lease.Seconds = h.self, h.Name, lease.Term+1, int(h.Lease/time.Second)
		lease.Acquired, lease.Renewed = now, now
		if lease.Version, err = h.swap(ctx, lease); err == nil {
			return h.db.newTerm(context.WithoutCancel(ctx), h.self, lease.Term, h.deadline(now)), lease
		}
	}
	return nil, Lease{}
}

// deadline returns the deadline of a term whose lease was renewed by a write that
// began at now.
func (h *holder) deadline(now time.Time) time.Time { return now.Add(h.Lease * 2 / 3) }

// act calls Act for a term, renews the lease meanwhile, and releases it.
func (h *holder) act(ctx context.Context, term *Term, lease Lease) time.Duration {
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		h.renew(term, lease)
	}()
	rest := h.Act(term)
	term.end(state.ErrOusted)
	<-renewed
	h.release(context.WithoutCancel(ctx))
	return rest
}

// renew renews the lease until the term is over.
func (h *holder) renew(term *Term, lease Lease) {
	for wait := h.Lease / 5; ; {
		sleep(term.ctx, min(wait, term.left()))
		if term.Held() != nil {
			return
		}
		wait = h.Lease / 10
		now := time.Now()
		lease.Renewed = now
		// The context of the call ends with the term.
		ctx, cancel := context.WithTimeout(term.ctx, term.left())
		version, err := h.swap(ctx, lease)
		cancel()
		if err == nil {
			lease.Version, wait = version, h.Lease/5
			term.extend(h.deadline(now))
		} else if errors.Is(err, errLeaseMoved) {
			// A renewal whose answer was lost changes the lease too: reread it.
			is, err := h.read(term.ctx)
			if err == nil && (is.Holder != h.self || is.Term != lease.Term) {
				term.end(fmt.Errorf("%w (another instance has the lease)", state.ErrOusted))
			} else if err == nil {
				lease.Version, wait = is.Version, 0
			}
		}
	}
}

// release frees the lease, if the holder still has it, so that others need not wait.
func (h *holder) release(ctx context.Context) {
	lease, err := h.read(ctx)
	if err == nil && lease.Holder == h.self {
		lease.Holder, lease.Name = "", ""
		_, err = h.swap(ctx, lease)
	}
	if err != nil {
		h.Logger.Info("the lease was not released; other instances wait until it runs out", "err", err)
	}
}

func (h *holder) read(ctx context.Context) (Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, h.Lease/4)
	defer cancel()
	lease, err := h.rows.Lease(ctx)
	h.report(err)
	return lease, err
}

func (h *holder) swap(ctx context.Context, next Lease) (version int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, h.Lease/4)
	defer cancel()
	version, err = h.rows.swapLease(ctx, h.self, next)
	if !errors.Is(err, errLeaseMoved) {
		h.report(err)
	}
	return version, err
}

// report warns the operator once when the database doesn't answer, and again once it
// does.
func (h *holder) report(err error) {
	switch {
	case err != nil && !h.unheard:
		h.Logger.Warn("the lease can't be read or renewed; trying again", "err", err)
	case err == nil && h.unheard:
		h.Logger.Info("the lease can be read again")
	}
	h.unheard = err != nil
}
