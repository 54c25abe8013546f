// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package escrow

import (
	"testing"
)

// BenchmarkPackage is what each party does with one package of three custodians.
func BenchmarkPackage(b *testing.B) {
	for _, kem := range kems {
		c := newCustodians(b, 2, 3)
		g := c.group(b)
		r, err := NewRecipient(g, kem, newKey(b, kem).Public(), "ada@example.org")
		if err != nil {
			b.Fatal(err)
		}
		p, _ := c.wrapped(b, kem, newKey(b, kem).Public(), "ada@example.org")
		h := c.holders[0][kem]
		b.Run("wrap/"+string(kem), func(b *testing.B) {
			for b.Loop() {
				if _, err := r.Wrap(make([]byte, 16)); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("parse/"+string(kem), func(b *testing.B) {
			for text := p.Text(); b.Loop(); {
				if _, err := ParsePackageText(text); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("part one/"+string(kem), func(b *testing.B) {
			for b.Loop() {
				if _, err := p.OpenNotice(h, g); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("part two/"+string(kem), func(b *testing.B) {
			for b.Loop() {
				if _, err := p.OpenShare(h, g); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
