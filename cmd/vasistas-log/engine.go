// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/recover"
	"github.com/vasistas/vasistas/log/tesserax"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/trillianx"
	"github.com/vasistas/vasistas/log/trillianx/s3store"
)

// The engines.
const (
	enginePOSIX    = "posix"
	engineTrillian = "trillian"
)

// engineOptions name the engine that keeps the tree, and its place.
type engineOptions struct {
	prefix            string // of its flags
	engine, tree      string
	trillian, ca      string
	tiles             string
	timeout, patience time.Duration
	cacheMiB          int64
	number            int64 // of the tree in Trillian; 0: not created yet
}

// define adds the flags, under names with a prefix.
func (o *engineOptions) define(fs *flag.FlagSet, prefix string) {
	o.prefix = prefix
	engine := "`engine` that keeps the tree: posix (the default) or trillian"
	if prefix != "" {
		engine = "`engine` that the log moves to: posix or trillian; without it nothing moves"
	}
	with := "with -" + prefix + "engine trillian"
	fs.StringVar(&o.engine, prefix+"engine", "", engine)
	fs.StringVar(&o.tree, prefix+"tree", "", "directory of the tree, if not DIR/tree; "+with+" the `number` of the tree")
	fs.StringVar(&o.trillian, prefix+"trillian", "", "`address` of Trillian's log server, or several, separated by commas")
	fs.StringVar(&o.ca, prefix+"trillian-ca", "", "`file` with the certificates of the authorities that sign Trillian's; without it the connection is not encrypted")
	fs.StringVar(&o.tiles, prefix+"tiles", "", with+", `directory` of the tiles, if not DIR/tiles, or s3://BUCKET/PREFIX?endpoint=URL&region=NAME")
	fs.DurationVar(&o.timeout, prefix+"trillian-timeout", 10*time.Second, "time limit of one call of Trillian")
	fs.DurationVar(&o.patience, prefix+"trillian-patience", 20*time.Second, "time limit of a batch, for Trillian's answer and its signer")
	fs.Int64Var(&o.cacheMiB, prefix+"tile-cache", 64, with+", `MiB` of tiles to keep in memory")
}

// fill sets defaults, and refuses options that contradict each other. created: the command
// creates the tree.
func (o *engineOptions) fill(dir string, created bool) error {
	switch o.engine {
	case "", enginePOSIX:
		o.engine = enginePOSIX
		if o.trillian != "" || o.tiles != "" || o.ca != "" {
			return command.WrongUse("-%[1]strillian, -%[1]strillian-ca and -%[1]stiles are for -%[1]sengine trillian", o.prefix)
		}
		if o.tree == "" {
			o.tree = filepath.Join(dir, "tree")
		}
		return nil
	case engineTrillian:
	default:
		return command.WrongUse("there is no engine %q; there are %s and %s", o.engine, enginePOSIX, engineTrillian)
	}
	if o.trillian == "" {
		return command.WrongUse("-%strillian is missing: give the address of Trillian's log server", o.prefix)
	}
	if o.tiles == "" {
		o.tiles = filepath.Join(dir, "tiles")
	}
	if o.cacheMiB < 1 || o.cacheMiB > 1<<20 {
		return command.WrongUse("-%stile-cache must be between 1 and %d", o.prefix, 1<<20)
	}
	if o.tree == "" && created {
		return nil
	}
	n, err := strconv.ParseInt(o.tree, 10, 64)
	if err != nil || n <= 0 {
		return command.WrongUse("-%stree %q: give the number of a tree in Trillian", o.prefix, o.tree)
	}
	o.number = n
	return nil
}

