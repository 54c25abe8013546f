// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package chain is why a log's heads never conflict. [Tree] is the tree as this
// process computed it: it believes no engine, compares every tile that an engine
// wrote, and refuses a tree that is not an extension of what it knows. [Head] is
// the last signed head: it signs only an extension of the recorded head, and
// records a new head before any of its signatures leaves the process.
//
// A Tree and a Head each have one owner, a goroutine; nothing here is safe for
// concurrent use.
package chain

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

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
