// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vasistas/vasistas/internal/checksum"
	"github.com/vasistas/vasistas/log/tlog"
)

// MaxSnapshotSize bounds a snapshot in bytes: some millions of open events.
const MaxSnapshotSize = 1<<31 - 1

const (
	// magic begins a snapshot; its use follows. It changes with the layout.
	magic = "vasistas replica snapshot 1 "
	// maxHeader bounds the line of JSON.
	maxHeader = 512 << 20
)

// earlier are the first lines of earlier layouts.
var earlier = []string{"vasistas audit snapshot 1\n", "vasistas scan state 1\n", "vasistas gate ledger 1\n"}

// SnapshotError reports a snapshot that is unusable for this log.
type SnapshotError struct{ Reason string }

func (e *SnapshotError) Error() string {
	return "the snapshot can't be resumed from: " + e.Reason
}

// snapshot is what a replica resumes from. As bytes it is the magic with the use, a line
// of JSON, the ledger's own snapshot, and SHA-256 of all that.
type snapshot struct {
	Origin     string    `json:"origin"`
	Policy     string    `json:"policy,omitempty"` // hex SHA-256
	Checkpoint string    `json:"checkpoint"`       // the largest verified
	Size       uint64    `json:"size"`             // entries applied, at most the checkpoint's
	Root       tlog.Hash `json:"root"`
	Own        any       `json:"own,omitempty"`

	ledger []byte
}

func (s *snapshot) header() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(s)
	return b.Bytes(), err
}

func (c *Config) magic() string { return magic + c.Use + "\n" }

func (c *Config) policy() string {
	if c.Policy == nil {
		return ""
	}
	sum := sha256.Sum256(c.Policy)
	return hex.EncodeToString(sum[:])
}

// Snapshot returns the state under the accepted head, in its one encoding, with the
// present Config.Own. At least one entry must have been applied.
func (r *Replica) Snapshot() ([]byte, error) {
	l := r.state.ledger
	s := &snapshot{Origin: l.Origin(), Policy: r.c.policy(), Checkpoint: string(r.tree.Largest().Bytes()), Size: l.Size(),
		Root: l.Root(), Own: r.c.Own}
	header, err := s.header()
	if err != nil {
		return nil, err
	}
	b := l.AppendSnapshot(append([]byte(r.c.magic()), header...))
	if n := len(b) + sha256.Size; len(header) > maxHeader || n > MaxSnapshotSize {
		return nil, fmt.Errorf("it would have %d bytes, and %d are allowed", n, MaxSnapshotSize)
	}
	return checksum.Append(b, 0), nil
}

// parse parses exactly what Replica.Snapshot returns, but for the ledger's part. It sets
// c.Known, if that is nil.
func (c *Config) parse() (*snapshot, error) {
	b := c.Snapshot
	bad := func(format string, args ...any) (*snapshot, error) {
		return nil, &SnapshotError{fmt.Sprintf(format, args...)}
	}
	if len(b) > MaxSnapshotSize {
		return bad("it has more than %d bytes", MaxSnapshotSize)
	}
	body, err := checksum.Cut(b, c.magic())
	switch {
	case errors.Is(err, checksum.ErrDamaged):
		return bad("it is damaged; restore the file, or remove it to replay the whole log")
	case slices.ContainsFunc(earlier, func(m string) bool { return strings.HasPrefix(string(b[:min(len(b), len(m))]), m) }):
		return bad("an earlier version wrote it; remove the file to replay the whole log")
	case err != nil:
		return bad("it is no %s snapshot, or one of another version; remove the file to replay the whole log", c.Use)
	}
	n := bytes.IndexByte(body[:min(len(body), maxHeader)], '\n') + 1
	if n == 0 {
		return bad("its header has no end")
	}
	s := &snapshot{Own: c.Own, ledger: body[n:]}
	if err := json.Unmarshal(body[:n], s); err != nil {
		return bad("its header: %v", err)
	}
	if again, err := s.header(); err != nil || !bytes.Equal(again, body[:n]) || (s.Own == nil) != (c.Own == nil) {
		return bad("its header has another encoding")
	}
	if s.Policy != c.policy() {
		return bad("it was made under another policy; use that policy, or remove the file to replay the whole log")
	}
	if c.Known == nil {
		if c.Known, err = c.Client.Signed([]byte(s.Checkpoint)); err != nil {
			return bad("%v", err)
		}
	}
	switch {
	case s.Size == 0 || c.Known.Size < s.Size:
		return bad("it has %d entries, and the largest verified head %d", s.Size, c.Known.Size)
	case c.Known.Origin != s.Origin || c.Origin != "" && c.Origin != s.Origin:
		return bad("it is of the log %q, and this is %q", s.Origin, c.Known.Origin)
	}
	return s, nil
}

// restore loads the ledger of a snapshot. Update checks that each head extends it.
func (r *Replica) restore(s *snapshot) error {
	r.create(s.Origin)
	if err := r.state.restore(s.ledger, s.Size, s.Root); err != nil {
		return &SnapshotError{err.Error()}
	}
	if l := r.state.ledger; l.Origin() != s.Origin {
		return &SnapshotError{fmt.Sprintf("its ledger is of the log %q", l.Origin())}
	}
	return nil
}