func (o *engineOptions) config(ctx context.Context, logger *slog.Logger) (trillianx.Config, error) {
	cfg := trillianx.Config{Addr: o.trillian, Tree: o.number, Timeout: o.timeout, Patience: o.patience,
		CacheBytes: int(o.cacheMiB << 20), Logger: logger}
	if o.ca != "" {
		pem, err := os.ReadFile(o.ca)
		if err != nil {
			return cfg, fmt.Errorf("reading the certificates: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return cfg, fmt.Errorf("%s has no certificate", o.ca)
		}
		cfg.TLS = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	var err error
	cfg.Tiles, err = o.openTiles(ctx)
	return cfg, err
}

func (o *engineOptions) openTiles(ctx context.Context) (trillianx.Tiles, error) {
	if strings.HasPrefix(o.tiles, "s3://") {
		ctx, cancel := context.WithTimeout(ctx, o.timeout)
		defer cancel()
		return s3store.Open(ctx, o.tiles)
	}
	if strings.Contains(o.tiles, "://") {
		return nil, command.WrongUse("-tiles %q: give a directory or s3://BUCKET/PREFIX", o.tiles)
	}
	return trillianx.OpenDir(o.tiles)
}

// openTree opens the tree for its one writer.
func (o *engineOptions) openTree(ctx context.Context, logger *slog.Logger) (log.Engine, error) {
	if o.engine == enginePOSIX {
		return tesserax.Open(ctx, o.tree, log.DefaultMaxBatch)
	}
	cfg, err := o.config(ctx, logger)
	if err != nil {
		return nil, err
	}
	shown := time.Now()
	cfg.Progress = func(done, total uint64) {
		if time.Since(shown) > 2*time.Second {
			shown = time.Now()
			logger.Info("making missing tiles", "entries", done, "of", total)
		}
	}
	e, err := trillianx.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return e, nil
}

// readTree reads the published tree without opening it.
func (o *engineOptions) readTree(ctx context.Context, logger *slog.Logger) (tlog.TileReader, error) {
	if o.engine == enginePOSIX {
		return client.Dir(o.tree), nil
	}
	cfg, err := o.config(ctx, logger)
	if err != nil {
		return nil, err
	}
	return trillianx.NewReader(cfg)
}

// createTree creates an empty tree and opens it. A tree in Trillian may exist already, since
// another operator may be the one who creates trees.
func (o *engineOptions) createTree(ctx context.Context, logger *slog.Logger, stderr io.Writer) (log.Engine, error) {
	if o.engine == enginePOSIX {
		// It may be left over from an interrupted attempt; Init checks that.
		if err := tesserax.Create(ctx, o.tree); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		return o.openTree(ctx, logger)
	}
	if o.number == 0 {
		cfg, err := o.config(ctx, logger)
		if err != nil {
			return nil, err
		}
		if o.number, err = trillianx.NewTree(ctx, cfg); err != nil {
			return nil, err
		}
		fmt.Fprintf(stderr, "Created a tree in Trillian. From now on give: -engine trillian -trillian %s -tree %d\n", o.trillian, o.number)
	}
	o.tree = strconv.FormatInt(o.number, 10)
	return o.openTree(ctx, logger)
}

// recovers sets the functions by which a recovery creates and opens the tree.
func (o *engineOptions) recovers(ctx context.Context, cfg *recover.Config, logger *slog.Logger) error {
	cfg.TreeDir, cfg.CreateTree, cfg.Salvage = o.tree, tesserax.Create, tesserax.Salvage
	cfg.OpenTree = func(ctx context.Context, dir string) (log.Engine, error) {
		return tesserax.Open(ctx, dir, log.DefaultMaxBatch)
	}
	if o.engine == enginePOSIX {
		return nil
	}
	stored, err := o.openTiles(ctx)
	if err != nil {
		return err
	}
	cfg.InPlace, cfg.CreateTree = true, nil
	cfg.Salvage = func(_ string, from uint64) iter.Seq[[]byte] { return trillianx.Salvage(ctx, stored, from) }
	cfg.OpenTree = func(ctx context.Context, _ string) (log.Engine, error) { return o.openTree(ctx, logger) }
	return nil
}

// refuseSecond returns an error if a directory has a log already.
func refuseSecond(state string) error {
	if _, err := os.Stat(filepath.Join(state, "log.json")); err == nil {
		return fmt.Errorf("there is a log in %s already: %w", state, fs.ErrExist)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
