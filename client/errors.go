// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"errors"
	"fmt"

	"github.com/vasistas/vasistas/internal/problem"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/tlog"
)

var (
	// ErrNoPolicy is returned by calls that need a verified checkpoint, if [Config] has
	// no policy.
	ErrNoPolicy = errors.New("no policy: a checkpoint can't be verified without one")
	// ErrReadOnly is returned for submissions to a directory.
	ErrReadOnly = errors.New("a directory takes no submissions; give the log's URL")
	// ErrNotLogged is returned for an index that is not below the head's size.
	ErrNotLogged = errors.New("not in the tree of the latest verified checkpoint")
)

// RollbackError reports that a server offered a smaller tree than a verified one. It
// is no proof of misbehaviour, since a stale cache does the same: ask again, or set
// [Config].AllowRollback.
type RollbackError struct {
	Known   *tlog.Checkpoint // verified before
	Offered *tlog.Checkpoint // verified, and smaller
}

func (e *RollbackError) Error() string {
	return fmt.Sprintf("the log %q goes back: it serves size %d after size %d was verified", e.Offered.Origin, e.Offered.Size, e.Known.Size)
}

// ForkError reports that a log signed two heads of which neither extends the other.
// It carries evidence for a third party: both signed checkpoints and, if their sizes
// differ, the root of the larger tree at the smaller size with its consistency proof
// (RFC 6962, section 2.1.2).
type ForkError struct {
	Small, Large *tlog.Checkpoint // Small.Size <= Large.Size
	Prefix       tlog.Hash        // root at Small.Size of the tree of Large
	Proof        []tlog.Hash      // consistency proof from Prefix to Large; nil if the sizes are equal
}

func (e *ForkError) Error() string {
	return fmt.Sprintf("the log %q has forked: it signed root %x at size %d, and a tree of size %d that has root %x there; keep both checkpoints as evidence",
		e.Small.Origin, e.Small.Root, e.Small.Size, e.Large.Size, e.Prefix)
}

// ForkEvidence is a [ForkError] in JSON. Checking it needs only the log's key.
type ForkEvidence struct {
	Small  string   `json:"small"` // the checkpoints, whole
	Large  string   `json:"large"`
	Prefix string   `json:"prefix"` // root that the larger tree has at the smaller size
	Proof  []string `json:"proof"`  // its consistency proof
}

// Evidence returns the error as JSON evidence.
func (e *ForkError) Evidence() *ForkEvidence {
	out := &ForkEvidence{Small: string(e.Small.Bytes()), Large: string(e.Large.Bytes()), Prefix: e.Prefix.String(), Proof: []string{}}
	for _, h := range e.Proof {
		out.Proof = append(out.Proof, h.String())
	}
	return out
}

// Check verifies the evidence from scratch: nil means that a log of the policy signed
// both heads and that they contradict each other. Cosignatures don't count. origin is
// as in [Config].
func (e *ForkError) Check(policy *tlog.Policy, origin string) error {
	for _, c := range []*tlog.Checkpoint{e.Small, e.Large} {
		// The log's signature convicts the log; a quorum is not needed.
		if _, err := policy.Verify(c, origin); err != nil && !errors.Is(err, tlog.ErrNoQuorum) {
			return fmt.Errorf("evidence of a fork: %w", err)
		}
	}
	switch {
	case e.Small.Origin != e.Large.Origin:
		return errors.New("evidence of a fork: the checkpoints are of two logs")
	case e.Prefix == e.Small.Root:
		return errors.New("evidence of a fork: the larger tree extends the smaller one")
	case e.Small.Size == e.Large.Size && e.Prefix != e.Large.Root:
		return errors.New("evidence of a fork: the prefix is not the root of the larger head")
	case e.Small.Size == e.Large.Size:
		return nil
	case e.Small.Size == 0:
		if e.Prefix != tiles.EmptyRoot() {
			return errors.New("evidence of a fork: the prefix is not the root of the empty tree")
		}
		return nil
	}
	if err := tiles.VerifyConsistency(e.Small.Size, e.Prefix, e.Large.Size, e.Large.Root, e.Proof); err != nil {
		return fmt.Errorf("evidence of a fork: %w", err)
	}
	return nil
}

// Problem is a refusal by a log or a gate (RFC 9457).
type Problem = problem.Problem

// A Code says why a request was refused; see docs/operations.md.
type Code = problem.Code

// Codes of a log's refusals of submissions; see docs/operations.md.
const (
	CodeForm, CodeTooLarge, CodeMediaType, CodeOrigin = problem.Form, problem.TooLarge, problem.MediaType, problem.Origin
	CodeUnknownSigner, CodeSignature, CodeOpenings    = problem.UnknownSigner, problem.Signature, problem.Openings
	CodeRule, CodeNoQuorum, CodeStorage               = problem.Rule, problem.NoQuorum, problem.Storage
	CodeQueueFull, CodeNotReady, CodeShuttingDown     = problem.QueueFull, problem.NotReady, problem.ShuttingDown
)
