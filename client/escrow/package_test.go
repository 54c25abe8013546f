// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package escrow

import (
	"bytes"
	"crypto/ecdh"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/vasistas/vasistas/log/event"
)

// lowOrder are the u coordinates of the points of low order on Curve25519 and its twist,
// and spellings of 2^255-19 or more (cr.yp.to/ecdh.html).
var lowOrder = []string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"cdeb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b880",
	"4c9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f11d7",
	"d9ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"daffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"dbffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
}

// badKeys are keys that are unsafe to encrypt to.
func badKeys(t testing.TB) map[string]event.HPKEKey {
	out := map[string]event.HPKEKey{
		"no KEM":      {Public: make([]byte, 32)},
		"unknown KEM": {KEM: "rot13", Public: make([]byte, 32)},
		"no key":      {KEM: event.KEMX25519},
		"short":       {KEM: event.KEMX25519, Public: make([]byte, 31)},
		"wrong KEM":   {KEM: event.KEMMLKEMX25519, Public: newKey(t, event.KEMX25519).Public().Public},
		"other KEM":   {KEM: event.KEMX25519, Public: newKey(t, event.KEMMLKEMX25519).Public().Public},
	}
	good := newKey(t, event.KEMMLKEMX25519).Public().Public
	overflow := bytes.Clone(good)
	overflow[0], overflow[1] = 0xff, overflow[1]|0x0f // a coefficient of 4,095, beyond q
	out["ML-KEM coefficient"] = event.HPKEKey{KEM: event.KEMMLKEMX25519, Public: overflow}
	high := newKey(t, event.KEMX25519).Public().Public
	high[31] |= 0x80
	out["high bit"] = event.HPKEKey{KEM: event.KEMX25519, Public: high}
	for i, s := range lowOrder {
		u, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		out[fmt.Sprintf("low order %d", i)] = event.HPKEKey{KEM: event.KEMX25519, Public: u}
		out[fmt.Sprintf("hybrid low order %d", i)] = event.HPKEKey{KEM: event.KEMMLKEMX25519, Public: append(bytes.Clone(good[:1184]), u...)}
	}
	return out
}

// TestLowOrder compares checkX25519 with products (RFC 7748, section 6.1), for the points of smallOrder
// and for points that differ from these in one bit.
func TestLowOrder(t *testing.T) {
	private, err := ecdh.X25519().GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	zero := 0
	try := func(u [32]byte) {
		p, err := ecdh.X25519().NewPublicKey(u[:])
		if err != nil {
			t.Fatal(err)
		}
		_, err = private.ECDH(p)
		if err != nil {
			zero++
		}
		if refused := checkX25519(u[:]) != nil; refused != (err != nil) {
			t.Errorf("%x: refused is %t, and the product's error %v", u, refused, err)
		}
	}
	for _, u := range smallOrder {
		try(u)
		for bit := range 250 { // no spelling of 2^255-19 or more
			near := u
			near[bit/8] ^= 1 << (bit % 8)
			if near[0] <= 0xec {
				try(near)
			}
		}
	}
	if zero != len(smallOrder)+2 { // 0 and 1 differ in one bit, so each is tried twice
		t.Errorf("%d products are zero", zero)
	}
}

