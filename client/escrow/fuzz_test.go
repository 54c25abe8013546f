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

func FuzzRequest(f *testing.F) {
	r := testRequest(f)
	b, err := r.Bytes()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRequest(b)
		if err != nil {
			return
		}
		if again, err := r.Bytes(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("another encoding: %v", err)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add(testAnswer(f))
	signer := newCustodians(f, 1, 1).signers[0].Public()
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := parseAnswer(b)
		if err != nil {
			return
		}
		if again, err := encode(a); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("another encoding: %v", err)
		}
		msg, err := a.message()
		if err != nil || signer.Verify(msg, a.Signature.Sig) == nil {
			t.Fatalf("a stranger's signature: %v", err)
		}
	})
}

func FuzzNotice(f *testing.F) {
	b, err := testNotice(f).plaintext()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := parseNotice(b)
		if err != nil {
			return
		}
		if again, err := n.plaintext(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("another encoding: %v", err)
		}
	})
}

func FuzzNoticePart(f *testing.F) {
	b, err := encodeNoticePart(&NoticePart{newKey(f, event.KEMX25519).Public(), event.NewOpening(accountName, event.Text("a"))})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := decodeNoticePart(b)
		if err != nil {
			return
		}
		if again, err := encodeNoticePart(n); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("another encoding: %v", err)
		}
	})
}

func FuzzAddress(f *testing.F) {
	b, err := (&Address{Origin: "o", Group: "g", KEM: event.KEMX25519, Notice: newKey(f, event.KEMX25519).Public(), Account: "a"}).Bytes()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := ParseAddress(b)
		if err != nil {
			return
		}
		if again, err := a.Bytes(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("another encoding: %v", err)
		}
	})
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
		if s, err := ParseSeed(b); err == nil && !bytes.Equal(s.Bytes(), b) {
			t.Fatal("another encoding of a seed")
		}
		if k, err := ParsePublicKey(b); err == nil {
			if again, err := k.Bytes(); err != nil || !bytes.Equal(again, b) {
				t.Fatal("another encoding of a public key")
			}
		}
		if k, err := ParseSecretKey(b); err == nil {
			if again, err := k.Bytes(); err != nil || !bytes.Equal(again, b) {
				t.Fatal("another encoding of a key")
			}
		}
	})
}
