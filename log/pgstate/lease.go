// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package pgstate

import (
	"context"
	"errors"
	"fmt"
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
