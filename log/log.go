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
//     no quorum can have seen a later one.
//   - It publishes no head that does not meet the witness policy, and
//     /checkpoint never goes back.
//   - In any doubt it publishes nothing and says why. It goes on by itself once
//     the reason is gone, unless only an operator can remove the reason.
//
// What it must remember is a [state.Store], by default files in a directory. Several
// instances can share a store in a database. Each of them is a [Standby] that serves
// what is published; the active one also has the log open.
//
// Data flows one way. http.go, http_events.go and stream.go take requests; submit.go
// takes an event through admission.go (parse, verify, check), sequencer.go (order, drop
// what is already there, append) and publisher.go (sign, record, cosign, publish) to
// its answer. What these share stands below them: ledger.go (the rules, applied in
// order), loaded.go (what was read of the tree at the start), reads.go, status.go,
// metrics.go. Packages internal/chain (tree and head), internal/entries,
// internal/cosign (witnesses) and duty (anchors and disclosures) know nothing of this
// one. Package recover creates and repairs a log offline.
package log

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vasistas/vasistas/log/duty"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/internal/chain"
	"github.com/vasistas/vasistas/log/internal/cosign"
	"github.com/vasistas/vasistas/log/internal/entries"
	"github.com/vasistas/vasistas/log/state"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/vault"
)

// Config configures [Open].
type Config struct {
	// StateDir has the state of a created log. It must not be within the engine's
	// directory: a restore would bring both back to the same moment, unnoticed. With
	// another State, StateDir has only caches, and is made if needed.
	StateDir string
	// State, if not nil, is used instead of the files in StateDir. It stays the
	// caller's.
	State state.Store
	// Engine is the tree. The log closes it.
	Engine Engine
	// Keys are the log's note keys. Those that the charter in force names sign; until
	// a head with new keys is published, the old ones must be here too.
	Keys []*tlog.Signer
	// Vault keeps what is to be disclosed. It stays the caller's.
	Vault *vault.Vault
	// Provider signs anchors and disclosures: an event key of a provider that
	// the charter names. nil: the log logs neither, and another provider must.
	Provider event.Signer
	// Policy, if not nil, is a witness policy that published heads must meet in
	// addition to those of the charters. It says where witnesses are: a URL in it
	// counts before one in a charter. Each witness that is to be asked has a
	// URL; those that share one are asked together.
	Policy *tlog.Policy
	// Recovery, if not nil, is the exact bytes of an amendment that the operator has
	// decided to accept, for a log that has lost its key or its witnesses. As many
	// charter keys have signed it as the charter before it asks of a recovery. Open
	// logs it, unless it is logged. The head that first contains it meets its policy
	// alone, and is signed by its keys alone.
	Recovery []byte

	// Interval is the least time between two signed heads. 0: 200 ms.
	Interval time.Duration
	// Refresh is how old the cosignatures of an idle log get before they are
	// gathered again. 0: one minute.
	Refresh time.Duration
	// WitnessTimeout is how long a witness may take to answer. 0: 5 s.
	WitnessTimeout time.Duration
	// MaxWait is how long a submitter may wait for a cosigned head. 0: 30 s.
	MaxWait time.Duration
	// MaxBatch is how many entries the engine is given at once. 0: 1024.
	MaxBatch int
	// MaxInFlight is how many events, submitted one by one, may be between
	// admission and their answer. 0: 8192.
	MaxInFlight int64
	// MaxInFlightBytes is how many bytes those may have. 0: 64 MiB.
	MaxInFlightBytes int64
	// MaxStreams is how many NDJSON requests are served at once, each with at
	// most 8 MiB of unanswered events. 0: 16.
	MaxStreams int
	// StreamIdle is how long a stream may stand still before it is cut off.
	// 0: 30 s.
	StreamIdle time.Duration

	// Logger gets what the operator should know. nil: slog.Default().
	Logger *slog.Logger
	// Registry gets the metrics. nil: they are counted and not shown.
	Registry prometheus.Registerer
	// HTTP is used to ask witnesses. nil: a client of its own.
	HTTP *http.Client
}

func (c Config) withDefaults() Config {
	c.Interval = cmp.Or(c.Interval, 200*time.Millisecond)
	c.Refresh = cmp.Or(c.Refresh, time.Minute)
	c.WitnessTimeout = cmp.Or(c.WitnessTimeout, 5*time.Second)
	c.MaxWait = cmp.Or(c.MaxWait, 30*time.Second)
	c.StreamIdle = cmp.Or(c.StreamIdle, 30*time.Second)
	c.MaxBatch = cmp.Or(c.MaxBatch, DefaultMaxBatch)
	c.MaxInFlight = cmp.Or(c.MaxInFlight, 8192)
	c.MaxInFlightBytes = cmp.Or(c.MaxInFlightBytes, 64<<20)
	c.MaxStreams = cmp.Or(c.MaxStreams, 16)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	if c.HTTP == nil {
		c.HTTP = cosign.NewHTTP()
	}
	return c
}

