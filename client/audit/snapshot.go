// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/log/tlog"
)

// MaxSnapshotSize bounds a snapshot in bytes: some millions of open events.
const MaxSnapshotSize = 1<<31 - 1

const (
	// magic begins a snapshot. It changes with the layout; one of another
	// layout is refused, and the log replayed.
	magic = "vasistas audit snapshot 1\n"
	// maxHeader bounds the line of JSON.
	maxHeader = 64 << 20
)

// SnapshotError says that a snapshot can't be resumed from with this log.
type SnapshotError struct{ Reason string }

func (e *SnapshotError) Error() string {
	return "the snapshot can't be resumed from: " + e.Reason
}

// snapshot is what a run needs to go on. As bytes it is the magic line, a line of
// JSON, the ledger's own snapshot, and SHA-256 of all that.
type snapshot struct {
	Origin     string  `json:"origin"`
	Policy     string  `json:"policy"` // hex SHA-256 of the policy file
	Checkpoint string  `json:"checkpoint"`
	Size       uint64  `json:"size"` // entries replayed, at most the checkpoint's
	Root       string  `json:"root"`
	Totals     *totals `json:"totals"`

	ledger []byte
	root   tlog.Hash // set by parseSnapshot
}

func (s *snapshot) header() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(s)
	return b.Bytes(), err
}

func (s *snapshot) bytes() ([]byte, error) {
	header, err := s.header()
	if err != nil {
		return nil, err
	}
	n := len(magic) + len(header) + len(s.ledger) + sha256.Size
	if len(header) > maxHeader || n > MaxSnapshotSize {
		return nil, fmt.Errorf("it would have %d bytes, and %d are allowed", n, MaxSnapshotSize)
	}
	b := make([]byte, 0, n)
	b = append(b, magic...)
	b = append(b, header...)
	b = append(b, s.ledger...)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...), nil
}

// parseSnapshot reads what bytes writes, and nothing else. Its ledger is the
// ledger's to judge, its checkpoint the follower's.
func parseSnapshot(b []byte) (*snapshot, error) {
	bad := func(format string, args ...any) (*snapshot, error) {
		return nil, &SnapshotError{fmt.Sprintf(format, args...)}
	}
	if len(b) > MaxSnapshotSize {
		return bad("it has more than %d bytes", MaxSnapshotSize)
	}
	if len(b) < len(magic)+sha256.Size || string(b[:len(magic)]) != magic {
		return bad("it is no snapshot of an audit, or one of another version")
	}
	body := b[:len(b)-sha256.Size]
	if sha256.Sum256(body) != [32]byte(b[len(body):]) {
		return bad("it is damaged; restore the file, or remove it to replay the log")
	}
	body = body[len(magic):]
	n := bytes.IndexByte(body[:min(len(body), maxHeader)], '\n') + 1
	if n == 0 {
		return bad("its header has no end")
	}
	s := &snapshot{ledger: body[n:]}
	if err := json.Unmarshal(body[:n], s); err != nil {
		return bad("its header: %v", err)
	}
	root, err := base64.StdEncoding.DecodeString(s.Root)
	if err != nil || len(root) != len(s.root) {
		return bad("its root is not base64 of 32 bytes")
	}
	s.root = tlog.Hash(root)
	if again, err := s.header(); err != nil || !bytes.Equal(again, body[:n]) {
		return bad("its header has another encoding")
	}
	if s.Totals == nil || s.Size == 0 || s.Totals.entries() != s.Size {
		return bad("its counts do not add up to its size")
	}
	cp, err := tlog.ParseCheckpoint([]byte(s.Checkpoint))
	if err != nil {
		return bad("its checkpoint: %v", err)
	}
	if cp.Origin != s.Origin || cp.Size < s.Size {
		return bad("its checkpoint is not of its tree")
	}
	return s, nil
}

// state is where the follower goes on.
func (s *snapshot) state() client.State {
	return client.State{Size: s.Size, Root: s.root, Checkpoint: []byte(s.Checkpoint)}
}

func digestText(h [32]byte) string { return hex.EncodeToString(h[:]) }