// TestBadKeys refuses such keys wherever one may be encrypted to.
func TestBadKeys(t *testing.T) {
	c := newCustodians(t, 1, 1)
	g := c.group(t)
	p, _ := c.wrapped(t, event.KEMX25519, newKey(t, event.KEMX25519).Public(), "ada@example.org")
	s, err := p.OpenShare(c.holders[0][event.KEMX25519], g)
	if err != nil {
		t.Fatal(err)
	}
	for name, k := range badKeys(t) {
		refused := func(where string, err error) {
			if !errors.Is(err, ErrKey) && !errors.Is(err, event.ErrMalformed) {
				t.Errorf("%s: %s: %v", name, where, err)
			}
		}
		refused("check", CheckKey(k))
		ch := *c.charter
		ch.Parties = slices.Clone(ch.Parties)
		ch.Parties[0].Gates = []event.HPKEKey{k}
		_, err := NewGroup(testOrigin, &ch, "g1")
		refused("group", err)
		_, err = NewRecipient(g, event.KEMX25519, k, "ada@example.org")
		refused("recipient", err)
		_, err = (&Address{Origin: "o", Group: "g", KEM: event.KEMX25519, Notice: k, Account: "a"}).Bytes()
		refused("address", err)
		_, err = s.Seal(&Delivery{Origin: testOrigin, Recipient: k})
		refused("delivery", err)
		_, err = testNotice(t).Seal(k)
		refused("notice", err)
		_, err = (&Request{}).Seal(testOrigin, k)
		if err == nil {
			t.Errorf("%s: request", name)
		}
		if b, err := k.Bytes(); err == nil {
			_, err = ParsePublicKey(b)
			refused("parse", err)
		}
		// In part one, which a client writes.
		plain, err := encodeNoticePart(&NoticePart{k, event.NewOpening(accountName, event.Text("a"))})
		if err == nil {
			_, err = decodeNoticePart(plain)
		}
		refused("part one", err)
	}
}

// TestLowOrderCiphertexts has encapsulated keys of low order: they open nothing.
func TestLowOrderCiphertexts(t *testing.T) {
	for _, kem := range kems {
		k := newKey(t, kem)
		sealed, err := seal(k.Public(), []byte("info"), []byte("secret"))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range lowOrder {
			u, _ := hex.DecodeString(s)
			bad := bytes.Clone(sealed)
			copy(bad[overhead(kem)-16-32:], u)
			if _, err := k.Open(ForShare, []byte("info"), bad); !errors.Is(err, ErrOpen) {
				t.Errorf("%s: %v", s, err)
			}
		}
	}
}

