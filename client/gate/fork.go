// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/tlog"
)

func survivor(h *tlog.Head) string { return fmt.Sprintf("%d:%x", h.Size, h.Root) }

// contains returns nil if a head is one of the followed log, and errBehind if it is larger
// than the ledger.
func (f *follower) contains(ctx context.Context, cp *tlog.Checkpoint) error {
	if cp.Size > f.ledger.Size() {
		return errBehind
	}
	root, err := f.replica.Tree().Root(ctx, cp.Size)
	if err != nil {
		return err
	}
	if root == cp.Root {
		return nil
	}
	_, err = f.replica.Tree().Offer(ctx, cp.Bytes())
	if _, back := errors.AsType[*client.RollbackError](err); err == nil || back {
		return fmt.Errorf("the checkpoint has the root %x at size %d, and the log has %x", cp.Root, cp.Size, root)
	}
	return f.fork(err)
}

// fork judges a [client.ForkError]; it returns any other error as it is. Two heads stop the
// gate if each of them meets the witness policy that this gate's tree has at the smaller
// size: then witnesses are wrong, too, and a person must say which head stands. Any other
// contradiction may be the work of one key, perhaps a retired one. It is kept as evidence,
// raises an alarm, and stops nothing.
func (f *follower) fork(err error) error {
	fork, ok := errors.AsType[*client.ForkError](err)
	if !ok {
		return err
	}
	// The tree's own head may lack the cosignatures with which it counted.
	for _, known := range []*tlog.Checkpoint{f.recorded, checkpointOf(f.head)} {
		for _, cp := range []**tlog.Checkpoint{&fork.Small, &fork.Large} {
			if known != nil && survivor(&known.Head) == survivor(&(*cp).Head) {
				*cp = known
			}
		}
	}
	fork.Own = tlog.OwnSmall
	if t := f.replica.Tree().Largest(); t != nil && survivor(&t.Head) == survivor(&fork.Large.Head) {
		fork.Own = tlog.OwnLarge
	}
	name, failure := forkFile, fmt.Errorf("%w: %w; confirm the one that stands: %s or %s", ErrForked, fork, survivor(&fork.Small.Head), survivor(&fork.Large.Head))
	if !f.witnessed(fork) {
		name, failure = contradictionFile, fmt.Errorf("%w: %w", errContradiction, fork)
		f.contradictions++
	}
	if err := f.keep(name, fork); err != nil {
		failure = fmt.Errorf("%w (the evidence could not be kept: %w)", failure, err)
	}
	if name == forkFile {
		return f.stop(failure)
	}
	if f.alarm == "" || f.contradictions == 1 {
		f.cfg.Logger.Error("the log contradicts itself; the evidence is in the state directory, and the gate goes on", "err", fork)
	}
	f.alarm = failure.Error()
	return failure
}

// witnessed reports whether both heads meet the witness policy at the smaller size, and the
// operator has not settled a fork up to there.
func (f *follower) witnessed(fork *client.ForkError) bool {
	in := f.ledger.CharterAt(fork.Small.Size)
	if in == nil || fork.Small.Size <= f.settled {
		return false
	}
	_, small := in.Witnesses.Verify(fork.Small, f.cfg.Origin)
	_, large := in.Witnesses.Verify(fork.Large, f.cfg.Origin)
	return small == nil && large == nil
}

// errContradiction: some key of the log has signed a head that is not of the followed tree.
var errContradiction = errors.New("the log contradicts itself")

func checkpointOf(v *tlog.Verified) *tlog.Checkpoint {
	if v == nil {
		return nil
	}
	return v.Checkpoint
}

// keep writes a file of evidence, unless that file exists.
func (f *follower) keep(name string, fork *tlog.Fork) error {
	err := durable.CreateFile(filepath.Join(f.cfg.Dir, name), fork.Bytes(), 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// loadForks reads what is known of forks and contradictions.
func (f *follower) loadForks() error {
	_, err := os.Stat(filepath.Join(f.cfg.Dir, forkFile))
	if err == nil {
		f.stopped = ErrForked
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := os.Stat(filepath.Join(f.cfg.Dir, contradictionFile)); err == nil {
		f.alarm = fmt.Sprintf("%v; the evidence is in the state directory", errContradiction)
	}
	if c, err := evidence(f.cfg.Dir, settledFile); err == nil {
		f.settled = c.OwnHead().Size
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return f.survive()
}

// evidence reads a file of evidence.
func evidence(dir, name string) (*tlog.Fork, error) {
	name = filepath.Join(dir, name)
	b, err := durable.ReadFile(name, tlog.MaxForkSize)
	if err != nil {
		return nil, err
	}
	fork, err := tlog.ParseFork(b)
	if err == nil && fork.OwnHead() == nil {
		err = errors.New("it does not name the gate's own head")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return fork, nil
}

// survive lets a gate that a fork has stopped go on if its operator has confirmed its own
// head. Contradictions up to that size are then settled.
func (f *follower) survive() error {
	if !errors.Is(f.stopped, ErrForked) {
		return nil
	}
	confirmed, err := f.confirmed(survivorFile)
	if err != nil || confirmed == "" {
		return err
	}
	c, err := evidence(f.cfg.Dir, forkFile)
	if err != nil {
		return err
	}
	if own := survivor(&c.OwnHead().Head); own != confirmed {
		f.stopped = fmt.Errorf("%w: the confirmed head is %s, and this gate's is %s; if the other head stands, found the gate again, with a new key", ErrForked, confirmed, own)
		return nil
	}
	if err := durable.WriteFile(filepath.Join(f.cfg.Dir, settledFile), c.Bytes(), 0o600); err != nil {
		return err
	}
	if err := errors.Join(os.Remove(filepath.Join(f.cfg.Dir, forkFile)), durable.FsyncDir(f.cfg.Dir)); err != nil {
		return err
	}
	f.settled, f.stopped = c.OwnHead().Size, nil
	f.cfg.Logger.Warn("the operator has confirmed this gate's head; the gate goes on", "head", confirmed)
	return err
}
