// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/tlog"
)

// EvidenceKind says what a piece of evidence is worth.
type EvidenceKind string

const (
	// Fork: the log signed two heads of one size with two roots. The two notes
	// prove it to everyone.
	Fork EvidenceKind = "fork"
	// EmptyRoot: the log signed a head of size 0 that is not the empty tree's.
	EmptyRoot EvidenceKind = "empty-root"
	// BadProof: a head that the log signed came with a consistency proof that
	// does not verify. It proves nothing by itself, since whoever sent it may
	// have spoilt the proof; if the log can give no better one, it forked.
	BadProof EvidenceKind = "bad-proof"
)

// maxEvidence is how many pieces of one kind are kept of one log. The first
// ones stay, so that what an attacker sends later can't displace them.
const maxEvidence = 8

// Evidence is a validly signed head that does not fit to the accepted one, as
// it is kept in a file.
type Evidence struct {
	Kind   EvidenceKind `json:"kind"`
	Origin string       `json:"origin"`
	// Time is when the witness saw it, by its own clock, in POSIX seconds.
	Time int64 `json:"time"`
	// Accepted is the head that the witness had cosigned, with the log's
	// verified lines and our own; "" if there was none.
	Accepted string `json:"accepted,omitempty"`
	// Request is an add-checkpoint body with the verified lines alone. For a
	// head that the log itself published it has no proof.
	Request string `json:"request"`

	text []byte // of the head in Request
}

func newEvidence(kind EvidenceKind, prev *accepted, s *submission) *Evidence {
	r := tlog.AddCheckpoint{Old: s.old, Proof: s.proof, Checkpoint: &tlog.Checkpoint{Head: s.head, Signatures: s.lines}}
	e := &Evidence{
		Kind:    kind,
		Origin:  s.head.Origin,
		Request: string(r.Bytes()),
		text:    s.head.Text(),
	}
	if prev != nil {
		e.Accepted = string(prev.note())
	}
	return e
}

// evidenceOf returns what err proves, or nil.
func evidenceOf(err error) *Evidence {
	if conflict := (*ConflictError)(nil); errors.As(err, &conflict) {
		return conflict.Fork
	}
	if inconsistent := (*InconsistentError)(nil); errors.As(err, &inconsistent) {
		return inconsistent.Evidence
	}
	return nil
}

// keepEvidence writes e to DIR/evidence/HASH/KIND-HEAD.json, where HASH is the
// SHA-256 of the origin, and says whether it is there now. It needs the lock of
// the log. One head is kept once a kind.
func (w *Witness) keepEvidence(e *Evidence) bool {
	e.Time = time.Now().Unix()
	dir := filepath.Join(w.config.Dir, evidenceDir, originHash(e.Origin))
	kept, err := writeEvidence(dir, e)
	switch {
	case err != nil:
		w.config.Logger.Error("evidence could not be kept", "origin", e.Origin, "kind", e.Kind, "request", e.Request, "error", err)
	case kept:
		w.metrics.evidence[e.Kind].Add(1)
		w.config.Logger.Warn("evidence kept", "origin", e.Origin, "kind", e.Kind, "dir", dir)
	}
	return kept
}

func writeEvidence(dir string, e *Evidence) (kept bool, err error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(e); err != nil {
		return false, err
	}
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return false, err
	}
	// Temporary files of a crash would be in nobody's way but the disk's.
	if err := durable.RemoveTemps(dir); err != nil {
		return false, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false, err
	}
	sum := sha256.Sum256(e.text)
	name := fmt.Sprintf("%s-%x.json", e.Kind, sum[:16])
	n := 0
	for _, entry := range entries {
		if entry.Name() == name {
			return false, nil
		}
		if strings.HasPrefix(entry.Name(), string(e.Kind)+"-") {
			n++
		}
	}
	if n >= maxEvidence {
		return false, nil
	}
	err = durable.CreateFile(filepath.Join(dir, name), b.Bytes(), 0o600)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	return err == nil, err
}

// originHash names a log in paths (tlog-witness, "Monitor Retrieval
// Mechanism").
func originHash(origin string) string {
	sum := sha256.Sum256([]byte(origin))
	return hex.EncodeToString(sum[:])
}
