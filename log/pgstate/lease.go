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
	"sync"
	"time"

	"github.com/vasistas/vasistas/log/state"
)

// Lease is the database's row about the active instance.
type Lease struct {
	Holder   string // unique to each term; "": no instance is active
	Name     string // of the active instance, for operators; the column is url
	Term     int64  // grows with each holder
	Seconds  int    // how long the lease lasts without a renewal
	Acquired time.Time
	Renewed  time.Time // by the holder's clock
	Version  int64     // grows with each write
}

// errLeaseMoved: the lease has changed since the writer read it.
var errLeaseMoved = errors.New("the lease has changed meanwhile")

// Lease reads the lease.
func (db *DB) Lease(ctx context.Context) (Lease, error) {
	var l Lease
	err := db.leases.QueryRow(ctx, `SELECT holder, url, term, seconds, acquired, renewed, version FROM vasistas.lease`).
		Scan(&l.Holder, &l.Name, &l.Term, &l.Seconds, &l.Acquired, &l.Renewed, &l.Version)
	if err != nil {
		return Lease{}, fmt.Errorf("reading the lease: %w", db.unreachable(err))
	}
	return l, nil
}

// swapLease writes the lease if its version is that of next, and returns the new
// version. A next without a holder frees the lease, which only its holder, self, can
// do. The statement waits for the holder's writes in progress.
func (db *DB) swapLease(ctx context.Context, self string, next Lease) (version int64, err error) {
	tag, err := db.leases.Exec(ctx, `UPDATE vasistas.lease SET holder = $1, url = $2, term = $3, seconds = $4, acquired = $5, renewed = $6, version = version + 1
		WHERE version = $7 AND term <= $3 AND ($1 <> '' OR holder = $8)`,
		next.Holder, next.Name, next.Term, next.Seconds, next.Acquired, next.Renewed, next.Version, self)
	if err != nil {
		return 0, fmt.Errorf("writing the lease: %w", db.unreachable(err))
	}
	if tag.RowsAffected() != 1 {
		return 0, errLeaseMoved
	}
	return next.Version + 1, nil
}

// Term is the time for which one holder has the lease. A term that is over stays over.
type Term struct {
	db     *DB
	holder string
	number int64

	ctx context.Context // done when the term is over
	end context.CancelCauseFunc

	mu       sync.Mutex
	deadline time.Time // on the monotonic clock; zero: none
}

// newTerm returns a term that ends at the deadline unless it is extended.
func (db *DB) newTerm(ctx context.Context, holder string, number int64, deadline time.Time) *Term {
	t := &Term{db: db, holder: holder, number: number, deadline: deadline}
	t.ctx, t.end = context.WithCancelCause(ctx)
	return t
}

// Context is done when the term is over, and its cause wraps [state.ErrOusted].
func (t *Term) Context() context.Context { return t.ctx }

var errNotRenewed = fmt.Errorf("%w (its lease could not be renewed in time)", state.ErrOusted)

// Held returns nil while the term lasts, else an error that wraps [state.ErrOusted]. It
// reads the clock, so a process that was stopped past the deadline sees that the term
// is over.
func (t *Term) Held() error {
	t.mu.Lock()
	late := !t.deadline.IsZero() && !time.Now().Before(t.deadline)
	t.mu.Unlock()
	if late {
		t.end(errNotRenewed)
	}
	return context.Cause(t.ctx)
}

// extend moves the deadline unless it has passed.
func (t *Term) extend(deadline time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Now().Before(t.deadline) {
		t.deadline = deadline
	}
}

// left returns how long the term lasts without a renewal.
func (t *Term) left() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return time.Until(t.deadline)
}

// fence begins every statement that writes. It selects a row if the holder $1 has the
// lease for the term $2, and locks the lease until the statement is over.
const fence = `WITH fence AS (SELECT 1 FROM vasistas.lease WHERE holder = $1 AND term = $2 FOR SHARE) `

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
