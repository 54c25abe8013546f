// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package edverify

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"filippo.io/edwards25519"
)

var differentialCases = flag.Int("edverify.cases", 10_000, "cases of TestDifferential")

// layouts are the width and spacing of keys' tables.
var layouts = [2][2]int{{keyWidth, keySpacing}, {smallWidth, smallSpacing}}

// alike returns crypto/ed25519's verdict, which a table of the key and Verify must share.
func alike(t *testing.T, key, msg, sig []byte) bool {
	t.Helper()
	want := ed25519.Verify(key, msg, sig)
	if got := Verify(key, msg, sig); got != want {
		t.Errorf("key %x, message %x, signature %x: Verify says %v, crypto/ed25519 %v", key, msg, sig, got, want)
	}
	a, err := new(edwards25519.Point).SetBytes(key)
	if err != nil {
		if want {
			t.Errorf("crypto/ed25519 accepts the key %x, which is no point", key)
		}
		return want
	}
	for _, l := range layouts {
		if got := newSigner(key, a, l[0], l[1]).verify(msg, sig); got != want {
			t.Errorf("key %x, message %x, signature %x: the table %v says %v, crypto/ed25519 %v", key, msg, sig, l, got, want)
		}
	}
	return want
}

type hexBytes []byte

func (h *hexBytes) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(string(b))
	return err
}

func readJSON(t *testing.T, file string, v any) {
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}

func TestWycheproof(t *testing.T) {
	var file struct {
		NumberOfTests int
		TestGroups    []struct {
			PublicKey struct{ PK hexBytes }
			Tests     []struct {
				TcID     int
				Msg, Sig hexBytes
				Result   string
			}
		}
	}
	readJSON(t, "testdata/wycheproof_ed25519_test.json", &file)
	n := 0
	for _, g := range file.TestGroups {
		for _, c := range g.Tests {
			n++
			if got := alike(t, g.PublicKey.PK, c.Msg, c.Sig); got != (c.Result == "valid") {
				t.Errorf("case %d: %v, and it is %s", c.TcID, got, c.Result)
			}
		}
	}
	if n != file.NumberOfTests || n < 150 {
		t.Errorf("%d cases, the file says %d", n, file.NumberOfTests)
	}
}

func TestTamingTheManyEdDSAs(t *testing.T) {
	var cases []struct {
		Message   hexBytes
		PubKey    hexBytes `json:"pub_key"`
		Signature hexBytes
	}
	readJSON(t, "testdata/speccheck_cases.json", &cases)
	got := ""
	for _, c := range cases {
		if alike(t, c.PubKey, c.Message, c.Signature) {
			got += "V"
		} else {
			got += "X"
		}
	}
	if got != "VVVVXXXXXXXV" { // Go's row of the published results
		t.Errorf("verdicts are %s", got)
	}
}

// A caseKey is a key a·B + T with a table, where T is torsion()[part].
type caseKey struct {
	raw    []byte
	a      *edwards25519.Scalar
	part   int
	signer *signer
}

// encodings returns all encodings that decode to p, the canonical one first.
func encodings(p *edwards25519.Point) [][]byte {
	all := [][]byte{p.Bytes()}
	n := new(big.Int).SetBytes(littleEndian(new(big.Int).SetBytes(p.Bytes())))
	sign := n.Bit(255)
	y := n.SetBit(n, 255, 0)
	if y.Cmp(big.NewInt(19)) < 0 {
		wide := new(big.Int).Add(y, fieldOrder)
		all = append(all, littleEndian(wide.SetBit(wide, 255, sign)))
	}
	for _, b := range all {
		b = bytes.Clone(b)
		b[31] ^= 0x80
		if q, err := new(edwards25519.Point).SetBytes(b); err == nil && q.Equal(p) == 1 {
			all = append(all, b)
		}
	}
	return all
}

func caseKeys(r *rand.Rand) (keys []caseKey) {
	for i := range 25 {
		a := edwards25519.NewScalar()
		if i > 0 { // the first keys are of small order
			a = randomScalar(r)
		}
		for part, t := range torsion() {
			p := new(edwards25519.Point).ScalarBaseMult(a)
			for _, raw := range encodings(p.Add(p, t)) {
				keys = append(keys, caseKey{raw, a, part, newSigner(raw, mustPoint(raw), layouts[len(keys)%2][0], layouts[len(keys)%2][1])})
			}
		}
	}
	for y := range int64(19) { // second encodings without a known secret
		raw := littleEndian(new(big.Int).Add(fieldOrder, big.NewInt(y)))
		if p, err := new(edwards25519.Point).SetBytes(raw); err == nil {
			keys = append(keys, caseKey{raw, randomScalar(r), 0, newSigner(raw, p, layouts[len(keys)%2][0], layouts[len(keys)%2][1])})
		}
	}
	return keys
}

