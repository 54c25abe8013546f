// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/vasistas/vasistas/internal/strictjson"
)

// MaxForkSize bounds a fork file in bytes: two checkpoints, quoted, and a proof.
const MaxForkSize = 3*MaxCheckpointSize + 64*(MaxHashes+2)

// Fork is evidence that a log signed two heads of which neither extends the other: both
// checkpoints and, if their sizes differ, the root of the larger tree at the smaller size with
// its consistency proof (RFC 6962, section 2.1.2). It is an error, and a file: one line of JSON
// with the members small, large, prefix, proof and own. Package verify checks it with the log's
// key alone.
type Fork struct {
	Small, Large *Checkpoint // Small.Size <= Large.Size
	// Prefix is the root of Large's tree at Small.Size. Zero: it is not known, and the two heads
	// are a fork only if the log has no consistency proof of them.
	Prefix Hash
	Proof  []Hash // consistency proof from Prefix to Large; nil if the sizes are equal
	// Own is which of the two its finder takes for the log's: the finder's claim.
	Own Own
}

// Own is one of the heads of a [Fork].
type Own string

// The heads of a fork; none is named by "".
const (
	OwnSmall Own = "small"
	OwnLarge Own = "large"
)

func (f *Fork) Error() string {
	return fmt.Sprintf("the log %q has forked: it signed root %x at size %d, and a tree of size %d that has root %x there; keep both checkpoints as evidence",
		f.Small.Origin, f.Small.Root, f.Small.Size, f.Large.Size, f.Prefix)
}

// OwnHead returns the head that Own names, nil if it names none.
func (f *Fork) OwnHead() *Checkpoint {
	switch f.Own {
	case OwnSmall:
		return f.Small
	case OwnLarge:
		return f.Large
	}
	return nil
}

// forkJSON is a fork in JSON.
type forkJSON struct {
	Small  string `json:"small"` // the checkpoints, whole
	Large  string `json:"large"`
	Prefix Hash   `json:"prefix,omitzero"`
	Proof  []Hash `json:"proof"`
	Own    Own    `json:"own,omitempty"`
}

// MarshalJSON returns the file without its line feed.
func (f *Fork) MarshalJSON() ([]byte, error) {
	b, err := strictjson.Line(forkJSON{string(f.Small.Bytes()), string(f.Large.Bytes()), f.Prefix, append([]Hash{}, f.Proof...), f.Own})
	return bytes.TrimSuffix(b, []byte("\n")), err
}

// UnmarshalJSON reads what MarshalJSON writes, as a member of another JSON text: the encoding
// may differ.
func (f *Fork) UnmarshalJSON(b []byte) (err error) {
	var in forkJSON
	if err := json.Unmarshal(b, &in); err != nil {
		return malformed("fork: %v", err)
	}
	*f = Fork{Prefix: in.Prefix, Own: in.Own}
	if len(in.Proof) > 0 {
		f.Proof = in.Proof
	}
	if f.Small, err = ParseCheckpoint([]byte(in.Small)); err != nil {
		return err
	}
	if f.Large, err = ParseCheckpoint([]byte(in.Large)); err != nil {
		return err
	}
	switch {
	case f.Small.Size > f.Large.Size:
		return malformed("fork: the head of size %d stands before that of size %d", f.Small.Size, f.Large.Size)
	case f.Own != "" && f.OwnHead() == nil:
		return malformed("fork: own is %q", f.Own)
	case len(f.Proof) > MaxHashes:
		return malformed("fork: more than %d hashes", MaxHashes)
	}
	return nil
}

// ParseFork parses a fork file in its one encoding. It checks no signature: package verify does.
func ParseFork(b []byte) (*Fork, error) {
	if len(b) > MaxForkSize {
		return nil, malformed("fork: %d bytes, and %d are allowed", len(b), MaxForkSize)
	}
	f := new(Fork)
	if err := json.Unmarshal(b, f); err != nil {
		return nil, fmt.Errorf("fork: %w", err)
	}
	if !bytes.Equal(f.Bytes(), b) {
		return nil, malformed("fork: it is not in its one encoding")
	}
	return f, nil
}

// Bytes returns the fork as a file.
func (f *Fork) Bytes() []byte {
	b, err := f.MarshalJSON()
	if err != nil {
		panic(err) // strings only
	}
	return append(b, '\n')
}

// Kinds of evidence.
const (
	KindFork     = "fork"     // it convicts the log
	KindUnproven = "unproven" // see Fork.Prefix
)

// Kind returns the kind of the evidence, as it claims.
func (f *Fork) Kind() string {
	if f.Prefix == (Hash{}) && f.Small.Size < f.Large.Size {
		return KindUnproven
	}
	return KindFork
}

// Name returns a file name for the evidence, which begins with its kind. It is the same for one
// pair of trees, however large the larger one gets.
func (f *Fork) Name() string {
	other := f.Prefix
	if f.Kind() == KindUnproven {
		other = f.Large.Root
	}
	return fmt.Sprintf("%s-%d-%x-%x.json", f.Kind(), f.Small.Size, f.Small.Root[:8], other[:8])
}
