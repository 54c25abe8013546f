// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package log is the provider's part: it admits signed events, has an [Engine]
// sequence them, signs the growing tree, gathers the cosignatures of a witness
// quorum and only then publishes.
//
// Every lie of the provider is visible, so no one has to trust it. The provider
// trusts nothing but its own recorded head. What the package promises:
//
//   - An event that was acknowledged is in every later tree that is published.
//   - No two heads that it signs conflict, whatever was restored or raced. It signs
//     the tree that it computed itself from the last head that it durably recorded,
//     in a store apart from the tree. Before its first signature after a start, it
//     offers that head to its witnesses again, and needs answers from so many that
//     no quorum can have seen a later one. If a witness shows a later head of this log, and
//     the log's own tree contains that head, the log records the head and asks again.
//   - It publishes no head that does not meet the witness policy, and
//     /checkpoint never goes back.
//   - In any doubt it publishes nothing and says why. It goes on by itself once
//     the reason is gone, unless only an operator can remove the reason.
//
// A log keeps what it must remember in a [state.Store], by default files in a
// directory. Several instances can share a store in a database. Each of them is a
// [Standby] that serves what is published; the active one also has the log open.
//
// An event goes forward through named steps: http.go and stream.go take the request;
// submit.go has admission.go parse, verify and check the event, gives it to
// sequencer.go (order, drop repetitions, store, wait for the tree), and waits until
// publisher.go (sign, record, cosign, publish) has published it.
//
// Apart from that, rounds.go and naming.go name published heads for the auditors of the
// charter's audit policy, and serve the one that met it last. Publication does not wait
// for them.
//
// Except for error values, a file refers only to files after it in this order: standby, log,
// http, stream, submit, pool, problem, sequencer, batch, rounds (one with naming), publisher,
// admission, ledger, metrics, status, read_status, config. Below this package are
// internal/chain (tree and head), internal/entries, internal/cosign (witnesses) and duty
// (anchors and disclosures); above it, package recover creates and repairs a log offline.
package log

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/semaphore"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/duty"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/internal/chain"
	"github.com/vasistas/vasistas/log/internal/cosign"
	"github.com/vasistas/vasistas/log/internal/entries"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/state"
	"github.com/vasistas/vasistas/log/tlog"
)

// Log is a running log.
type Log struct {
	cfg       Config
	caches    *state.Dir
	index     *entries.Index
	ledger    *liveLedger
	sequencer *sequencer
	publisher *publisher
	intake    *intake
	keeper    *duty.Keeper
	rounds    *rounds
	reads     *reads
	status    *status
	metrics   *logMetrics

	drain      context.CancelFunc // ends admission
	abandon    context.CancelFunc // ends the sequencer's work
	sequencing sync.WaitGroup
	keeping    sync.WaitGroup // keeper and rounds
}

// Open starts the log in cfg.StateDir. It refuses a second instance. It also refuses a
// tree that does not contain the recorded head ([ErrTreeBehind], [ErrTreeConflict]), with
// an error that says what to do. When Open returns, reads are served; events are admitted
// once enough witnesses have answered. ctx bounds the opening only. After an error the
// caller must still close the engine.
func Open(ctx context.Context, cfg Config) (*Log, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	var dir *state.Dir
	var err error
	if cfg.State != nil {
		dir, err = state.OpenCaches(cfg.StateDir)
	} else if dir, err = state.OpenDir(cfg.StateDir); err == nil {
		dir.WarnTruncated(cfg.Logger)
		cfg.State = dir
	}
	if err != nil {
		return nil, err
	}
	l, err := open(ctx, cfg, dir, func() *loaded { return nil })
	if err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	l.start()
	return l, nil
}

