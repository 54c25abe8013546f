// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"cmp"
	"context"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/replica"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// Config says what to audit, and under whose policy.
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

	// Observe, if not nil, is called once, before the first entry that the snapshot
	// lacks, with the ledger and the head that the audit goes up to. The observer that
	// it returns is shown what the audit reads.
	Observe func(*ledger.Ledger, *tlog.Verified) (replica.Observer, error)
	// Use names what the snapshot is for, see [replica.Config]. "": audit.
	Use string
	// Own is the observer's part of the snapshot, see [replica.Config]. nil: none.
	Own any
}

// auditor is one run.
type auditor struct {
	c        Config
	replica  *replica.Replica
	head     *tlog.Verified // nil: none was accepted
	l        *ledger.Ledger // nil: before the head
	own      own
	observer replica.Observer // the caller's
	resumed  uint64           // size of the snapshot
	saved    uint64           // size of the last one that was written; resumed at first
	done     bool             // every entry of the head was replayed
}

// own is the audit's part of a snapshot.
type own struct {
	Totals   *totals `json:"totals"` // of the entries below the ledger's size
	Observer any     `json:"observer,omitempty"`
}

// Run audits the log up to its present head. The report is never nil; what kept
// it from a verdict is among its reasons.
func Run(ctx context.Context, c Config) *Report {
	c.SaveEvery = cmp.Or(c.SaveEvery, 1<<18)
	c.Use = cmp.Or(c.Use, "audit")
	a := &auditor{c: c, own: own{new(totals), c.Own}}
	if c.Client == nil || c.Policy == nil {
		return a.report(client.ErrNoPolicy)
	}
	if err := a.start(ctx); err != nil {
		a.own.Totals, a.resumed = new(totals), 0
		return a.report(err)
	}
	err := a.replay(ctx)
	if is[*saveError](err) {
		return a.report(err)
	}
	// What was replayed holds whatever came after it.
	return a.report(err, a.save())
}

// start restores the snapshot and accepts the head.
func (a *auditor) start(ctx context.Context) error {
	r, err := replica.New(replica.Config{Client: a.c.Client, Use: a.c.Use, Policy: a.c.Policy.Bytes(), Snapshot: a.c.Snapshot,
		Own: &a.own, Tiles: true})
	if err != nil {
		return err
	}
	if l := r.Ledger(); l != nil {
		if a.own.Totals == nil || a.own.Totals.entries() != l.Size() {
			return &replica.SnapshotError{Reason: "its counts do not add up to its size"}
		}
		a.resumed, a.saved = l.Size(), l.Size()
	}
	head, err := r.Update(ctx)
	if err != nil {
		return err
	}
	a.replica, a.head, a.l = r, head, r.Ledger()
	if a.c.Observe != nil {
		a.observer, err = a.c.Observe(a.l, a.head)
	}
	return err
}

// replay judges every entry up to the head; done is set once it has.
func (a *auditor) replay(ctx context.Context) error {
	o := a.observer
	after := o.After
	o.After = func(e *ledger.Entry, found []*ledger.Violation) error {
		a.own.Totals.add(a.l, e, found)
		if after != nil {
			return after(e, found)
		}
		return nil
	}
	o.Applied = a.applied
	err := a.replica.Replay(ctx, o)
	a.done = err == nil
	return err
}

// applied is called after each bundle.
func (a *auditor) applied() error {
	size := a.head.Checkpoint.Size
	if a.c.Progress != nil {
		a.c.Progress(a.l.Size(), size)
	}
	if a.l.Size()-a.saved >= a.c.SaveEvery && a.l.Size() < size {
		return a.save()
	}
	return nil
}

func (a *auditor) save() error {
	if a.c.Save == nil || a.l.Size() == 0 {
		return nil
	}
	b, err := a.replica.Snapshot()
	if err == nil {
		err = a.c.Save(b)
	}
	if err != nil {
		return &saveError{err}
	}
	a.saved = a.l.Size()
	return nil
}

// saveError says that the snapshot could not be kept.
type saveError struct{ err error }

func (e *saveError) Error() string { return "keeping the snapshot: " + e.err.Error() }
func (e *saveError) Unwrap() error { return e.err }
