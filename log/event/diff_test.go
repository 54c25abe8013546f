// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"slices"
	"strings"
	"testing"

	"github.com/vasistas/vasistas/log/tlog"
)

// The diff shows every change of a charter with its direction, since founders and
// operators decide by it: "!" must be confirmed, "-" weakens, "+" strengthens, "~" may do
// either.
func TestDiff(t *testing.T) {
	fresh := func(name string) string { return vkey(name+".example", tlog.CosignatureEd25519, fill(name, 32)) }
	for name, c := range map[string]struct {
		change func(*Charter)
		marks  string // of all changes, in their order
		says   string
	}{
		"nothing": {func(ch *Charter) { ch.Version, ch.Prev = 9, refp(3) }, "", ""},
		"rules":   {func(ch *Charter) { ch.Rules += 1 }, "!~", "rules: "},
		"log key": {func(ch *Charter) {
			ch.LogKeys = append(ch.LogKeys, vkey(testLog, tlog.CosignatureMLDSA44, fill("n", 1312)))
		}, "!-", "log keys: log.example/2026(SHA-256 "},
		"founder":   {func(ch *Charter) { ch.Party(RoleCharter, "founder-1").Keys[0] = edSigner("x").Public() }, "!~", "charter founder-1, keys: " + edSigner("x").KeyID() + ", and was "},
		"name":      {func(ch *Charter) { ch.Party(RoleCharter, "founder-1").Name = "x" }, "!+!-", "charter x, keys: "},
		"authority": {func(ch *Charter) { ch.Party(RoleAuthority, "ag-berlin").Keys[0] = edSigner("x").Public() }, "!~", "authority ag-berlin, keys: "},
		"judge": {func(ch *Charter) {
			p := ch.Party(RoleAuthority, "ag-berlin")
			p.Keys = append(p.Keys, edSigner("x").Public())
		}, "!-", "authority ag-berlin, keys: "},
		"duty":            {func(ch *Charter) { ch.Party(RoleDuty, "ag-berlin").Keys[0] = edSigner("x").Public() }, "!~", "duty ag-berlin, keys: "},
		"above":           {func(ch *Charter) { ch.Party(RoleAuthority, "lg-berlin").Above = nil }, "!+", "authority lg-berlin, above: ag-berlin is gone"},
		"provider":        {func(ch *Charter) { ch.Party(RoleProvider, "messenger").Keys[0] = edSigner("x").Public() }, " ", "provider messenger, keys: "},
		"kind":            {func(ch *Charter) { ch.Party(RoleAuthority, "ag-berlin").Kind = "commission" }, "!~", "authority ag-berlin, kind: commission, and was court"},
		"auditor":         {func(ch *Charter) { ch.Party(RoleAuditor, "watchdog").Keys[0] = edSigner("x").Public() }, "!~", "auditor watchdog, keys: "},
		"gate":            {func(ch *Charter) { ch.Party(RoleCustodian, "custodian-1").Gates[1].Public[7] ^= 1 }, "!~", "custodian custodian-1, gates: mlkem768-x25519 (SHA-256 "},
		"share order":     {func(ch *Charter) { slices.Reverse(ch.Groups[0].Members) }, "!~", "group main, members: "},
		"group threshold": {func(ch *Charter) { ch.Groups[0].Threshold = 1 }, "!-", "group main, threshold: 1, and was 2"},
		"amend":           {func(ch *Charter) { ch.Thresholds.Amend = 2 }, "!+", "thresholds.amend: 2, and was 1"},
		"recover":         {func(ch *Charter) { ch.Thresholds.Recover = 1 }, "!-", "thresholds.recover: 1, and was 2"},
		"void":            {func(ch *Charter) { ch.Void[0].From = 8 }, "!~", " from entry 8 on, and was key "},
		"void gone":       {func(ch *Charter) { ch.Void = nil }, "!-", " is gone"},
		"witness url":     {func(ch *Charter) { ch.WitnessPolicy = strings.Replace(ch.WitnessPolicy, "https://", "http://", 1) }, "!~", " http://witness.example, and was witness "},
		"another witness": {func(ch *Charter) {
			ch.WitnessPolicy = strings.Replace(ch.WitnessPolicy, "group", "witness w2 "+fresh("w2")+"\ngroup", 1)
		}, "!~", "witness policy: witness w2 "},
		"fewer liars": {func(ch *Charter) {
			ch.WitnessPolicy = strings.Replace(ch.WitnessPolicy, "group g 1 w1\nquorum g\n", "quorum none\n", 1)
		}, "", "witness policy, liars that a fork needs: 0, and was 1"},
		"more liars": {func(ch *Charter) {
			ch.WitnessPolicy = strings.Replace(ch.WitnessPolicy, "group g 1 w1", "witness w2 "+fresh("w2")+"\ngroup g all w1 w2", 1)
		}, "!~!~!~!+!+", "witness policy, liars that a fork needs: 2, and was 1"},
		"order of lines": {func(ch *Charter) {
			lines := strings.SplitAfter(ch.WitnessPolicy, "\n")
			lines[0], lines[1] = lines[1], lines[0]
			ch.WitnessPolicy = strings.Join(lines, "")
		}, "", ""},
		"no auditor":       {func(ch *Charter) { ch.AuditPolicy = "quorum none\n" }, "", "audit policy: quorum none"},
		"longer seal":      {func(ch *Charter) { ch.Profile.Seal.Longest++ }, "!-", "profile.seal.longest: "},
		"shorter seal":     {func(ch *Charter) { ch.Profile.Seal.Longest-- }, "+", "profile.seal.longest: 31535999s, and was 365d"},
		"skew":             {func(ch *Charter) { ch.Profile.Skew-- }, "+", "profile.skew: "},
		"stale":            {func(ch *Charter) { ch.Profile.Stale = 30 * day }, "!-", "profile.stale: 30d, and was "},
		"later court":      {func(ch *Charter) { ch.Profile.Deferral.Steps[1].After++ }, "!-", "profile.deferral.steps.1.after: "},
		"step gone":        {func(ch *Charter) { ch.Profile.Deferral.Steps = ch.Profile.Deferral.Steps[:1] }, "", "profile.deferral.steps.1.kinds: court is gone"},
		"never":            {func(ch *Charter) { ch.Profile.Deferral.Never = nil }, "", "profile.deferral.never."},
		"instrument gone":  {func(ch *Charter) { ch.Profile.Instruments = slices.Delete(ch.Profile.Instruments, 1, 2) }, "", "profile.instruments.stpo-100a: yes is gone"},
		"instrument's own": {func(ch *Charter) { ch.Profile.Instrument("stpo-100b").Seal.Default++ }, "", "profile.instruments.stpo-100b.seal.default: "},
		"emergency":        {func(ch *Charter) { ch.Profile.Emergency.Accounts++ }, "!-", "profile.emergency.accounts: 4, and was 3"},
		"no emergency":     {func(ch *Charter) { ch.Profile.Emergency = nil }, "", "profile.emergency.accounts: 3 is gone"},
		"no bars":          {func(ch *Charter) { ch.Profile.Bars = nil }, "", "profile.bars: "},
		"source":           {func(ch *Charter) { ch.Profile.Sources[0].Law += "x" }, " ", "profile.sources: deferral.steps: StPO 101(6)x"},
		"offence":          {func(ch *Charter) { ch.Profile.Offences = append(ch.Profile.Offences, "z") }, " ", "profile.offences: z is new"},
		"malformed":        {func(ch *Charter) { ch.Profile.ID = "" }, "!~", "profile.id: is missing"},
	} {
		was, is := sampleCharter(), sampleCharter()
		c.change(is)
		_, _ = sortCharter(testLog, was), sortCharter(testLog, is) // what is malformed stays so
		marks, all := marked(Diff(was, is))
		if c.marks != "" && marks != c.marks {
			t.Errorf("%s: %q, want %q", name, marks, c.marks)
		}
		if !strings.Contains(all, c.says) || c.says == "" && all != "" {
			t.Errorf("%s: no %q in:\n%s", name, c.says, all)
		}
		if back := Diff(is, was); len(back) == 0 && c.says != "" {
			t.Errorf("%s: not seen on the way back", name)
		}
	}
	first := sampleCharter()
	must(t, sortCharter(testLog, first))
	if all := Diff(nil, first); len(all) < 60 {
		t.Errorf("from nothing: %d changes", len(all))
	}
}

