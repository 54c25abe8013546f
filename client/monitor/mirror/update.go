// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package mirror

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/tlog"
)

// candidate is a head that the policy accepts.
type candidate struct {
	from *Source // nil: the copy
	*tlog.Verified
}

// newest makes the newest head that extends the copy's the tree's head, and checks that no
// other head contradicts it.
func (m *Mirror) newest(ctx context.Context, tree *client.Tree) (*tlog.Verified, error) {
	list, errs := m.heads(ctx)
	if len(list) == 0 {
		return nil, errors.Join(errs...)
	}
	if old := m.head.Load(); old != nil {
		// Among equals the copy's own head is preferred: it is first in the list.
		if v, err := m.c.Policy.Verify(old.Checkpoint, m.c.Origin); err == nil {
			list = slices.Insert(list, 0, candidate{nil, v})
		}
	}
	slices.SortStableFunc(list, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.Checkpoint.Size, a.Checkpoint.Size), cmp.Compare(b.LoggedAfter, a.LoggedAfter))
	})
	var chosen *tlog.Verified
	behind := true // every source is behind the copy, as far as read
	for _, c := range list {
		same := chosen != nil && chosen.Checkpoint.Size == c.Checkpoint.Size && chosen.Checkpoint.Root == c.Checkpoint.Root
		if same || chosen != nil && c.from == nil {
			behind = behind && c.from == nil
			continue
		}
		v, err := m.pool.offer(ctx, tree, c.Checkpoint.Bytes())
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err == nil {
			chosen, behind = v, behind && c.from == nil
			continue
		}
		if _, named := errors.AsType[*SourceError](err); !named && c.from != nil {
			err = &SourceError{c.from.Name, err}
		}
		if _, fork := errors.AsType[*client.ForkError](err); fork {
			return nil, err
		}
		// A mirror may be behind, but if all are, or the log itself is, the caller must know.
		if _, back := errors.AsType[*client.RollbackError](err); !back || behind || c.from == &m.c.Sources[0] {
			errs = append(errs, err)
		}
	}
	if chosen == nil || behind {
		return nil, errors.Join(errs...)
	}
	for _, err := range errs {
		m.c.Warn(err)
	}
	return chosen, nil
}

// heads reads the checkpoints of all sources at once, and returns those that the policy
// accepts, with an error for each other one.
func (m *Mirror) heads(ctx context.Context) (list []candidate, errs []error) {
	if len(m.c.Sources) == 0 {
		return nil, []error{errors.New("no source was given")}
	}
	found, failed := make([]*tlog.Verified, len(m.c.Sources)), make([]error, len(m.c.Sources))
	var wg sync.WaitGroup
	for i, s := range m.c.Sources {
		wg.Go(func() { found[i], failed[i] = m.headOf(ctx, s) })
	}
	wg.Wait()
	for i, s := range m.c.Sources {
		if failed[i] != nil {
			errs = append(errs, &SourceError{s.Name, failed[i]})
			continue
		}
		m.seen[i] = found[i].Checkpoint.Size
		list = append(list, candidate{&m.c.Sources[i], found[i]})
	}
	return list, errs
}

// headTimeout bounds reading a checkpoint, which is small: each Update waits for the slowest
// source's.
const headTimeout = 10 * time.Second

func (m *Mirror) headOf(ctx context.Context, s Source) (*tlog.Verified, error) {
	timeout := min(m.c.Timeout, headTimeout)
	within, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	b, err := s.ReadCheckpoint(within)
	if err != nil {
		if ctx.Err() == nil && within.Err() != nil {
			err = fmt.Errorf("the checkpoint is not read within %v: %w", timeout, err)
		}
		return nil, err
	}
	cp, err := tlog.ParseCheckpoint(b)
	if err != nil {
		return nil, err
	}
	return m.c.Policy.Verify(cp, m.c.Origin)
}

// advance copies the entries that the head to adds, and begins to write them. commit makes the entries durable,
// and then the head.
func (m *Mirror) advance(ctx context.Context, tree *client.Tree, to *tlog.Checkpoint) (commit func() error, err error) {
	if old := m.head.Load(); old != nil && old.Size == to.Size { // only its cosignatures differ
		return func() error { return m.commit(m.edge, to) }, nil
	}
	edge, err := m.frontier(ctx, tree)
	if err != nil {
		return nil, err
	}
	if m.batch == nil {
		m.batch = durable.NewBatch(m.c.Dir)
	}
	w := &writer{m: m, batch: m.batch}
	if w.to, err = m.newComing(to, tree, edge.Size()); err != nil {
		return nil, err
	}
	m.arrive(w.to)
	next, err := m.copyEntries(ctx, tree, edge, to, w)
	if err == nil {
		err = w.flush()
	}
	wait := func(err error) error {
		if err = errors.Join(err, w.wait()); err != nil {
			m.batch = nil // what it knows of directories may be wrong
		}
		return err
	}
	if err != nil {
		m.arrive(nil)
		return nil, wait(err)
	}
	return func() error {
		if err := wait(nil); err != nil {
			return err
		}
		return m.commit(next, to)
	}, nil
}

// frontier returns the right edge of the copy's head, out of tiles of a tree that extends it.
func (m *Mirror) frontier(ctx context.Context, tree *client.Tree) (*tiles.Frontier, error) {
	old := m.head.Load()
	switch {
	case m.edge != nil:
		return m.edge, nil
	case old == nil:
		return new(tiles.Frontier), nil
	}
	err := m.pool.insist(func() (err error) {
		m.edge, err = tiles.LoadFrontier(ctx, tree, old.Size, old.Root)
		return err
	})
	return m.edge, err
}

