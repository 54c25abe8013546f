// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

var algorithms = []Algorithm{Ed25519, CosignatureEd25519, CosignatureMLDSA44}

// checkVkey and checkSkey adapt the two key formats to checkRoundTrip.
type keyText string

func (k keyText) Bytes() []byte { return []byte(k) }

func parseVkey(b []byte) (keyText, error) {
	k, err := ParseVerifierKey(string(b))
	if err != nil {
		return "", err
	}
	return keyText(k.String()), nil
}

func parseSkey(b []byte) (keyText, error) {
	s, err := ParseSigner(string(b))
	if err != nil {
		return "", err
	}
	return keyText(s.Secret()), nil
}

func TestKeyRoundTrip(t *testing.T) {
	for _, a := range algorithms {
		for _, name := range []string{"n", "witness.example/w1", "oid/1.2.3", "ünï", strings.Repeat("n", 255)} {
			s, err := GenerateSigner(name, a)
			if err != nil {
				t.Fatal(err)
			}
			checkRoundTrip(t, parseVkey, s.Verifier().String())
			checkRoundTrip(t, parseSkey, s.Secret())
			back, err := ParseSigner(s.Secret())
			if err != nil {
				t.Fatal(err)
			}
			if back.Verifier().String() != s.Verifier().String() {
				t.Errorf("%v: another key came back", a)
			}
		}
	}
	a, _ := GenerateSigner("n", Ed25519)
	b, _ := GenerateSigner("n", Ed25519)
	if a.Secret() == b.Secret() {
		t.Error("the same key twice")
	}
}

// The example of signed-note, "Verifier keys", and the seed of its comment in
// golang.org/x/mod/sumdb/note.
func TestKeySpecificationExample(t *testing.T) {
	k, err := ParseVerifierKey("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")
	if err != nil {
		t.Fatal(err)
	}
	if k.Name != "example.com/foo" || k.ID != 0x530d903a || k.Algorithm != Ed25519 {
		t.Errorf("parsed %+v", k)
	}
	sigs, err := ParseSignatureLines([]byte("— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"))
	if err != nil {
		t.Fatal(err)
	}
	if !ed25519.Verify(k.Key, []byte("This is an example message.\n"), sigs[0].Bytes) {
		t.Error("the example does not verify")
	}
}

func TestVerifierKeyMalformed(t *testing.T) {
	k := testSigner(t, "witness.example/w1", CosignatureEd25519).Verifier()
	good, id := k.String(), fmt.Sprintf("+%08x+", k.ID)
	key := b64(append([]byte{4}, k.Key...))
	with := func(a byte, raw []byte) string {
		return fmt.Sprintf("n+%08x+%s", keyID("n", Algorithm(a), raw), b64(append([]byte{a}, raw...)))
	}
	cases := []badCase{
		{"empty", "", "form"},
		{"name only", "n", "form"},
		{"no key", "n+00000000", "form"},
		{"line feed after", good + "\n", "base64"},
		{"CRLF after", good + "\r\n", "base64"},
		{"space before", " " + good, "space"},
		{"space after", good + " ", "base64"},
		{"empty name", swap(t, good, k.Name, ""), "empty"},
		{"name of 256 bytes", swap(t, good, k.Name, strings.Repeat("n", 256)), "256 bytes"},
		{"space in the name", swap(t, good, k.Name, "a b"), "space"},
		{"line feed in the name", swap(t, good, k.Name, "a\nb"), "control character"},
		{"name not UTF-8", swap(t, good, k.Name, "\xff"), "UTF-8"},
		{"plus in the name", swap(t, good, k.Name, "a+b"), "hexadecimal"},
		{"capital key ID", swap(t, good, id, strings.ToUpper(id)), "lowercase"},
		{"key ID of 7 digits", swap(t, good, id, id[:8]+"+"), "8 lowercase"},
		{"key ID of 9 digits", swap(t, good, id, "+0"+id[1:]), "8 lowercase"},
		{"key ID with 0x", swap(t, good, id, "+0x"+id[3:]), "8 lowercase"},
		{"key ID with an underscore", swap(t, good, id, "+1_345678+"), "8 lowercase"},
		{"key ID of another name", swap(t, good, k.Name, "witness.example/w2"), "key ID"},
		{"other key ID", swap(t, good, id, "+00000000+"), "key ID"},
		{"no padding", strings.TrimSuffix(with(6, make([]byte, 1312)), "="), "base64"},
		{"trailing bits", strings.TrimSuffix(with(6, make([]byte, 1312)), "A=") + "B=", "base64"},
		{"line break in the key", swap(t, good, key, key[:8]+"\n"+key[8:]), "base64"},
		{"type only", "n+00000000+BA==", "base64"},
		{"31 bytes", with(4, k.Key[:31]), "31 bytes"},
		{"33 bytes", with(4, append(slices.Clone(k.Key), 0)), "33 bytes"},
		{"1311 bytes of ML-DSA", with(6, make([]byte, 1311)), "1311 bytes"},
		{"1313 bytes of ML-DSA", with(6, make([]byte, 1313)), "1313 bytes"},
		{"type 0", with(0, k.Key), "not supported"},
		{"type 2, ECDSA", with(2, k.Key), "not supported"},
		{"type 5, RFC 6962", with(5, k.Key), "not supported"},
		{"type 255", with(255, k.Key), "not supported"},
		{"very long", good + strings.Repeat("A", 5000), "characters"},
	}
	checkBad(t, parseVkey, cases)
}

