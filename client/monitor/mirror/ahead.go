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

// coming is the head whose entries an Update copies, so that they can be read before they are durable.
type coming struct {
	*tlog.Checkpoint
	tree  *client.Tree  // verified under the head
	ended chan struct{} // closed once the Update has ended

	mu      sync.Mutex
	bundles map[uint64][]byte // verified, and perhaps not yet on disk, by index
	next    uint64            // bundles below are in bundles or on disk
	more    chan struct{}     // closed when next grows
}

func newComing(to *tlog.Checkpoint, tree *client.Tree, from uint64) *coming {
	return &coming{Checkpoint: to, tree: tree, next: from / tlog.TileWidth, bundles: make(map[uint64][]byte),
		ended: make(chan struct{}), more: make(chan struct{})}
}

// arrive makes another Update the one under way; nil: none is.
func (m *Mirror) arrive(c *coming) {
	if was := m.coming.Swap(c); was != nil {
		close(was.ended)
	}
	if c != nil {
		m.tell()
	}
}

// add adds a verified bundle; hashes can be read from the tree.
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

// wrote forgets bundles that are on disk.
func (c *coming) wrote(files []file) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range files {
		if f.tile.Level == tlog.Entries {
			delete(c.bundles, f.tile.Index)
		}
	}
}

// bundle returns a bundle that is in memory, or a channel to wait for one that was not read yet. A bundle that is
// neither is on disk.
func (c *coming) bundle(index uint64) (b []byte, wait <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b = c.bundles[index]; b == nil && index >= c.next {
		wait = c.more
	}
	return b, wait
}

// Coming returns the verified head up to which an Update is copying entries, nil if none is.
func (m *Mirror) Coming() *tlog.Checkpoint {
	if c := m.coming.Load(); c != nil {
		return c.Checkpoint
	}
	return nil
}

// Reaches waits until the copy is durable up to a size. It is an error if no Update is under way that gets there.
func (m *Mirror) Reaches(ctx context.Context, size uint64) error {
	for {
		c := m.coming.Load() // before the head
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

// Ahead is Source, but it also serves what Coming commits to. It waits for a bundle that is not copied yet.
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
