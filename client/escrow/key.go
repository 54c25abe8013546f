// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package escrow

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vasistas/vasistas/log/event"
)

// A Purpose is what a key opens. It is bound to the ciphertext, so that no ciphertext
// serves two purposes.
type Purpose string

const (
	ForRequest Purpose = "vasistas request v1"     // a gate's key: an agency's request
	ForNotice  Purpose = "vasistas notice part v1" // a gate's key: part one of a stanza
	ForShare   Purpose = "vasistas share part v1"  // a gate's key: part two, the share
	ForAnswer  Purpose = "vasistas answer v1"      // a recipient key: a share, re-encrypted
	ForSubject Purpose = "vasistas notice v1"      // a notice key: a notice
)

// A KeyHolder holds an HPKE private key, in memory like a [SecretKey] or in an HSM. It
// may refuse a use by its purpose.
type KeyHolder interface {
	// Public returns the public key.
	Public() event.HPKEKey
	// Open opens one HPKE ciphertext (encapsulated key and ciphertext, RFC 9180,
	// section 6.1, HKDF-SHA256, ChaCha20-Poly1305) under info, which begins with the
	// purpose. The error wraps ErrOpen if the ciphertext doesn't open.
	Open(p Purpose, info, sealed []byte) ([]byte, error)
}

// suite returns the KEM's implementation, nil for an unknown one.
func suite(k event.KEM) hpke.KEM {
	switch k {
	case event.KEMX25519:
		return hpke.DHKEM(ecdh.X25519())
	case event.KEMMLKEMX25519:
		return hpke.MLKEM768X25519()
	}
	return nil
}

const (
	x25519Size = 32
	hybridSize = 1184 + x25519Size // ML-KEM-768's first
)

// publicKey parses a key to encrypt to. It refuses keys that crypto/hpke accepts: X25519
// keys of low order, whose shared secret is public, and second spellings of a key, which
// give it two hashes.
func publicKey(k event.HPKEKey) (hpke.PublicKey, error) {
	kem := suite(k.KEM)
	if kem == nil {
		return nil, fmt.Errorf("%w: unknown KEM %q", ErrKey, k.KEM)
	}
	pub, err := kem.NewPublicKey(k.Public)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	if n := len(k.Public); n != x25519Size && n != hybridSize {
		return nil, fmt.Errorf("%w: it has %d bytes", ErrKey, n)
	}
	if err := checkX25519(k.Public[len(k.Public)-x25519Size:]); err != nil {
		return nil, err
	}
	if !bytes.Equal(pub.Bytes(), k.Public) {
		return nil, fmt.Errorf("%w: not in its one encoding", ErrKey)
	}
	return pub, nil
}

// smallOrder are the u coordinates below 2^255-19 of the points of order 1, 2, 4 and 8 on Curve25519
// and its twist (cr.yp.to/ecdh.html). With a private key, the product of each of these points, and of no
// other, is zero (RFC 7748, section 6.1): a private key is a multiple of 8, and of no other order that a
// point may have.
var smallOrder = [5][x25519Size]byte{
	{},
	{0: 1},
	{
		0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
		0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
	},
	{
		0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b,
		0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
	},
	{ // 2^255-20
		0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
	},
}

// checkX25519 refuses points of low order and coordinates of 2^255-19 or more.
func checkX25519(key []byte) error {
	u, last := [x25519Size]byte(key), smallOrder[4]
	if u[31]&0x80 != 0 || u[0] > last[0] && [31]byte(u[1:]) == [31]byte(last[1:]) {
		return fmt.Errorf("%w: the X25519 key is not canonical", ErrKey)
	}
	if slices.Contains(smallOrder[:], u) {
		return fmt.Errorf("%w: the X25519 key has low order", ErrKey)
	}
	return nil
}

// CheckKey returns an error, which wraps ErrKey, if a public key is unsafe to encrypt to.
func CheckKey(k event.HPKEKey) error {
	_, err := publicKey(k)
	return err
}

