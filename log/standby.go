// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/metrics"
	"github.com/vasistas/vasistas/internal/tiles/prover"
	"github.com/vasistas/vasistas/log/internal/chain"
	"github.com/vasistas/vasistas/log/state"
	"github.com/vasistas/vasistas/log/tlog"
)

// ErrPublishedBehind: the state's published checkpoint is smaller than, or conflicts with,
// the one that this instance has served.
var ErrPublishedBehind = errors.New("the state has an earlier or another published checkpoint than this instance has served: " +
	"the database was restored from an older backup; the last one is still served, and no log is opened here; " +
	"stop all instances and bring the later entries back with \"vasistas-log recover -from MIRROR\"")

const (
	// standbyRefresh is the time between two reads of the published checkpoint.
	standbyRefresh = 100 * time.Millisecond
	// standbyTimeout bounds such a read.
	standbyTimeout = 2 * time.Second
	// warmPause is how long a standby waits after it could not follow the tree.
	warmPause = 5 * time.Second
)

// Standby is one of several instances of a log that share its state and its tree. It
// serves what is published, and follows the published tree, so that it can quickly
// become the active instance, which has the log open, admits events, signs and
// publishes. A lease decides which instance is active; see package pgstate.
//
// What it promises:
//
//   - While it is not active it writes nothing to state or tree, and refuses events.
//   - Its /checkpoint never goes back, whatever happens to the state.
//   - It does not open the log over a state that is behind what it has served.
type Standby struct {
	cfg       StandbyConfig
	file      string     // remembers the checkpoint across restarts
	caches    *state.Dir // with the lock
	published atomic.Pointer[publication]
	audited   atomic.Pointer[page] // what met the audit policy last; written by refresh
	reads     *reads
	metrics   standbyMetrics

	grown chan struct{} // has room for one: the published tree has grown
	turn  chan struct{} // has room for one: the goroutine that filled it owns loaded
	// loaded follows the published tree; nil: not read yet.
	loaded *loaded

	refreshing sync.Mutex     // held by refresh
	requests   sync.WaitGroup // with events, under way in log

	mu      sync.RWMutex // guards what follows
	log     *Log         // nil: not active, or about to be
	unread  error        // why the published checkpoint can't be read
	shown   uint64       // see state.Published
	refused error        // why the last attempt to become active failed
}

// StandbyConfig configures [NewStandby].
type StandbyConfig struct {
	State state.Store // for reading
	// Tiles has at least the tree that is published.
	Tiles tlog.TileReader
	// Dir is this instance's own. It has the checkpoint that was served last and the
	// log's caches, and is made if needed.
	Dir string
	// Shutdown is how long the log may go on publishing after the context of Act has
	// ended. 0: 15 s.
	Shutdown time.Duration
	// Logger: nil means slog.Default().
	Logger *slog.Logger
}

type standbyMetrics struct {
	metrics.Set
	active, terms, served, followed *metrics.Metric
}

// NewStandby restores what this instance served last. The caller closes the Standby.
func NewStandby(cfg StandbyConfig) (*Standby, error) {
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	cfg.Shutdown = cmp.Or(cfg.Shutdown, 15*time.Second)
	caches, err := state.OpenCaches(cfg.Dir)
	if err != nil {
		return nil, err
	}
	s := &Standby{cfg: cfg, file: caches.Path("served"), caches: caches, grown: make(chan struct{}, 1), turn: make(chan struct{}, 1)}
	s.reads = &reads{&s.published, s.audits, cfg.Tiles, prover.New(cfg.Tiles, 1024), s.behind, cfg.Logger}
	m := &s.metrics
	m.active = m.Gauge("vasistas_log_active", "1 if this instance has the log open.")
	m.terms = m.Counter("vasistas_log_terms_total", "Terms of this instance that ended: given up, lost, or refused since the log could not be opened.", "outcome")
	m.served = m.Gauge("vasistas_log_served_size", "Entries in the checkpoint that this instance serves.")
	m.followed = m.Gauge("vasistas_log_followed_size", "Entries that this instance has read as a standby, and need not read to become active.")
	if err := s.restore(); err != nil {
		return nil, errors.Join(err, caches.Close())
	}
	return s, nil
}

// restore reads what was served last.
func (s *Standby) restore() error {
	b, err := os.ReadFile(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("reading what was served last: %w", err)
	}
	pub, err := s.parse(b)
	if err != nil {
		return fmt.Errorf("%s, what was served last, is damaged; remove it: %w", s.file, err)
	}
	s.published.Store(pub)
	return nil
}

// The file is the index of the charter, a line feed, and the checkpoint.
func (s *Standby) parse(b []byte) (*publication, error) {
	text := bytes.IndexByte(b, '\n') + 1
	charter, err := tlog.ParseTreeSize(b[:text])
	if err != nil {
		return nil, fmt.Errorf("%q is no index of a charter", b[:text])
	}
	return s.publication(state.Published{Checkpoint: b[text:], Charter: charter})
}

