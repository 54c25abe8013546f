// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/replica"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// Config says which log, whose gate, and where its state is.
type Config struct {
	// Dir is the state directory, made by [Create].
	Dir string
	// URL of the log; Source, if not nil, is read in its place.
	URL    string
	Source client.Source
	// Origin of the log, and the keys that it signs heads with: those of its
	// first charter, and later ones that this gate could not see announced.
	Origin  string
	LogKeys []*tlog.VerifierKey
	// Founded is the leaf hash of the log's first charter.
	Founded tlog.Hash
	// Signer is the custodian's event key, Keys the gate's own keys.
	Signer event.Signer
	Keys   []KeyHolder

	// Poll is the pause between two looks at the log, and between two tries to
	// post what the log does not take. 0: a second.
	Poll time.Duration
	// Timeout of one request to the log; a release waits for its publication so
	// long. 0: 30 seconds.
	Timeout time.Duration
	// Requests is how many requests are judged at a time; others wait, up to 16
	// times as many. 0: 64.
	Requests int
	// HTTPClient for the log. nil: one with limits.
	HTTPClient *http.Client

	Logger   *slog.Logger          // nil: none
	Registry prometheus.Registerer // nil: none
}

func (c *Config) setDefaults() error {
	switch {
	case c.Dir == "" || c.Origin == "" || len(c.LogKeys) == 0:
		return errors.New("gate: the state directory, the log's origin and its keys must be given")
	case c.URL == "" && c.Source == nil:
		return errors.New("gate: the log's URL must be given")
	case c.Signer == nil || len(c.Keys) == 0:
		return errors.New("gate: the custodian's event key and the gate's keys must be given")
	}
	c.Poll = cmp.Or(max(c.Poll, 0), time.Second)
	c.Timeout = cmp.Or(max(c.Timeout, 0), 30*time.Second)
	c.Requests = cmp.Or(max(c.Requests, 0), 64)
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	return nil
}

// Gate is a running gate. It is safe for concurrent use.
type Gate struct {
	cfg     Config
	dir     *durable.Lock
	journal *journal
	metrics *metrics

	// lock is held by whoever uses book. It is a channel, so that waiting for it
	// can be given up.
	lock   chan struct{}
	book   *book
	client atomic.Pointer[client.Client] // book's

	slots   chan struct{} // requests that are judged
	queue   chan struct{} // requests that are judged or wait
	posting sync.Mutex    // held by whoever posts the outbox

	stop context.CancelFunc
	done sync.WaitGroup

	mu     sync.Mutex
	lately error // of the last look at the log

	disclosing time.Time // when to look for overdue notices again; run's alone
}

