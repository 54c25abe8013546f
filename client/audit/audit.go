// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// Config says what to audit, under whose policy, and with how much effort.
type Config struct {
	// Client of the log, with the policy below.
	Client *client.Client
	// Policy is the client's. It must not be nil.
	Policy *tlog.Policy
	// Origin is the client's. "": the name of the log's key.
	Origin string

	// Snapshot to go on from. nil: from the first entry.
	Snapshot []byte
	// Save, if not nil, is called with a snapshot from time to time and at the
	// end, also if the audit ends early. Its error ends the audit.
	Save func(snapshot []byte) error
	// SaveEvery is how many entries lie between two snapshots. 0: 262,144.
	SaveEvery uint64

	// Progress, if not nil, is called after each bundle with how many entries
	// of the head's are done. It must be quick.
	Progress func(done, size uint64)
	// Workers is how many goroutines verify signatures. 0: GOMAXPROCS.
	Workers int
	// ReadAhead is how many bundles are fetched at a time. 0: 8.
	ReadAhead int
	// Observer, if not nil, is shown what is read.
	Observer Observer
}

// auditor is one run. What is not said to be the workers' belongs to Run's
// goroutine.
type auditor struct {
	c        Config
	policy   [32]byte // digest of the policy
	follower *client.Follower
	head     *tlog.Verified // nil: none was accepted
	l        *ledger.Ledger // nil: before the head
	tree     *tree          // what l asks
	totals   *totals        // of the entries below l.Size
	resumed  uint64         // size of the snapshot
	saved    uint64         // size of the last one that was written; resumed at first
	keys     keyTable       // shared with the workers
	done     bool           // every entry of the head was replayed
}

// Run audits the log up to its present head. The report is never nil; what kept
// it from a verdict is among its reasons.
func Run(ctx context.Context, c Config) *Report {
	if c.Workers <= 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	if c.SaveEvery == 0 {
		c.SaveEvery = 1 << 18
	}
	a := &auditor{c: c, totals: new(totals)}
	if c.Client == nil || c.Policy == nil {
		return a.report(client.ErrNoPolicy)
	}
	if err := a.start(ctx); err != nil {
		return a.report(err)
	}
	var err error
	if c.Observer != nil {
		err = c.Observer.Start(a.l, a.head)
	}
	if err == nil {
		err = a.replay(ctx)
	}
	if err == nil {
		err = a.finish()
	}
	var unsaved *saveError
	if errors.As(err, &unsaved) {
		return a.report(err)
	}
	// What was replayed holds whatever came after it.
	return a.report(err, a.save())
}

// start accepts the head, and makes the ledger: a new one, or that of the
// snapshot.
func (a *auditor) start(ctx context.Context) error {
	a.policy = sha256.Sum256(a.c.Policy.Bytes())
	o := client.FollowOptions{UntilHead: true, ReadAhead: a.c.ReadAhead}
	var snap *snapshot
	if a.c.Snapshot != nil {
		var err error
		if snap, err = parseSnapshot(a.c.Snapshot); err != nil {
			return err
		}
		if snap.Policy != digestText(a.policy) {
			return &SnapshotError{"it was made under another policy; use that one, or replay the log without it"}
		}
		o.From = snap.state()
	}
	var err error
	if a.follower, err = a.c.Client.Follower(o); err != nil {
		return foreign(err)
	}
	if a.head, err = a.follower.Update(ctx); err != nil {
		a.head = nil
		return foreign(err)
	}
	cp := a.head.Checkpoint
	a.tree, err = newTree(ctx, a.c.Client, a.head, o.From)
	if err != nil {
		return err
	}
	if snap == nil {
		a.l = ledger.New(cp.Origin, a.tree)
		return nil
	}
	if snap.Origin != cp.Origin {
		return &SnapshotError{fmt.Sprintf("it is of the log %q, and this is %q", snap.Origin, cp.Origin)}
	}
	// The follower has found the snapshot's root in the head's tree.
	l, err := ledger.Restore(snap.ledger, o.From.Size, o.From.Root, a.tree)
	if err != nil {
		return &SnapshotError{err.Error()}
	}
	if l.Origin() != snap.Origin {
		return &SnapshotError{fmt.Sprintf("its ledger is of the log %q", l.Origin())}
	}
	a.l, a.totals, a.resumed, a.saved = l, snap.Totals, l.Size(), l.Size()
	a.keys.load(l)
	return nil
}

// foreign makes a state that does not fit the log an error of the snapshot.
func foreign(err error) error {
	var state *client.StateError
	if errors.As(err, &state) {
		return &SnapshotError{"it does not fit this log: " + state.Reason}
	}
	return err
}

// finish compares the tree that was replayed with the one that was signed.
func (a *auditor) finish() error {
	cp := a.head.Checkpoint
	if a.l.Size() != cp.Size || a.l.Root() != cp.Root {
		// Every bundle was accepted, so this can't be the log's doing.
		return fmt.Errorf("the replayed tree has size %d and root %x, and the head has size %d and root %x",
			a.l.Size(), a.l.Root(), cp.Size, cp.Root)
	}
	a.done = true
	return nil
}

func (a *auditor) save() error {
	if a.c.Save == nil || a.l.Size() == 0 {
		return nil
	}
	s := &snapshot{
		Origin: a.l.Origin(), Policy: digestText(a.policy), Checkpoint: string(a.head.Checkpoint.Bytes()),
		Size: a.l.Size(), Root: hashText(a.l.Root()), Totals: a.totals, ledger: a.l.Snapshot(),
	}
	b, err := s.bytes()
	if err == nil {
		err = a.c.Save(b)
	}
	if err != nil {
		return &saveError{err}
	}
	a.saved = s.Size
	return nil
}

// saveError says that the snapshot could not be kept.
type saveError struct{ err error }

func (e *saveError) Error() string { return "keeping the snapshot: " + e.err.Error() }
func (e *saveError) Unwrap() error { return e.err }