// check refuses a configuration that can't work.
func (c *Config) check() error {
	switch {
	case c.Engine == nil:
		return errors.New("it needs an engine")
	case c.Vault == nil:
		return errors.New("it needs a vault")
	case c.Interval < 0 || c.Refresh < 0 || c.WitnessTimeout < 0 || c.MaxWait < 0 || c.StreamIdle < 0,
		c.MaxBatch < 0 || c.MaxInFlight < 0 || c.MaxInFlightBytes < 0 || c.MaxStreams < 0:
		return errors.New("a limit or a duration is negative")
	}
	return nil
}

// DefaultMaxBatch is the default of Config.MaxBatch.
const DefaultMaxBatch = 1024

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
	reads     *reads
	status    *status
	metrics   *metrics

	drain      context.CancelFunc // ends admission
	abandon    context.CancelFunc // ends the sequencer's work
	sequencing sync.WaitGroup
	keeping    sync.WaitGroup
}

// Open starts the log in cfg.StateDir. It refuses a tree that does not contain the
// recorded head, with an error that says what happened and what to do
// ([ErrTreeBehind], [ErrTreeConflict]), and a second instance. When it returns, reads
// are served; events are admitted once enough witnesses have been heard. ctx bounds
// the opening only. After an error the engine is still the caller's to close.
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
		status: newStatus(cfg.State.Held), metrics: newMetrics(),
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
	clock := &cosign.Clock{Logger: l.cfg.Logger}
	if l.cfg.Recovery != nil {
		if err := w.takeOver(ctx, &l.cfg, head, clock); err != nil {
			return fmt.Errorf("the recovery: %w", err)
		}
	}
	if l.publisher, err = newPublisher(ctx, l.cfg, head, l.ledger, clock, l.status, l.metrics); err != nil {
		return err
	}
	l.reads = &reads{&l.publisher.published, l.cfg.Engine, l.publisher.prover, l.cfg.Logger}
	l.sequencer = newSequencer(l.cfg, w.tree, l.ledger, l.index, l.status, l.metrics, l.publisher.wake)
	l.intake = newIntake(l, &admission{origin: l.Origin(), ledger: l.ledger, clock: clock})
	l.keeper = duty.New(duty.Config{
		Origin: l.Origin(), Vault: l.cfg.Vault, Signer: l.cfg.Provider, Log: ownEvents{l.ledger, l.sequencer},
		Feed: l.publisher, Now: clock.Now, Metrics: l.metrics, Logger: l.cfg.Logger,
	})
	if err := l.keeper.Clean(ctx); err != nil {
		return err
	}
	l.warn()
	return l.metrics.show(l.cfg.Registry)
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
	working, abandon := context.WithCancel(context.Background())
	l.abandon = abandon
	l.sequencing.Go(func() { l.sequencer.run(working) })
	go l.publisher.run(ctx)
	l.keeping.Go(func() { l.keeper.Run(l.intake.draining) })
}

// Submit admits one event, given in the encoding of [event.Submission], and waits.
// For the errors, see problemOf.
func (l *Log) Submit(ctx context.Context, submission []byte, wait Wait) (*Result, error) {
	return l.intake.submit(ctx, submission, wait)
}

// Handler returns the log's HTTP interface: POST /events, GET /charter, and the reads
// of tlog-tiles for what is published. It has no metrics, profiles and the like. The
// server should bound headers, idle connections and the time of a request; a stream
// moves its deadlines by itself.
//
// Paths are compared as they are sent: no other spelling of one is known, and
// nothing is ever mapped onto a directory.
func (l *Log) Handler() http.Handler {
	events := func(w http.ResponseWriter, r *http.Request) error { return serveEvents(l.intake, w, r) }
	return handler(events, l.reads, l.status.err)
}

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

// Stop ends all work at once, for good, because this process may not write any more.
// Nothing is sequenced, signed or published after what is just being written. Each
// event under way is answered with the reason, or with its place in the tree.
// [Log.Close] must still be called, and takes no time then.
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
	l.metrics.hide(l.cfg.Registry)
	err = errors.Join(err, l.index.Close(), l.cfg.Engine.Close(ctx), l.caches.Close())
	if err != nil {
		return fmt.Errorf("closing the log: %w", err)
	}
	return nil
}
