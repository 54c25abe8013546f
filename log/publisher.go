// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vasistas/vasistas/internal/tiles/prover"
	"github.com/vasistas/vasistas/log/duty"
	"github.com/vasistas/vasistas/log/internal/chain"
	"github.com/vasistas/vasistas/log/internal/cosign"
	"github.com/vasistas/vasistas/log/state"
	"github.com/vasistas/vasistas/log/tlog"
)

// publisher turns the growing tree into published checkpoints. The goroutine run owns
// every field that has no other comment.
type publisher struct {
	cfg       Config
	head      *chain.Head
	ledger    *liveLedger    // shared
	prover    *prover.Prover // shared
	clock     *cosign.Clock  // shared
	witnesses *cosign.Witnesses
	fresh     time.Time      // when this process published last; zero: not yet
	demand    *cosign.Demand // of the next head to publish
	status    *status        // shared
	metrics   *logMetrics    // shared
	logger    *slog.Logger

	grew chan struct{} // has room for one

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

// size returns the size of the checkpoint, 0 for nil.
func (p *publication) size() uint64 {
	if p == nil {
		return 0
	}
	return p.checkpoint.Size
}

// newPublisher makes a publisher. opened is the edge of the tree before this process added entries.
func newPublisher(ctx context.Context, cfg Config, h *chain.Head, ll *liveLedger, opened chain.Edge, c *cosign.Clock, s *status, m *logMetrics) (*publisher, error) {
	var p *publisher
	p = &publisher{
		cfg: cfg, head: h, ledger: ll, prover: ll.pages.Prover, clock: c, status: s, metrics: m, logger: cfg.Logger,
		witnesses: cosign.New(cosign.Config{
			Policy: cfg.Policy, HTTP: cfg.HTTP, Prover: ll.pages.Prover, Store: cfg.State, Observe: m.witness, Logger: cfg.Logger,
			Contains: func(ctx context.Context, cp *tlog.Checkpoint) error { return p.contains(ctx, opened, cp) },
		}),
		grew: make(chan struct{}, 1), done: make(chan struct{}), changed: make(chan struct{}),
	}
	p.draining, p.drain = context.WithCancel(context.Background())
	v := ll.view.Load()
	if _, err := chain.Signers(cfg.Keys, v.inForce().LogKeys); err != nil {
		return nil, err
	}
	// A later head than the recorded one would have met the policy in force there.
	p.setDemand(v, v.hearing(h.Signed().Size))
	if err := p.demand.Reachable(len(cfg.Keys)); err != nil {
		return nil, err
	}
	return p, p.loadPublished(ctx)
}

// setDemand sets what the next head must meet.
func (p *publisher) setDemand(v *view, policies []*tlog.Policy) {
	timeout := seconds(v.inForce().Profile.WitnessTimeout)
	if p.cfg.WitnessTimeout > 0 {
		timeout = min(timeout, p.cfg.WitnessTimeout)
	}
	p.demand = p.witnesses.SetDemand(policies, timeout, v.ours)
}

// nudge wakes the goroutine that waits for c, now or when it waits next; c has room
// for one.
func nudge(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Published implements [duty.Feed].
func (p *publisher) Published() (*duty.Head, <-chan struct{}) {
	pub, changed := p.current()
	if pub == nil {
		return nil, changed
	}
	c := p.ledger.view.Load().at(pub.checkpoint.Size)
	return &duty.Head{Checkpoint: pub.checkpoint, Charter: c, Time: int64(pub.after), Fresh: pub.fresh}, changed
}

// Refresh implements [duty.Feed]. The sequencer calls it when the tree has grown.
func (p *publisher) Refresh() { nudge(p.grew) }

// current returns what is published, or nil, and a channel that is closed at the next
// publication.
func (p *publisher) current() (*publication, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.published.Load(), p.changed
}

// loadPublished serves what was published last. If that does not meet the policy any
// more, or is damaged, nothing is served until the next round, which publishes the
// recorded head or a later one.
func (p *publisher) loadPublished(ctx context.Context) error {
	cp, err := p.head.Record.LastPublished(ctx)
	v := p.ledger.view.Load()
	if err == nil && cp != nil {
		err = cosign.NewDemand(v.policies(cp.Size, cp.Size), p.cfg.Policy).Verify(cp, p.ledger.origin)
	}
	switch {
	case err != nil:
		p.logger.Warn("the checkpoint that was published last can't be served; serving none until the next", "err", err)
		return nil
	case cp == nil:
		return nil
	case cp.Size > p.head.Signed().Size:
		return fmt.Errorf("%w (the published checkpoint has %d entries, the recorded head %d)", ErrLogBehind, cp.Size, p.head.Signed().Size)
	}
	p.published.Store(&publication{checkpoint: cp, bytes: cp.Bytes(), charter: v.at(cp.Size).Index, after: loggedAfter(v, cp)})
	return nil
}

// loggedAfter returns the logged-after time of a checkpoint, by the policy in force at
// its size.
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
	defer p.witnesses.Wait()
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
		if p.draining.Err() != nil && p.last == nil && p.head.Signed().Size == p.ledger.edge.Load().Size {
			return
		}
		p.wait(ctx, began, failures)
	}
}

