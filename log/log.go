// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package log is the provider's part: it admits signed events, has an [Engine]
// sequence them, signs the growing tree, gathers the cosignatures of a witness
// quorum and only then publishes.
//
// Nobody trusts the provider, since every lie is visible; the provider in turn
// trusts nothing but its own recorded head. What the package promises:
//
//   - An event that was acknowledged is in every later tree that is published.
//   - No two heads that it signs conflict, whatever was restored or raced. What
//     it signs is the tree that it computed itself, from the last head that it
//     durably recorded, in a store apart from the tree; before its first
//     signature after a start, it offers that head again to its witnesses, and
//     needs answers from so many that no quorum can have seen a later one.
//   - It publishes no head that does not meet the witness policy, and
//     /checkpoint never goes back.
//   - In any doubt it publishes nothing and says why. It goes on by itself once
//     the reason is gone, unless the reason is one that time can't mend.
//
// What it must remember is a [State], by default files in a directory. Several
// instances can share a State in a database. Each is a [Standby] that serves what is
// published; the active one also has the log open.
//
// Data flows one way: admission (parse, check, verify) -> sequencer (order, drop
// what is already there, append, compare what the engine wrote) -> publisher
// (record, sign, cosign, publish) -> whoever waits for its proof.
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
	"golang.org/x/sync/semaphore"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/vault"
)

// Config configures [Open].
type Config struct {
	// StateDir is what [Init] made. It must not be within the engine's
	// directory, so that no restore brings both back to the same moment
	// unnoticed. With another State it has only what can be computed again,
	// and is made if it is not there.
	StateDir string
	// State, if not nil, is used instead of the files in StateDir. It stays the
	// caller's.
	State State
	// Engine is the tree. The log closes it.
	Engine Engine
	// Keys are the log's note keys. Those sign that the charter in force names;
	// until a head with new ones is published, the old ones must be here too.
	Keys []*tlog.Signer
	// Vault keeps what is to be disclosed. It stays the caller's.
	Vault *vault.Vault
	// Provider signs anchors and disclosures: an event key of a provider that
	// the charter names. nil: the log logs neither, and somebody else must.
	Provider event.Signer
	// Policy, if not nil, is a witness policy that published heads must meet
	// beside those of the charters, and says where witnesses are: a URL in it
	// counts before one in a charter. Each witness that is to be asked has a
	// URL; those that share one are asked together.
	Policy *tlog.Policy
	// Recovery, if not nil, is the exact bytes of an amendment that as many charter
	// keys have signed as the charter before it asks of a recovery, and that the
	// operator has decided to accept: for a log whose key is lost, or whose
	// witnesses are. Open logs it, unless it is logged. The head that first contains
	// it meets its policy alone, and is signed by its keys alone.
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
	// MaxInFlight is how many events, submitted one by one, may be on their
	// way from admission to their answer. 0: 8192.
	MaxInFlight int64
	// MaxInFlightBytes is how many bytes those may have. 0: 64 MiB.
	MaxInFlightBytes int64
	// MaxStreams is how many NDJSON requests are served at once, each with at
	// most 8 MiB of events on their way. 0: 16.
	MaxStreams int
	// StreamIdle is how long a stream may stand still before it is cut off.
	// 0: 30 s.
	StreamIdle time.Duration

	// Logger gets what the operator should know. nil: slog.Default().
	Logger *slog.Logger
	// Registry gets the metrics. nil: they are counted, and not shown.
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
		c.HTTP = witnessHTTP()
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
	origin    string
	caches    *stateDir
	index     *eventIndex
	admission *admission
	book      *book
	clock     *clock
	sequencer *sequencer
	publisher *publisher
	keeper    *keeper
	reads     *reads
	status    *status
	metrics   *metrics

	inFlight *semaphore.Weighted // one for each event that is submitted alone
	bytes    *semaphore.Weighted // their bytes
	streams  *semaphore.Weighted

	draining   context.Context // ends with admission
	drain      context.CancelFunc
	working    context.Context // ends with Stop
	abandon    context.CancelFunc
	sequencing sync.WaitGroup
	keeping    sync.WaitGroup
}

// Open starts the log in cfg.StateDir. It refuses a tree that does not contain
// the recorded head, with an error that says what happened and what to do:
// [ErrTreeBehind], [ErrTreeConflict]; and a second instance. When it returns, reads are served; events are admitted once enough
// witnesses have been heard. ctx bounds the opening only. After an error the
// engine is still the caller's to close.
func Open(ctx context.Context, cfg Config) (*Log, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	dir, err := openStateDir(cfg.StateDir, cfg.State != nil, false)
	if err != nil {
		return nil, err
	}
	if cfg.State == nil {
		cfg.State = dir
	}
	l, err := open(ctx, cfg, dir, func() *loaded { return nil })
	if err != nil {
		return nil, errors.Join(err, dir.close())
	}
	l.start()
	return l, nil
}

