// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
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
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/strictjson"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/recover"
	"github.com/vasistas/vasistas/log/tesserax"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/trillianx"
	"github.com/vasistas/vasistas/log/trillianx/s3store"
)

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
	creates           bool  // the command creates the tree
}

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
	command.DurationVar(fs, &o.timeout, prefix+"trillian-timeout", 10*time.Second, "time limit of one call of Trillian")
	command.DurationVar(fs, &o.patience, prefix+"trillian-patience", 20*time.Second, "time limit of a batch, for Trillian's answer and its signer")
	fs.Int64Var(&o.cacheMiB, prefix+"tile-cache", 64, with+", `MiB` of tiles to keep in memory")
}

// fill sets defaults, and refuses options that contradict each other.
func (o *engineOptions) fill(dir string) error {
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
	if o.tree == "" && o.creates {
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
		return tesserax.Open(ctx, o.tree)
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
		return tesserax.Open(ctx, dir)
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

func refuseSecond(state string) error {
	if _, err := os.Stat(filepath.Join(state, "log.json")); err == nil {
		return durable.Like(fs.ErrExist, "%s has a log already; nothing was changed", state)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// place is DIR/engine.json, the place of the log's tree if that is not DIR/tree. init and
// recover write it last, so that a log that has moved is not opened in its old place.
type place struct {
	Engine   string `json:"engine"`
	Tree     string `json:"tree,omitempty"`
	Trillian string `json:"trillian,omitempty"`
	Tiles    string `json:"tiles,omitempty"`
}

const (
	placeFile = "engine.json"
	maxPlace  = 4 << 10
)

// readPlace reads a place. It returns nil if there is no such file.
func readPlace(name string) (*place, error) {
	b, err := durable.ReadFile(name, maxPlace)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil && !errors.Is(err, durable.ErrTooLarge) {
		return nil, err
	}
	var p place
	if err == nil {
		err = strictjson.Decode(b, &p)
	}
	if err != nil {
		return nil, fmt.Errorf("%s, which names the place of the tree, is damaged: %w; restore it, or write it again", name, err)
	}
	return &p, nil
}

func writePlace(name string, o *engineOptions) error {
	p := place{o.engine, o.tree, o.trillian, o.tiles}
	var err error
	if p.Engine == enginePOSIX {
		p.Tree, err = filepath.Abs(p.Tree)
	} else if !strings.Contains(p.Tiles, "://") {
		p.Tiles, err = filepath.Abs(p.Tiles)
	}
	if err != nil {
		return err
	}
	b, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	return durable.WriteFile(name, append(b, '\n'), 0o644)
}

// takePlace sets the options that were not given from DIR/engine.json. Engine and tree must
// not differ from that file; the address and the tiles may.
func (o *engineOptions) takePlace(dir string) error {
	p, err := readPlace(filepath.Join(dir, placeFile))
	if err != nil || p == nil {
		return err
	}
	if o.engine != "" && o.engine != p.Engine || o.tree != "" && !sameTree(p.Engine, o.tree, p.Tree) {
		return command.WrongUse("by %s the tree of this log is %s %s, and not %s; move a log only with \"vasistas-log recover -to-engine\"",
			filepath.Join(dir, placeFile), p.Engine, p.Tree, strings.TrimSpace(o.engine+" "+o.tree))
	}
	o.take(p)
	return nil
}

// sameTree returns whether two names of an engine's trees are of the same tree.
func sameTree(engine, a, b string) bool {
	if engine != enginePOSIX {
		return a == b
	}
	absA, errA := filepath.Abs(a)
	absB, errB := filepath.Abs(b)
	return errA == nil && errB == nil && absA == absB
}

func (o *engineOptions) take(p *place) {
	for _, v := range []struct{ flag, value *string }{{&o.engine, &p.Engine}, {&o.tree, &p.Tree}, {&o.trillian, &p.Trillian}, {&o.tiles, &p.Tiles}} {
		if *v.flag == "" {
			*v.flag = *v.value
		}
	}
}
