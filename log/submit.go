// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/semaphore"

	"github.com/vasistas/vasistas/log/duty"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/internal/entries"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/vault"
)

// Wait is how far an event must be before its submitter gets the answer.
type Wait string

const (
	// Sequenced: the event has its index and is durable.
	Sequenced Wait = "sequenced"
	// Cosigned: a published checkpoint contains it.
	Cosigned Wait = "cosigned"
)

// parseQuery reads the query of a submission. Without wait it is Cosigned.
func parseQuery(query string) (Wait, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errQuery, err)
	}
	if len(values) == 0 {
		return Cosigned, nil
	}
	wait := Wait(values.Get("wait"))
	if len(values) > 1 || len(values["wait"]) > 1 || wait != Sequenced && wait != Cosigned {
		return "", errQuery
	}
	return wait, nil
}

// Result is where an event is in the log.
type Result struct {
	Index     uint64
	Leaf      tlog.Hash
	Duplicate bool        // it had been logged before
	Proof     *tlog.Proof // with the logged envelope as extra; nil for Sequenced

	checkpoint []byte // of Proof, encoded
}

// proof returns Proof as a file.
func (r *Result) proof() []byte { return r.Proof.Under(r.checkpoint) }

// A buffer holds a submission until it is checked. Nothing may keep a part of it.
type buffer struct{ b []byte }

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// free gives a buffer back to the pool, unless it is large: idle buffers are not counted as bodies.
func (b *buffer) free() {
	if cap(b.b) <= 8<<10 {
		b.b = b.b[:0]
		buffers.Put(b)
	}
}

// intake takes events from submitters: it admits them, gives them to the sequencer, and
// waits for what becomes of them. It is safe for concurrent use.
type intake struct {
	cfg       Config
	admission *admission
	ledger    *liveLedger
	sequencer *sequencer
	publisher *publisher
	status    *status
	metrics   *logMetrics
	draining  context.Context // ends with admission; set before the first request

	inFlight *semaphore.Weighted // one for each event that is submitted alone
	bytes    *semaphore.Weighted // their bytes
	bodies   *pool               // bytes that are read and not admitted yet
	streams  *pool
	lookups  *semaphore.Weighted                   // one for each search in the tree
	waiting  *semaphore.Weighted                   // one for each single event that waits for lookups
	recent   *lru.Cache[tlog.Hash, entries.Logged] // what was found last, by leaf hash
}

// submit is [Log.Submit].
func (in *intake) submit(ctx context.Context, submission []byte, wait Wait) (*Result, error) {
	if err := in.status.err(); err != nil {
		return nil, err
	}
	release, err := in.reserve(len(submission))
	if err != nil {
		return nil, err
	}
	var done <-chan sequenced
	ev, err := in.admit(submission)
	if err == nil {
		done, err = in.check(ctx, ev, in.tryLookup)
	}
	if err == nil && done == nil {
		done, err = in.sequencer.submit(ev)
	}
	if err != nil {
		release()
		return nil, err
	}
	end := time.Now().Add(in.cfg.MaxWait)
	late := time.NewTimer(in.cfg.MaxWait)
	defer late.Stop()
	select {
	case seq := <-done:
		defer release()
		in.count(ev, seq)
		return in.result(ctx, seq, wait, end)
	case <-late.C:
		err = context.DeadlineExceeded
	case <-ctx.Done():
		err = ctx.Err()
	}
	// Its place is taken until the sequencer has answered.
	go func() {
		in.count(ev, <-done)
		release()
	}()
	return nil, fmt.Errorf("%w: %w", errOutcomeUnknown, err)
}

// check answers for an event that is recorded, and returns nil for any other that may be
// sequenced. Anyone can submit a public event again, so this goroutine and not the
// sequencer looks it up.
func (in *intake) check(ctx context.Context, ev *admitted, lookup func(context.Context) error) (<-chan sequenced, error) {
	defer func() { ev.submitted = nil }() // it shares memory with the submission's bytes
	known, err := in.recorded(ctx, ev, lookup)
	if err != nil {
		return nil, err
	}
	if known == nil {
		err := in.admission.check(ev)
		if full := in.status.full(); err == nil && full != nil && !essential(ev) {
			err = full
		}
		if err != nil {
			in.metrics.events.Add(1, string(ev.kind), string(problemOf(err).Code()))
			return nil, err
		}
		return nil, nil
	}
	if err := in.restore(ctx, ev, known.Index); err != nil {
		return nil, err
	}
	done := make(chan sequenced, 1)
	done <- sequenced{Logged: *known, duplicate: true}
	return done, nil
}

// tryLookup and waitLookup take one of the few places of requests that search the tree: a
// search reads a whole bundle of entries. All wait in one queue, so that strangers who
// repeat events shut no one out; of single events, a bounded number.
func (in *intake) tryLookup(ctx context.Context) error {
	if !in.waiting.TryAcquire(1) {
		return errQueueFull
	}
	defer in.waiting.Release(1)
	return in.waitLookup(ctx)
}

func (in *intake) waitLookup(ctx context.Context) error { return in.lookups.Acquire(ctx, 1) }

// recorded is that of the sequencer, for strangers: it remembers what it found, and
// searches the tree in a place that lookup takes.
func (in *intake) recorded(ctx context.Context, ev *admitted, lookup func(context.Context) error) (*entries.Logged, error) {
	if known, ok := in.recent.Get(ev.leaf); ok {
		return &known, nil
	}
	if in.sequencer.index.May(ev.hash) {
		if err := lookup(ctx); err != nil {
			return nil, err
		}
		defer in.lookups.Release(1)
	}
	known, err := in.sequencer.recorded(ctx, ev)
	if known != nil {
		in.recent.Add(ev.leaf, *known)
	}
	return known, err
}

