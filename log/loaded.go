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

// loaded is what a process must have read of a tree before it writes to it. [Open]
// reads all of it. A standby keeps it up to date with the published tree, so its
// [Open] is quick.
type loaded struct {
	tree  *tree
	index *eventIndex
	book  *book
}

// load reads the tree of this size with the help of the caches. The tree must extend
// head.
func load(ctx context.Context, caches *stateDir, r tlog.TileReader, head *tlog.Head, size uint64, logger *slog.Logger) (_ *loaded, err error) {
	w := &loaded{book: newBook(head.Origin, caches, r, logger)}
	if w.index, err = openEventIndex(caches.path("events"), r, logger); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.index.close())
		}
	}()
	if w.tree, err = loadTree(ctx, r, head); err != nil {
		return nil, err
	}
	// The right edge of the head is sound, so its entries can be read.
	if err := w.index.load(ctx, head.Size); err != nil {
		return nil, err
	}
	if err := w.tree.extend(ctx, size, w.index.addEntry); err != nil {
		return nil, err
	}
	return w, w.book.open(ctx, w.tree)
}

// follow reads on up to this size of the tree, which must extend head. After an error
// w is unusable.
func (w *loaded) follow(ctx context.Context, head *tlog.Head, size uint64) error {
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

// use makes the engine the reader from now on, and reads on up to this size of its
// tree, which must extend head. After an error w is unusable.
func (w *loaded) use(ctx context.Context, engine Engine, head *tlog.Head, size uint64) error {
	// A head smaller than what was read comes from a restored state.
	if head.Size < w.tree.size() {
		return fmt.Errorf("%w (the tree has %d entries, the head %d, and %d were read before)", ErrTreeBehind, size, head.Size, w.tree.size())
	}
	w.tree.reader, w.index.reader, *w.book.pages = engine, engine, *newPages(engine) // the ledger has these pages
	if err := w.follow(ctx, head, size); err != nil {
		return err
	}
	w.book.mu.Lock()
	defer w.book.mu.Unlock()
	w.book.wakeAll()
	return nil
}

// close writes the caches.
func (w *loaded) close() error { return errors.Join(w.book.save(), w.index.close()) }
