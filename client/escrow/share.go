// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package escrow

import (
	"crypto/rand"
	"fmt"
	"slices"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/secretsharing"

	"github.com/vasistas/vasistas/log/event"
)

// field is the group of the shares' scalars, of 32 bytes in one encoding. Of circl's
// groups only ristretto255 computes them in constant time.
var field = group.Ristretto255

const shareSize = 32

// share is a scalar: a share, or the secret that was shared.
type share [shareSize]byte

const (
	sharePartX25519 = shareSize + x25519Size + 16
	sharePartHybrid = shareSize + 1088 + x25519Size + 16
)

func scalarOf(s share) (group.Scalar, error) {
	x := field.NewScalar()
	if err := x.UnmarshalBinary(s[:]); err != nil {
		return nil, fmt.Errorf("%w: not a scalar in its one encoding", ErrShare)
	}
	return x, nil
}

func bytesOf(x group.Scalar) (share, error) {
	b, err := x.MarshalBinary()
	if err != nil || len(b) != shareSize {
		return share{}, fmt.Errorf("escrow: a scalar of %d bytes: %w", len(b), err)
	}
	return share(b), nil
}

// split returns a random secret and n shares of it, of which t open. circl's t is the
// degree of the polynomial, t-1.
func split(t, n int) (secret share, shares []share, err error) {
	if t < 1 || t > n || n > maxMembers {
		return secret, nil, malformed("%d of %d shares", t, n)
	}
	x := field.RandomNonZeroScalar(rand.Reader)
	if secret, err = bytesOf(x); err != nil {
		return secret, nil, err
	}
	shares = make([]share, n)
	for i, s := range secretsharing.New(rand.Reader, uint(t-1), x).Share(uint(n)) {
		if shares[i], err = bytesOf(s.Value); err != nil {
			return secret, nil, err
		}
	}
	return secret, shares, nil
}

// A Share is a custodian's share of one package, which names its hash. [Package.OpenShare]
// and [OpenAnswer] make it.
type Share struct {
	index int
	value share
	of    event.Digest // the package
}

// String describes the value and leaves out its secrets.
func (s Share) String() string { return fmt.Sprintf("share %d of package %s", s.index, s.of) }

// GoString is String.
func (s Share) GoString() string { return s.String() }

// Index returns the share's index, from 1.
func (s *Share) Index() int { return s.index }

// newShare returns an error unless b is the share that the package names.
func (p *Package) newShare(index int, b []byte) (*Share, error) {
	if index < 1 || index > len(p.parts) || len(b) != shareSize {
		return nil, fmt.Errorf("%w: %d bytes for share %d of %d", ErrShare, len(b), index, len(p.parts))
	}
	s := &Share{index, share(b), p.digest}
	if p.commitment(index, s.value) != p.parts[index-1].share {
		return nil, fmt.Errorf("%w: share %d is not the one whose hash the package has", ErrShare, index)
	}
	if _, err := scalarOf(s.value); err != nil {
		return nil, err
	}
	return s, nil
}

// FileKey combines shares, of which it needs the threshold. It never returns a wrong file
// key: a [Share] is one that the package names, and if the package's maker made shares
// that don't fit together, the error wraps ErrOpen.
func (p *Package) FileKey(shares []*Share) ([]byte, error) {
	var use []secretsharing.Share
	var seen []int
	for _, s := range shares {
		if s.of != p.digest {
			return nil, fmt.Errorf("%w: share %d is of another package", ErrShare, s.index)
		}
		// circl divides by the difference of two ids, and panics if it is zero.
		if slices.Contains(seen, s.index) || len(use) == p.threshold {
			continue
		}
		seen = append(seen, s.index)
		x, err := scalarOf(s.value)
		if err != nil {
			return nil, err
		}
		use = append(use, secretsharing.Share{ID: field.NewScalar().SetUint64(uint64(s.index)), Value: x})
	}
	if len(use) < p.threshold {
		return nil, fmt.Errorf("escrow: %d shares, and %d are needed", len(use), p.threshold)
	}
	x, err := secretsharing.Recover(uint(p.threshold-1), use)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrShare, err)
	}
	secret, err := bytesOf(x)
	if err != nil {
		return nil, err
	}
	aead, err := p.fileKeyCipher(secret)
	if err != nil {
		return nil, err
	}
	key, err := aead.Open(nil, make([]byte, aead.NonceSize()), p.wrapped[:], nil)
	if err != nil {
		return nil, fmt.Errorf("%w: the package was made with shares that don't fit together", ErrOpen)
	}
	return key, nil
}
