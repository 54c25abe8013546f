// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/duty"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/internal/chain"
	"github.com/vasistas/vasistas/log/internal/entries"
	"github.com/vasistas/vasistas/log/vault"
)

// submission is an admitted event on its way into the tree.
type submission struct {
	*admitted
	done chan sequenced // has room for the answer, which always comes
}

// sequenced is the answer to a submission.
type sequenced struct {
	entries.Logged
	duplicate bool // the event was logged before
	err       error
}

// errOutcomeUnknown: the engine failed, and the event may or may not be in the
// tree.
var errOutcomeUnknown = errors.New("the event may or may not have been logged; submit it again, which logs it once only")

// errNotLogged: the engine or the vault failed.
var errNotLogged = errors.New("the event was not logged")

// sequencer is the one writer of the engine. It gives admitted events their
// order, drops those that are logged already, refuses those that would break a rule
// as the next entry, gives the vault what it is to keep, and answers once an event
// is durable and the tree was checked.
//
// While it is in doubt about the tree it admits nothing, and reads the tree again until
// the doubt is gone.
type sequencer struct {
	tree     *chain.Tree
	reserve  Reserve // nil: the engine has none
	ledger   *liveLedger
	vault    *vault.Vault
	index    *entries.Index
	maxBatch int
	idle     time.Duration // between two checks of a tree without new events
	status   *status
	metrics  *logMetrics
	logger   *slog.Logger
	wake     func() // called when the tree has grown

	queue chan *submission

	// Owned by run.
	doubt    bool
	stale    bool          // the ledger is ahead of the tree, or behind it
	busy     int           // events that were in flight after the last write
	patience time.Duration // how long to wait for as many again
	probed   time.Time     // when room looked

	mu     sync.RWMutex // held for writing while queue is closed
	closed bool
}

// maxPatience bounds how long an event waits for others to share its write.
const maxPatience = 20 * time.Millisecond

// doubtPause is how long the sequencer waits before it looks again at a tree
// that it can't write to.
const doubtPause = 500 * time.Millisecond

func newSequencer(cfg Config, t *chain.Tree, ll *liveLedger, index *entries.Index, st *status, m *logMetrics, wake func()) *sequencer {
	reserve, _ := cfg.Engine.(Reserve)
	return &sequencer{
		reserve: reserve, tree: t, ledger: ll, vault: cfg.Vault, index: index, maxBatch: cfg.MaxBatch, idle: cfg.Refresh, status: st, metrics: m, logger: cfg.Logger, wake: wake,
		queue: make(chan *submission, int(cfg.MaxInFlight)+cfg.MaxStreams*streamWindow+duty.Window),
	}
}

// submit queues an admitted event. The queue has room for all that submitters may have in
// flight. The keeper can submit more than its part of the queue, since one deposit may
// need several disclosures; then submit waits for the sequencer.
func (s *sequencer) submit(ev *admitted) (<-chan sequenced, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, ErrClosing
	}
	sub := &submission{ev, make(chan sequenced, 1)}
	s.queue <- sub
	return sub.done, nil
}

func (s *sequencer) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(s.queue)
	}
}

// run sequences until the queue is closed and empty. ctx ends with the whole log only:
// an admitted event is sequenced even if its submitter has left.
func (s *sequencer) run(ctx context.Context) {
	timer := time.NewTimer(s.idle)
	defer timer.Stop()
	for {
		select {
		case first, ok := <-s.queue:
			if !ok {
				return
			}
			s.sequence(ctx, s.batch(first))
		case <-timer.C:
			s.look(ctx)
		}
		full := s.status.full() != nil
		if since := time.Since(s.probed); since > doubtPause && (full || since > s.idle) {
			s.room(ctx)
		}
		if s.doubt || full {
			timer.Reset(doubtPause)
		} else {
			timer.Reset(s.idle)
		}
	}
}

// batch returns first and what else is waiting. Most clients wait for an answer before
// they send the next event. So if many were answered at once, batch waits a moment until
// all of them are back, and they share the cost of a write.
func (s *sequencer) batch(first *submission) []*submission {
	batch := []*submission{first}
	var late <-chan time.Time
	for len(batch) < s.maxBatch {
		var enough <-chan time.Time
		if len(s.queue) == 0 {
			if len(batch) >= s.busy {
				return batch
			}
			if late == nil {
				late = time.After(s.patience)
			}
			enough = late
		}
		select {
		case sub, ok := <-s.queue:
			if !ok {
				return batch
			}
			batch = append(batch, sub)
		case <-enough:
			return batch
		}
	}
	return batch
}