// open loads all parts, and starts none. followed returns what was read of the tree
// before, or nil.
func open(ctx context.Context, cfg Config, caches *state.Dir, followed func() *loaded) (*Log, error) {
	record := chain.Record{Store: cfg.State}
	if err := record.CheckKeys(cfg.Keys); err != nil {
		return nil, err
	}
	head, err := chain.LoadHead(ctx, record, cfg.Keys, cfg.Recovery != nil)
	if err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	signed := &head.Signed().Head
	size, _, err := cfg.Engine.Tree(ctx)
	if err != nil {
		return nil, fmt.Errorf("opening the log: %w", chain.TreeError(err))
	}
	if size < signed.Size {
		return nil, fmt.Errorf("opening the log: %w (the tree has %d entries, the head %d)", ErrTreeBehind, size, signed.Size)
	}
	w := followed()
	if w == nil {
		if w, err = load(ctx, caches, cfg.Engine, true, signed, size, cfg.Logger); err != nil {
			return nil, fmt.Errorf("opening the log: %w", err)
		}
		w.tree.Use(cfg.Engine)
	} else {
		err = w.use(ctx, cfg.Engine, signed, size)
	}
	l := &Log{
		cfg: cfg, caches: caches, index: w.index, ledger: w.ledger,
		status: &status{held: cfg.State.Held, publisher: ErrStarting, over: make(chan struct{})}, metrics: newMetrics(),
	}
	if err == nil {
		w.ledger.metrics = l.metrics
		err = l.assemble(ctx, w, head)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the log: %w", errors.Join(err, w.index.Close()))
	}
	return l, nil
}

// assemble makes the parts from what was read of the tree.
func (l *Log) assemble(ctx context.Context, w *loaded, head *chain.Head) (err error) {
	clock, opened := &cosign.Clock{Logger: l.cfg.Logger}, *l.ledger.edge.Load()
	if l.cfg.Recovery != nil {
		if err := w.takeOver(ctx, &l.cfg, head, clock); err != nil {
			return fmt.Errorf("the recovery: %w", err)
		}
	}
	if l.publisher, err = newPublisher(ctx, l.cfg, head, l.ledger, opened, clock, l.status, l.metrics); err != nil {
		return err
	}
	if l.rounds, err = newRounds(ctx, l.cfg, l.publisher); err != nil {
		return err
	}
	l.reads = &reads{&l.publisher.published, l.rounds.audits, l.cfg.Engine, l.publisher.prover, l.status.behind, l.cfg.Logger}
	l.sequencer = newSequencer(l.cfg, w.tree, l.ledger, l.index, l.status, l.metrics, l.publisher.Refresh)
	l.intake = &intake{
		cfg: l.cfg, admission: &admission{origin: l.Origin(), ledger: l.ledger, clock: clock},
		ledger: l.ledger, sequencer: l.sequencer, publisher: l.publisher, status: l.status, metrics: l.metrics,
		inFlight: semaphore.NewWeighted(l.cfg.MaxInFlight),
		bytes:    semaphore.NewWeighted(l.cfg.MaxInFlightBytes),
		bodies:   newPool(l.cfg.MaxInFlightBytes, 0),
		streams:  newPool(int64(l.cfg.MaxStreams), l.cfg.StreamIdle),
		lookups:  semaphore.NewWeighted(maxLookups),
		waiting:  semaphore.NewWeighted(maxWaiting),
	}
	if l.intake.recent, err = lru.New[tlog.Hash, entries.Logged](maxRecent); err != nil {
		return err
	}
	l.keeper = duty.New(duty.Config{
		Origin: l.Origin(), Vault: l.cfg.Vault, Signer: l.cfg.Provider, Log: ownEvents{l.ledger, l.sequencer},
		Feed: l.publisher, Now: clock.Now, Metrics: l.metrics, Logger: l.cfg.Logger,
	})
	if err := l.keeper.Clean(ctx); err != nil {
		return err
	}
	l.warn()
	return nil
}

// warn logs what this configuration leaves to others.
func (l *Log) warn() {
	c, key := l.ledger.view.Load().inForce(), l.cfg.Provider
	switch {
	case !c.Witnesses.NeedsWitnesses():
		l.cfg.Logger.Warn("the charter asks for no witness: no time can be proven, so the log anchors and discloses nothing by itself")
	case key == nil:
		l.cfg.Logger.Warn("the log has no event key of its provider, so it anchors and discloses nothing by itself")
	default:
		if p := c.Signer(key.KeyID(), c.Index+1); p == nil || p.Role != event.RoleProvider {
			l.cfg.Logger.Error("the event key that the log was given is not one of a provider that the charter in force names: "+
				"it can't anchor or disclose anything", "key", key.KeyID())
		}
	}
}

