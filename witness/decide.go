// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vasistas/vasistas/internal/cosigning"
	"github.com/vasistas/vasistas/internal/durable"
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
	Fork      *Evidence // that the request also proves; or nil
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("the latest cosigned size is %d, not %d", e.Size, e.Old)
}

// InconsistentError reports that a signed head was not proven to be consistent with the
// latest cosigned one (tlog-witness, status 422).
type InconsistentError struct {
	Reason   string
	Evidence *Evidence // nil if the request proves nothing about the log
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
	var fork *Evidence
	switch {
	case s.head.Size == 0 && s.head.Root != emptyRoot:
		fork = newEvidence(EmptyRoot, prev, s)
	case prev != nil && s.head.Size == size && s.head.Root != root:
		fork = newEvidence(Fork, prev, s)
	}
	if s.old != size {
		return nil, &ConflictError{Old: s.old, Size: size, Fork: fork}
	}
	if fork != nil && fork.Kind == EmptyRoot {
		return nil, &InconsistentError{Reason: "the checkpoint has size 0, but not the root hash of the empty tree", Evidence: fork}
	}
	if size == 0 && len(s.proof) > 0 {
		return nil, &InconsistentError{Reason: "the old size is 0, but the consistency proof is not empty"}
	}
	if fork != nil {
		return nil, &InconsistentError{Reason: fmt.Sprintf("this witness has cosigned another root hash for size %d", size), Evidence: fork}
	}
	if size > 0 && tiles.VerifyConsistency(size, root, s.head.Size, s.head.Root, s.proof) != nil {
		return nil, &InconsistentError{
			Reason:   fmt.Sprintf("the consistency proof from size %d to size %d does not verify", size, s.head.Size),
			Evidence: newEvidence(BadProof, prev, s),
		}
	}
	return &accepted{head: s.head, lines: s.lines}, nil
}

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
	if conflict, ok := errors.AsType[*ConflictError](err); ok {
		return conflict.Fork
	}
	if inconsistent, ok := errors.AsType[*InconsistentError](err); ok {
		return inconsistent.Evidence
	}
	return nil
}

// keepEvidence writes e to DIR/evidence/HASH/KIND-HEAD.json, where HASH is the SHA-256 of
// the origin, unless it is there already.
func (w *Witness) keepEvidence(e *Evidence) {
	w.keeping.Lock()
	defer w.keeping.Unlock()
	e.Time = time.Now().Unix()
	dir := filepath.Join(w.config.Dir, evidenceDir, cosigning.OriginHash(e.Origin))
	kept, err := writeEvidence(dir, e)
	switch {
	case err != nil:
		w.config.Logger.Error("writing evidence failed", "origin", e.Origin, "kind", e.Kind, "request", e.Request, "error", err)
	case kept:
		w.metrics.evidence.Add(1, string(e.Kind))
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
