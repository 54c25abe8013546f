// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"fmt"
	"time"

	"github.com/vasistas/vasistas/log/ledger"
)

// FreshnessError reports a head that is not fresh: its cosignatures are too old, or the
// clock is behind them.
type FreshnessError struct {
	Size    uint64    // of the head
	At, Now time.Time // logged after; the clock
	Stale   time.Duration
}

// Behind returns whether the clock is behind the cosignatures.
func (e *FreshnessError) Behind() bool { return e.Now.Before(e.At) }

func (e *FreshnessError) Error() string {
	at, now := e.At.UTC().Format(time.RFC3339), e.Now.UTC().Format(time.RFC3339)
	if e.Behind() {
		return fmt.Sprintf("this machine's clock says %s, but witnesses have signed at %s", now, at)
	}
	return fmt.Sprintf("the head of size %d was cosigned at %s, more than %d seconds ago", e.Size, at, e.Stale/time.Second)
}

// Fresh returns a [FreshnessError] if a head's logged-after time, in Unix time, is older
// than the charter's profile allows, or later than now. Under a charter without
// witnesses every head is fresh.
func Fresh(size, loggedAfter uint64, c *ledger.Charter, now time.Time) error {
	e := &FreshnessError{Size: size, At: time.Unix(int64(loggedAfter), 0), Now: now, Stale: time.Duration(c.Profile.Stale) * time.Second}
	if c.Witnesses.NeedsWitnesses() && (e.Behind() || now.Sub(e.At) > e.Stale) {
		return e
	}
	return nil
}
