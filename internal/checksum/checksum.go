// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package checksum guards a file of state against damage: it begins with a line that
// says what it is, and ends with SHA-256 of all before. A writer of the file can write
// the sum, too, so the sum does not say who wrote the file.
package checksum

import (
	"crypto/sha256"
	"errors"
	"strings"
)

// Errors of [Cut].
var (
	ErrMagic   = errors.New("it has the layout of another version")
	ErrDamaged = errors.New("it is damaged")
)

// Append appends the SHA-256 of b from a place on.
func Append(b []byte, from int) []byte {
	sum := sha256.Sum256(b[from:])
	return append(b, sum[:]...)
}

// Cut returns what stands between the magic line and the sum.
func Cut(b []byte, magic string) ([]byte, error) {
	if len(b) < len(magic)+sha256.Size || !strings.HasPrefix(string(b[:len(magic)]), magic) {
		return nil, ErrMagic
	}
	body := b[:len(b)-sha256.Size]
	if sha256.Sum256(body) != [sha256.Size]byte(b[len(body):]) {
		return nil, ErrDamaged
	}
	return body[len(magic):], nil
}
