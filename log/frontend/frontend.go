// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package frontend is one of several front ends of a log, all equal. Each takes in
// events and serves what is published; one of them, which the others elect, has the
// log open: it writes to the tree, signs and publishes. The others hand it what they
// take in. Any of them may die at any time, and another takes over.
//
// What it promises:
//
//   - An event that is acknowledged was acknowledged by the log itself, see package
//     log: passing it on adds no promise and takes none away. What gets no answer may
//     be submitted again, at any front end, and is logged once.
//   - A front end that does not lead writes nothing. One that is ousted, or can't
//     reach the database, stops its log at once; until then the fence of package
//     pgstate keeps it from writing.
//   - /checkpoint never goes back at a front end, whatever becomes of the database.
//   - A request is passed on once at most, to the front end that the lease names, at
//     the path /events, and nowhere else.
//
// The hop from one front end to another proves nothing and needs nothing proven,
// since every event is signed. It belongs into a network of their own all the same.
package frontend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/electx"
	"github.com/vasistas/vasistas/log/pgstate"
)

// Config configures [New].
type Config struct {
	DB *pgstate.DB
	// URL is where the other front ends reach this one: a scheme, a host and a
	// port, no more.
	URL string
	// Lease is how long a leader is believed to live that says nothing, in whole
	// seconds. 0: 3 s.
	Lease time.Duration
	// Tiles reads the published tree.
	Tiles tiles.Reader
	// Dir is a directory of this front end, for what can be computed again.
	Dir string
	// Open opens the log for a term. ctx ends when the term does.
	Open func(ctx context.Context, term *pgstate.Term) (Opened, error)
	// Shutdown is for how long the log may go on publishing when Run is told to
	// stop. 0: 15 s.
	Shutdown time.Duration
	// Refresh is the time between two looks at what is published and who leads.
	// 0: 100 ms.
	Refresh time.Duration
	// MaxForwards is how many single events, and MaxStreams how many streams, are
	// on their way to the leader at once. 0: 4096 and 64.
	MaxForwards, MaxStreams int64
	// Logger: nil means slog.Default().
	Logger *slog.Logger
	// Registry gets the metrics. nil: they are counted, and not shown.
	Registry prometheus.Registerer
}

// Opened is a log that is open for a term.
type Opened struct {
	*log.Log
	// Release gives back what the log was opened with, after it is closed.
	Release func() error
}

// FrontEnd is a front end of a log.
type FrontEnd struct {
	cfg       Config
	reader    *log.Reader
	forwarder *forwarder
	metrics   *metrics

	leads  atomic.Pointer[leading] // nil: this one does not lead, or is opening the log
	leader atomic.Pointer[leader]  // as the database said last

	mu      sync.Mutex
	refused error // why this front end could not lead last; nil: it could
	unread  error // why what is published can't be read
}

// leader is who leads.
type leader struct {
	pgstate.Lease
	changed time.Time     // when the lease was first seen as it is
	over    chan struct{} // closed when it is somebody else
}

// live returns whether the lease is held and was renewed in time.
func (l *leader) live() bool {
	return l != nil && l.Holder != "" && time.Since(l.changed) < time.Duration(l.Seconds)*time.Second
}

// New makes a front end, which does nothing before Run.
func New(cfg Config) (*FrontEnd, error) {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&cfg.Lease, 3*time.Second)
	set(&cfg.Shutdown, 15*time.Second)
	set(&cfg.Refresh, 100*time.Millisecond)
	if cfg.MaxForwards == 0 {
		cfg.MaxForwards = 4096
	}
	if cfg.MaxStreams == 0 {
		cfg.MaxStreams = 64
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if err := electx.Check(cfg.Lease); err != nil {
		return nil, err
	}
	if _, err := parseURL(cfg.URL); err != nil {
		return nil, err
	}
	reader, err := log.NewReader(log.ReaderConfig{State: cfg.DB.State(), Tiles: cfg.Tiles, Dir: cfg.Dir, Logger: cfg.Logger})
	if err != nil {
		return nil, err
	}
	f := &FrontEnd{cfg: cfg, reader: reader, metrics: newMetrics()}
	f.forwarder = &forwarder{f: f, single: semaphore.NewWeighted(cfg.MaxForwards), streams: semaphore.NewWeighted(cfg.MaxStreams), transport: newTransport()}
	return f, f.metrics.register(cfg.Registry)
}

