// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"fmt"
	"testing"
)

func BenchmarkParseCheckpoint(b *testing.B) {
	in := sign(b, testHead(), testSigner(b, testOrigin, Ed25519), testSigner(b, "w1", CosignatureEd25519),
		testSigner(b, "w2", CosignatureEd25519), testSigner(b, "w3", CosignatureEd25519)).Bytes()
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseCheckpoint(in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseProof(b *testing.B) {
	for _, extra := range []int{0, 1 << 10, 48_000} {
		b.Run(fmt.Sprintf("extra=%d", extra), func(b *testing.B) {
			in := (&Proof{Extra: make([]byte, extra), Index: 7, Hashes: testHashes(20), Checkpoint: testCheckpoint(b)}).Bytes()
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseProof(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParsePolicy(b *testing.B) {
	text := []byte(policyText(b, examplePolicy))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParsePolicy(text); err != nil {
			b.Fatal(err)
		}
	}
}

// One log signature and three Ed25519 cosignatures.
func BenchmarkPolicyVerify(b *testing.B) {
	p := mustPolicy(b, "log {l1}\nwitness A {w1}\nwitness B {w2}\nwitness C {w3}\ngroup g 2 A B C\nquorum g\n")
	c := sign(b, Head{Origin: "l1", Size: 1}, testSigner(b, "l1", Ed25519), testSigner(b, "w1", CosignatureEd25519),
		testSigner(b, "w2", CosignatureEd25519), testSigner(b, "w3", CosignatureEd25519))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Verify(c, ""); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	h := testHead()
	for _, a := range algorithms {
		s := testSigner(b, "n", a)
		b.Run(a.String(), func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Sign(&h, 1); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	h := testHead()
	for _, a := range algorithms {
		s := testSigner(b, "n", a)
		sig, err := s.Sign(&h, 1)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(a.String(), func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Verifier().Verify(&h, &sig); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
