// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vasistas/vasistas/internal/daemon"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/frontend"
	"github.com/vasistas/vasistas/log/pgstate"
	"github.com/vasistas/vasistas/log/vault"
)

// spareStray is how long the vault keeps what was put and is not in the tree: a front
// end that was ousted while it slept may yet write the entry, and no call lasts
// nearly so long.
const spareStray = 24 * time.Hour

// serveFrontEnd serves as one of several front ends.
func (o *serveOptions) serveFrontEnd(ctx context.Context, cfg log.Config, stdout io.Writer, listener net.Listener, reg *prometheus.Registry) error {
	db, err := pgstate.Open(ctx, o.database)
	if err != nil {
		return err
	}
	defer db.Close()
	tree, err := o.readTree(ctx, cfg.Logger)
	if err != nil {
		return err
	}
	self, err := advertised(o.advertise, listener)
	if err != nil {
		return err
	}
	f, err := frontend.New(frontend.Config{
		DB: db, URL: self, Lease: o.lease, Tiles: tree, Dir: o.state, Shutdown: o.shutdown, Logger: cfg.Logger, Registry: reg,
		Open: func(ctx context.Context, term *pgstate.Term) (frontend.Opened, error) {
			return o.openTerm(ctx, cfg, term)
		},
	})
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- f.Run(running) }()
	var ran error
	drain := func() {
		stop()
		ran = <-ended
		ended <- nil
	}
	err = o.serve(ctx, cfg.Logger.With("origin", db.State().Settings().Origin), stdout, listener, daemon.WithMetrics(f.Handler(), reg), drain)
	stop()
	return errors.Join(err, <-ended, ran)
}

// advertised is the URL of this front end. Port 0 in it is the one that it listens on.
func advertised(s string, listener net.Listener) (string, error) {
	u, err := url.Parse(s)
	if err != nil {
		return "", daemon.WrongUse("-advertise: %v", err)
	}
	if addr, ok := listener.Addr().(*net.TCPAddr); ok && u.Port() == "0" {
		u.Host = net.JoinHostPort(u.Hostname(), strconv.Itoa(addr.Port))
	}
	return u.String(), nil
}

// openTerm opens the log for a term, with all that is shared read anew.
func (o *serveOptions) openTerm(ctx context.Context, cfg log.Config, term *pgstate.Term) (frontend.Opened, error) {
	files := o.vaultConfig()
	files.Storage, files.MaxFileSize, files.Spare = term.Vault(), pgstate.MaxVaultFile, spareStray
	kept, err := vault.Open(files)
	if err != nil {
		return frontend.Opened{}, err
	}
	cfg.State, cfg.Vault = term.State(), kept
	l, err := o.open(ctx, cfg)
	if err != nil {
		return frontend.Opened{}, errors.Join(err, kept.Close())
	}
	return frontend.Opened{Log: l, Release: kept.Close}, nil
}
