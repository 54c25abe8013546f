// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/mldsa"
	"github.com/google/go-cmp/cmp"
	formatslog "github.com/transparency-dev/formats/log"
	formatsnote "github.com/transparency-dev/formats/note"
	formatsproof "github.com/transparency-dev/formats/proof"
	"golang.org/x/mod/sumdb/note"
)

// golang.org/x/mod/sumdb/note opens what we sign, and signs what we open, with
// the same key text.
func TestOracleNote(t *testing.T) {
	ours := testSigner(t, testOrigin, Ed25519)
	theirs, err := note.NewSigner(ours.Secret())
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(ours.Verifier().String())
	if err != nil {
		t.Fatal(err)
	}
	if theirs.KeyHash() != ours.Verifier().ID || verifier.Name() != ours.Verifier().Name {
		t.Error("another key ID or name")
	}
	for _, h := range []Head{testHead(), {Origin: testOrigin, Extension: []string{"ext"}}} {
		ourNote := sign(t, h, ours).Bytes()
		n, err := note.Open(ourNote, note.VerifierList(verifier))
		if err != nil || n.Text != string(h.Text()) || len(n.Sigs) != 1 || len(n.UnverifiedSigs) != 0 {
			t.Fatalf("opened %+v, %v", n, err)
		}
		theirNote, err := note.Sign(&note.Note{Text: string(h.Text())}, theirs)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(theirNote, ourNote) {
			t.Errorf("they sign\n%s\nand we\n%s", theirNote, ourNote)
		}
		c := checkRoundTrip(t, ParseCheckpoint, string(theirNote))
		if _, err := ours.Verifier().Verify(&c.Head, &c.Signatures[0]); err != nil {
			t.Error(err)
		}
	}

	skey, vkey, err := note.GenerateKey(nil, "their.example/key")
	if err != nil {
		t.Fatal(err)
	}
	checkRoundTrip(t, parseSkey, skey)
	checkRoundTrip(t, parseVkey, vkey)
	s, err := ParseSigner(skey)
	if err != nil || s.Verifier().String() != vkey {
		t.Errorf("their key became %v, %v", s, err)
	}
}