func (s *Standby) publication(p state.Published) (*publication, error) {
	cp, err := chain.Record{Store: s.cfg.State}.Parse(p.Checkpoint)
	if err == nil && p.Charter >= cp.Size {
		err = fmt.Errorf("the charter in force is entry %d of %d", p.Charter, cp.Size)
	}
	if err != nil {
		return nil, err
	}
	return &publication{checkpoint: cp, bytes: p.Checkpoint, charter: p.Charter}, nil
}

// Follow keeps up with what is published until ctx ends.
func (s *Standby) Follow(ctx context.Context) {
	var warm sync.WaitGroup
	defer warm.Wait()
	warm.Go(func() { s.keepWarm(ctx) })
	tick := time.NewTicker(standbyRefresh)
	defer tick.Stop()
	for ctx.Err() == nil {
		err := s.refresh(ctx)
		s.mu.Lock()
		news := fmt.Sprint(s.unread) != fmt.Sprint(err)
		s.unread = err
		s.mu.Unlock()
		switch {
		case news && err != nil:
			s.cfg.Logger.Error("what is published can't be read; serving what was read last", "err", err)
		case news:
			s.cfg.Logger.Info("what is published can be read again")
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// refresh reads the published checkpoint and serves it. After an error the one before
// is still served.
func (s *Standby) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, standbyTimeout)
	defer cancel()
	s.refreshing.Lock()
	defer s.refreshing.Unlock()
	p, err := s.cfg.State.Published(ctx)
	if err != nil {
		return fmt.Errorf("reading the published checkpoint: %w", err)
	}
	s.mu.Lock()
	s.shown = p.Shown
	s.mu.Unlock()
	last := s.published.Load()
	if p.Checkpoint == nil {
		if last != nil {
			return fmt.Errorf("%w (it has none, and one of %d entries was served)", ErrPublishedBehind, last.checkpoint.Size)
		}
		return nil
	}
	next, err := s.publication(p)
	if err != nil {
		return fmt.Errorf("the published checkpoint is damaged: %w", err)
	}
	is := &next.checkpoint.Head
	if last != nil {
		was := &last.checkpoint.Head
		if is.Size < was.Size || is.Size == was.Size && is.Root != was.Root {
			return fmt.Errorf("%w (it has one of %d entries, and one of %d was served)", ErrPublishedBehind, is.Size, was.Size)
		}
	}
	// A checkpoint is served only once a restart remembers it.
	if last == nil || last.checkpoint.Size < is.Size {
		if err := durable.WriteFile(s.file, fmt.Appendf(nil, "%d\n%s", next.charter, next.bytes), 0o600); err != nil {
			return fmt.Errorf("remembering what is to be served: %w", err)
		}
	}
	s.refreshAudited(p.Audited)
	s.published.Store(next)
	s.metrics.served.Set(float64(is.Size))
	if last == nil || last.checkpoint.Size < is.Size {
		nudge(s.grown)
	}
	return nil
}

// refreshAudited serves what the state has as audited. The state's copy never goes back,
// and one that is no checkpoint of a published size is not served.
func (s *Standby) refreshAudited(b []byte) {
	last := s.audited.Load()
	switch {
	case len(b) == 0:
		s.audited.Store(nil)
	case last != nil && bytes.Equal(last.body, b):
	default:
		if _, err := (chain.Record{Store: s.cfg.State}).Parse(b); err != nil {
			s.cfg.Logger.Error("the audited checkpoint in the state is damaged; serving the one before", "err", err)
			return
		}
		s.audited.Store(newPage(b))
	}
}

// audits returns what the active log serves of its rounds. An instance that is not active
// knows the audited checkpoint only.
func (s *Standby) audits() (*audits, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.log != nil {
		return s.log.rounds.audits()
	}
	return &audits{audited: s.audited.Load()}, errStandby
}

// keepWarm follows the published tree, except while the log is open.
func (s *Standby) keepWarm(ctx context.Context) {
	for nudge(s.grown); ; {
		select {
		case <-ctx.Done():
			return
		case <-s.grown:
		}
		if !s.take(ctx) {
			return
		}
		err := s.warm(ctx)
		<-s.turn
		if err == nil || ctx.Err() != nil {
			continue
		}
		s.cfg.Logger.Warn("the published tree can't be followed; becoming active would take longer", "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(warmPause):
			nudge(s.grown)
		}
	}
}

// take takes the turn, and returns false if ctx ends before.
func (s *Standby) take(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case s.turn <- struct{}{}:
		return true
	}
}

// warm reads the published tree; the caller must own the turn.
func (s *Standby) warm(ctx context.Context) (err error) {
	pub := s.published.Load()
	if pub == nil {
		return nil
	}
	head := &pub.checkpoint.Head
	if s.loaded == nil {
		s.loaded, err = load(ctx, s.caches, s.cfg.Tiles, false, head, head.Size, s.cfg.Logger)
	} else if err = s.loaded.follow(ctx, head, head.Size); err != nil {
		err = errors.Join(err, s.loaded.index.Close())
	}
	if err != nil {
		s.loaded = nil
		return err
	}
	s.metrics.followed.Set(float64(head.Size))
	if s.loaded.ledger.snapshotDue() {
		return s.loaded.ledger.save()
	}
	return nil
}

