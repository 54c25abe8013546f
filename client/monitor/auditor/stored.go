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

// update is an update of the copy that requests wait for.
type update struct {
	verified chan struct{} // closed once its entries are verified, or it failed
	ended    chan struct{} // closed once they are durable, or it failed
	err      error         // why it failed; set before ended is closed
}

// join begins to update the copy, if the copy is smaller than size. It joins the update that another
// request has begun. The end of a request ends no update: a stranger may end requests at any time.
func (a *Auditor) join(size uint64) *update {
	if a.copied() >= size || !a.decided.Load() {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.updating != nil {
		return a.updating
	}
	u := &update{verified: make(chan struct{}), ended: make(chan struct{})}
	a.updating = u
	a.done.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		durable := a.stored.Begin(ctx)
		close(u.verified)
		u.err = durable()
		a.mu.Lock()
		defer a.mu.Unlock()
		a.updating = nil
		close(u.ended)
	})
	return u
}

// waitVerified waits until the entries of u are verified, but not long. nil has none.
func (u *update) waitVerified(ctx context.Context) {
	if u == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case <-u.verified:
	case <-ctx.Done():
	}
}

// wait waits until the entries of u are durable. nil has none.
func (u *update) wait(ctx context.Context) error {
	if u == nil {
		return nil
	}
	select {
	case <-u.ended:
		return u.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// catchUp updates the copy, if the copy is smaller than size.
func (a *Auditor) catchUp(ctx context.Context, size uint64) error {
	if a.copied() >= size {
		return nil
	}
	if !a.decided.Load() {
		return errNoPolicy
	}
	if _, err := a.stored.Update(ctx); err != nil {
		return fmt.Errorf("the copy of the log: %w", err)
	}
	return nil
}

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
	late := log.copying.wait(within)
	// The update may have begun before the log published the head, or before an entry was applied
	// whose policy lets the copy take the head.
	late = cmp.Or(late, a.join(log.note.Size).wait(within))
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
