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

// Config names a log and the policy of its audit.
type Config struct {
	// Client of the log, with the policy below.
	Client *client.Client
	// Policy is the client's. It must not be nil.
	Policy *tlog.Policy
	// Origin is the client's. "": the name of the log's key.
	Origin string

	// Snapshot to resume from. nil: start at the first entry.
	Snapshot []byte
	// Save, if not nil, is called with a snapshot now and then and at the end, even if
	// the audit ends early. Its error ends the audit.
	Save func(snapshot []byte) error
	// SaveEvery is the number of entries between two snapshots. 0: 262,144.
	SaveEvery uint64

	// Progress, if not nil, is called after each bundle with the number of entries
	// replayed and the size of the head. It must be quick.
	Progress func(done, size uint64)

	// Observe, if not nil, is called once before the replay, with the ledger and the
	// head. The replay calls the observer that it returns.
	Observe func(*ledger.Ledger, *tlog.Verified) (replica.Observer, error)
	// Use is the purpose of the snapshot, see [replica.Config]. "": audit.
	Use string
	// Own is the observer's part of the snapshot, see [replica.Config]. nil: none.
	Own any
}

type auditor struct {
	c        Config
	replica  *replica.Replica
	head     *tlog.Verified // nil: none was accepted
	l        *ledger.Ledger // nil: before the head
	own      own
	observer replica.Observer // the caller's
	resumed  uint64           // size of the snapshot
	saved    uint64           // size of the last snapshot saved; at first resumed
	done     bool             // every entry of the head was replayed
}

// own is the audit's part of a snapshot.
type own struct {
	Totals   *totals `json:"totals"` // of the entries below the ledger's size
	Observer any     `json:"observer,omitempty"`
}

// Run audits the log up to its present head. The report is never nil. Its reasons say why
// a verdict is undecided.
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
	// After an error the snapshot has the entries replayed before it.
	return a.report(err, a.save())
}

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

// replay replays every entry up to the head, and then sets done.
func (a *auditor) replay(ctx context.Context) error {
	o := a.observer
	after := o.After
	o.After = func(e *ledger.Entry, violations []*ledger.Violation) error {
		a.own.Totals.add(a.l, e, violations)
		if after != nil {
			return after(e, violations)
		}
		return nil
	}
	o.Applied = a.applied
	err := a.replica.Replay(ctx, o)
	a.done = err == nil
	return err
}

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

type saveError struct{ err error }

func (e *saveError) Error() string { return "saving the snapshot: " + e.err.Error() }
func (e *saveError) Unwrap() error { return e.err }
