// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"bytes"
	"fmt"
	"time"

	"github.com/vasistas/vasistas/internal/c2sp"
)

// head is the last head that the log signed, and its record: what the log may
// sign next depends on it alone. The publisher owns it.
type head struct {
	store  *store
	keys   []*c2sp.Signer
	signed *c2sp.Checkpoint // with the log's own lines
	// next is what a write that failed would have recorded: the record is
	// signed or next. nil: there is no doubt.
	next *c2sp.Checkpoint
	time uint64 // of the last ML-DSA-44 line; never goes back
}

func loadHead(st *store, keys []*c2sp.Signer) (*head, error) {
	cp, time, err := st.loadHead()
	if err != nil {
		return nil, err
	}
	return &head{store: st, keys: keys, signed: cp, time: time}, nil
}

// advance signs the head of a tree that extends the recorded one, and records it.
// Nothing of it has left the process before.
func (h *head) advance(e edge) error {
	if err := h.settle(); err != nil {
		return err
	}
	if e.size <= h.signed.Size {
		return nil
	}
	at := max(h.time, uint64(time.Now().Unix()))
	next, err := signHead(h.keys, c2sp.Head{Origin: h.signed.Origin, Size: e.size, Root: e.root}, at)
	if err != nil {
		return err
	}
	if err := h.store.recordHead(h.signed, next); err != nil {
		h.next = next
		return err
	}
	h.signed, h.time = next, at
	return nil
}

// settle reads the record again, after a write with an unknown outcome.
func (h *head) settle() error {
	if h.next == nil {
		return nil
	}
	cp, time, err := h.store.loadHead()
	if err != nil {
		return fmt.Errorf("%w: %w", errState, err)
	}
	if b := cp.Bytes(); !bytes.Equal(b, h.signed.Bytes()) && !bytes.Equal(b, h.next.Bytes()) {
		return fmt.Errorf("%w: the record of the last signed head was changed by somebody else", errState)
	}
	h.signed, h.time, h.next = cp, max(h.time, time), nil
	return nil
}
