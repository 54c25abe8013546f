// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package pgstate

import (
	"context"
	"time"
)

var ErrLeaseMoved = errLeaseMoved

func (db *DB) SwapLease(ctx context.Context, self string, next Lease) (int64, error) {
	return db.swapLease(ctx, self, next)
}

// Term returns a term of an hour for any lease.
func (db *DB) Term(holder string, number int64) *Term {
	return db.newTerm(context.Background(), holder, number, time.Now().Add(time.Hour))
}