// essential reports whether an event may use the room that is kept for a full disk: an event
// that changes who may sign, ends or suspends a warrant, or pays a debt.
func essential(ev *admitted) bool {
	switch b := ev.env.Event.Body.(type) {
	case *event.Charter, *event.Response, *event.Disclosure:
		return true
	case *event.Revocation:
		return b.Scope != event.ScopeResumed
	}
	return false
}

// restore puts openings or notices of a logged event back into a vault that has lost
// them, if they come with the event when it is submitted again.
func (in *intake) restore(ctx context.Context, ev *admitted, index uint64) error {
	if len(ev.submitted.Openings)+len(ev.submitted.Notices) == 0 || !in.ledger.owes(index) || in.cfg.Vault.Has(ev.hash) {
		return nil
	}
	record, err := vault.Prepare(ev.submitted)
	if err != nil {
		return err
	}
	if err := in.cfg.Vault.PutBatch(ctx, []*vault.Record{record}); err != nil {
		return fmt.Errorf("%w: %w", errNotLogged, err)
	}
	in.cfg.Logger.Info("the vault has again what it had lost", "entry", index)
	in.ledger.Query(func(_ *ledger.Ledger, a *duty.Agenda) { in.metrics.Lost(a.Restored(ev.hash, index)) })
	return nil
}

// reserve takes a place among the events in flight, or fails at once.
func (in *intake) reserve(n int) (release func(), err error) {
	if !in.inFlight.TryAcquire(1) {
		return nil, errQueueFull
	}
	if !in.bytes.TryAcquire(int64(n)) {
		in.inFlight.Release(1)
		return nil, errQueueFull
	}
	return func() {
		in.bytes.Release(int64(n))
		in.inFlight.Release(1)
	}, nil
}

// admit reads an event, and counts a refusal.
func (in *intake) admit(submission []byte) (*admitted, error) {
	ev, err := in.admission.read(submission)
	if err != nil {
		err = faulty{err}
		in.metrics.events.Add(1, "unknown", string(problemOf(err).Code()))
		return nil, err
	}
	return ev, nil
}

func (in *intake) count(ev *admitted, seq sequenced) {
	outcome := "admitted"
	switch {
	case seq.err != nil:
		outcome = string(problemOf(seq.err).Code())
	case seq.duplicate:
		outcome = "duplicate"
	}
	in.metrics.events.Add(1, string(ev.kind), outcome)
}

// result waits, until end at most, until an event is as far as its submitter wants, after the
// sequencer has answered.
func (in *intake) result(ctx context.Context, seq sequenced, wait Wait, end time.Time) (*Result, error) {
	if seq.err != nil {
		return nil, seq.err
	}
	r := &Result{Index: seq.Index, Leaf: seq.Leaf, Duplicate: seq.duplicate}
	if wait == Sequenced {
		return r, in.status.held()
	}
	pub, err := in.awaitPublication(ctx, seq.Index, end)
	if err != nil {
		return nil, err
	}
	// Not under ctx, which may be about to end: this takes no time.
	hashes, err := in.publisher.prover.Inclusion(context.WithoutCancel(ctx), seq.Index, seq.Leaf, pub.checkpoint.Size, pub.checkpoint.Root)
	if err != nil {
		in.cfg.Logger.Error("an entry can't be proven", "index", seq.Index, "err", err)
		return nil, &noProof{seq.Index, err}
	}
	r.Proof = &tlog.Proof{Extra: seq.Entry, Index: seq.Index, Hashes: hashes, Checkpoint: pub.checkpoint}
	r.checkpoint = pub.bytes
	return r, in.status.held()
}

// awaitPublication waits for a published checkpoint that contains the entry.
func (in *intake) awaitPublication(ctx context.Context, index uint64, end time.Time) (*publication, error) {
	pub, changed := in.publisher.current()
	if pub.size() > index {
		return pub, nil
	}
	late := time.NewTimer(time.Until(end))
	defer late.Stop()
	for pub.size() <= index {
		select {
		case <-changed:
			pub, changed = in.publisher.current()
		case <-in.status.over:
			return nil, &noProof{index: index}
		case <-late.C:
			return nil, &noProof{index: index}
		case <-ctx.Done():
			return nil, &noProof{index: index}
		}
	}
	return pub, nil
}

// ownEvents is the log as its keeper uses it.
type ownEvents struct {
	*liveLedger
	sequencer *sequencer
}

var (
	_ duty.Log     = ownEvents{}
	_ duty.Feed    = (*publisher)(nil)
	_ duty.Metrics = (*logMetrics)(nil)
)

// Submit implements [duty.Log].
func (o ownEvents) Submit(env *event.Envelope) (wait func() error, err error) {
	ev := newAdmitted(env, env.Bytes())
	ev.signatures = []ledger.SigState{ledger.Good}
	done, err := o.sequencer.submit(ev)
	if err != nil {
		return nil, ownError(err)
	}
	return func() error { return ownError((<-done).err) }, nil
}

func ownError(err error) error {
	var rule *RuleError
	switch {
	case errors.As(err, &rule) && rule.Rule == "opening" && rule.Code == "opened":
		return duty.ErrOpened
	case errors.Is(err, ErrClosing):
		return context.Canceled
	}
	return err
}
