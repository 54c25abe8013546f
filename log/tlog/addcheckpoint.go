// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"fmt"
	"strings"
)

// MaxAddCheckpointSize bounds an add-checkpoint body in bytes. Some witnesses read
// only 10 KiB, and a Vasistas log sends less.
const MaxAddCheckpointSize = MaxCheckpointSize + 45*MaxHashes + 32

// AddCheckpoint is the body of a request to a witness (tlog-witness,
// "add-checkpoint"). The witness must check that Old is at most the checkpoint's
// size.
type AddCheckpoint struct {
	Old        uint64 // size of the head that the witness last cosigned
	Proof      []Hash // consistency proof from Old
	Checkpoint *Checkpoint
}

// ParseAddCheckpoint parses the body of a request.
func ParseAddCheckpoint(b []byte) (*AddCheckpoint, error) {
	if len(b) > MaxAddCheckpointSize {
		return nil, malformed("add-checkpoint: %d bytes, and %d are allowed", len(b), MaxAddCheckpointSize)
	}
	line, rest, ok := strings.Cut(string(b), "\n")
	old, isOld := strings.CutPrefix(line, "old ")
	if !ok || !isOld {
		return nil, malformed("add-checkpoint: the first line is not an old size")
	}
	r := &AddCheckpoint{}
	if r.Old, ok = parseDecimal(old); !ok {
		return nil, malformed("add-checkpoint: the old size is not a decimal below 2^63 without leading zeros")
	}
	var err error
	if r.Proof, rest, err = parseHashes(rest, "add-checkpoint"); err != nil {
		return nil, err
	}
	if r.Checkpoint, err = ParseCheckpoint([]byte(rest)); err != nil {
		return nil, err
	}
	return r, nil
}

// Bytes returns the body.
func (r *AddCheckpoint) Bytes() []byte {
	b := appendHashes(fmt.Appendf(nil, "old %d\n", r.Old), r.Proof)
	return append(b, r.Checkpoint.Bytes()...)
}

// ParseTreeSize parses the body of a witness's 409 answer, of type
// text/x.tlog.size: a decimal and a line feed.
func ParseTreeSize(b []byte) (uint64, error) {
	s, ok := strings.CutSuffix(string(b), "\n")
	n, isDecimal := parseDecimal(s)
	if !ok || !isDecimal {
		return 0, malformed("tree size: not a decimal below 2^63 and a line feed")
	}
	return n, nil
}