// parseURL reads the URL of a front end. It has no more than what names a server, so
// that nothing that is passed on can go elsewhere.
func parseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || *u != (url.URL{Scheme: u.Scheme, Host: u.Host}) {
		return nil, fmt.Errorf("%q is no URL of a front end; give a scheme, a host and a port, like http://10.0.0.1:8080", s)
	}
	return u, nil
}

// Run serves as one of the front ends until ctx ends, and returns once the log is
// closed and the lease given back, if this one led.
func (f *FrontEnd) Run(ctx context.Context) error {
	following, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { f.follow(following) })
	err := electx.Run(ctx, electx.Config{
		DB: f.cfg.DB, URL: f.cfg.URL, Lease: f.cfg.Lease, Logger: f.cfg.Logger,
		Lead: func(leads context.Context, term *pgstate.Term) time.Duration { return f.lead(ctx, leads, term) },
	})
	stop()
	wg.Wait()
	f.metrics.unregister(f.cfg.Registry)
	return err
}

// follow takes up what is published and who leads.
func (f *FrontEnd) follow(ctx context.Context) {
	tick := time.NewTicker(f.cfg.Refresh)
	defer tick.Stop()
	for {
		f.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (f *FrontEnd) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, f.cfg.Lease/2)
	defer cancel()
	lease, err := f.cfg.DB.Lease(ctx)
	if err == nil {
		f.see(lease)
	} else {
		f.see(pgstate.Lease{Version: -1})
	}
	// Also without a leader, whose last words may just have been written.
	if rerr := f.reader.Refresh(ctx); rerr != nil {
		err = rerr
	}
	f.mu.Lock()
	news := (f.unread == nil) != (err == nil)
	f.unread = err
	f.mu.Unlock()
	f.metrics.published(f.reader.Size())
	switch {
	case news && err != nil:
		f.cfg.Logger.Error("what is published can't be read; serving what was read last", "err", err)
	case news:
		f.cfg.Logger.Info("what is published can be read again")
	}
}

// see notes a lease. Version -1: the database can't be reached, and the leader is
// believed to live until its time is over.
func (f *FrontEnd) see(lease pgstate.Lease) {
	last := f.leader.Load()
	switch {
	case lease.Version == -1:
		if last == nil || last.live() {
			return
		}
		lease = pgstate.Lease{}
	case last != nil && lease.Version == last.Version && last.live():
		return
	case last != nil && lease.Version == last.Version:
		lease.Holder = "" // it is over
	}
	next := &leader{Lease: lease, changed: time.Now(), over: make(chan struct{})}
	if last != nil && last.Holder == lease.Holder && last.Term == lease.Term {
		next.over = last.over
	} else if last != nil {
		close(last.over)
	}
	f.leader.Store(next)
	f.metrics.leader(next)
}

// errNotHere ends a time of leading that could not begin.
var errNotHere = errors.New("this front end can't lead the log")

// lead opens the log, and closes it when the term or the process is over.
func (f *FrontEnd) lead(run, leads context.Context, term *pgstate.Term) (rest time.Duration) {
	logger := f.cfg.Logger
	logger.Info("elected to lead the log; opening it", "url", f.cfg.URL)
	began := time.Now()
	l, err := f.open(run, leads, term)
	f.mu.Lock()
	f.refused = err
	f.mu.Unlock()
	if err != nil {
		f.metrics.terms.WithLabelValues("refused").Inc()
		logger.Error("this front end can't lead the log; giving the lease back", "err", err)
		return f.cfg.Lease // in which another may
	}
	f.metrics.leads.Set(1)
	logger.Info("leading the log", "after", time.Since(began))
	why := f.hold(run, leads, term, l.log)
	outcome := "given up"
	closing, cancel := context.WithTimeout(context.WithoutCancel(run), f.cfg.Shutdown)
	defer cancel()
	if why != nil {
		outcome = "lost"
		logger.Warn("leading no more; the log is stopped", "why", why)
		l.log.Stop(log.ErrOusted)
		cancel()
	}
	f.leads.Store(nil)
	f.metrics.leads.Set(0)
	l.log.Drain()
	l.end(closing)
	err = errors.Join(l.log.Close(closing), l.log.Release())
	f.metrics.terms.WithLabelValues(outcome).Inc()
	logger.Info("the log is closed", "err", err)
	return 0
}

