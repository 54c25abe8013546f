// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package trillianx

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/tlog"
)

const (
	// maxRequest bounds a request. A log server's default limit is 4 MiB.
	maxRequest = 3 << 20
	// maxLeaves bounds a request too: to a batch of the log, for which two requests would
	// cost Trillian a tenth more processor time.
	maxLeaves = log.DefaultMaxBatch
	// leafOverhead is the size of a leaf in a request without its value.
	leafOverhead = 128
)

// pending are the engine's leaves that it has not seen in the tree, sent or not. The engine sends
// a request only once Trillian has stored the leaves of the request before.
type pending struct {
	// Guarded by Engine.adding.
	doubt  bool  // a request has no answer
	unsure bool  // another writer's leaf may have the index of one that was sent
	lost   bool  // another writer's leaf has such an index
	refuse error // why Trillian refuses the leaves from sent on

	mu      sync.Mutex // guards what follows; taken last
	first   uint64     // the caller knows all entries below this index
	leaves  []leaf     // from first on
	sent    uint64     // Trillian has a leaf, perhaps another writer's, at each index below
	foreign uint64     // the first index at which another writer's leaf was read back, or MaxUint64
}

// from returns the leaves from an index on.
func (p *pending) from(index uint64) []leaf {
	p.mu.Lock()
	defer p.mu.Unlock()
	if index < p.first || index > p.first+uint64(len(p.leaves)) {
		return nil
	}
	return p.leaves[index-p.first:]
}

// end returns the size of the tree with the leaves sent so far, and with all leaves.
func (p *pending) end() (sent, all uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent, p.first + uint64(len(p.leaves))
}

// compare compares leaves that were read back, from an index on, with the engine's own.
func (p *pending) compare(index uint64, read []leaf) {
	own := p.from(index)
	for i := range min(len(own), len(read)) {
		if read[i].identity != own[i].identity {
			p.mu.Lock()
			p.foreign = min(p.foreign, index+uint64(i))
			p.mu.Unlock()
		}
	}
}

// taken reports whether another writer's leaf was read back below an index.
func (p *pending) taken(index uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.foreign < index
}

// drop drops the leaves below an index that were sent.
func (p *pending) drop(index uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if index = min(index, p.sent); index > p.first {
		p.first, p.leaves = index, p.leaves[index-p.first:]
	}
}

// reset drops all leaves. The caller knows all entries below size.
func (p *pending) reset(size uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doubt, p.unsure, p.lost, p.refuse = false, false, false, nil
	p.first, p.leaves, p.sent, p.foreign = size, nil, size, math.MaxUint64
}

// identity returns the mark of a leaf: a hash of its writer, index and leaf hash.
func (e *Engine) identity(index uint64, hash tiles.Hash) [sha256.Size]byte {
	b := append([]byte("vasistas leaf\n"), e.writer[:]...)
	b = binary.BigEndian.AppendUint64(b, index)
	return sha256.Sum256(append(b, hash[:]...))
}

// Add implements [log.Engine]: it returns once Trillian has stored the entries. If another
// writer's leaves have extended the tree, Add adds nothing, since an entry may depend on
// the entries before it. If Add fails with an unknown outcome, the next call of Add or Tree
// resolves it first.
func (e *Engine) Add(ctx context.Context, entries [][]byte) (first uint64, err error) {
	if len(entries) == 0 {
		return 0, errors.New("adding no entries")
	}
	for i, b := range entries {
		if len(b) == 0 || len(b) > tlog.MaxEntrySize {
			return 0, fmt.Errorf("adding entries: entry %d of the batch has %d bytes", i, len(b))
		}
	}
	e.adding.Lock()
	defer e.adding.Unlock()
	if first, err = e.next(ctx, len(entries)); err == nil {
		err = e.store(ctx, first, entries)
	}
	if err != nil {
		return 0, fmt.Errorf("adding entries to the tree in Trillian: %w", err)
	}
	return first, nil
}

// next returns the index after all entries that the caller knows, once n leaves may follow
// there. Trillian also accepts leaves beyond a gap, so next checks that the tree has not shrunk.
// adding must be held.
func (e *Engine) next(ctx context.Context, n int) (uint64, error) {
	p := &e.pending
	if p.doubt || p.unsure || p.lost || p.refuse != nil || p.taken(math.MaxUint64) {
		if err := e.resolve(ctx); err != nil && !errors.Is(err, ErrContested) {
			return 0, err
		}
	}
	_, next := p.end()
	have := e.written.Load().Size()
	if own := p.from(have); len(own) > 0 { // stored, and not in the tree yet
		h, err := e.head(ctx)
		if err == nil && h.size < have {
			err = behind(h, have)
		}
		if err != nil {
			return 0, err
		}
		return next, e.keepUp(ctx, len(own)+n)
	}
	size, unread, err := e.reach(ctx, math.MaxUint64)
	switch {
	case unread != nil || err != nil:
		return 0, errors.Join(unread, err)
	case size > next:
		p.reset(size)
		return 0, ErrContested
	}
	return next, e.keepUp(ctx, n)
}

