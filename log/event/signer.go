// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
)

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
	return &keySigner{key, public}, nil
}

type keySigner struct {
	key    crypto.Signer
	public *PublicKey
}

var _ Signer = (*keySigner)(nil)

// String and GoString name the key, so that no message leaks the private key.
func (s keySigner) String() string   { return "signer " + s.public.id }
func (s keySigner) GoString() string { return s.String() }

func (s *keySigner) KeyID() string      { return s.public.id }
func (s *keySigner) Public() *PublicKey { return s.public }

func (s *keySigner) Sign(msg []byte) ([]byte, error) {
	digest, opts := msg, crypto.SignerOpts(crypto.Hash(0))
	if s.public.ec != nil {
		h := sha256.Sum256(msg)
		digest, opts = h[:], crypto.SHA256
	}
	sig, err := s.key.Sign(rand.Reader, digest, opts)
	if err != nil {
		return nil, fmt.Errorf("event: signing: %w", err)
	}
	return s.public.Normalize(msg, sig)
}

// Normalize turns a key store's signature of msg into one that Verify accepts: an
// ECDSA signature gets its low S. It verifies the result.
func (k *PublicKey) Normalize(msg, sig []byte) ([]byte, error) {
	if k.ec != nil {
		r, s, ok := splitDER(sig)
		if !ok {
			return nil, fmt.Errorf("%w: key store returned no DER signature", ErrBadSignature)
		}
		if !lowS(s) {
			n := k.ec.Curve.Params().N
			s = new(big.Int).Sub(n, new(big.Int).SetBytes(s)).Bytes()
			sig = joinDER(r, s)
		}
	}
	if err := k.Verify(msg, sig); err != nil {
		return nil, fmt.Errorf("event: key store's signature: %w", err)
	}
	return sig, nil
}

func joinDER(r, s []byte) []byte {
	var body []byte
	for _, n := range [][]byte{r, s} {
		if len(n) == 0 || n[0]&0x80 != 0 {
			n = append([]byte{0}, n...)
		}
		body = append(append(body, 0x02, byte(len(n))), n...)
	}
	return append([]byte{0x30, byte(len(body))}, body...)
}

// Sign validates the event and signs it with every signer.
func Sign(ev *Event, signers ...Signer) (*Envelope, error) {
	if len(signers) == 0 {
		return nil, errors.New("event: no signer is given")
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
