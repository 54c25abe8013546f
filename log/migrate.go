// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"context"
	"errors"
	"fmt"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/tlog"
)

// MigrateConfig configures [Migrate].
type MigrateConfig struct {
	StateDir string
	State    State // as in Config
	Keys     []*tlog.Signer
	// From has the tree, To gets it. To is empty, or has a part of the tree from
	// an attempt that was cut off. Both stay the caller's.
	From, To Engine

	// Progress, if not nil, is told what is being done, and how far it is.
	Progress func(what string, done, total uint64)
	FS       durable.FS
}

// Migrate copies the tree of a log from one engine to another. It is the same log
// then: the state, the keys and every proof stay as they are. The log must not be
// running.
//
// Nothing is written before every entry and tile of From has been checked against
// the recorded head, and every one of To against From. When it returns nil, every
// entry and tile of To has been read and is that of the same tree, of the size that
// is returned. If it is cut off, it can be run again.
func Migrate(ctx context.Context, cfg MigrateConfig) (size uint64, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("migrating the log: %w", err)
		}
	}()
	dir, err := openStateDir(cfg.StateDir, cfg.FS, cfg.State != nil)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, dir.close()) }()
	st := record{cfg.State}
	if cfg.State == nil {
		st.State = dir
	}
	if err := st.checkKeys(cfg.Keys); err != nil {
		return 0, err
	}
	head, _, err := st.head(ctx, verifiers(cfg.Keys))
	if err != nil {
		return 0, err
	}
	m := &migration{MigrateConfig: cfg, head: &head.Head}
	if err := m.compare(ctx); err != nil {
		return 0, err
	}
	return m.whole.Size(), m.copy(ctx)
}

// migration is one call of Migrate.
type migration struct {
	MigrateConfig
	head   *tlog.Head      // recorded
	common *tiles.Frontier // of what both have
	whole  *tiles.Frontier // of what From has
}

// compare checks all that both have.
func (m *migration) compare(ctx context.Context) error {
	size, root, err := m.From.Tree(ctx)
	if err != nil {
		return treeError(err)
	}
	if size < m.head.Size {
		return fmt.Errorf("%w (the tree has %d entries, the head %d)", ErrTreeBehind, size, m.head.Size)
	}
	there, _, err := m.To.Tree(ctx)
	if err != nil {
		return fmt.Errorf("the new place: %w", treeError(err))
	}
	if there > size {
		return fmt.Errorf("the new place has %d entries, and the log only %d: it is not a part of this log", there, size)
	}
	f := &tiles.Frontier{}
	for _, stop := range []uint64{min(there, m.head.Size), max(there, m.head.Size), size} {
		if f, err = f.Extend(ctx, m.From, stop, m.progress("checking the tree", size)); err != nil {
			return treeError(err)
		}
		if stop == m.head.Size && f.Root() != m.head.Root {
			return fmt.Errorf("%w (its root at size %d is not that of the recorded head)", ErrTreeConflict, stop)
		}
		if stop == there {
			m.common = f
		}
	}
	if m.whole = f; f.Root() != root {
		return fmt.Errorf("%w (its entries have the root %x, and the engine says %x)", ErrTreeConflict, f.Root(), root)
	}
	copied, err := (&tiles.Frontier{}).Extend(ctx, m.To, there, m.progress("checking what is in the new place", there))
	if err != nil {
		return fmt.Errorf("the new place: %w", treeError(err))
	}
	if copied.Root() != m.common.Root() {
		return fmt.Errorf("the new place has %d entries, and they are not the first of this log; give an empty one", there)
	}
	return nil
}

// copy adds what To lacks, and reads all of it.
func (m *migration) copy(ctx context.Context) error {
	w := &batchWriter{engine: m.To, next: m.common.Size()}
	progress := m.progress("copying", m.whole.Size())
	copied, err := m.common.Extend(ctx, m.From, m.whole.Size(), func(i uint64, entry []byte, leaf tiles.Hash) error {
		return errors.Join(w.add(ctx, entry), progress(i, entry, leaf))
	})
	if err == nil {
		err = w.flush(ctx)
	}
	if err != nil {
		return fmt.Errorf("copying entries: %w", err)
	}
	size, root, err := m.To.Tree(ctx)
	if err != nil {
		return fmt.Errorf("the new place: %w", treeError(err))
	}
	if size != m.whole.Size() || root != m.whole.Root() || copied.Root() != m.whole.Root() {
		return fmt.Errorf("after copying, the new place has %d entries with the root %x, and the log %d with %x", size, root, m.whole.Size(), m.whole.Root())
	}
	read, err := (&tiles.Frontier{}).Extend(ctx, m.To, size, m.progress("reading what was copied", size))
	if err != nil {
		return fmt.Errorf("reading what was copied: %w", treeError(err))
	}
	if read.Root() != m.whole.Root() {
		return fmt.Errorf("what was copied has the root %x, and the log %x", read.Root(), m.whole.Root())
	}
	return nil
}

func (m *migration) progress(what string, total uint64) func(uint64, []byte, tiles.Hash) error {
	return func(i uint64, _ []byte, _ tiles.Hash) error {
		if m.Progress != nil && (i%tlog.TileWidth == tlog.TileWidth-1 || i+1 == total) {
			m.Progress(what, i+1, total)
		}
		return nil
	}
}
