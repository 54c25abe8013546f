// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vasistas/vasistas/internal/c2sp"
	"github.com/vasistas/vasistas/internal/tiles/prover"
)

// publisher turns the growing tree into published checkpoints. One goroutine,
// run, owns everything but what is said to be shared.
type publisher struct {
	cfg       Config
	store     *store
	head      *head
	tree      *tree // of which it reads edge
	prover    *prover.Prover
	witnesses []*witnessClient
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

// publication is a checkpoint that meets the policy and is durable.
type publication struct {
	checkpoint *c2sp.Checkpoint
	bytes      []byte
}

func newPublisher(cfg Config, st *store, h *head, s *status, m *metrics) (*publisher, error) {
	p := &publisher{
		cfg: cfg, store: st, head: h, prover: prover.New(cfg.Engine, 1024), status: s, metrics: m, logger: cfg.Logger,
		grew: make(chan struct{}, 1), done: make(chan struct{}), changed: make(chan struct{}),
	}
	p.draining, p.drain = context.WithCancel(context.Background())
	var err error
	if p.witnesses, err = newWitnessClients(cfg.Policy, cfg.HTTP, p.prover); err != nil {
		return nil, err
	}
	if set, _ := cfg.Policy.SmallestSet(func(int) bool { return true }); len(cfg.Keys)+len(set) > maxLines {
		return nil, fmt.Errorf("the witness policy needs %d cosignatures, and beside the log's own a checkpoint has room for %d; ask for a smaller quorum",
			len(set), maxLines-len(cfg.Keys))
	}
	return p, p.loadPublished()
}

// wake tells the publisher that the tree has grown.
func (p *publisher) wake() {
	select {
	case p.grew <- struct{}{}:
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
func (p *publisher) loadPublished() error {
	cp, err := p.store.published()
	if err == nil && cp != nil {
		_, err = p.cfg.Policy.Verify(cp, "")
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
	p.published.Store(&publication{checkpoint: cp, bytes: cp.Bytes()})
	return nil
}

// run publishes until ctx ends, or all is published after drain.
func (p *publisher) run(ctx context.Context) {
	defer close(p.done)
	defer p.requests.Wait()
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
		if p.draining.Err() != nil && p.last == nil && p.head.signed.Size == p.tree.edge.Load().size {
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
	case errors.Is(err, c2sp.ErrNoQuorum):
		p.logger.Warn("not published: no quorum of witnesses; trying again", "err", err)
	default:
		reason = err
	}
	if p.status.setPublisher(reason) {
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
	if err = errors.Join(err, p.last); err != nil && published < p.tree.edge.Load().size {
		return fmt.Errorf("what was sequenced last, from entry %d on, is durable, and will be published after the next start: %w", published, err)
	}
	return nil
}

// round signs what the tree has grown by, gathers cosignatures, and publishes.
func (p *publisher) round(ctx context.Context) error {
	edge := p.tree.edge.Load()
	p.metrics.tree(edge.size)
	if err := p.head.advance(*edge); err != nil {
		return err
	}
	if pub := p.published.Load(); p.draining.Err() != nil && pub != nil && pub.checkpoint.Size == p.head.signed.Size {
		return nil
	}
	began := time.Now()
	cp, err := p.gather(ctx)
	p.metrics.gathered(time.Since(began))
	if err != nil {
		return err
	}
	return p.publish(cp)
}

// publish checks once more, on the very bytes, that the checkpoint meets the
// policy, and makes it the published one.
func (p *publisher) publish(cp *c2sp.Checkpoint) error {
	b := cp.Bytes()
	cp, err := c2sp.ParseCheckpoint(b)
	if err != nil {
		return fmt.Errorf("the checkpoint to publish: %w", err)
	}
	if _, err := p.cfg.Policy.Verify(cp, ""); err != nil {
		return fmt.Errorf("the checkpoint to publish: %w", err)
	}
	if pub := p.published.Load(); pub != nil && pub.checkpoint.Size > cp.Size {
		return fmt.Errorf("the checkpoint to publish has %d entries, and one with %d is published", cp.Size, pub.checkpoint.Size)
	}
	if err := p.store.publish(b); err != nil {
		return err
	}
	p.mu.Lock()
	p.published.Store(&publication{checkpoint: cp, bytes: b})
	close(p.changed)
	p.changed = make(chan struct{})
	p.mu.Unlock()
	p.metrics.published(cp.Size)
	return nil
}