// Create makes the state directory of a new gate. A gate of a key that has signed
// before takes its chain up from the log instead: create, then [Gate.Resume].
func Create(c Config) error {
	if err := c.setDefaults(); err != nil {
		return err
	}
	if err := durable.MkdirAll(c.Dir, 0o700); err != nil {
		return err
	}
	lock, err := durable.LockDir(c.Dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	first := headRecord{Gate: c.Signer.KeyID(), Leaf: c.Founded}
	if err := createJournal(filepath.Join(c.Dir, journalFile), c.Signer.KeyID()); err != nil {
		return err
	}
	// The register comes last: with it the directory is a gate's.
	_, err = durable.CreateRegister(filepath.Join(c.Dir, headFile), maxHead, first.bytes())
	return err
}

// Open takes up a gate's state. Nothing is signed before [Gate.Start].
func Open(c Config) (_ *Gate, err error) {
	if err := c.setDefaults(); err != nil {
		return nil, err
	}
	g := &Gate{cfg: c, lock: make(chan struct{}, 1), metrics: newMetrics(),
		slots: make(chan struct{}, c.Requests), queue: make(chan struct{}, 17*c.Requests)}
	if g.dir, err = durable.LockDir(c.Dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.release())
		}
	}()
	b := &book{cfg: &g.cfg}
	for _, k := range c.LogKeys {
		b.addKey(k)
	}
	if b.register, err = durable.OpenRegister(filepath.Join(c.Dir, headFile), maxHead); err != nil {
		return nil, err
	}
	if g.journal, err = openJournal(filepath.Join(c.Dir, journalFile), c.Signer.KeyID()); err != nil {
		return nil, err
	}
	if n := g.journal.j.Truncated(); n > 0 {
		c.Logger.Warn("the end of the journal was cut off, as a crash leaves it", "bytes", n)
	}
	b.own = g.journal.seen
	if err := b.load(c.Dir); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(c.Dir, forkFile)); err == nil {
		b.stopped = ErrForked
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	g.book = b
	g.client.Store(b.client)
	if c.Registry != nil {
		if err := g.metrics.register(c.Registry, g); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// Start lets the gate follow the log and post what it owes, until Close.
func (g *Gate) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	g.stop = cancel
	g.done.Go(func() { g.run(ctx) })
}

// Close ends the gate. Requests under way should have ended.
func (g *Gate) Close() error {
	if g.stop != nil {
		g.stop()
	}
	g.done.Wait()
	err := g.with(context.Background(), func(b *book) error { return g.save(b, 1) })
	return errors.Join(err, g.release())
}

// release gives back what Open has taken.
func (g *Gate) release() error {
	var err error
	if g.journal != nil {
		err = g.journal.close()
	}
	return errors.Join(err, g.dir.Close())
}

// saveEvery is how many entries lie between two snapshots of the ledger.
const saveEvery = 1 << 14

// run looks at the log again and again.
func (g *Gate) run(ctx context.Context) {
	tick := time.NewTicker(g.cfg.Poll)
	defer tick.Stop()
	for {
		err := g.round(ctx)
		g.mu.Lock()
		if err != nil && ctx.Err() == nil && (g.lately == nil || g.lately.Error() != err.Error()) {
			g.cfg.Logger.Warn("following the log", "err", err)
		}
		g.lately = err
		g.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// round follows the log, and posts what is due.
func (g *Gate) round(ctx context.Context) error {
	err := g.with(ctx, func(b *book) error {
		if err := g.follow(ctx, b, time.Now()); err != nil {
			return err
		}
		if err := errors.Join(g.beat(b), g.disclose(b)); err != nil {
			return err
		}
		return g.save(b, saveEvery)
	})
	g.metrics.look(err)
	if err != nil {
		return err
	}
	return errors.Join(g.post(ctx), g.forward(ctx))
}

// save records what is known to be logged, and then the ledger: one that is ahead of
// the journal would never be shown those entries again.
func (g *Gate) save(b *book, every uint64) error {
	if err := g.journal.flush(); err != nil {
		return err
	}
	return b.save(g.cfg.Dir, every)
}

// with calls do with the book.
func (g *Gate) with(ctx context.Context, do func(*book) error) error {
	select {
	case g.lock <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-g.lock }()
	return do(g.book)
}

// follow brings the book up to a head that the log has published after a time, and
// holds the chain against the journal.
func (g *Gate) follow(ctx context.Context, b *book, since time.Time) error {
	if b.stopped != nil {
		return b.stopped
	}
	if err := g.journal.failed(); err != nil {
		return err
	}
	if !b.followed.Before(since) {
		return nil
	}
	err := b.sync(ctx)
	g.client.Store(b.client)
	if err != nil {
		return err
	}
	if chain, ok := b.ledger.Chain(g.cfg.Signer.KeyID()); ok {
		err = b.stop(g.journal.fits(chain))
	}
	return err
}

// custodian returns who this gate is under the charter in force.
func (g *Gate) custodian(b *book) (string, error) {
	p := b.ledger.Charter().Signer(g.cfg.Signer.KeyID(), b.ledger.Size())
	if p == nil || p.Role != event.RoleCustodian {
		return "", ErrNoCustodian
	}
	return p.Name, nil
}

// fresh is [replica.Fresh] with a refusal for its error.
func fresh(size, loggedAfter uint64, c *ledger.Charter, now time.Time) error {
	err := replica.Fresh(size, loggedAfter, c, now)
	if old, ok := errors.AsType[*replica.FreshnessError](err); !ok {
		return err
	} else if old.Behind() {
		return refuse(CodeClock, "%w", err)
	}
	return refuse(CodeStale, "%w", err)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Ready says why the gate would open nothing at present, nil if it would.
func (g *Gate) Ready() error {
	g.mu.Lock()
	err := g.lately
	g.mu.Unlock()
	if err == nil {
		err = g.journal.failed()
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return g.with(ctx, func(b *book) error {
		switch {
		case b.stopped != nil:
			return b.stopped
		case b.head == nil || b.head.Checkpoint.Size != b.ledger.Size():
			return errBehind
		}
		if _, err := g.custodian(b); err != nil {
			return err
		}
		if err := fresh(b.head.Checkpoint.Size, b.head.LoggedAfter, b.ledger.Charter(), time.Now()); err != nil {
			return err
		}
		if list := b.pending(); len(list) > 0 {
			return fmt.Errorf("%d changes of who is trusted wait for confirmation, the first is %s", len(list), list[0].Name)
		}
		return nil
	})
}
