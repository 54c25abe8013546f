// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/vasistas/vasistas/log/tlog"
)

// head is the last head that the log signed, and its record: what the log may
// sign next depends on it alone. The publisher owns it.
type head struct {
	record record
	keys   []*tlog.Signer // those that the log was given
	clock  *clock
	signed *tlog.Checkpoint // with the log's own lines
	// next is what a write that failed would have recorded: the record is
	// signed or next. nil: there is no doubt.
	next *tlog.Checkpoint
	time uint64 // of the last ML-DSA-44 line; never goes back
}

// loadHead reads the record. With recovering, whose keys signed it is left to
// takeOver.
func loadHead(ctx context.Context, st record, keys []*tlog.Signer, c *clock, recovering bool) (*head, error) {
	h := &head{record: st, keys: keys, clock: c}
	by := verifiers(keys)
	if recovering {
		by = nil
	}
	var err error
	h.signed, h.time, err = st.head(ctx, by)
	return h, err
}

func verifiers(keys []*tlog.Signer) []*tlog.VerifierKey {
	out := make([]*tlog.VerifierKey, len(keys))
	for i, k := range keys {
		out[i] = k.Verifier()
	}
	return out
}

// errKeys: none of the keys that the log was given may sign.
var errKeys = errors.New("none of the keys given is one that the charter in force names")

// signersOf returns those of the keys that sign a head of this size: those that the
// charter in force names and, if the head ends with an amendment, also those of the
// charter before, since it meets the old policies and the new ones.
func (v *view) signersOf(keys []*tlog.Signer, size uint64) ([]*tlog.Signer, error) {
	now := v.at(size)
	named := slices.Clone(now.LogKeys)
	if now.Index+1 == size {
		named = append(named, v.at(now.Index).LogKeys...)
	}
	return signersOf(keys, named)
}

// signersOf returns those of the keys that are named.
func signersOf(keys []*tlog.Signer, named []string) ([]*tlog.Signer, error) {
	var out []*tlog.Signer
	for _, vkey := range named {
		i := slices.IndexFunc(keys, func(k *tlog.Signer) bool { return k.Verifier().String() == vkey })
		if i >= 0 && !slices.Contains(out, keys[i]) {
			out = append(out, keys[i])
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: %q", errKeys, named)
	}
	return out, nil
}

// advance signs the head of a tree that extends the recorded one, with the keys that
// the charters say, and records it. Nothing of it has left the process before.
func (h *head) advance(ctx context.Context, e edge, v *view) error {
	if err := h.settle(ctx); err != nil {
		return err
	}
	if e.size <= h.signed.Size {
		return nil
	}
	keys, err := v.signersOf(h.keys, e.size)
	if err != nil {
		return fmt.Errorf("%w: %w", errState, err)
	}
	if err := h.record.Held(); err != nil {
		return err
	}
	return h.sign(ctx, keys, tlog.Head{Origin: h.signed.Origin, Size: e.size, Root: e.root})
}

// sign signs a head and records it, if the record has not changed meanwhile.
func (h *head) sign(ctx context.Context, keys []*tlog.Signer, next tlog.Head) error {
	at := max(h.time, uint64(h.clock.now().Unix()))
	cp, err := signHead(keys, next, at)
	if err != nil {
		return err
	}
	if err := h.record.SwapHead(ctx, h.signed.Bytes(), cp.Bytes()); err != nil {
		h.next = cp
		return fmt.Errorf("%w: recording the new head: %w", errState, err)
	}
	h.signed, h.time = cp, at
	return nil
}

// settle reads the record again, after a write with an unknown outcome.
func (h *head) settle(ctx context.Context) error {
	if h.next == nil {
		return nil
	}
	cp, time, err := h.record.head(ctx, verifiers(h.keys))
	if err != nil {
		return fmt.Errorf("%w: %w", errState, err)
	}
	if b := cp.Bytes(); !bytes.Equal(b, h.signed.Bytes()) && !bytes.Equal(b, h.next.Bytes()) {
		return fmt.Errorf("%w: %w", errState, ErrStateChanged)
	}
	h.signed, h.time, h.next = cp, max(h.time, time), nil
	return nil
}