// hearWitnesses offers the recorded head to the witnesses until so many have
// cosigned it that no quorum can have seen a later one. It returns false if the
// log must not go on, or is being shut down.
func (p *publisher) hearWitnesses(ctx context.Context) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.draining, cancel)()
	heard := make(cosign.Lines)
	for wait := p.cfg.Interval; ; wait = min(2*wait, 5*time.Second) {
		err := p.witnesses.Hear(ctx, p.head.Signed(), heard)
		if err == nil {
			return true // admission begins with the first head
		}
		if later, ok := errors.AsType[*cosign.LaterError](err); ok {
			clear(heard) // cosignatures of an earlier head
			if err = p.reach(ctx, later); err == nil {
				continue
			}
		}
		if ctx.Err() != nil {
			return false
		}
		if errors.Is(err, ErrLogBehind) || errors.Is(err, ErrForked) {
			p.status.halt(err)
			p.logger.Error("the log will sign nothing", "err", err)
			return false
		}
		if p.status.set(&p.status.publisher, fmt.Errorf("%w: %w", ErrStarting, err)) {
			p.logger.Warn("waiting for witnesses", "err", err)
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(wait):
		}
	}
}

// contains returns nil if a later head, which this log signed, is that of the tree as it was opened: the
// state was lost or is old. It returns [ErrLogBehind] if the tree has fewer entries or others. So a copy of
// a log that is at work does not go on: that log signs heads of entries that came since. It also returns
// ErrLogBehind if an amendment lies between, since the next head would have to meet the policies of both
// charters. Any other error says that the tree can't be read.
func (p *publisher) contains(ctx context.Context, opened chain.Edge, cp *tlog.Checkpoint) error {
	if cp.Size > opened.Size || p.ledger.view.Load().amended(p.from(), cp.Size) {
		return ErrLogBehind
	}
	root, err := chain.ProvenRoot(ctx, p.prover, cp.Size, opened)
	if err != nil {
		return chain.TreeError(err)
	}
	if root != cp.Root {
		return ErrLogBehind
	}
	return nil
}

// reach records a later head that contains has found in the tree. hearWitnesses then asks for one that
// is later still. Nothing is served until the next publication: what was published last is older than
// what a witness has.
func (p *publisher) reach(ctx context.Context, later *cosign.LaterError) error {
	v, size := p.ledger.view.Load(), later.Head.Size
	if err := p.head.Reach(ctx, later.Head, v.reachKeys(size), p.clock.Now()); err != nil {
		return fmt.Errorf("%v: %w", later, err)
	}
	p.published.Store(nil)
	p.logger.Warn("the recorded head was an old one; going on from a later head, which the tree contains", "witness", later.Witness, "size", size)
	p.setDemand(v, v.hearing(size))
	return p.demand.Reachable(len(p.cfg.Keys))
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
	if pub := p.published.Load(); pub != nil && pub.checkpoint.Size < p.ledger.edge.Load().Size {
		return // it was a step, or the tree has grown meanwhile
	}
	select {
	case <-ctx.Done():
	case <-p.draining.Done():
	case <-p.grew:
	case <-time.After(p.cfg.Refresh - time.Since(began)):
	}
}

// errUnshown: the engine could not write its files, and did not find them damaged. A library
// may have dropped the cause, so this counts as a full disk: the entries are durable.
var errUnshown = errors.New("the engine's files can't be written")

// report logs a round that failed, and the next one that works. A missing quorum stops
// publication only; a full disk also stops all but what may use the reserve, whose room
// the state needs too. Any other failure stops admission, because what is admitted might
// never be published. report returns false if publication has stopped for good.
func (p *publisher) report(err error) bool {
	p.metrics.round(err)
	var reason, late, full error
	switch {
	case err == nil:
		p.fresh = time.Now()
	case errors.Is(err, ErrLogBehind), errors.Is(err, ErrForked):
		p.status.halt(err)
		p.logger.Error("publication has stopped for good", "err", err)
		return false
	case errors.Is(err, tlog.ErrNoQuorum):
		p.logger.Warn("not published: no quorum of witnesses; trying again", "err", err)
		if p.fresh.IsZero() {
			reason = fmt.Errorf("%w: %w", ErrStarting, err)
		} else if time.Since(p.fresh) > p.cfg.Refresh*3/2 {
			late = err
		}
	case noRoom(err) && !p.fresh.IsZero():
		full = fmt.Errorf("%w: there is no room, or no permission, to write: %w", errNotLogged, err)
	default:
		reason = err
	}
	p.status.set(&p.status.quorum, late)
	switch news := p.status.set(&p.status.state, full); {
	case news && full != nil:
		p.logger.Error("not published: the state can't be written; trying again", "err", err)
	case news:
		p.logger.Info("the state can be written again")
	}
	if p.status.set(&p.status.publisher, reason) && !errors.Is(reason, ErrStarting) {
		if reason != nil {
			p.logger.Error("publication and admission have stopped", "err", err)
		} else {
			p.logger.Info("publishing again")
		}
	}
	return true
}

