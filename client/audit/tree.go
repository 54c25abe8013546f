// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/bits"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/internal/tiles/prover"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// What the ledger asks for is mostly recent: the last bundles are kept, up to
// these limits, and what is older is read from the log again.
const (
	keepBundles = 64
	keepBytes   = 32 << 20
	keepOld     = 8 // bundles that were read again, 12 MB each at most
)

// nodes are the nodes of a bundle: nodes[0] its leaf hashes, nodes[k] the roots of
// the perfect subtrees over 2^k of them.
type nodes [9][]tlog.Hash

// grow computes all but the leaves.
func (n *nodes) grow() {
	for k := 1; k < len(n); k++ {
		below := n[k-1]
		n[k] = make([]tlog.Hash, 0, len(below)/2)
		for i := 0; i+1 < len(below); i += 2 {
			n[k] = append(n[k], tiles.HashChildren(below[i], below[i+1]))
		}
	}
}

// recent is a bundle that is kept. The tree before it is prefix: roots of perfect
// subtrees, from the largest, as many as its number of bundles has bits.
type recent struct {
	n      uint64
	prefix []tlog.Hash
	nodes  *nodes
	first  uint64 // index of entries[0]
	raw    []client.Entry
	bytes  int
}

// tree is the verified tree, as the ledger asks for it: what was proven to be in
// the head's tree while it was followed, or is proven now.
type tree struct {
	ctx    context.Context // of the run: ledger.Tree has none
	c      *client.Client
	head   *tlog.Verified
	prover *prover.Prover
	old    *lru.Cache[uint64, [][]byte] // bundles as the log served them

	recent  []recent // ascending, without gaps
	bytes   int      // of recent
	prefix  []tlog.Hash
	partial []tlog.Hash // leaf hashes that the snapshot's tree has in its last bundle
}

var _ ledger.Tree = (*tree)(nil)

// newTree returns the tree from a state on that the head's tree was found to
// extend.
func newTree(ctx context.Context, c *client.Client, head *tlog.Verified, from client.State) (*tree, error) {
	old, err := lru.New[uint64, [][]byte](keepOld)
	if err != nil {
		return nil, err
	}
	t := &tree{ctx: ctx, c: c, head: head, prover: prover.New(c, 64), old: old}
	if from.Size == 0 {
		return t, nil
	}
	f, err := tiles.LoadFrontier(ctx, asOf{c, head.Checkpoint.Size}, from.Size, from.Root)
	if err != nil {
		return nil, err
	}
	err = f.Partial(func(tile tlog.Tile, b []byte) error {
		hashes := make([]tlog.Hash, tile.Width)
		for i := range hashes {
			hashes[i] = tlog.Hash(b[i*sha256.Size:])
		}
		if tile.Level == 0 {
			t.partial = hashes
			return nil
		}
		t.prefix = append(perfect(hashes), t.prefix...)
		return nil
	})
	return t, err
}

// asOf reads the tiles of a smaller tree out of those of the tree of a size: a log
// need not keep the partial ones of trees that it has outgrown.
type asOf struct {
	c    *client.Client
	size uint64
}

func (r asOf) ReadTile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	wide := t
	wide.Width = tiles.Width(t.Level, t.Index, r.size)
	b, err := r.c.ReadTile(ctx, wide)
	if err != nil {
		return nil, err
	}
	return t.Cut(b)
}

// perfect returns the roots of the perfect subtrees that hashes divide into, the
// largest first.
func perfect(hashes []tlog.Hash) []tlog.Hash {
	var out []tlog.Hash
	for len(hashes) > 0 {
		n := 1 << (bits.Len(uint(len(hashes))) - 1)
		h := append([]tlog.Hash(nil), hashes[:n]...)
		for len(h) > 1 {
			for i := range len(h) / 2 {
				h[i] = tiles.HashChildren(h[2*i], h[2*i+1])
			}
			h = h[:len(h)/2]
		}
		out, hashes = append(out, h[0]), hashes[n:]
	}
	return out
}

