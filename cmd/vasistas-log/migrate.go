// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vasistas/vasistas/internal/daemon"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/tesserax"
)

// moveFile is DIR/migrate.json: the place that a log is moving to. A move that was
// cut off goes on there.
const moveFile = "migrate.json"

func runMigrate(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	var l layout
	var to engineOptions
	fs := flag.NewFlagSet("migrate", flag.ContinueOnError)
	l.define(fs)
	l.defineKeys(fs)
	l.defineDatabase(fs)
	l.defineEngine(fs)
	to.defineNamed(fs, "to-")
	if err := daemon.Parse(fs, args, stderr); err != nil {
		return err
	}
	if err := l.complete(); err != nil {
		return err
	}
	if err := l.checkEngine(false); err != nil {
		return err
	}
	if err := to.destination(&l); err != nil {
		return err
	}
	keys, err := openKeys(&l)
	if err != nil {
		return err
	}
	cfg := log.MigrateConfig{StateDir: l.state, Keys: keys, Progress: bar(stderr)}
	return l.alone(ctx, "migrate", func(ctx context.Context, st log.State) error {
		cfg.State = st
		return l.move(ctx, &to, cfg, stdout, stderr)
	})
}

// destination completes where the log moves to: where an earlier attempt began to,
// or where the flags say.
func (o *engineOptions) destination(l *layout) error {
	if o.engine == "" {
		return daemon.WrongUse("-to-engine is missing: say which engine gets the tree")
	}
	begun, err := readPlace(filepath.Join(l.dir, moveFile))
	if err != nil {
		return err
	}
	if begun != nil {
		if begun.Engine != o.engine || o.tree != "" && o.tree != begun.Tree {
			return daemon.WrongUse("a move to %s %s was begun; finish it, or remove %s", begun.Engine, begun.Tree, filepath.Join(l.dir, moveFile))
		}
		o.take(begun)
	}
	if err := o.fill(l.dir, true); err != nil {
		return err
	}
	if o.engine == l.engine && o.tree == l.tree {
		return daemon.WrongUse("the tree is there already; give another -to-engine or -to-tree")
	}
	return nil
}

// move copies the tree, and then writes down where it is.
func (l *layout) move(ctx context.Context, to *engineOptions, cfg log.MigrateConfig, stdout, stderr io.Writer) (err error) {
	logger := slog.New(slog.NewTextHandler(stderr, nil))
	if cfg.From, err = l.openTree(ctx, logger); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cfg.From.Close(ctx)) }()
	if cfg.To, err = to.resume(ctx, logger, stderr); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cfg.To.Close(ctx)) }()
	moving := filepath.Join(l.dir, moveFile)
	if err := writePlace(moving, to); err != nil {
		return err
	}
	size, err := log.Migrate(ctx, cfg)
	if err != nil {
		return err
	}
	if err := writePlace(filepath.Join(l.dir, placeFile), to); err != nil {
		return err
	}
	if err := os.Remove(moving); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "Moved %d entries to %s %s. Every entry and tile there was read and is that of the same tree.\n", size, to.engine, to.tree)
	fmt.Fprintf(stderr, "The old tree is still where it was. Keep it until a backup of the new one is made; no log opens it any more.\n")
	return nil
}

// resume opens the tree that an earlier attempt has begun, or makes one.
func (o *engineOptions) resume(ctx context.Context, logger *slog.Logger, stderr io.Writer) (log.Engine, error) {
	if o.engine != enginePOSIX {
		e, err := o.createTree(ctx, logger, stderr)
		o.tree = fmt.Sprint(o.number)
		return e, err
	}
	if err := tesserax.Create(ctx, o.tree); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return o.openTree(ctx, logger)
}

// bar draws a line a second of how far it is.
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
