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
	"crypto/sha256"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"

	"github.com/vasistas/vasistas/internal/edverify"
	"github.com/vasistas/vasistas/internal/weakkey"
)

// Errors of keys and signatures.
var (
	ErrBadKey        = errors.New("not an Ed25519 or ECDSA P-256 public key in its one encoding")
	ErrUnknownSigner = errors.New("signed by an unknown key")
	ErrBadSignature  = errors.New("signature does not verify")
)

// SubjectPublicKeyInfo of both algorithms is a constant and the key, in the
// encoding of x509.MarshalPKIXPublicKey (RFC 8410; RFC 5480 with the
// uncompressed point). Comparing the constant is stricter than any DER
// parser, and avoids crypto/x509, which links package net.
var (
	spkiEd25519 = []byte{0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00}
	spkiP256    = []byte{0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
		0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00}
)

const maxSPKI = 91 // a P-256 key's

// A PublicKey is an Ed25519 or ECDSA P-256 event key. It is immutable and
// safe for concurrent use.
type PublicKey struct {
	spki []byte
	id   string
	ed   ed25519.PublicKey // nil: ECDSA
	ec   *ecdsa.PublicKey  // nil: Ed25519
}

// ParsePublicKey reads a DER SubjectPublicKeyInfo in its one encoding.
func ParsePublicKey(spki []byte) (*PublicKey, error) {
	spki = bytes.Clone(spki)
	ed, ec, err := parseSPKI(spki)
	if err != nil {
		return nil, err
	}
	h := sha256.Sum256(spki)
	return &PublicKey{spki: spki, id: hex.EncodeToString(h[:]), ed: ed, ec: ec}, nil
}

// parseSPKI returns one of the two keys. An Ed25519 key shares memory with spki.
func parseSPKI(spki []byte) (ed25519.PublicKey, *ecdsa.PublicKey, error) {
	if raw, ok := bytes.CutPrefix(spki, spkiEd25519); ok && len(raw) == ed25519.PublicKeySize {
		if weakkey.Ed25519(raw) {
			return nil, nil, fmt.Errorf("%w: the Ed25519 key has small order or is not canonical, so others can sign under it", ErrBadKey)
		}
		return raw, nil, nil
	}
	if point, ok := bytes.CutPrefix(spki, spkiP256); ok {
		ec, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", ErrBadKey, err)
		}
		return nil, ec, nil
	}
	return nil, nil, ErrBadKey
}

// NewPublicKey takes an ed25519.PublicKey or a P-256 *ecdsa.PublicKey.
func NewPublicKey(key any) (*PublicKey, error) {
	switch key := key.(type) {
	case ed25519.PublicKey:
		return ParsePublicKey(append(bytes.Clone(spkiEd25519), key...))
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() {
			return nil, fmt.Errorf("%w: curve is not P-256", ErrBadKey)
		}
		point, err := key.Bytes()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBadKey, err)
		}
		return ParsePublicKey(append(bytes.Clone(spkiP256), point...))
	}
	return nil, fmt.Errorf("%w: it is a %T", ErrBadKey, key)
}

const pemType = "PUBLIC KEY"

// ParsePublicKeyPEM reads one PEM block of type PUBLIC KEY, without headers
// and with nothing before or after it: exactly what PEM writes.
func ParsePublicKeyPEM(b []byte) (*PublicKey, error) {
	if len(b) > 512 {
		return nil, fmt.Errorf("%w: PEM is too long", ErrBadKey)
	}
	block, rest := pem.Decode(b)
	if block == nil || block.Type != pemType || len(block.Headers) > 0 || len(rest) > 0 {
		return nil, fmt.Errorf("%w: want exactly one PEM block %q", ErrBadKey, pemType)
	}
	k, err := ParsePublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(k.PEM(), b) {
		return nil, fmt.Errorf("%w: PEM has another layout than RFC 7468, section 3", ErrBadKey)
	}
	return k, nil
}

// PEM returns the key as a PEM block of type PUBLIC KEY.
func (k *PublicKey) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: k.spki})
}

// SPKI returns a copy of the DER SubjectPublicKeyInfo.
func (k *PublicKey) SPKI() []byte { return bytes.Clone(k.spki) }

// String returns the key ID.
func (k *PublicKey) String() string { return k.id }

// KeyID returns the hex SHA-256 of the SubjectPublicKeyInfo.
func (k *PublicKey) KeyID() string { return k.id }

// Equal reports whether both are the same key.
func (k *PublicKey) Equal(o *PublicKey) bool {
	return k == o || k != nil && o != nil && bytes.Equal(k.spki, o.spki)
}

// raw returns the key without its SubjectPublicKeyInfo, to compare it with keys in
// other encodings.
func (k *PublicKey) raw() []byte {
	if k.ed != nil {
		return k.ed
	}
	return k.spki[len(spkiP256):]
}

