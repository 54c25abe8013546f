// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"context"
	"errors"
	"fmt"

	"github.com/vasistas/vasistas/log/state"
	"github.com/vasistas/vasistas/log/tlog"
)

// ErrState: the log can't write down what it must remember. It signs and
// publishes nothing until it can.
var ErrState = errors.New("the log's state can't be written")

// Errors of [Record.Head].
var (
	ErrHeadDamaged = errors.New("the record of the last signed head is damaged")
	ErrOtherKeys   = errors.New("it has no signature by any of the keys given; give those that signed it too, until a head with the new ones is published")
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
