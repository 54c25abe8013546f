// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package edverify

import (
	"bytes"
	"encoding/hex"
	"math/big"
	"testing"

	"filippo.io/edwards25519"
)

// order is the order of the base point, and fieldOrder 2^255-19.
var (
	order, _   = new(big.Int).SetString("27742317777372353535851937790883648493", 10)
	fieldOrder = new(big.Int).Lsh(big.NewInt(1), 255)
)

func init() {
	order.SetBit(order, 252, 1)
	fieldOrder.Sub(fieldOrder, big.NewInt(19))
}

// littleEndian is n in 32 bytes.
func littleEndian(n *big.Int) []byte {
	b := n.FillBytes(make([]byte, 32))
	for i := range 16 {
		b[i], b[31-i] = b[31-i], b[i]
	}
	return b
}

func mustPoint(b []byte) *edwards25519.Point {
	p, err := new(edwards25519.Point).SetBytes(b)
	if err != nil {
		panic(err)
	}
	return p
}

func scalar(b []byte) *edwards25519.Scalar {
	s, err := new(edwards25519.Scalar).SetUniformBytes(append(b, make([]byte, 64-len(b))...))
	if err != nil {
		panic(err)
	}
	return s
}

// torsion returns the eight points of small order: the multiples of one of order 8.
func torsion() []*edwards25519.Point {
	b, _ := hex.DecodeString("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
	points := []*edwards25519.Point{edwards25519.NewIdentityPoint()}
	for len(points) < 8 {
		points = append(points, new(edwards25519.Point).Add(points[len(points)-1], mustPoint(b)))
	}
	return points
}

// corners returns points of each kind: of small order, with a y below 19, of prime order,
// and of each mixed order.
func corners() []*edwards25519.Point {
	points := torsion()
	for y := range byte(19) {
		if p, err := new(edwards25519.Point).SetBytes(append([]byte{y}, make([]byte, 31)...)); err == nil {
			points = append(points, p)
		}
	}
	prime := new(edwards25519.Point).ScalarBaseMult(scalar([]byte("a point of prime order")))
	for _, t := range torsion() {
		points = append(points, new(edwards25519.Point).Add(prime, t))
	}
	return append(points, edwards25519.NewGeneratorPoint(), new(edwards25519.Point).Negate(prime))
}

// projective returns p with a z that is not 1.
func projective(p *edwards25519.Point) point {
	q := mustPoint([]byte("\x26\xe8\x95\x8f\xc2\xb2\x27\xb0\x45\xc3\xf4\x89\xf2\xef\x98\xf0\xd5\xdf\xac\x05\xd3\xc6\x33\x39\xb1\x38\x02\x88\x6d\x53\xfc\x05"))
	r := new(edwards25519.Point).Subtract(new(edwards25519.Point).Add(p, q), q)
	x, y, z, t := r.ExtendedCoordinates()
	return point{*x, *y, *z, *t}
}

// valid reports whether the coordinates of p are those of one point of the curve.
func valid(p *point) bool {
	_, err := new(edwards25519.Point).SetExtendedCoordinates(&p.x, &p.y, &p.z, &p.t)
	return err == nil
}

func TestFormulas(t *testing.T) {
	points := corners()
	if len(points) < 8+8+10 {
		t.Fatalf("%d points", len(points))
	}
	for i, a := range points {
		p := projective(a)
		p.double()
		if want := new(edwards25519.Point).Double(a).Bytes(); p.bytes() != [32]byte(want) || !valid(&p) {
			t.Errorf("twice point %d is %x, want %x", i, p.bytes(), want)
		}
		for j, b := range points {
			p := projective(a)
			p.add(&affine([]point{projective(b)})[0].niels)
			if want := new(edwards25519.Point).Add(a, b).Bytes(); p.bytes() != [32]byte(want) || !valid(&p) {
				t.Errorf("the sum of points %d and %d is %x, want %x", i, j, p.bytes(), want)
			}
		}
	}
	var p point
	if p.setIdentity(); p.bytes() != [32]byte(edwards25519.NewIdentityPoint().Bytes()) || !valid(&p) {
		t.Error("the identity is not the identity")
	}
	for i, a := range points {
		p := projective(a)
		if p.add(&identity); p.bytes() != [32]byte(a.Bytes()) {
			t.Errorf("point %d changes when the identity is added", i)
		}
	}
}

// scalars returns scalars at the bounds of range and of digits of each width.
func scalars() [][]byte {
	var all []*big.Int
	for i := range int64(20) {
		all = append(all, big.NewInt(i), new(big.Int).Sub(order, big.NewInt(i+1)))
	}
	for bit := uint(2); bit < 253; bit += 3 {
		power := new(big.Int).Lsh(big.NewInt(1), bit)
		all = append(all, power, new(big.Int).Sub(power, big.NewInt(1)))
	}
	for _, pattern := range []byte{0x55, 0xaa, 0x80, 0x7f, 0x0f, 0xf0, 0x84, 0x42, 0x10, 0x21} {
		all = append(all, new(big.Int).SetBytes(bytes.Repeat([]byte{pattern}, 31)))
		all = append(all, new(big.Int).SetBytes(append([]byte{0x10 & pattern}, bytes.Repeat([]byte{pattern}, 15)...)))
	}
	var b [][]byte
	for _, n := range all {
		b = append(b, littleEndian(n))
	}
	return b
}

func TestSum(t *testing.T) {
	all := scalars()
	for i, a := range corners() {
		tables := [2]*table{newTable(a, keyWidth, keySpacing), newTable(a, smallWidth, smallSpacing)}
		for j, k := range all {
			s := all[(j*7+i)%len(all)]
			want := new(edwards25519.Point).VarTimeDoubleScalarBaseMult(scalar(bytes.Clone(k)), a, scalar(bytes.Clone(s)))
			if got := sum(tables[(i+j)%2], k, s); got.bytes() != [32]byte(want.Bytes()) {
				t.Fatalf("point %d, k %x, s %x: %x, want %x", i, k, s, got.bytes(), want.Bytes())
			}
		}
	}
}

// Layouts that are not in use today are right, too.
func TestLayouts(t *testing.T) {
	a := mustPoint(corners()[len(corners())-1].Bytes())
	for width := smallWidth; width <= 8; width++ {
		for spacing := 1; spacing <= 3; spacing++ {
			table := newTable(a, width, spacing)
			for i, k := range scalars() {
				if i%5 > 0 {
					continue
				}
				want := new(edwards25519.Point).VarTimeDoubleScalarBaseMult(scalar(bytes.Clone(k)), a, scalar(bytes.Clone(k)))
				if got := sum(table, k, k); got.bytes() != [32]byte(want.Bytes()) {
					t.Fatalf("width %d, spacing %d, k %x: %x, want %x", width, spacing, k, got.bytes(), want.Bytes())
				}
			}
		}
	}
}
