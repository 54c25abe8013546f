// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package escrow

import (
	"bytes"
	"testing"

	"github.com/vasistas/vasistas/log/event"
)

// TestRelease takes packages the whole way: wrapped, opened by gates, re-encrypted,
// answered and put together, for every threshold and any subset of gates.
func TestRelease(t *testing.T) {
	for _, kem := range kems {
		for n := 1; n <= 4; n++ {
			for threshold := 1; threshold <= n; threshold++ {
				c := newCustodians(t, threshold, n)
				g := c.group(t)
				subject, recipient := newKey(t, kem), newKey(t, kem)
				p, fileKey := c.wrapped(t, kem, subject.Public(), "ada@example.org")
				d := &Delivery{Origin: testOrigin, Access: event.Reference{Index: 7, Leaf: [32]byte{1}}, Recipient: recipient.Public()}
				var shares []*Share
				for i, h := range c.holders {
					part, err := p.OpenNotice(h[kem], g)
					if err != nil {
						t.Fatal(err)
					}
					if !bytes.Equal(part.Key.Public, subject.Public().Public) || part.Account.Value.Text() != "ada@example.org" {
						t.Fatalf("part one: %+v", part)
					}
					s, err := p.OpenShare(h[kem], g)
					if err != nil {
						t.Fatal(err)
					}
					got := *d
					got.Release = event.Reference{Index: uint64(8 + i), Leaf: [32]byte{2}}
					sealed, err := s.Seal(&got)
					if err != nil {
						t.Fatal(err)
					}
					a := &Answer{Delivery: got, Index: i + 1, Shares: []SealedShare{sealed}}
					b, err := a.Sign(c.signers[i])
					if err != nil {
						t.Fatal(err)
					}
					want := *d
					opened, err := OpenAnswer(b, &want, i+1, c.signers[i].Public(), recipient, []*Package{p})
					if err != nil {
						t.Fatal(err)
					}
					if want.Release != got.Release {
						t.Fatalf("release %v, want %v", want.Release, got.Release)
					}
					shares = append(shares, opened...)
				}
				for mask := range 1 << n {
					var some []*Share
					for i := range n {
						if mask>>i&1 == 1 {
							some = append(some, shares[i], shares[i]) // twice: no harm
						}
					}
					got, err := p.FileKey(some)
					if enough := len(some)/2 >= threshold; enough != (err == nil) || enough && !bytes.Equal(got, fileKey) {
						t.Fatalf("%d of %d, shares %b: %x, %v", threshold, n, mask, got, err)
					}
				}
			}
		}
	}
}
