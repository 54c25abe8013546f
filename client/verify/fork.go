// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"errors"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/tlog"
)

// Fork verifies evidence of a fork from scratch: nil means that a log of the policy signed both
// heads, and that they contradict each other. That convicts the log by its key alone, so
// cosignatures don't count. origin is that of the log; "": any log of the policy. The error is
// an [Error].
func Fork(policy *Policy, f *tlog.Fork, origin string) error {
	if policy == nil {
		return fail(NoPolicy, "no policy: nothing can be verified without one")
	}
	for _, c := range []*tlog.Checkpoint{f.Small, f.Large} {
		if err := checkOrigin(policy, c.Origin, origin); err != nil {
			return err
		}
		if _, err := policy.WithSpread(tlog.NoSpread).Verify(c, origin); err != nil && !errors.Is(err, tlog.ErrNoQuorum) {
			return &Error{BadSignature, err}
		}
	}
	same := f.Small.Size == f.Large.Size
	switch {
	case f.Small.Origin != f.Large.Origin:
		return fail(NoFork, "the heads are of two logs")
	case f.Prefix == f.Small.Root:
		return fail(NoFork, "the larger tree extends the smaller one")
	case f.Small.Size == 0 && f.Prefix != tiles.EmptyRoot():
		return fail(NoFork, "the prefix is not the root of the empty tree")
	case f.Small.Size == 0: // no tree extends this head
		return nil
	case f.Prefix == tlog.Hash{} && !same:
		return fail(UnprovenFork, "the log signed both heads, and the file does not show that they contradict each other: "+
			"ask the log for a consistency proof from size %d to %d; if it has none, it has forked", f.Small.Size, f.Large.Size)
	case same && f.Prefix != f.Large.Root:
		return fail(NoFork, "the prefix is not the root of the larger head")
	case same:
		return nil
	}
	if err := tiles.VerifyConsistency(f.Small.Size, f.Prefix, f.Large.Size, f.Large.Root, f.Proof); err != nil {
		return &Error{NoFork, err}
	}
	return nil
}