// Each member that says what may be asked for, and who may ask, has its direction, both ways.
// What an absent member allows counts: an emptied list of issuers lets any authority sign.
func TestDiffOfInstruments(t *testing.T) {
	anyIssuer := func(ch *Charter) {
		i := ch.Profile.Instrument("epo-preservation")
		i.Issuers, i.Validated, i.Validators = nil, nil, nil
	}
	unused := func(ch *Charter) {
		ch.Profile.Emergency.Categories = nil
		ch.Profile.Instrument("stpo-100a").Category, ch.Profile.Instrument("stpo-100a").With = "", nil
	}
	preservation := func(edit func(*Instrument)) func(*Charter) {
		return func(ch *Charter) { edit(ch.Profile.Instrument("epo-preservation")) }
	}
	content := func(edit func(*Instrument)) func(*Charter) {
		return func(ch *Charter) { edit(ch.Profile.Instrument("stpo-100a")) }
	}
	for name, c := range map[string]struct {
		base, change func(*Charter)
		marks, back  string // of all changes, and of the way back: see TestDiff
		says         string
	}{
		"enforces":       {nil, func(ch *Charter) { ch.Party(RoleAuthority, "lg-berlin").Enforces = nil }, "!-", "!+", "authority lg-berlin, enforces: ag-berlin is gone"},
		"issuer":         {nil, preservation(func(i *Instrument) { i.Issuers = []string{"commission", "court"} }), "!-", "!+", "epo-preservation.issuers: commission is new"},
		"validated only": {nil, preservation(func(i *Instrument) { i.Issuers = nil }), "!+", "!-", "epo-preservation.issuers: court is gone"},
		"any issuer":     {nil, anyIssuer, "!-!~!+", "!+!~!-", "epo-preservation.issuers: no limit, and was court"},
		"any of two":     {preservation(func(i *Instrument) { i.Issuers, i.Validated, i.Validators = []string{"commission", "court"}, nil, nil }), anyIssuer, "!+!+!-", "!+!-!-", "epo-preservation.issuers: no limit is new"},
		"validated":      {nil, preservation(func(i *Instrument) { i.Validated = []string{"customs", "police"} }), "!~", "!~", "epo-preservation.validated: customs is new"},
		"validator":      {nil, preservation(func(i *Instrument) { i.Validators = []string{"commission", "court"} }), "!-", "!+", "epo-preservation.validators: commission is new"},
		"bears accesses": {nil, preservation(func(i *Instrument) { i.Preserves = false }), "!-", "+", "epo-preservation.preserves: no limit, and was true"},
		"category":       {nil, content(func(i *Instrument) { i.Category, i.With = "traffic", []string{"content", "subscriber"} }), "!~!~", "!~!~", "stpo-100a.category: traffic, and was content"},
		"any category":   {nil, content(func(i *Instrument) { i.Category, i.With = "", nil }), "!-++", "+!-!-", "stpo-100a.category: no limit, and was content"},
		"with":           {nil, content(func(i *Instrument) { i.With = []string{"traffic"} }), "+", "!-", "stpo-100a.with: subscriber is gone"},
		"emergency":      {nil, func(ch *Charter) { ch.Profile.Emergency.Categories = []string{"subscriber", "traffic"} }, "!-", "+", "emergency.categories: traffic is new"},
		"any emergency":  {nil, func(ch *Charter) { ch.Profile.Emergency.Categories = nil }, "!-", "+", "emergency.categories: no limit, and was subscriber"},
		"a category":     {nil, func(ch *Charter) { ch.Profile.Categories = append(ch.Profile.Categories, "location") }, " ", " ", "profile.categories: location is new"},
		"no categories":  {unused, func(ch *Charter) { ch.Profile.Categories = nil }, "   !-", "+   ", "profile.categories: no limit is new"},
		"ground":         {nil, func(ch *Charter) { ch.Profile.NonExecution = []string{"immunity"} }, "!-", "+", "profile.nonExecution: data-not-held is gone"},
		"no response":    {nil, func(ch *Charter) { ch.Profile.NonExecution = nil }, "!-!-", "++", "profile.nonExecution: immunity is gone"},
		"any may defer":  {nil, func(ch *Charter) { ch.Profile.Deferral.Steps[1].Kinds = nil }, "!-", "!+", "profile.deferral.steps.1.kinds: no limit, and was court"},
		"no total":       {nil, func(ch *Charter) { ch.Profile.Deferral.Total = 0 }, "!-", "+", "profile.deferral.total: no limit, and was "},
		"own total":      {nil, func(ch *Charter) { ch.Profile.Instrument("stpo-100b").Deferral.Total = 1 }, "+", "!-", "stpo-100b.deferral.total: 1s, and was no limit"},
		"code with a dot": {func(ch *Charter) {
			ch.Profile.Instruments = append(ch.Profile.Instruments, Instrument{Code: "stpo-100a.window", Window: 1})
		}, content(func(i *Instrument) { i.Window-- }), "+", "!-", "stpo-100a.window: "},
	} {
		was, is := sampleCharter(), sampleCharter()
		for _, ch := range []*Charter{was, is} {
			if c.base != nil {
				c.base(ch)
			}
		}
		c.change(is)
		must(t, sortCharter(testLog, was))
		must(t, sortCharter(testLog, is))
		marks, all := marked(Diff(was, is))
		back, _ := marked(Diff(is, was))
		if marks != c.marks || back != c.back || !strings.Contains(all, c.says) {
			t.Errorf("%s: %q and back %q, want %q and %q; no %q in:\n%s", name, marks, back, c.marks, c.back, c.says, all)
		}
	}
	first := sampleCharter()
	must(t, sortCharter(testLog, first))
	if _, all := marked(Diff(nil, first)); strings.Contains(all, noLimit) {
		t.Errorf("values that no charter has:\n%s", all)
	}
}

