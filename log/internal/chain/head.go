// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vasistas/vasistas/log/state"
	"github.com/vasistas/vasistas/log/tlog"
)

// Head is the last head that the log signed, and its record. It alone decides what
// the log may sign next. The publisher owns it.
type Head struct {
	Record Record
	keys   []*tlog.Signer   // those that the log was given
	signed *tlog.Checkpoint // with the log's own lines
	// next is what a failed write would have recorded: the record is signed or
	// next. nil: the record is signed.
	next *tlog.Checkpoint
	time uint64 // of the last ML-DSA-44 line; never goes back
}

// LoadHead reads the record. With recovering it leaves the check of who signed the
// record to [Head.SignedBy].
func LoadHead(ctx context.Context, r Record, keys []*tlog.Signer, recovering bool) (*Head, error) {
	h := &Head{Record: r, keys: keys}
	by := Verifiers(keys)
	if recovering {
		by = nil
	}
	var err error
	h.signed, h.time, err = r.Head(ctx, by)
	return h, err
}

// Signed returns the signed head, with the log's own lines only.
func (h *Head) Signed() *tlog.Checkpoint { return h.signed }

// Advance signs the head of a tree that extends the recorded one, with those of the
// keys that are named, and records it. None of its signatures leaves the process
// before. An ML-DSA-44 line claims the time now, or a later one.
func (h *Head) Advance(ctx context.Context, e Edge, named []string, now time.Time) error {
	if err := h.reread(ctx); err != nil {
		return err
	}
	if e.Size <= h.signed.Size {
		return nil
	}
	keys, err := Signers(h.keys, named)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrState, err)
	}
	if err := h.Record.Held(); err != nil {
		return err
	}
	return h.sign(ctx, keys, tlog.Head{Origin: h.signed.Origin, Size: e.Size, Root: e.Root}, now)
}

// Reach advances to a head that the log signed before and that the log's tree contains. A second
// signature of one head can't conflict with anything. The time of the heads does not go back.
func (h *Head) Reach(ctx context.Context, cp *tlog.Checkpoint, named []string, now time.Time) error {
	if t, err := signedAt(cp, Verifiers(h.keys)); err == nil {
		h.time = max(h.time, t)
	}
	return h.Advance(ctx, EdgeOf(&cp.Head), named, now)
}

// Resign signs the recorded head with other keys, unless they all signed it. A
// second signature of one head can't conflict with anything.
func (h *Head) Resign(ctx context.Context, keys []*tlog.Signer, now time.Time) error {
	if !slices.ContainsFunc(keys, func(k *tlog.Signer) bool { return h.signed.Find(k.Verifier()) == nil }) {
		return nil
	}
	return h.sign(ctx, keys, h.signed.Head, now)
}

// SignedBy returns an error unless the recorded head has a signature by one of these
// vkeys.
func (h *Head) SignedBy(ctx context.Context, vkeys []string) error {
	keys := make([]*tlog.VerifierKey, len(vkeys))
	for i, s := range vkeys {
		var err error
		if keys[i], err = tlog.ParseVerifierKey(s); err != nil {
			return err
		}
	}
	_, _, err := h.Record.Head(ctx, keys)
	return err
}

// sign signs a head and records it, unless the record has changed meanwhile.
func (h *Head) sign(ctx context.Context, keys []*tlog.Signer, next tlog.Head, now time.Time) error {
	at := max(h.time, uint64(now.Unix()))
	cp, err := Sign(keys, next, at)
	if err != nil {
		return err
	}
	if err := h.Record.SwapHead(ctx, h.signed.Bytes(), cp.Bytes()); err != nil {
		h.next = cp
		return fmt.Errorf("%w: recording the new head: %w", ErrState, err)
	}
	h.signed, h.time = cp, at
	return nil
}

// reread reads the record again, after a write with an unknown outcome.
func (h *Head) reread(ctx context.Context) error {
	if h.next == nil {
		return nil
	}
	cp, time, err := h.Record.Head(ctx, Verifiers(h.keys))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrState, err)
	}
	if b := cp.Bytes(); !bytes.Equal(b, h.signed.Bytes()) && !bytes.Equal(b, h.next.Bytes()) {
		return fmt.Errorf("%w: %w", ErrState, state.ErrChanged)
	}
	h.signed, h.time, h.next = cp, max(h.time, time), nil
	return nil
}

// Sign signs a head with every key. An ML-DSA-44 line is a cosignature and carries
// time, in POSIX seconds.
func Sign(keys []*tlog.Signer, h tlog.Head, time uint64) (*tlog.Checkpoint, error) {
	cp := &tlog.Checkpoint{Head: h}
	for _, k := range keys {
		sig, err := k.Sign(&h, time)
		if err != nil {
			return nil, fmt.Errorf("signing the head of size %d: %w", h.Size, err)
		}
		cp.Signatures = append(cp.Signatures, sig)
	}
	return cp, nil
}

