// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/internal/daemon"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/event/eventkey"
	"github.com/vasistas/vasistas/log/pgstate"
	"github.com/vasistas/vasistas/log/vault"
)

type serveOptions struct {
	layout
	policy, recovery           string
	service                    daemon.Service
	eventKey                   string
	interval, refresh, timeout time.Duration
	lease                      time.Duration // with database
}

func (o *serveOptions) parse(c *command.Call) error {
	fs := c.Flags
	o.define(fs)
	o.defineVault(fs)
	command.DurationVar(fs, &o.lease, "lease", 3*time.Second, "with -database, time after which the lease of the active instance ends without a renewal; whole seconds, the same for all instances")
	fs.StringVar(&o.policy, "policy", "", "`file` with the URLs of witnesses, and a witness policy that heads must meet in addition to the charter's")
	fs.StringVar(&o.recovery, "recovery", "", "`file` with an amendment that recovers the log, signed by enough founders; heads then need to meet only its policies")
	fs.StringVar(&o.eventKey, "event-key", "", "provider's event `key`, for anchors and disclosures: a file, or NAME://KEY of a KMS; without it the log makes none")
	o.service.Define(fs, "127.0.0.1:8080", "publishing what was accepted")
	command.DurationVar(fs, &o.interval, "interval", 200*time.Millisecond, "least time between two checkpoints")
	command.DurationVar(fs, &o.refresh, "refresh", time.Minute, "greatest age of the cosignatures of an idle log")
	command.DurationVar(fs, &o.timeout, "witness-timeout", 0, "time limit of a request to a witness, if that is less than the charter's profile says")
	return c.Parse(o.complete)
}

func runServe(ctx context.Context, c *command.Call) (err error) {
	var o serveOptions
	if err := o.parse(c); err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(c.Stderr, nil))
	if err := o.service.Listen(); err != nil {
		return err
	}
	defer o.service.Close()
	policy, err := readPolicy(o.policy)
	if err != nil {
		return err
	}
	keys, err := openKeys(&o.layout)
	if err != nil {
		return err
	}
	cfg := log.Config{
		StateDir: o.state, Keys: keys, Policy: policy, Interval: o.interval, Refresh: o.refresh, WitnessTimeout: o.timeout, Logger: logger,
	}
	if o.eventKey != "" {
		if cfg.Provider, err = eventkey.Load(ctx, o.eventKey); err != nil {
			return err
		}
	}
	if o.recovery != "" {
		if cfg.Recovery, err = readEnvelope(o.recovery); err != nil {
			return fmt.Errorf("the recovery: %w", err)
		}
	}
	if o.database != "" {
		return o.serveShared(ctx, cfg, c.Stdout)
	}
	l, kept, err := o.openWithRoom(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, kept.Close()) }()
	err = o.serve(ctx, logger.With("origin", l.Origin()), c.Stdout, daemon.WithMetrics(l.Handler(), l.Metrics), l.Drain)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.service.Shutdown)
	defer cancel()
	err = errors.Join(err, l.Close(closing))
	logger.Info("closed", "err", err)
	return err
}

// openWithRoom opens vault and log. On a file system that takes no more data it tries again
// until there is room: a start must write, and restoring an older file would only do harm.
func (o *serveOptions) openWithRoom(ctx context.Context, cfg log.Config) (*log.Log, *vault.Vault, error) {
	for told := false; ; told = true {
		l, kept, err := o.open(ctx, cfg)
		if !durable.NoRoom(err) {
			return l, kept, err
		}
		if !told {
			cfg.Logger.Error("no room: the disk is full or read-only; waiting, and nothing needs to be restored", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil, nil, errors.Join(ctx.Err(), err)
		case <-time.After(time.Second):
		}
	}
}

func (o *serveOptions) open(ctx context.Context, cfg log.Config) (_ *log.Log, kept *vault.Vault, err error) {
	if kept, err = vault.Open(o.vaultConfig()); err != nil {
		return nil, nil, err
	}
	cfg.Vault = kept
	if cfg.Engine, err = o.openTree(ctx, cfg.Logger); err != nil {
		return nil, nil, errors.Join(err, kept.Close())
	}
	l, err := log.Open(ctx, cfg)
	if err != nil {
		return nil, nil, errors.Join(err, cfg.Engine.Close(context.WithoutCancel(ctx)), kept.Close())
	}
	return l, kept, nil
}

// serve answers requests until ctx ends. Then it calls drain, and answers the requests under
// way.
func (o *serveOptions) serve(ctx context.Context, logger *slog.Logger, stdout io.Writer, h http.Handler, drain func()) error {
	o.service.Drain, o.service.Logger = drain, logger
	o.service.Server = &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second, // streams extend it line by line
		WriteTimeout:      90 * time.Second, // more than a submitter may wait
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	return o.service.Run(ctx, stdout)
}

// serveShared serves as one of several instances, active or standby.
func (o *serveOptions) serveShared(ctx context.Context, cfg log.Config, stdout io.Writer) (err error) {
	candidate := pgstate.Candidate{Name: instanceName(o.service.Listener), Lease: o.lease, Logger: cfg.Logger}
	if err := candidate.Check(); err != nil {
		return err
	}
	db, err := pgstate.Open(ctx, o.database)
	if err != nil {
		return err
	}
	defer db.Close()
	tree, err := o.readTree(ctx, cfg.Logger)
	if err != nil {
		return err
	}
	s, err := log.NewStandby(log.StandbyConfig{
		State: db.State(), Tiles: tree, Dir: o.state, Shutdown: o.service.Shutdown, Logger: cfg.Logger,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	following, unfollow := context.WithCancel(context.WithoutCancel(ctx))
	running, stop := context.WithCancel(following)
	followed, ran := make(chan struct{}), make(chan error, 1)
	go func() { defer close(followed); s.Follow(following) }()
	candidate.Act = func(term *pgstate.Term) time.Duration {
		prepare := func(ctx context.Context) (log.Config, io.Closer, error) { return o.prepare(ctx, cfg, term) }
		if err := s.Act(running, term.Context(), prepare); err != nil {
			return o.lease // let another instance try
		}
		return 0
	}
	go func() { ran <- db.Run(running, candidate) }()
	var lease error
	drain := func() { stop(); lease = <-ran; ran <- nil }
	err = o.serve(ctx, cfg.Logger.With("origin", db.State().Settings().Origin), stdout, daemon.WithMetrics(s.Handler(), s.Metrics), drain)
	stop()
	err = errors.Join(err, <-ran, lease)
	unfollow()
	<-followed
	return err
}

func instanceName(listener net.Listener) string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s at %s", host, listener.Addr())
}

func (o *serveOptions) prepare(ctx context.Context, cfg log.Config, term *pgstate.Term) (log.Config, io.Closer, error) {
	files := o.vaultConfig()
	files.Storage, files.MaxFileSize = term.Vault(), pgstate.MaxVaultFile
	kept, err := vault.Open(files)
	if err != nil {
		return cfg, nil, err
	}
	cfg.State, cfg.Vault = term.State(), kept
	if cfg.Engine, err = o.openTree(ctx, cfg.Logger); err != nil {
		return cfg, nil, errors.Join(err, kept.Close())
	}
	return cfg, kept, nil
}