func (l *Log) start() {
	ctx, stop := context.WithCancel(context.Background())
	l.publisher.stop = stop
	l.intake.draining, l.drain = context.WithCancel(ctx)
	// An event that is incomplete when admission ends is refused, and does not delay the end.
	context.AfterFunc(l.intake.draining, l.intake.bodies.close)
	working, abandon := context.WithCancel(context.Background())
	l.abandon = abandon
	l.sequencing.Go(func() { l.sequencer.run(working) })
	go l.publisher.run(ctx)
	l.keeping.Go(func() { l.keeper.Run(l.intake.draining) })
	l.keeping.Go(func() { l.rounds.run(l.intake.draining) })
}

// Submit admits one event, given in the encoding of [event.Submission], and waits.
// For the errors, see problemOf.
func (l *Log) Submit(ctx context.Context, submission []byte, wait Wait) (*Result, error) {
	return l.intake.submit(ctx, submission, wait)
}

// Handler returns the log's HTTP interface: POST /events; GET /charter, /audit/round,
// /audit/checkpoint, /healthz and /readyz; and the reads of tlog-tiles for what is published. It
// has no metrics. The server should bound headers, idle connections and the time of a request; a
// stream moves its deadlines by itself.
//
// Paths are compared as they are sent: each resource has one spelling, and no path is
// mapped onto a directory.
func (l *Log) Handler() http.Handler {
	events := func(w http.ResponseWriter, r *http.Request) error { return serveEvents(l.intake, w, r) }
	return handler(events, l.reads, l.status.ready)
}

// Metrics returns the log's metrics in the Prometheus text format, version 0.0.4.
func (l *Log) Metrics() []byte { return l.metrics.Text() }

// Origin returns the log's origin.
func (l *Log) Origin() string { return l.ledger.origin }

// Err returns nil if the log admits events, else why it does not.
func (l *Log) Err() error { return l.status.err() }

// Drain stops admission, for good. What was admitted is still sequenced,
// published and answered, and reads are served until [Log.Close].
func (l *Log) Drain() {
	l.status.close()
	l.drain()
}

// Stop ends all work at once, for good, because this process must not write any more. The
// log finishes only the write that is under way, and then sequences, signs and publishes
// nothing. Each event under way is answered with the reason, or with its place in the
// tree. [Log.Close] must still be called, and takes no time then.
func (l *Log) Stop(reason error) {
	l.status.halt(reason)
	l.Drain()
	l.abandon()
	l.publisher.stop()
}

// Close stops admission, lets the sequencer finish what was admitted, tries to
// publish it until ctx ends, and closes the engine. What was acknowledged is
// durable whether or not ctx ends first. No request may be under way in the
// handler; see [Log.Drain].
func (l *Log) Close(ctx context.Context) error {
	l.Drain()
	l.keeping.Wait()
	l.sequencer.close()
	l.sequencing.Wait()
	err := l.publisher.finish(ctx)
	if !l.sequencer.stale {
		err = errors.Join(err, l.ledger.save())
	}
	l.abandon()
	err = errors.Join(err, l.index.Close(), l.cfg.Engine.Close(ctx), l.caches.Close())
	if err != nil {
		return fmt.Errorf("closing the log: %w", err)
	}
	return nil
}

// loaded is what a process must have read of a tree before it writes to the tree. [Open]
// reads all of it. A standby keeps it up to date with the published tree, so that
// the log opens quickly.
type loaded struct {
	tree   *chain.Tree
	index  *entries.Index
	ledger *liveLedger
}

// load reads the tree of this size with the help of the caches. The tree must extend
// head. active: see liveLedger.open.
func load(ctx context.Context, caches *state.Dir, r tlog.TileReader, active bool, head *tlog.Head, size uint64, logger *slog.Logger) (_ *loaded, err error) {
	w := &loaded{ledger: &liveLedger{origin: head.Origin, caches: caches, pages: entries.NewPages(r), logger: logger, admitted: head.Size}}
	if w.index, err = entries.OpenIndex(caches.Path("events"), r, logger); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.index.Close())
		}
	}()
	if w.tree, err = chain.Load(ctx, r, head); err != nil {
		return nil, err
	}
	// The right edge of the head is sound, so its entries can be read.
	if err := w.index.Load(ctx, head.Size); err != nil {
		return nil, err
	}
	if err := w.tree.Extend(ctx, size, w.index.AddEntry); err != nil {
		return nil, err
	}
	return w, w.ledger.open(ctx, w.tree, active)
}