// KeyHash returns the hash that names a public key: SHA-256 of its canonical JSON.
func KeyHash(k event.HPKEKey) (event.Digest, error) {
	b, err := k.Bytes()
	if err != nil {
		return event.Digest{}, err
	}
	return sha256.Sum256(b), nil
}

type keyText struct {
	KEM     event.KEM `json:"kem"`
	Private blob      `json:"private"`
}

// MaxKeyFile bounds a file with one key, in bytes.
const MaxKeyFile = 4096

// ParsePublicKey parses a public key's canonical JSON and checks it: see [CheckKey].
func ParsePublicKey(b []byte) (event.HPKEKey, error) {
	var k event.HPKEKey
	if err := decode(b, MaxKeyFile, &k); err != nil {
		return event.HPKEKey{}, err
	}
	return k, CheckKey(k)
}

// A SecretKey is an HPKE key in memory: a gate's, a recipient's, or a subject's notice
// key. It is immutable and safe for concurrent use.
type SecretKey struct {
	kem    event.KEM
	key    hpke.PrivateKey
	public event.HPKEKey
	trial  *trial
}

// String describes the value and leaves out its secrets.
func (s SecretKey) String() string { return "secret key of " + s.public.String() }

// GoString is String.
func (s SecretKey) GoString() string { return s.String() }

var _ KeyHolder = (*SecretKey)(nil)

func newSecretKey(kem event.KEM, k hpke.PrivateKey) (*SecretKey, error) {
	s := &SecretKey{kem: kem, key: k, public: event.HPKEKey{KEM: kem, Public: k.PublicKey().Bytes()}}
	if err := CheckKey(s.public); err != nil {
		return nil, err
	}
	private, err := k.Bytes()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	s.trial, err = newTrial(s.public, private)
	return s, err
}

// GenerateKey returns a new key.
func GenerateKey(kem event.KEM) (*SecretKey, error) {
	s := suite(kem)
	if s == nil {
		return nil, fmt.Errorf("%w: unknown KEM %q", ErrKey, kem)
	}
	k, err := s.GenerateKey()
	if err != nil {
		return nil, err
	}
	return newSecretKey(kem, k)
}

// ParseSecretKey parses exactly what Bytes returns.
func ParseSecretKey(b []byte) (*SecretKey, error) {
	line, ok := bytes.CutSuffix(b, []byte("\n"))
	if !ok {
		return nil, malformed("a key file ends with LF")
	}
	var t keyText
	if err := decode(line, MaxKeyFile, &t); err != nil {
		return nil, err
	}
	s := suite(t.KEM)
	if s == nil {
		return nil, malformed("a key of the unknown KEM %q", t.KEM)
	}
	k, err := s.NewPrivateKey(t.Private)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	key, err := newSecretKey(t.KEM, k)
	if err != nil {
		return nil, err
	}
	// X25519 ignores some bits of a private key, and crypto/hpke clears them.
	if again, err := key.Bytes(); err != nil || !bytes.Equal(again, b) {
		return nil, malformed("the private key is not in its one encoding")
	}
	return key, nil
}

// Bytes returns the key file, one line of JSON: keep it with mode 0600.
func (k *SecretKey) Bytes() ([]byte, error) {
	private, err := k.key.Bytes()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	b, err := encode(keyText{KEM: k.kem, Private: private})
	return append(b, '\n'), err
}

// Public returns the public key.
func (k *SecretKey) Public() event.HPKEKey { return k.public }

// Open implements [KeyHolder].
func (k *SecretKey) Open(_ Purpose, info, sealed []byte) ([]byte, error) {
	b, err := hpke.Open(k.key, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info, sealed)
	if err != nil {
		return nil, ErrOpen
	}
	return b, nil
}

func seal(to event.HPKEKey, info, plaintext []byte) ([]byte, error) {
	pub, err := publicKey(to)
	if err != nil {
		return nil, err
	}
	return hpke.Seal(pub, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info, plaintext)
}