// TestGroup has charters that name no group one can escrow to.
func TestGroup(t *testing.T) {
	for name, edit := range map[string]func(*event.Charter){
		"no group":     func(c *event.Charter) { c.Groups = nil },
		"no members":   func(c *event.Charter) { c.Groups[0].Members = nil },
		"threshold 0":  func(c *event.Charter) { c.Groups[0].Threshold = 0 },
		"threshold 4":  func(c *event.Charter) { c.Groups[0].Threshold = 4 },
		"no custodian": func(c *event.Charter) { c.Groups[0].Members[1] = "unknown" },
		"no gate":      func(c *event.Charter) { c.Parties[2].Gates = nil },
	} {
		c := newCustodians(t, 2, 3)
		edit(c.charter)
		if _, err := NewGroup(testOrigin, c.charter, "g1"); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	c := newCustodians(t, 2, 3)
	// A package needs a key of its KEM from everyone.
	c.charter.Parties[1].Gates = c.charter.Parties[1].Gates[:1]
	if _, err := NewRecipient(c.group(t), event.KEMX25519, newKey(t, event.KEMX25519).Public(), "a"); !errors.Is(err, ErrKey) {
		t.Errorf("%v", err)
	}
}

// TestStanzas changes each argument and the body of a stanza to what is no such thing.
func TestStanzas(t *testing.T) {
	c := newCustodians(t, 2, 3)
	p, _ := c.wrapped(t, event.KEMX25519, newKey(t, event.KEMX25519).Public(), "ada@example.org")
	if _, err := ParsePackage(p.Stanzas()); err != nil {
		t.Fatal(err)
	}
	refuse := func(name string, edit func([]*age.Stanza) []*age.Stanza) {
		t.Helper()
		if _, err := ParsePackage(edit(clone(p.Stanzas()))); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for arg := range stanzaArgs {
		for name, change := range map[string]func(string) string{
			"empty": func(string) string { return "" }, "longer": func(s string) string { return s + "A" },
			"shorter": func(s string) string { return s[:len(s)-1] }, "sign": func(s string) string { return "+" + s },
			"zero before": func(s string) string { return "0" + s }, "space": func(s string) string { return s + " " },
			"padding": func(s string) string { return s + "=" }, "LF": func(s string) string { return s + "\n" },
			"trailing bits": func(s string) string { return s[:len(s)-1] + "_" },
		} {
			refuse(fmt.Sprintf("argument %d: %s", arg, name), func(s []*age.Stanza) []*age.Stanza {
				for i := range s {
					s[i].Args[arg] = change(s[i].Args[arg])
				}
				return s
			})
		}
		refuse(fmt.Sprintf("argument %d is missing", arg), func(s []*age.Stanza) []*age.Stanza {
			s[1].Args = slices.Delete(s[1].Args, arg, arg+1)
			return s
		})
	}
	refuse("one more argument", func(s []*age.Stanza) []*age.Stanza { s[0].Args = append(s[0].Args, "x"); return s })
	refuse("none", func([]*age.Stanza) []*age.Stanza { return nil })
	refuse("one missing", func(s []*age.Stanza) []*age.Stanza { return s[:2] })
	refuse("first missing", func(s []*age.Stanza) []*age.Stanza { return s[1:] })
	refuse("twice", func(s []*age.Stanza) []*age.Stanza { return append(s, s...) })
	refuse("one twice", func(s []*age.Stanza) []*age.Stanza { return append(s, s[2]) })
	refuse("order", func(s []*age.Stanza) []*age.Stanza { s[0], s[1] = s[1], s[0]; return s })
	for _, n := range []int{0, 1, 2, 100, len(p.Stanzas()[0].Body) - 1} {
		refuse(fmt.Sprintf("body of %d bytes", n), func(s []*age.Stanza) []*age.Stanza { s[0].Body = s[0].Body[:n]; return s })
	}
	refuse("longer body", func(s []*age.Stanza) []*age.Stanza { s[0].Body = append(s[0].Body, 0); return s })
	refuse("length", func(s []*age.Stanza) []*age.Stanza { s[0].Body[1]++; return s })
	refuse("long length", func(s []*age.Stanza) []*age.Stanza { s[0].Body[0] = 0xff; return s })

	// Stanzas of other kinds are not looked at; two packages are two.
	q, _ := c.wrapped(t, event.KEMMLKEMX25519, newKey(t, event.KEMX25519).Public(), "bob@example.org")
	all := append([]*age.Stanza{{Type: "X25519", Args: []string{"x"}}}, p.Stanzas()...)
	all = append(append(all, &age.Stanza{Type: "grease"}), q.Stanzas()...)
	list, err := ParsePackages(all)
	if err != nil || len(list) != 2 || list[0].Digest() != p.Digest() || list[1].Digest() != q.Digest() {
		t.Fatalf("%d packages, %v", len(list), err)
	}
	if _, err := ParsePackage(all); !errors.Is(err, ErrMalformed) {
		t.Errorf("%v", err)
	}
}

// TestUnlinkable has two packages of one person, of different months, with nothing in
// common that two persons' packages don't have.
func TestUnlinkable(t *testing.T) {
	c := newCustodians(t, 2, 3)
	seed := &Seed{First: 2026 * 12}
	var packages [2]*Package
	for i := range packages {
		k, err := seed.Key(testOrigin, seed.First+Period(i), event.KEMX25519)
		if err != nil {
			t.Fatal(err)
		}
		packages[i], _ = c.wrapped(t, event.KEMX25519, k.Public(), "ada@example.org")
	}
	a, b := packages[0].Stanzas(), packages[1].Stanzas()
	for i := range a {
		for arg := range a[i].Args {
			public := slices.Contains([]int{0, 3, 4, 5, 6}, arg) // group, index, t, n, gate's key
			if (a[i].Args[arg] == b[i].Args[arg]) != public {
				t.Errorf("stanza %d, argument %d: %s and %s", i, arg, a[i].Args[arg], b[i].Args[arg])
			}
		}
		if len(a[i].Body) != len(b[i].Body) {
			t.Errorf("stanza %d: bodies of %d and %d bytes", i, len(a[i].Body), len(b[i].Body))
		}
	}
	short, _ := c.wrapped(t, event.KEMX25519, newKey(t, event.KEMX25519).Public(), "a")
	if len(short.Stanzas()[0].Body) != len(a[0].Body) {
		t.Error("an account's length shows")
	}
}

// TestSeed pins what keys come of a seed: a subject must find its notices years later.
func TestSeed(t *testing.T) {
	seed, err := ParseSeed([]byte("vasistas notice seed v1 2026-11 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\n"))
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]string)
	for _, origin := range []string{testOrigin, "other.example"} {
		for p := seed.First; p < seed.First+3; p++ {
			for _, kem := range kems {
				k, err := seed.Key(origin, p, kem)
				if err != nil {
					t.Fatal(err)
				}
				name := fmt.Sprint(origin, p, kem)
				public := string(k.Public().Public)
				if before := seen[public]; before != "" {
					t.Errorf("%s and %s have one key", before, name)
				}
				seen[public] = name
			}
		}
	}
	k, err := seed.Key(testOrigin, seed.First, event.KEMX25519)
	if err != nil {
		t.Fatal(err)
	}
	h, err := KeyHash(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	if h.String() != "ZoHkD5rb8OEWDUVr35JRGcedoevhuPWTfy18WXzEz2E" {
		t.Errorf("x25519: %s", h)
	}
	if k, err = seed.Key(testOrigin, seed.First, event.KEMMLKEMX25519); err != nil {
		t.Fatal(err)
	}
	if h, err = KeyHash(k.Public()); err != nil {
		t.Fatal(err)
	}
	if h.String() != "5ZaDKpH-TPTg6ytlWWmDDCI6yFP5dzmTcwQtx_4QkI4" {
		t.Errorf("mlkem768-x25519: %s", h)
	}
	all, err := seed.Keys(testOrigin, seed.First+5)
	if err != nil || len(all) != 12 {
		t.Errorf("%d keys, %v", len(all), err)
	}
	for _, bad := range []string{"", "vasistas notice seed v1 2026-11 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
		"vasistas notice seed v1 2026-13 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\n", "vasistas notice seed v1 2026-1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\n",
		"vasistas notice seed v1 2026-11 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9\n", "vasistas notice seed v1 2026-11 AAEC\n"} {
		if _, err := ParseSeed([]byte(bad)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestAddress has the longest address still fit into a line that age reads.
func TestAddress(t *testing.T) {
	a := &Address{Origin: strings.Repeat("o", 255), Group: strings.Repeat("g", 64), KEM: event.KEMMLKEMX25519,
		Notice: newKey(t, event.KEMMLKEMX25519).Public(), Account: strings.Repeat("é", 256)}
	b, err := a.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if chars := len(b)*8/5 + 32; chars > 8192 {
		t.Errorf("%d bytes, about %d characters", len(b), chars)
	}
	got, err := ParseAddress(b)
	if err != nil || got.Account != a.Account || got.Origin != a.Origin {
		t.Errorf("%+v, %v", got, err)
	}
	for name, edit := range map[string]func(*Address){
		"origin": func(a *Address) { a.Origin = "a b" }, "group": func(a *Address) { a.Group = "" },
		"kem": func(a *Address) { a.KEM = "x" }, "account": func(a *Address) { a.Account = "" },
		"long account": func(a *Address) { a.Account += "x" }, "control": func(a *Address) { a.Account = "a\nb" },
		"UTF-8": func(a *Address) { a.Account = "\xff" },
	} {
		bad := *a
		edit(&bad)
		if _, err := bad.Bytes(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
