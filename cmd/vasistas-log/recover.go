// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/pgstate"
	"github.com/vasistas/vasistas/log/recover"
	"github.com/vasistas/vasistas/log/state"
	"github.com/vasistas/vasistas/log/tlog"
)

// copyOf makes a client the source of a recovery.
type copyOf struct {
	*client.Client
	tlog.TileReader
}

func (c copyOf) ReadCheckpoint(ctx context.Context) ([]byte, error) {
	v, err := c.Checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	return v.Checkpoint.Bytes(), nil
}

// moveFile is DIR/migrate.json, the place to which a log is moving. An interrupted move goes
// on there.
const moveFile = "migrate.json"

type recovery struct {
	layout
	policy, from string
	to           engineOptions // without an engine: the tree does not move
}

func (r *recovery) parse(c *command.Call) error {
	fs := c.Flags
	r.define(fs)
	r.to.define(fs, "to-")
	fs.StringVar(&r.policy, "policy", "", "`file` with the witness policy that the copy's checkpoint must meet (required with -from)")
	fs.StringVar(&r.from, "from", "", "`URL or directory` of a copy of the log; not needed for -to-engine if the tree is complete")
	if err := c.Parse(r.complete); err != nil {
		return err
	}
	switch {
	case r.from == "" && r.to.engine == "":
		return command.WrongUse("-from is missing: give a copy of the log, or -to-engine to move the log")
	case r.from != "" && r.policy == "":
		return command.WrongUse("-policy is missing: give the policy with the witnesses that must have cosigned the copy's checkpoint")
	case r.to.engine != "":
		return r.to.destination(&r.layout)
	}
	return nil
}

func runRecover(ctx context.Context, c *command.Call) error {
	r := recovery{to: engineOptions{creates: true}}
	if err := r.parse(c); err != nil {
		return err
	}
	policy, err := readPolicy(r.policy)
	if err != nil {
		return err
	}
	keys, err := openKeys(&r.layout)
	if err != nil {
		return err
	}
	cfg := recover.Config{StateDir: r.state, Keys: keys, Policy: policy, Progress: bar(c.Stderr)}
	if r.from != "" {
		source, err := client.New(client.Config{URL: r.from, Policy: policy})
		if err != nil {
			return err
		}
		cfg.Source = copyOf{source, source.Source()}
	}
	if err := r.recovers(ctx, &cfg, slog.New(slog.NewTextHandler(c.Stderr, nil))); err != nil {
		return err
	}
	return r.alone(ctx, c.Stderr, func(ctx context.Context, st state.Store) error {
		cfg.State = st
		if r.to.engine != "" {
			return r.move(ctx, cfg, c.Stdout, c.Stderr)
		}
		rec, err := recover.Run(ctx, cfg)
		if err != nil {
			return err
		}
		fmt.Fprintf(c.Stdout, "The tree has %d entries; %d of them were missing.\n", rec.Size, rec.Added)
		if rec.Salvaged > 0 {
			fmt.Fprintf(c.Stdout, "The last %d of them are not in the copy; they came from the old tree.\n", rec.Salvaged)
		}
		if rec.Old != "" {
			fmt.Fprintf(c.Stdout, "The tree was rebuilt. The old one, which is unusable, is in %s.\n", rec.Old)
		}
		if rec.Seen > rec.Size {
			return fmt.Errorf("the copy is too old: a witness, %s, has seen %d entries, and the tree has %d; use a newer copy, without which the log logs nothing", rec.SeenBy, rec.Seen, rec.Size)
		}
		return nil
	})
}