// transparency-dev/formats verifies our cosignatures and we verify its.
func TestOracleCosignatures(t *testing.T) {
	logKey := testSigner(t, testOrigin, Ed25519)
	logVerifier, err := note.NewVerifier(logKey.Verifier().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []Algorithm{CosignatureEd25519, CosignatureMLDSA44} {
		t.Run(a.String(), func(t *testing.T) {
			ours := testSigner(t, "witness.example/w1", a)
			verifier, err := formatsnote.NewVerifierForCosignatureV1(ours.Verifier().String())
			if err != nil {
				t.Fatal(err)
			}
			h := testHead()
			c := sign(t, h, logKey, ours)
			cp, _, n, err := formatslog.ParseCheckpoint(c.Bytes(), testOrigin, logVerifier, verifier)
			if err != nil || len(n.Sigs) != 2 {
				t.Fatalf("they see %+v, %v", n, err)
			}
			if cp.Origin != h.Origin || cp.Size != h.Size || !bytes.Equal(cp.Hash, h.Root[:]) {
				t.Errorf("they see %+v", cp)
			}
			if at, err := formatsnote.CoSigV1Timestamp(n.Sigs[1]); err != nil || at.Unix() != 1001 {
				t.Errorf("they see the time %v, %v", at, err)
			}

			theirs, err := formatsnote.NewSignerForCosignatureV1(ours.Secret())
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now().Unix()
			signed, err := note.Sign(&note.Note{Text: string(h.Text())}, theirs)
			if err != nil {
				t.Fatal(err)
			}
			back := checkRoundTrip(t, ParseCheckpoint, string(signed))
			at, err := ours.Verifier().Verify(&back.Head, &back.Signatures[0])
			if err != nil || int64(at) < start || int64(at) > start+60 {
				t.Errorf("their cosignature at %d: %v", at, err)
			}
		})
	}
}

func TestOracleGeneratedMLDSAKeys(t *testing.T) {
	skey, vkey, err := formatsnote.GenerateMLDSAKey("witness.example/w1")
	if err != nil {
		t.Fatal(err)
	}
	checkRoundTrip(t, parseSkey, skey)
	checkRoundTrip(t, parseVkey, vkey)
	if s, err := ParseSigner(skey); err != nil || s.Verifier().String() != vkey {
		t.Errorf("their key became %v, %v", s, err)
	}
}

// filippo.io/mldsa, another implementation of FIPS 204, agrees on keys and on
// signatures in both directions.
func TestOracleMLDSA(t *testing.T) {
	h := testHead()
	for i := range 8 {
		ours, err := NewSigner("witness.example/w1", CosignatureMLDSA44, sha256.Sum256([]byte{byte(i)}))
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := mldsa.NewPrivateKey(mldsa.MLDSA44(), ours.seed[:])
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(theirs.PublicKey().Bytes(), ours.Verifier().Key) {
			t.Fatal("one seed gives two keys")
		}
		sig, err := ours.Sign(&h, 1679315147)
		if err != nil {
			t.Fatal(err)
		}
		msg, err := mldsaMessage(ours.key.Name, &h, 1679315147)
		if err != nil {
			t.Fatal(err)
		}
		if err := mldsa.Verify(theirs.PublicKey(), msg, sig.Bytes[8:], nil); err != nil {
			t.Errorf("they refuse ours: %v", err)
		}
		raw, err := theirs.Sign(nil, msg, nil)
		if err != nil {
			t.Fatal(err)
		}
		sig.Bytes = append(slices.Clone(sig.Bytes[:8]), raw...)
		if at, err := ours.Verifier().Verify(&h, &sig); err != nil || at != 1679315147 {
			t.Errorf("we refuse theirs: %v", err)
		}
		withContext, err := theirs.Sign(nil, msg, &mldsa.Options{Context: "x"})
		if err != nil {
			t.Fatal(err)
		}
		sig.Bytes = append(sig.Bytes[:8], withContext...)
		if _, err := ours.Verifier().Verify(&h, &sig); err == nil {
			t.Error("we accept a signature with a context")
		}
	}
}

// transparency-dev/formats reads the proofs that we write, and we read its.
func TestOracleProof(t *testing.T) {
	for _, p := range []*Proof{
		testProof(t),
		{Checkpoint: testCheckpoint(t)},
		{Index: 5, Hashes: testHashes(MaxHashes), Checkpoint: testCheckpoint(t)},
		{Extra: bytes.Repeat([]byte{7}, 48_000), Index: 1<<63 - 1, Checkpoint: testCheckpoint(t)}, // our largest entry
	} {
		var hashes [][32]byte
		for _, h := range p.Hashes {
			hashes = append(hashes, h)
		}
		want := formatsproof.TLogProof{Index: p.Index, Hashes: hashes, ExtraData: p.Extra, Checkpoint: p.Checkpoint.Bytes()}
		var got formatsproof.TLogProof
		if err := got.Unmarshal(p.Bytes()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("they read another proof (-want +got):\n%s", diff)
		}
		back := checkRoundTrip(t, ParseProof, string(want.Marshal()))
		if diff := cmp.Diff(p, back); diff != "" {
			t.Errorf("we read another proof (-want +got):\n%s", diff)
		}
	}
	// What they let pass, and we don't.
	good := string(testProof(t).Bytes())
	for name, bad := range map[string]string{
		"CRLF":          strings.ReplaceAll(good, "\n", "\r\n"),
		"leading zeros": swap(t, good, "index 7", "index 007"),
		"no checkpoint": good[:strings.Index(good, "\n\n")+2],
	} {
		var p formatsproof.TLogProof
		if err := p.Unmarshal([]byte(bad)); err != nil {
			t.Logf("%s: they refuse it too by now: %v", name, err)
		}
		if _, err := ParseProof([]byte(bad)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
