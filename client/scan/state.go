// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package scan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/log/event"
)

// MaxStateSize bounds a state in bytes: the audit's snapshot, and what was found.
const MaxStateSize = audit.MaxSnapshotSize

const (
	magic     = "vasistas scan state 1\n"
	maxHeader = 512 << 20
)

// StateError says that a state can't be resumed from.
type StateError struct{ Reason string }

func (e *StateError) Error() string { return "the state can't be resumed from: " + e.Reason }

// state is what a scan has found so far. As bytes it is the magic line, a line of
// JSON, the audit's snapshot, and SHA-256 of all that. Whoever reads it learns which
// notices are the subject's, and all that they say.
type state struct {
	Seed        string   `json:"seed"` // hex hash that names the seed
	Notices     uint64   `json:"notices"`
	Found       []*found `json:"found,omitempty"`
	Left        uint64   `json:"left,omitempty"` // notices beyond those that are kept
	Breaches    []breach `json:"breaches,omitempty"`
	BreachCount uint64   `json:"breachCount,omitempty"`
}

// seedName names a seed by a hash that tells nothing of it.
func seedName(s *escrow.Seed) string {
	h := sha256.Sum256(append([]byte("vasistas scan seed v1\n"), s.Bytes()...))
	return hex.EncodeToString(h[:])
}

func (s *state) header() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(s)
	return b.Bytes(), err
}

func (s *state) bytes(snapshot []byte) ([]byte, error) {
	header, err := s.header()
	if err != nil {
		return nil, err
	}
	n := len(magic) + len(header) + len(snapshot) + sha256.Size
	if len(header) > maxHeader || n > MaxStateSize {
		return nil, fmt.Errorf("it would have %d bytes, and %d are allowed", n, MaxStateSize)
	}
	b := make([]byte, 0, n)
	b = append(append(append(b, magic...), header...), snapshot...)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...), nil
}

// parseState reads what bytes writes, and nothing else. The snapshot is the audit's to
// judge.
func parseState(b []byte) (s *state, snapshot []byte, err error) {
	bad := func(format string, args ...any) (*state, []byte, error) {
		return nil, nil, &StateError{fmt.Sprintf(format, args...)}
	}
	if len(b) > MaxStateSize {
		return bad("it has more than %d bytes", MaxStateSize)
	}
	if len(b) < len(magic)+sha256.Size || string(b[:len(magic)]) != magic {
		return bad("it is no state of a scan, or one of another version")
	}
	body := b[:len(b)-sha256.Size]
	if sha256.Sum256(body) != [32]byte(b[len(body):]) {
		return bad("it is damaged; restore the file, or remove it to scan the log from its start")
	}
	body = body[len(magic):]
	n := bytes.IndexByte(body[:min(len(body), maxHeader)], '\n') + 1
	if n == 0 {
		return bad("its header has no end")
	}
	s = new(state)
	if err := json.Unmarshal(body[:n], s); err != nil {
		return bad("its header: %v", err)
	}
	if again, err := s.header(); err != nil || !bytes.Equal(again, body[:n]) {
		return bad("its header has another encoding")
	}
	for i, x := range s.Found {
		if x == nil {
			return bad("notice %d: there is none", i)
		}
		if err := x.check(); err != nil {
			return bad("notice %d: %v", i, err)
		}
	}
	return s, body[n:], nil
}

func (x *found) check() (err error) {
	if x.Digest, err = event.ParseDigest(x.DigestText); err != nil {
		return err
	}
	for _, r := range append([]reference{x.Event}, x.Releases...) {
		if _, err := r.ref(); err != nil {
			return err
		}
	}
	if (x.Notice == nil) == (x.Error == "") {
		return errors.New("want a notice, or why it is none")
	}
	if x.Notice != nil {
		_, err = escrow.ParseNotice(x.Notice)
	}
	return err
}
