// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/tlog"
)

// Report says what a Check found.
type Report struct {
	Checked  int         // files of the copy that were read back
	Repaired []tlog.Tile // files of the copy that were damaged or missing, and are whole again
	// Upstream are the full tiles that sources don't serve as the tree has them: changed (Err
	// wraps a [tlog.CorruptError]), vanished ([fs.ErrNotExist]), or not readable now. The
	// copy has each of them.
	Upstream []*SourceError
}

// Check reads back some files of the copy, at most budget, and writes those that do not
// fit the tree again, with bytes from a source. It also reads the same full tiles from
// each source. The next Check goes on where this one ended, so that a caller who calls it
// often enough has all of the copy checked in rounds; the first one starts anywhere. An
// error names files that could not be repaired; the rest was checked nevertheless. At the
// start of a process, call Update first: Check trusts only a head that the policy accepts.
func (m *Mirror) Check(ctx context.Context, budget int) (*Report, error) {
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	defer m.end()
	h := m.head.Load()
	if h == nil {
		return nil, errNoHead
	}
	m.pool.forgive()
	// A new tree, whose cache is empty, reads each tile of the way up from the disk again.
	tree, err := m.client.Tree(client.TreeOptions{Known: h.Checkpoint})
	if err != nil {
		return nil, err
	}
	if _, err := m.pool.offer(ctx, tree, h.bytes); err != nil {
		return nil, err
	}
	r, all := new(Report), files(h.Size)
	var errs []error
	for range min(uint64(max(budget, 0)), all) {
		t := nth(h.Size, m.next%all)
		err := m.checkFile(ctx, tree, t, r)
		if ctx.Err() != nil {
			return r, context.Cause(ctx)
		}
		if err != nil && len(errs) < maxErrors {
			errs = append(errs, fmt.Errorf("%s of the copy is not repaired: %w", t.Path(), err))
		}
		r.Checked++
		m.next = (m.next + 1) % all
	}
	return r, errors.Join(errs...)
}

// maxErrors bounds the error of a Check.
const maxErrors = 16

// checkFile checks, and repairs, one file of the copy, and compares it with the sources'.
func (m *Mirror) checkFile(ctx context.Context, tree *client.Tree, t tlog.Tile, r *Report) error {
	var want []byte
	err := m.pool.insist(func() (err error) {
		want, err = tree.ReadTile(ctx, t)
		return err
	})
	if err != nil {
		return err
	}
	full := t.Width == tlog.TileWidth
	if have, err := m.copied.ReadTile(ctx, t); err != nil || !bytes.Equal(have, want) {
		if err := m.rewrite(t, want); err != nil {
			return err
		}
		r.Repaired = append(r.Repaired, t)
	}
	if !full {
		return nil // a source may have replaced it
	}
	for i, s := range m.c.Sources {
		if !t.In(m.seen[i]) {
			continue
		}
		b, err := m.pool.read(ctx, local+i, t)
		if err == nil && !bytes.Equal(b, want) {
			err = &SourceError{s.Name, &tlog.CorruptError{Tile: t, Reason: "it was changed"}}
		}
		if found, ok := errors.AsType[*SourceError](err); ok {
			r.Upstream = append(r.Upstream, found)
		}
	}
	return nil
}

func (m *Mirror) rewrite(t tlog.Tile, b []byte) error {
	name := m.path(t)
	if err := durable.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return durable.WriteFile(name, b, 0o644)
}

// Files returns the number of files that the copy has now, without its checkpoint.
func (m *Mirror) Files() uint64 {
	if h := m.head.Load(); h != nil {
		return files(h.Size)
	}
	return 0
}

// files returns the number of files of a copy without its checkpoint: bundles, and tiles
// of each level.
func files(size uint64) uint64 {
	n := perLevel(size, tlog.Entries)
	for l := 0; size>>(8*l) > 0; l++ {
		n += perLevel(size, l)
	}
	return n
}

func perLevel(size uint64, level int) uint64 {
	return (size>>(8*max(level, 0)) + tlog.TileWidth - 1) / tlog.TileWidth
}

// nth returns the n-th file of a copy, below files(size).
func nth(size, n uint64) tlog.Tile {
	t := tlog.Tile{Level: tlog.Entries, Index: n}
	for t.Index >= perLevel(size, t.Level) {
		t.Index -= perLevel(size, t.Level)
		t.Level++
	}
	t.Width = tiles.Width(max(t.Level, 0), t.Index, size)
	return t
}
