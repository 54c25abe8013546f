// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/monitor/mirror"
	"github.com/vasistas/vasistas/internal/cosigning"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// vouched is the recorded head with this auditor's lines, as the copy serves it.
type vouched struct {
	head  *tlog.Checkpoint // with the witnesses' lines; after a restart with the log's only
	lines []tlog.Signature
	until time.Time // until then the copy serves it in place of a later head
}

// errNoPolicy: the auditor does not know yet which heads its copy may take.
var errNoPolicy = errors.New("no charter of the log is known yet")

// openStored opens the auditor's full copy of the log.
func (a *Auditor) openStored() error {
	policy := a.cfg.Policy
	if policy == nil {
		// Only a head that meets a charter's policy is copied: see catchUp.
		var err error
		if policy, err = keys(a.cfg.LogKeys).Policy(); err != nil {
			return err
		}
	}
	a.decided.Store(a.cfg.Policy != nil)
	var err error
	a.stored, err = mirror.Open(mirror.Config{
		Dir:     cmp.Or(a.cfg.CopyDir, filepath.Join(a.cfg.Dir, copyDir)),
		Sources: a.cfg.Sources, Policy: policy.WithSpread(tlog.NoSpread), Origin: a.cfg.Origin, Timeout: a.cfg.Timeout, Cosign: a.serve,
		Warn: func(err error) { a.cfg.Logger.Warn("the copy of the log", "origin", a.cfg.Origin, "err", err) },
	})
	return err
}

// decide makes the copy take the heads that meet the witness policy in force. The log's earlier
// keys stay: heads with their lines are below the present one.
func (a *Auditor) decide() {
	in := a.copy.ledger.Charter()
	if in == nil || a.decidedBy == in.Leaf && a.decidedFor == len(a.copy.keys) {
		return
	}
	policy := in.Witnesses.WithSpread(tlog.NoSpread)
	policy.Logs = slices.Clone(policy.Logs)
	for _, k := range a.copy.keys {
		if !slices.ContainsFunc(policy.Logs, func(l tlog.PolicyLog) bool { return l.Key.String() == k.String() }) {
			policy.Logs = append(policy.Logs, tlog.PolicyLog{Key: k})
		}
	}
	a.decidedBy, a.decidedFor = in.Leaf, len(a.copy.keys)
	a.stored.Use(policy)
	a.decided.Store(true)
}

// keepCopy keeps the copy up to date and checks it, once it is known which heads it may take.
func (a *Auditor) keepCopy(ctx context.Context) {
	if !a.decided.Load() || a.keeping {
		return
	}
	a.keeping = true
	a.done.Go(func() {
		a.stored.Run(ctx, mirror.RunOptions{Poll: a.cfg.Poll, CheckEvery: a.cfg.CheckEvery, Failed: func(err error) {
			if fork, ok := errors.AsType[*client.ForkError](err); ok {
				a.KeepFork(fork)
			}
			if err != nil {
				a.cfg.Logger.Warn("copying the log", "origin", a.cfg.Origin, "err", err)
			}
		}})
	})
}

// begin begins to update the copy, if the copy is smaller than size. copied waits until the update is durable.
func (a *Auditor) begin(ctx context.Context, size uint64) (copied func() error) {
	none := func() error { return nil }
	if a.copied() >= size {
		return none
	}
	if !a.decided.Load() {
		return func() error { return errNoPolicy }
	}
	durable := a.stored.Begin(ctx)
	return func() error {
		if err := durable(); err != nil {
			return fmt.Errorf("the copy of the log: %w", err)
		}
		return nil
	}
}

// catchUp updates the copy, if the copy is smaller than size.
func (a *Auditor) catchUp(ctx context.Context, size uint64) error { return a.begin(ctx, size)() }

// copied returns the size of the copy.
func (a *Auditor) copied() uint64 {
	if h := a.stored.Head(); h != nil {
		return h.Size
	}
	return 0
}

// checkStored checks that the copy has every entry below the named head.
func (a *Auditor) checkStored(ctx context.Context, log said) error {
	within, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	// The policy that lets the copy take the head may be that of an entry just applied.
	late := cmp.Or(log.copied(), a.catchUp(within, log.note.Size))
	if err := a.stored.Holds(ctx, &log.note.Head); err != nil {
		return refuse(codeNotReady, "the copy of the log: %w", cmp.Or(late, err))
	}
	return nil
}

// vouch lets the copy serve a head with this auditor's lines.
func (a *Auditor) vouch(note *tlog.Checkpoint, lines []tlog.Signature, in *ledger.Charter) {
	a.vouched.Store(&vouched{note, lines, time.Now().Add(2 * seconds(in.Profile.Round))})
}

// vouchAgain makes the lines of the recorded head and time, which were decided before a restart.
func (a *Auditor) vouchAgain() error {
	last := a.last.Load()
	if last.head == nil {
		return nil
	}
	lines, err := cosigning.Cosign(a.cfg.Signers, &last.head.Head, last.Time)
	a.vouched.Store(&vouched{head: last.head, lines: lines})
	return err
}

// serve is [mirror.Config].Cosign: it adds no line but those of the recorded head. While the
// auditor cosigns, the copy serves the head that was cosigned last, which is at most two rounds
// behind the copy's; else the copy's own.
func (a *Auditor) serve(head *tlog.Checkpoint) (*tlog.Checkpoint, error) {
	v := a.vouched.Load()
	switch {
	case v == nil:
		return nil, nil
	case string(v.head.Text()) == string(head.Text()):
	case v.head.Size < head.Size && time.Now().Before(v.until):
		head = v.head
	default:
		return nil, nil
	}
	out := &tlog.Checkpoint{Head: head.Head}
	for _, s := range head.Signatures {
		if !slices.ContainsFunc(v.lines, func(own tlog.Signature) bool { return own.Name == s.Name && own.KeyID == s.KeyID }) {
			out.Signatures = append(out.Signatures, s)
		}
	}
	out.Signatures = append(out.Signatures, v.lines...)
	return out, nil
}

// Copy returns the auditor's copy of the log, to be served. Its checkpoint has this auditor's
// lines, if the auditor has cosigned that head.
func (a *Auditor) Copy() *mirror.Mirror { return a.stored }
