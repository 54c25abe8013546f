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
	"sync/atomic"
	"time"

	"github.com/vasistas/vasistas/internal/tiles/prover"
	"github.com/vasistas/vasistas/log/tlog"
)

// publisher turns the growing tree into published checkpoints. One goroutine,
// run, owns everything but what is said to be shared.
type publisher struct {
	cfg       Config
	record    record
	head      *head
	book      *book
	prover    *prover.Prover
	clock     *clock
	demand    *demand                   // of the next head to publish
	clients   map[string]*witnessClient // all there ever were, by URL
	witnesses []*witnessClient          // those that the demand asks
	status    *status
	metrics   *metrics
	logger    *slog.Logger

	grew     chan struct{} // has room for one
	requests sync.WaitGroup

	stop     context.CancelFunc // ends run, whatever it is doing
	draining context.Context    // ends when the tree does not grow any more
	drain    context.CancelFunc
	done     chan struct{} // closed when run has ended
	last     error         // of the last round; to be read after done

	mu        sync.Mutex
	published atomic.Pointer[publication] // written by run, shared
	changed   chan struct{}               // closed at the next publication; guarded by mu
}

// publication is a checkpoint that meets the policies and is durable.
type publication struct {
	checkpoint *tlog.Checkpoint
	bytes      []byte
	charter    uint64 // index of the one in force at that size
	after      uint64 // its logged-after time, in POSIX seconds; 0 if there is none
	fresh      bool   // published by this process
}

func newPublisher(ctx context.Context, cfg Config, h *head, b *book, c *clock, s *status, m *metrics) (*publisher, error) {
	p := &publisher{
		cfg: cfg, record: h.record, head: h, book: b, prover: b.pages.prover, clock: c, status: s, metrics: m, logger: cfg.Logger,
		clients: make(map[string]*witnessClient),
		grew:    make(chan struct{}, 1), done: make(chan struct{}), changed: make(chan struct{}),
	}
	p.draining, p.drain = context.WithCancel(context.Background())
	v := b.view.Load()
	if _, err := v.signersOf(cfg.Keys, v.inForce().Index+2); err != nil {
		return nil, err
	}
	// A later head than the recorded one would have met the policy in force there.
	p.setDemand(v.hearing(h.signed.Size))
	if err := p.demand.reachable(len(cfg.Keys)); err != nil {
		return nil, err
	}
	return p, p.loadPublished(ctx)
}

// setDemand says what the next head to publish must meet, apart from the
// operator's own policy.
func (p *publisher) setDemand(charters []*tlog.Policy) {
	d := newDemand(charters, p.cfg.Policy)
	if p.demand != nil && slices.Equal(d.policies, p.demand.policies) {
		return
	}
	p.demand, p.witnesses = d, p.clientsOf(d)
}

// wake tells the publisher that the tree has grown.
func (p *publisher) wake() { nudge(p.grew) }

