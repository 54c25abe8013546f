// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/gowebpki/jcs"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"github.com/transparency-dev/merkle/rfc6962"
)

func sign(t testing.TB, body Body, signers ...Signer) *Envelope {
	t.Helper()
	env, err := Sign(sample(t, body), signers...)
	if err != nil {
		t.Fatal(err)
	}
	return env
}

func TestEnvelopeRoundTrip(t *testing.T) {
	signers := []Signer{edSigner("a"), ecSigner("b"), edSigner("c")}
	for _, body := range sampleBodies() {
		env := sign(t, body, signers...)
		b := env.Bytes()
		again, err := ParseEnvelope(b)
		if err != nil {
			t.Fatalf("%T: %v", body, err)
		}
		if !bytes.Equal(again.Bytes(), b) || again.Hash() != env.Hash() || again.LeafHash() != env.LeafHash() {
			t.Errorf("%T: another envelope", body)
		}
		if err := again.Verify(lookup(signers...)); err != nil {
			t.Errorf("%T: %v", body, err)
		}
		if canonical, err := jcs.Transform(b); err != nil || !bytes.Equal(canonical, b) {
			t.Errorf("%T: jcs disagrees: %v", body, err)
		}
		if want := rfc6962.DefaultHasher.HashLeaf(b); !bytes.Equal(want, hashSlice(env.LeafHash())) {
			t.Errorf("%T: leaf hash disagrees with RFC 6962's", body)
		}
	}
}

func hashSlice(h [32]byte) []byte { return h[:] }

// dsseVerifier verifies with the standard library alone.
type dsseVerifier struct{ s Signer }

func (v dsseVerifier) KeyID() (string, error)   { return v.s.KeyID(), nil }
func (v dsseVerifier) Public() crypto.PublicKey { return nil }
func (v dsseVerifier) Verify(_ context.Context, data, sig []byte) error {
	k := v.s.Public()
	if k.ed != nil {
		if ed25519.Verify(k.ed, data, sig) {
			return nil
		}
		return errors.New("bad")
	}
	h := sha256.Sum256(data)
	if ecdsa.VerifyASN1(k.ec, h[:], sig) {
		return nil
	}
	return errors.New("bad")
}

func TestDSSEOracle(t *testing.T) {
	a, b := edSigner("a"), ecSigner("b")
	env := sign(t, sampleBodies()[1], a, b)
	var theirs dsse.Envelope
	if err := json.Unmarshal(env.Bytes(), &theirs); err != nil {
		t.Fatal(err)
	}
	verifier, err := dsse.NewMultiEnvelopeVerifier(2, dsseVerifier{a}, dsseVerifier{b})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := verifier.Verify(t.Context(), &theirs)
	if err != nil || len(keys) != 2 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	body, err := theirs.DecodeB64Payload()
	if err != nil || !bytes.Equal(body, env.Payload) {
		t.Errorf("payload differs: %v", err)
	}
	pae := dsse.PAE(PayloadType, env.Payload)
	if env.Hash() != sha256.Sum256(pae) {
		t.Error("event hash is not SHA-256 of the PAE")
	}
	if !bytes.Equal(AppendPAE(nil, "http://example.com/HelloWorld", []byte("hello world")),
		[]byte("DSSEv1 29 http://example.com/HelloWorld 11 hello world")) {
		t.Error("PAE differs from the specification's example")
	}
}

func TestVerify(t *testing.T) {
	a, b := edSigner("a"), ecSigner("b")
	env := sign(t, sampleBodies()[1], a, b)
	if err := env.Verify(lookup(a)); !errors.Is(err, ErrUnknownSigner) {
		t.Errorf("unknown: error is %v", err)
	}
	other := edSigner("other").Public()
	if err := env.Verify(func(string) *PublicKey { return other }); !errors.Is(err, ErrUnknownSigner) {
		t.Errorf("lookup returns another key: error is %v", err)
	}
	if err := (&Envelope{Event: env.Event, Payload: env.Payload}).Verify(lookup(a, b)); !errors.Is(err, ErrBadSignature) {
		t.Errorf("no signature: error is %v", err)
	}
	for i := range env.Signatures {
		for j := range env.Signatures[i].Sig {
			bad := *env
			bad.Signatures = append([]Signature(nil), env.Signatures...)
			bad.Signatures[i].Sig = bytes.Clone(env.Signatures[i].Sig)
			bad.Signatures[i].Sig[j] ^= 1
			if err := bad.Verify(lookup(a, b)); !errors.Is(err, ErrBadSignature) {
				t.Fatalf("signature %d, byte %d: error is %v", i, j, err)
			}
		}
	}
	for j := range env.Payload {
		bad := *env
		bad.Payload = bytes.Clone(env.Payload)
		bad.Payload[j] ^= 1
		if err := bad.Verify(lookup(a, b)); !errors.Is(err, ErrBadSignature) {
			t.Fatalf("payload byte %d: error is %v", j, err)
		}
	}
}

