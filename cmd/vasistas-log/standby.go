// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vasistas/vasistas/internal/daemon"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/pgstate"
	"github.com/vasistas/vasistas/log/vault"
)

// spareStray is how long the vault keeps records without an entry in the tree: a former active
// instance may still be writing the entry. No call lasts nearly as long.
const spareStray = 24 * time.Hour

// serveShared serves as one of several instances, active or standby.
func (o *serveOptions) serveShared(ctx context.Context, cfg log.Config, stdout io.Writer, reg *prometheus.Registry) (err error) {
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
		State: db.State(), Tiles: tree, Dir: o.state, Shutdown: o.service.Shutdown, Logger: cfg.Logger, Registry: reg,
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
	err = o.serve(ctx, cfg.Logger.With("origin", db.State().Settings().Origin), stdout, daemon.WithMetrics(s.Handler(), reg), drain)
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

// prepare opens vault and engine for a term.
func (o *serveOptions) prepare(ctx context.Context, cfg log.Config, term *pgstate.Term) (log.Config, io.Closer, error) {
	files := o.vaultConfig()
	files.Storage, files.MaxFileSize, files.Spare = term.Vault(), pgstate.MaxVaultFile, spareStray
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
