// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/cloudflare/circl/sign/mldsa/mldsa44"

	"github.com/vasistas/vasistas/internal/edverify"
	"github.com/vasistas/vasistas/internal/weakkey"
)

// Algorithm is the signature type byte of a key (signed-note, "Signature
// types").
type Algorithm byte

const (
	Ed25519            Algorithm = 0x01 // a note signature, as logs make
	CosignatureEd25519 Algorithm = 0x04 // a timestamped cosignature
	CosignatureMLDSA44 Algorithm = 0x06 // a timestamped post-quantum cosignature
)

func (a Algorithm) String() string {
	switch a {
	case Ed25519:
		return "Ed25519"
	case CosignatureEd25519:
		return "Ed25519 cosignature"
	case CosignatureMLDSA44:
		return "ML-DSA-44 cosignature"
	}
	return fmt.Sprintf("signature type %#02x", byte(a))
}

// keySize returns the length of the public key in bytes, 0 if a is unknown.
func (a Algorithm) keySize() int {
	switch a {
	case Ed25519, CosignatureEd25519:
		return ed25519.PublicKeySize
	case CosignatureMLDSA44:
		return mldsa44.PublicKeySize
	}
	return 0
}

// ErrBadSignature: a line names a key and does not verify under it. The whole note is
// then malformed (signed-note, "Signatures").
var ErrBadSignature = errors.New("the signature does not verify")

// VerifierKey is a note verifier key: a name, and a public key of one algorithm
// (signed-note, "Verifier keys"). It is immutable. Only [NewVerifierKey] and
// [ParseVerifierKey] make one.
type VerifierKey struct {
	Name      string
	ID        uint32
	Algorithm Algorithm
	Key       []byte // raw public key

	mldsa *mldsa44.PublicKey // expanded, when Algorithm needs it
	last  *lastLine          // shared by copies of the key
}

// lastLine is the last message that verified under a key, and its signature. The same head comes back in
// proofs, audits and answers, and the same bytes need no second check: a verdict depends only on key,
// message and signature.
type lastLine struct{ atomic.Pointer[[2]string] }

func (l *lastLine) is(msg, sig []byte) bool {
	known := l.Load()
	return known != nil && known[0] == string(msg) && known[1] == string(sig)
}

// NewVerifierKey makes the verifier key of a raw public key: 32 bytes for
// Ed25519, 1,312 for ML-DSA-44.
func NewVerifierKey(name string, a Algorithm, key []byte) (*VerifierKey, error) {
	k, err := newVerifierKey(name, a, key)
	if err != nil {
		return nil, err
	}
	return k.strong()
}

// WeakKeyError reports an Ed25519 key that lets others sign or that is a second
// spelling of another key. It wraps [ErrMalformed]. Key is well-formed otherwise.
type WeakKeyError struct{ Key *VerifierKey }

func (e *WeakKeyError) Error() string {
	return fmt.Sprintf("%v key of %s: the Ed25519 key is a point of small order or not in its one canonical encoding", ErrMalformed, e.Key.Name)
}

func (e *WeakKeyError) Unwrap() error { return ErrMalformed }

func (k *VerifierKey) strong() (*VerifierKey, error) {
	if k.Algorithm != CosignatureMLDSA44 && weakkey.Ed25519(k.Key) {
		return nil, &WeakKeyError{k}
	}
	return k, nil
}

func newVerifierKey(name string, a Algorithm, key []byte) (*VerifierKey, error) {
	if err := validKeyName(name); err != nil {
		return nil, err
	}
	if a.keySize() == 0 {
		return nil, malformed("key of %s: %v is not supported", name, a)
	}
	if len(key) != a.keySize() {
		return nil, malformed("key of %s: %d bytes for an %v key, which has %d", name, len(key), a, a.keySize())
	}
	k := &VerifierKey{Name: name, ID: keyID(name, a, key), Algorithm: a, Key: append([]byte(nil), key...), last: new(lastLine)}
	if a == CosignatureMLDSA44 {
		k.mldsa = new(mldsa44.PublicKey)
		if err := k.mldsa.UnmarshalBinary(k.Key); err != nil {
			return nil, malformed("key of %s: %v", name, err)
		}
	}
	return k, nil
}

func keyID(name string, a Algorithm, key []byte) uint32 {
	h := sha256.Sum256(slices.Concat([]byte(name), []byte{'\n', byte(a)}, key))
	return binary.BigEndian.Uint32(h[:])
}

