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
	var heads [2]*Checkpoint // in turns: keys remember the last lines that verified
	for i := range heads {
		heads[i] = sign(b, Head{Origin: "l1", Size: uint64(1 + i)}, testSigner(b, "l1", Ed25519), testSigner(b, "w1", CosignatureEd25519),
			testSigner(b, "w2", CosignatureEd25519), testSigner(b, "w3", CosignatureEd25519))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i ^= 1 {
		if _, err := p.Verify(heads[i], ""); err != nil {
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
		// In turns: a key remembers the last line that verified.
		var heads [2]Head
		var sigs [2]Signature
		for i := range heads {
			heads[i] = h
			heads[i].Size += uint64(i)
			var err error
			if sigs[i], err = s.Sign(&heads[i], 1); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(a.String(), func(b *testing.B) {
			for i := 0; b.Loop(); i ^= 1 {
				if _, err := s.Verifier().Verify(&heads[i], &sigs[i]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