// Close writes the caches, and frees the directory. Follow and Act must have returned.
func (s *Standby) Close() (err error) {
	if s.loaded != nil {
		err = s.loaded.close()
	}
	return errors.Join(err, s.caches.Close())
}

// Act makes this instance the active one. It returns when the lease is over, after it
// stopped the log at once, or when ctx ends, after it closed the log in order. prepare
// opens what the log needs: it returns a configuration, whose StateDir is not used, and
// what to close after the log. The error says why the instance could not become active.
func (s *Standby) Act(ctx, lease context.Context, prepare func(context.Context) (Config, io.Closer, error)) error {
	logger := s.cfg.Logger
	logger.Info("this instance has the lease; opening the log")
	began := time.Now()
	opening, cancel := context.WithCancel(lease)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	if !s.take(opening) {
		return opening.Err()
	}
	defer func() { <-s.turn; nudge(s.grown) }()
	l, kept, err := s.open(opening, prepare)
	s.mu.Lock()
	s.log, s.refused = l, err
	s.mu.Unlock()
	if err != nil {
		s.metrics.terms.Add(1, "refused")
		logger.Error("this instance can't become active; giving the lease back", "err", err)
		return err
	}
	s.metrics.active.Set(1)
	logger.Info("active", "after", time.Since(began))
	why, outcome := s.hold(ctx, lease, l), "given up"
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Shutdown)
	defer cancel()
	if why != nil {
		outcome = "lost"
		logger.Warn("not active any more; the log is stopped", "why", why)
		l.Stop(state.ErrOusted)
		cancel()
	}
	s.end(closing, l)
	err = errors.Join(l.Close(closing), kept.Close())
	s.metrics.active.Set(0)
	s.metrics.terms.Add(1, outcome)
	logger.Info("the log is closed", "err", err)
	return nil
}

// open opens the log, with what was read of the tree before.
func (s *Standby) open(ctx context.Context, prepare func(context.Context) (Config, io.Closer, error)) (*Log, io.Closer, error) {
	// Never open the log over a state known to be old.
	if err := s.refresh(ctx); err != nil {
		return nil, nil, err
	}
	cfg, kept, err := prepare(ctx)
	if err != nil {
		return nil, nil, err
	}
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, nil, errors.Join(err, kept.Close())
	}
	l, err := open(ctx, cfg, state.NewDir(s.cfg.Dir), func() (w *loaded) {
		w, s.loaded = s.loaded, nil
		return w
	})
	if err != nil {
		return nil, nil, errors.Join(err, cfg.Engine.Close(context.WithoutCancel(ctx)), kept.Close())
	}
	l.start()
	return l, kept, nil
}

// hold waits until the instance must stop being active, and returns why; nil if ctx has
// ended.
func (s *Standby) hold(ctx, lease context.Context, l *Log) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-lease.Done():
			return context.Cause(lease)
		case <-tick.C:
			if err := l.Err(); errors.Is(err, state.ErrChanged) {
				return err // only opening the log again helps
			}
		}
	}
}

// end waits for the requests under way, and lets no more in; when ctx ends, the log
// answers them at once.
func (s *Standby) end(ctx context.Context, l *Log) {
	s.mu.Lock()
	s.log = nil
	s.mu.Unlock()
	l.Drain()
	defer context.AfterFunc(ctx, func() { l.Stop(ErrClosing) })()
	s.requests.Wait()
}

// Handler serves the log as [Log.Handler] does. Events are refused, and /readyz says so,
// unless the instance is active.
func (s *Standby) Handler() http.Handler { return handler(s.serveEvents, s.reads, s.ready) }

// Metrics returns the metrics of this instance, and of the log while it is active, as
// [Log.Metrics] does.
func (s *Standby) Metrics() []byte {
	s.mu.RLock()
	defer s.mu.RUnlock()
	text := s.metrics.Text()
	if s.log != nil {
		text = append(text, s.log.Metrics()...)
	}
	return text
}

func (s *Standby) serveEvents(w http.ResponseWriter, r *http.Request) error {
	s.mu.RLock()
	l := s.log
	if l != nil {
		s.requests.Add(1)
	}
	s.mu.RUnlock()
	if l == nil {
		return errStandby
	}
	defer s.requests.Done()
	return serveEvents(l.intake, w, r)
}

// behind returns why what is published must not be served: the active instance, here or
// elsewhere, was shown a later head.
func (s *Standby) behind() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.log != nil {
		if err := s.log.status.behind(); err != nil {
			return err
		}
	}
	if size := s.published.Load().size(); s.shown > size {
		return unready{fmt.Errorf("%w (of %d entries, and what is published has %d)", ErrLogBehind, s.shown, size)}
	}
	return nil
}

// ready returns why no events are admitted.
func (s *Standby) ready() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.log != nil {
		return errors.Join(s.log.status.ready(), s.unread)
	}
	return errors.Join(errStandby, s.unread, s.refused)
}