// follow reads on up to this size of the tree, which must extend head. After an error
// w is unusable.
func (w *loaded) follow(ctx context.Context, head *tlog.Head, size uint64) error {
	for _, to := range []uint64{head.Size, size} {
		if err := w.tree.Extend(ctx, to, w.index.AddEntry); err != nil {
			return err
		}
		if e := w.tree.Edge(); to == head.Size && e.Root != head.Root {
			return fmt.Errorf("%w (its root at size %d is not that of the head)", ErrTreeConflict, to)
		}
	}
	w.ledger.admitted = head.Size
	return w.ledger.follow(ctx, w.tree)
}

// use makes the engine the reader from now on, and reads on up to this size of its
// tree, which must extend head. After an error w is unusable.
func (w *loaded) use(ctx context.Context, engine Engine, head *tlog.Head, size uint64) error {
	// A head smaller than what was read comes from a restored state.
	if head.Size < w.tree.Size() {
		return fmt.Errorf("%w (the tree has %d entries, the head %d, and %d were read before)", ErrTreeBehind, size, head.Size, w.tree.Size())
	}
	w.tree.Use(engine)
	w.index.Use(engine)
	w.ledger.pages.Use(engine)
	if err := w.follow(ctx, head, size); err != nil {
		return err
	}
	w.ledger.Query(func(_ *ledger.Ledger, a *duty.Agenda) { a.CheckIdle() })
	return nil
}

// takeOver lets the operator's recovery take the log over: it logs the recovery, unless
// that is logged, and has its keys sign the recorded head, so that its witnesses can be
// asked whether they know a later one. Nothing else writes to tree and record yet.
func (w *loaded) takeOver(ctx context.Context, cfg *Config, h *chain.Head, clock *cosign.Clock) error {
	env, err := event.ParseEnvelope(cfg.Recovery)
	if err != nil {
		return err
	}
	c, err := w.ledger.recovers(env)
	if err != nil {
		return err
	}
	if pub, err := h.Record.LastPublished(ctx); err == nil && pub != nil && pub.Size > c.Index {
		cfg.Logger.Info("this recovery took the log over before", "version", c.Version, "entry", c.Index)
		_, _, err = h.Record.Head(ctx, chain.Verifiers(cfg.Keys))
		return err
	}
	keys, err := chain.Signers(cfg.Keys, c.LogKeys)
	if err != nil {
		return err
	}
	// Any envelope of this event may be logged, with fewer signatures too: c then has its
	// place and the signatures of both.
	if c.Index == w.tree.Size() {
		if err := w.enter(ctx, env); err != nil {
			return err
		}
	}
	w.ledger.takeOver(c)
	// A charter at its size, or the recovery, must name a key that signed the head.
	v, size := w.ledger.view.Load(), h.Signed().Size
	if err := h.SignedBy(ctx, slices.Concat(v.at(size).LogKeys, v.at(max(size, 1)-1).LogKeys, v.recovery.LogKeys)); err != nil {
		return err
	}
	if err := h.Resign(ctx, keys, clock.Now()); err != nil {
		return err
	}
	cfg.Logger.Warn("a recovery takes the log over: its heads meet this charter alone",
		"version", c.Version, "entry", c.Index, "event", event.Digest(env.Hash()).String())
	return nil
}

// enter logs an envelope that the rules admit.
func (w *loaded) enter(ctx context.Context, env *event.Envelope) error {
	ev, index := newAdmitted(env, env.Bytes()), w.tree.Size()
	if err := w.ledger.add(ev.next(), ev.entry); err != nil {
		return err
	}
	if err := w.tree.Append(ctx, [][]byte{ev.entry}, []tiles.Hash{ev.leaf}); err != nil {
		return err
	}
	w.index.Add(index, ev.hash)
	w.ledger.commit(w.tree)
	return nil
}

// close writes the caches.
func (w *loaded) close() error { return errors.Join(w.ledger.save(), w.index.Close()) }
