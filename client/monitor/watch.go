// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/client/monitor/facts"
	"github.com/vasistas/vasistas/client/monitor/mirror"
	"github.com/vasistas/vasistas/client/replica"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// watch replays the copy of one log, from its first entry on after each start, and keeps the facts.
type watch struct {
	origin string
	copy   *mirror.Mirror
	log    client.Config // of the log; URL "": its auditors' answers are not read
	poll   time.Duration
	keep   func(*client.ForkError) // keeps evidence of a fork
	forked func() bool             // there is such evidence
	tell   func(*facts.Fact) error

	founded  tlog.Hash // leaf hash of the first charter; zero: any
	unpinned func() bool

	policy  *tlog.Policy // of the copy, for which both clients were made
	ask     *client.Client
	replica *replica.Replica
	facts   *facts.Facts
	head    *tlog.Checkpoint // the last one that was replayed

	asked atomic.Pointer[question] // of the log's auditor; nil: none

	untold error         // why tell failed: the log is told from the first entry on, after pause
	since  time.Time     // of untold
	pause  time.Duration // grows while tell fails

	applied atomic.Uint64
	failing atomic.Pointer[string]       // why the copy is not read
	report  atomic.Pointer[facts.Report] // nil: none yet
}

func (m *Monitor) watch(origin string, from *mirror.Mirror, log client.Config, poll time.Duration, keep func(*client.ForkError), forked func() bool) {
	w := &watch{origin: origin, copy: from, log: log, poll: cmp.Or(poll, time.Second), keep: keep, forked: forked,
		founded: m.c.Founded[origin], unpinned: func() bool { return m.c.Unpinned(origin) }}
	w.log.Origin, w.log.Retries = origin, -1
	if m.c.Tell != nil {
		w.tell = func(f *facts.Fact) error {
			if w.untold == nil {
				if w.untold = m.c.Tell(origin, f); w.untold != nil {
					w.since, w.pause = time.Now(), min(max(w.poll, 2*w.pause), time.Minute)
				} else if f.Head != nil {
					w.pause = 0
				}
			}
			return nil
		}
	}
	m.watches[origin] = w
}

func (w *watch) run(ctx context.Context) {
	tick := time.NewTicker(w.poll)
	defer tick.Stop()
	for {
		why := ""
		err := w.look(ctx)
		if err != nil {
			why = "reading the copy: " + err.Error()
		}
		w.failing.Store(&why)
		if cp := w.copy.Head(); err != nil || w.head != nil && cp != nil && w.head.Size >= cp.Size {
			w.answer(math.MaxUint64)
		}
		select {
		case <-ctx.Done():
			return
		case <-w.copy.Moved():
			tick.Reset(w.poll)
		case <-tick.C:
		}
	}
}

// look replays what the copy has, and then asks the log for its auditors' answers.
func (w *watch) look(ctx context.Context) error {
	cp := w.copy.Head()
	if next := w.copy.Coming(); next != nil && (cp == nil || next.Size > cp.Size) {
		cp = next
	}
	if cp == nil {
		return nil
	}
	if w.untold != nil && time.Since(w.since) >= w.pause {
		w.policy, w.replica, w.head, w.untold = nil, nil, nil, nil
		w.applied.Store(0)
	}
	if err := w.dial(); err != nil {
		return err
	}
	if cp.Size < w.replica.Ledger().Size() {
		return fmt.Errorf("the copy has %d entries, but %d are applied", cp.Size, w.replica.Ledger().Size())
	}
	if w.head == nil || string(w.head.Bytes()) != string(cp.Bytes()) {
		if err := w.replay(ctx, cp); err != nil {
			return err
		}
		w.head = cp
		w.report.Store(w.facts.Report())
	} else if err := w.facts.Again(); err != nil {
		return err
	}
	if w.log.URL == "" {
		return w.untold
	}
	asked, err := audit.AskAuditors(ctx, w.ask, w.replica)
	if fork, ok := errors.AsType[*client.ForkError](err); ok { // the audited head contradicts the copy
		w.keep(fork)
	}
	if ctx.Err() == nil {
		r := *w.report.Load()
		w.facts.Asked(asked)
		w.facts.Answers(&r)
		w.report.Store(&r)
	}
	return w.untold
}

