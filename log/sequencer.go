// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/duty"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/internal/chain"
	"github.com/vasistas/vasistas/log/internal/entries"
	"github.com/vasistas/vasistas/log/vault"
)

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
// The sequencer judges a batch while earlier batches are under way, and stores it once the engine has
// stored the batch before. Batches end in their order. After an error, the sequencer stores none until
// all batches under way have ended and it has read the tree.
//
// While the tree is in doubt, the sequencer admits nothing, and reads the tree again until
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
	next     *batch                     // being judged
	pipe     []*batch                   // under way, at most maxPipe
	storing  chan struct{}              // stored of the last batch launched; nil once that batch is stored
	under    map[tiles.Hash]*submission // submissions in next and pipe, by leaf hash
	doubt    bool
	stale    bool             // the ledger must be opened again: it is not that of tree, pipe and next
	busy     int              // events without an answer when the last batch ended
	patience time.Duration    // how long ripe waits for as many events
	late     <-chan time.Time // fires when patience is over; nil: ripe does not wait
	probed   time.Time        // when room looked

	mu     sync.RWMutex // held for writing while queue is closed
	closed bool
}

// maxPipe bounds the batches under way: the engine stores one while it integrates two.
const maxPipe = 3

// maxPatience bounds how long an event waits for others to share its write.
const maxPatience = 20 * time.Millisecond

// doubtPause is how long the sequencer waits before it looks again at a tree
// that it can't write to.
const doubtPause = 500 * time.Millisecond

