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

// EvidenceKind is what a piece of evidence proves.
type EvidenceKind string

const (
	// Fork: the log signed two heads of one size with two roots. The notes prove it to
	// everyone.
	Fork EvidenceKind = "fork"
	// EmptyRoot: the log signed a head of size 0 that is not the empty tree's.
	EmptyRoot EvidenceKind = "empty-root"
	// BadProof: a head that the log signed came with a consistency proof that does not
	// verify. The sender may have spoilt the proof, but if the log can give no valid one,
	// the log forked.
	BadProof EvidenceKind = "bad-proof"
)

// maxEvidence bounds the pieces of one kind for one log. The first ones stay, so that an
// attacker can't displace them.
const maxEvidence = 8

// Evidence is a signed head that conflicts with the accepted one, in a JSON file.
type Evidence struct {
	Kind   EvidenceKind `json:"kind"`
	Origin string       `json:"origin"`
	// Time of receipt by the witness's clock, in POSIX seconds.
	Time int64 `json:"time"`
	// Accepted is the cosigned head, with the log's verified lines and the witness's; ""
	// if there was none.
	Accepted string `json:"accepted,omitempty"`
	// Request is an add-checkpoint body with the verified lines only. It has no proof if
	// the witness fetched the head from the log.
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

func evidenceOf(err error) *Evidence {
	if conflict := (*ConflictError)(nil); errors.As(err, &conflict) {
		return conflict.Fork
	}
	if inconsistent := (*InconsistentError)(nil); errors.As(err, &inconsistent) {
		return inconsistent.Evidence
	}
	return nil
}

// keepEvidence writes e to DIR/evidence/HASH/KIND-HEAD.json, where HASH is the SHA-256 of
// the origin, unless it is there already. It needs the lock of the log.
func (w *Witness) keepEvidence(e *Evidence) {
	e.Time = time.Now().Unix()
	dir := filepath.Join(w.config.Dir, evidenceDir, originHash(e.Origin))
	kept, err := writeEvidence(dir, e)
	switch {
	case err != nil:
		w.config.Logger.Error("writing evidence failed", "origin", e.Origin, "kind", e.Kind, "request", e.Request, "error", err)
	case kept:
		w.metrics.evidence[e.Kind].Add(1)
		w.config.Logger.Warn("evidence kept", "origin", e.Origin, "kind", e.Kind, "dir", dir)
	}
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
	// Remove temporary files of a crash, which only take space.
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
