// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"slices"
	"strings"
	"testing"

	"github.com/vasistas/vasistas/log/tlog"
)

// The diff shows every change of a charter, since founders and operators decide
// by it.
func TestDiff(t *testing.T) {
	fresh := func(name string) string { return vkey(name+".example", tlog.CosignatureEd25519, fill(name, 32)) }
	witness := "witness witness.example+3e4cd58b"
	for name, c := range map[string]struct {
		change func(*Charter)
		want   []string // names to confirm by
		says   string
	}{
		"nothing": {func(ch *Charter) { ch.Version, ch.Prev = 9, refp(3) }, nil, ""},
		"rules":   {func(ch *Charter) { ch.Rules = 3 }, nil, "rules: 3, and was 2"},
		"log key": {func(ch *Charter) {
			ch.LogKeys = append(ch.LogKeys, vkey(testLog, tlog.CosignatureMLDSA44, fill("n", 1312)))
		}, []string{"log key log.example/2026+"}, "log keys: log.example/2026(SHA-256 "},
		"founder":         {func(ch *Charter) { ch.Party(RoleCharter, "founder-1").Keys[0] = edSigner("x").Public() }, []string{"charter founder-1"}, "charter founder-1, keys: " + edSigner("x").KeyID() + ", and was "},
		"name":            {func(ch *Charter) { ch.Party(RoleCharter, "founder-1").Name = "x" }, []string{"charter founder-1", "charter x"}, "charter x, keys: "},
		"authority":       {func(ch *Charter) { ch.Party(RoleAuthority, "ag-berlin").Keys[0] = edSigner("x").Public() }, nil, "authority ag-berlin, keys: "},
		"kind":            {func(ch *Charter) { ch.Party(RoleAuthority, "ag-berlin").Kind = "commission" }, nil, "authority ag-berlin, kind: commission, and was court"},
		"auditor":         {func(ch *Charter) { ch.Party(RoleAuditor, "watchdog").Keys[0] = edSigner("x").Public() }, []string{"auditor watchdog"}, "auditor watchdog, keys: "},
		"gate":            {func(ch *Charter) { ch.Party(RoleCustodian, "custodian-1").Gates[1].Public[7] ^= 1 }, []string{"custodian custodian-1"}, "custodian custodian-1, gates: mlkem768-x25519 (SHA-256 "},
		"idle custodian":  {func(ch *Charter) { ch.Groups = nil; ch.Party(RoleCustodian, "custodian-1").Gates[0].Public[0] ^= 1 }, []string{"custodian custodian-1", "group main"}, "custodian custodian-1"},
		"share order":     {func(ch *Charter) { slices.Reverse(ch.Groups[0].Members) }, []string{"group main"}, "group main, members: "},
		"group threshold": {func(ch *Charter) { ch.Groups[0].Threshold = 1 }, []string{"group main"}, "group main, threshold: 1, and was 2"},
		"group id":        {func(ch *Charter) { ch.Groups[0].ID = "x" }, []string{"group main", "group x"}, "group x, threshold: 2 is new"},
		"amend":           {func(ch *Charter) { ch.Thresholds.Recover = 1 }, []string{"thresholds"}, "thresholds.recover: 1, and was 2"},
		"void":            {func(ch *Charter) { ch.Void[0].From = 8 }, nil, " from entry 8 on, and was key "},
		"void gone":       {func(ch *Charter) { ch.Void = nil }, nil, " is gone"},
		"witness url":     {func(ch *Charter) { ch.WitnessPolicy = strings.Replace(ch.WitnessPolicy, "https://", "http://", 1) }, []string{witness}, " http://witness.example, and was witness "},
		"another witness": {func(ch *Charter) {
			ch.WitnessPolicy = strings.Replace(ch.WitnessPolicy, "group", "witness w2 "+fresh("w2")+"\ngroup", 1)
		}, []string{"witness w2.example+"}, "witness policy: witness w2 "},
		"order of lines": {func(ch *Charter) {
			lines := strings.SplitAfter(ch.WitnessPolicy, "\n")
			lines[0], lines[1] = lines[1], lines[0]
			ch.WitnessPolicy = strings.Join(lines, "")
		}, nil, ""},
		"no witness":       {func(ch *Charter) { ch.WitnessPolicy = "quorum none\n" }, []string{"witness policy", witness}, "witness policy: quorum none is new"},
		"no auditor":       {func(ch *Charter) { ch.AuditPolicy = "quorum none\n" }, []string{"auditor auditor.example+", "auditor policy"}, "audit policy: quorum none"},
		"a second":         {func(ch *Charter) { ch.Profile.Seal.Longest-- }, nil, "profile.seal.longest: 31535999s, and was 365d"},
		"no duration":      {func(ch *Charter) { ch.Profile.Deferral.Steps[1].After = 0 }, nil, "profile.deferral.steps.1.after: 0s, and was 365d"},
		"step":             {func(ch *Charter) { ch.Profile.Deferral.Steps[1].After++ }, nil, "profile.deferral.steps.1.after: "},
		"step gone":        {func(ch *Charter) { ch.Profile.Deferral.Steps = ch.Profile.Deferral.Steps[:1] }, nil, "profile.deferral.steps.1.kinds: court is gone"},
		"never":            {func(ch *Charter) { ch.Profile.Deferral.Never = nil }, nil, "profile.deferral.never."},
		"instrument":       {func(ch *Charter) { ch.Profile.Instruments = ch.Profile.Instruments[1:] }, nil, "profile.instruments.stpo-100a: yes is gone"},
		"instrument limit": {func(ch *Charter) { ch.Profile.Instrument("stpo-100b").Seal = nil }, nil, "profile.instruments.stpo-100b.seal.default: 1s is gone"},
		"emergency":        {func(ch *Charter) { ch.Profile.Emergency = nil }, nil, "profile.emergency.accounts: 3 is gone"},
		"source":           {func(ch *Charter) { ch.Profile.Sources[0].Law += "x" }, nil, "profile.sources: deferral.steps: StPO 101(6)x"},
		"offence":          {func(ch *Charter) { ch.Profile.Offences = append(ch.Profile.Offences, "z") }, nil, "profile.offences: z is new"},
		"malformed":        {func(ch *Charter) { ch.Profile.ID = "" }, []string{"charter"}, "profile.id: is missing"},
	} {
		was, is := sampleCharter(), sampleCharter()
		c.change(is)
		_, _ = sortCharter(testLog, was), sortCharter(testLog, is) // what is malformed stays so
		var names, texts []string
		for _, x := range Diff(was, is) {
			texts = append(texts, x.String())
			if x.Name != "" {
				names = append(names, x.Name)
			}
		}
		slices.Sort(names)
		names = slices.Compact(names)
		if !slices.EqualFunc(names, c.want, strings.HasPrefix) {
			t.Errorf("%s: to be confirmed by %q, want %q", name, names, c.want)
		}
		all := strings.Join(texts, "\n")
		if !strings.Contains(all, c.says) || c.says == "" && all != "" {
			t.Errorf("%s: no %q in:\n%s", name, c.says, all)
		}
		if back := Diff(is, was); len(back) == 0 && c.says != "" {
			t.Errorf("%s: not seen on the way back", name)
		}
	}
}

