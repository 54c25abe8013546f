// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package trillianx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/tlog"
)

// Tiles stores tiles and entry bundles by their tlog-tiles path. It is not trusted. It
// is safe for concurrent use, also by several processes.
type Tiles interface {
	// Get returns the tile at a path, fs.ErrNotExist if there is none.
	Get(ctx context.Context, path string) ([]byte, error)
	// Put stores b at a path and returns once it is durable. If the path has other
	// bytes, Put changes nothing and fails with [ErrOtherTile].
	Put(ctx context.Context, path string, b []byte) error
	// RemovePartials removes the partial versions of the full tile at a path.
	RemovePartials(ctx context.Context, path string) error
}

// ErrOtherTile: Tiles has a tile of another tree.
var ErrOtherTile = errors.New("there is another tile of that name: the stored tiles are of another tree, or damaged; " +
	"if Trillian's tree is the right one, move the tiles away, and the log makes them again")

// Dir stores tiles as files in a directory that a file server can serve.
type Dir struct {
	path string
	made sync.Map // directories that exist durably
}

var _ Tiles = (*Dir)(nil)

// OpenDir returns the tiles in a directory, which it makes if it is missing.
func OpenDir(path string) (*Dir, error) {
	if err := durable.MkdirAll(path, 0o755); err != nil {
		return nil, fmt.Errorf("opening the directory of tiles: %w", err)
	}
	return &Dir{path: path}, nil
}

// MaxTile is the length of the longest bundle.
const MaxTile = tlog.TileWidth * (2 + tlog.MaxEntrySize)

func (d *Dir) name(path string) string { return filepath.Join(d.path, filepath.FromSlash(path)) }

// Get implements [Tiles].
func (d *Dir) Get(_ context.Context, path string) ([]byte, error) {
	return durable.ReadFile(d.name(path), MaxTile)
}

// Put implements [Tiles].
func (d *Dir) Put(ctx context.Context, path string, b []byte) error {
	name := d.name(path)
	err := d.create(name, b)
	if errors.Is(err, fs.ErrNotExist) {
		// Another program removed the directory.
		d.made.Delete(filepath.Dir(name))
		err = d.create(name, b)
	}
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	old, err := d.Get(ctx, path)
	if err != nil {
		return err
	}
	if !bytes.Equal(old, b) {
		return fmt.Errorf("%s: %w", name, ErrOtherTile)
	}
	// Its writer may have crashed before the file was durable.
	return durable.WriteFile(name, b, 0o644)
}

func (d *Dir) create(name string, b []byte) error {
	dir := filepath.Dir(name)
	if _, ok := d.made.Load(dir); !ok {
		if err := durable.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		d.made.Store(dir, true)
	}
	return durable.CreateFile(name, b, 0o644)
}

// RemovePartials implements [Tiles].
func (d *Dir) RemovePartials(_ context.Context, path string) error {
	dir := d.name(path) + ".p"
	d.made.Delete(dir)
	return os.RemoveAll(dir)
}

// cache keeps tiles in memory, up to a number of bytes.
type cache struct {
	mu    sync.Mutex
	lru   *lru.Cache[tlog.Tile, []byte]
	bytes int
	most  int
}

// cacheOverhead is the cost of a tile in the cache without its bytes.
const cacheOverhead = 256

func newCache(most int) *cache {
	c := &cache{most: most}
	evicted := func(_ tlog.Tile, b []byte) { c.bytes -= len(b) + cacheOverhead }
	c.lru, _ = lru.NewWithEvict(max(16, most/cacheOverhead), evicted) // fails only for a size below 1
	return c
}

func (c *cache) get(t tlog.Tile) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lru.Get(t)
}

func (c *cache) add(t tlog.Tile, b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lru.Remove(t)
	c.bytes += len(b) + cacheOverhead
	c.lru.Add(t, b)
	for c.bytes > c.most {
		if _, _, ok := c.lru.RemoveOldest(); !ok {
			return
		}
	}
}
