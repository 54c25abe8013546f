// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package edverify verifies Ed25519 signatures, and does so faster for keys that sign often.
//
// [Verify] has the verdict of crypto/ed25519.Verify on every input: the same equation
// without cofactor, the same encodings of keys, the same bound of S. Once a key has signed a few
// times, or [Expect] was called for it, a table has multiples of the key's point, and makes a check
// about two to three times as fast. Under other keys, crypto/ed25519 makes the check.
//
// Everything here is public, so nothing runs in constant time: no private key may come
// near the package.
package edverify

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha512"
	"hash/maphash"
	"math/rand/v2"
	"sync/atomic"

	"filippo.io/edwards25519"
)

// Verify reports whether sig is a valid signature of msg by key (RFC 8032, section 5.1.7,
// without cofactor). As crypto/ed25519.Verify does, it panics if key has not 32 bytes. It is
// safe for concurrent use.
func Verify(key ed25519.PublicKey, msg, sig []byte) bool { return shared.verify(key, msg, sig) }

// Expect makes a table for a key that will sign often, if there is room. Making one takes as long as
// four checks. Expect is safe for concurrent use.
func Expect(key ed25519.PublicKey) { shared.expect(key) }

var shared verifier

// A key gets a table for usesIfRoom valid signatures while there is room, and otherwise for
// usesIfFull. A table costs as much as four checks, and a small one as much as one. So tables that
// displace others cost at most 3 % of the checks, and a stream of fresh keys does not slow down the
// verifier.
const (
	usesIfRoom = 4
	usesIfFull = 128

	largeTables = 64
)

// A verifier remembers the tables of at most 1,024 keys, 5.7 MiB: largeTables of 52 KiB, and small
// ones of 2.5 KiB for the keys that come later. Its zero value is empty.
type verifier struct {
	// sets has the tables. A key's hash chooses its set, and a seed that is not known
	// chooses the hash: nothing directs fresh keys at the set of another key.
	sets  [128]set
	large atomic.Int32 // large tables that were begun
	// uses counts valid signatures of keys without a table: 24 bits of a key's hash, and
	// its count in the lowest 8. Other keys in the same place lower the count, but more
	// slowly, since two keys in turns would both stay at one otherwise.
	uses [4096]atomic.Uint32
}

var seed = maphash.MakeSeed()

// A signer is a key with a table.
type signer struct {
	key    [ed25519.PublicKeySize]byte
	used   atomic.Bool // since a key last failed to displace it
	minusA *table
}

type set [8]atomic.Pointer[signer]

func (v *verifier) verify(key ed25519.PublicKey, msg, sig []byte) bool {
	hash := maphash.Bytes(seed, key)
	set := &v.sets[hash%uint64(len(v.sets))]
	if s := set.find(key); s != nil {
		return s.verify(msg, sig)
	}
	if !ed25519.Verify(key, msg, sig) {
		return false
	}
	if v.count(hash, set.free()) {
		v.add(set, key)
	}
	return true
}

func (v *verifier) expect(key ed25519.PublicKey) {
	set := &v.sets[maphash.Bytes(seed, key)%uint64(len(v.sets))]
	if set.free() && set.find(key) == nil {
		v.add(set, key)
	}
}

// count counts a use of the key with this hash, and reports whether it has enough of them
// for a table. If two calls count in one place at once, one use may be lost.
func (v *verifier) count(hash uint64, room bool) bool {
	place := &v.uses[hash>>8%uint64(len(v.uses))]
	old, tag := place.Load(), uint32(hash>>32)&^0xff
	uses := old & 0xff
	switch {
	case uses == 0:
		place.CompareAndSwap(old, tag|1)
	case old&^0xff != tag:
		if rand.Uint32N(4) == 0 {
			place.CompareAndSwap(old, old-1)
		}
	case uses+1 >= usesIfFull || room && uses+1 >= usesIfRoom:
		return place.CompareAndSwap(old, tag) // one caller makes the table
	default:
		place.CompareAndSwap(old, old+1)
	}
	return false
}

func (s *set) find(key ed25519.PublicKey) *signer {
	for i := range s {
		if r := s[i].Load(); r != nil && bytes.Equal(r.key[:], key) {
			if !r.used.Load() {
				r.used.Store(true)
			}
			return r
		}
	}
	return nil
}

func (s *set) free() bool { return s[len(s)-1].Load() == nil }

// add makes a table for key, if there is room or a signer that was not used since the
// last call without room.
func (v *verifier) add(set *set, key ed25519.PublicKey) {
	for i := range set {
		old := set[i].Load()
		if old != nil && old.used.Load() {
			continue
		}
		a, err := new(edwards25519.Point).SetBytes(key)
		if err != nil {
			return // no signature verifies under it
		}
		width, spacing := v.layout(old)
		r := newSigner(key, a, width, spacing)
		r.used.Store(true) // so that the next key does not displace it at once
		set[i].CompareAndSwap(old, r)
		return
	}
	for i := range set {
		set[i].Load().used.Store(false)
	}
}

// layout returns the layout of a table that replaces old; nil: there is room.
func (v *verifier) layout(old *signer) (width, spacing int) {
	switch {
	case old != nil:
		return old.minusA.width, old.minusA.spacing
	case v.large.Load() < largeTables && v.large.Add(1) <= largeTables:
		return keyWidth, keySpacing
	}
	return smallWidth, smallSpacing
}

func newSigner(key ed25519.PublicKey, a *edwards25519.Point, width, spacing int) *signer {
	return &signer{key: [ed25519.PublicKeySize]byte(key), minusA: newTable(new(edwards25519.Point).Negate(a), width, spacing)}
}

func (s *signer) verify(msg, sig []byte) bool {
	if len(sig) != ed25519.SignatureSize {
		return false
	}
	h := sha512.New()
	h.Write(sig[:32])
	h.Write(s.key[:])
	h.Write(msg)
	var digest [sha512.Size]byte
	k, err := new(edwards25519.Scalar).SetUniformBytes(h.Sum(digest[:0]))
	if err != nil {
		panic(err) // it takes any 64 bytes
	}
	if _, err := new(edwards25519.Scalar).SetCanonicalBytes(sig[32:]); err != nil {
		return false
	}
	// R = [S]B - [k]A, compared by its encoding, so that R has only one.
	return sum(s.minusA, k.Bytes(), sig[32:]).bytes() == [32]byte(sig)
}
