// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package electx elects the front end that leads a log: the one that writes to the
// tree, signs and publishes. The election is that of Kubernetes' client library
// (k8s.io/client-go/tools/leaderelection), which thousands of controllers use; its
// record is the lease in the log's PostgreSQL database instead of an object of
// Kubernetes. The x says that it links a heavy dependency, which nothing else may.
//
// A candidate takes the lease when nobody has it, or when it has seen no change of
// it for as long as it lasts. It measures that by its own monotonic clock, so clocks
// need not agree, only run at about the same speed. A leader that can't renew for
// two thirds of that time gives up by itself, before anybody else begins.
//
// All of this is about who works, not about safety: that two leaders can't both
// write is the fence of package pgstate.
package electx

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"

	"github.com/vasistas/vasistas/log/pgstate"
)

// Config configures [Run].
type Config struct {
	DB *pgstate.DB
	// URL is where others reach this front end, and is told in the lease.
	URL string
	// Lease is how long a lease lasts that is not renewed, in whole seconds.
	Lease time.Duration
	// Lead is called when this front end is elected. ctx ends when it does not
	// lead any more. When Lead returns the lease is given back, and after Rest
	// this front end is a candidate again.
	Lead func(ctx context.Context, term *pgstate.Term) (rest time.Duration)
	// Logger: nil means slog.Default().
	Logger *slog.Logger
}

// Check says what is wrong with a lease time.
func Check(lease time.Duration) error {
	if lease < time.Second || lease > time.Hour || lease%time.Second != 0 {
		return fmt.Errorf("a lease lasts whole seconds, 1s to 1h, and not %v", lease)
	}
	return nil
}

// Run is a candidate, or leads, until ctx ends. Lead must then return by itself.
func Run(ctx context.Context, cfg Config) error {
	if err := Check(cfg.Lease); err != nil {
		return err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	for ctx.Err() == nil {
		rest, err := candidacy(ctx, cfg)
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(rest):
		}
	}
	return nil
}

// candidacy is one, and the time of leading that it may end in.
func candidacy(ctx context.Context, cfg Config) (rest time.Duration, err error) {
	// Each has a name of its own, so that each time of leading has a term of its own.
	l := &lock{db: cfg.DB, self: cfg.URL + "#" + rand.Text(), url: cfg.URL, timeout: cfg.Lease / 4, logger: cfg.Logger}
	running, end := context.WithCancel(klog.NewContext(context.WithoutCancel(ctx), logr.Discard()))
	defer end()
	var mu sync.Mutex
	elected, over := false, false
	defer context.AfterFunc(ctx, func() {
		mu.Lock()
		defer mu.Unlock()
		if over = true; !elected {
			end()
		}
	})()
	led := make(chan struct{})
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: l, Name: "vasistas-log", LeaseDuration: cfg.Lease, RenewDeadline: cfg.Lease * 2 / 3, RetryPeriod: cfg.Lease / 10,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(leading context.Context) {
				defer close(led)
				defer end()
				mu.Lock()
				elected = true
				stop := over
				mu.Unlock()
				if !stop {
					rest = cfg.Lead(leading, l.term())
				}
			},
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return 0, fmt.Errorf("taking part in the election: %w", err)
	}
	elector.Run(running)
	if l.term() != nil {
		<-led
		l.giveBack(context.WithoutCancel(ctx))
	}
	return rest, nil
}

// lock is the lease as the election wants it.
type lock struct {
	db        *pgstate.DB
	self, url string
	timeout   time.Duration // of a call
	logger    *slog.Logger

	mu    sync.Mutex
	last  pgstate.Lease // as read or written last
	mine  *pgstate.Term // nil: not elected
	fails bool          // that the database can't be reached was told
}

var _ resourcelock.Interface = (*lock)(nil)

func (l *lock) term() *pgstate.Term {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mine
}

// Get reads the lease.
func (l *lock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	lease, err := l.db.Lease(ctx)
	l.report(err)
	if err != nil {
		return nil, nil, err
	}
	l.mu.Lock()
	l.last = lease
	mine := l.mine
	l.mu.Unlock()
	if mine != nil && lease.Holder != l.self {
		mine.Oust() // which is known before the election gives up
	}
	return &resourcelock.LeaderElectionRecord{
		HolderIdentity: lease.Holder, LeaseDurationSeconds: lease.Seconds, LeaderTransitions: int(lease.Term),
		AcquireTime: metav1.NewTime(lease.Acquired), RenewTime: metav1.NewTime(lease.Renewed),
	}, strconv.AppendInt(nil, lease.Version, 10), nil
}

// Create is never right: the lease was made with the schema.
func (l *lock) Create(context.Context, resourcelock.LeaderElectionRecord) error {
	return pgstate.ErrMissing
}

// Update writes the lease, if it is as it was seen last.
func (l *lock) Update(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	l.mu.Lock()
	next := l.last
	l.mu.Unlock()
	next.Holder, next.URL, next.Term, next.Seconds = r.HolderIdentity, l.url, int64(r.LeaderTransitions), r.LeaseDurationSeconds
	next.Acquired, next.Renewed = r.AcquireTime.Time, r.RenewTime.Time
	version, err := l.db.SwapLease(ctx, l.self, next)
	if !errors.Is(err, pgstate.ErrLeaseMoved) {
		l.report(err)
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	next.Version = version
	l.last = next
	if l.mine == nil {
		l.mine = l.db.Term(l.self, next.Term)
	}
	return nil
}

// giveBack ends the lease, if it still is this one's, so that nobody need wait.
func (l *lock) giveBack(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	lease, err := l.db.Lease(ctx)
	if err == nil && lease.Holder == l.self {
		lease.Holder, lease.URL = "", ""
		_, err = l.db.SwapLease(ctx, l.self, lease)
	}
	if err != nil {
		l.logger.Info("the lease was not given back; others wait until it is over", "err", err)
	}
}

// report tells the operator that the database does not answer, once until it does.
func (l *lock) report(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err != nil && !l.fails:
		l.logger.Warn("the lease can't be read or renewed; trying again", "err", err)
	case err == nil && l.fails:
		l.logger.Info("the lease can be read again")
	}
	l.fails = err != nil
}

// RecordEvent has nobody to tell.
func (l *lock) RecordEvent(string) {}

// Identity names this candidate.
func (l *lock) Identity() string { return l.self }

// Describe names the lease.
func (l *lock) Describe() string { return "the lease in the " + l.db.Name() }