// add keeps a batch, and forgets the oldest.
func (t *tree) add(b *batch) {
	r := recent{n: b.first / tlog.TileWidth, prefix: t.prefix, nodes: b.nodes, first: b.first, raw: b.raw}
	for i := range b.raw {
		r.bytes += len(b.raw[i].Bytes)
	}
	t.recent = append(t.recent, r)
	t.bytes += r.bytes
	for len(t.recent) > 1 && (len(t.recent) > keepBundles || t.bytes > keepBytes) {
		t.bytes -= t.recent[0].bytes
		t.recent[0] = recent{}
		t.recent = t.recent[1:]
	}
	if len(b.nodes[8]) == 0 {
		return
	}
	// One more bundle: as one is added to a binary number.
	next := append([]tlog.Hash(nil), t.prefix...)
	h := b.nodes[8][0]
	for n := r.n; n&1 == 1; n >>= 1 {
		h = tiles.HashChildren(next[len(next)-1], h)
		next = next[:len(next)-1]
	}
	t.prefix = append(next, h)
}

func (t *tree) find(bundle uint64) *recent {
	if len(t.recent) == 0 || bundle < t.recent[0].n || bundle > t.recent[len(t.recent)-1].n {
		return nil
	}
	return &t.recent[bundle-t.recent[0].n]
}

// Root returns the root of the tree of a size.
func (t *tree) Root(size uint64) ([32]byte, error) {
	if size == 0 {
		return tiles.EmptyRoot(), nil
	}
	last := (size - 1) / tlog.TileWidth
	r := t.find(last)
	if width := size - last*tlog.TileWidth; r != nil && width <= uint64(len(r.nodes[0])) {
		return r.root(width), nil
	}
	cp := t.head.Checkpoint
	if size > cp.Size {
		return [32]byte{}, fmt.Errorf("a tree of size %d has no root at size %d", cp.Size, size)
	}
	root, err := t.prover.Root(t.ctx, size, cp.Size)
	if err != nil {
		return root, err
	}
	_, err = t.prover.Consistency(t.ctx, size, root, cp.Size, cp.Root)
	return root, err
}

// root returns the root of the tree that ends after so many entries of the
// bundle, from 1 to 256.
func (r *recent) root(width uint64) tlog.Hash {
	var root tlog.Hash
	have := false
	join := func(left tlog.Hash) {
		if have {
			left = tiles.HashChildren(left, root)
		}
		root, have = left, true
	}
	for end := width; end > 0; end &= end - 1 {
		k := bits.TrailingZeros64(end)
		join(r.nodes[k][end>>k-1])
	}
	for i := len(r.prefix) - 1; i >= 0; i-- {
		join(r.prefix[i])
	}
	return root
}

// Entry returns an entry below the ledger's size.
func (t *tree) Entry(index uint64) ([]byte, error) {
	n := index / tlog.TileWidth
	if r := t.find(n); r != nil && index >= r.first && index-r.first < uint64(len(r.raw)) {
		return r.raw[index-r.first].Bytes, nil
	}
	cp := t.head.Checkpoint
	if index >= cp.Size {
		return nil, fmt.Errorf("entry %d is %w, of size %d", index, client.ErrNotLogged, cp.Size)
	}
	entries, ok := t.old.Get(n)
	if !ok {
		var err error
		if entries, err = tiles.ReadBundle(t.ctx, t.c, n, cp.Size); err != nil {
			return nil, err
		}
		t.old.Add(n, entries)
	}
	b := entries[index%tlog.TileWidth]
	if _, err := t.prover.Inclusion(t.ctx, index, tiles.LeafHash(b), cp.Size, cp.Root); err != nil {
		t.old.Remove(n) // the log may be repaired
		return nil, err
	}
	return b, nil
}
