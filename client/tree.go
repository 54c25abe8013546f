// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/internal/tiles/prover"
	"github.com/vasistas/vasistas/log/tlog"
)

// TreeOptions say how a [Tree] is read. The zero value is usable.
type TreeOptions struct {
	// Known is the largest checkpoint ever verified, which later heads must extend:
	// see [Client.Signed]. nil: none.
	Known *tlog.Checkpoint
	// Tiles compares each full tile of leaf hashes with its entries. Clients need these
	// tiles only for proofs.
	Tiles bool
}

// Tree is the verified tree of one log. It reads from the log on demand, and returns
// only what is proven under its head, the largest one. It is safe for concurrent use,
// except with Update and Offer. An error leaves it unchanged.
type Tree struct {
	c    *Client
	opts TreeOptions
	// largest is the largest head ever verified. It never gets smaller and no
	// later head contradicts it. nil at the start.
	largest *tlog.Checkpoint
	retired bool           // the policy names none of the keys that signed largest
	head    *tlog.Verified // largest, as verified in this run; or nil
	now     *rooted        // of head; or nil
	full    *tileCache     // shared with clones
	recent  *bundleCache   // the last ones read, for Entry; shared with clones
}

// Tree returns the tree of the client's log.
func (c *Client) Tree(o TreeOptions) (*Tree, error) {
	if c.policy == nil {
		return nil, ErrNoPolicy
	}
	t := &Tree{c: c, opts: o, largest: o.Known, full: newCache[tlog.Hash, []tlog.Hash](keepTiles), recent: newCache[uint64, *bundle](keepBundles)}
	if o.Known != nil {
		_, err := c.policy.Verify(o.Known, c.origin)
		t.retired = errors.Is(err, tlog.ErrUnknownLog)
	}
	return t, nil
}

// Signed parses a checkpoint of a saved state. One of another log, or with a bad signature, is a
// [StateError]. Cosignatures don't count: the policy's witnesses may have changed, and
// the log's signature alone binds it to extend this head. The log's keys may have changed as
// well: a head that a retired key signed was verified when it was saved, and later heads must
// extend it; but a contradiction with it does not convict the log.
func (c *Client) Signed(checkpoint []byte) (*tlog.Checkpoint, error) {
	if c.policy == nil {
		return nil, ErrNoPolicy
	}
	cp, err := tlog.ParseCheckpoint(checkpoint)
	if err != nil {
		return nil, &StateError{err.Error()}
	}
	named := c.origin == cp.Origin || c.origin == "" &&
		slices.ContainsFunc(c.policy.Logs, func(l tlog.PolicyLog) bool { return l.Key.Name == cp.Origin })
	_, err = c.policy.Verify(cp, c.origin)
	if err != nil && !errors.Is(err, tlog.ErrNoQuorum) && !(named && errors.Is(err, tlog.ErrUnknownLog)) {
		return nil, &StateError{err.Error()}
	}
	return cp, nil
}

// Clone returns a copy that reads and verifies with c, another client of the same log.
// nil: t's client. A head that the copy accepts does not reach t.
func (t *Tree) Clone(c *Client) *Tree {
	n := *t
	if c != nil {
		n.c = c
		if t.now != nil {
			now := *t.now
			now.c, now.keeper, now.prover, n.now = c, c.keeper, prover.New(&now, 0), &now
		}
	}
	return &n
}

// Head returns the head under which t proves entries, nil before the first.
func (t *Tree) Head() *tlog.Verified { return t.head }

// Largest returns the largest checkpoint ever verified, nil before the first.
func (t *Tree) Largest() *tlog.Checkpoint { return t.largest }

// Update fetches the latest checkpoint and accepts it as the head if the policy accepts
// it and it extends every earlier head. Errors are those of Offer.
func (t *Tree) Update(ctx context.Context) (*tlog.Verified, error) {
	v, err := t.c.fetchCheckpoint(ctx)
	if err != nil {
		return nil, err
	}
	return t.accept(ctx, v)
}