// marked returns the marks of changes, and the changes as lines.
func marked(changes []Change) (marks, text string) {
	for _, x := range changes {
		text += x.String() + "\n"
		if x.Confirm {
			marks += "!"
		}
		marks += map[Direction]string{"": " ", Weaker: "-", Stronger: "+", Either: "~"}[x.Direction]
	}
	return marks, text
}

// An amendment can't empty bars or drop an instrument's limits without the operators: what
// has no stated direction is confirmed, and an emptied list of bars weakens.
func TestDiffWeakensBars(t *testing.T) {
	was, is := sampleCharter(), sampleCharter()
	is.Profile.Bars = nil
	is.Profile.Instrument("stpo-100b").Seal = nil
	must(t, sortCharter(testLog, was))
	must(t, sortCharter(testLog, is))
	n := 0
	for _, c := range Diff(was, is) {
		if !c.Confirm || c.Path == "profile.bars" && c.Direction != Weaker {
			t.Errorf("%+v", c)
		}
		n++
	}
	if n < 3 {
		t.Errorf("%d changes", n)
	}
}

// Each stated direction is of a value that charters have.
func TestDirectionsAreOfValues(t *testing.T) {
	ch := sampleCharter()
	ch.Profile.Deferral.Total, ch.Profile.Deferral.Never = 1, &Step{After: 1, Signatures: 1}
	must(t, sortCharter(testLog, ch))
	list, err := lines(ch)
	must(t, err)
	for kind := range weakenings {
		if !slices.ContainsFunc(list, func(l line) bool { return l.kind == kind }) {
			t.Errorf("no charter has a %s", kind)
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
	if len(diff) != 2 || diff[0].Direction != Stronger || !diff[0].Confirm || diff[1].Confirm ||
		diff[1].String() != "log keys: in the order "+keyName(c)+" "+keyName(b)+", and was in the order "+keyName(b)+" "+keyName(c) {
		t.Errorf("%v", diff)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
