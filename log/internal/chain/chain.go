// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package chain is why a log's heads never conflict. [Tree] is the tree as this
// process computed it: it believes no engine, compares every tile that an engine
// wrote, and refuses a tree that is not an extension of what it knows. [Head] is
// the last signed head: it signs only an extension of the recorded head, and
// records a new head before any of its signatures leaves the process.
//
// A Tree and a Head each have one owner, a goroutine. Only [Tree.Store] and [Tree.Wait]
// may run at the same time as the owner.
package chain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/internal/tiles/prover"
	"github.com/vasistas/vasistas/log/tlog"
)

// Edge is the size and root of a tree that was checked.
type Edge struct {
	Size uint64
	Root tiles.Hash
}

// EdgeOf returns the edge of a head.
func EdgeOf(h *tlog.Head) Edge { return Edge{h.Size, h.Root} }

// Reasons to sign nothing. Package log exports them.
var (
	ErrTreeBehind = errors.New("the tree has fewer entries than this log has signed for or acknowledged: " +
		"it was restored from a backup, or its state was deleted or rolled back; nothing will be signed; " +
		"bring the entries back with \"vasistas-log recover -from MIRROR\"")
	ErrTreeConflict = errors.New("the tree is not an extension of the one that this log signed; nothing will be signed; " +
		"check the disk and put the file right, or rebuild the tree with \"vasistas-log recover -from MIRROR\"")
	ErrTreeUnreadable = errors.New("the tree can't be read; nothing will be signed until it can")
	ErrLogBehind      = errors.New("there is a later head with this log's valid signature than its recorded one: " +
		"the log's state was restored from an older backup; nothing will be signed; " +
		"bring the later entries back with \"vasistas-log recover -from MIRROR\"")
	ErrForked = errors.New("there is a head with this log's valid signature that conflicts with its recorded head: " +
		"two copies of this log have signed; nothing more will be signed; " +
		"keep both heads as evidence, and start a new log under a new origin")
)

// TreeError wraps an error of reading the tree: in [ErrTreeConflict] if the tree is
// not what it must be, else in [ErrTreeUnreadable]. nil stays nil.
func TreeError(err error) error {
	var corrupt *tlog.CorruptError
	switch {
	case err == nil || errors.Is(err, ErrTreeBehind) || errors.Is(err, ErrTreeConflict):
		return err
	case errors.As(err, &corrupt), errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w (%w)", ErrTreeConflict, err)
	}
	return fmt.Errorf("%w (%w)", ErrTreeUnreadable, err)
}

// ProvenRoot returns the root of the tree of edge e at an earlier size. It proves
// the root: a damaged tile must not look like a fork.
func ProvenRoot(ctx context.Context, p *prover.Prover, size uint64, e Edge) ([32]byte, error) {
	switch size {
	case e.Size:
		return e.Root, nil
	case 0:
		return tiles.EmptyRoot(), nil
	}
	root, err := p.Root(ctx, size, e.Size)
	if err != nil {
		return root, err
	}
	_, err = p.Consistency(ctx, size, root, e.Size, e.Root)
	return root, err
}

// ReadProven returns an entry of the tree of edge e, proven to be in it.
func ReadProven(ctx context.Context, r tlog.TileReader, p *prover.Prover, index uint64, e Edge) ([]byte, error) {
	if index >= e.Size {
		return nil, fmt.Errorf("a tree of size %d has no entry %d", e.Size, index)
	}
	entries, err := tiles.ReadBundle(ctx, r, index/tlog.TileWidth, e.Size)
	if err != nil {
		return nil, TreeError(err)
	}
	entry := entries[index%tlog.TileWidth]
	if _, err := p.Inclusion(ctx, index, tiles.LeafHash(entry), e.Size, e.Root); err != nil {
		return nil, TreeError(err)
	}
	return entry, nil
}

// Engine is what a [Tree] calls of the engine that it writes to; see log.Engine.
type Engine interface {
	tlog.TileReader
	Add(ctx context.Context, entries [][]byte) (first uint64, err error)
	Wait(ctx context.Context, size uint64) error
	Tree(ctx context.Context) (size uint64, root [32]byte, err error)
}

