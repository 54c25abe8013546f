// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"

	"github.com/vasistas/vasistas/internal/checksum"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// The file "ledger" in the state directory has what the entries up to some size
// mean, so that a start costs only the entries since. It is a cache: it can be
// computed from the tree, and is, if the file is missing, damaged, or of another
// tree. Its parts are
//
//	vasistas log snapshot 1\n
//	size of the tree, number of anchors, number of deposits: 8 bytes each
//	each anchor that no anchor covers: its index, 8 bytes
//	each deposit: its index, 8 bytes; 1 for a release, else 0; 32 bytes event hash
//	ledger.Ledger.Snapshot
//	SHA-256 of all of this
const snapshotMagic = "vasistas log snapshot 1\n"

const depositSize = 8 + 1 + 32

// snapshotEvery is after how many entries a snapshot is written, if there are not
// more open events than that: writing it costs as much as there is open, and so
// stays a small part of the work.
const snapshotEvery = 1 << 14

var (
	errSnapshot = errors.New("no snapshot of this tree")
	// errSnapshotAhead: it is one of a tree that is yet to be published, perhaps.
	errSnapshotAhead = fmt.Errorf("%w: it has more entries", errSnapshot)
)

// restore reads the snapshot, and applies what the tree has beyond it.
func (b *book) restore(ctx context.Context, t *tree) (*contents, error) {
	o, err := b.readSnapshot(ctx, t.edge.Load())
	// A standby reads what is published, and its snapshot may be ahead of that.
	_, active := b.pages.reader.(Engine)
	switch {
	case errors.Is(err, ledger.ErrRules), !active && errors.Is(err, errSnapshotAhead):
		return nil, err
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		b.logger.Warn("the snapshot of the ledger can't be used; reading the whole log", "err", err)
	}
	if o == nil {
		o = &contents{ledger: ledger.New(b.origin, b.pages), deposits: make(map[uint64]*deposit)}
	}
	o.saved = o.ledger.Size()
	return o, replay(ctx, o, b.pages.reader, t.edge.Load())
}

// readSnapshot reads the file, and believes it if it is of the tree of this edge.
func (b *book) readSnapshot(ctx context.Context, e *edge) (*contents, error) {
	text, err := os.ReadFile(b.caches.path("ledger"))
	if err != nil {
		return nil, err
	}
	body, err := checksum.Cut(text, snapshotMagic)
	if err == nil && len(body) < 24 {
		err = checksum.ErrMagic
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSnapshot, err)
	}
	next := func() uint64 {
		n := binary.BigEndian.Uint64(body)
		body = body[8:]
		return n
	}
	size, anchors, deposits := next(), next(), next()
	if size > e.size {
		return nil, fmt.Errorf("%w: %d, and the tree has %d; after a recovery, remove %s", errSnapshotAhead, size, e.size, b.caches.path("ledger"))
	}
	if anchors > uint64(len(body))/8 || deposits > (uint64(len(body))-8*anchors)/depositSize {
		return nil, fmt.Errorf("%w: it is damaged", errSnapshot)
	}
	o := &contents{deposits: make(map[uint64]*deposit, deposits)}
	for range anchors {
		o.anchors = append(o.anchors, next())
	}
	for range deposits {
		d := &deposit{index: next(), release: body[0] == 1, hash: event.Digest(body[1:33])}
		body = body[33:]
		o.deposits[d.index] = d
	}
	root, err := provenRoot(ctx, b.pages.prover, size, &tlog.Head{Size: e.size, Root: e.root})
	if err != nil {
		return nil, treeError(err)
	}
	if o.ledger, err = ledger.Restore(body, size, root, b.pages); err != nil {
		return nil, err
	}
	if o.ledger.Origin() != b.origin {
		return nil, fmt.Errorf("%w: it is of the log %s", errSnapshot, o.ledger.Origin())
	}
	return o, nil
}

// snapshot encodes the book, and returns the size of the last snapshot too. writing must
// be held.
func (b *book) snapshot() (text []byte, saved uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]byte, 0, len(snapshotMagic)+24+8*len(b.anchors)+depositSize*len(b.deposits))
	out = append(out, snapshotMagic...)
	for _, n := range []uint64{b.ledger.Size(), uint64(len(b.anchors)), uint64(len(b.deposits))} {
		out = binary.BigEndian.AppendUint64(out, n)
	}
	for _, i := range b.anchors {
		out = binary.BigEndian.AppendUint64(out, i)
	}
	for _, i := range slices.Sorted(maps.Keys(b.deposits)) {
		d := b.deposits[i]
		out = binary.BigEndian.AppendUint64(out, i)
		kind := byte(0)
		if d.release {
			kind = 1
		}
		out = append(append(out, kind), d.hash[:]...)
	}
	saved, b.saved = b.saved, b.ledger.Size()
	return checksum.Append(b.ledger.AppendSnapshot(out), 0), saved
}

// due returns whether a snapshot should be written.
func (b *book) due() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	open, _ := b.ledger.Open()
	return b.ledger.Size()-b.saved >= uint64(snapshotEvery+open)
}

// save writes a snapshot. All that was applied must be in the tree when it is
// called; what is applied meanwhile is not in it.
func (b *book) save() error {
	b.writing.Lock()
	defer b.writing.Unlock()
	return b.write(b.snapshot())
}

// saveLater is save, but leaves the writing to a goroutine. If one is writing
// already, nothing is done.
func (b *book) saveLater() {
	if !b.writing.TryLock() {
		return
	}
	text, saved := b.snapshot()
	go func() {
		defer b.writing.Unlock()
		if err := b.write(text, saved); err != nil {
			b.logger.Warn("the snapshot of the ledger was not written; a start would take longer", "err", err)
		}
	}()
}

func (b *book) write(text []byte, saved uint64) error {
	err := durable.WriteFile(b.caches.path("ledger"), text, 0o600)
	if err != nil {
		b.mu.Lock()
		b.saved = min(b.saved, saved)
		b.mu.Unlock()
		return fmt.Errorf("writing the snapshot of the ledger: %w", err)
	}
	return nil
}
