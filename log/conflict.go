// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"context"
	"errors"
	"fmt"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/internal/tiles/prover"
	"github.com/vasistas/vasistas/log/tlog"
)

// conflict looks for evidence behind a witness's claim to know better. It returns
// [ErrLogBehind] or [ErrForked] if there is a head that this log signed and that
// its recorded head does not account for; claims without that are nothing.
func (p *publisher) conflict(ctx context.Context, a answer) error {
	if !errors.Is(a.err, errWitnessAhead) && !errors.Is(a.err, errWitnessConflict) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.cfg.WitnessTimeout)
	defer cancel()
	head := &p.head.signed.Head
	warn := func(what string, err error) error {
		p.logger.Warn("a witness claims to know a later or another head, and "+what, "witness", a.witness.name, "claim", a.err, "err", err)
		return nil
	}
	cp, err := a.witness.latest(ctx, head.Origin)
	if err != nil {
		return warn("shows none", err)
	}
	if cp.Origin != head.Origin || !p.signedByUs(cp) {
		return warn("shows one that this log did not sign", nil)
	}
	reason := ErrForked
	if cp.Size > head.Size {
		reason = ErrLogBehind
	} else if root, err := provenRoot(ctx, p.prover, cp.Size, head); err != nil {
		return warn("whether it is right can't be told from this tree", err)
	} else if root == cp.Root {
		return warn("shows one that this log's extends", nil)
	}
	name, err := p.record.KeepEvidence(ctx, fmt.Sprintf("evidence-%d-%x", cp.Size, cp.Root[:4]), cp.Bytes())
	if errors.Is(err, ErrOusted) {
		return err // that head is the successor's, and no evidence of anything
	} else if err != nil {
		p.logger.Error("evidence could not be kept", "checkpoint", string(cp.Bytes()), "err", err)
	}
	return fmt.Errorf("%w (witness %s has a head of size %d, this log one of size %d; see %s)", reason, a.witness.name, cp.Size, head.Size, name)
}

// signedByUs returns whether a key that this log has, or ever had, signed the head.
func (p *publisher) signedByUs(cp *tlog.Checkpoint) bool {
	for _, c := range p.book.view.Load().charters {
		for _, l := range c.Witnesses.Logs {
			if line := cp.Find(l.Key); line != nil {
				if _, err := l.Key.Verify(&cp.Head, line); err == nil {
					return true
				}
			}
		}
	}
	return false
}

// provenRoot returns the root that the tree of head had at an earlier size. It
// proves it: a damaged tile must not look like a fork.
func provenRoot(ctx context.Context, p *prover.Prover, size uint64, head *tlog.Head) ([32]byte, error) {
	switch size {
	case head.Size:
		return head.Root, nil
	case 0:
		return tiles.EmptyRoot(), nil
	}
	root, err := p.Root(ctx, size, head.Size)
	if err != nil {
		return root, err
	}
	_, err = p.Consistency(ctx, size, root, head.Size, head.Root)
	return root, err
}
