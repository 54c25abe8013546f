// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/vasistas/vasistas/internal/cosigning"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/tlog"
)

// Errors of [Witness.AddCheckpoint]. Malformed input wraps [tlog.ErrMalformed]. Typed
// errors are [ConflictError], [InconsistentError] and [ClockError].
var (
	// ErrUnknownLog: the origin is not configured.
	ErrUnknownLog = errors.New("the log is unknown to this witness")
	// ErrUntrusted: no configured key of the log signed the checkpoint, or a
	// line of such a key does not verify.
	ErrUntrusted = cosigning.ErrUntrusted
	// ErrTooLarge: the request exceeds a limit of this witness.
	ErrTooLarge = cosigning.ErrTooLarge
	// ErrBusy: too many requests are under way, in all or for this log.
	ErrBusy = errors.New("the witness is busy")
	// ErrNotDurable: the state can't be written. Nothing was signed. The head may or may
	// not be recorded; the next request reads the state again.
	ErrNotDurable = errors.New("the witness can't write its state")
)

// submission is a request that is well-formed and signed by its log.
type submission struct {
	log   *logState
	old   uint64 // at most head.Size
	proof []tlog.Hash
	head  tlog.Head
	lines []tlog.Signature // of the log's configured keys, all verified
}

// parse parses a body of a configured log.
func (w *Witness) parse(body []byte) (*tlog.AddCheckpoint, *knownLog, error) {
	r, err := cosigning.Parse(body, w.config.MaxBody)
	if err != nil {
		return nil, nil, err
	}
	c := r.Checkpoint
	known := w.view.Load().byOrigin[c.Origin]
	if known == nil {
		return nil, nil, fmt.Errorf("%w: %q", ErrUnknownLog, c.Origin)
	}
	return r, known, cosigning.CheckText(&c.Head)
}

// verify turns a request into a submission. It reads no state but the configured keys, so
// that a request without a log's signature waits for no lock.
func (known *knownLog) verify(r *tlog.AddCheckpoint) (*submission, error) {
	lines, err := cosigning.VerifyLines(r.Checkpoint, known.keys)
	if err != nil {
		return nil, err
	}
	return &submission{
		log:   known.state,
		old:   r.Old,
		proof: r.Proof,
		head:  cosigning.CloneHead(&r.Checkpoint.Head, known.state.origin),
		lines: lines,
	}, nil
}

// ConflictError reports that the old size of a request is not Size, that of the latest
// cosigned head (tlog-witness, status 409).
type ConflictError struct {
	Old, Size uint64
	Fork      *tlog.Fork // that the request also proves; or nil
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("the latest cosigned size is %d, not %d", e.Size, e.Old)
}

// InconsistentError reports that a signed head was not proven to be consistent with the
// latest cosigned one (tlog-witness, status 422).
type InconsistentError struct {
	Reason   string
	Evidence *tlog.Fork // nil if the request shows nothing about the log; unproven after a bad proof
}

func (e *InconsistentError) Error() string { return e.Reason }

var emptyRoot = tiles.EmptyRoot()

// decide returns the head of s if it may follow prev, the latest accepted head of the log
// or nil. It checks in the order of tlog-witness, "add-checkpoint".
func decide(prev *accepted, s *submission) (*accepted, error) {
	size, root := uint64(0), emptyRoot
	if prev != nil {
		size, root = prev.head.Size, prev.head.Root
	}
	var fork *tlog.Fork
	switch {
	case s.head.Size == 0 && s.head.Root != emptyRoot:
		fork = &tlog.Fork{Small: s.checkpoint(), Large: s.checkpoint(), Prefix: emptyRoot}
	case prev != nil && s.head.Size == size && s.head.Root != root:
		fork = &tlog.Fork{Small: prev.checkpoint(), Large: s.checkpoint(), Prefix: s.head.Root, Own: tlog.OwnSmall}
	}
	if s.old != size {
		return nil, &ConflictError{Old: s.old, Size: size, Fork: fork}
	}
	if fork != nil && s.head.Size == 0 {
		return nil, &InconsistentError{Reason: "the checkpoint has size 0, but not the root hash of the empty tree", Evidence: fork}
	}
	if size == 0 && len(s.proof) > 0 {
		return nil, &InconsistentError{Reason: "the old size is 0, but the consistency proof is not empty"}
	}
	if fork != nil {
		return nil, &InconsistentError{Reason: fmt.Sprintf("this witness has cosigned another root hash for size %d", size), Evidence: fork}
	}
	if size > 0 && tiles.VerifyConsistency(size, root, s.head.Size, s.head.Root, s.proof) != nil {
		e := &InconsistentError{Reason: fmt.Sprintf("the consistency proof from size %d to size %d does not verify", size, s.head.Size)}
		if s.head.Size > size {
			// The sender may have spoilt the proof, but if the log can give no valid one, it forked.
			e.Evidence = &tlog.Fork{Small: prev.checkpoint(), Large: s.checkpoint(), Own: tlog.OwnSmall}
		}
		return nil, e
	}
	return &accepted{head: s.head, lines: s.lines}, nil
}

// checkpoint returns the submitted head with the log's verified lines.
func (s *submission) checkpoint() *tlog.Checkpoint {
	return &tlog.Checkpoint{Head: s.head, Signatures: s.lines}
}

func evidenceOf(err error) *tlog.Fork {
	if conflict, ok := errors.AsType[*ConflictError](err); ok {
		return conflict.Fork
	}
	if inconsistent, ok := errors.AsType[*InconsistentError](err); ok {
		return inconsistent.Evidence
	}
	return nil
}

// keepEvidence writes evidence to DIR/evidence/HASH, where HASH is the SHA-256 of the origin.
func (w *Witness) keepEvidence(f *tlog.Fork) {
	w.keeping.Lock()
	defer w.keeping.Unlock()
	origin := f.Small.Origin
	dir := filepath.Join(w.config.Dir, evidenceDir, cosigning.OriginHash(origin))
	kept, err := cosigning.KeepFork(dir, f)
	switch {
	case err != nil:
		w.config.Logger.Error("writing evidence failed", "origin", origin, "evidence", string(f.Bytes()), "error", err)
	case kept:
		w.metrics.evidence.Add(1, f.Kind())
		w.config.Logger.Warn("evidence kept", "origin", origin, "kind", f.Kind(), "dir", dir)
	}
}