// The order of a log's keys is a change, but not one of trust.
func TestDiffKeyOrder(t *testing.T) {
	a, b, c := vkey(testLog, tlog.Ed25519, fill("a", 32)), vkey(testLog, tlog.Ed25519, fill("b", 32)), vkey(testLog, tlog.Ed25519, fill("c", 32))
	was, is := sampleCharter(), sampleCharter()
	was.WitnessPolicy, was.AuditPolicy = "quorum none\n", "quorum none\n"
	is.WitnessPolicy, is.AuditPolicy = was.WitnessPolicy, was.AuditPolicy
	was.LogKeys, is.LogKeys = []string{a, b, c}, []string{c, b}
	must(t, sortCharter(testLog, was))
	must(t, sortCharter(testLog, is))
	diff := Diff(was, is)
	if len(diff) != 2 || diff[1].Name != "log key "+keyName(a) || diff[0].Name != "" ||
		diff[0].String() != "log keys: in the order "+keyName(c)+" "+keyName(b)+", and was in the order "+keyName(b)+" "+keyName(c) {
		t.Errorf("%v", diff)
	}
}

// A group's change concerns its accesses, a custodian's the accesses of all its
// groups. A change of a custodian in no group is not about trust.
func TestDiffGroups(t *testing.T) {
	was, is := sampleCharter(), sampleCharter()
	for _, ch := range []*Charter{was, is} {
		ch.Groups = append(ch.Groups, Group{ID: "spare", Threshold: 1, Members: []string{"custodian-1"}})
		must(t, sortCharter(testLog, ch))
	}
	is.Party(RoleCustodian, "custodian-1").Keys[0] = edSigner("x").Public()
	must(t, sortCharter(testLog, is))
	diff := Diff(was, is)
	if len(diff) != 1 || !slices.Equal(diff[0].Groups, []string{"main", "spare"}) {
		t.Errorf("%+v", diff)
	}
	was.Groups, is.Groups = nil, nil
	if diff := Diff(was, is); len(diff) != 1 || diff[0].Name != "" {
		t.Errorf("in no group: %+v", diff)
	}
	if all := Diff(nil, was); len(all) < 60 {
		t.Errorf("from nothing: %d changes", len(all))
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
