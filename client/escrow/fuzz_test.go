// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package escrow

import (
	"bytes"
	"testing"

	"github.com/vasistas/vasistas/log/event"
)

// Each fuzz target holds a parser to one encoding: what it accepts it writes again as
// it was.

// rewritten checks one input, and returns what was parsed.
func rewritten[T any](t *testing.T, b []byte, parse func([]byte) (T, error), write func(T) ([]byte, error)) (v T, ok bool) {
	v, err := parse(b)
	if err != nil {
		return v, false
	}
	if again, err := write(v); err != nil || !bytes.Equal(again, b) {
		t.Fatalf("another encoding of a %T: %v", v, err)
	}
	return v, true
}

func fuzz[T any](f *testing.F, seed T, parse func([]byte) (T, error), write func(T) ([]byte, error)) {
	b, err := write(seed)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) { rewritten(t, b, parse, write) })
}

func FuzzPackage(f *testing.F) {
	c := newCustodians(f, 2, 3)
	p, _ := c.wrapped(f, event.KEMX25519, newKey(f, event.KEMX25519).Public(), "ada@example.org")
	f.Add(p.Text())
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParsePackageText(b)
		if err != nil {
			return
		}
		if !bytes.Equal(p.Text(), b) {
			t.Fatal("another encoding")
		}
		if q, err := ParsePackage(p.Stanzas()); err != nil || q.Digest() != p.Digest() {
			t.Fatalf("its stanzas: %v", err)
		}
		g := c.group(t)
		for _, h := range c.holders {
			_, _ = p.OpenNotice(h[event.KEMX25519], g)
			_, _ = p.OpenShare(h[event.KEMX25519], g)
		}
	})
}

func FuzzRequest(f *testing.F) { fuzz(f, testRequest(f), parseRequest, (*Request).Bytes) }

func FuzzAnswer(f *testing.F) {
	f.Add(testAnswer(f))
	signer := newCustodians(f, 1, 1).signers[0].Public()
	f.Fuzz(func(t *testing.T, b []byte) {
		a, ok := rewritten(t, b, parseAnswer, func(a *answerText) ([]byte, error) { return encode(a) })
		if !ok {
			return
		}
		msg, err := a.message()
		if err != nil || signer.Verify(msg, a.Signature.Sig) == nil {
			t.Fatalf("a stranger's signature: %v", err)
		}
	})
}

func FuzzNotice(f *testing.F) { fuzz(f, testNotice(f), parseNotice, (*Notice).plaintext) }

func FuzzNoticePart(f *testing.F) {
	seed := &NoticePart{newKey(f, event.KEMX25519).Public(), event.NewOpening(accountName, event.Text("a"))}
	fuzz(f, seed, decodeNoticePart, encodeNoticePart)
}

func FuzzAddress(f *testing.F) {
	seed := &Address{Origin: "o", Group: "g", KEM: event.KEMX25519, Notice: newKey(f, event.KEMX25519).Public(), Account: "a"}
	fuzz(f, seed, ParseAddress, (*Address).Bytes)
}

func FuzzFiles(f *testing.F) {
	k, err := newKey(f, event.KEMX25519).Bytes()
	if err != nil {
		f.Fatal(err)
	}
	public, err := newKey(f, event.KEMX25519).Public().Bytes()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(k)
	f.Add(public)
	f.Add((&Seed{First: 2026 * 12}).Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		rewritten(t, b, ParseSeed, func(s *Seed) ([]byte, error) { return s.Bytes(), nil })
		rewritten(t, b, ParsePublicKey, event.HPKEKey.Bytes)
		rewritten(t, b, ParseSecretKey, (*SecretKey).Bytes)
	})
}
