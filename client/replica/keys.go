// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/internal/cosigning"
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