// finish publishes what is sequenced, until ctx ends. The tree must not grow any more.
// The error says why not everything is published.
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
	published := p.published.Load().size()
	// A log that has not begun to publish, or has stopped for good, has reported why.
	if err = errors.Join(err, p.last); err != nil && published < p.ledger.edge.Load().Size {
		return fmt.Errorf("what was sequenced last, from entry %d on, is durable, and will be published after the next start: %w", published, err)
	}
	return nil
}

// round signs what the tree has grown by, gathers cosignatures, and publishes.
func (p *publisher) round(ctx context.Context) error {
	edge := *p.ledger.edge.Load()
	v := p.ledger.view.Load()
	p.metrics.treeSize.Set(float64(edge.Size))
	next, err := p.next(ctx, v, edge)
	if err != nil {
		return err
	}
	if err := p.head.Advance(ctx, next, v.logKeys(next.Size), p.clock.Now()); err != nil {
		return err
	}
	if p.draining.Err() != nil && p.published.Load().size() == p.head.Signed().Size {
		return nil
	}
	p.setDemand(v, v.policies(p.from(), p.head.Signed().Size))
	if err := p.demand.Reachable(len(p.head.Signed().Signatures)); err != nil {
		return fmt.Errorf("%w: %w", tlog.ErrNoQuorum, err)
	}
	shown := make(chan error, 1)
	go func() { shown <- p.cfg.Engine.Show(ctx, p.head.Signed().Size) }()
	began := time.Now()
	cp, err := p.witnesses.Gather(ctx, p.head.Signed(), p.cfg.Interval/4)
	p.metrics.gather.Observe(time.Since(began).Seconds())
	if err := <-shown; err != nil {
		if _, corrupt := errors.AsType[*tlog.CorruptError](err); !corrupt && !errors.Is(err, ErrTreeBehind) && !errors.Is(err, ErrTreeConflict) {
			err = fmt.Errorf("%w: %w", errUnshown, err)
		}
		return fmt.Errorf("writing the tree to publish: %w", err)
	}
	if err != nil {
		return err
	}
	return p.publish(ctx, v, cp)
}

// from returns the size of the head after which the next one is published. Before the
// first, it is one less than that of the signed head: a head that ends with an amendment
// meets the old policy too.
func (p *publisher) from() uint64 {
	return cmp.Or(p.published.Load().size(), p.head.Signed().Size-1)
}

// next returns the edge to publish next: that of the tree or, if there is an amendment
// before, the one that ends with it. So a later reader finds the step from the old
// policy to the new one.
func (p *publisher) next(ctx context.Context, v *view, e chain.Edge) (chain.Edge, error) {
	size := max(v.step(p.from(), e.Size), p.head.Signed().Size)
	if size >= e.Size {
		return e, nil
	}
	root, err := chain.ProvenRoot(ctx, p.prover, size, e)
	if err != nil {
		return e, chain.TreeError(err)
	}
	return chain.Edge{Size: size, Root: root}, nil
}

// publish parses the bytes to publish, checks once more that they meet the policies, and
// makes them the published checkpoint.
func (p *publisher) publish(ctx context.Context, v *view, cp *tlog.Checkpoint) error {
	b := cp.Bytes()
	cp, err := tlog.ParseCheckpoint(b)
	if err != nil {
		return fmt.Errorf("the checkpoint to publish: %w", err)
	}
	if err := p.demand.Verify(cp, p.ledger.origin); err != nil {
		return fmt.Errorf("the checkpoint to publish: %w", err)
	}
	if published := p.published.Load().size(); published > cp.Size {
		return fmt.Errorf("the checkpoint to publish has %d entries, and one with %d is published", cp.Size, published)
	}
	if err := p.head.Record.SetPublished(ctx, state.Published{Checkpoint: b, Charter: v.at(cp.Size).Index}); err != nil {
		return err
	}
	after := loggedAfter(v, cp)
	if after == 0 {
		p.clock.Set(0)
	} else {
		p.clock.Set(max(after, p.ledger.proven()))
	}
	p.mu.Lock()
	p.published.Store(&publication{checkpoint: cp, bytes: b, charter: v.at(cp.Size).Index, after: after, fresh: true})
	close(p.changed)
	p.changed = make(chan struct{})
	p.mu.Unlock()
	p.metrics.publishedSize.Set(float64(cp.Size))
	p.metrics.publishedAt.Set(float64(time.Now().UnixMilli()) / 1000)
	return nil
}
