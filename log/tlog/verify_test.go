// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestPolicyVerify(t *testing.T) {
	p := mustPolicy(t, "log {l1}\nlog {l2}\nwitness A {w1}\nwitness B {w2}\nwitness C {m3}\ngroup g 2 A B C\nquorum g\n")
	h := Head{Origin: "l1", Size: 5}
	l1, l2 := testSigner(t, "l1", Ed25519), testSigner(t, "l2", Ed25519)
	w1, w2, m3 := testSigner(t, "w1", CosignatureEd25519), testSigner(t, "w2", CosignatureEd25519), testSigner(t, "m3", CosignatureMLDSA44)
	stranger := testSigner(t, "stranger", CosignatureEd25519)

	cp := sign(t, h, l1, m3, stranger, w1, w2) // times: m3 1001, w1 1003, w2 1004
	v, err := p.Verify(cp, "")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, w := range v.Witnesses {
		names = append(names, w.Witness.Name)
		if w.Line.Name != w.Witness.Key.Name {
			t.Errorf("witness %s with the line of %s", w.Witness.Name, w.Line.Name)
		}
	}
	if !slices.Equal(names, []string{"A", "B", "C"}) || v.Witnesses[0].Time != 1003 || v.ExistedBefore != 1004 || v.LoggedAfter != 1003 {
		t.Errorf("witnesses %v, times %d and %d", names, v.ExistedBefore, v.LoggedAfter)
	}
	if len(v.Logs) != 1 || v.Logs[0].Name != "l1" || v.Checkpoint != cp {
		t.Errorf("logs %v", v.Logs)
	}

	flip := func(i int) *Checkpoint {
		c := sign(t, h, l1, m3, stranger, w1, w2)
		c.Signatures[i].Bytes[len(c.Signatures[i].Bytes)-1] ^= 1
		return c
	}
	for _, c := range []struct {
		name   string
		cp     *Checkpoint
		origin string
		want   error
	}{
		{"two witnesses", sign(t, h, l1, w1, w2), "", nil},
		{"origin given", cp, "l1", nil},
		{"other origin given", cp, "l2", ErrUnknownLog},
		{"unknown origin", cp, "x", ErrUnknownLog},
		{"one witness", sign(t, h, l1, w1), "", ErrNoQuorum},
		{"one witness and a stranger", sign(t, h, l1, w1, stranger), "", ErrNoQuorum},
		{"no witness", sign(t, h, l1), "", ErrNoQuorum},
		{"no log", sign(t, h, w1, w2, m3), "", ErrUnknownLog},
		{"the other log", sign(t, h, l2, w1, w2), "", ErrUnknownLog},
		{"the other log, origin given", sign(t, h, l2, w1, w2), "l1", ErrUnknownLog},
		{"both logs", sign(t, h, l1, l2, w1, w2), "", nil},
		{"origin unlike the key", sign(t, Head{Origin: "x"}, l1, w1, w2), "", ErrUnknownLog},
		{"origin unlike the key, given", sign(t, Head{Origin: "x"}, l1, w1, w2), "x", nil},
		{"bad log line", flip(0), "", ErrBadSignature},
		{"bad ML-DSA line beyond the quorum", flip(1), "", ErrBadSignature},
		{"bad line of a stranger", flip(2), "", nil},
		{"bad witness line beyond the quorum", flip(3), "", ErrBadSignature},
		{"last witness line bad", flip(4), "", ErrBadSignature},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, err := p.Verify(c.cp, c.origin)
			if !errors.Is(err, c.want) || (v == nil) != (c.want != nil) {
				t.Errorf("%v, %v; want %v", v, err, c.want)
			}
		})
	}

	// A bad line of a log of the policy spoils the note of another one too.
	c := sign(t, h, l1, l2, w1, w2)
	c.Signatures[1].Bytes[0] ^= 1
	if _, err := p.Verify(c, ""); !errors.Is(err, ErrBadSignature) {
		t.Errorf("bad line of the other log: %v", err)
	}
}

func TestPolicyVerifyWithoutWitnesses(t *testing.T) {
	p := mustPolicy(t, "log {l1}\nwitness A {w1}\nquorum none\n")
	if p.NeedsWitnesses() {
		t.Error("quorum none needs witnesses")
	}
	h := Head{Origin: "l1"}
	l1, w1 := testSigner(t, "l1", Ed25519), testSigner(t, "w1", CosignatureEd25519)
	v, err := p.Verify(sign(t, h, l1, w1), "")
	if err != nil || v.ExistedBefore != 0 || v.LoggedAfter != 0 || len(v.Witnesses) != 1 {
		t.Errorf("%+v, %v", v, err)
	}
	bad := sign(t, h, l1, w1)
	bad.Signatures[1].Bytes[9] ^= 1
	if _, err := p.Verify(bad, ""); !errors.Is(err, ErrBadSignature) {
		t.Errorf("bad line of a witness that isn't needed: %v", err)
	}
	if _, err := mustPolicy(t, "quorum none\n").Verify(sign(t, h, l1), ""); !errors.Is(err, ErrUnknownLog) {
		t.Errorf("policy without logs: %v", err)
	}
	if !p.Satisfied(func(int) bool { return false }) {
		t.Error("quorum none is not satisfied")
	}
	if set, ok := p.SmallestSet(func(int) bool { return true }); !ok || len(set) != 0 {
		t.Errorf("smallest set %v, %v", set, ok)
	}
}

// The log's own ML-DSA-44 line under the origin's name is enough alone, and
// doesn't stand for a witness.
func TestPolicyVerifyMLDSALog(t *testing.T) {
	p := mustPolicy(t, "log {m1}\nwitness A {w1}\nquorum A\n")
	m1, w1 := testSigner(t, "m1", CosignatureMLDSA44), testSigner(t, "w1", CosignatureEd25519)
	if _, err := p.Verify(sign(t, Head{Origin: "m1"}, m1, w1), ""); err != nil {
		t.Error(err)
	}
	if _, err := p.Verify(sign(t, Head{Origin: "m1"}, m1), ""); !errors.Is(err, ErrNoQuorum) {
		t.Errorf("log alone: %v", err)
	}
}

// Policies that other readers have accepted: one key under two names, a group with
// threshold 0, and two quorum lines.
func TestPolicyHolesOfPeers(t *testing.T) {
	k := testSigner(t, "w1", CosignatureEd25519).Verifier()
	again, err := NewVerifierKey("second", k.Algorithm, k.Key)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"log {l1}\nwitness a {w1}\nwitness b " + again.String() + "\ngroup g 2 a b\nquorum g\n",
		"log {l1}\nwitness a {w1}\ngroup g 0 a\nquorum g\n",
		"log {l1}\ngroup g 0\nquorum g\n",
		"log {l1}\nwitness a {w1}\nquorum a\nquorum none\n",
	} {
		if p, err := ParsePolicy([]byte(policyText(t, text))); err == nil {
			t.Errorf("accepted %.200q as %+v", text, p)
		}
	}
}

func TestFind(t *testing.T) {
	c := testCheckpoint(t)
	for i := range c.Signatures {
		s := &c.Signatures[i]
		key := &VerifierKey{Name: s.Name, ID: s.KeyID}
		if c.Find(key) != s {
			t.Errorf("line %d is not found", i)
		}
		if c.Find(&VerifierKey{Name: s.Name, ID: s.KeyID ^ 1}) != nil || c.Find(&VerifierKey{Name: strings.ToUpper(s.Name), ID: s.KeyID}) != nil {
			t.Errorf("line %d is found under another key", i)
		}
	}
}