func TestSignerMalformed(t *testing.T) {
	s := testSigner(t, "witness.example/w1", CosignatureEd25519)
	good, id := s.Secret(), fmt.Sprintf("+%08x+", s.key.ID)
	cases := []badCase{
		{"empty", "", "does not begin"},
		{"a vkey", s.Verifier().String(), "does not begin"},
		{"lower case prefix", strings.ToLower(good), "does not begin"},
		{"prefix only", signerPrefix, "form"},
		{"line feed", good + "\n", "base64"},
		{"carriage return", good + "\r", "base64"},
		{"trailing data", good + "AAAA", "32 bytes"},
		{"short seed", fmt.Sprintf("%sn+00000000+%s", signerPrefix, b64(append([]byte{4}, s.seed[:31]...))), "32 bytes"},
		{"wrong key ID", swap(t, good, id, "+00000000+"), "key ID"},
		{"type 2", fmt.Sprintf("%sn+00000000+%s", signerPrefix, b64(append([]byte{2}, s.seed[:]...))), "not supported"},
		{"bad name", swap(t, good, s.key.Name, "a b"), "space"},
	}
	checkBad(t, parseSkey, cases)
	seed := b64(s.seed[:])
	for _, c := range cases {
		_, err := ParseSigner(c.in)
		if err == nil || strings.Contains(err.Error(), good[len(good)-20:]) || strings.Contains(err.Error(), seed) {
			t.Errorf("%s: the error repeats the key: %v", c.name, err)
		}
	}
}

func TestSignerDoesNotPrintItsSeed(t *testing.T) {
	s := testSigner(t, "witness.example/w1", CosignatureEd25519)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(verb, s); got != fmt.Sprintf("signer witness.example/w1+%08x", s.key.ID) {
			t.Errorf("%s: %s", verb, got)
		}
	}
}

func TestWeakKeysAreRefused(t *testing.T) {
	for _, a := range []Algorithm{Ed25519, CosignatureEd25519} {
		if _, err := NewVerifierKey("n", a, make([]byte, 32)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%v: %v", a, err)
		}
	}
	if _, err := NewVerifierKey("n", CosignatureMLDSA44, make([]byte, 1312)); err != nil {
		t.Errorf("all bytes make ML-DSA keys: %v", err)
	}
}

func TestVerifyEveryBit(t *testing.T) {
	h := testHead()
	for _, a := range algorithms {
		s := testSigner(t, "n", a)
		sig, err := s.Sign(&h, 1679315147)
		if err != nil {
			t.Fatal(err)
		}
		time, err := s.Verifier().Verify(&h, &sig)
		if want := map[Algorithm]uint64{Ed25519: 0}[a]; err != nil || (a != Ed25519 && time != 1679315147) || (a == Ed25519 && time != want) {
			t.Fatalf("%v: time %d, %v", a, time, err)
		}
		step := 1
		if a == CosignatureMLDSA44 {
			step = 7 // 2,428 bytes
		}
		for i := 0; i < 8*len(sig.Bytes); i += step {
			bad := sig
			bad.Bytes = slices.Clone(sig.Bytes)
			bad.Bytes[i/8] ^= 1 << (i % 8)
			if _, err := s.Verifier().Verify(&h, &bad); !errors.Is(err, ErrBadSignature) {
				t.Fatalf("%v: bit %d flipped: %v", a, i, err)
			}
		}
		for _, b := range [][]byte{nil, {}, sig.Bytes[:7], sig.Bytes[:8], sig.Bytes[:len(sig.Bytes)-1], append(slices.Clone(sig.Bytes), 0)} {
			if _, err := s.Verifier().Verify(&h, &Signature{Name: sig.Name, KeyID: sig.KeyID, Bytes: b}); !errors.Is(err, ErrBadSignature) {
				t.Errorf("%v: signature of %d bytes: %v", a, len(b), err)
			}
		}
	}
}

