// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package trillianx

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/trillian"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/tlog"
)

const (
	// maxRequest bounds a request. A log server's default limit is 4 MiB.
	maxRequest = 3 << 20
	// maxLeaves bounds a request too, so that Trillian integrates the first leaves
	// of a long batch while it stores the last.
	maxLeaves = 512
	// leafOverhead is the size of a leaf in a request without its value.
	leafOverhead = 128
)

// pending are the leaves of one call of Add whose outcome is not yet known.
type pending struct {
	first  uint64
	leaves []*trillian.LogLeaf

	sent   atomic.Int64 // leaves that Trillian has answered for: each index has a leaf
	doubt  bool         // a request has no answer
	lost   bool         // another writer's leaf has one of the indices
	refuse error        // why Trillian refuses the leaves after those sent

	foreign bool // another writer's leaf was read back
}

// end returns the size of the tree with all leaves sent so far.
func (p *pending) end() uint64 { return p.first + uint64(p.sent.Load()) }

// identity returns the mark of a leaf: a hash of its writer, index and leaf hash.
func (e *Engine) identity(index uint64, hash tiles.Hash) [sha256.Size]byte {
	b := append([]byte("vasistas leaf\n"), e.writer[:]...)
	b = binary.BigEndian.AppendUint64(b, index)
	return sha256.Sum256(append(b, hash[:]...))
}

// Add implements [log.Engine]. If another writer's leaves have extended the tree, Add
// adds nothing, since an entry may depend on those before it. If Add fails with an
// unknown outcome, the next call of Add or Tree resolves it first.
func (e *Engine) Add(ctx context.Context, entries [][]byte) (first uint64, err error) {
	if len(entries) == 0 {
		return 0, errors.New("adding no entries")
	}
	for i, b := range entries {
		if len(b) == 0 || len(b) > tlog.MaxEntrySize {
			return 0, fmt.Errorf("adding entries: entry %d of the batch has %d bytes", i, len(b))
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.resolve(ctx); err != nil && !errors.Is(err, ErrContested) {
		return 0, err
	}
	// Check the size, since Trillian also accepts leaves beyond a gap.
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
	if err := e.resolve(ctx); err != nil {
		return 0, fmt.Errorf("adding entries to the tree in Trillian: %w", err)
	}
	return p.first, nil
}

// resolve determines the outcome of the pending leaves: they are integrated, read back
// and written as tiles, or known not to be in the tree. It sends leaves and reads
// others back at the same time. mu must be held.
func (e *Engine) resolve(ctx context.Context) error {
	p := e.pending
	if p == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Patience)
	defer cancel()
	sending, stop := context.WithCancel(ctx)
	var serr error
	done := make(chan struct{})
	go func() {
		defer close(done)
		serr = e.sendAll(sending, p)
	}()
	err := e.readBack(ctx, p, done)
	if err != nil {
		stop()
	}
	<-done
	stop()
	if serr != nil && (err == nil || err == ctx.Err()) {
		err = serr // the more specific error
	}
	if err != nil {
		return err
	}
	e.pending = nil
	switch {
	case p.refuse != nil:
		return p.refuse
	case p.lost || p.foreign:
		return ErrContested
	}
	return nil
}

// readBack follows the tree until done is closed, after the last send, and the tree
// has all leaves sent.
func (e *Engine) readBack(ctx context.Context, p *pending, done <-chan struct{}) error {
	const least, most = 3 * time.Millisecond, 100 * time.Millisecond
	compare := func(index uint64, l leaf) {
		if i := index - p.first; index >= p.first && i < uint64(len(p.leaves)) && l.identity != [sha256.Size]byte(p.leaves[i].LeafIdentityHash) {
			p.foreign = true
		}
	}
	for wait := least; ; wait = min(wait*3/2, most) {
		over := false
		select {
		case <-done:
			over = true
		default:
		}
		have := e.edge.frontier.Size()
		if over && have >= p.end() {
			return nil
		}
		var h head
		var err error
		if have < p.end() {
			if h, err = e.head(ctx); err == nil && (h.size != have) {
				if err := e.follow(ctx, h, compare); err != nil {
					return err
				}
				wait = least
			}
		}
		select {
		case <-ctx.Done():
			return e.notIntegrated(ctx, p, err)
		case <-time.After(wait):
		}
	}
}

// notIntegrated returns why the tree lacks leaves that were sent. err is the error of
// the last attempt to read them.
func (e *Engine) notIntegrated(ctx context.Context, p *pending, err error) error {
	if err != nil {
		return err
	}
	if have := e.edge.frontier.Size(); have < p.end() {
		return fmt.Errorf("the leaves are stored, but not integrated: Trillian's tree has %d leaves of %d; check that its signer runs", have, p.end())
	}
	return ctx.Err() // the sender returns why it has not sent the rest
}

// sendAll sends the leaves that Trillian has not answered for, in requests of a
// bounded size, and repeats each until it is answered.
func (e *Engine) sendAll(ctx context.Context, p *pending) error {
	for p.refuse == nil && !p.lost && p.end() < p.first+uint64(len(p.leaves)) {
		rest := p.leaves[p.sent.Load():]
		rest = rest[:requestLength(p.end(), rest)]
		taken, err := e.sendOne(ctx, p, rest)
		if err != nil {
			return err
		}
		if p.refuse == nil {
			// After a repeated request, Trillian's leaves may be these.
			p.lost = !taken && !p.doubt
			p.sent.Add(int64(len(rest)))
		}
		p.doubt = false
	}
	return nil
}

// requestLength returns how many of the leaves, from index first on, go into a
// request. The request ends with a bundle if possible, so that each bundle is written
// once.
func requestLength(first uint64, leaves []*trillian.LogLeaf) int {
	n, size := 0, 0
	for n < min(len(leaves), maxLeaves) {
		if size += len(leaves[n].LeafValue) + leafOverhead; n > 0 && size > maxRequest {
			break
		}
		n++
	}
	if over := int((first + uint64(n)) % tlog.TileWidth); n < len(leaves) && over < n {
		n -= over
	}
	return n
}

// sendOne repeats one request until it is answered. The requests have the same leaves
// at the same indices: once the database takes one of them, the others change nothing,
// also if they arrive later.
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
			return false, fmt.Errorf("unknown whether Trillian has stored the leaves: %w", unreadable(err))
		case <-time.After(wait):
		}
	}
}