// copyEntries writes the entries from a right edge up to a head, and all tiles. It returns the
// head's right edge.
func (m *Mirror) copyEntries(ctx context.Context, tree *client.Tree, from *tiles.Frontier, to *tlog.Checkpoint, w *writer) (*tiles.Frontier, error) {
	edge := from.Clone()
	m.c.Progress(edge.Size(), to.Size)
	err := m.pool.insist(func() error {
		start := edge.Size() - edge.Size()%tlog.TileWidth
		for b, err := range tree.Bundles(ctx, start) {
			if err != nil {
				return err
			}
			for _, leaf := range b.Leaves[edge.Size()-b.First:] {
				if err := edge.Append(leaf, w.add); err != nil {
					return err
				}
			}
			size := 0
			for _, e := range b.Entries {
				size += 2 + len(e)
			}
			bundle := make([]byte, 0, size)
			for _, e := range b.Entries {
				bundle = tlog.AppendEntry(bundle, e)
			}
			if err := w.add(tlog.Tile{Level: tlog.Entries, Index: b.First / tlog.TileWidth, Width: len(b.Entries)}, bundle); err != nil {
				return err
			}
			m.c.Progress(edge.Size(), to.Size)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if edge.Root() != to.Root {
		// Every bundle was accepted, so the cause is here and not in a source.
		return nil, fmt.Errorf("the entries copied up to size %d have the root %x, and the head has %x", to.Size, edge.Root(), to.Root)
	}
	return edge, edge.Partial(w.add)
}

// commit makes a head, whose files are durable, the copy's.
func (m *Mirror) commit(edge *tiles.Frontier, to *tlog.Checkpoint) error {
	b := to.Bytes()
	err := durable.WriteFile(filepath.Join(m.c.Dir, checkpointFile), b, 0o644)
	if err != nil {
		// The file may have been replaced. What readers can see must bind later heads.
		if have, rerr := m.copied.ReadCheckpoint(context.Background()); rerr != nil || !bytes.Equal(have, b) {
			return err
		}
	}
	m.head.Store(&head{to, b})
	m.tell()
	m.edge = edge
	return err
}

// tell sends a value to the reader of Moved.
func (m *Mirror) tell() {
	select {
	case m.moved <- struct{}{}:
	default:
	}
}

// tidy removes partial tiles that neither the old nor the present head needs. A reader of the old
// head's tree cuts a full tile where a partial one is gone (C2SP tlog-tiles, "Partial Tiles").
func (m *Mirror) tidy(old, size uint64) {
	if old == size {
		return
	}
	for _, t := range partial(old) {
		width := tiles.Width(max(t.Level, 0), t.Index, size)
		dir := filepath.Dir(m.path(t))
		if width == tlog.TileWidth {
			m.remove(dir)
			continue
		}
		names, err := os.ReadDir(dir)
		if err != nil {
			m.c.Warn(err)
		}
		for _, n := range names {
			if name := n.Name(); name != strconv.Itoa(t.Width) && name != strconv.Itoa(width) {
				m.remove(filepath.Join(dir, name))
			}
		}
	}
}

// partial returns the partial tiles and the partial bundle of a tree.
func partial(size uint64) []tlog.Tile {
	list := tiles.Edge(size)
	if w := int(size % tlog.TileWidth); w > 0 {
		list = append(list, tlog.Tile{Level: tlog.Entries, Index: size / tlog.TileWidth, Width: w})
	}
	return list
}

// remove removes what the copy does not need. Failing to is no failure of the copy.
func (m *Mirror) remove(name string) {
	if err := durable.Remove.Do(name, func() error { return os.RemoveAll(name) }); err != nil {
		m.c.Warn(err)
	}
}

const (
	// batchBytes and batchFiles end a batch: the first bounds memory, the second what a
	// loss of power can undo.
	batchBytes = 8 << 20
	batchFiles = 128
	// writers sync files at the same time, since a disk waits for one sync as long as for a few.
	writers = 32
)

type file struct {
	tile  tlog.Tile
	bytes []byte
}

// writer writes files in batches, each while the next one is being read.
type writer struct {
	m     *Mirror
	to    *coming
	batch *durable.Batch
	files []file
	bytes int
	under chan error // answers for the batch under way; nil: none is
}

// add adds a tile. The caller must not change b.
func (w *writer) add(t tlog.Tile, b []byte) error {
	w.files = append(w.files, file{t, b})
	w.to.add(t, b)
	if w.bytes += len(b); w.bytes < batchBytes && len(w.files) < batchFiles {
		return nil
	}
	return w.flush()
}

// flush starts to write what was added, once the last batch is durable.
func (w *writer) flush() error {
	if err := w.wait(); err != nil {
		return err
	}
	files, under := w.files, make(chan error, 1)
	w.files, w.bytes, w.under = nil, 0, under
	go func() { under <- w.write(files) }()
	return nil
}

// wait waits until no batch is under way.
func (w *writer) wait() error {
	if w.under == nil {
		return nil
	}
	err := <-w.under
	w.under = nil
	return err
}

func (w *writer) write(files []file) error {
	var wg sync.WaitGroup
	errs := make([]error, writers)
	for i := range writers {
		wg.Go(func() {
			for n := i; n < len(files) && errs[i] == nil; n += writers {
				errs[i] = w.batch.WriteFile(w.m.path(files[n].tile), files[n].bytes, 0o644)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	err := w.batch.Sync()
	if err == nil {
		w.to.wrote(files)
	}
	return err
}
