// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"slices"
	"testing"
)

func TestPublicKeyMatchesX509(t *testing.T) {
	for _, key := range []crypto.PublicKey{ed25519.PublicKey(edSigner("a").Public().ed), &ecKey("b").PublicKey} {
		k, err := NewPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		want, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(k.SPKI(), want) {
			t.Errorf("%s: SPKI\nhave %x\nwant %x", k, k.SPKI(), want)
		}
		if h := sha256.Sum256(want); k.KeyID() != hex.EncodeToString(h[:]) {
			t.Errorf("key id is %s", k.KeyID())
		}
		again, err := ParsePublicKeyPEM(k.PEM())
		if err != nil || !again.Equal(k) {
			t.Errorf("PEM: %v", err)
		}
		if k.Equal(nil) || k.Equal(edSigner("z").Public()) {
			t.Error("equal to another key")
		}
	}
}

func TestParsePublicKeyRefuses(t *testing.T) {
	ed, ec := edSigner("a").Public(), ecSigner("b").Public()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rsaDER, err := x509.MarshalPKIXPublicKey(&rsaKey.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384DER, err := x509.MarshalPKIXPublicKey(&p384.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	off := ec.SPKI()
	off[len(off)-1] ^= 1
	for name, der := range map[string][]byte{
		"empty": nil, "rsa": rsaDER, "p384": p384DER, "not on the curve": off,
		"trailing": append(ed.SPKI(), 0), "short": ed.SPKI()[:43], "x25519": append([]byte{0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x03, 0x21, 0x00}, ed.raw()...),
		"compressed": slices.Concat(spkiP256, []byte{2 + ec.raw()[64]&1}, ec.raw()[1:33]),
		"infinity":   append(bytes.Clone(spkiP256), 0),
	} {
		if _, err := ParsePublicKey(der); !errors.Is(err, ErrBadKey) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
	if _, err := NewPublicKey(&p384.PublicKey); !errors.Is(err, ErrBadKey) {
		t.Errorf("p384: error is %v", err)
	}
	if _, err := NewPublicKey(&rsaKey.PublicKey); !errors.Is(err, ErrBadKey) {
		t.Errorf("rsa: error is %v", err)
	}
	good := ed.PEM()
	block := func(b pem.Block) []byte { return pem.EncodeToMemory(&b) }
	for name, b := range map[string][]byte{
		"empty": nil, "wrong type": block(pem.Block{Type: "CERTIFICATE", Bytes: ed.SPKI()}),
		"private":       block(pem.Block{Type: "PRIVATE KEY", Bytes: ed.SPKI()}),
		"headers":       block(pem.Block{Type: pemType, Headers: map[string]string{"A": "b"}, Bytes: ed.SPKI()}),
		"trailing LF":   append(bytes.Clone(good), '\n'),
		"trailing data": append(bytes.Clone(good), "x"...),
		"leading data":  append([]byte("x\n"), good...),
		"leading LF":    append([]byte("\n"), good...),
		"two":           append(bytes.Clone(good), good...),
		"crlf":          bytes.ReplaceAll(good, []byte("\n"), []byte("\r\n")),
		"no last LF":    bytes.TrimSuffix(good, []byte("\n")),
		"short lines":   append(append(bytes.Clone(good[:40]), '\n'), good[40:]...),
		"huge":          append(bytes.Clone(good), make([]byte, 10000)...),
	} {
		if _, err := ParsePublicKeyPEM(b); !errors.Is(err, ErrBadKey) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

func derSig(r, s *big.Int) []byte {
	b, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
	if err != nil {
		panic(err)
	}
	return b
}

func TestECDSASignatures(t *testing.T) {
	key, n := ecKey("b"), elliptic.P256().Params().N
	k := ecSigner("b").Public()
	msg := []byte("message")
	h := sha256.Sum256(msg)
	high, low := 0, 0
	for high < 20 || low < 20 {
		sig, err := ecdsa.SignASN1(rand.Reader, key, h[:])
		if err != nil {
			t.Fatal(err)
		}
		var rs struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(sig, &rs); err != nil {
			t.Fatal(err)
		}
		isHigh := rs.S.Cmp(new(big.Int).Rsh(n, 1)) > 0
		err = k.Verify(msg, sig)
		if isHigh {
			high++
			if !errors.Is(err, ErrBadSignature) {
				t.Fatalf("high S: error is %v", err)
			}
		} else if low++; err != nil {
			t.Fatalf("low S: error is %v", err)
		}
		normal, err := k.Normalize(msg, sig)
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Verify(msg, normal); err != nil {
			t.Fatal(err)
		}
		if !isHigh && !bytes.Equal(normal, sig) {
			t.Fatal("a low S was changed")
		}
		if other := derSig(rs.R, new(big.Int).Sub(n, rs.S)); isHigh && !bytes.Equal(normal, other) {
			t.Fatalf("DER differs from encoding/asn1's:\n%x\n%x", normal, other)
		}
	}
}

func TestECDSADER(t *testing.T) {
	k, msg := ecSigner("b").Public(), []byte("message")
	sig, err := ecSigner("b").Sign(msg)
	if err != nil {
		t.Fatal(err)
	}
	ints, ok := parseDER(sig)
	if !ok {
		t.Fatal("own signature is no DER")
	}
	r, s := ints.R.Bytes(), ints.S.Bytes()
	raw := make([]byte, 64)
	new(big.Int).SetBytes(r).FillBytes(raw[:32])
	new(big.Int).SetBytes(s).FillBytes(raw[32:])
	seq := func(body []byte) []byte { return append([]byte{0x30, byte(len(body))}, body...) }
	num := func(b ...byte) []byte { return append([]byte{2, byte(len(b))}, b...) }
	zeroed := func(b []byte) []byte { return append([]byte{0}, b...) }
	tlv := func(n []byte) []byte {
		if n[0]&0x80 != 0 {
			n = zeroed(n)
		}
		return num(n...)
	}
	wide := append([]byte{0x30, 0x81, byte(len(sig) - 2)}, sig[2:]...)
	for name, bad := range map[string][]byte{
		"empty": nil, "raw": raw, "trailing": append(bytes.Clone(sig), 0),
		"trailing inside":  seq(slices.Concat(tlv(r), tlv(s), []byte{0})),
		"third integer":    seq(slices.Concat(tlv(r), tlv(s), num(1))),
		"long form length": wide, "indefinite": append([]byte{0x30, 0x80}, append(bytes.Clone(sig[2:]), 0, 0)...),
		"padded r": seq(slices.Concat(num(append([]byte{0, 0}, r...)...), tlv(s))),
		"padded s": seq(slices.Concat(tlv(r), num(append([]byte{0, 0}, s...)...))),
		"zero r":   seq(slices.Concat(num(0), tlv(s))), "zero s": seq(slices.Concat(tlv(r), num(0))),
		"negative": seq(slices.Concat(tlv(r), num(0x80))), "no s": seq(tlv(r)),
		"empty integer": seq(slices.Concat(tlv(r), []byte{2, 0})),
		"r + n":         derSig(new(big.Int).Add(new(big.Int).SetBytes(r), elliptic.P256().Params().N), new(big.Int).SetBytes(s)),
		"set":           append([]byte{0x31}, sig[1:]...), "truncated": sig[:len(sig)-1],
	} {
		if err := k.Verify(msg, bad); !errors.Is(err, ErrBadSignature) {
			t.Errorf("%s: error is %v", name, err)
		}
		if _, err := k.Normalize(msg, bad); !errors.Is(err, ErrBadSignature) {
			t.Errorf("normalise %s: error is %v", name, err)
		}
	}
	// A high S with data after the integers is refused, too: it would not survive.
	ints.S.Sub(elliptic.P256().Params().N, ints.S)
	body := slices.Concat(tlv(r), tlv(ints.S.Bytes()))
	if _, err := k.Normalize(msg, seq(body)); err != nil {
		t.Errorf("normalise a high S: %v", err)
	}
	if _, err := k.Normalize(msg, seq(append(body, num(1)...))); !errors.Is(err, ErrBadSignature) {
		t.Errorf("normalise a high S with a third integer: error is %v", err)
	}
	half := []byte{
		0x7f, 0xff, 0xff, 0xff, 0x80, 0x00, 0x00, 0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xde, 0x73, 0x7d, 0x56, 0xd3, 0x8b, 0xcf, 0x42, 0x79, 0xdc, 0xe5, 0x61, 0x7e, 0x31, 0x92, 0xa8,
	}
	if !bytes.Equal(halfN.Bytes(), half) {
		t.Errorf("halfN is %x", halfN)
	}
}

// badKey signs another message than it is given.
type badKey struct{ ed25519.PrivateKey }

func (k badKey) Sign(r io.Reader, msg []byte, o crypto.SignerOpts) ([]byte, error) {
	return k.PrivateKey.Sign(r, append(msg, 'x'), o)
}

func TestSignerChecksItself(t *testing.T) {
	seed := hash("a")
	s, err := NewSigner(badKey{ed25519.NewKeyFromSeed(seed[:])})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sign([]byte("m")); !errors.Is(err, ErrBadSignature) {
		t.Errorf("error is %v", err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewSigner(rsaKey); !errors.Is(err, ErrBadKey) {
		t.Errorf("rsa: error is %v", err)
	}
}

// Anyone can sign under a key of small order; see internal/weakkey.
func TestWeakKeysAreRefused(t *testing.T) {
	if _, err := NewPublicKey(ed25519.PublicKey(make([]byte, 32))); !errors.Is(err, ErrBadKey) {
		t.Error(err)
	}
}
