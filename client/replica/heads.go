// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/internal/cosigning"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// Keys are the keys that may sign a log's heads: those that the caller configured, and those that
// charters name. No key is ever removed: the policy of the charter at a head's size decides which
// ones count for it.
type Keys []*tlog.VerifierKey

// Policy returns a policy that a line of any one of the keys meets.
func (k Keys) Policy() (*tlog.Policy, error) {
	var text strings.Builder
	for _, key := range k {
		fmt.Fprintf(&text, "log %s\n", key)
	}
	return tlog.ParsePolicy([]byte(text.String() + "quorum none\n"))
}

// With returns the keys and the given ones. It has as many as before if it had all of them.
func (k Keys) With(more ...*tlog.VerifierKey) Keys {
	out := slices.Clip(k)
	for _, key := range more {
		if !cosigning.Has(out, key) {
			out = append(out, key)
		}
	}
	return out
}

// Of returns the keys and those of a charter, which may be nil.
func (k Keys) Of(c *ledger.Charter) Keys {
	if c == nil {
		return k
	}
	for _, l := range c.Witnesses.Logs {
		k = k.With(l.Key)
	}
	return k
}

// Claimed returns the keys and those that the log itself says are in force. Only its entries
// prove them: see [Replica.Learn].
func (k Keys) Claimed(ctx context.Context, c *client.Client) (Keys, error) {
	ch, err := c.Charter(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range ch.LogKeys {
		key, err := tlog.ParseVerifierKey(s)
		if err != nil {
			return nil, fmt.Errorf("the log's charter: %w", err)
		}
		k = k.With(key)
	}
	return k, nil
}

// Learn calls do with a client that accepts heads by claimed keys. do follows the log up to such
// a head with Update or Offer, and Try, which must require a charter that names the key: so a
// replica follows a log to new keys, though it has not seen the head of the amendment that names
// them. Afterwards the replica has its own client again. A fork that do finds convicts the log
// only if its keys are proven.
func (r *Replica) Learn(claimed *client.Client, do func() error) error {
	before := r.c.Client
	r.Use(claimed)
	defer func() { r.Use(before) }()
	return do()
}

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