// nudge wakes the goroutine that waits for c, now or when it waits next; c has room
// for one.
func nudge(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// current returns what is published, or nil, and a channel that is closed when
// that changes.
func (p *publisher) current() (*publication, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.published.Load(), p.changed
}

// loadPublished takes up what was published last. If it does not meet the
// policy any more, or is damaged, nothing is served until the next round, which
// publishes the recorded head or a later one.
func (p *publisher) loadPublished(ctx context.Context) error {
	cp, err := p.record.published(ctx)
	v := p.book.view.Load()
	if err == nil && cp != nil {
		err = newDemand(v.policies(cp.Size, cp.Size), p.cfg.Policy).verify(cp, p.book.origin)
	}
	switch {
	case err != nil:
		p.logger.Warn("the checkpoint that was published last can't be served; serving none until the next", "err", err)
		return nil
	case cp == nil:
		return nil
	case cp.Size > p.head.signed.Size:
		return fmt.Errorf("%w (the published checkpoint has %d entries, the recorded head %d)", ErrLogBehind, cp.Size, p.head.signed.Size)
	}
	after := loggedAfter(v, cp)
	p.clock.remember(after)
	p.published.Store(&publication{checkpoint: cp, bytes: cp.Bytes(), charter: v.at(cp.Size).Index, after: after})
	return nil
}

// loggedAfter returns that time of a checkpoint, by the policy in force at its size.
func loggedAfter(v *view, cp *tlog.Checkpoint) uint64 {
	ok, err := v.at(cp.Size).Witnesses.Verify(cp, "")
	if err != nil {
		return 0 // it was published under an earlier policy
	}
	return ok.LoggedAfter
}

// run publishes until ctx ends, or all is published after drain.
func (p *publisher) run(ctx context.Context) {
	defer close(p.done)
	defer p.requests.Wait()
	defer p.stop()
	if !p.hearWitnesses(ctx) {
		return
	}
	for failures := 0; ; {
		began := time.Now()
		p.last = p.round(ctx)
		if ctx.Err() != nil || !p.report(p.last) {
			return
		}
		if p.last == nil {
			failures = 0
		} else {
			failures++
		}
		if p.draining.Err() != nil && p.last == nil && p.head.signed.Size == p.book.edge.Load().size {
			return
		}
		p.wait(ctx, began, failures)
	}
}

// wait waits until the next round is due.
func (p *publisher) wait(ctx context.Context, began time.Time, failures int) {
	if failures > 0 {
		least := min(p.cfg.Interval<<min(failures-1, 8), 2*time.Second)
		select {
		case <-ctx.Done():
		case <-time.After(least - time.Since(began)):
		}
		return
	}
	select {
	case <-ctx.Done():
		return
	case <-p.draining.Done():
		return
	case <-time.After(p.cfg.Interval - time.Since(began)):
	}
	if pub := p.published.Load(); pub != nil && pub.checkpoint.Size < p.book.edge.Load().size {
		return // it was a step, or the tree has grown meanwhile
	}
	select {
	case <-ctx.Done():
	case <-p.draining.Done():
	case <-p.grew:
	case <-time.After(p.cfg.Refresh - time.Since(began)):
	}
}

// report tells the operator of a round that failed, and of one that works again.
// A missing quorum stops publication only; what else stops it stops admission
// too, since it puts in doubt that what is admitted will be published. It returns
// false if publication has stopped for good.
func (p *publisher) report(err error) bool {
	p.metrics.round(err)
	var reason error
	switch {
	case err == nil:
	case errors.Is(err, ErrLogBehind), errors.Is(err, ErrForked):
		p.status.halt(err)
		p.logger.Error("publication has stopped for good", "err", err)
		return false
	case errors.Is(err, tlog.ErrNoQuorum):
		p.logger.Warn("not published: no quorum of witnesses; trying again", "err", err)
	default:
		reason = err
	}
	if p.status.set(&p.status.publisher, reason) {
		if reason != nil {
			p.logger.Error("publication and admission have stopped", "err", err)
		} else {
			p.logger.Info("publishing again")
		}
	}
	return true
}

// finish publishes what is sequenced, until ctx ends. The tree must not grow any
// more. It returns what kept it from that.
func (p *publisher) finish(ctx context.Context) error {
	p.drain()
	var err error
	select {
	case <-p.done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	p.stop()
	<-p.done
	published := uint64(0)
	if pub := p.published.Load(); pub != nil {
		published = pub.checkpoint.Size
	}
	// A log that has not begun to publish, or has stopped for good, has said so.
	if err = errors.Join(err, p.last); err != nil && published < p.book.edge.Load().size {
		return fmt.Errorf("what was sequenced last, from entry %d on, is durable, and will be published after the next start: %w", published, err)
	}
	return nil
}

// round signs what the tree has grown by, gathers cosignatures, and publishes.
func (p *publisher) round(ctx context.Context) error {
	edge := p.book.edge.Load()
	v := p.book.view.Load()
	p.metrics.treeSize.Set(float64(edge.size))
	next, err := p.next(ctx, v, edge)
	if err != nil {
		return err
	}
	if err := p.head.advance(ctx, *next, v); err != nil {
		return err
	}
	if pub := p.published.Load(); p.draining.Err() != nil && pub != nil && pub.checkpoint.Size == p.head.signed.Size {
		return nil
	}
	p.setDemand(v.policies(p.from(), p.head.signed.Size))
	if err := p.demand.reachable(len(p.head.signed.Signatures)); err != nil {
		return fmt.Errorf("%w: %w", tlog.ErrNoQuorum, err)
	}
	began := time.Now()
	cp, err := p.gather(ctx)
	p.metrics.gather.Observe(time.Since(began).Seconds())
	if err != nil {
		return err
	}
	return p.publish(ctx, v, cp)
}

// from returns the size of the head after which the next one is published.
func (p *publisher) from() uint64 {
	if pub := p.published.Load(); pub != nil {
		return pub.checkpoint.Size
	}
	// So that one that ends with an amendment meets the old policy too.
	return p.head.signed.Size - 1
}

// next returns the head to publish next: that of the tree or, if there is an
// amendment before, the one that ends with it, so that whoever comes later finds the
// step from the old policy to the new one.
func (p *publisher) next(ctx context.Context, v *view, e *edge) (*edge, error) {
	size := max(v.step(p.from(), e.size), p.head.signed.Size)
	if size >= e.size {
		return e, nil
	}
	root, err := provenRoot(ctx, p.prover, size, &tlog.Head{Size: e.size, Root: e.root})
	if err != nil {
		return nil, treeError(err)
	}
	return &edge{size, root}, nil
}

// publish checks once more, on the very bytes, that the checkpoint meets the
// policies, and makes it the published one.
func (p *publisher) publish(ctx context.Context, v *view, cp *tlog.Checkpoint) error {
	b := cp.Bytes()
	cp, err := tlog.ParseCheckpoint(b)
	if err != nil {
		return fmt.Errorf("the checkpoint to publish: %w", err)
	}
	if err := p.demand.verify(cp, p.book.origin); err != nil {
		return fmt.Errorf("the checkpoint to publish: %w", err)
	}
	if pub := p.published.Load(); pub != nil && pub.checkpoint.Size > cp.Size {
		return fmt.Errorf("the checkpoint to publish has %d entries, and one with %d is published", cp.Size, pub.checkpoint.Size)
	}
	if err := p.record.publish(ctx, Published{b, v.at(cp.Size).Index}); err != nil {
		return err
	}
	after := loggedAfter(v, cp)
	p.clock.witness(after)
	p.mu.Lock()
	p.published.Store(&publication{checkpoint: cp, bytes: b, charter: v.at(cp.Size).Index, after: after, fresh: true})
	close(p.changed)
	p.changed = make(chan struct{})
	p.mu.Unlock()
	p.metrics.publishedSize.Set(float64(cp.Size))
	p.metrics.publishedAt.SetToCurrentTime()
	return nil
}