func (f *FrontEnd) open(run, leads context.Context, term *pgstate.Term) (*leading, error) {
	ctx, cancel := context.WithCancel(leads)
	defer cancel()
	defer context.AfterFunc(run, cancel)()
	go func() {
		select {
		case <-term.Ousted():
			cancel()
		case <-ctx.Done():
		}
	}()
	// A log is not opened over a database that is known to be an old one.
	if err := f.reader.Refresh(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", errNotHere, err)
	}
	opened, err := f.cfg.Open(ctx, term)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotHere, err)
	}
	l := &leading{log: opened, handler: opened.Handler()}
	f.leads.Store(l)
	return l, nil
}

// hold waits until the term is over, and returns why; nil if the process is to end.
func (f *FrontEnd) hold(run, leads context.Context, term *pgstate.Term, l Opened) error {
	tick := time.NewTicker(f.cfg.Lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-run.Done():
			return nil
		case <-term.Ousted():
			return errors.New("another front end leads")
		case <-leads.Done():
			return errors.New("the lease could not be renewed in time")
		case <-tick.C:
			if err := l.Err(); errors.Is(err, log.ErrStateChanged) {
				return err // which only opening the log again can mend
			}
		}
	}
}

// leading is the log that is open, with the requests that are under way in it.
type leading struct {
	log     Opened
	handler http.Handler

	requests sync.WaitGroup

	mu    sync.Mutex
	ended bool
}

// serve hands a request to the log, and returns false if that is closing.
func (l *leading) serve(w http.ResponseWriter, r *http.Request) bool {
	if !l.begin() {
		return false
	}
	defer l.requests.Done()
	l.handler.ServeHTTP(w, r)
	return true
}

func (l *leading) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return false
	}
	l.requests.Add(1)
	return true
}

// end waits for the requests under way; when ctx ends, the log answers them at once.
// There are no more afterwards.
func (l *leading) end(ctx context.Context) {
	l.mu.Lock()
	l.ended = true
	l.mu.Unlock()
	defer context.AfterFunc(ctx, func() { l.log.Stop(log.ErrClosing) })()
	l.requests.Wait()
}

// Handler serves the log as [log.Log.Handler] does.
func (f *FrontEnd) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.EscapedPath() {
		case "/events":
			f.serveEvents(w, r)
		case "/healthz":
			writeText(w, "ok\n")
		case "/readyz":
			f.serveReady(w)
		default:
			f.reader.ServeHTTP(w, r)
		}
	})
}

func writeText(w http.ResponseWriter, s string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	fmt.Fprint(w, s)
}

// serveReady says whether events are admitted, as far as this front end knows, and
// something is published.
func (f *FrontEnd) serveReady(w http.ResponseWriter) {
	err := f.err()
	if err == nil && f.reader.Size() == 0 {
		err = errors.New("nothing is published yet")
	}
	if err != nil {
		log.WriteProblem(w, err)
		return
	}
	writeText(w, "ready\n")
}

// err returns nil if this front end can do what it is for.
func (f *FrontEnd) err() error {
	f.mu.Lock()
	unread, refused := f.unread, f.refused
	f.mu.Unlock()
	if l := f.leads.Load(); l != nil {
		return errors.Join(l.log.Err(), unread)
	}
	if !f.leader.Load().live() {
		return errors.Join(log.ErrNoLeader, unread, refused)
	}
	return unread
}