// replay applies the entries up to cp, a head that the copy has or is being updated to. It tells the facts of
// the head once the copy is durable, since others may keep what they are told.
func (w *watch) replay(ctx context.Context, cp *tlog.Checkpoint) error {
	if _, err := w.replica.Offer(ctx, cp.Bytes()); err != nil {
		fork, forked := errors.AsType[*client.ForkError](err)
		if _, retired := errors.AsType[*client.StateError](err); forked && !retired {
			w.keep(fork) // the copy lacks the replica's head if an update failed
		}
		return err
	}
	o := w.facts.Observer()
	o.Before = func(e *ledger.Entry, _ any) error {
		if e.Index == 0 && e.Leaf != w.founded && w.founded != (tlog.Hash{}) {
			return fmt.Errorf("the log's first charter has the leaf hash %s, and this log was joined by that of %s", e.Leaf, w.founded)
		}
		return nil
	}
	o.Applied = func() error {
		w.applied.Store(w.replica.Ledger().Size())
		w.answer(tlog.TileWidth)
		return nil
	}
	err := w.replica.Replay(ctx, o)
	if err == nil {
		err = w.copy.Reaches(ctx, cp.Size)
	}
	if err == nil {
		err = w.facts.Head(cp)
	}
	return err
}

// question asks for the state of the replay at a size above from and at most to.
type question struct {
	from, to uint64
	answer   chan *replica.Replayed
}

// stalled is how long an auditor waits for a replay that applies nothing.
const stalled = 5 * time.Second

// replayed is [auditor.Config].Replayed. The auditor does not wait for a replay that is behind it, or
// that stands still.
func (w *watch) replayed(ctx context.Context, from, to uint64) *replica.Replayed {
	q := &question{from, to, make(chan *replica.Replayed, 1)}
	if w.applied.Load() < from {
		return nil
	}
	w.asked.Store(q)
	defer w.asked.CompareAndSwap(q, nil)
	tick := time.NewTicker(stalled)
	defer tick.Stop()
	for last := w.applied.Load(); ; {
		select {
		case r := <-q.answer:
			return r
		case <-ctx.Done():
			return nil
		case <-tick.C:
			now := w.applied.Load()
			if now == last {
				return nil
			}
			last = now
		}
	}
}

// answer answers the auditor's question, unless the replay can apply more entries within its bounds.
func (w *watch) answer(more uint64) {
	q := w.asked.Load()
	if q == nil || w.replica == nil {
		return
	}
	l := w.replica.Ledger()
	if size := l.Size(); size <= q.to && more <= q.to-size {
		return
	}
	var r *replica.Replayed
	if size := l.Size(); q.from < size && size <= q.to {
		r = &replica.Replayed{Snapshot: l.Snapshot(), Size: size, Root: l.Root()}
	}
	q.answer <- r
	w.asked.CompareAndSwap(q, nil)
}

// dial makes the clients that read the copy and the log. The mirror has checked that heads meet
// its policy, so only the log's signature is checked here.
func (w *watch) dial() error {
	policy := w.copy.Policy()
	if policy == w.policy {
		return nil
	}
	var keys replica.Keys
	for _, l := range policy.Logs {
		keys = append(keys, l.Key)
	}
	signed, err := keys.Policy()
	if err != nil {
		return err
	}
	if w.log.Policy = signed; w.log.URL != "" {
		if w.ask, err = client.New(w.log); err != nil {
			return err
		}
	}
	read, err := client.New(client.Config{Source: w.copy.Ahead(), Policy: signed, Origin: w.origin})
	if err != nil {
		return err
	}
	if w.replica != nil {
		w.replica.Use(read)
	} else if w.replica, err = replica.New(replica.Config{Client: read, Origin: w.origin, Use: "monitor"}); err == nil {
		before := w.facts
		w.facts = facts.New(w.replica.Ledger(), w.tell)
		if before != nil {
			w.facts.Carry(before)
		} else if w.log.URL != "" { // silence is not fine before the first answer either
			w.facts.Asked(&audit.Auditors{Unknown: []string{"the log was not asked for its auditors' answers yet"}})
		}
	}
	if err == nil {
		w.policy = policy
	}
	return err
}

// Report returns the facts, with what is known of the copy.
func (w *watch) Report() *facts.Report {
	var r facts.Report
	if known := w.report.Load(); known != nil {
		r = *known
	}
	if r.Head == nil {
		r.Applied = w.applied.Load()
	}
	if head := w.copy.Head(); head != nil {
		r.Copied = head.Size
	}
	if err := w.copy.Failing(); err != nil {
		r.Failing = "copying the log: " + err.Error()
		_, r.Back = errors.AsType[*client.RollbackError](err)
	} else if why := w.failing.Load(); why != nil {
		r.Failing = *why
	}
	r.Forked, r.Unpinned = w.forked(), w.unpinned()
	return &r
}
