// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/internal/daemon"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/pgstate"
)

// copyOf is a client as the source of a recovery.
type copyOf struct{ *client.Client }

func (c copyOf) ReadCheckpoint(ctx context.Context) ([]byte, error) {
	v, err := c.Checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	return v.Checkpoint.Bytes(), nil
}

func runRecover(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var l layout
	fs := flag.NewFlagSet("recover", flag.ContinueOnError)
	l.define(fs)
	l.defineKeys(fs)
	l.defineDatabase(fs)
	l.defineEngine(fs)
	policyFile := fs.String("policy", "", "`file` with the witness policy that the copy's checkpoint must meet (required)")
	from := fs.String("from", "", "`URL or directory` of a copy of the log (required)")
	if err := daemon.Parse(fs, args, stderr); err != nil {
		return err
	}
	if err := l.complete(); err != nil {
		return err
	}
	if err := l.checkEngine(false); err != nil {
		return err
	}
	if *from == "" {
		return daemon.WrongUse("-from is missing: name a copy of the log")
	}
	if *policyFile == "" {
		return daemon.WrongUse("-policy is missing: it names the witnesses whose cosignatures the copy's checkpoint needs")
	}
	policy, err := readPolicy(*policyFile)
	if err != nil {
		return err
	}
	keys, err := openKeys(&l)
	if err != nil {
		return err
	}
	source, err := client.New(client.Config{URL: *from, Policy: policy})
	if err != nil {
		return err
	}
	shown := time.Now()
	cfg := log.RecoverConfig{
		StateDir: l.state, Keys: keys, Policy: policy, Source: copyOf{source},
		Progress: func(done, total uint64) {
			if time.Since(shown) > time.Second || done == total {
				shown = time.Now()
				fmt.Fprintf(stderr, "%d of %d entries (%d %%)\n", done, total, done*100/max(total, 1))
			}
		},
	}
	if err := l.recovers(ctx, &cfg, slog.New(slog.NewTextHandler(stderr, nil))); err != nil {
		return err
	}
	rec, err := l.recover(ctx, cfg)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "The tree has %d entries; %d of them were missing.\n", rec.Size, rec.Added)
	if rec.Salvaged > 0 {
		fmt.Fprintf(stdout, "The copy ends before the last %d of them, which the old tree still had.\n", rec.Salvaged)
	}
	if rec.Old != "" {
		fmt.Fprintf(stdout, "The tree was built anew. The old one, which could not be used, is in %s.\n", rec.Old)
	}
	return nil
}

// recoverWait is how long recover waits for the lease: longer than one lasts.
const recoverWait = 30 * time.Second

// recover recovers the log.
func (l *layout) recover(ctx context.Context, cfg log.RecoverConfig) (rec *log.Recovered, err error) {
	err = l.alone(ctx, "recover", func(ctx context.Context, st log.State) (err error) {
		cfg.State = st
		rec, err = log.Recover(ctx, cfg)
		return err
	})
	return rec, err
}

// alone calls do with the state of a log that no other process writes to: nil for that
// in a directory, which do locks. With a database it takes the lease first, under a name.
func (l *layout) alone(ctx context.Context, name string, do func(context.Context, log.State) error) (err error) {
	if l.database == "" {
		return do(ctx, nil)
	}
	db, err := pgstate.Open(ctx, l.database)
	if err != nil {
		return err
	}
	defer db.Close()
	acted := false
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	late := time.AfterFunc(recoverWait, stop)
	defer late.Stop()
	ran := db.Run(ctx, pgstate.Candidate{
		Name: name, Lease: 10 * time.Second,
		Act: func(term *pgstate.Term) time.Duration {
			defer stop() // once is enough
			if !late.Stop() {
				return 0
			}
			acted = true
			err = do(term.Context(), term.State())
			return 0
		},
	})
	if ran != nil {
		err = ran
	} else if err == nil && !acted {
		lease, _ := db.Lease(context.WithoutCancel(ctx))
		err = fmt.Errorf("the instance %s is active; stop all instances first", lease.Name)
	}
	return err
}
