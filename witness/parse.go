// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"errors"
	"fmt"

	"github.com/vasistas/vasistas/log/tlog"
)

// Errors of [Witness.AddCheckpoint]. Malformed input wraps [tlog.ErrMalformed]. Typed
// errors are [ConflictError], [InconsistentError] and [ClockError].
var (
	// ErrUnknownLog: the origin is not configured.
	ErrUnknownLog = errors.New("the log is unknown to this witness")
	// ErrUntrusted: no configured key of the log signed the checkpoint, or a
	// line of such a key does not verify.
	ErrUntrusted = errors.New("the checkpoint has no trustworthy signature of its log")
	// ErrTooLarge: the request exceeds a limit of this witness.
	ErrTooLarge = errors.New("the request is too large")
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

// parse turns a body into a submission. It reads no state but the configured keys, so
// that a request without a log's signature waits for no lock.
func parse(body []byte, logs map[string]*knownLog) (*submission, error) {
	r, err := tlog.ParseAddCheckpoint(body)
	if err != nil {
		return nil, err
	}
	c := r.Checkpoint
	if r.Old > c.Size {
		return nil, fmt.Errorf("%w add-checkpoint: the old size %d is above the checkpoint's size %d", tlog.ErrMalformed, r.Old, c.Size)
	}
	known := logs[c.Origin]
	if known == nil {
		return nil, fmt.Errorf("%w: %q", ErrUnknownLog, c.Origin)
	}
	if n := len(c.Text()); n > maxHeadText {
		return nil, fmt.Errorf("%w: the note text has %d bytes; at most %d are allowed", ErrTooLarge, n, maxHeadText)
	}
	lines, err := verifyLines(c, known.keys)
	if err != nil {
		return nil, err
	}
	return &submission{
		log:   known.state,
		old:   r.Old,
		proof: r.Proof,
		head:  cloneHead(&c.Head, known.state.origin),
		lines: lines,
	}, nil
}

// verifyLines returns the lines of keys, re-encoded. One that does not verify is an error
// (signed-note, "Signatures"); lines of other keys are ignored.
func verifyLines(c *tlog.Checkpoint, keys []*tlog.VerifierKey) ([]tlog.Signature, error) {
	var lines []tlog.Signature
	for _, k := range keys {
		s := c.Find(k)
		if s == nil {
			continue
		}
		if _, err := k.Verify(&c.Head, s); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUntrusted, err)
		}
		lines = append(lines, tlog.Signature{Name: k.Name, KeyID: k.ID, Bytes: s.Bytes})
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("%w: none of the %d lines is of a known key of %q", ErrUntrusted, len(c.Signatures), c.Origin)
	}
	return lines, nil
}
