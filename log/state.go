// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/vasistas/vasistas/log/tlog"
)

// Settings say which log this is. They never change.
type Settings struct {
	Origin string
	// Charter is the leaf hash of the first charter: what gates and monitors
	// are configured with.
	Charter tlog.Hash
}

// State is what a log must remember apart from its tree. The default is files in a
// directory; package pgstate keeps it in PostgreSQL, where several instances share it.
// All that a method wrote is durable when it returns nil.
//
// A state has one writer. Where another process can become the writer, each write of a
// former one is refused with [ErrOusted].
type State interface {
	Settings() Settings
	// Held returns nil while the writer may write, else an error that wraps ErrOusted.
	// It asks no other process. The log asks it before it signs, and before it
	// answers.
	Held() error
	// LoadHead returns the record of the last signed head.
	LoadHead(ctx context.Context) ([]byte, error)
	// SwapHead replaces the record if it is old, byte by byte. After an error
	// it may be old or next, which LoadHead then tells.
	SwapHead(ctx context.Context, old, next []byte) error
	// RestoreHead replaces a record that is lost or damaged. Only [Recover] may.
	RestoreHead(ctx context.Context, next []byte) error
	// Published returns what was published last, zero if nothing was.
	Published(ctx context.Context) (Published, error)
	// Publish replaces that.
	Publish(ctx context.Context, p Published) error
	// KeepEvidence keeps a head that should not exist, and says where.
	KeepEvidence(ctx context.Context, name string, checkpoint []byte) (where string, err error)
}

// Published is what readers are served by.
type Published struct {
	Checkpoint []byte
	// Charter is the index of the charter in force at the checkpoint's size.
	Charter uint64
}

// Founder makes the state of a new log.
type Founder interface {
	// Begin refuses a place that has a log, with fs.ErrExist, and keeps others
	// out until it is closed.
	Begin(ctx context.Context) (io.Closer, error)
	// Found writes the state. What is cut off is no log, and can be begun again.
	Found(ctx context.Context, set Settings, head []byte) error
}

// ErrOusted: this instance was active, and another one may be by now.
var ErrOusted = errors.New("this instance of the log is not active any more; submit the event again, which logs it once only")

// ErrStateChanged: the record of the last signed head is not what this process
// wrote. Only opening the log again can help, since that reads everything anew.
var ErrStateChanged = errors.New("the record of the last signed head was changed by another process")

// errState: the log can't write down what it must remember. It signs and
// publishes nothing until it can.
var errState = errors.New("the log's state can't be written")

var errHeadDamaged = errors.New("the record of the last signed head is damaged")

// howToRestoreHead ends errors about the record of the head.
const howToRestoreHead = "restore it, or bring it back from the published log with \"vasistas-log recover -from MIRROR\""

// record reads and writes the parts of a state as what they mean.
type record struct{ State }

// checkKeys refuses keys of another log.
func (r record) checkKeys(keys []*tlog.Signer) error {
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

// parse parses a checkpoint of this log.
func (r record) parse(b []byte) (*tlog.Checkpoint, error) {
	cp, err := tlog.ParseCheckpoint(b)
	if err != nil {
		return nil, err
	}
	if origin := r.Settings().Origin; cp.Origin != origin {
		return nil, fmt.Errorf("it is one of the log %q, and this is %q", cp.Origin, origin)
	}
	return cp, nil
}

// head returns the recorded head and the time of its ML-DSA-44 line, in POSIX
// seconds, or 0. It must carry a valid line of one of the keys; nil: that is left to the
// caller.
func (r record) head(ctx context.Context, keys []*tlog.VerifierKey) (cp *tlog.Checkpoint, time uint64, err error) {
	b, err := r.LoadHead(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("reading the last signed head: %w", err)
	}
	if cp, err = r.parse(b); err == nil && keys != nil {
		time, err = signedAt(cp, keys)
	}
	if errors.Is(err, errOtherKeys) {
		return nil, 0, fmt.Errorf("the record of the last signed head: %w", err)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w; "+howToRestoreHead, errHeadDamaged, err)
	}
	return cp, time, nil
}

var errOtherKeys = errors.New("it has no signature by any of the keys given; give those that signed it too, until a head with the new ones is published")

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
		return 0, errOtherKeys
	}
	return time, nil
}

// publish makes a checkpoint the published one, for good.
func (r record) publish(ctx context.Context, p Published) error {
	if err := r.Publish(ctx, p); err != nil {
		return fmt.Errorf("%w: writing the checkpoint to publish: %w", errState, err)
	}
	return nil
}

// published returns the checkpoint that was published last, nil if none was.
func (r record) published(ctx context.Context) (*tlog.Checkpoint, error) {
	p, err := r.Published(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the published checkpoint: %w", err)
	} else if p.Checkpoint == nil {
		return nil, nil
	}
	cp, err := r.parse(p.Checkpoint)
	if err != nil {
		return nil, fmt.Errorf("the published checkpoint is damaged: %w", err)
	}
	return cp, nil
}

// signHead signs a head with every key. An ML-DSA-44 line is a cosignature and
// carries time, in POSIX seconds.
func signHead(keys []*tlog.Signer, h tlog.Head, time uint64) (*tlog.Checkpoint, error) {
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
