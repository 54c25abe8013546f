// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package escrow

import (
	"crypto/rand"
	"fmt"

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
		return share{}, fmt.Errorf("a scalar of %d bytes: %w", len(b), err)
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

// Seal re-encrypts a share to the recipient.
func (s *Share) Seal(d *Delivery) (SealedShare, error) {
	info, err := d.info(s.index, s.of)
	if err != nil {
		return SealedShare{}, err
	}
	b, err := seal(d.Recipient, info, s.value[:])
	return SealedShare{Package: s.of, Sealed: b}, err
}
