// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package checksum detects damage of a state file, which begins with a magic line and
// ends with the SHA-256 of everything before. The sum doesn't detect forgery: any
// writer of the file can compute it.
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

// Append appends the SHA-256 of b[from:] to b.
func Append(b []byte, from int) []byte {
	sum := sha256.Sum256(b[from:])
	return append(b, sum[:]...)
}

// Cut checks the magic line and the sum, and returns the bytes between them.
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