// store sends entries, and returns once Trillian has stored them. adding must be held.
func (e *Engine) store(ctx context.Context, first uint64, entries [][]byte) error {
	leaves := make([]leaf, len(entries))
	for i, b := range entries {
		leaves[i] = leaf{value: b, hash: tiles.LeafHash(b)}
		leaves[i].identity = e.identity(first+uint64(i), leaves[i].hash)
	}
	p := &e.pending
	p.mu.Lock()
	p.leaves = append(p.leaves, leaves...)
	p.mu.Unlock()
	err := e.sendAll(ctx)
	if err == nil && (p.unsure || p.lost || p.refuse != nil) {
		return e.resolve(ctx)
	}
	return err
}

// resolve determines the outcome of the pending leaves: each is integrated, checked and written
// in a tile, or known not to be in the tree. adding must be held.
func (e *Engine) resolve(ctx context.Context) error {
	p := &e.pending
	for {
		if err := e.sendAll(ctx); err != nil {
			return err
		}
		sent, all := p.end()
		if err := e.Wait(ctx, sent); err != nil && !errors.Is(err, ErrContested) {
			return err
		}
		err := p.refuse
		if err == nil && (p.lost || p.taken(math.MaxUint64)) {
			sent, err = e.written.Load().Size(), ErrContested
		}
		if p.unsure = false; err != nil || sent == all {
			p.reset(sent)
			return err
		}
	}
}

// Wait implements [log.Engine]: it follows the tree until the tree has size leaves.
func (e *Engine) Wait(ctx context.Context, size uint64) error {
	const least, most = 3 * time.Millisecond, 100 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Patience)
	defer cancel()
	// last is the error of the last answer about the head. A read that the end of ctx cuts
	// off is no answer, except if it is the first.
	var last error
	answered, before := false, uint64(0)
	for wait := least; ; wait = min(wait*3/2, most) {
		began := time.Now()
		have, unread, err := e.reach(ctx, size)
		switch {
		case err != nil:
			return err
		case have >= size && e.pending.taken(size):
			return ErrContested
		case have >= size:
			return nil
		case have > before:
			before, wait = have, least
		}
		if cutOff := status.Code(unread) == codes.DeadlineExceeded && time.Since(began) < e.cfg.Timeout; !cutOff || !answered {
			last, answered = unread, true
		}
		select {
		case <-ctx.Done():
			if last == nil {
				last = fmt.Errorf("the leaves are stored, but not integrated: Trillian's tree has %d leaves of %d; check that its signer runs", have, size)
			}
			return last
		case <-time.After(wait):
		}
	}
}

// reach follows the tree as it is now, unless the engine has followed size leaves already. It
// returns how many leaves it has followed; unread is the error of reading the head.
func (e *Engine) reach(ctx context.Context, size uint64) (have uint64, unread, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.edge.frontier.Size() < size {
		var h head
		if h, unread = e.head(ctx); unread == nil {
			err = e.follow(ctx, h)
		}
	}
	return e.edge.frontier.Size(), unread, err
}

// sendAll sends the leaves that Trillian has not answered for, in requests of a bounded size,
// and repeats each request until Trillian answers it. It stops once Trillian's leaves may be
// another writer's. adding must be held.
func (e *Engine) sendAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Patience)
	defer cancel()
	p := &e.pending
	for p.refuse == nil && !p.lost && !p.unsure {
		at, all := p.end()
		if at == all {
			return nil
		}
		rest := p.from(at)
		rest = rest[:requestLength(at, rest)]
		taken, err := e.sendOne(ctx, at, rest)
		if err != nil {
			return err
		}
		if p.refuse == nil {
			// After a repeated request, Trillian's leaves may be these.
			p.lost, p.unsure = !taken && !p.doubt, !taken && p.doubt
			p.mu.Lock()
			p.sent = at + uint64(len(rest))
			p.mu.Unlock()
		}
		p.doubt = false
	}
	return nil
}

// requestLength returns how many of the leaves, from index first on, go into a
// request. The request ends with a bundle if possible, so that each bundle is written
// once.
func requestLength(first uint64, leaves []leaf) int {
	n, size := 0, 0
	for n < min(len(leaves), maxLeaves) {
		if size += len(leaves[n].value) + leafOverhead; n > 0 && size > maxRequest {
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
// at the same indices: once the database takes one request, the others change nothing,
// even if they arrive later. adding must be held.
func (e *Engine) sendOne(ctx context.Context, at uint64, leaves []leaf) (taken bool, err error) {
	p := &e.pending
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		taken, err = e.send(ctx, at, leaves)
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
