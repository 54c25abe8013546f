// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/vasistas/vasistas/log/tlog"
)

func TestCharterRefuses(t *testing.T) {
	log2 := vkey("other.example", tlog.Ed25519, fill("log2", 32))
	for name, edit := range map[string]func(*Charter){
		"prev at version 1":         func(c *Charter) { c.Prev = refp(0) },
		"no prev at version 2":      func(c *Charter) { c.Version = 2 },
		"version 0":                 func(c *Charter) { c.Version = 0 },
		"no rules":                  func(c *Charter) { c.Rules = 0 },
		"no log key":                func(c *Charter) { c.LogKeys = nil },
		"log key of another origin": func(c *Charter) { c.LogKeys[0] = log2 },
		"ML-DSA log key first":      func(c *Charter) { slices.Reverse(c.LogKeys) },
		"log key twice":             func(c *Charter) { c.LogKeys = append(c.LogKeys, c.LogKeys[0]) },
		"log key with wrong hash":   func(c *Charter) { c.LogKeys[0] = strings.Replace(c.LogKeys[0], "+", "+0", 1) },
		"log key is a cosignature":  func(c *Charter) { c.LogKeys = []string{vkey(testLog, tlog.CosignatureEd25519, fill("log", 32))} },
		"log key of unknown type":   func(c *Charter) { c.LogKeys = append(c.LogKeys, vkey(testLog, 0x09, fill("z", 32))) },
		"short log key":             func(c *Charter) { c.LogKeys = append(c.LogKeys, vkey(testLog, tlog.Ed25519, fill("z", 31))) },
		"party twice": func(c *Charter) {
			c.Parties = append(c.Parties, Party{Name: "messenger", Role: RoleProvider, Keys: []*PublicKey{edSigner("new").Public()}})
		},
		"one key, two roles": func(c *Charter) { c.Party(RoleDuty, "ag-berlin").Keys = c.Party(RoleProvider, "messenger").Keys },
		"event key is the log's": func(c *Charter) {
			c.LogKeys = append(c.LogKeys, vkey(testLog, tlog.Ed25519, edSigner("messenger").Public().raw()))
		},
		"gate key twice": func(c *Charter) {
			c.Party(RoleCustodian, "custodian-1").Gates = c.Party(RoleCustodian, "custodian-2").Gates
		},
		"two gate keys of one kem": func(c *Charter) {
			p := c.Party(RoleCustodian, "custodian-1")
			p.Gates = []HPKEKey{{KEMX25519, fill("a", 32)}, {KEMX25519, fill("b", 32)}}
		},
		"custodian without gate": func(c *Charter) { c.Party(RoleCustodian, "custodian-1").Gates = nil },
		"provider with gate":     func(c *Charter) { c.Party(RoleProvider, "messenger").Gates = []HPKEKey{{KEMX25519, fill("a", 32)}} },
		"auditor with two keys": func(c *Charter) {
			p := c.Party(RoleAuditor, "watchdog")
			p.Keys = append(p.Keys, edSigner("new").Public())
		},
		"founder with two keys": func(c *Charter) {
			p := c.Party(RoleCharter, "founder-1")
			p.Keys = append(p.Keys, edSigner("new").Public())
		},
		"party without key":      func(c *Charter) { c.Party(RoleProvider, "messenger").Keys = nil },
		"nil key":                func(c *Charter) { c.Party(RoleProvider, "messenger").Keys = []*PublicKey{nil} },
		"no provider":            func(c *Charter) { c.Party(RoleProvider, "messenger").Role = RoleCharter },
		"duty without authority": func(c *Charter) { c.Party(RoleDuty, "ag-berlin").Name = "ag-hamburg" },
		"above itself":           func(c *Charter) { c.Party(RoleAuthority, "lg-berlin").Above = []string{"lg-berlin"} },
		"above an unknown":       func(c *Charter) { c.Party(RoleAuthority, "lg-berlin").Above = []string{"ag-hamburg"} },
		"provider of a kind":     func(c *Charter) { c.Party(RoleProvider, "messenger").Kind = "court" },
		"cosigner of a provider": func(c *Charter) {
			c.Party(RoleProvider, "messenger").Cosigners = []string{vkey("x", tlog.CosignatureEd25519, fill("x", 32))}
		},
		"cosigner is a witness": func(c *Charter) {
			c.Party(RoleAuditor, "watchdog").Cosigners = append(c.Party(RoleAuditor, "watchdog").Cosigners, vkey("other", tlog.CosignatureEd25519, fill("w1", 32)))
		},
		"cosigner has a log's type": func(c *Charter) {
			c.Party(RoleAuditor, "watchdog").Cosigners = []string{vkey("x", tlog.Ed25519, fill("x", 32))}
		},
		"unknown role":              func(c *Charter) { c.Parties[0].Role = "king" },
		"recover below amend":       func(c *Charter) { c.Thresholds = Thresholds{2, 1} },
		"recover above keys":        func(c *Charter) { c.Thresholds = Thresholds{1, 3} },
		"amend without signatures":  func(c *Charter) { c.Thresholds = Thresholds{0, 1} },
		"custodians of no group":    func(c *Charter) { c.Groups[0].Members = nil },
		"group threshold 0":         func(c *Charter) { c.Groups[0].Threshold = 0 },
		"group threshold above n":   func(c *Charter) { c.Groups[0].Threshold = 4 },
		"group with a stranger":     func(c *Charter) { c.Groups[0].Members[0] = "messenger" },
		"group member twice":        func(c *Charter) { c.Groups[0].Members[0] = c.Groups[0].Members[1] },
		"group twice":               func(c *Charter) { c.Groups = append(c.Groups, Group{"main", 1, []string{"custodian-1"}}) },
		"void twice":                func(c *Charter) { c.Void = append(c.Void, Void{10, c.Void[0].Key}) },
		"void of no key":            func(c *Charter) { c.Void[0].Key = "x" },
		"void in upper case":        func(c *Charter) { c.Void[0].Key = strings.ToUpper(c.Void[0].Key) },
		"no witness policy":         func(c *Charter) { c.WitnessPolicy = "" },
		"policy without quorum":     func(c *Charter) { c.AuditPolicy = strings.Replace(c.AuditPolicy, "quorum a1\n", "", 1) },
		"policy with two quorums":   func(c *Charter) { c.AuditPolicy += "quorum none\n" },
		"policy with a comment":     func(c *Charter) { c.AuditPolicy += "# free text\n" },
		"policy with an empty line": func(c *Charter) { c.AuditPolicy += "\n" },
		"policy with two spaces":    func(c *Charter) { c.AuditPolicy = strings.Replace(c.AuditPolicy, "quorum a1", "quorum  a1", 1) },
		"policy with a tab":         func(c *Charter) { c.AuditPolicy = strings.Replace(c.AuditPolicy, "quorum a1", "quorum\ta1", 1) },
		"policy with CR":            func(c *Charter) { c.AuditPolicy = strings.ReplaceAll(c.AuditPolicy, "\n", "\r\n") },
		"policy without last LF":    func(c *Charter) { c.AuditPolicy = strings.TrimSuffix(c.AuditPolicy, "\n") },
		"policy with a space first": func(c *Charter) { c.AuditPolicy = " " + c.AuditPolicy },
		"policy with DEL":           func(c *Charter) { c.AuditPolicy += "quorum \x7f\n" },
		"policy in another script":  func(c *Charter) { c.AuditPolicy = strings.ReplaceAll(c.AuditPolicy, "a1", "ä1") },
		"policy with another word":  func(c *Charter) { c.AuditPolicy += "mirror a1\n" },
		"quorum of two":             func(c *Charter) { c.AuditPolicy = strings.Replace(c.AuditPolicy, "quorum a1", "quorum a1 a1", 1) },
		"group without members":     func(c *Charter) { c.WitnessPolicy += "group h 1\n" },
		"log with three words":      func(c *Charter) { c.WitnessPolicy = strings.Replace(c.WitnessPolicy, "\n", " a b\n", 1) },
		"witness without a key":     func(c *Charter) { c.WitnessPolicy = "witness w2\n" + c.WitnessPolicy },
		"witness with two URLs":     func(c *Charter) { c.WitnessPolicy = strings.Replace(c.WitnessPolicy, "\ngroup", " b\ngroup", 1) },
		"witness's key has a quote": func(c *Charter) {
			c.WitnessPolicy = "witness w2 " + vkey(`a"b`, tlog.CosignatureEd25519, fill("x", 32)) + "\n" + c.WitnessPolicy
		},
		"policy with another log": func(c *Charter) { c.WitnessPolicy = "log " + log2 + "\n" + c.WitnessPolicy },
		"audit policy of a stranger": func(c *Charter) {
			c.AuditPolicy = "witness a1 " + vkey("x", tlog.CosignatureEd25519, fill("x", 32)) + "\nquorum a1\n"
		},
		"witness is an auditor": func(c *Charter) {
			c.WitnessPolicy = "witness w2 " + vkey("x", tlog.CosignatureEd25519, fill("auditor", 32)) + "\n" + c.WitnessPolicy
		},
		"witness key twice": func(c *Charter) {
			c.WitnessPolicy = "witness w2 " + vkey("x", tlog.CosignatureEd25519, fill("w1", 32)) + "\n" + c.WitnessPolicy
		},
		"auditor key twice": func(c *Charter) {
			c.AuditPolicy = strings.Replace(c.AuditPolicy, "quorum", strings.Replace(strings.SplitAfter(c.AuditPolicy, "\n")[0], "a1", "a2", 1)+"quorum", 1)
		},
		"witness with a log's type": func(c *Charter) {
			c.WitnessPolicy = "witness w2 " + vkey("x", tlog.Ed25519, fill("x", 32)) + "\n" + c.WitnessPolicy
		},
		"grace too short":           func(c *Charter) { c.Profile.Heartbeat.Grace = 2 * c.Profile.Publication },
		"emergency grace too short": func(c *Charter) { c.Profile.Emergency.Decision.Grace = 1 },
		"stale for ever":            func(c *Charter) { c.Profile.Stale = 1 << 40 },
		"window of 7,000 years":     func(c *Charter) { c.Profile.Instruments[0].Window = 7000 * year },
		"seal for 7,000 years":      func(c *Charter) { c.Profile.Seal.Longest = 7000 * year },
		"publication too large":     func(c *Charter) { c.Profile.Publication = MaxInteger },
		"seal default too long":     func(c *Charter) { c.Profile.Seal.Default = c.Profile.Seal.Longest + 1 },
		"steps don't begin at 0":    func(c *Charter) { c.Profile.Deferral.Steps[0].After = 1 },
		"steps don't ascend":        func(c *Charter) { c.Profile.Deferral.Steps[1].After = 0 },
		"step without length":       func(c *Charter) { c.Profile.Deferral.Steps[1].Longest = 0 },
		"no steps":                  func(c *Charter) { c.Profile.Deferral.Steps = nil },
		"never with a length":       func(c *Charter) { c.Profile.Deferral.Never.Longest = 1 },
		"never without signatures":  func(c *Charter) { c.Profile.Deferral.Never.Signatures = 0 },
		"instrument twice":          func(c *Charter) { c.Profile.Instruments[0].Code = "stpo-100b" },
		"instrument's bad seal":     func(c *Charter) { c.Profile.Instruments[2].Seal = &SealLimit{2, 1} },
		"instrument's bad deferral": func(c *Charter) { c.Profile.Instruments[2].Deferral.Steps[0].After = 9 },
		"no offences":               func(c *Charter) { c.Profile.Offences = nil },
		"source in free text":       func(c *Charter) { c.Profile.Sources[0].Law = "see <a>" },
		"figure in free text":       func(c *Charter) { c.Profile.Sources[0].Figure = "a b" },
	} {
		c := sampleCharter()
		edit(c)
		if _, err := New(testLog, c); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

// The rules, not the form, decide on quorums and on weak keys outside policies.
func TestCharterAccepts(t *testing.T) {
	for name, edit := range map[string]func(*Charter){
		"URL that is none": func(c *Charter) { c.WitnessPolicy = strings.Replace(c.WitnessPolicy, "https://", "x", 1) },
		"group of a stranger": func(c *Charter) {
			c.WitnessPolicy = strings.Replace(c.WitnessPolicy, "group g 1 w1", "group g 1 w9", 1)
		},
		"threshold above n":    func(c *Charter) { c.WitnessPolicy = strings.Replace(c.WitnessPolicy, "group g 1", "group g 9", 1) },
		"quorum of a stranger": func(c *Charter) { c.AuditPolicy = strings.Replace(c.AuditPolicy, "quorum a1", "quorum a9", 1) },
		"words with # in them": func(c *Charter) { c.WitnessPolicy = strings.ReplaceAll(c.WitnessPolicy, "w1", "w#") },
		"two witnesses, one name": func(c *Charter) {
			c.WitnessPolicy = "witness w1 " + vkey("x", tlog.CosignatureMLDSA44, fill("x", 1312)) + "\n" + c.WitnessPolicy
		},
		"weak cosigner": func(c *Charter) {
			p := c.Party(RoleAuditor, "watchdog")
			p.Cosigners = append(p.Cosigners, vkey("weak", tlog.CosignatureEd25519, make([]byte, 32)))
		},
	} {
		c := sampleCharter()
		before, err := New(testLog, c)
		if err != nil {
			t.Fatal(err)
		}
		one, _ := before.Bytes()
		edit(c)
		ev, err := New(testLog, c)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if b, err := ev.Bytes(); err != nil || bytes.Equal(b, one) {
			t.Errorf("%s: changed nothing: %v", name, err)
		} else if _, err := Parse(b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCharterLookups(t *testing.T) {
	c := sampleCharter()
	if p := c.Holder(ecSigner("judge-2").KeyID()); p == nil || p.Name != "ag-berlin" || p.Role != RoleAuthority {
		t.Errorf("holder is %+v", p)
	}
	if c.Holder("x") != nil || c.Party(RoleCharter, "messenger") != nil || c.Profile.Instrument("x") != nil {
		t.Error("found what isn't there")
	}
	// A log without escrow, emergencies and auditors is legal too.
	c.Groups, c.Void, c.Profile.Emergency, c.AuditPolicy = nil, nil, nil, "quorum none\n"
	if _, err := New(testLog, c); err != nil {
		t.Error(err)
	}
}

// A profile whose figures contradict each other does not parse, and the error names them.
func TestContradictoryProfile(t *testing.T) {
	for want, edit := range map[string]func(*Profile){
		"2 x witnessTimeout <= spread":         func(p *Profile) { p.WitnessTimeout = p.Spread/2 + 1 },
		"spread + 2 x publication <= skew":     func(p *Profile) { p.Skew-- },
		"spread + skew < lag":                  func(p *Profile) { p.Lag = p.Spread + p.Skew },
		"4 x round <= stale":                   func(p *Profile) { p.Round = p.Stale/4 + 1 },
		"stale < anchor.within + anchor.grace": func(p *Profile) { p.Stale = p.Anchor.Within + p.Anchor.Grace },
	} {
		ch := sampleCharter()
		edit(&ch.Profile)
		if _, err := New(testLog, ch); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