// Verifiers returns the public keys of signers.
func Verifiers(keys []*tlog.Signer) []*tlog.VerifierKey {
	out := make([]*tlog.VerifierKey, len(keys))
	for i, k := range keys {
		out[i] = k.Verifier()
	}
	return out
}

// Signers returns those of the keys that are named by their vkeys, at least one.
func Signers(keys []*tlog.Signer, named []string) ([]*tlog.Signer, error) {
	var out []*tlog.Signer
	for _, vkey := range named {
		i := slices.IndexFunc(keys, func(k *tlog.Signer) bool { return k.Verifier().String() == vkey })
		if i >= 0 && !slices.Contains(out, keys[i]) {
			out = append(out, keys[i])
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("none of the keys given is one that the charter in force names: %s", KeyIDs(named))
	}
	return out, nil
}

// KeyIDs shortens vkeys to name and key ID, for messages: those of ML-DSA-44 have 1,800 characters.
func KeyIDs(vkeys []string) string {
	ids := make([]string, len(vkeys))
	for i, v := range vkeys {
		parts := strings.SplitN(v, "+", 3)
		ids[i] = strings.Join(parts[:min(len(parts), 2)], "+")
	}
	return strings.Join(ids, ", ")
}

// ErrState: the log can't write down what it must remember. It signs and
// publishes nothing until it can.
var ErrState = errors.New("the log's state can't be written")

// Errors of [Record.Head].
var (
	ErrHeadDamaged = errors.New("the record of the last signed head is damaged")
	ErrOtherKeys   = errors.New("it has no signature by any of the keys given; after a change of keys, give the old key too (-key) until the next head, which both sign")
)

// Record reads and writes the checkpoints in a [state.Store].
type Record struct{ state.Store }

// CheckKeys refuses keys of another log.
func (r Record) CheckKeys(keys []*tlog.Signer) error {
	origin := r.Settings().Origin
	if len(keys) == 0 {
		return fmt.Errorf("opening the log: it needs a key of the log %s", origin)
	}
	for _, k := range keys {
		if v := k.Verifier(); v.Name != origin {
			return fmt.Errorf("opening the log: a key has the name %q, and this is the log %q", v.Name, origin)
		}
	}
	return nil
}

// Parse parses a checkpoint of this log.
func (r Record) Parse(b []byte) (*tlog.Checkpoint, error) {
	cp, err := tlog.ParseCheckpoint(b)
	if err != nil {
		return nil, err
	}
	if origin := r.Settings().Origin; cp.Origin != origin {
		return nil, fmt.Errorf("it is one of the log %q, and this is %q", cp.Origin, origin)
	}
	return cp, nil
}

// Head returns the recorded head and the time of its ML-DSA-44 line, in POSIX
// seconds, or 0. The head must carry a valid line of one of the keys; with keys
// nil, the caller checks its lines.
func (r Record) Head(ctx context.Context, keys []*tlog.VerifierKey) (cp *tlog.Checkpoint, time uint64, err error) {
	b, err := r.LoadHead(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("reading the last signed head: %w", err)
	}
	if cp, err = r.Parse(b); err == nil && keys != nil {
		time, err = signedAt(cp, keys)
	}
	if errors.Is(err, ErrOtherKeys) {
		return nil, 0, fmt.Errorf("the record of the last signed head: %w", err)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w; "+state.HowToRestoreHead, ErrHeadDamaged, err)
	}
	return cp, time, nil
}

// signedAt returns the time of the ML-DSA-44 line of a head, and an error unless one of
// the keys signed it.
func signedAt(cp *tlog.Checkpoint, keys []*tlog.VerifierKey) (time uint64, err error) {
	signed := false
	for _, key := range keys {
		if line := cp.Find(key); line != nil {
			t, err := key.Verify(&cp.Head, line)
			if err != nil {
				return 0, err
			}
			time, signed = max(time, t), true
		}
	}
	if !signed {
		return 0, ErrOtherKeys
	}
	return time, nil
}

// SetPublished makes a checkpoint the published one, for good.
func (r Record) SetPublished(ctx context.Context, p state.Published) error {
	if err := r.Publish(ctx, p); err != nil {
		return fmt.Errorf("%w: writing the checkpoint to publish: %w", ErrState, err)
	}
	return nil
}

// LastPublished returns the checkpoint that was published last, nil if none was.
func (r Record) LastPublished(ctx context.Context) (*tlog.Checkpoint, error) {
	p, err := r.Published(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the published checkpoint: %w", err)
	} else if p.Checkpoint == nil {
		return nil, nil
	}
	cp, err := r.Parse(p.Checkpoint)
	if err != nil {
		return nil, fmt.Errorf("the published checkpoint is damaged: %w", err)
	}
	return cp, nil
}
