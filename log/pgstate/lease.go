// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package pgstate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Lease is who leads, as it stands in the database.
type Lease struct {
	Holder   string // one for each candidacy; "": nobody leads
	URL      string // of the front end that leads
	Term     int64  // grows with each leader
	Seconds  int    // how long it lasts if it is not renewed
	Acquired time.Time
	Renewed  time.Time // by the leader's clock
	Version  int64     // grows with each write
}

// ErrLeaseMoved: the lease is not what the writer saw last.
var ErrLeaseMoved = errors.New("the lease has changed meanwhile")

// Lease reads the lease.
func (db *DB) Lease(ctx context.Context) (Lease, error) {
	var l Lease
	err := db.leases.QueryRow(ctx, `SELECT holder, url, term, seconds, acquired, renewed, version FROM vasistas.lease`).
		Scan(&l.Holder, &l.URL, &l.Term, &l.Seconds, &l.Acquired, &l.Renewed, &l.Version)
	if err != nil {
		return Lease{}, fmt.Errorf("reading the lease: %w", db.unreachable(err))
	}
	return l, nil
}

// SwapLease writes the lease if it has the version that next has, and returns the new
// version. A holder gives up (next has none) only what is its own. It waits for the
// writes of the holder that are under way.
func (db *DB) SwapLease(ctx context.Context, self string, next Lease) (version int64, err error) {
	tag, err := db.leases.Exec(ctx, `UPDATE vasistas.lease SET holder = $1, url = $2, term = $3, seconds = $4, acquired = $5, renewed = $6, version = version + 1
		WHERE version = $7 AND term <= $3 AND ($1 <> '' OR holder = $8)`,
		next.Holder, next.URL, next.Term, next.Seconds, next.Acquired, next.Renewed, next.Version, self)
	if err != nil {
		return 0, fmt.Errorf("writing the lease: %w", db.unreachable(err))
	}
	if tag.RowsAffected() != 1 {
		return 0, ErrLeaseMoved
	}
	return next.Version + 1, nil
}

// Term is one time of leading. Its writer may write as long as the lease is its own.
type Term struct {
	db     *DB
	holder string
	number int64

	once   sync.Once
	ousted chan struct{}
}

// Term returns the term that a holder was elected for.
func (db *DB) Term(holder string, number int64) *Term {
	return &Term{db: db, holder: holder, number: number, ousted: make(chan struct{})}
}

// Ousted is closed once a write was refused because somebody else leads.
func (t *Term) Ousted() <-chan struct{} { return t.ousted }

// Oust says that somebody else was seen to lead.
func (t *Term) Oust() { t.once.Do(func() { close(t.ousted) }) }

// fence begins every statement that writes: without the lease, $1 and $2, it finds
// nothing. It keeps the lease as it is until the statement is over.
const fence = `WITH fence AS (SELECT 1 FROM vasistas.lease WHERE holder = $1 AND term = $2 FOR SHARE) `