// measure records how many events were in flight when a write ended, and how long it
// took.
func (s *sequencer) measure(n int, took time.Duration) {
	s.busy = min(n+len(s.queue), s.maxBatch)
	s.patience = min(took/4, maxPatience)
	s.metrics.batches.Observe(float64(n))
	s.metrics.addSeconds.Observe(took.Seconds())
}

// look checks the tree, or reads it again if it was in doubt.
func (s *sequencer) look(ctx context.Context) {
	if s.doubt || s.stale {
		_, err := s.catchUp(ctx)
		s.decide(err)
		return
	}
	s.decide(s.tree.Check(ctx))
}

// room finds out whether tree and vault can be written.
func (s *sequencer) room(ctx context.Context) {
	s.probed = time.Now()
	err := s.vault.Writable()
	if s.reserve != nil {
		err = errors.Join(err, s.reserve.Writable(ctx))
	}
	if err != nil {
		err = fmt.Errorf("%w: there is no room, or no permission, to write: %w", errNotLogged, err)
	}
	if !s.status.set(&s.status.room, err) {
		return
	}
	if err != nil {
		s.logger.Error("only charters, revocations that end or suspend a warrant, responses and disclosures are admitted until there is room", "err", err)
	} else {
		s.logger.Info("there is room again")
	}
}

// decide stops or opens admission.
func (s *sequencer) decide(err error) {
	s.doubt = err != nil
	if errors.Is(err, ErrStranger) {
		s.status.halt(err)
	}
	if !s.status.set(&s.status.tree, err) {
		return
	}
	if err != nil {
		s.logger.Error("admission has stopped", "err", err)
	} else {
		s.logger.Info("the tree is as it must be; admitting again")
	}
}

// sequence answers each submission of a batch.
func (s *sequencer) sequence(ctx context.Context, batch []*submission) {
	if err := s.status.working(); err != nil {
		for _, sub := range batch {
			sub.done <- sequenced{err: err}
		}
		return
	}
	fresh, again := s.split(ctx, batch)
	if len(fresh) == 0 {
		return
	}
	for len(fresh) > 0 {
		part := upToCharter(fresh)
		fresh = fresh[len(part):]
		for i, a := range s.enter(ctx, part) {
			part[i].done <- a
			for _, other := range again[part[i].leaf] {
				a.duplicate = a.err == nil
				other.done <- a
			}
		}
	}
	s.wake()
}

// recorded returns where an envelope is recorded, nil if it isn't: its leaf is in the
// tree, or its event had an effect there under each of its keys. The event alone says
// what was signed, and not by whom: a copy with a stranger's signature, or a bad one,
// must not stand in the way of the signer's own. It is safe for concurrent use.
func (s *sequencer) recorded(ctx context.Context, ev *admitted) (*entries.Logged, error) {
	known, err := s.index.Find(ctx, ev.hash, ev.leaf)
	if known != nil || err != nil {
		return known, err
	}
	// An entry that is applied and not stored does not count.
	if index, ok := s.ledger.recorded(ev.next()); ok && index < s.ledger.Size() {
		return s.logged(ctx, index)
	}
	return nil, nil
}

func (s *sequencer) logged(ctx context.Context, index uint64) (*entries.Logged, error) {
	entry, err := s.ledger.Entry(ctx, index)
	if err != nil {
		return nil, err
	}
	return &entries.Logged{Index: index, Entry: entry, Leaf: tiles.LeafHash(entry)}, nil
}

// enter applies new events to the ledger in their order, stores those that the rules
// admit, and returns the answers to all.
func (s *sequencer) enter(ctx context.Context, fresh []*submission) []sequenced {
	answers := make([]sequenced, len(fresh))
	if err := s.status.working(); err != nil {
		for i := range answers {
			answers[i].err = err
		}
		return answers
	}
	var in []int
	known := make(map[int]uint64) // by an entry of this batch
	for i, sub := range fresh {
		if index, ok := s.ledger.recorded(sub.next()); ok {
			known[i] = index
		} else if answers[i].err = s.ledger.add(sub.next(), sub.entry); answers[i].err == nil {
			in = append(in, i)
		}
	}
	if len(in) > 0 && !s.store(ctx, fresh, in, answers) {
		return answers
	}
	for i, index := range known {
		at, err := s.logged(ctx, index)
		if answers[i] = (sequenced{duplicate: true, err: err}); err == nil {
			answers[i].Logged = *at
		}
	}
	return answers
}

// upToCharter returns the submissions up to the first charter. The head that ends with
// the charter is published, so the engine must be readable at that size.
func upToCharter(batch []*submission) []*submission {
	for i, sub := range batch {
		if sub.kind == event.TypeCharter {
			return batch[:i+1]
		}
	}
	return batch
}