// Offer is Update with a checkpoint from elsewhere, such as a witness. One that
// contradicts the largest verified head is a [ForkError]; one that is smaller and
// consistent a [RollbackError]. One of the same tree, with other cosignatures, replaces
// the head.
func (t *Tree) Offer(ctx context.Context, checkpoint []byte) (*tlog.Verified, error) {
	v, err := t.c.verify(checkpoint)
	if err != nil {
		return nil, err
	}
	return t.accept(ctx, v)
}

func (t *Tree) accept(ctx context.Context, v *tlog.Verified) (*tlog.Verified, error) {
	cp, now := v.Checkpoint, t.now
	if t.largest != nil {
		err := t.unfit(notBefore(t.largest, cp))
		if _, back := errors.AsType[*RollbackError](err); back && now != nil {
			err = cmp.Or(extends(ctx, now, cp, t.largest), err)
		}
		if err != nil {
			return nil, err
		}
	}
	if now == nil || now.size != cp.Size {
		now = t.grown(ctx, cp)
	}
	if now == nil {
		var err error
		if now, err = openRooted(ctx, t.c, cp.Size, cp.Root, t.full); err != nil {
			return nil, err
		}
		if t.largest != nil {
			if err := t.unfit(extends(ctx, now, t.largest, cp)); err != nil {
				return nil, err
			}
		}
		if err := now.persist(); err != nil {
			return nil, err
		}
	}
	t.largest, t.retired, t.head, t.now = cp, false, v, now
	return v, nil
}

// A tailReader is a source that can leave out the first bytes of a bundle.
type tailReader interface {
	readTail(ctx context.Context, t tlog.Tile, skip int) ([]byte, error)
}

// grown returns the tree of a head that adds entries only to the last bundle of t, if the bundle's other
// entries are known. It reads only the new entries. Their hashes, appended to the right edge of t's tree,
// must give the head's root: then the head extends t's head, and has these entries. It returns nil if they
// don't, or if it can't read them.
func (t *Tree) grown(ctx context.Context, cp *tlog.Checkpoint) *rooted {
	source, ok := t.c.source.(tailReader)
	if !ok || t.now == nil || cp.Size < t.now.size || cp.Size/tlog.TileWidth != t.now.size/tlog.TileWidth {
		return nil
	}
	id := tlog.Tile{Level: tlog.Entries, Index: cp.Size / tlog.TileWidth, Width: int(cp.Size % tlog.TileWidth)}
	known, ok := t.recent.Get(id.Index)
	if !ok || !slices.Equal(known.leaves, t.now.edge.Tile(0)) {
		return nil
	}
	skip := 0
	for _, e := range known.entries {
		skip += 2 + len(e)
	}
	tail, err := source.readTail(ctx, id, skip)
	if err != nil {
		return nil
	}
	more, err := tlog.ParseBundle(tail, id.Width-len(known.entries))
	if err != nil {
		return nil
	}
	b := &bundle{n: known.n, entries: slices.Concat(known.entries, more), leaves: slices.Clone(known.leaves)}
	edge := t.now.edge.Clone()
	for _, e := range more {
		leaf := tiles.LeafHash(e)
		b.leaves = append(b.leaves, leaf)
		if edge.Append(leaf, nil) != nil { // the new entries fill no tile
			return nil
		}
	}
	if edge.Root() != cp.Root {
		return nil
	}
	t.recent.Add(b.n, b)
	now := newRooted(t.c, cp.Size, cp.Root, edge, t.full)
	now.roots.Add(t.now.size, t.now.root)
	return now
}

// unfit makes a contradiction with a head of a retired key an error of the state.
func (t *Tree) unfit(err error) error {
	if fork, ok := errors.AsType[*ForkError](err); ok && t.retired {
		return fmt.Errorf("%w: %w", &StateError{"the policy names none of the keys that signed its checkpoint, which contradicts the log's head"}, fork)
	}
	return err
}

