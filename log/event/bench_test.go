// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"crypto/ed25519"
	"testing"
)

// benchSubmission is a warrant of about 1 KiB, with its seals and some decoys, and its openings.
func benchSubmission(b *testing.B) *Submission {
	b.Helper()
	e := sample(b, sampleBodies()[1])
	public, subject := sampleOpenings(b, e)
	for range 8 {
		public = append(public, Decoy())
	}
	if err := e.Seal(e.Sealed.Until, public, subject); err != nil {
		b.Fatal(err)
	}
	env, err := Sign(e, edSigner("judge"))
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("payload %d bytes, entry %d bytes", len(env.Payload), len(env.Bytes()))
	return &Submission{Envelope: env, Openings: public}
}

func benchWarrant(b *testing.B) *Envelope { return benchSubmission(b).Envelope }

func BenchmarkParseSubmission(b *testing.B) {
	in, err := benchSubmission(b).Bytes()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		if _, err := ParseSubmission(in); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpenings matches and encodes openings, as a log does for its vault.
func BenchmarkOpenings(b *testing.B) {
	s := benchSubmission(b)
	in, err := s.Bytes()
	if err == nil {
		s, err = ParseSubmission(in)
	}
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Complete(); err != nil {
			b.Fatal(err)
		}
		if _, _, err := s.OpeningsFile(s.Envelope.Hash()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseEnvelope(b *testing.B) {
	entry := benchWarrant(b).Bytes()
	b.ReportAllocs()
	b.SetBytes(int64(len(entry)))
	for b.Loop() {
		if _, err := ParseEnvelope(entry); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	env := benchWarrant(b)
	keys := lookup(edSigner("judge"))
	b.ReportAllocs()
	for b.Loop() {
		if err := env.Verify(keys); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEd25519 measures a lower bound for Verify.
func BenchmarkEd25519(b *testing.B) {
	env := benchWarrant(b)
	key := edSigner("judge").Public().ed
	pae := AppendPAE(nil, PayloadType, env.Payload)
	for b.Loop() {
		if !ed25519.Verify(key, pae, env.Signatures[0].Sig) {
			b.Fatal("bad")
		}
	}
}

func BenchmarkSign(b *testing.B) {
	ev := benchWarrant(b).Event
	s := edSigner("judge")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Sign(ev, s); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBytesAndHashes(b *testing.B) {
	env := benchWarrant(b)
	b.ReportAllocs()
	for b.Loop() {
		env.LeafHash()
		env.Hash()
	}
}