// Tree is the tree as far as this process has computed it. Before each write it
// compares what the engine will build upon, and after it everything that the engine
// wrote. So readers will find what was acknowledged and signed, and nothing is built
// on a damaged tile.
type Tree struct {
	reader   tlog.TileReader // of the engine, or of what another process has published
	engine   Engine          // nil: this process does not write
	frontier *tiles.Frontier
	edge     Edge   // of frontier
	bundle   []byte // the partial bundle at the right edge, as it must be
}

// Load reads the right edge of the tree of head.
func Load(ctx context.Context, r tlog.TileReader, head *tlog.Head) (*Tree, error) {
	f, err := tiles.LoadFrontier(ctx, r, head.Size, head.Root)
	if err != nil {
		return nil, TreeError(err)
	}
	t := &Tree{reader: r}
	return t, t.take(ctx, f)
}

// Of returns the tree of a right edge that the caller has checked. It can be read
// from, and not be extended.
func Of(f *tiles.Frontier) *Tree {
	t := new(Tree)
	t.adopt(f.Clone())
	return t
}

// Use has the tree read from e and write to it from now on.
func (t *Tree) Use(e Engine) { t.reader, t.engine = e, e }

// Size is the number of entries that were checked.
func (t *Tree) Size() uint64 { return t.edge.Size }

// Edge returns the edge of what was checked.
func (t *Tree) Edge() Edge { return t.edge }

// RootWith returns the root that the tree would have with these entries.
func (t *Tree) RootWith(entries [][]byte) (tiles.Hash, error) {
	f := t.frontier.Clone()
	for _, entry := range entries {
		if err := f.Append(tiles.LeafHash(entry), func(tlog.Tile, []byte) error { return nil }); err != nil {
			return tiles.Hash{}, err
		}
	}
	return f.Root(), nil
}

// adopt makes next the tree that was checked.
func (t *Tree) adopt(next *tiles.Frontier) {
	t.frontier, t.edge = next, Edge{next.Size(), next.Root()}
}

// Extend reads on up to size. It hashes every entry, compares every tile, and calls
// each with every entry.
func (t *Tree) Extend(ctx context.Context, size uint64, each func(index uint64, entry []byte) error) error {
	next, err := t.frontier.Extend(ctx, t.reader, size, func(i uint64, entry []byte, _ tiles.Hash) error { return each(i, entry) })
	if err != nil {
		return TreeError(err)
	}
	return t.take(ctx, next)
}

// take makes f the tree that was checked, after it compared the partial bundle of f
// with f's hashes.
func (t *Tree) take(ctx context.Context, f *tiles.Frontier) error {
	n, width := f.Size()/tlog.TileWidth, int(f.Size()%tlog.TileWidth)
	if width == 0 {
		t.bundle = nil
		t.adopt(f)
		return nil
	}
	entries, err := tiles.ReadBundle(ctx, t.reader, n, f.Size())
	if err != nil {
		return TreeError(err)
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
		return TreeError(err)
	}
	t.bundle = bundle
	t.adopt(f)
	return nil
}

// Check compares the right edge of the engine's tree, on which the engine will build,
// with what it must be.
func (t *Tree) Check(ctx context.Context) error {
	size, _, err := t.engine.Tree(ctx)
	if err != nil {
		return TreeError(err)
	}
	switch {
	case size < t.Size():
		return fmt.Errorf("%w (it has %d entries, and had %d)", ErrTreeBehind, size, t.Size())
	case size > t.Size():
		return fmt.Errorf("%w (it has %d entries, and the log gave it %d: another program writes to it)", ErrTreeConflict, size, t.Size())
	}
	same := t.comparer(ctx)
	if err := t.frontier.Partial(same); err != nil {
		return TreeError(err)
	}
	if len(t.bundle) > 0 {
		return TreeError(same(t.bundleTile(t.frontier), t.bundle))
	}
	return nil
}