// extends returns a [ForkError] unless t, the tree of the head large, has small's root
// at small's size.
func extends(ctx context.Context, t *rooted, small, large *tlog.Checkpoint) error {
	prefix, err := t.rootAt(ctx, small.Size)
	if err != nil {
		return err
	}
	if prefix == small.Root {
		return nil
	}
	fork := &ForkError{Small: small, Large: large, Prefix: prefix}
	fork.Proof, err = t.prover.Consistency(ctx, small.Size, prefix, large.Size, large.Root)
	if err != nil {
		return err
	}
	return fork
}

var errNoHead = errors.New("there is no head yet; call Update")

// Root returns the root of the tree at a size of at most the head's.
func (t *Tree) Root(ctx context.Context, size uint64) (tlog.Hash, error) {
	if t.now == nil {
		return tlog.Hash{}, errNoHead
	}
	return t.now.rootAt(ctx, size)
}

// Consistency returns the consistency proof from a smaller size to the head (RFC
// 6962, section 2.1.2).
func (t *Tree) Consistency(ctx context.Context, size uint64) ([]tlog.Hash, error) {
	root, err := t.Root(ctx, size)
	if err != nil {
		return nil, err
	}
	return t.now.prover.Consistency(ctx, size, root, t.now.size, t.now.root)
}

// Entry returns the bytes of an entry. The tree keeps the last 16 bundles read.
func (t *Tree) Entry(ctx context.Context, index uint64) ([]byte, error) {
	if t.now == nil || index >= t.now.size {
		return nil, fmt.Errorf("entry %d is %w", index, ErrNotLogged)
	}
	i := index % tlog.TileWidth
	if b, ok := t.recent.Get(index / tlog.TileWidth); ok && i < uint64(len(b.entries)) {
		// A clone may have read it under a head that t did not accept.
		have, err := t.now.tile(ctx, 0, b.n)
		if err != nil {
			return nil, err
		}
		if have[i] == b.leaves[i] {
			return b.entries[i], nil
		}
	}
	b, err := t.now.read(ctx, index/tlog.TileWidth)
	if err != nil {
		return nil, err
	}
	t.recent.Add(b.n, b)
	return b.entries[i], nil
}

var _ tlog.TileReader = (*Tree)(nil)

// ReadTile returns a tile or bundle of the tree, of any width up to the head's: see
// [tlog.TileReader]. What does not fit the head is a [tlog.CorruptError].
func (t *Tree) ReadTile(ctx context.Context, id tlog.Tile) ([]byte, error) {
	switch {
	case t.now == nil:
		return nil, errNoHead
	case !id.In(t.now.size):
		return nil, fmt.Errorf("a tree of size %d has no %s: %w", t.now.size, id.Path(), fs.ErrNotExist)
	case id.Level != tlog.Entries:
		return t.now.ReadTile(ctx, id)
	}
	b, err := t.now.read(ctx, id.Index)
	if err != nil {
		return nil, err
	}
	return id.Cut(b.bytes())
}

// Bundle is a run of proven entries. It shares its memory with no other bundle.
type Bundle struct {
	First   uint64 // index of the first entry
	Entries [][]byte
	Leaves  []tlog.Hash // their leaf hashes
}

// Bundles yields the entries from an index up to the head, bundle by bundle. It reads
// ahead.
func (t *Tree) Bundles(ctx context.Context, from uint64) iter.Seq2[Bundle, error] {
	return func(yield func(Bundle, error) bool) {
		if t.now == nil {
			yield(Bundle{}, errNoHead)
			return
		}
		give := func(b *bundle) bool {
			t.recent.Add(b.n, b)
			first := max(from, b.n*tlog.TileWidth)
			i := first % tlog.TileWidth
			return yield(Bundle{First: first, Entries: b.entries[i:], Leaves: b.leaves[i:]}, nil)
		}
		if b, ok := t.recent.Get(from / tlog.TileWidth); ok && from < t.now.size && t.now.last(ctx, b) {
			give(b)
			return
		}
		for b, err := range readBundles(ctx, t.c.source, from, t.now.size, t.opts.Tiles) {
			if err == nil {
				err = t.now.bundle(ctx, b)
			}
			if err != nil {
				yield(Bundle{}, err)
				return
			}
			if !give(b) {
				return
			}
		}
	}
}
