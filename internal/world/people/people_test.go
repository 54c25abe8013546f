// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package people

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/profile"
	"github.com/vasistas/vasistas/log/tlog"
)

const origin = "log.example/2026"

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// A charter is well-formed with each of the profiles and casts, and its signatures verify.
func TestCharter(t *testing.T) {
	p := New(origin, "")
	for name, edit := range map[string]func(*event.Charter){
		"as it is": nil,
		"long":     func(c *event.Charter) { c.Profile = LongProfile() },
		"forms":    p.Forms,
		"small": func(c *event.Charter) {
			p.Cast(c, event.RoleCharter, "founder")
			p.Cast(c, event.RoleCustodian, "holder")
			p.Cast(c, event.RoleAuditor)
			c.LogKeys = append(c.LogKeys, p.Note(origin, tlog.CosignatureMLDSA44).Verifier().String())
			c.WitnessPolicy = Policy(1, Witness{Name: "w", URL: "http://w.example", Keys: []*tlog.VerifierKey{
				p.Witness("w").Verifier(), p.Note("w.example", tlog.CosignatureMLDSA44).Verifier()}})
		},
		"without a quorum": func(c *event.Charter) { c.WitnessPolicy = p.Policy(0, "w1", "w2") },
	} {
		env, err := p.Signed(start, p.Charter(edit), "f1", "f2")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		again, err := event.ParseEnvelope(env.Bytes())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := again.Verify(p.Lookup); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := tlog.ParsePolicy([]byte("log " + p.Log().Verifier().String() + "\n" + again.Event.Body.(*event.Charter).WitnessPolicy)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Keys are those of the seed.
func TestSeed(t *testing.T) {
	keys := func(seed string) string {
		p := New(origin, seed)
		return p.KeyID("f1") + p.Log().Secret() + p.Witness("f1").Secret() + p.Note("f1.example", tlog.CosignatureMLDSA44).Secret() + string(p.Gate("f1").Public)
	}
	if a, again := keys("a"), keys("a"); a != again {
		t.Error("one seed gives two keys")
	}
	if a, b := keys("a"), keys("b"); a == b {
		t.Error("two seeds give one key")
	}
	if a, b := keys(""), keys(""); a == b {
		t.Error("two random seeds give one key")
	}
}

// Sign makes the bytes that event.Sign makes.
func TestSign(t *testing.T) {
	p := New(origin, "a")
	e, err := p.Event(start, p.Charter(nil))
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.Sign(e, "f1", "f2")
	if err != nil {
		t.Fatal(err)
	}
	want, err := event.Sign(e, p.Signer("f2"), p.Signer("f1"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Error("the envelopes differ")
	}
	if _, err := p.Signed(start, &event.Charter{}); err == nil {
		t.Error("an empty charter was signed")
	}
}

// Policies are met by as many witnesses as they say.
func TestPolicy(t *testing.T) {
	p := New(origin, "")
	cp, err := p.Checkpoint(tlog.Head{Origin: origin}, 1, "w1", "w3")
	if err != nil {
		t.Fatal(err)
	}
	for k, met := range []bool{true, true, true, false} {
		if _, err := p.ParsePolicy(k, "w1", "w2", "w3").Verify(cp, ""); (err == nil) != met {
			t.Errorf("%d of 3: %v", k, err)
		}
	}
}

// TestReasonsOfGates: each shipped profile has every reason that a gate gives, else the gate's
// refusals for that reason would never be in a log.
func TestReasonsOfGates(t *testing.T) {
	long := LongProfile()
	for _, name := range profile.Names() {
		p, err := profile.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, reason := range long.Reasons {
			if !slices.Contains(p.Reasons, reason) {
				t.Errorf("profile %s has no reason %s", name, reason)
			}
		}
	}
}