// Verify checks a signature over msg as crypto/ed25519.Verify or, over
// SHA-256 of msg, ecdsa.VerifyASN1 does; an ECDSA signature must also have a
// low S, so that each has only one form. The error is or wraps ErrBadSignature.
func (k *PublicKey) Verify(msg, sig []byte) error {
	if k.ed != nil {
		if len(sig) != ed25519.SignatureSize || !edverify.Verify(k.ed, msg, sig) {
			return ErrBadSignature
		}
		return nil
	}
	var ints rs
	if _, err := asn1.Unmarshal(sig, &ints); err != nil {
		return fmt.Errorf("%w: not DER", ErrBadSignature)
	}
	if ints.S.Cmp(halfN) > 0 {
		return fmt.Errorf("%w: S is not low", ErrBadSignature)
	}
	h := sha256.Sum256(msg)
	if !ecdsa.VerifyASN1(k.ec, h[:], sig) { // VerifyASN1 refuses a second encoding, too
		return ErrBadSignature
	}
	return nil
}

// rs is an ECDSA signature.
type rs struct{ R, S *big.Int }

// halfN is (n-1)/2 for the order n of P-256.
var halfN = new(big.Int).Rsh(elliptic.P256().Params().N, 1)

// A Signer holds an event key, in memory or in an HSM or KMS.
type Signer interface {
	KeyID() string
	Public() *PublicKey
	Sign(msg []byte) ([]byte, error) // a signature that PublicKey.Verify accepts
}

// NewSigner makes a Signer of a standard library key: an ed25519.PrivateKey,
// a P-256 *ecdsa.PrivateKey, or any crypto.Signer with such a public key.
func NewSigner(key crypto.Signer) (Signer, error) {
	public, err := NewPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	return SignerOf(public, func(msg []byte) ([]byte, error) {
		digest, opts := msg, crypto.SignerOpts(crypto.Hash(0))
		if public.ec != nil {
			h := sha256.Sum256(msg)
			digest, opts = h[:], crypto.SHA256
		}
		sig, err := key.Sign(rand.Reader, digest, opts)
		if err != nil {
			return nil, fmt.Errorf("signing: %w", err)
		}
		return sig, nil
	}), nil
}

// SignerOf makes a Signer of a key store's sign. [PublicKey.Normalize] normalizes the signatures.
func SignerOf(public *PublicKey, sign func(msg []byte) ([]byte, error)) Signer {
	return &signer{public, sign}
}

type signer struct {
	public *PublicKey
	sign   func(msg []byte) ([]byte, error)
}

// String and GoString name the key, so that no message leaks the private key.
func (s signer) String() string   { return "signer " + s.public.id }
func (s signer) GoString() string { return s.String() }

func (s *signer) KeyID() string      { return s.public.id }
func (s *signer) Public() *PublicKey { return s.public }

func (s *signer) Sign(msg []byte) ([]byte, error) {
	sig, err := s.sign(msg)
	if err != nil {
		return nil, err
	}
	return s.public.Normalize(msg, sig)
}

// Normalize turns a key store's signature of msg into one that Verify accepts: an
// ECDSA signature gets its low S. It verifies the result.
func (k *PublicKey) Normalize(msg, sig []byte) ([]byte, error) {
	if k.ec != nil {
		ints, ok := parseDER(sig)
		if !ok {
			return nil, fmt.Errorf("%w: key store returned no DER signature", ErrBadSignature)
		}
		if ints.S.Cmp(halfN) > 0 {
			ints.S.Sub(k.ec.Curve.Params().N, ints.S)
			var err error
			if sig, err = asn1.Marshal(ints); err != nil {
				return nil, err
			}
		}
	}
	if err := k.Verify(msg, sig); err != nil {
		return nil, fmt.Errorf("key store's signature: %w", err)
	}
	return sig, nil
}

// parseDER reads a signature. ok is false unless sig is the one encoding of ints.
func parseDER(sig []byte) (ints rs, ok bool) {
	if _, err := asn1.Unmarshal(sig, &ints); err != nil {
		return ints, false
	}
	again, err := asn1.Marshal(ints)
	return ints, err == nil && bytes.Equal(again, sig)
}

// Sign validates the event and signs it with every signer.
func Sign(ev *Event, signers ...Signer) (*Envelope, error) {
	if len(signers) == 0 {
		return nil, errors.New("no signer is given")
	}
	payload, err := ev.Bytes()
	if err != nil {
		return nil, err
	}
	// Sign the event as a reader parses it, apart from what the caller may change.
	parsed, err := Parse(payload)
	if err != nil {
		return nil, err
	}
	env := &Envelope{Event: parsed, Payload: payload}
	for _, s := range signers {
		if env, err = env.AddSignature(s); err != nil {
			return nil, err
		}
	}
	return env, nil
}
