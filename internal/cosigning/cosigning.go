// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package cosigning is what witness and auditor share of C2SP tlog-witness: it checks their
// keys, reads an add-checkpoint request within bounds, verifies the log's own lines, and keeps
// evidence of forks. Each role decides for itself what it cosigns.
package cosigning

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/linger"
	"github.com/vasistas/vasistas/log/tlog"
)

const (
	// MaxBody is the default limit of a request's body in bytes.
	MaxBody = 64 << 10
	// MaxHeadText bounds a note text in bytes: three lines and some extension lines.
	MaxHeadText = 4096
	// MaxSigners bounds the keys of one cosigner.
	MaxSigners = 4
)

var (
	// ErrUntrusted: no known key of the log signed the checkpoint, or a line of such a key does
	// not verify.
	ErrUntrusted = errors.New("the checkpoint has no trustworthy signature of its log")
	// ErrTooLarge: the request exceeds a limit.
	ErrTooLarge = errors.New("the request is too large")
	// ErrBody: the body was cut off or took too long.
	ErrBody = errors.New("the body could not be read")
)

// CheckSigners checks the keys of a cosigner of a role, such as "witness": 1 to [MaxSigners]
// cosignature keys (types 0x04 and 0x06) of one name, each once.
func CheckSigners(role string, signers []*tlog.Signer) error {
	if len(signers) == 0 || len(signers) > MaxSigners {
		return fmt.Errorf("%s: %d signing keys; it needs 1 to %d", role, len(signers), MaxSigners)
	}
	seen := make(map[string]bool)
	for _, s := range signers {
		k := s.Verifier()
		switch {
		case k.Algorithm != tlog.CosignatureEd25519 && k.Algorithm != tlog.CosignatureMLDSA44:
			return fmt.Errorf("%s: the key %s+%08x is of type %v; a %[1]s needs a cosignature key", role, k.Name, k.ID, k.Algorithm)
		case k.Name != signers[0].Verifier().Name:
			return fmt.Errorf("%s: its keys have two names, %s and %s", role, signers[0].Verifier().Name, k.Name)
		case seen[string(k.Key)]:
			return fmt.Errorf("%s: the key %s+%08x is given twice", role, k.Name, k.ID)
		}
		seen[string(k.Key)] = true
	}
	return nil
}

// Parse parses the body of an add-checkpoint request, which may have up to limit bytes.
// Malformed input wraps [tlog.ErrMalformed].
func Parse(body []byte, limit int64) (*tlog.AddCheckpoint, error) {
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("%w: the body has %d bytes; at most %d are allowed", ErrTooLarge, len(body), limit)
	}
	r, err := tlog.ParseAddCheckpoint(body)
	if err != nil {
		return nil, err
	}
	if c := r.Checkpoint; r.Old > c.Size {
		return nil, fmt.Errorf("%w add-checkpoint: the old size %d is above the checkpoint's size %d", tlog.ErrMalformed, r.Old, c.Size)
	}
	return r, nil
}

// CheckText bounds the note text of a head of a known log.
func CheckText(h *tlog.Head) error {
	if n := len(h.Text()); n > MaxHeadText {
		return fmt.Errorf("%w: the note text has %d bytes; at most %d are allowed", ErrTooLarge, n, MaxHeadText)
	}
	return nil
}

// VerifyLines returns the lines of keys, re-encoded. One that does not verify is an error
// (signed-note, "Signatures"); lines of other keys are ignored.
func VerifyLines(c *tlog.Checkpoint, keys []*tlog.VerifierKey) ([]tlog.Signature, error) {
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

// CloneHead copies a head, so that it does not keep the whole request in memory.
func CloneHead(h *tlog.Head, origin string) tlog.Head {
	out := tlog.Head{Origin: origin, Size: h.Size, Root: h.Root}
	for _, e := range h.Extension {
		out.Extension = append(out.Extension, strings.Clone(e))
	}
	return out
}

// Cosign returns a line of each key for a head at a time in POSIX seconds.
func Cosign(signers []*tlog.Signer, h *tlog.Head, time uint64) ([]tlog.Signature, error) {
	lines := make([]tlog.Signature, 0, len(signers))
	for _, s := range signers {
		sig, err := s.Sign(h, time)
		if err != nil {
			return nil, err
		}
		lines = append(lines, sig)
	}
	return lines, nil
}

// Cosigned returns the latest time of the lines of these keys that verify, 0 if there are none.
func Cosigned(signers []*tlog.Signer, c *tlog.Checkpoint) (time uint64) {
	for _, s := range signers {
		if line := c.Find(s.Verifier()); line != nil {
			if t, err := s.Verifier().Verify(&c.Head, line); err == nil {
				time = max(time, t)
			}
		}
	}
	return time
}

// OriginHash names a log in paths (tlog-witness, "Monitor Retrieval Mechanism").
func OriginHash(origin string) string {
	sum := sha256.Sum256([]byte(origin))
	return hex.EncodeToString(sum[:])
}

// ReadBody reads the body of a request, up to limit bytes.
func ReadBody(rw http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, fmt.Errorf("%w: the body has %d bytes; at most %d are allowed", ErrTooLarge, r.ContentLength, limit)
	}
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, limit))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, fmt.Errorf("%w: the body has more than %d bytes", ErrTooLarge, limit)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBody, err)
	}
	return body, nil
}