func overhead(k event.KEM) int {
	const tag = 16
	if k == event.KEMX25519 {
		return x25519Size + tag
	}
	return 1088 + x25519Size + tag // ML-KEM-768's ciphertext
}

// A Period is a calendar month in UTC, the time of use of a notice key: the number of
// months since the year 0.
type Period int

// PeriodOf returns the period of a time.
func PeriodOf(t time.Time) Period {
	t = t.UTC()
	return Period(t.Year()*12 + int(t.Month()) - 1)
}

// String returns year and month, like 2026-11.
func (p Period) String() string { return fmt.Sprintf("%04d-%02d", int(p)/12, int(p)%12+1) }

// ParsePeriod parses exactly what String returns.
func ParsePeriod(s string) (Period, error) {
	t, err := time.Parse("2006-01", s)
	if err != nil || PeriodOf(t).String() != s {
		return 0, malformed("want a month like 2006-01, not %q", s)
	}
	return PeriodOf(t), nil
}

// A Seed is the secret from which all notice keys of a subject derive. Each log, period
// and KEM has its own key, so that a subject's packages can't be linked.
type Seed struct {
	secret [32]byte
	First  Period // the first period whose keys are used
}

// String describes the value and leaves out its secrets.
func (s Seed) String() string { return "seed of notice keys from " + s.First.String() }

// GoString is String.
func (s Seed) GoString() string { return s.String() }

// NewSeed returns a new seed, whose first period is that of now.
func NewSeed(now time.Time) *Seed {
	s := &Seed{First: PeriodOf(now)}
	rand.Read(s.secret[:])
	return s
}

const seedMagic = "vasistas notice seed v1"

// Bytes returns the seed file, one line. Keep it with mode 0600, since it opens the
// subject's notices.
func (s *Seed) Bytes() []byte {
	return fmt.Appendf(nil, "%s %s %s\n", seedMagic, s.First, base64.RawURLEncoding.EncodeToString(s.secret[:]))
}

// ParseSeed parses exactly what Bytes returns.
func ParseSeed(b []byte) (*Seed, error) {
	rest, ok := bytes.CutPrefix(b, []byte(seedMagic+" "))
	first, secret, ok2 := bytes.Cut(rest, []byte(" "))
	secret, ok3 := bytes.CutSuffix(secret, []byte("\n"))
	if !ok || !ok2 || !ok3 {
		return nil, malformed("not a notice seed; 'vasistas escrow seed' makes one")
	}
	p, err := ParsePeriod(string(first))
	if err != nil {
		return nil, err
	}
	var raw blob
	if err := raw.UnmarshalText(secret); err != nil || len(raw) != 32 {
		return nil, malformed("not a notice seed; 'vasistas escrow seed' makes one")
	}
	return &Seed{[32]byte(raw), p}, nil
}

// Key returns the notice key for a log, period and KEM.
func (s *Seed) Key(origin string, p Period, kem event.KEM) (*SecretKey, error) {
	k := suite(kem)
	if k == nil {
		return nil, fmt.Errorf("%w: unknown KEM %q", ErrKey, kem)
	}
	info := labelled("vasistas notice key v1", []byte(origin), []byte(p.String()), []byte(kem))
	ikm, err := hkdf.Key(sha256.New, s.secret[:], nil, string(info), 32)
	if err != nil {
		return nil, err
	}
	key, err := k.DeriveKeyPair(ikm)
	if err != nil {
		return nil, err
	}
	return newSecretKey(kem, key)
}

// Keys returns the notice keys of both KEMs for a log, from the seed's first period to
// the last.
func (s *Seed) Keys(origin string, last Period) ([]*SecretKey, error) {
	if last-s.First > 12*100 {
		return nil, errors.New("a seed of more than a hundred years")
	}
	var out []*SecretKey
	for p := s.First; p <= last; p++ {
		for _, kem := range []event.KEM{event.KEMMLKEMX25519, event.KEMX25519} {
			k, err := s.Key(origin, p, kem)
			if err != nil {
				return nil, err
			}
			out = append(out, k)
		}
	}
	return out, nil
}
