// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package edverify

import (
	"encoding/binary"
	"sync"

	"filippo.io/edwards25519"
	"filippo.io/edwards25519/field"
)

// A point is in extended coordinates: x/z and y/z are its affine ones, and t is xy/z.
// The formulas are those of Hisil, Wong, Carter and Dawson, "Twisted Edwards Curves
// Revisited" (2008), sections 3.1 and 3.3. They are complete on this curve, so they need
// no case for the identity, equal points or points of small order.
type point struct{ x, y, z, t field.Element }

// A niels is an affine point as [point.add] needs it: y+x, y-x and 2dxy.
type niels struct{ yPlusX, yMinusX, t2d field.Element }

var identity = niels{*new(field.Element).One(), *new(field.Element).One(), field.Element{}}

// d2 is 2d of the curve equation -x²+y² = 1+dx²y² (RFC 8032, section 5.1).
var d2, _ = new(field.Element).SetBytes([]byte{
	0x59, 0xf1, 0xb2, 0x26, 0x94, 0x9b, 0xd6, 0xeb, 0x56, 0xb1, 0x83, 0x82, 0x9a, 0x14, 0xe0, 0x00,
	0x30, 0xd1, 0xf3, 0xee, 0xf2, 0x80, 0x8e, 0x19, 0xe7, 0xfc, 0xdf, 0x56, 0xdc, 0xd9, 0x06, 0x24})

func (p *point) setIdentity() {
	p.x.Zero()
	p.y.One()
	p.z.One()
	p.t.Zero()
}

// add adds q to p in 7 multiplications.
func (p *point) add(q *niels) {
	var a, b, c, d, e, h field.Element
	a.Subtract(&p.y, &p.x)
	a.Multiply(&a, &q.yMinusX)
	b.Add(&p.y, &p.x)
	b.Multiply(&b, &q.yPlusX)
	c.Multiply(&p.t, &q.t2d)
	d.Add(&p.z, &p.z)
	e.Subtract(&b, &a)
	h.Add(&b, &a)
	p.complete(&e, &h, a.Subtract(&d, &c), b.Add(&d, &c))
}

// double doubles p in 4 multiplications and 4 squarings.
func (p *point) double() {
	var a, b, c, e, f, g, h field.Element
	a.Square(&p.x)
	b.Square(&p.y)
	c.Square(&p.z)
	c.Add(&c, &c)
	h.Add(&a, &b)
	e.Add(&p.x, &p.y)
	e.Square(&e)
	e.Subtract(&h, &e)
	g.Subtract(&a, &b)
	f.Add(&c, &g)
	p.complete(&e, &h, &f, &g)
}

// complete is the end that both formulas share.
func (p *point) complete(e, h, f, g *field.Element) {
	p.x.Multiply(e, f)
	p.y.Multiply(g, h)
	p.t.Multiply(e, h)
	p.z.Multiply(f, g)
}

// bytes encodes p (RFC 8032, section 5.1.2).
func (p *point) bytes() [32]byte {
	var x, y, inverse field.Element
	inverse.Invert(&p.z)
	x.Multiply(&p.x, &inverse)
	y.Multiply(&p.y, &inverse)
	b := [32]byte(y.Bytes())
	b[31] |= byte(x.IsNegative() << 7)
	return b
}

// A table holds multiples of a point P: for each g, those by 1 to 2^(width-1) of
// 2^(width·spacing·g)·P. With them k·P is a sum of one point for each signed digit of
// width bits, and width·(spacing-1) doublings.
type table struct {
	width, spacing int
	points         []entry
}

// An entry fills two cache lines: without the padding it would lie in three.
type entry struct {
	niels
	_ [8]byte
}

