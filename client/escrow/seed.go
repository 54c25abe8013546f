// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package escrow

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/vasistas/vasistas/log/event"
)

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
		return nil, malformed("not a notice seed")
	}
	p, err := ParsePeriod(string(first))
	if err != nil {
		return nil, err
	}
	var raw blob
	if err := raw.UnmarshalText(secret); err != nil || len(raw) != 32 {
		return nil, malformed("not a notice seed")
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
		return nil, errors.New("escrow: a seed of more than a hundred years")
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
