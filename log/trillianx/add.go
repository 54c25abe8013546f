// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package trillianx

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/google/trillian"

	"github.com/vasistas/vasistas/internal/tiles"
)

const (
	// maxRequest bounds what is sent at once: 4 MiB is what a log server takes
	// if it was not told otherwise.
	maxRequest = 3 << 20
	// maxLeaves bounds it too, so that Trillian's signer integrates the first
	// half of a long batch while the second is stored.
	maxLeaves = 512
	// leafOverhead is what a leaf takes in a request beside its value.
	leafOverhead = 128
)

// pending are the leaves of one call of Add, until it is known what became of
// them.
type pending struct {
	first  uint64
	leaves []*trillian.LogLeaf
	sent   int   // how many Trillian has answered for: each index has a leaf
	doubt  bool  // a request is, or was, on its way with no answer
	lost   bool  // another writer's leaf had an index before
	refuse error // why the leaves after those sent will not be
}

// identity is the mark of a leaf: who wrote it, where, and what.
func (e *Engine) identity(index uint64, hash tiles.Hash) [sha256.Size]byte {
	b := append([]byte("vasistas leaf\n"), e.writer[:]...)
	b = binary.BigEndian.AppendUint64(b, index)
	return sha256.Sum256(append(b, hash[:]...))
}

// Add implements [log.Engine]. If the tree has grown since the caller last saw it,
// it adds nothing: an entry's place may depend on those before it. If it fails while it is unknown what Trillian did,
// the next call of Add or Tree finds that out first.
func (e *Engine) Add(ctx context.Context, entries [][]byte) (first uint64, err error) {
	if len(entries) == 0 {
		return 0, errors.New("adding no entries")
	}
	for i, b := range entries {
		if len(b) == 0 || len(b) > tiles.MaxEntrySize {
			return 0, fmt.Errorf("adding entries: entry %d of the batch has %d bytes", i, len(b))
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.settle(ctx); err != nil && !errors.Is(err, ErrContested) {
		return 0, err
	}
	// Trillian would take leaves beyond a hole, too.
	h, err := e.head(ctx)
	if err != nil {
		return 0, fmt.Errorf("adding entries to the tree in Trillian: %w", err)
	}
	before := e.edge.frontier.Size()
	if err := e.follow(ctx, h, nil); err != nil {
		return 0, fmt.Errorf("adding entries to the tree in Trillian: %w", err)
	}
	if h.size > before {
		return 0, fmt.Errorf("adding entries to the tree in Trillian: %w", ErrContested)
	}
	p := &pending{first: before}
	for i, b := range entries {
		index := p.first + uint64(i)
		id := e.identity(index, tiles.LeafHash(b))
		p.leaves = append(p.leaves, &trillian.LogLeaf{LeafValue: b, LeafIndex: int64(index), LeafIdentityHash: id[:]})
	}
	e.pending = p
	if err := e.settle(ctx); err != nil {
		return 0, fmt.Errorf("adding entries to the tree in Trillian: %w", err)
	}
	return p.first, nil
}

// settle brings what is pending to its end: the leaves are integrated, read back
// and written as tiles, or it is known that they are not there. It needs mu.
func (e *Engine) settle(ctx context.Context) error {
	p := e.pending
	if p == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Patience)
	defer cancel()
	if err := e.sendAll(ctx, p); err != nil {
		return err
	}
	mine := !p.lost && p.refuse == nil
	if p.sent > 0 {
		h, err := e.integrated(ctx, p.first+uint64(p.sent))
		if err != nil {
			return err
		}
		err = e.follow(ctx, h, func(index uint64, l leaf) {
			if i := index - p.first; index >= p.first && i < uint64(p.sent) && l.identity != [sha256.Size]byte(p.leaves[i].LeafIdentityHash) {
				mine = false
			}
		})
		if err != nil {
			return err
		}
	}
	e.pending = nil
	switch {
	case p.refuse != nil:
		return p.refuse
	case !mine:
		return ErrContested
	}
	return nil
}

// sendAll sends the leaves that Trillian has not answered for, in requests of a
// bounded size, each until it is answered.
func (e *Engine) sendAll(ctx context.Context, p *pending) error {
	for p.refuse == nil && !p.lost && p.sent < len(p.leaves) {
		n, size := 0, 0
		for _, l := range p.leaves[p.sent:] {
			if size += len(l.LeafValue) + leafOverhead; n == maxLeaves || n > 0 && size > maxRequest {
				break
			}
			n++
		}
		taken, err := e.sendOne(ctx, p, p.leaves[p.sent:p.sent+n])
		if err != nil {
			return err
		}
		if p.refuse == nil {
			p.sent += n
			// If it was sent more than once, the leaves there may be these.
			p.lost = !taken && !p.doubt
		}
		p.doubt = false
	}
	return nil
}

// sendOne sends leaves until there is an answer. The same leaves at the same
// indices: whichever of the requests the database takes first, the others change
// nothing, and none can do so later.
func (e *Engine) sendOne(ctx context.Context, p *pending, leaves []*trillian.LogLeaf) (taken bool, err error) {
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		taken, err = e.send(ctx, leaves)
		var refused *refusal
		switch {
		case err == nil:
			return taken, nil
		case errors.As(err, &refused) && !p.doubt:
			p.refuse = err
			return false, nil
		}
		p.doubt = true
		select {
		case <-ctx.Done():
			return false, fmt.Errorf("Trillian does not say whether it has stored them: %w", unreadable(err))
		case <-time.After(wait):
		}
	}
}

// integrated waits until Trillian's signer has integrated the tree up to a size.
func (e *Engine) integrated(ctx context.Context, size uint64) (head, error) {
	for wait := 2 * time.Millisecond; ; wait = min(wait*3/2, 100*time.Millisecond) {
		h, err := e.head(ctx)
		if err == nil && h.size >= size {
			return h, nil
		}
		if err == nil && h.size < e.edge.frontier.Size() {
			return h, e.follow(ctx, h, nil) // which says that the tree shrank
		}
		select {
		case <-ctx.Done():
			if err != nil {
				return h, err
			}
			return h, fmt.Errorf("the leaves are stored, and not integrated: Trillian's tree has %d leaves of %d; see that its signer runs", h.size, size)
		case <-time.After(wait):
		}
	}
}
