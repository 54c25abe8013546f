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

// coming is the head up to which an Update copies entries. It lets them be read before they are durable.
type coming struct {
	*tlog.Checkpoint
	tree  *client.Tree  // verified under the head
	ended chan struct{} // closed once the Update has ended

	mu      sync.Mutex
	bundles map[uint64][]byte // by index: verified bundles, some not yet on disk
	next    uint64            // each bundle below is in bundles or on disk
	more    chan struct{}     // closed when next grows
}

func newComing(to *tlog.Checkpoint, tree *client.Tree, from uint64) *coming {
	return &coming{Checkpoint: to, tree: tree, next: from / tlog.TileWidth, bundles: make(map[uint64][]byte),
		ended: make(chan struct{}), more: make(chan struct{})}
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

// add adds a verified bundle. It ignores a tile of hashes, which can be read from the tree.
func (c *coming) add(t tlog.Tile, b []byte) {
	if t.Level != tlog.Entries {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bundles[t.Index] = b
	if t.Index >= c.next {
		c.next = t.Index + 1
		close(c.more)
		c.more = make(chan struct{})
	}
}

// wrote forgets the bundles among files, which are on disk.
func (c *coming) wrote(files []file) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range files {
		if f.tile.Level == tlog.Entries {
			delete(c.bundles, f.tile.Index)
		}
	}
}

// bundle returns a bundle that is in memory. If the bundle was not copied yet, wait is closed when another one is.
// If both results are nil, the bundle is on disk.
func (c *coming) bundle(index uint64) (b []byte, wait <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b = c.bundles[index]; b == nil && index >= c.next {
		wait = c.more
	}
	return b, wait
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
		if t.Level != tlog.Entries {
			return c.tree.ReadTile(ctx, t)
		}
		b, wait := c.bundle(t.Index)
		switch {
		case b != nil:
			return t.Cut(b)
		case wait == nil:
			b, err := a.m.copied.ReadTile(ctx, whole(t, c.Size))
			if err != nil {
				return nil, err
			}
			return t.Cut(b)
		}
		select {
		case <-wait:
		case <-c.ended:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
