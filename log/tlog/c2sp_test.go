// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
)

const testOrigin = "log.example/first"

// testSigner makes the same key for the same name in every run.
func testSigner(t testing.TB, name string, a Algorithm) *Signer {
	t.Helper()
	s, err := NewSigner(name, a, sha256.Sum256([]byte(name+a.String())))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func testHead() Head {
	return Head{Origin: testOrigin, Size: 20852163, Root: sha256.Sum256([]byte("root"))}
}

func testHashes(n int) []Hash {
	hashes := make([]Hash, n)
	for i := range hashes {
		hashes[i] = sha256.Sum256([]byte{byte(i), byte(i >> 8)})
	}
	return hashes
}

// sign returns h signed by each signer in turn, the i-th at time 1000+i.
func sign(t testing.TB, h Head, signers ...*Signer) *Checkpoint {
	t.Helper()
	c := &Checkpoint{Head: h}
	for i, s := range signers {
		sig, err := s.Sign(&h, 1000+uint64(i))
		if err != nil {
			t.Fatal(err)
		}
		c.Signatures = append(c.Signatures, sig)
	}
	return c
}

func testCheckpoint(t testing.TB) *Checkpoint {
	t.Helper()
	return sign(t, testHead(),
		testSigner(t, testOrigin, Ed25519),
		testSigner(t, testOrigin, CosignatureMLDSA44),
		testSigner(t, "witness.example/w1", CosignatureEd25519))
}

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// badCase is an input that a parser must refuse, for the reason it gives.
type badCase struct {
	name string
	in   string
	want string // part of the error
}

func checkBad[T any](t *testing.T, parse func([]byte) (T, error), cases []badCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := parse([]byte(c.in))
			if err == nil {
				t.Fatalf("accepted %.200q", c.in)
			}
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("the error is not ErrMalformed: %v", err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q, want it to say %q", err, c.want)
			}
		})
	}
}

// swap replaces the first old in s, and there must be one.
func swap(t testing.TB, s, old, new string) string {
	t.Helper()
	if old == new || !strings.Contains(s, old) {
		t.Fatalf("no %q to replace in %.100q", old, s)
	}
	return strings.Replace(s, old, new, 1)
}

// encoder is what every parser of this package returns.
type encoder interface{ Bytes() []byte }

func checkRoundTrip[T encoder](t testing.TB, parse func([]byte) (T, error), in string) T {
	t.Helper()
	v, err := parse([]byte(in))
	if err != nil {
		t.Fatalf("refused %.200q: %v", in, err)
	}
	if got := string(v.Bytes()); got != in {
		t.Fatalf("parsed %q\nand wrote %q", in, got)
	}
	return v
}