func TestVerifyOtherHeadOrKey(t *testing.T) {
	h := testHead()
	others := map[string]Head{"origin": h, "size": h, "root": h, "extension": h}
	for what, o := range others {
		switch what {
		case "origin":
			o.Origin += "2"
		case "size":
			o.Size++
		case "root":
			o.Root[31] ^= 1
		case "extension":
			o.Extension = []string{"more"}
		}
		others[what] = o
	}
	for _, a := range algorithms {
		s := testSigner(t, "n", a)
		sig, _ := s.Sign(&h, 1000)
		for what, o := range others {
			_, err := s.Verifier().Verify(&o, &sig)
			if a == CosignatureMLDSA44 && what == "extension" {
				if err != nil {
					t.Errorf("ML-DSA-44 covers the extension lines, which the specification leaves out: %v", err)
				}
				continue
			}
			if !errors.Is(err, ErrBadSignature) {
				t.Errorf("%v: other %s: %v", a, what, err)
			}
		}
		for _, other := range []*Signer{testSigner(t, "m", a), testSigner(t, "n2", a)} {
			o := sig
			if _, err := other.Verifier().Verify(&h, &o); !errors.Is(err, ErrBadSignature) {
				t.Errorf("%v: line of another key: %v", a, err)
			}
			o.Name, o.KeyID = other.key.Name, other.key.ID
			if _, err := other.Verifier().Verify(&h, &o); !errors.Is(err, ErrBadSignature) {
				t.Errorf("%v: signature of another key: %v", a, err)
			}
		}
	}
}

// The same seed under another name or type must give signatures that don't
// verify as each other's.
func TestSignaturesAreSeparated(t *testing.T) {
	h := testHead()
	seed := [32]byte{1}
	note, _ := NewSigner("n", Ed25519, seed)
	cosig, _ := NewSigner("n", CosignatureEd25519, seed)
	plain, _ := note.Sign(&h, 0)
	timed, _ := cosig.Sign(&h, 1000)
	if note.key.ID == cosig.key.ID {
		t.Error("one key ID for two types")
	}
	bad := Signature{Name: "n", KeyID: note.key.ID, Bytes: timed.Bytes[8:]}
	if _, err := note.Verifier().Verify(&h, &bad); err == nil {
		t.Error("a cosignature verifies as a note signature")
	}
	bad = Signature{Name: "n", KeyID: cosig.key.ID, Bytes: append(slices.Clone(timed.Bytes[:8]), plain.Bytes...)}
	if _, err := cosig.Verifier().Verify(&h, &bad); err == nil {
		t.Error("a note signature verifies as a cosignature")
	}
	// ML-DSA-44 messages commit to the cosigner's name.
	one, _ := NewSigner("one", CosignatureMLDSA44, seed)
	two, _ := NewSigner("two", CosignatureMLDSA44, seed)
	sig, _ := one.Sign(&h, 1000)
	sig.Name, sig.KeyID = "two", two.key.ID
	if _, err := two.Verifier().Verify(&h, &sig); err == nil {
		t.Error("an ML-DSA-44 cosignature verifies under another name")
	}
}

func TestCosignatureTimes(t *testing.T) {
	h := testHead()
	for _, a := range []Algorithm{CosignatureEd25519, CosignatureMLDSA44} {
		s := testSigner(t, "n", a)
		for _, bad := range []uint64{0, 1 << 63, 1<<64 - 1} {
			if _, err := s.Sign(&h, bad); err == nil {
				t.Errorf("%v: signed at %d", a, bad)
			}
		}
		for _, good := range []uint64{1, 1<<63 - 1} {
			sig, err := s.Sign(&h, good)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := s.Verifier().Verify(&h, &sig); err != nil || got != good {
				t.Errorf("%v: time %d, %v; want %d", a, got, err, good)
			}
		}
	}
	// A valid signature over a timestamp that the format does not allow.
	s := testSigner(t, "n", CosignatureEd25519)
	for _, bad := range []uint64{0, 1 << 63} {
		sig := Signature{Name: "n", KeyID: s.key.ID, Bytes: binary.BigEndian.AppendUint64(nil, bad)}
		sig.Bytes = append(sig.Bytes, ed25519.Sign(s.ed, ed25519Message(&h, bad))...)
		if _, err := s.Verifier().Verify(&h, &sig); !errors.Is(err, ErrBadSignature) {
			t.Errorf("timestamp %d: %v", bad, err)
		}
	}
}

// The messages byte by byte, as tlog-cosignature has them.
func TestSignedMessages(t *testing.T) {
	h := Head{Origin: "example.com/behind-the-sofa", Size: 20852163}
	var ok bool
	if h.Root, ok = decodeHash("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="); !ok {
		t.Fatal("the root of the example does not decode")
	}
	want := "cosignature/v1\ntime 1679315147\nexample.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
	if got := string(ed25519Message(&h, 1679315147)); got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
	msg, err := mldsaMessage("w", &h, 1679315147)
	if err != nil {
		t.Fatal(err)
	}
	raw := slices.Concat([]byte("subtree/v1\n\x00"), []byte{1, 'w'}, decode(t, "0000000064 1850cb"), []byte{27},
		[]byte(h.Origin), make([]byte, 8), decode(t, "00000000013e2dc3"), h.Root[:])
	if !bytes.Equal(msg, raw) {
		t.Errorf("got %x\nwant %x", msg, raw)
	}
}

func decode(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
