// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each target below checks that a parser accepts one encoding only: what it
// accepts, it writes back byte for byte, and reads as the same again.

func addFiles(f *testing.F, pattern string) {
	f.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds in %s: %v", pattern, err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
}

// addSloppy adds b and what a sloppy reader takes for the same.
func addSloppy(f *testing.F, b []byte) {
	f.Helper()
	s := string(b)
	for _, v := range []string{s, s + "\n", strings.TrimSuffix(s, "\n"), strings.ReplaceAll(s, "\n", "\r\n"),
		strings.Replace(s, "=\n", "\n", 1), strings.Replace(s, "\n\n", "\n", 1), strings.Replace(s, " ", "  ", 1),
		strings.Replace(s, "index ", "index 0", 1), strings.Replace(s, "old ", "old 0", 1), strings.Replace(s, "\n2", "\n02", 1)} {
		f.Add([]byte(v))
	}
}

func checkMalleability[T encoder](t *testing.T, parse func([]byte) (T, error), b []byte) (v T, ok bool) {
	in := bytes.Clone(b)
	v, err := parse(b)
	if !bytes.Equal(in, b) {
		t.Fatalf("the parser changed its input from %q to %q", in, b)
	}
	if err != nil {
		return v, false
	}
	if got := v.Bytes(); !bytes.Equal(got, in) {
		t.Fatalf("read %q\nand wrote %q", in, got)
	}
	return v, true
}

func FuzzCheckpoint(f *testing.F) {
	addFiles(f, "testdata/checkpoints/aw_*.txt")
	addSloppy(f, sign(f, testHead(), testSigner(f, testOrigin, Ed25519)).Bytes())
	addSloppy(f, sign(f, Head{Origin: "o", Extension: []string{"x", "y"}}, testSigner(f, "n", CosignatureEd25519)).Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		c, ok := checkMalleability(t, ParseCheckpoint, b)
		if !ok {
			return
		}
		if err := c.validate(); err != nil {
			t.Fatalf("a parsed head is not one to sign: %v", err)
		}
		for i := range c.Signatures {
			s := &c.Signatures[i]
			if c.Find(&VerifierKey{Name: s.Name, ID: s.KeyID}) != s {
				t.Fatalf("line %d is not the one of its key", i)
			}
		}
	})
}

type signatureLines []Signature

func (s signatureLines) Bytes() []byte { return SignatureLines(s) }

func FuzzSignatureLines(f *testing.F) {
	addSloppy(f, SignatureLines(sign(f, testHead(), testSigner(f, testOrigin, Ed25519), testSigner(f, "w", CosignatureEd25519)).Signatures))
	f.Add([]byte("— n AQIDBAU=\n— n AQIDBQU=\n"))
	f.Add([]byte("— n AQIDBAV=\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		checkMalleability(t, func(b []byte) (signatureLines, error) { s, err := ParseSignatureLines(b); return s, err }, b)
	})
}

func FuzzProof(f *testing.F) {
	addFiles(f, "testdata/tlog-proofs/*.tlog-proof")
	cp := sign(f, testHead(), testSigner(f, testOrigin, Ed25519))
	addSloppy(f, (&Proof{Extra: []byte("entry"), Index: 73894, Hashes: testHashes(2), Checkpoint: cp}).Bytes())
	addSloppy(f, (&Proof{Checkpoint: cp}).Bytes())
	f.Fuzz(func(t *testing.T, b []byte) { checkMalleability(t, ParseProof, b) })
}

func FuzzAddCheckpoint(f *testing.F) {
	cp := sign(f, testHead(), testSigner(f, testOrigin, Ed25519))
	addSloppy(f, (&AddCheckpoint{Old: 20852014, Proof: testHashes(2), Checkpoint: cp}).Bytes())
	addSloppy(f, (&AddCheckpoint{Checkpoint: cp}).Bytes())
	f.Fuzz(func(t *testing.T, b []byte) { checkMalleability(t, ParseAddCheckpoint, b) })
}

func FuzzVerifierKey(f *testing.F) {
	for _, a := range algorithms {
		addSloppy(f, []byte(testSigner(f, "n", a).Verifier().String()))
	}
	f.Add([]byte("n+00000000+BA=="))
	f.Fuzz(func(t *testing.T, b []byte) { checkMalleability(t, parseVkey, b) })
}

func FuzzSigner(f *testing.F) {
	for _, a := range algorithms {
		addSloppy(f, []byte(testSigner(f, "n", a).Secret()))
	}
	f.Fuzz(func(t *testing.T, b []byte) { checkMalleability(t, parseSkey, b) })
}

type treeSize uint64

func (n treeSize) Bytes() []byte { return fmt.Appendf(nil, "%d\n", n) }

func FuzzTreeSize(f *testing.F) {
	for _, s := range []string{"0\n", "7\n", "07\n", "7\r\n", "9223372036854775807\n", "9223372036854775808\n", "18446744073709551617\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, ok := checkMalleability(t, func(b []byte) (treeSize, error) { n, err := ParseTreeSize(b); return treeSize(n), err }, b)
		if ok && n > 1<<63-1 {
			t.Fatalf("%q is %d", b, n)
		}
	})
}

func FuzzPolicy(f *testing.F) {
	add := func(s string) { addSloppy(f, []byte(policyText(f, s))) }
	add("log {l1} https://log.example\nwitness a {w1}\nwitness b {w2}\nwitness c {w3}\ngroup g 2 a b\ngroup h all g c\nquorum h\n")
	add("# x\n\nwitness a {w1} http://w.example/\nquorum a\nwitness b {w2}\ngroup g any b a\n")
	add("log {l1}\nwitness a {w1}\ngroup g 0 a\nquorum g\n")
	add("quorum none\n")
	add("quorum none\nquorum none\n")
	f.Fuzz(func(t *testing.T, b []byte) {
		p, ok := checkMalleability(t, ParsePolicy, b)
		if !ok || len(p.Witnesses) > 8 {
			return
		}
		m := readModel(string(b))
		if len(m.witnesses) != len(p.Witnesses) {
			t.Fatalf("%d witnesses, want %d", len(p.Witnesses), len(m.witnesses))
		}
		keys := map[string]bool{}
		for _, w := range p.Witnesses {
			keys[string(w.Key.Key)] = true
		}
		for _, l := range p.Logs {
			keys[string(l.Key.Key)] = true
		}
		if len(keys) != len(p.Witnesses)+len(p.Logs) {
			t.Fatal("one key is used twice")
		}
		if p.NeedsWitnesses() == p.Satisfied(func(int) bool { return false }) {
			t.Fatal("a quorum is met without witnesses, or quorum none is not")
		}
		checkPolicyModel(t, p, m, []uint64{5, 1, 3, 3, 2, 1, 4, 3})
	})
}

func FuzzParseBundle(f *testing.F) {
	f.Add(AppendEntry(AppendEntry(nil, []byte("a")), nil), 2)
	f.Add([]byte{0, 1}, 1)
	f.Add([]byte{0, 1, 2, 3}, 1)
	f.Fuzz(func(t *testing.T, b []byte, width int) {
		entries, err := ParseBundle(b, width)
		if err != nil {
			return
		}
		var again []byte
		for _, e := range entries {
			again = AppendEntry(again, e)
		}
		if len(entries) != width || !bytes.Equal(again, b) {
			t.Errorf("%d entries, encoded again to %x", len(entries), again)
		}
	})
}
