// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package escrow

import (
	"fmt"

	circl "github.com/cloudflare/circl/hpke"
	"github.com/cloudflare/circl/kem"

	"github.com/vasistas/vasistas/log/event"
)

// A trial tries a secret key on a ciphertext that is most likely another key's. It uses
// circl's HPKE, which has X25519 and ML-KEM in assembly on amd64: there a trial takes three
// quarters of crypto/hpke's time with X25519, and half with the hybrid.
type trial struct {
	suite circl.Suite
	key   kem.PrivateKey
}

// newTrial returns the trial of a private key, in crypto/hpke's encoding.
func newTrial(k event.KEM, private []byte) (*trial, error) {
	id := circl.KEM_X25519_HKDF_SHA256
	if k == event.KEMMLKEMX25519 {
		id = circl.KEM_XWING
	}
	key, err := id.Scheme().UnmarshalBinaryPrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	key.Public() // circl computes X25519's at the first call, without a lock
	return &trial{circl.NewSuite(id, circl.KDF_HKDF_SHA256, circl.AEAD_ChaCha20Poly1305), key}, nil
}

// opens reports whether a ciphertext opens. With the hybrid, crypto/hpke refuses some that
// do: those whose X25519 part has low order.
func (t *trial) opens(info, sealed []byte) bool {
	n := t.key.Scheme().CiphertextSize()
	if len(sealed) < n {
		return false
	}
	r, err := t.suite.NewReceiver(t.key, info)
	if err != nil {
		return false
	}
	o, err := r.Setup(sealed[:n])
	if err != nil {
		return false
	}
	_, err = o.Open(sealed[n:], nil)
	return err == nil
}
