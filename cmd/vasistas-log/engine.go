// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/tesserax"
	"github.com/vasistas/vasistas/log/trillianx"
)

// The engines.
const (
	engineTessera  = "tessera"
	engineTrillian = "trillian"
)

// engineOptions say which engine has the tree.
type engineOptions struct {
	engine, trillian, tiles string
}

func (l *layout) defineEngine(fs *flag.FlagSet) {
	fs.StringVar(&l.engine, "engine", engineTessera, "what has the tree: tessera (files), or trillian; then -tree is its number")
	fs.StringVar(&l.trillian, "trillian", "", "`address` of a log server of Trillian, or of several, separated by commas")
	fs.StringVar(&l.tiles, "tiles", "", "directory of the tiles of a tree in Trillian, if not DIR/tiles; all front ends share it")
}

// checkEngine completes what says where the tree is. made: the tree is to be made.
func (l *layout) checkEngine(made bool) error {
	if l.tiles == "" {
		l.tiles = filepath.Join(l.dir, "tiles")
	}
	switch {
	case l.engine == "" || l.engine == engineTessera:
		if l.trillian != "" {
			return wrongUse("-trillian goes with -engine trillian only")
		}
		return nil
	case l.engine != engineTrillian:
		return wrongUse("there is no engine %q, only tessera and trillian", l.engine)
	case l.trillian == "":
		return wrongUse("-trillian is missing: say where a log server of Trillian is")
	}
	if _, err := l.treeNumber(); err != nil && !made {
		return err
	}
	return nil
}

func (l *layout) treeNumber() (int64, error) {
	n, err := strconv.ParseInt(l.tree, 10, 64)
	if err != nil || n <= 0 {
		return 0, wrongUse("-tree is the number of a tree in Trillian, that init says, and not %q", l.tree)
	}
	return n, nil
}

func (l *layout) trillianConfig() (trillianx.Config, error) {
	kept, err := trillianx.OpenDir(l.tiles, durable.FS{})
	return trillianx.Config{Addr: l.trillian, Tiles: kept}, err
}

// createTree makes an empty tree. One in Trillian gets its number.
func (l *layout) createTree(ctx context.Context) error {
	if l.engine != engineTrillian {
		return tesserax.Create(ctx, l.tree)
	}
	if _, err := l.treeNumber(); err == nil {
		return nil // of an earlier attempt, or made by other means; it must be empty
	}
	cfg, err := l.trillianConfig()
	if err != nil {
		return err
	}
	n, err := trillianx.NewTree(ctx, cfg)
	l.tree = fmt.Sprint(n)
	return err
}

// openTree opens the tree for its one writer.
func (l *layout) openTree(ctx context.Context) (log.Engine, error) {
	if l.engine != engineTrillian {
		e, err := tesserax.Open(ctx, l.tree, log.DefaultMaxBatch)
		if err != nil {
			return nil, err
		}
		return e, nil
	}
	cfg, err := l.trillianConfig()
	if err != nil {
		return nil, err
	}
	if cfg.Tree, err = l.treeNumber(); err != nil {
		return nil, err
	}
	e, err := trillianx.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return e, nil
}

// readTree reads the published tree without opening it.
func (l *layout) readTree() (tiles.Reader, error) {
	if l.engine != engineTrillian {
		return client.Dir(l.tree), nil
	}
	cfg, err := l.trillianConfig()
	if err != nil {
		return nil, err
	}
	return trillianx.NewReader(cfg)
}
