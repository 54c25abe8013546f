// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package scan

import (
	"bytes"
	"crypto/sha256"
	"testing"
)

// A state has one encoding. The sum is mended here, or nothing else were ever reached.
func FuzzState(f *testing.F) {
	s := &state{Seed: "00", Notices: 3, Breaches: []breach{{1, "role", "text"}}, BreachCount: 1,
		Found: []*found{{Disclosure: 7, DigestText: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", Event: reference{1, make([]byte, 32)}, Period: "2026-01", Error: "none"}}}
	b, err := s.bytes([]byte("snapshot"))
	if err != nil {
		f.Fatal(err)
	}
	if _, _, err := parseState(b); err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(magic + "{}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n := len(b) - sha256.Size; n > 0 {
			sum := sha256.Sum256(b[:n])
			copy(b[n:], sum[:])
		}
		s, snapshot, err := parseState(b)
		if err != nil {
			return
		}
		again, err := s.bytes(snapshot)
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%q, then %q, %v", b, again, err)
		}
	})
}