// move recovers the log in its new place, and then writes that place to DIR/engine.json.
func (r *recovery) move(ctx context.Context, cfg recover.Config, stdout, stderr io.Writer) error {
	moving := filepath.Join(r.dir, moveFile)
	cfg.OpenTo = func(ctx context.Context) (log.Engine, error) {
		to, err := r.to.createTree(ctx, slog.New(slog.NewTextHandler(stderr, nil)), stderr)
		if err != nil {
			return nil, err
		}
		if err := writePlace(moving, &r.to); err != nil {
			return nil, errors.Join(err, to.Close(ctx))
		}
		return to, nil
	}
	rec, err := recover.Run(ctx, cfg)
	if err != nil {
		return err
	}
	if err := writePlace(filepath.Join(r.dir, placeFile), &r.to); err != nil {
		return err
	}
	if err := os.Remove(moving); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "The log has moved, with %d entries, to %s %s. Every entry and tile there was read, and is that of the old tree.\n", rec.Size, r.to.engine, r.to.tree)
	fmt.Fprintf(stderr, "The old tree is still where it was. Keep it until there is a backup of the new one; the log in %s no longer opens it.\n", r.dir)
	if r.database != "" {
		fmt.Fprintf(stderr, "Before any other instance starts, copy %s to its directory: without this file it would use the old tree.\n", filepath.Join(r.dir, placeFile))
	}
	return nil
}

// destination sets the place to which the log moves: that of an interrupted move, or that of
// the flags.
func (o *engineOptions) destination(l *layout) error {
	begun, err := readPlace(filepath.Join(l.dir, moveFile))
	if err != nil {
		return err
	}
	if begun != nil {
		if begun.Engine != o.engine || o.tree != "" && !sameTree(o.engine, o.tree, begun.Tree) {
			return command.WrongUse("a move to %s %s was interrupted; finish it, or remove %s", begun.Engine, begun.Tree, filepath.Join(l.dir, moveFile))
		}
		o.take(begun)
	}
	if err := o.fill(l.dir); err != nil {
		return err
	}
	if o.engine == l.engine && sameTree(o.engine, o.tree, l.tree) {
		return command.WrongUse("the tree is there already; give another -to-engine or -to-tree")
	}
	return nil
}

// bar prints the progress, one line a second.
func bar(w io.Writer) func(what string, done, total uint64) {
	const width = 30
	var shown time.Time
	last := ""
	return func(what string, done, total uint64) {
		if what == last && done < total && time.Since(shown) < time.Second {
			return
		}
		shown, last = time.Now(), what
		full := int(float64(done) / float64(max(total, 1)) * width)
		fmt.Fprintf(w, "[%s%s] %d of %d: %s\n", strings.Repeat("=", full), strings.Repeat(" ", width-full), done, total, what)
	}
}

// recoverWait bounds the wait for the lease. It is longer than a lease lasts.
const recoverWait = 30 * time.Second

// alone calls do while no other process writes to the state. With a database it takes the
// lease first. For a state in a directory it passes nil, and do locks the directory.
func (l *layout) alone(ctx context.Context, stderr io.Writer, do func(context.Context, state.Store) error) (err error) {
	if l.database == "" {
		return do(ctx, nil)
	}
	db, err := pgstate.Open(ctx, l.database)
	if err != nil {
		return err
	}
	defer db.Close()
	if lease, err := db.Lease(ctx); err == nil && lease.Holder != "" {
		fmt.Fprintf(stderr, "The instance %s holds the lease of the database. Waiting at most %v for its end.\n", lease.Name, recoverWait)
	}
	acted := false
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	late := time.AfterFunc(recoverWait, stop)
	defer late.Stop()
	ran := db.Run(ctx, pgstate.Candidate{
		Name: "recover", Lease: 10 * time.Second,
		Act: func(term *pgstate.Term) time.Duration {
			defer stop() // act once
			if !late.Stop() {
				return 0
			}
			acted = true
			acting, cancel := context.WithCancel(term.Context())
			defer cancel()
			defer context.AfterFunc(ctx, cancel)()
			err = do(acting, term.State())
			return 0
		},
	})
	if ran != nil {
		err = ran
	} else if err == nil && !acted {
		lease, _ := db.Lease(context.WithoutCancel(ctx))
		err = fmt.Errorf("the instance %s is active; stop all instances, and run recover again", lease.Name)
	}
	return err
}