func newSequencer(cfg Config, t *chain.Tree, ll *liveLedger, index *entries.Index, st *status, m *logMetrics, wake func()) *sequencer {
	reserve, _ := cfg.Engine.(Reserve)
	return &sequencer{
		reserve: reserve, tree: t, ledger: ll, vault: cfg.Vault, index: index, maxBatch: cfg.MaxBatch, idle: cfg.Refresh, status: st, metrics: m, logger: cfg.Logger, wake: wake,
		next: newBatch(), under: make(map[tiles.Hash]*submission),
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
	sub := &submission{admitted: ev, done: make(chan sequenced, 1)}
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
	for queue := s.queue; queue != nil || len(s.pipe) > 0 || len(s.next.subs) > 0; {
		if s.ripe(queue == nil) {
			s.launch(ctx)
		}
		in := queue
		if s.next.last || len(s.next.subs) >= s.maxBatch {
			in = nil
		}
		var done chan struct{}
		if len(s.pipe) > 0 {
			done = s.pipe[0].done
		}
		select {
		case sub, ok := <-in:
			if !ok {
				queue = nil
			} else {
				s.judge(ctx, sub)
			}
		case <-s.late:
			s.late, s.busy = nil, 0
		case <-s.storing:
			s.storing = nil
		case <-done:
			s.finish(ctx)
			s.rest(ctx, timer)
		case <-timer.C:
			if len(s.pipe) == 0 && len(s.next.subs) == 0 {
				s.look(ctx)
			}
			s.rest(ctx, timer)
		}
	}
}

// rest calls room now and then, unless a batch is being stored, and sets the timer.
func (s *sequencer) rest(ctx context.Context, timer *time.Timer) {
	full := s.status.full() != nil
	if since := time.Since(s.probed); s.storing == nil && since > doubtPause && (full || since > s.idle) {
		s.room(ctx)
	}
	if s.doubt || full {
		timer.Reset(doubtPause)
	} else {
		timer.Reset(s.idle)
	}
}

// ripe returns whether to store the next batch now. Most clients wait for an answer before they
// send the next event. So after a batch of many events, ripe waits a moment for as many new ones,
// which then share the cost of a write.
func (s *sequencer) ripe(closed bool) bool {
	switch {
	case len(s.next.subs) == 0 || len(s.pipe) == maxPipe || s.storing != nil:
		return false
	case closed || s.next.last || len(s.next.subs) >= s.maxBatch:
		return true
	case len(s.queue) > 0:
		return false
	case s.underWay() >= s.busy:
		return true
	case s.late == nil:
		s.late = time.After(s.patience)
	}
	return false
}

// underWay returns how many events have no answer.
func (s *sequencer) underWay() int {
	n := len(s.next.subs) + len(s.queue)
	for _, b := range s.pipe {
		n += len(b.subs)
	}
	return n
}

// measure records how long a batch took, and how many events have no answer yet.
func (s *sequencer) measure(b *batch) {
	took := time.Since(b.began)
	s.busy = s.underWay()
	s.patience = min(took/4, maxPatience)
	s.metrics.batches.Observe(float64(len(b.in)))
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

// judge answers a submission whose event is recorded, and puts any other into the next batch. If
// the rules admit the event, judge applies it to the ledger.
func (s *sequencer) judge(ctx context.Context, sub *submission) {
	if err := s.status.working(); err != nil {
		sub.done <- sequenced{err: err}
		return
	}
	if first := s.under[sub.leaf]; first != nil {
		first.again = append(first.again, sub)
		return
	}
	switch known, err := s.recorded(ctx, sub.admitted); {
	case err != nil:
		sub.done <- sequenced{err: err}
		return
	case known != nil:
		sub.done <- sequenced{Logged: *known, duplicate: true}
		return
	}
	b, i := s.next, len(s.next.subs)
	s.under[sub.leaf] = sub
	b.subs, b.answers = append(b.subs, sub), append(b.answers, sequenced{})
	if index, ok := s.ledger.recorded(sub.next()); ok {
		b.known[i] = index
	} else if b.answers[i].err = s.ledger.add(sub.next(), sub.entry); b.answers[i].err == nil {
		b.in = append(b.in, i)
		b.entries, b.leaves, b.hashes = append(b.entries, sub.entry), append(b.leaves, sub.leaf), append(b.hashes, sub.hash)
		if sub.record != nil {
			b.records = append(b.records, sub.record)
		}
	}
	// The head that ends with a charter is published, so the engine must be readable at that size.
	b.last = sub.kind == event.TypeCharter
}

// launch starts a goroutine that stores the next batch and waits until it is in the tree.
func (s *sequencer) launch(ctx context.Context) {
	b := s.next
	check := !slices.ContainsFunc(s.pipe, func(before *batch) bool { return len(before.in) > 0 })
	b.began, b.first = time.Now(), s.tree.Size()
	for _, before := range s.pipe {
		b.first += uint64(len(before.in))
	}
	if s.ledger.snapshotDue() {
		b.save = s.ledger.saveLater()
	}
	s.pipe, s.next, s.storing, s.late = append(s.pipe, b), newBatch(), b.stored, nil
	go func() {
		defer close(b.done)
		if len(b.in) == 0 {
			close(b.stored)
		} else if b.err = s.store(ctx, b, check); b.err == nil {
			close(b.stored)
			b.err = s.tree.Wait(ctx, b.first+uint64(len(b.in)))
		}
	}()
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

// store makes a batch durable, and before it the batch's records in the vault. With check, store
// also checks the tree before the engine adds to it. While other batches are under way, finish
// checks the tree with the batch before.
func (s *sequencer) store(ctx context.Context, b *batch, check bool) error {
	if err := s.status.working(); err != nil {
		return &chain.StepError{Err: err}
	}
	if len(b.records) > 0 {
		if err := s.vault.PutBatch(ctx, b.records); err != nil {
			return &chain.StepError{Err: err}
		}
	}
	if s.reserve != nil && s.status.full() != nil {
		if err := s.reserve.UseReserve(); err != nil {
			s.logger.Warn("the reserve can't be used", "err", err)
		}
	}
	if check {
		if err := s.tree.Check(ctx); err != nil {
			return err
		}
	}
	return s.tree.Store(ctx, b.first, b.entries)
}

// finish checks the tree with the first batch of the pipe, and answers the batch's submissions.
func (s *sequencer) finish(ctx context.Context) {
	b := s.pipe[0]
	if b.err == nil && len(b.in) > 0 {
		b.err = s.tree.Take(ctx, b.entries, b.leaves)
	}
	s.measure(b)
	if b.err != nil {
		s.failed(ctx, b.err)
		return
	}
	if len(b.in) > 0 {
		s.index.Add(b.first, b.hashes...)
		s.ledger.commit(s.tree)
	}
	if b.save != nil {
		b.save(true)
	}
	for n, i := range b.in {
		b.answers[i].Logged = entries.Logged{Index: b.first + uint64(n), Entry: b.entries[n], Leaf: b.leaves[n]}
	}
	for i, index := range b.known {
		at, err := s.logged(ctx, index)
		if b.answers[i] = (sequenced{duplicate: true, err: err}); err == nil {
			b.answers[i].Logged = *at
		}
	}
	s.pipe = s.pipe[1:]
	s.answer(b)
	s.wake()
}

// answer answers the submissions of a batch.
func (s *sequencer) answer(b *batch) {
	for i, sub := range b.subs {
		if sub == nil {
			continue // it is judged again
		}
		a := b.answers[i]
		sub.done <- a
		a.duplicate = a.err == nil
		for _, other := range sub.again {
			other.done <- a
		}
		delete(s.under, sub.leaf)
	}
}

// failed ends all batches of the pipe after an error of the first one. It reads the tree, and answers
// the events that are in it. Unless an outcome is unknown, all others get errNotLogged, even if a rule
// refused them: the rules saw entries that may not be in the tree. The next batch is judged again, and so
// are events that were recorded by an entry under way.
func (s *sequencer) failed(ctx context.Context, cause error) {
	s.logger.Error("sequencing failed", "batches", len(s.pipe), "entries", len(s.pipe[0].in), "err", cause)
	for _, b := range s.pipe {
		if <-b.done; b.save != nil {
			b.save(false)
		}
	}
	s.stale = true
	var step *chain.StepError
	var at map[tiles.Hash]uint64
	err := cause
	if errors.As(cause, &step) {
		at, err = s.catchUp(ctx)
		s.room(ctx)
	}
	s.decide(err)
	var again []*submission
	for _, b := range s.pipe {
		if b.err == nil || !errors.As(b.err, &step) {
			b.err = cause
		}
		for i := range b.answers {
			if b.answers[i].err = b.err; !errors.As(b.err, new(unready)) {
				b.answers[i].err = fmt.Errorf("%w: %w", errNotLogged, b.err)
			}
		}
		for n, i := range b.in {
			if index, ok := at[b.leaves[n]]; ok {
				b.answers[i] = sequenced{Logged: entries.Logged{Index: index, Entry: b.entries[n], Leaf: b.leaves[n]}}
			} else if err != nil && step != nil && step.Asked {
				b.answers[i].err = fmt.Errorf("%w: %w", errOutcomeUnknown, b.err)
			}
		}
		for i := range b.known {
			again, b.subs[i] = append(again, b.subs[i]), nil
		}
		s.answer(b)
	}
	again = append(again, s.next.subs...)
	s.pipe, s.next, s.storing = nil, newBatch(), nil
	for _, sub := range again {
		delete(s.under, sub.leaf)
		for _, sub := range append([]*submission{sub}, sub.again...) {
			sub.again = nil
			s.judge(ctx, sub)
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