// store makes the applied events durable, first what the vault keeps of them, and
// answers. After a failure it returns false, and has answered all.
func (s *sequencer) store(ctx context.Context, fresh []*submission, in []int, answers []sequenced) bool {
	batch, leaves := make([][]byte, len(in)), make([]tiles.Hash, len(in))
	var records []*vault.Record
	for n, i := range in {
		batch[n], leaves[n] = fresh[i].entry, fresh[i].leaf
		if fresh[i].record != nil {
			records = append(records, fresh[i].record)
		}
	}
	first := s.tree.Size()
	began := time.Now()
	var err error
	if len(records) > 0 {
		if err = s.vault.PutBatch(ctx, records); err != nil {
			err = &chain.StepError{Err: err}
		}
	}
	if err == nil && s.reserve != nil && s.status.full() != nil {
		if err := s.reserve.UseReserve(); err != nil {
			s.logger.Warn("the reserve can't be used", "err", err)
		}
	}
	if err == nil {
		err = s.tree.Append(ctx, batch, leaves)
	}
	s.measure(len(in), time.Since(began))
	if err != nil {
		s.failed(ctx, fresh, in, answers, err)
		return false
	}
	hashes := make([][32]byte, len(in))
	for n, i := range in {
		answers[i].Logged = entries.Logged{Index: first + uint64(n), Entry: fresh[i].entry, Leaf: fresh[i].leaf}
		hashes[n] = fresh[i].hash
	}
	s.index.Add(first, hashes...)
	s.ledger.commit(s.tree)
	if s.ledger.snapshotDue() {
		s.ledger.saveLater()
	}
	return true
}

// split returns the envelopes of a batch that are new, each once, and those that
// repeat one of them, by its leaf hash. It answers those that are recorded.
func (s *sequencer) split(ctx context.Context, batch []*submission) (fresh []*submission, again map[tiles.Hash][]*submission) {
	inBatch := make(map[tiles.Hash]bool, len(batch))
	again = make(map[tiles.Hash][]*submission)
	for _, sub := range batch {
		if inBatch[sub.leaf] {
			again[sub.leaf] = append(again[sub.leaf], sub)
			continue
		}
		known, err := s.recorded(ctx, sub.admitted)
		switch {
		case err != nil:
			sub.done <- sequenced{err: err}
		case known != nil:
			sub.done <- sequenced{Logged: *known, duplicate: true}
		default:
			inBatch[sub.leaf] = true
			fresh = append(fresh, sub)
		}
	}
	return fresh, again
}

// failed finds out after an error which events of a batch are in the tree, and answers
// accordingly. All others are answered with errNotLogged, also those that a rule
// refused: the rules saw entries that may not be in the tree.
func (s *sequencer) failed(ctx context.Context, fresh []*submission, in []int, answers []sequenced, cause error) {
	s.logger.Error("sequencing failed", "entries", len(in), "err", cause)
	s.stale = true
	var step *chain.StepError
	var at map[tiles.Hash]uint64
	err := cause
	if errors.As(cause, &step) {
		at, err = s.catchUp(ctx)
		s.room(ctx)
	}
	s.decide(err)
	for i := range answers {
		answers[i].err = fmt.Errorf("%w: %w", errNotLogged, cause)
	}
	for _, i := range in {
		if index, ok := at[fresh[i].leaf]; ok {
			answers[i] = sequenced{Logged: entries.Logged{Index: index, Entry: fresh[i].entry, Leaf: fresh[i].leaf}}
		} else if err != nil && step != nil && step.Asked {
			answers[i].err = fmt.Errorf("%w: %w", errOutcomeUnknown, cause)
		}
	}
}

// catchUp reads what the tree has, and returns the indices of the new entries by leaf
// hash. If the ledger is not of that tree, it is opened again.
func (s *sequencer) catchUp(ctx context.Context) (map[tiles.Hash]uint64, error) {
	first, at := s.tree.Size(), make(map[tiles.Hash]uint64)
	var hashes [][32]byte
	err := s.tree.CatchUp(ctx, func(i uint64, entry []byte) error {
		hash, err := entries.EventHash(i, entry)
		hashes = append(hashes, hash)
		leaf := tiles.LeafHash(entry)
		if _, ok := at[leaf]; !ok { // the first one counts
			at[leaf] = i
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(hashes) > 0 {
		s.stale = true
		s.index.Add(first, hashes...)
	}
	if s.stale {
		if err := s.ledger.open(ctx, s.tree, true); err != nil {
			return at, err
		}
		s.stale = false
	}
	if len(hashes) > 0 {
		s.wake()
	}
	return at, nil
}
