// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package weakkey

import (
	"crypto/ed25519"
	"encoding/binary"
	"testing"
)

// Under a key of small order a signature can be made without a private key;
// the test makes one, so it shows that the refusal is needed.
func TestEd25519(t *testing.T) {
	refused := func(key [32]byte) bool { return Ed25519(key[:]) }
	for _, y := range smallOrder {
		forged := false
		for i := range uint16(2000) {
			msg := binary.BigEndian.AppendUint16(nil, i)
			for _, r := range smallOrder {
				var sig [64]byte // R of small order, S = 0
				copy(sig[:], r[:])
				forged = forged || ed25519.Verify(y[:], msg, sig[:])
			}
		}
		if !forged {
			t.Errorf("%x does not have small order", y)
		}
		signed := y
		signed[31] |= 0x80
		if !refused(y) || !refused(signed) {
			t.Errorf("%x is accepted", y)
		}
	}
	for low := 0xed; low <= 0xff; low++ { // p to 2^255-1: second spellings
		key := smallOrder[2]
		key[0] = byte(low)
		signed := key
		signed[31] |= 0x80
		if !refused(key) || !refused(signed) {
			t.Errorf("%x is accepted", key)
		}
	}
	last := smallOrder[2]
	last[0] = 0xeb // p-2: canonical
	if refused(last) {
		t.Errorf("%x is refused", last)
	}
}
