// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/vasistas/vasistas/log/tlog"
)

// replica is what a process reads of a tree before it can write to it. [Open] reads
// all of it; a standby follows the published tree with it, and then is quick to open.
type replica struct {
	tree  *tree
	index *eventIndex
	book  *book
}

// loadReplica reads the engine's tree, which must extend head, with the help of the
// caches.
func loadReplica(ctx context.Context, origin string, caches *stateDir, engine Engine, head *tlog.Head, logger *slog.Logger) (_ *replica, err error) {
	w := &replica{book: newBook(origin, caches, engine, logger)}
	if w.index, err = openEventIndex(caches.path("events"), engine, logger); err != nil {
		return nil, err
	}
	if err = w.load(ctx, engine, head); err != nil {
		return nil, errors.Join(err, w.index.close())
	}
	return w, nil
}

// load checks the tree against head, and reads what it has.
func (w *replica) load(ctx context.Context, engine Engine, head *tlog.Head) (err error) {
	loaded := false
	each := func(i uint64, entry []byte) error {
		if !loaded {
			// The right edge of the head is sound, so its entries can be read.
			loaded = true
			if err := w.index.load(ctx, head.Size); err != nil {
				return err
			}
		}
		return w.index.addEntry(i, entry)
	}
	if w.tree, err = loadTree(ctx, engine, head, each); err != nil {
		return err
	}
	if !loaded {
		if err := w.index.load(ctx, head.Size); err != nil {
			return err
		}
	}
	return w.book.open(ctx, w.tree)
}

// follow takes up a tree of this size, which must extend head. After an error the
// replica is of no use.
func (w *replica) follow(ctx context.Context, head *tlog.Head, size uint64) error {
	for _, to := range []uint64{head.Size, size} {
		if err := w.tree.extend(ctx, to, w.index.addEntry); err != nil {
			return err
		}
		if e := w.tree.edge.Load(); to == head.Size && e.root != head.Root {
			return fmt.Errorf("%w (its root at size %d is not that of the head)", ErrTreeConflict, to)
		}
	}
	return w.book.follow(ctx, w.tree)
}

// use takes up what the engine's tree has, which must extend head, and has all further
// reads and writes go to the engine. After an error the replica is closed.
func (w *replica) use(ctx context.Context, engine Engine, head *tlog.Head) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, w.index.close())
		}
	}()
	size, _, err := engine.Tree(ctx)
	if err != nil {
		return treeError(err)
	}
	// A head below the replica's is of a state that was restored.
	if size < head.Size || head.Size < w.tree.size() {
		return fmt.Errorf("%w (the tree has %d entries, the head %d, and %d were read before)", ErrTreeBehind, size, head.Size, w.tree.size())
	}
	w.tree.engine, w.index.reader, *w.book.pages = engine, engine, *newPages(engine) // the ledger has these pages
	if err := w.follow(ctx, head, size); err != nil {
		return err
	}
	w.book.mu.Lock()
	defer w.book.mu.Unlock()
	w.book.wakeAll()
	return nil
}

// close writes the caches.
func (w *replica) close() error { return errors.Join(w.book.save(), w.index.close()) }

// publishedTree is the published tree as an engine that is not written to.
type publishedTree struct {
	tlog.TileReader
	head *tlog.Head
}

func (t publishedTree) Tree(context.Context) (uint64, [32]byte, error) {
	return t.head.Size, t.head.Root, nil
}

func (publishedTree) Add(context.Context, [][]byte) (uint64, error) { return 0, ErrOusted }

func (publishedTree) Close(context.Context) error { return nil }
