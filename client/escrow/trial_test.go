// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package escrow

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	mathrand "math/rand/v2"
	"sync"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/vasistas/vasistas/log/event"
)

// FuzzTrial compares trials with crypto/hpke, on ciphertexts for the key and for another key,
// and on ciphertexts with a flipped bit, cut or extended.
func FuzzTrial(f *testing.F) {
	for seed := range uint64(50) {
		f.Add(seed, []byte("plaintext"))
	}
	f.Fuzz(func(t *testing.T, seed uint64, plain []byte) {
		r := mathrand.New(mathrand.NewPCG(seed, 1))
		for _, kem := range []event.KEM{event.KEMX25519, event.KEMMLKEMX25519} {
			var keys [2]*SecretKey
			for i := range keys {
				k, err := GenerateKey(kem)
				if err != nil {
					t.Fatal(err)
				}
				keys[i] = k
			}
			sealed, err := seal(keys[seed%2].Public(), []byte("info"), plain)
			if err != nil {
				t.Fatal(err)
			}
			same(t, keys[0], []byte("info"), sealed, seed%2 == 0)
			same(t, keys[0], []byte("another"), sealed, false)
			for range 4 {
				bad := bytes.Clone(sealed)
				bad[r.IntN(len(bad))] ^= 1 << r.IntN(8)
				same(t, keys[0], []byte("info"), bad, false)
			}
			same(t, keys[0], []byte("info"), sealed[:r.IntN(len(sealed))], false)
			same(t, keys[0], []byte("info"), append(sealed, byte(seed)), false)
		}
	})
}

func same(t *testing.T, k *SecretKey, info, sealed []byte, want bool) {
	t.Helper()
	_, err := k.Open(ForSubject, info, sealed)
	if opens := k.trial.opens(info, sealed); (err == nil) != want || opens != want {
		t.Fatalf("crypto/hpke: %v, trial: %v, want %v", err, opens, want)
	}
}

// TestTrialsAtOnce: the first trials of a key may run at once.
func TestTrialsAtOnce(t *testing.T) {
	for _, kem := range []event.KEM{event.KEMX25519, event.KEMMLKEMX25519} {
		for range 20 {
			k, err := GenerateKey(kem)
			if err != nil {
				t.Fatal(err)
			}
			sealed, err := seal(k.Public(), nil, []byte("plain"))
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					if !k.trial.opens(nil, sealed) {
						t.Error("the key's own ciphertext does not open")
					}
				})
			}
			wg.Wait()
		}
	}
}

// TestTrialSpellings checks that a trial opens what crypto/hpke opens if the encapsulated
// X25519 key has an unusual spelling: the highest bit is set, or it is p or more. Neither
// package makes such ciphertexts, so the test makes them by RFC 9180.
func TestTrialSpellings(t *testing.T) {
	k, err := GenerateKey(event.KEMX25519)
	if err != nil {
		t.Fatal(err)
	}
	private, err := k.key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	own, err := ecdh.X25519().NewPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	high := bytes.Repeat([]byte{0xff}, 32) // 2^255-1 = p+18; the loop sets the highest bit
	high[31] = 0x7f
	encs := [][]byte{high}
	for i := range byte(19) { // p+i is another spelling of i
		e := bytes.Clone(high)
		e[0] = 0xed + i
		encs = append(encs, e)
	}
	for range 50 {
		e := make([]byte, 32)
		rand.Read(e)
		encs = append(encs, e)
	}
	opened := 0
	for _, e := range encs {
		for _, top := range []byte{0, 0x80} {
			enc := bytes.Clone(e)
			enc[31] = enc[31]&0x7f | top
			pub, err := ecdh.X25519().NewPublicKey(enc)
			if err != nil {
				t.Fatal(err)
			}
			dh, err := own.ECDH(pub)
			if err != nil {
				dh = make([]byte, 32) // of low order: both refuse it
			}
			sealed := sealRFC(t, dh, enc, k.public.Public, []byte("info"), []byte("plain"))
			same(t, k, []byte("info"), sealed, err == nil)
			if err == nil {
				opened++
			}
		}
	}
	if opened < 100 {
		t.Errorf("only %d opened", opened)
	}
}

// sealRFC is RFC 9180's base mode (sections 4.1 and 5.1) from the DH value on, with
// DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and ChaCha20-Poly1305.
func sealRFC(t *testing.T, dh, enc, pkR, info, plain []byte) []byte {
	t.Helper()
	extract := func(suite string, salt []byte, label string, ikm []byte) []byte {
		out, err := hkdf.Extract(sha256.New, append([]byte("HPKE-v1"+suite+label), ikm...), salt)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	expand := func(suite string, prk []byte, label string, info []byte, n int) []byte {
		all := binary.BigEndian.AppendUint16(nil, uint16(n))
		all = append(append(all, "HPKE-v1"+suite+label...), info...)
		out, err := hkdf.Expand(sha256.New, prk, string(all), n)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	const kem, suite = "KEM\x00\x20", "HPKE\x00\x20\x00\x01\x00\x03"
	secret := expand(kem, extract(kem, nil, "eae_prk", dh), "shared_secret", append(bytes.Clone(enc), pkR...), 32)
	context := append([]byte{0}, extract(suite, nil, "psk_id_hash", nil)...)
	context = append(context, extract(suite, nil, "info_hash", info)...)
	prk := extract(suite, secret, "secret", nil)
	aead, err := chacha20poly1305.New(expand(suite, prk, "key", context, 32))
	if err != nil {
		t.Fatal(err)
	}
	return aead.Seal(bytes.Clone(enc), expand(suite, prk, "base_nonce", context, 12), plain, nil)
}
