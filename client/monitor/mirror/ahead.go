// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package mirror

import (
	"context"
	"fmt"
	"sync"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/log/tlog"
)

// coming is the head up to which an Update copies entries. It lets them be read before they are durable. It reads no
// source: a source that serves the Update wrong is blamed for what the Update alone has read.
type coming struct {
	*tlog.Checkpoint
	tree  *client.Tree // verified under the head; it reads tiles from the copy and from files
	disk  client.Source
	ended chan struct{} // closed once the Update has ended

	mu    sync.Mutex
	files map[tlog.Tile][]byte // verified tiles and bundles that may not be on disk yet
	next  uint64               // each bundle below, and each full tile above these, is in files or on disk
	more  chan struct{}        // closed when next grows
}

// newComing returns the head to, of a tree that the Update of a copy of size from has verified.
func (m *Mirror) newComing(to *tlog.Checkpoint, tree *client.Tree, from uint64) (*coming, error) {
	c := &coming{Checkpoint: to, disk: m.copied, next: from / tlog.TileWidth, files: make(map[tlog.Tile][]byte),
		ended: make(chan struct{}), more: make(chan struct{})}
	over, err := client.New(client.Config{Source: c, Policy: m.c.Policy, Origin: m.c.Origin})
	if err != nil {
		return nil, err
	}
	c.tree = tree.Clone(over)
	return c, nil
}

// arrive makes c the head that is coming, and ends the last one. nil: no Update is under way.
func (m *Mirror) arrive(c *coming) {
	if was := m.coming.Swap(c); was != nil {
		close(was.ended)
	}
	if c != nil {
		m.tell()
	}
}

// add adds a verified tile or bundle. The full tiles above a bundle come before it.
func (c *coming) add(t tlog.Tile, b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.files[t] = b
	if t.Level == tlog.Entries && t.Index >= c.next {
		c.next = t.Index + 1
		close(c.more)
		c.more = make(chan struct{})
	}
}

// wrote forgets files that are on disk.
func (c *coming) wrote(files []file) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range files {
		delete(c.files, f.tile)
	}
}

// file returns a bundle or a full tile that is in memory. If it was not copied yet, wait is closed when another
// bundle is. If both results are nil, it is on disk.
func (c *coming) file(t tlog.Tile) (b []byte, wait <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	end := (t.Index + 1) << (8 * max(t.Level, 0)) // of the bundles below it
	if b = c.files[t]; b == nil && end > c.next {
		wait = c.more
	}
	return b, wait
}

// ReadCheckpoint is not used.
func (c *coming) ReadCheckpoint(context.Context) ([]byte, error) { return c.Bytes(), nil }

// ReadTile reads a bundle or a full tile, once it is copied.
func (c *coming) ReadTile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	for {
		b, wait := c.file(t)
		switch {
		case b != nil:
			return b, nil
		case wait == nil:
			return c.disk.ReadTile(ctx, t)
		}
		select {
		case <-wait:
		case <-c.ended:
			return nil, fmt.Errorf("the update has ended without %s", t.Path())
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// Coming returns the verified head up to which an Update is copying entries; nil if no Update is.
func (m *Mirror) Coming() *tlog.Checkpoint {
	if c := m.coming.Load(); c != nil {
		return c.Checkpoint
	}
	return nil
}

// Reaches waits until the copy is durable up to size. It fails once no Update is under way that could get there.
func (m *Mirror) Reaches(ctx context.Context, size uint64) error {
	for {
		c := m.coming.Load() // load it before the head
		if h := m.head.Load(); h != nil && h.Size >= size {
			return nil
		}
		if c == nil {
			return fmt.Errorf("the copy is not durable up to the size %d", size)
		}
		select {
		case <-c.ended:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Ahead returns a source that also serves the tiles and bundles of Coming's tree. Reading a bundle that is not
// copied yet waits for it.
func (m *Mirror) Ahead() client.Source { return ahead{reader{m}} }

type ahead struct{ reader }

func (a ahead) ReadTile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	for {
		c := a.m.coming.Load()
		if c == nil || !t.In(c.Size) {
			return a.reader.ReadTile(ctx, t)
		}
		b, err := c.read(ctx, t)
		if err == nil || a.m.coming.Load() == c {
			return b, err
		}
	}
}

// read reads a tile or bundle of any width.
func (c *coming) read(ctx context.Context, t tlog.Tile) ([]byte, error) {
	if t.Level != tlog.Entries {
		return c.tree.ReadTile(ctx, t) // it knows the right edge, and what the Update has just verified
	}
	b, err := c.ReadTile(ctx, whole(t, c.Size))
	if err != nil {
		return nil, err
	}
	return t.Cut(b)
}
