// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/tlog"
)

// MaxStateSize bounds a state file in bytes.
const MaxStateSize = 2*tlog.MaxCheckpointSize + 256

// State is what a [Follower] has yielded, and the largest head that it has verified.
// The zero value is the start of a log. A state is not secret, but who can change it
// can make a follower skip entries or forget a head.
type State struct {
	Size uint64    // entries yielded
	Root tlog.Hash // root of the tree of that size; ignored at size 0
	// Checkpoint is the largest verified one, as it was served. Later heads must
	// extend it. nil at the start.
	Checkpoint []byte
}

type stateFile struct {
	Checkpoint string    `json:"checkpoint,omitempty"`
	Root       tlog.Hash `json:"root"`
	Size       uint64    `json:"size"`
}

// Bytes returns the state as a file: one line of JSON.
func (s State) Bytes() []byte {
	if s.Size == 0 {
		s.Root = tiles.EmptyRoot()
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	// Encoding strings and an integer into memory can't fail.
	_ = enc.Encode(stateFile{string(s.Checkpoint), s.Root, s.Size})
	return b.Bytes()
}

// ParseState parses exactly what Bytes returns.
func ParseState(b []byte) (State, error) {
	if len(b) > MaxStateSize {
		return State{}, fmt.Errorf("state file: more than %d bytes", MaxStateSize)
	}
	var f stateFile
	if err := json.Unmarshal(b, &f); err != nil {
		return State{}, fmt.Errorf("state file: %w", err)
	}
	s := State{Size: f.Size, Root: f.Root}
	var size uint64
	if f.Checkpoint != "" {
		s.Checkpoint = []byte(f.Checkpoint)
		cp, err := tlog.ParseCheckpoint(s.Checkpoint)
		if err != nil {
			return State{}, fmt.Errorf("state file: %w", err)
		}
		size = cp.Size
	}
	if s.Size > size {
		return State{}, fmt.Errorf("state file: it counts %d entries, and its checkpoint has %d", s.Size, size)
	}
	if !bytes.Equal(s.Bytes(), b) {
		return State{}, fmt.Errorf("state file: it was changed by hand; remove it to start over")
	}
	return s, nil
}