func TestParseEnvelopeRefuses(t *testing.T) {
	a, b := edSigner("a"), ecSigner("b")
	env := sign(t, sampleBodies()[1], a, b)
	good := string(env.Bytes())
	payload := base64.StdEncoding.EncodeToString(env.Payload)
	sigs := good[strings.Index(good, `"signatures":`):]
	one := strings.Split(strings.TrimSuffix(strings.TrimPrefix(sigs, `"signatures":[`), "]}"), "},")
	first, second := one[0]+"}", one[1]
	both := first + "," + second
	id := env.Signatures[0].KeyID
	for name, edit := range map[string][2]string{
		"trailing LF":            {`}]}`, "}]}\n"},
		"trailing value":         {`}]}`, `}]}{}`},
		"space":                  {`,"payloadType"`, `, "payloadType"`},
		"duplicate member":       {`,"payloadType"`, `,"payload":"e30=","payloadType"`},
		"unknown member":         {`}]}`, `}],"x":1}`},
		"unknown in a signature": {`,"sig"`, `,"cert":"x","sig"`},
		"reordered":              {`{"payload":"` + payload + `","payloadType":"` + PayloadType + `"`, `{"payloadType":"` + PayloadType + `","payload":"` + payload + `"`},
		"other payload type":     {PayloadType, "application/vnd.in-toto+json"},
		"escaped payload type":   {"application/vnd", `application\/vnd`},
		"unsorted signatures":    {both, second + "," + first},
		"one key twice":          {both, first + "," + both},
		"no signatures":          {both, ""},
		"signatures null":        {"[" + both + "]", "null"},
		"signatures missing":     {"," + sigs, "}"},
		"key id in upper case":   {id, strings.ToUpper(id)},
		"key id too short":       {id, id[:62]},
		"key id not hex":         {id, "g" + id[1:]},
		"key id empty":           {id, ""},
		"no payload":             {payload, ""},
		"unpadded":               {`=="}`, `"}`},
		"base64url":              {`"sig":"`, `"sig":"-_`},
		"line break in payload":  {payload, payload[:40] + "\n" + payload[40:]},
		"CR in payload":          {payload, payload[:40] + "\r" + payload[40:]},
		"escaped line break":     {payload, payload[:40] + `\n` + payload[40:]},
		"space in payload":       {payload, payload[:40] + " " + payload[40:]},
		"bad payload":            {payload, base64.StdEncoding.EncodeToString([]byte(`{"type":"warrant"}`))},
		"payload with a space":   {payload, base64.StdEncoding.EncodeToString(append(bytes.Clone(env.Payload), ' '))},
		"long signature":         {`"sig":"`, `"sig":"` + strings.Repeat("AAAA", 20)},
		"empty":                  {good, ""},
		"array":                  {good, "[" + good + "]"},
		"too large":              {good, good + strings.Repeat(" ", MaxEntrySize)},
	} {
		bad := strings.Replace(good, edit[0], edit[1], 1)
		if bad == good {
			t.Errorf("%s: the edit changes nothing", name)
			continue
		}
		if _, err := ParseEnvelope([]byte(bad)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
	// Non-zero bits in the padding of the last quantum.
	i := strings.Index(good, `=="}`)
	for _, last := range "ABCDEFGHIJKLMNOPQRSTUVWXYZ" {
		bad := good[:i-1] + string(last) + good[i:]
		if _, err := ParseEnvelope([]byte(bad)); err == nil && !strings.ContainsRune("AQgw", last) {
			t.Errorf("trailing bits of %c were accepted", last)
		}
	}
}

func TestEnvelopeLimits(t *testing.T) {
	// The largest disclosure that fits, and one that doesn't.
	fits, refused := 0, 0
	for n := 23000; n <= MaxNoticeSize; n += 10 {
		e, err := New(testLog, &Disclosure{Event: ref(1), Notices: [][]byte{fill("a", n), fill("b", 3000)}})
		if errors.Is(err, ErrTooLarge) {
			refused++
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		env, err := Sign(e, edSigner("a"))
		switch {
		case err == nil:
			fits++
			if len(env.Bytes()) > MaxEntrySize {
				t.Fatalf("entry has %d bytes", len(env.Bytes()))
			}
			if _, err := ParseEnvelope(env.Bytes()); err != nil {
				t.Fatal(err)
			}
		case errors.Is(err, ErrTooLarge):
			refused++
		default:
			t.Fatal(err)
		}
	}
	if fits == 0 || refused == 0 {
		t.Errorf("%d fit, %d are too large: the test misses the limit", fits, refused)
	}
	env := sign(t, sampleBodies()[4], edSigner("0"))
	for i := 1; i < MaxSignatures; i++ {
		var err error
		if env, err = env.AddSignature(edSigner(string(rune('0' + i)))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := ParseEnvelope(env.Bytes()); err != nil {
		t.Error(err)
	}
	if _, err := env.AddSignature(edSigner("one more")); !errors.Is(err, ErrTooLarge) {
		t.Errorf("error is %v", err)
	}
}

func TestAddSignature(t *testing.T) {
	a, b := edSigner("a"), ecSigner("b")
	one := sign(t, sampleBodies()[1], a)
	before := bytes.Clone(one.Bytes())
	two, err := one.AddSignature(b)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, one.Bytes()) {
		t.Error("the first envelope changed")
	}
	if one.Hash() != two.Hash() || one.LeafHash() == two.LeafHash() {
		t.Error("a signature must change the leaf and not the event")
	}
	if err := two.Verify(lookup(a, b)); err != nil {
		t.Error(err)
	}
	if _, err := two.AddSignature(a); err == nil {
		t.Error("one key signed twice")
	}
	if _, err := one.AddSignature(liar{edSigner("c"), b}); !errors.Is(err, ErrBadSignature) {
		t.Errorf("a signature by another key: error is %v", err)
	}
	if _, err := Sign(sample(t, sampleBodies()[1])); err == nil {
		t.Error("signed without a signer")
	}
}

// A liar signs with another key than its own.
type liar struct {
	Signer
	other Signer
}

func (l liar) Sign(msg []byte) ([]byte, error) { return l.other.Sign(msg) }
