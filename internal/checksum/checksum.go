// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package checksum detects damage of a state file, which begins with a magic line and
// ends with the SHA-256 of everything before. The sum doesn't detect forgery: any
// writer of the file can compute it. The package also says what another file is, which a
// person named by mistake.
package checksum

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

// Errors of [Cut].
var (
	ErrMagic   = errors.New("it has the layout of another version")
	ErrDamaged = errors.New("it is damaged")
)

// Append appends the SHA-256 of b[from:] to b.
func Append(b []byte, from int) []byte {
	sum := sha256.Sum256(b[from:])
	return append(b, sum[:]...)
}

// Cut checks the magic line and the sum, and returns the bytes between them.
func Cut(b []byte, magic string) ([]byte, error) {
	if _, err := CutFile(io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b))), magic); err != nil {
		return nil, err
	}
	return b[len(magic) : len(b)-sha256.Size], nil
}

// CutFile is Cut for a file of any size. It does not keep the file in memory.
func CutFile(r *io.SectionReader, magic string) (*io.SectionReader, error) {
	head, sum := make([]byte, len(magic)), sha256.New()
	n := r.Size() - sha256.Size
	if n < int64(len(magic)) {
		return nil, ErrMagic
	}
	if _, err := r.ReadAt(head, 0); err != nil {
		return nil, err
	}
	if string(head) != magic {
		return nil, ErrMagic
	}
	if _, err := io.Copy(sum, io.NewSectionReader(r, 0, n)); err != nil {
		return nil, err
	}
	end := make([]byte, sha256.Size)
	if _, err := io.ReadFull(io.NewSectionReader(r, n, sha256.Size), end); err != nil {
		return nil, err
	}
	if !bytes.Equal(end, sum.Sum(nil)) {
		return nil, ErrDamaged
	}
	return io.NewSectionReader(r, int64(len(magic)), n-int64(len(magic))), nil
}

// kinds are files by their first bytes. A longer prefix stands before its own beginning.
var kinds = []struct{ prefix, kind string }{
	{"vasistas replica snapshot ", "the state of another command or version"},
	{"vasistas notice seed ", "a seed for notices"},
	{"vasistas notice file ", "a notice"},
	{"vasistas case ", "a case with keys"},
	{"vasistas-journal/", "a journal"},
	{"vasistas ", "another program's state"},
	{"-----BEGIN AGE ENCRYPTED FILE-----", "an encrypted file"},
	{"age-encryption.org/", "an encrypted file"},
	{"AGE-", "a key"},
	{"# created: ", "a key"},
	{"PRIVATE+KEY+", "a key"},
	{"-----BEGIN ", "a key or certificate"},
	{"c2sp.org/tlog-proof@", "a proof"},
	{`{"payload":`, "an event"},
	{`{"event":`, "the openings of an event"},
	{`{"checkpoint":`, "the state of 'vasistas follow'"},
	{`{"root":`, "the state of 'vasistas follow'"},
	{"{", "other JSON"},
	{"log ", "a policy"},
	{"witness ", "a policy"},
}

// Kind says what a file is, by its first bytes. It repeats none of them, which may be secret.
func Kind(b []byte) string {
	for _, k := range kinds {
		if strings.HasPrefix(string(b[:min(len(b), len(k.prefix))]), k.prefix) {
			return k.kind
		}
	}
	switch {
	case len(b) == 0:
		return "empty"
	case utf8.Valid(b):
		return "some other text"
	}
	return "some other file"
}