// open loads all parts, and starts none. followed hands over what was read of the tree
// before, or nil.
func open(ctx context.Context, cfg Config, caches *stateDir, followed func() *loaded) (*Log, error) {
	st := record{cfg.State}
	if err := st.checkKeys(cfg.Keys); err != nil {
		return nil, err
	}
	l := &Log{
		cfg:     cfg,
		origin:  st.Settings().Origin,
		caches:  caches,
		status:  newStatus(cfg.State.Held),
		metrics: newMetrics(),
		clock:   &clock{logger: cfg.Logger},

		inFlight: semaphore.NewWeighted(cfg.MaxInFlight),
		bytes:    semaphore.NewWeighted(cfg.MaxInFlightBytes),
		streams:  semaphore.NewWeighted(int64(cfg.MaxStreams)),
	}
	head, err := loadHead(ctx, st, cfg.Keys, l.clock, cfg.Recovery != nil)
	if err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	signed := &head.signed.Head
	size, _, err := cfg.Engine.Tree(ctx)
	if err != nil {
		return nil, fmt.Errorf("opening the log: %w", treeError(err))
	}
	if size < signed.Size {
		return nil, fmt.Errorf("opening the log: %w (the tree has %d entries, the head %d)", ErrTreeBehind, size, signed.Size)
	}
	w := followed()
	if w == nil {
		if w, err = load(ctx, caches, cfg.Engine, signed, size, cfg.Logger); err != nil {
			return nil, fmt.Errorf("opening the log: %w", err)
		}
	} else {
		err = w.use(ctx, cfg.Engine, signed, size)
	}
	if err == nil {
		w.tree.engine, w.book.metrics, l.index, l.book = cfg.Engine, l.metrics, w.index, w.book
		err = l.assemble(ctx, w.tree, head)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the log: %w", errors.Join(err, w.index.close()))
	}
	return l, nil
}

// assemble makes the parts of what was read of the tree.
func (l *Log) assemble(ctx context.Context, tree *tree, head *head) (err error) {
	if l.cfg.Recovery != nil {
		if err := l.takeOver(ctx, tree, head); err != nil {
			return fmt.Errorf("the recovery: %w", err)
		}
	}
	l.admission = &admission{origin: l.origin, book: l.book, clock: l.clock}
	if l.publisher, err = newPublisher(ctx, l.cfg, head, l.book, l.clock, l.status, l.metrics); err != nil {
		return err
	}
	l.reads = &reads{&l.publisher.published, l.cfg.Engine, l.publisher.prover, l.cfg.Logger}
	l.sequencer = newSequencer(l.cfg, tree, l.book, l.index, l.status, l.metrics, l.publisher.wake)
	l.keeper = newKeeper(l.cfg, l.book, l.publisher, l.sequencer, l.clock, l.metrics)
	if err := l.keeper.clean(ctx); err != nil {
		return err
	}
	l.warn()
	return l.metrics.show(l.cfg.Registry)
}

// warn says what this configuration leaves to others.
func (l *Log) warn() {
	c, key := l.book.view.Load().inForce(), l.cfg.Provider
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
	l.draining, l.drain = context.WithCancel(ctx)
	l.working, l.abandon = context.WithCancel(context.Background())
	l.sequencing.Go(func() { l.sequencer.run(l.working) })
	go l.publisher.run(ctx)
	l.keeping.Go(func() { l.keeper.run(l.draining) })
}

// Origin returns the log's origin.
func (l *Log) Origin() string { return l.origin }

// Err returns nil if the log admits events, else why it does not.
func (l *Log) Err() error { return l.status.err() }

// Drain stops admission, for good. What was admitted is still sequenced,
// published and answered, and reads are served until [Log.Close].
func (l *Log) Drain() {
	l.status.close()
	l.drain()
}

// Stop ends all work at once, for good, since this process may not write any more:
// nothing is sequenced, signed or published after what is just being written, and
// all that is under way is answered with the reason, or with where it is in the
// tree. [Log.Close] is still to be called, and takes no time then.
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
		err = errors.Join(err, l.book.save())
	}
	l.abandon()
	l.metrics.hide(l.cfg.Registry)
	err = errors.Join(err, l.index.close(), l.cfg.Engine.Close(ctx), l.caches.close())
	if err != nil {
		return fmt.Errorf("closing the log: %w", err)
	}
	return nil
}
