// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"context"
	"fmt"
	"net/url"

	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/vault"
)

// Wait says how far an event must be when its submitter is answered.
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
	wait := []string{string(Cosigned)}
	for name, v := range values {
		if name != "wait" || len(v) != 1 {
			return "", errQuery
		}
		wait = v
	}
	switch w := Wait(wait[0]); w {
	case Sequenced, Cosigned:
		return w, nil
	}
	return "", errQuery
}

// Result is where an event is in the log.
type Result struct {
	Index     uint64
	Leaf      tlog.Hash
	Duplicate bool        // it had been logged before
	Proof     *tlog.Proof // with the logged envelope as extra; nil for Sequenced
}

// Submit admits one event, given in the encoding of [event.Submission], and waits.
// For the errors, see problemOf.
func (l *Log) Submit(ctx context.Context, submission []byte, wait Wait) (*Result, error) {
	if err := l.status.err(); err != nil {
		return nil, err
	}
	release, err := l.reserve(len(submission))
	if err != nil {
		return nil, err
	}
	var done <-chan sequenced
	ev, err := l.admit(submission)
	if err == nil {
		done, err = l.judge(ctx, ev)
	}
	if err == nil && done == nil {
		done, err = l.sequencer.submit(ev)
	}
	if err != nil {
		release()
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, l.cfg.MaxWait)
	defer cancel()
	select {
	case seq := <-done:
		defer release()
		l.count(ev, seq)
		return l.result(ctx, seq, wait)
	case <-ctx.Done():
		// Its place is taken until the sequencer has answered.
		go func() {
			l.count(ev, <-done)
			release()
		}()
		return nil, fmt.Errorf("%w: %w", errOutcomeUnknown, ctx.Err())
	}
}

// judge answers for an event that is logged, and returns nil for any other that
// the sequencer may have. Anyone can submit again what is public, so looking it up
// is not for the one goroutine of the sequencer.
func (l *Log) judge(ctx context.Context, ev *admitted) (<-chan sequenced, error) {
	found, err := l.index.find(ctx, ev.hash)
	if err != nil {
		return nil, err
	}
	if found == nil {
		if err := l.admission.judge(ev); err != nil {
			l.metrics.event(string(ev.kind), string(problemOf(err).Code()))
			return nil, err
		}
		return nil, nil
	}
	if err := l.restore(ctx, ev, found.index); err != nil {
		return nil, err
	}
	done := make(chan sequenced, 1)
	done <- sequenced{logged: *found, duplicate: true}
	return done, nil
}

// restore gives the vault what it has lost of a logged event, if it comes with the
// event when that is submitted again.
func (l *Log) restore(ctx context.Context, ev *admitted, index uint64) error {
	if len(ev.beside.Openings)+len(ev.beside.Notices) == 0 || !l.book.owes(index) || l.cfg.Vault.Has(ev.hash) {
		return nil
	}
	record, err := vault.Prepare(ev.beside)
	if err != nil {
		return err
	}
	if err := l.cfg.Vault.PutBatch(ctx, []*vault.Record{record}); err != nil {
		return fmt.Errorf("%w: %w", errNotLogged, err)
	}
	l.cfg.Logger.Info("the vault has again what it had lost", "entry", index)
	l.book.found(ev.hash, index)
	return nil
}

// reserve takes a place among the events in flight, or fails at once.
func (l *Log) reserve(n int) (release func(), err error) {
	if !l.inFlight.TryAcquire(1) {
		return nil, errQueueFull
	}
	if !l.bytes.TryAcquire(int64(n)) {
		l.inFlight.Release(1)
		return nil, errQueueFull
	}
	return func() {
		l.bytes.Release(int64(n))
		l.inFlight.Release(1)
	}, nil
}

// admit judges what an event says by itself, and counts a refusal.
func (l *Log) admit(submission []byte) (*admitted, error) {
	ev, err := l.admission.read(submission)
	if err != nil {
		l.metrics.event("unknown", string(problemOf(err).Code()))
		return nil, err
	}
	return ev, nil
}

// count counts what became of an admitted event.
func (l *Log) count(ev *admitted, seq sequenced) {
	outcome := "admitted"
	switch {
	case seq.err != nil:
		outcome = string(problemOf(seq.err).Code())
	case seq.duplicate:
		outcome = "duplicate"
	}
	l.metrics.event(string(ev.kind), outcome)
}

// result is the answer for an event that the sequencer has answered for.
func (l *Log) result(ctx context.Context, seq sequenced, wait Wait) (*Result, error) {
	if seq.err != nil {
		return nil, seq.err
	}
	r := &Result{Index: seq.index, Leaf: seq.leaf, Duplicate: seq.duplicate}
	if wait == Sequenced {
		return r, l.status.held()
	}
	pub, err := l.awaitPublication(ctx, seq.index)
	if err != nil {
		return nil, err
	}
	// Not by ctx, which may be about to end: this takes no time.
	hashes, err := l.publisher.prover.Inclusion(context.WithoutCancel(ctx), seq.index, seq.leaf, pub.checkpoint.Size, pub.checkpoint.Root)
	if err != nil {
		l.cfg.Logger.Error("an entry can't be proven", "index", seq.index, "err", err)
		return nil, &noProof{seq.index, err}
	}
	r.Proof = &tlog.Proof{Extra: seq.entry, Index: seq.index, Hashes: hashes, Checkpoint: pub.checkpoint}
	return r, l.status.held()
}

// isPublished returns whether a published checkpoint contains the entry.
func (l *Log) isPublished(index uint64) bool {
	pub := l.publisher.published.Load()
	return pub != nil && pub.checkpoint.Size > index
}

// awaitPublication waits for a published checkpoint that contains the entry.
func (l *Log) awaitPublication(ctx context.Context, index uint64) (*publication, error) {
	for {
		pub, changed := l.publisher.current()
		if pub != nil && pub.checkpoint.Size > index {
			return pub, nil
		}
		select {
		case <-changed:
		case <-l.status.over:
			return nil, &noProof{index: index}
		case <-ctx.Done():
			return nil, &noProof{index: index}
		}
	}
}
