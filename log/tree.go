// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// tree is the engine's tree, as far as this process has computed it itself. It
// compares what the engine builds upon before each write, and all that the
// engine wrote after it: so what was acknowledged, and what is signed, is what
// readers will find, and damage is noticed before anything is built on top.
//
// One goroutine, the sequencer, owns it; only edge is shared.
type tree struct {
	reader   tlog.TileReader // of the engine, or of what another process has published
	engine   Engine          // nil: this process does not write
	frontier *tiles.Frontier
	bundle   []byte // the partial bundle at the right edge, as it must be

	edge atomic.Pointer[edge]
}

// edge is the size and root of a tree that was checked.
type edge struct {
	size uint64
	root tiles.Hash
}

// loadTree reads the right edge of the tree of head.
func loadTree(ctx context.Context, r tlog.TileReader, head *tlog.Head) (*tree, error) {
	f, err := tiles.LoadFrontier(ctx, r, head.Size, head.Root)
	if err != nil {
		return nil, treeError(err)
	}
	t := &tree{reader: r}
	return t, t.take(ctx, f)
}

// size is the number of entries that were checked.
func (t *tree) size() uint64 { return t.frontier.Size() }

// adopt makes next the tree that was checked.
func (t *tree) adopt(next *tiles.Frontier) {
	t.frontier = next
	t.edge.Store(&edge{next.Size(), next.Root()})
}

// extend takes up what the engine has beyond the part that was checked, up to
// size. Every entry is hashed, and every tile compared.
func (t *tree) extend(ctx context.Context, size uint64, each func(index uint64, entry []byte) error) error {
	next, err := t.frontier.Extend(ctx, t.reader, size, func(i uint64, entry []byte, _ tiles.Hash) error { return each(i, entry) })
	if err != nil {
		return treeError(err)
	}
	return t.take(ctx, next)
}

// take makes f the tree that was checked. It reads the partial bundle of f, and
// compares it with f's hashes.
func (t *tree) take(ctx context.Context, f *tiles.Frontier) error {
	n, width := f.Size()/tlog.TileWidth, int(f.Size()%tlog.TileWidth)
	if width == 0 {
		t.bundle = nil
		t.adopt(f)
		return nil
	}
	entries, err := tiles.ReadBundle(ctx, t.reader, n, f.Size())
	if err != nil {
		return treeError(err)
	}
	var bundle, hashes []byte
	for _, e := range entries {
		leaf := tiles.LeafHash(e)
		hashes = append(hashes, leaf[:]...)
		bundle = tlog.AppendEntry(bundle, e)
	}
	err = f.Partial(func(p tlog.Tile, want []byte) error {
		if p.Level == 0 && !bytes.Equal(want, hashes) {
			return &tlog.CorruptError{Tile: tlog.Tile{Level: tlog.Entries, Index: n, Width: width}, Reason: "it does not have the entries that the tree has"}
		}
		return nil
	})
	if err != nil {
		return treeError(err)
	}
	t.bundle = bundle
	t.adopt(f)
	return nil
}

// check compares the right edge with what it must be. The engine will build on
// it.
func (t *tree) check(ctx context.Context) error {
	size, _, err := t.engine.Tree(ctx)
	if err != nil {
		return treeError(err)
	}
	switch {
	case size < t.size():
		return fmt.Errorf("%w (it has %d entries, and had %d)", ErrTreeBehind, size, t.size())
	case size > t.size():
		return fmt.Errorf("%w (it has %d entries, and the log gave it %d: another program writes to it)", ErrTreeConflict, size, t.size())
	}
	same := t.comparer(ctx)
	if err := t.frontier.Partial(same); err != nil {
		return treeError(err)
	}
	if len(t.bundle) > 0 {
		return treeError(same(t.bundleTile(t.frontier), t.bundle))
	}
	return nil
}