func randomScalar(r *rand.Rand) *edwards25519.Scalar {
	return scalar(binary.LittleEndian.AppendUint64(randomBytes(r, 32), r.Uint64()))
}

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// sign makes a message and a signature, with R = r·B + T in one of its encodings and
// S = r + k·a. It fits the equation if T and the key's part of small order cancel: half
// of the time sign looks for a message with which they do.
func (k *caseKey) sign(r *rand.Rand, small []*edwards25519.Point) (msg, sig []byte) {
	nonce := scalar([]byte{byte(r.IntN(3))})
	switch r.IntN(4) {
	case 0:
		nonce.Negate(nonce)
	case 1, 2:
		nonce = randomScalar(r)
	}
	part := r.IntN(len(small)) * r.IntN(2)
	p := new(edwards25519.Point).ScalarBaseMult(nonce)
	all := encodings(p.Add(p, small[part]))
	encoded := all[r.IntN(len(all))]
	fit := r.IntN(2) == 0
	msg = randomBytes(r, 4+r.IntN(200))
	for range 64 {
		copy(msg, randomBytes(r, 4))
		hash := sha512.Sum512(slices.Concat(encoded, k.raw, msg))
		s := scalar(hash[:])
		cancel := (part+int(s.Bytes()[0])*k.part)%8 == 0
		sig = append(bytes.Clone(encoded), s.MultiplyAdd(s, k.a, nonce).Bytes()...)
		if cancel || !fit {
			break
		}
	}
	return msg, sig
}

var mutations = []struct {
	name string
	f    func(r *rand.Rand, msg, sig []byte) (newMsg, newSig []byte)
}{
	{"none", func(r *rand.Rand, msg, sig []byte) ([]byte, []byte) { return msg, sig }},
	{"bit of R", func(r *rand.Rand, msg, sig []byte) ([]byte, []byte) {
		sig[r.IntN(32)] ^= 1 << r.IntN(8)
		return msg, sig
	}},
	{"bit of S", func(r *rand.Rand, msg, sig []byte) ([]byte, []byte) {
		sig[32+r.IntN(32)] ^= 1 << r.IntN(8)
		return msg, sig
	}},
	{"high bits of S", func(r *rand.Rand, msg, sig []byte) ([]byte, []byte) {
		sig[63] |= byte(r.IntN(8)) << 5
		return msg, sig
	}},
	{"message", func(r *rand.Rand, msg, sig []byte) ([]byte, []byte) { return append(msg, 0), sig }},
	{"length", func(r *rand.Rand, msg, sig []byte) ([]byte, []byte) {
		return msg, append(sig, 0)[:[]int{0, 32, 63, 65}[r.IntN(4)]]
	}},
	{"S+l", func(r *rand.Rand, msg, sig []byte) ([]byte, []byte) {
		s := new(big.Int).SetBytes(reversed(sig[32:]))
		s.Add(s, new(big.Int).Mul(order, big.NewInt(1+r.Int64N(7))))
		return msg, append(sig[:32], littleEndian(s)...)
	}},
	{"S around l", func(r *rand.Rand, msg, sig []byte) ([]byte, []byte) {
		return msg, append(sig[:32], littleEndian(new(big.Int).Add(order, big.NewInt(r.Int64N(5)-2)))...)
	}},
	{"S=0, R=0", func(r *rand.Rand, msg, sig []byte) ([]byte, []byte) { return msg, make([]byte, 64) }},
	{"random", func(r *rand.Rand, msg, sig []byte) ([]byte, []byte) { return msg, randomBytes(r, 64) }},
}

func reversed(b []byte) []byte { return littleEndian(new(big.Int).SetBytes(b)) }

// TestDifferential compares tables with crypto/ed25519 on generated cases, in which keys
// and R have all parts of small order and all encodings.
func TestDifferential(t *testing.T) {
	r := rand.New(rand.NewChaCha8([32]byte([]byte(fmt.Sprintf("%32d", *differentialCases)))))
	keys, small, accepted := caseKeys(r), torsion(), map[string]int{}
	last := new(big.Int).Sub(order, big.NewInt(1))
	for range *differentialCases {
		key := &keys[r.IntN(len(keys))]
		if r.IntN(4) == 0 {
			key = &keys[r.IntN(8)] // of small order
		}
		mutation := &mutations[0]
		if r.IntN(2) == 0 {
			mutation = &mutations[r.IntN(len(mutations))]
		}
		msg, sig := key.sign(r, small)
		msg, sig = mutation.f(r, msg, sig)
		want := ed25519.Verify(key.raw, msg, sig)
		if got := key.signer.verify(msg, sig); got != want {
			t.Fatalf("%s, key %x, message %x, signature %x: %v, want %v", mutation.name, key.raw, msg, sig, got, want)
		}
		if want {
			accepted[mutation.name]++
			if bytes.Equal(sig[32:], littleEndian(last)) {
				accepted["S=l-1"]++
			}
		}
	}
	t.Log(accepted)
	if accepted["none"] < *differentialCases/5 || accepted["S=l-1"] == 0 {
		t.Errorf("too few of %d cases are accepted: %v", *differentialCases, accepted)
	}
}

func FuzzVerify(f *testing.F) {
	private := ed25519.NewKeyFromSeed(make([]byte, 32))
	public := private.Public().(ed25519.PublicKey)
	f.Add([]byte(public), []byte("message"), ed25519.Sign(private, []byte("message")))
	var cases []struct {
		Message   hexBytes
		PubKey    hexBytes `json:"pub_key"`
		Signature hexBytes
	}
	b, err := os.ReadFile("testdata/speccheck_cases.json")
	if err == nil {
		err = json.Unmarshal(b, &cases)
	}
	if err != nil {
		f.Fatal(err)
	}
	for _, c := range cases {
		f.Add([]byte(c.PubKey), []byte(c.Message), []byte(c.Signature))
	}
	f.Fuzz(func(t *testing.T, key, msg, sig []byte) {
		if len(key) == ed25519.PublicKeySize {
			alike(t, key, msg, sig)
		}
	})
}