// ParseVerifierKey parses a vkey: name+hex(key ID)+base64(type || public key).
// The key ID must be the recommended one, and the type an [Algorithm] of this package.
func ParseVerifierKey(vkey string) (*VerifierKey, error) {
	name, id, raw, err := splitKey(vkey)
	if err != nil {
		return nil, err
	}
	k, err := newVerifierKey(name, Algorithm(raw[0]), raw[1:])
	if err != nil {
		return nil, err
	}
	if k.ID != id {
		return nil, malformed("key of %s: the key ID is %08x, and the text has %08x", name, k.ID, id)
	}
	return k.strong()
}

// splitKey splits name+hash+base64, the form of vkeys and, after their prefix, of
// signer keys. raw has at least two bytes.
func splitKey(s string) (name string, id uint32, raw []byte, err error) {
	if len(s) > 4096 {
		return "", 0, nil, malformed("key: it has %d characters", len(s))
	}
	name, rest, ok1 := strings.Cut(s, "+")
	hash, encoded, ok2 := strings.Cut(rest, "+")
	if !ok1 || !ok2 {
		return "", 0, nil, malformed("key: it is not of the form name+hash+base64")
	}
	n, err := strconv.ParseUint(hash, 16, 32)
	if err != nil || fmt.Sprintf("%08x", n) != hash {
		return "", 0, nil, malformed("key of %q: the hash is not 8 lowercase hexadecimal digits", name)
	}
	raw, ok := decodeBase64(encoded)
	if !ok || len(raw) < 2 {
		return "", 0, nil, malformed("key of %q: the key is not base64", name)
	}
	return name, uint32(n), raw, nil
}

// String returns the vkey.
func (k *VerifierKey) String() string {
	return fmt.Sprintf("%s+%08x+%s", k.Name, k.ID, base64.StdEncoding.EncodeToString(append([]byte{byte(k.Algorithm)}, k.Key...)))
}

// Verify checks s, which must be a line of this key (name and key ID), over h.
// For a cosignature it returns the time in POSIX seconds, which is not 0; for
// a plain note signature 0. Every error wraps [ErrBadSignature]. Verify refuses a
// cosignature with the timestamp 0, which does not state that the tree is the largest
// one observed (tlog-cosignature, "ML-DSA-44 signed message").
//
// An ML-DSA-44 cosignature does not cover the extension lines of h.
func (k *VerifierKey) Verify(h *Head, s *Signature) (time uint64, err error) {
	if s.Name != k.Name || s.KeyID != k.ID {
		return 0, fmt.Errorf("a line of %s+%08x is not one of %s+%08x: %w", s.Name, s.KeyID, k.Name, k.ID, ErrBadSignature)
	}
	msg, sig := h.Text(), s.Bytes
	if k.Algorithm != Ed25519 {
		if len(sig) < 8 {
			return 0, fmt.Errorf("%s: a cosignature without a timestamp: %w", k.Name, ErrBadSignature)
		}
		time, sig = binary.BigEndian.Uint64(sig), sig[8:]
		if time == 0 || time > 1<<63-1 {
			return 0, fmt.Errorf("%s: a cosignature with the timestamp %d: %w", k.Name, time, ErrBadSignature)
		}
		if msg, err = k.cosigned(h, time); err != nil {
			return 0, fmt.Errorf("%s: %w", k.Name, ErrBadSignature)
		}
	}
	if k.last.is(msg, sig) {
		return time, nil
	}
	ok := false
	if k.Algorithm == CosignatureMLDSA44 {
		ok = mldsa44.Verify(k.mldsa, msg, nil, sig)
	} else {
		ok = edverify.Verify(k.Key, msg, sig)
	}
	if !ok {
		return 0, fmt.Errorf("%s: %w", k.Name, ErrBadSignature)
	}
	k.last.Store(&[2]string{string(msg), string(sig)})
	return time, nil
}

// cosigned returns the message that a cosignature signs.
func (k *VerifierKey) cosigned(h *Head, time uint64) ([]byte, error) {
	if k.Algorithm == CosignatureMLDSA44 {
		return mldsaMessage(k.Name, h, time)
	}
	return ed25519Message(h, time), nil
}

// ed25519Message is the text of tlog-cosignature, "Ed25519 signed message".
func ed25519Message(h *Head, time uint64) []byte {
	return fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", time, h.Text())
}

// mldsaMessage is the structure of tlog-cosignature, "ML-DSA-44 signed message", for
// a whole tree. It has two length-prefixed names of 1 to 255 bytes and does not cover
// extension lines.
func mldsaMessage(cosigner string, h *Head, time uint64) ([]byte, error) {
	if cosigner == "" || len(cosigner) > MaxNameLen || h.Origin == "" || len(h.Origin) > MaxNameLen {
		return nil, malformed("name: an ML-DSA-44 cosignature needs names of 1 to %d bytes", MaxNameLen)
	}
	b := []byte("subtree/v1\n\x00")
	b = append(b, byte(len(cosigner)))
	b = append(b, cosigner...)
	b = binary.BigEndian.AppendUint64(b, time)
	b = append(b, byte(len(h.Origin)))
	b = append(b, h.Origin...)
	b = binary.BigEndian.AppendUint64(b, 0)
	b = binary.BigEndian.AppendUint64(b, h.Size)
	return append(b, h.Root[:]...), nil
}

