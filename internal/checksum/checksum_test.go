// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package checksum_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/vasistas/vasistas/internal/checksum"
)

// A file that differs in a bit or in length is refused, and Cut returns the guarded
// bytes.
func TestCut(t *testing.T) {
	const magic = "test file 1\n"
	good := checksum.Append([]byte(magic+"body"), 0)
	if body, err := checksum.Cut(good, magic); err != nil || string(body) != "body" {
		t.Fatalf("%q, %v", body, err)
	}
	if inner := checksum.Append([]byte("outer "+magic), 6); len(inner) != 6+len(magic)+32 {
		t.Errorf("%d bytes", len(inner))
	} else if body, err := checksum.Cut(inner[6:], magic); err != nil || len(body) != 0 {
		t.Errorf("%q, %v", body, err)
	}
	for i := range 8 * len(good) {
		bad := bytes.Clone(good)
		bad[i/8] ^= 1 << (i % 8)
		want := checksum.ErrDamaged
		if i/8 < len(magic) {
			want = checksum.ErrMagic
		}
		if _, err := checksum.Cut(bad, magic); !errors.Is(err, want) {
			t.Errorf("bit %d: %v, want %v", i, err, want)
		}
	}
	for n := range len(good) {
		if _, err := checksum.Cut(good[:n], magic); err == nil {
			t.Errorf("the first %d bytes are taken for all", n)
		}
	}
	if _, err := checksum.Cut(append(bytes.Clone(good), 0), magic); err == nil {
		t.Error("a byte too many")
	}
}