// Serve answers an add-checkpoint request: with the lines that add returns, or by fail, which
// returns the status that it answered. Serve returns the status.
func Serve(rw http.ResponseWriter, r *http.Request, limit int64, add func(body []byte) (lines []byte, err error), fail func(error) int) int {
	if r.Method != http.MethodPost {
		rw.Header().Set("Allow", "POST")
		http.Error(rw, "use the method POST", http.StatusMethodNotAllowed)
		return http.StatusMethodNotAllowed
	}
	body, err := ReadBody(rw, r, limit)
	if err != nil {
		rw.Header().Set("Connection", "close")
		status := fail(err)
		linger.After(r)
		return status
	}
	lines, err := add(body)
	if err != nil {
		return fail(err)
	}
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	rw.Write(lines)
	return http.StatusOK
}

// Conflict answers that the last cosigned size is another one than the request's old size
// (tlog-witness, status 409).
func Conflict(rw http.ResponseWriter, size uint64) int {
	rw.Header().Set("Content-Type", "text/x.tlog.size")
	rw.WriteHeader(http.StatusConflict)
	rw.Write(append(strconv.AppendUint(nil, size, 10), '\n'))
	return http.StatusConflict
}

// Has reports whether keys has a key.
func Has(keys []*tlog.VerifierKey, k *tlog.VerifierKey) bool {
	return slices.ContainsFunc(keys, func(o *tlog.VerifierKey) bool { return o.String() == k.String() })
}

// maxForks bounds the files of one kind of evidence. The first ones stay, so that an attacker can't
// displace them.
const maxForks = 8

// KeepFork writes evidence to a directory, and makes the directory. It keeps no evidence twice, and at
// most maxForks files of a kind. It is not safe for concurrent use.
func KeepFork(dir string, f *tlog.Fork) (kept bool, err error) {
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return false, err
	}
	// Temporary files of a crash only take space.
	if err := durable.RemoveTemps(dir); err != nil {
		return false, err
	}
	if n, err := Forks(dir, f.Kind()); err != nil || n >= maxForks {
		return false, err
	}
	err = durable.CreateFile(filepath.Join(dir, f.Name()), f.Bytes(), 0o600)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	return err == nil, err
}

// Forks returns how many files of a kind of evidence a directory has.
func Forks(dir, kind string) (n int, err error) {
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	for _, f := range files {
		if strings.HasPrefix(f.Name(), kind+"-") {
			n++
		}
	}
	return n, err
}

// tellEvery is the pause between two lines about one log: strangers may ask once a second.
const tellEvery = time.Minute

// Teller counts the answers with cosignatures of one log, and logs one now and then.
type Teller struct {
	n    atomic.Uint64
	told atomic.Uint64 // n at the last line
	next atomic.Int64  // time of the next line, in POSIX nanoseconds
}

// Count returns the answers since the start.
func (t *Teller) Count() uint64 { return t.n.Load() }

// Cosigned counts an answer for a head, at a time in POSIX seconds. It logs the first answer, and
// then at most one a minute, with the number of those since.
func (t *Teller) Cosigned(logger *slog.Logger, h *tlog.Head, at uint64) {
	t.n.Add(1)
	now, next := time.Now().UnixNano(), t.next.Load()
	if now < next || !t.next.CompareAndSwap(next, now+int64(tellEvery)) {
		return
	}
	n := t.n.Load()
	logger.Info("cosigned", "origin", h.Origin, "size", h.Size, "time", time.Unix(int64(at), 0).UTC(), "answers", n-t.told.Swap(n))
}