// comparer returns a function that compares a tile with what it must be.
func (t *tree) comparer(ctx context.Context) func(tlog.Tile, []byte) error {
	return func(tile tlog.Tile, want []byte) error {
		got, err := t.reader.ReadTile(ctx, tile)
		if err != nil {
			return fmt.Errorf("reading %s: %w", tile.Path(), err)
		}
		if !bytes.Equal(got, want) {
			return &tlog.CorruptError{Tile: tile, Reason: "it is not what the log wrote"}
		}
		return nil
	}
}

// bundleTile names the bundle with the last entry of f.
func (t *tree) bundleTile(f *tiles.Frontier) tlog.Tile {
	last := f.Size() - 1
	return tlog.Tile{Level: tlog.Entries, Index: last / tlog.TileWidth, Width: int(last%tlog.TileWidth) + 1}
}

// stepError is an error after which the tree must be read again.
type stepError struct {
	err   error
	asked bool // the engine was asked to add entries: nothing is known of them
}

func (e *stepError) Error() string { return e.err.Error() }
func (e *stepError) Unwrap() error { return e.err }

// append has the engine add entries, whose leaf hashes are given, and checks what
// it wrote. After a [stepError] the engine may have done it or not, and catchUp
// finds out; after any other error it was not asked.
func (t *tree) append(ctx context.Context, entries [][]byte, leaves []tiles.Hash) error {
	if err := t.check(ctx); err != nil {
		return err
	}
	first, err := t.engine.Add(ctx, entries)
	if err != nil {
		return &stepError{err, true}
	}
	if first != t.size() {
		return &stepError{fmt.Errorf("the engine put a batch at index %d, and the tree had %d entries", first, t.size()), true}
	}
	next, bundle, err := t.grown(ctx, entries, leaves)
	if err != nil {
		return &stepError{treeError(err), true}
	}
	t.bundle = bundle
	t.adopt(next)
	return nil
}

// grown computes what the tree must be with the entries, and compares each tile
// and bundle that this changes with what the engine has.
func (t *tree) grown(ctx context.Context, entries [][]byte, leaves []tiles.Hash) (*tiles.Frontier, []byte, error) {
	same := t.comparer(ctx)
	next, bundle := t.frontier.Clone(), t.bundle
	for i, e := range entries {
		bundle = tlog.AppendEntry(bundle, e)
		if err := next.Append(leaves[i], same); err != nil {
			return nil, nil, err
		}
		if next.Size()%tlog.TileWidth == 0 {
			if err := same(t.bundleTile(next), bundle); err != nil {
				return nil, nil, err
			}
			bundle = nil // t.bundle may share its memory
		}
	}
	if len(bundle) > 0 {
		if err := same(t.bundleTile(next), bundle); err != nil {
			return nil, nil, err
		}
	}
	return next, bundle, next.Partial(same)
}

// catchUp finds out what the engine has, after an error. each is called with the
// entries that have come since, all of them checked.
func (t *tree) catchUp(ctx context.Context, each func(index uint64, entry []byte) error) error {
	size, _, err := t.engine.Tree(ctx)
	if err != nil {
		return treeError(err)
	}
	if size <= t.size() {
		return t.check(ctx)
	}
	return t.extend(ctx, size, each)
}

// eventHash returns the event hash of an entry of the tree.
func eventHash(index uint64, entry []byte) ([32]byte, error) {
	env, err := event.ParseEnvelope(entry)
	if err != nil {
		return [32]byte{}, fmt.Errorf("%w (entry %d is not an event: %w)", ErrTreeConflict, index, err)
	}
	return env.Hash(), nil
}

// treeError tells a tree that is not what it must be from one that can't be
// read.
func treeError(err error) error {
	var corrupt *tlog.CorruptError
	switch {
	case err == nil || errors.Is(err, ErrTreeBehind) || errors.Is(err, ErrTreeConflict):
		return err
	case errors.As(err, &corrupt), errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w (%w)", ErrTreeConflict, err)
	}
	return fmt.Errorf("%w (%w)", ErrTreeUnreadable, err)
}