// Signer is a private note key. Its text is that of golang.org/x/mod/sumdb/note, with
// the type byte of the algorithm and a seed of 32 bytes.
type Signer struct {
	key  VerifierKey
	seed [32]byte
	ed   ed25519.PrivateKey
	ml   *mldsa44.PrivateKey
}

const signerPrefix = "PRIVATE+KEY+"

// GenerateSigner makes a new key with the system's randomness.
func GenerateSigner(name string, a Algorithm) (*Signer, error) {
	var seed [32]byte
	rand.Read(seed[:])
	return NewSigner(name, a, seed)
}

// ParseSigner parses the text that [Signer.Secret] returns. Its errors never quote it.
func ParseSigner(skey string) (*Signer, error) {
	rest, ok := strings.CutPrefix(skey, signerPrefix)
	if !ok {
		return nil, malformed("signer key: it does not begin with %s", signerPrefix)
	}
	name, id, raw, err := splitKey(rest)
	if err != nil {
		return nil, err
	}
	if len(raw) != 33 {
		return nil, malformed("signer key of %q: a seed has 32 bytes", name)
	}
	s, err := NewSigner(name, Algorithm(raw[0]), [32]byte(raw[1:]))
	if err != nil {
		return nil, err
	}
	if s.key.ID != id {
		return nil, malformed("signer key of %q: the key ID in the text is not the key's", name)
	}
	return s, nil
}

// NewSigner makes the key of a secret seed, which must be uniformly random or derived from what is.
func NewSigner(name string, a Algorithm, seed [32]byte) (*Signer, error) {
	s := &Signer{seed: seed}
	var public []byte
	switch a {
	case Ed25519, CosignatureEd25519:
		s.ed = ed25519.NewKeyFromSeed(seed[:])
		public = s.ed.Public().(ed25519.PublicKey)
	case CosignatureMLDSA44:
		pk, sk := mldsa44.NewKeyFromSeed(&seed)
		s.ml, public = sk, pk.Bytes()
	}
	k, err := NewVerifierKey(name, a, public)
	if err != nil {
		return nil, err
	}
	s.key = *k
	return s, nil
}

// Secret returns the private key as text. Keep it in a file of mode 0600.
func (s *Signer) Secret() string {
	return fmt.Sprintf("%s%s+%08x+%s", signerPrefix, s.key.Name, s.key.ID,
		base64.StdEncoding.EncodeToString(append([]byte{byte(s.key.Algorithm)}, s.seed[:]...)))
}

// String and GoString name the key, so that no log line leaks the seed.
func (s Signer) String() string { return fmt.Sprintf("signer %s+%08x", s.key.Name, s.key.ID) }

// GoString returns what String does.
func (s Signer) GoString() string { return s.String() }

// Verifier returns the public key.
func (s *Signer) Verifier() *VerifierKey { return &s.key }

// Sign signs h: a note signature that ignores time, or a cosignature at time
// (POSIX seconds, not 0). ML-DSA-44 signatures are hedged, so two signatures of one
// head differ. A head that ParseCheckpoint would refuse is [ErrMalformed].
func (s *Signer) Sign(h *Head, time uint64) (Signature, error) {
	if err := h.validate(); err != nil {
		return Signature{}, fmt.Errorf("signing with the key of %s: %w", s.key.Name, err)
	}
	sig := Signature{Name: s.key.Name, KeyID: s.key.ID}
	if s.key.Algorithm == Ed25519 {
		sig.Bytes = ed25519.Sign(s.ed, h.Text())
		return sig, nil
	}
	if time == 0 || time > 1<<63-1 {
		return Signature{}, fmt.Errorf("cosigning at the timestamp %d: it is not between 1 and 2^63-1", time)
	}
	sig.Bytes = binary.BigEndian.AppendUint64(nil, time)
	msg, err := s.key.cosigned(h, time)
	if err != nil {
		return Signature{}, err
	}
	if s.key.Algorithm == CosignatureEd25519 {
		sig.Bytes = append(sig.Bytes, ed25519.Sign(s.ed, msg)...)
		return sig, nil
	}
	raw := make([]byte, mldsa44.SignatureSize)
	if err := mldsa44.SignTo(s.ml, msg, nil, true, raw); err != nil {
		return Signature{}, fmt.Errorf("signing with the ML-DSA-44 key of %s: %w", s.key.Name, err)
	}
	sig.Bytes = append(sig.Bytes, raw...)
	return sig, nil
}
