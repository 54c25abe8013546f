// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package edverify

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"hash/maphash"
	"sync"
	"testing"
)

// A signed message, and one with the same signature that is not valid.
type signed struct {
	key             ed25519.PublicKey
	msg, other, sig []byte
}

var message = []byte("a message")

func sign(i int, msg []byte) *signed {
	private := ed25519.NewKeyFromSeed(binary.BigEndian.AppendUint64(make([]byte, 24), uint64(i)))
	return &signed{private.Public().(ed25519.PublicKey), msg, []byte("another message"), ed25519.Sign(private, msg)}
}

func (v *verifier) has(key ed25519.PublicKey) bool {
	s := &v.sets[maphash.Bytes(seed, key)%uint64(len(v.sets))]
	for i := range s {
		if r := s[i].Load(); r != nil && string(r.key[:]) == string(key) {
			return true
		}
	}
	return false
}

func (v *verifier) mustVerify(t *testing.T, s *signed, times int) {
	t.Helper()
	for range times {
		if !v.verify(s.key, s.msg, s.sig) {
			t.Fatal("a valid signature does not verify")
		}
	}
}

// Only valid signatures lead to a table: anyone can send a key with others.
func TestTableAfterUses(t *testing.T) {
	v, s := new(verifier), sign(1, message)
	for range 2 * usesIfRoom {
		if v.verify(s.key, s.other, s.sig) {
			t.Fatal("a signature of another message verifies")
		}
	}
	if v.mustVerify(t, s, usesIfRoom-1); v.has(s.key) {
		t.Fatalf("the key has a table after %d uses", usesIfRoom-1)
	}
	if v.mustVerify(t, s, 1); !v.has(s.key) {
		t.Fatalf("the key has no table after %d uses", usesIfRoom)
	}
	if v.mustVerify(t, s, 1); v.verify(s.key, s.other, s.sig) {
		t.Fatal("a signature of another message verifies under a table")
	}
}

// An expected key has a table before its first use. Expecting it displaces no other key.
func TestExpect(t *testing.T) {
	v, s := new(verifier), sign(1, message)
	if v.expect(s.key); !v.has(s.key) {
		t.Fatal("the key has no table")
	}
	if v.mustVerify(t, s, 1); v.verify(s.key, s.other, s.sig) {
		t.Fatal("a signature of another message verifies under the table")
	}
	v.expect(bytes.Repeat([]byte{2}, ed25519.PublicKeySize)) // not a point
	for i := range 2000 {
		v.expect(sign(i, message).key)
	}
	if v.expect(s.key); !v.has(s.key) {
		t.Error("the key was displaced")
	}
	v.mustVerify(t, sign(1999, message), 2)
}

// The first keys have large tables, and a table has the size of the one that it displaces.
func TestLargeTables(t *testing.T) {
	v := new(verifier)
	count := func() (large, small int) {
		for i := range v.sets {
			for k := range v.sets[i] {
				switch r := v.sets[i][k].Load(); {
				case r == nil:
				case r.minusA.spacing == keySpacing:
					large++
				default:
					small++
				}
			}
		}
		return large, small
	}
	for i := range largeTables + 10 {
		v.mustVerify(t, sign(i, message), usesIfRoom)
	}
	if large, small := count(); large != largeTables || small != 10 {
		t.Fatalf("%d large and %d small tables, want %d and 10", large, small, largeTables)
	}
	for i := range v.sets {
		for k := range v.sets[i] {
			if r := v.sets[i][k].Load(); r != nil {
				r.used.Store(false)
				v.add(&v.sets[i], sign(1000, message).key)
			}
		}
	}
	if large, _ := count(); large != largeTables {
		t.Fatalf("%d large tables after others took their places, want %d", large, largeTables)
	}
}

// Keys that come again keep their tables while a full verifier sees many fresh keys,
// which get tables in the place of idle keys only, and only for many uses.
func TestFreshKeysDisplaceIdleKeys(t *testing.T) {
	v := new(verifier)
	var hot []*signed
	full := func() bool {
		for i := range v.sets {
			if v.sets[i].free() {
				return false
			}
		}
		return true
	}
	next := 0
	for ; !full(); next++ {
		if next == 4000 {
			t.Fatalf("the tables of %d keys leave room", next)
		}
		s := sign(next, message)
		if v.mustVerify(t, s, usesIfRoom); next%4 == 0 && v.has(s.key) {
			hot = append(hot, s)
		}
	}
	fresh := 0
	for i := range 80 {
		s := sign(next+i, message)
		if v.mustVerify(t, s, usesIfFull-1); v.has(s.key) {
			t.Fatalf("a fresh key has a table after %d uses", usesIfFull-1)
		}
		if v.mustVerify(t, s, 1); v.has(s.key) {
			fresh++
		}
		for _, s := range hot {
			if !v.has(s.key) {
				t.Fatalf("fresh key %d has displaced a key that is in use", i)
			}
			v.mustVerify(t, s, 1)
		}
	}
	if fresh == 0 || len(hot) < 8 {
		t.Errorf("%d fresh keys displaced an idle one, and %d keys were in use", fresh, len(hot))
	}
}

// Two keys that are counted in one place both get their tables.
func TestCountInOnePlace(t *testing.T) {
	v := new(verifier)
	enough := [2]bool{}
	for range 10 * usesIfFull {
		for i := range enough {
			enough[i] = enough[i] || v.count(uint64(i+1)<<40, false)
		}
	}
	if !enough[0] || !enough[1] {
		t.Errorf("keys have enough uses: %v", enough)
	}
}

func TestConcurrent(t *testing.T) {
	var all []*signed
	for i := range 12 {
		all = append(all, sign(i, message))
	}
	v := new(verifier)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 10 * len(all) {
				s := all[(i+g)%len(all)]
				if !v.verify(s.key, s.msg, s.sig) || v.verify(s.key, s.other, s.sig) {
					t.Error("a wrong verdict")
				}
			}
		})
	}
	wg.Wait()
	for i, s := range all {
		if !v.has(s.key) {
			t.Errorf("key %d has no table", i)
		}
	}
}
