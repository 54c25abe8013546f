// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package escrow

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"

	"github.com/cloudflare/circl/dh/x25519"
	"github.com/cloudflare/circl/kem"
	"github.com/cloudflare/circl/kem/xwing"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/vasistas/vasistas/log/event"
)

// A trial tries a secret key on a ciphertext that is most likely another key's. circl has X25519 and
// ML-KEM in assembly on amd64, and the key schedule (RFC 9180, section 5.1) allocates nothing: a trial
// takes 0.62 of crypto/hpke's time with X25519, and 0.41 with the hybrid. crypto/hpke then opens again
// what a trial has opened.
type trial struct {
	suite   string         // the beginning of a label: version and suite_id
	context [1 + 32]byte   // the beginning of the key schedule's context: base mode and psk_id_hash
	public  [32]byte       // only with X25519
	private x25519.Key     // only with X25519
	hybrid  kem.PrivateKey // nil with X25519
}

const kemSuite = "HPKE-v1KEM\x00\x20" // DHKEM(X25519, HKDF-SHA256)

// newTrial returns the trial of a key pair, in crypto/hpke's encoding.
func newTrial(k event.HPKEKey, private []byte) (*trial, error) {
	t := &trial{suite: "HPKE-v1HPKE\x00\x20\x00\x01\x00\x03"} // KEM, HKDF-SHA256, ChaCha20-Poly1305
	if k.KEM == event.KEMMLKEMX25519 {
		t.suite = "HPKE-v1HPKE\x64\x7a\x00\x01\x00\x03"
		var err error
		if t.hybrid, err = xwing.Scheme().UnmarshalBinaryPrivateKey(private); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrKey, err)
		}
		t.hybrid.Public() // the first call computes the X25519 part, without a lock
	} else {
		t.public, t.private = [32]byte(k.Public), x25519.Key(private)
	}
	none := extract([32]byte{}, t.suite+"psk_id_hash", nil)
	copy(t.context[1:], none[:])
	return t, nil
}

// opens reports whether a ciphertext opens. With the hybrid, crypto/hpke refuses some of these
// ciphertexts: those whose X25519 part has low order.
func (t *trial) opens(info, sealed []byte) bool {
	n := x25519.Size
	if t.hybrid != nil {
		n = xwing.CiphertextSize
	}
	if len(sealed) < n {
		return false
	}
	secret, ok := t.decap(sealed[:n])
	if !ok {
		return false
	}
	hash := extract([32]byte{}, t.suite+"info_hash", info)
	context := append(t.context[:len(t.context):len(t.context)], hash[:]...)
	prk := extract(secret, t.suite+"secret", nil)
	key := expand(prk, t.suite+"key", context, chacha20poly1305.KeySize)
	nonce := expand(prk, t.suite+"base_nonce", context, chacha20poly1305.NonceSize)
	aead, err := chacha20poly1305.New(key[:])
	if err != nil {
		return false
	}
	plain := plains.Get().(*[]byte)
	defer plains.Put(plain)
	*plain = slices.Grow((*plain)[:0], len(sealed)-n)
	out, err := aead.Open(*plain, nonce[:chacha20poly1305.NonceSize], sealed[n:], nil)
	clear(out)
	return err == nil
}

// plains has the buffers that trials decrypt into and clear.
var plains = sync.Pool{New: func() any { return new([]byte) }}

// decap returns the shared secret of an encapsulated key (RFC 9180, section 4.1; X-Wing has no HKDF).
func (t *trial) decap(enc []byte) (secret [32]byte, ok bool) {
	if t.hybrid != nil {
		s, err := t.hybrid.Scheme().Decapsulate(t.hybrid, enc)
		if err != nil {
			return secret, false
		}
		return [32]byte(s), true
	}
	var dh x25519.Key
	if pub := x25519.Key(enc); !x25519.Shared(&dh, &t.private, &pub) {
		return secret, false
	}
	var both [64]byte
	copy(both[copy(both[:], enc):], t.public[:])
	return expand(extract([32]byte{}, kemSuite+"eae_prk", dh[:]), kemSuite+"shared_secret", both[:], 32), true
}

// extract is LabeledExtract (RFC 9180, section 4). The label begins with version and suite.
func extract(salt [32]byte, label string, ikm []byte) [32]byte {
	var b [256]byte
	return hmac(salt, append(append(b[:64], label...), ikm...))
}

// expand is LabeledExpand of n bytes, at most 32.
func expand(prk [32]byte, label string, info []byte, n byte) [32]byte {
	var b [256]byte
	return hmac(prk, append(append(append(append(b[:64], 0, n), label...), info...), 1))
}

// hmac is HMAC-SHA256 (RFC 2104) of b[64:]. It overwrites b[:64].
func hmac(key [32]byte, b []byte) [32]byte {
	var outer [64 + 32]byte
	copy(b, key[:])
	copy(outer[:], key[:])
	for i := range 64 {
		b[i] ^= 0x36
		outer[i] ^= 0x5c
	}
	inner := sha256.Sum256(b)
	copy(outer[64:], inner[:])
	return sha256.Sum256(outer[:])
}