// comparer returns a function that compares a tile with what it must be.
func (t *Tree) comparer(ctx context.Context) func(tlog.Tile, []byte) error {
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
func (t *Tree) bundleTile(f *tiles.Frontier) tlog.Tile {
	last := f.Size() - 1
	return tlog.Tile{Level: tlog.Entries, Index: last / tlog.TileWidth, Width: int(last%tlog.TileWidth) + 1}
}

// StepError is an error after which the tree must be read again.
type StepError struct {
	Err   error
	Asked bool // the engine was asked to add entries: nothing is known of them
}

func (e *StepError) Error() string { return e.Err.Error() }
func (e *StepError) Unwrap() error { return e.Err }

// Append has the engine add entries, whose leaf hashes are given, and checks what
// it wrote. After a [StepError] the engine may have added them or not, and CatchUp
// finds out; after any other error it was not asked.
func (t *Tree) Append(ctx context.Context, entries [][]byte, leaves []tiles.Hash) error {
	if err := t.Check(ctx); err != nil {
		return err
	}
	at := t.Size()
	if err := t.Store(ctx, at, entries); err != nil {
		return err
	}
	if err := t.Wait(ctx, at+uint64(len(entries))); err != nil {
		return err
	}
	return t.Take(ctx, entries, leaves)
}

// Store has the engine store entries from index at on. Store and Wait change nothing in t, so
// Store may run while another goroutine waits for earlier entries.
func (t *Tree) Store(ctx context.Context, at uint64, entries [][]byte) error {
	first, err := t.engine.Add(ctx, entries)
	if err == nil && first != at {
		err = fmt.Errorf("the engine put a batch at index %d instead of %d", first, at)
	}
	if err != nil {
		return &StepError{err, true}
	}
	return nil
}

// Wait returns once the engine has size entries in its tree.
func (t *Tree) Wait(ctx context.Context, size uint64) error {
	if err := t.engine.Wait(ctx, size); err != nil {
		return &StepError{err, true}
	}
	return nil
}

// Take checks what the engine wrote of entries that Wait has waited for, and adds them to t.
func (t *Tree) Take(ctx context.Context, entries [][]byte, leaves []tiles.Hash) error {
	if err := t.Grow(entries, leaves, t.comparer(ctx)); err != nil {
		return &StepError{TreeError(err), true}
	}
	return nil
}

// Grow adds entries, whose leaf hashes are given. It calls each with every tile and bundle that
// they change: full ones, and those of the right edge. After an error of each, t is unchanged.
func (t *Tree) Grow(entries [][]byte, leaves []tiles.Hash, each func(tlog.Tile, []byte) error) error {
	next, bundle := t.frontier.Clone(), t.bundle
	for i, e := range entries {
		if room := tlog.TileWidth - int(next.Size()%tlog.TileWidth); i == 0 || room == tlog.TileWidth {
			n := 0
			for _, e := range entries[i:min(i+room, len(entries))] {
				n += len(e) + 2
			}
			bundle = slices.Grow(bundle, n)
		}
		bundle = tlog.AppendEntry(bundle, e)
		if err := next.Append(leaves[i], each); err != nil {
			return err
		}
		if next.Size()%tlog.TileWidth == 0 {
			if err := each(t.bundleTile(next), bundle); err != nil {
				return err
			}
			bundle = nil // t.bundle may share its memory
		}
	}
	if len(bundle) > 0 {
		if err := each(t.bundleTile(next), bundle); err != nil {
			return err
		}
	}
	if err := next.Partial(each); err != nil {
		return err
	}
	t.bundle = bundle
	t.adopt(next)
	return nil
}

// CatchUp finds out what the engine has, after an error. It calls each with every
// entry that has come since, all of them checked.
func (t *Tree) CatchUp(ctx context.Context, each func(index uint64, entry []byte) error) error {
	size, _, err := t.engine.Tree(ctx)
	if err != nil {
		return TreeError(err)
	}
	if size <= t.Size() {
		return t.Check(ctx)
	}
	return t.Extend(ctx, size, each)
}