// The widths are those which were fastest of all with tables that fit the caches of a
// processor. A wider table of keys was 5 % faster and 70 % larger.
const (
	keyWidth, keySpacing     = 5, 2
	smallWidth, smallSpacing = 3, 17 // 1.6 times crypto/ed25519 instead of 2.8, with 2.5 KiB instead of 52
	baseWidth, baseSpacing   = 8, 1

	scalarBits = 253 // the order of the base point is below 2^253
	maxDigits  = scalarBits/smallWidth + 1
)

// baseTable is the table of the base point, of 512 KiB.
var baseTable = sync.OnceValue(func() *table {
	return newTable(edwards25519.NewGeneratorPoint(), baseWidth, baseSpacing)
})

// digits is the number of digits. One bit more than a scalar has keeps the carry.
func (t *table) digits() int { return scalarBits/t.width + 1 }

func newTable(p *edwards25519.Point, width, spacing int) *table {
	t := &table{width: width, spacing: spacing}
	groups := (t.digits() + spacing - 1) / spacing
	multiples := make([]point, 0, groups<<(width-1))
	base, sum := new(edwards25519.Point).Set(p), new(edwards25519.Point)
	for range groups {
		sum.Set(base)
		for range 1 << (width - 1) {
			x, y, z, _ := sum.ExtendedCoordinates()
			multiples = append(multiples, point{x: *x, y: *y, z: *z})
			sum.Add(sum, base)
		}
		for range width * spacing {
			base.Double(base)
		}
	}
	t.points = affine(multiples)
	return t
}

// affine converts points with one inversion for all (Montgomery's trick). It uses up
// their t for the products of the z before them.
func affine(points []point) []entry {
	product := new(field.Element).One()
	for i := range points {
		points[i].t.Set(product)
		product.Multiply(product, &points[i].z)
	}
	inverse := product.Invert(product)
	entries := make([]entry, len(points))
	for i := len(points) - 1; i >= 0; i-- {
		p, q := &points[i], &entries[i]
		p.t.Multiply(&p.t, inverse) // 1/z
		inverse.Multiply(inverse, &p.z)
		p.x.Multiply(&p.x, &p.t)
		p.y.Multiply(&p.y, &p.t)
		q.yPlusX.Add(&p.y, &p.x)
		q.yMinusX.Subtract(&p.y, &p.x)
		q.t2d.Multiply(&p.x, &p.y)
		q.t2d.Multiply(&q.t2d, d2)
	}
	return entries
}

// terms sets dst to the points whose sum is k·P, one for each signed digit of k, which
// is a little-endian scalar below 2^253. Copying all of them before the first addition
// lets the processor wait for many cache misses at once.
func (t *table) terms(dst *[maxDigits]niels, k []byte) []niels {
	var wide [36]byte
	copy(wide[:], k)
	carry, half := 0, 1<<(t.width-1)
	for i := range t.digits() {
		bit := i * t.width
		digit := int(binary.LittleEndian.Uint32(wide[bit/8:])>>(bit%8))&(2*half-1) + carry
		carry = 0
		if digit > half {
			digit, carry = digit-2*half, 1
		}
		group, q := t.points[i/t.spacing*half:], &dst[i]
		switch {
		case digit > 0:
			*q = group[digit-1].niels
		case digit < 0:
			n := &group[-digit-1]
			q.yPlusX, q.yMinusX = n.yMinusX, n.yPlusX
			q.t2d.Negate(&n.t2d)
		default:
			*q = identity
		}
	}
	return dst[:t.digits()]
}

// sum returns k·K + s·B for the point K of the table key and the base point B.
func sum(key *table, k, s []byte) *point {
	var p point
	var buf [maxDigits]niels
	p.setIdentity()
	terms := key.terms(&buf, k)
	for r := key.spacing - 1; r >= 0; r-- {
		for i := r; i < len(terms); i += key.spacing {
			p.add(&terms[i])
		}
		if r > 0 {
			for range key.width {
				p.double()
			}
		}
	}
	for i := range baseTable().terms(&buf, s) {
		p.add(&buf[i])
	}
	return &p
}
