// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

const (
	// MaxUnproven bounds the entries that are read at first by the log's word alone.
	MaxUnproven = 1 << 20
	// maxRest bounds the pause after a head that did not count.
	maxRest = 10 * time.Minute
)

// Unproven applies the entries up to a head that no known policy accepts: an amendment below it
// may have the policy that does. Until such a charter is found, the log, or who serves at its URL,
// vouches alone for any number of entries. So at most Max are read, and after a head that did not
// count, Unproven rests three times as long as that took, at most ten minutes. Then it reads up to
// twice as many: a new replica of an old log may have to go a long way to its first amendment. The
// zero value is usable.
type Unproven struct {
	Max    uint64    // entries; 0: MaxUnproven
	Rest   time.Time // until then the last error is the answer
	failed error     // of the last head; nil: it counted
	limit  uint64    // entries of the next try; 0: Max
}

// UnprovenError reports that the entries up to a head do not show a policy that accepts the head.
type UnprovenError struct{ From, Read, Size uint64 }

func (e *UnprovenError) Error() string {
	return fmt.Sprintf("no charter in %d entries from entry %d on has a witness policy that the head of size %d meets", e.Read, e.From, e.Size)
}

// Forget ends the rest: another source of entries counts for itself.
func (u *Unproven) Forget() { u.failed = nil }

// Try is [Replica.Try] for the head of the last Update.
func (u *Unproven) Try(ctx context.Context, r *Replica, cp *tlog.Checkpoint, o Observer, accept func(*ledger.Ledger) error) error {
	if u.failed != nil && time.Now().Before(u.Rest) {
		return u.failed
	}
	limit := cmp.Or(u.limit, u.Max, MaxUnproven)
	begun, from, accepted := time.Now(), r.state.ledger.Size(), false
	after := o.After
	o.After = func(e *ledger.Entry, violations []*ledger.Violation, changes []ledger.Change) error {
		accepted = accepted || charterAccepts(e, violations, cp)
		if !accepted && e.Index-from >= limit {
			return &UnprovenError{from, limit, cp.Size}
		}
		if after == nil {
			return nil
		}
		return after(e, violations, changes)
	}
	err := r.Try(ctx, o, accept)
	if ctx.Err() != nil {
		return err // the caller gave up, and a stranger may be the caller
	}
	switch few, ok := errors.AsType[*UnprovenError](err); {
	case ok:
		u.limit = 2 * few.Read
	case err == nil:
		u.limit = 0
	}
	if u.failed = err; err != nil {
		u.Rest = time.Now().Add(min(3*time.Since(begun), maxRest))
	}
	return err
}

// charterAccepts reports whether an entry is a charter, without a fault, whose witness policy accepts
// a head.
func charterAccepts(e *ledger.Entry, violations []*ledger.Violation, cp *tlog.Checkpoint) bool {
	if e.Envelope == nil || slices.ContainsFunc(violations, func(v *ledger.Violation) bool { return v.Index == e.Index }) {
		return false
	}
	ch, ok := e.Envelope.Event.Body.(*event.Charter)
	if !ok {
		return false
	}
	p, err := tlog.ParsePolicy([]byte(ch.PolicyFile(ch.WitnessPolicy)))
	if err != nil {
		return false
	}
	_, err = p.WithSpread(ch.Profile.Spread).Verify(cp, e.Envelope.Event.Log)
	return err == nil
}
