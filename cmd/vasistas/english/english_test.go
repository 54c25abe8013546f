// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package english

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/client/notice"
	"github.com/vasistas/vasistas/client/scan"
	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/round"
	"github.com/vasistas/vasistas/log/tlog"
)

var update = flag.Bool("update", false, "write the texts in testdata")

var (
	day1 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	day2 = day1.AddDate(0, 1, 0)
)

func testAudits() map[string]*audit.Report {
	log := &audit.Log{Origin: "log.example/2026", Size: 900, Root: "cm9vdA==", Keys: []string{"log.example/2026+01020304"}, Founded: "bGVhZg=="}
	f := audit.Finding{Index: 7, Seen: 7, By: "log", Text: "it does not parse: \"\x1b[2J\""}
	late := f
	late.Seen, late.Cure = 9, "log another anchor"
	return map[string]*audit.Report{
		"clean": {
			Verdict: "clean", Log: log, Complete: true, Audited: 900, Resumed: 300, Anchored: 880,
			Witnesses:     []audit.Witness{{Name: "w1", Time: "2026-01-02T03:04:05Z"}},
			ExistedBefore: "2026-01-02T03:04:06Z", LoggedAfter: "2026-01-02T03:04:05Z", OverdueAt: "2026-01-02T03:04:05Z",
			Charter: &audit.Charter{Version: 2, Rules: 1, Profile: "eu", Index: 5},
			Events:  map[string]uint64{"warrant": 2, "access": 3}, Unreadable: 4, Signatures: audit.Signatures{Valid: 901},
			Rules:    []audit.Rule{{Rule: "form", Way: "repeated", Kind: "no effect", Count: 1, Listed: []audit.Finding{{Index: 8, Seen: 8, By: "log", Text: "this event is in the log already"}}}},
			Auditors: &audit.Auditors{Unknown: []string{"a mirror \x1b can't tell"}},
		},
		"late": {
			Verdict: "clean", Log: log, Complete: true, Audited: 900, WasLate: 300, Late: []ledger.Late{{}, {},
				{Obligation: ledger.Obligation{Rule: "disclosure", Way: "notices", Index: 9, By: "provider messenger", Due: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)}, CuredBy: 12, LateSince: time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC), CuredAfter: time.Date(2026, 1, 4, 0, 0, 0, 0, time.UTC)}},
		},
		"violations": {
			Verdict: "violations", Log: log, Audited: 256, Breaches: 5, Overdue: 4, OverdueAt: "2026-01-02T03:04:05Z",
			Rules:    []audit.Rule{{Rule: "form", Way: "malformed", Kind: "breach", Count: 5, Listed: []audit.Finding{f, late, f, f}}},
			Unclosed: []ledger.BreachJSON{{Rule: "form", Way: "malformed", Index: 7}, {Rule: "form", Way: "malformed", Index: 8, ClosedBy: []string{"a1", "a2"}}, {}},
			Owed: []ledger.Obligation{{Rule: "anchor", Way: "late", Index: 3, By: "log", Late: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), Text: "the entries from 3 on are not anchored",
				Cure: "log an anchor of a cosigned head that has them"}},
			Bars: []audit.Bar{{Who: "gates", Breaches: 3, Overdue: 4}},
			Auditors: &audit.Auditors{Vouched: &audit.Vouched{Size: 800, At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}, Round: &round.Round{Size: 890, Named: day1, State: round.Declined, Auditors: []round.Answer{
				{Auditor: "a1", Kind: round.Cosigned, Time: &day1}, {Auditor: "a1", Kind: round.Cosigned, Time: &day1},
				{Auditor: "a2", Kind: round.Refused, Bars: []round.Bar{{Obligation: &ledger.Obligation{Rule: "disclosure", Way: "late", Index: 9, By: "log", Late: day1, Text: "it is due", Cure: "disclose it"}},
					{Breach: &ledger.BreachJSON{Rule: "form", Way: "malformed", Index: 7, By: "log", Text: "it does not parse"}}}},
				{Auditor: "a3", Kind: round.Refused, Text: "3 entries are missing \x1b"}, {Auditor: "a4", Kind: round.Silent}, {Auditor: "a5", Kind: round.Cosigned, Time: &day1},
				{Auditor: "a5", Kind: round.Wrong, Text: "a bad signature"},
			}}},
			Reasons: []audit.Reason{{Code: audit.ReasonCorrupt, Err: errors.New("a tile \x1b does not fit")}},
		},
		"overdue": {
			Verdict: "violations", Log: log, Complete: true, Audited: 900, Overdue: 1, OverdueAt: "2026-01-02T03:04:05Z",
			ExistedBefore: "2026-01-02T03:04:06Z", LoggedAfter: "2026-01-02T03:04:05Z", Age: new(int64(1380)), MaxAge: 2,
			Owed: []ledger.Obligation{{Rule: "disclosure", Way: "late", Index: 256, By: "provider messenger", Late: time.Date(2026, 1, 1, 18, 54, 0, 0, time.UTC), Text: "3 are not opened"}},
		},
		"fork": {
			Verdict: "violations", Complete: true,
			Fork: testFork(),
		},
		"undecided": {Verdict: "undecided", Reasons: []audit.Reason{{Code: audit.ReasonUnreadable, Err: errors.New("no such host")}}},
	}
}

func testDues() map[string]*audit.Due {
	yes, no, seconds := true, false, int64(7200)
	log := &audit.Log{Origin: "log.example/2026", Size: 900}
	item := func(state, by, rule string, index uint64, due time.Time, in *bool) audit.DueItem {
		return audit.DueItem{State: state, InVault: in, Obligation: ledger.Obligation{Rule: rule, Index: index, By: by, Due: due, Late: due.Add(time.Hour),
			Text: "it is \x1b owed", Cure: "log it", Auditors: rule == "disclosure"}}
	}
	const m, c = "provider messenger", "custodian c1 or log"
	hour := func(n int) time.Time { return day1.Add(time.Duration(n) * time.Hour) }
	return map[string]*audit.Due{
		"overdue": {Verdict: "overdue", Log: log, At: day1, LoggedAfter: "2026-01-02T03:04:05Z", Age: &seconds, MaxAge: 86400, Overdue: 6, Broken: 1, Forked: true, Never: 1,
			Reasons: []audit.Reason{{Code: audit.ReasonStale, Err: errors.New("it is \x1b old")}},
			Items: []audit.DueItem{
				item("overdue", m, "disclosure", 3, hour(-9), &no), item("overdue", c, "heartbeat", 4, hour(-8), nil), item("overdue", m, "disclosure", 5, hour(-7), &yes),
				item("overdue", m, "return", 6, hour(-6), nil), item("overdue", "log", "anchor", 7, hour(-5), nil), item("overdue", "log", "new-rule", 8, hour(-4), nil),
				item("due", m, "return", 9, hour(-1), nil), item("due", m, "disclosure", 10, hour(50), &no), item("due", m, "return", 11, hour(60), nil),
				item("sealed", m, "disclosure", 12, day2, &no), item("sealed", m, "disclosure", 13, day2.Add(time.Hour), &yes), item("later", m, "return", 14, day2, nil),
			}},
		"nothing":   {Verdict: "nothing overdue", Log: log, At: day1, LoggedAfter: "2026-01-02T03:04:05Z"},
		"undecided": {Verdict: "undecided", Reasons: []audit.Reason{{Code: audit.ReasonUnreadable, Err: errors.New("no such host")}}},
	}
}

func testFork() *tlog.Fork {
	head := func(size uint64, extension ...string) *tlog.Checkpoint {
		return &tlog.Checkpoint{Head: tlog.Head{Origin: "log.example/2026", Size: size, Root: tlog.Hash{byte(size)}, Extension: extension}}
	}
	return &tlog.Fork{Small: head(1), Large: head(2, "\x1b"), Prefix: tlog.Hash{3}}
}

func testNotices() map[string]*notice.Verified {
	v := notice.Verified{
		Origin: "log.example/2026", Size: 900, Root: tlog.Hash{1}, Accounts: []string{"ada@example.org", "a\"b"}, Agency: "police", AgencyKey: "0102",
		Access: notice.Entry{Index: 11, Time: day1, By: "messenger"}, Unit: "legal", Group: "main", Recipient: "aabb",
		Release: notice.Entry{Index: 12, Time: day1, By: "c1"}, Seq: 3, Version: 2,
	}
	warrant, emergency, claimed := v, v, v
	warrant.Case, warrant.Consent, warrant.Closed = "12 Js 7/26", true, 2
	warrant.Witnesses, warrant.ExistedBefore, warrant.Auditors, warrant.Spread = []string{"w1", "w2"}, day2, []string{"a1", "a2"}, 120
	warrant.LoggedAfter = day1
	warrant.Warrant = &notice.Warrant{Entry: notice.Entry{Index: 10, Time: day1, By: "court"}, Decision: event.Granted, Instrument: "stpo-100b",
		Offence: "murder", Grounds: []string{"investigation", "danger"}, NotBefore: day1, NotAfter: day2}
	emergency.Emergency, emergency.Duty = "life", "court"
	emergency.Warnings = []notice.Warning{
		{Code: notice.WarnAccount, Account: "ada@example.org"}, {Code: notice.WarnPackages}, {Code: notice.WarnAccessSigner}, {Code: notice.WarnDutySigner},
		{Code: notice.WarnSigner}, {Code: notice.WarnConsent, Err: errors.New("the agency's key is not among the openings")},
	}
	ordered := warrant
	ordered.Categories, ordered.Warrant = []string{"traffic"}, new(notice.Warrant)
	*ordered.Warrant = *warrant.Warrant
	ordered.Warrant.By, ordered.Warrant.Categories, ordered.Warrant.Extends = "court, prosecutor", []string{"content", "traffic"}, "3 bGVhZg=="
	ordered.Warrant.DataPeriods = []string{"2025-01-01T00:00:00Z/2025-01-31T23:59:59Z", "2025-03-01T00:00:00Z/2025-03-31T23:59:59Z"}
	claimed.Access.By, claimed.Release.By, claimed.Version, claimed.Warrant = "", "", 0, new(notice.Warrant)
	*claimed.Warrant = *warrant.Warrant
	claimed.Warrant.By = ""
	claimed.Doubt = &verify.Error{Reason: verify.NoCharters, Err: errors.New("it has \x1b")}
	claimed.Claims = []notice.Claim{{Index: 12, Role: event.RoleCustodian, Names: "c1"}, {Index: 10, Role: event.RoleAuthority, Names: "court"}}
	claimed.Warnings = []notice.Warning{{Code: notice.WarnAccount, Account: "a\"b"}, {Code: notice.WarnVoid, Err: errors.New("version 3 voids a key")}}
	return map[string]*notice.Verified{"warrant": &warrant, "emergency": &emergency, "claimed": &claimed, "order": &ordered}
}

func testScans() map[string]*scan.Report {
	audits, notices := testAudits(), testNotices()
	told := func(v *notice.Verified, effect bool, after time.Time) *scan.Notice {
		return &scan.Notice{Verified: v, Disclosure: 20, PublishedAfter: after, Effect: effect}
	}
	return map[string]*scan.Report{
		"found": {
			Result: "found", Audit: audits["violations"], From: "2026-01", To: "2026-03", Notices: 9, Left: 4, Unlisted: 3,
			Reasons: []string{audit.ReasonCorrupt, scan.ReasonFork, scan.ReasonBreaches, scan.ReasonUnproven},
			Cases: []*scan.Case{
				{Notices: []*scan.Notice{told(notices["warrant"], true, day2), told(notices["warrant"], true, time.Time{})}},
				{Notices: []*scan.Notice{told(notices["emergency"], false, day2), told(notices["emergency"], true, day2)},
					Breaches: []scan.Breach{{Index: 12, Rule: "release-chain", Text: "custodian c1 has answered access 11 before"}, {Index: 11, Rule: "audit", Text: "it was stale", NoEffect: true}}},
				{}, {},
			},
			Unproven: []scan.Unproven{{Disclosure: 21, Period: "2026-02", Reason: "no release states it"}, {}, {}},
		},
		"nothing": {
			Result: "nothing", Audit: audits["clean"], From: "2026-01", To: "2026-02", Notices: 5,
			Sealed: &scan.Sealed{Releases: 3, Never: 1, Last: day2, Live: 1},
		},
		"undecided": {Result: "undecided", Audit: audits["undecided"], Reasons: []string{audit.ReasonUnreadable}},
	}
}

func testProofs() map[string]*verify.Report {
	return map[string]*verify.Report{
		"proven": {
			Verdict: "proven", Log: &verify.LogReport{Origin: "log.example", Size: 5, Root: "cm9vdA==", Keys: []string{"log.example+01020304"}},
			Age:           new(int64(400000)),
			Entry:         &verify.EntryReport{Index: 3, LeafHash: "bGVhZg=="},
			Event:         &verify.EventReport{Type: "warrant", ID: "id", Hash: "aabb", ClaimedTime: "2026-01-02T03:04:05Z", Keys: []string{"0102"}, SignaturesChecked: true, Signers: []string{"authority court"}},
			Witnesses:     []verify.WitnessReport{{Name: "A", Time: "2026-01-02T03:04:05Z", Counted: true}, {Name: "B", Time: "2030-01-02T03:04:05Z"}},
			ExistedBefore: "2026-01-02T03:04:06Z", LoggedAfter: "2026-01-02T03:04:05Z", Spread: 300,
			Audit: &verify.AuditReport{VouchedAt: "2026-01-02T03:05:05Z", Auditors: []verify.WitnessReport{{Name: "a1", Time: "2026-01-02T03:05:05Z", Counted: true},
				{Name: "a2", Time: "2030-01-02T03:05:05Z"}}},
			NotShown: []verify.Gap{verify.GapSignatures, verify.GapRoles, verify.GapLimits, verify.GapLater, verify.GapOffRecord},
		},
		"entry": {
			Verdict: "proven", Log: &verify.LogReport{Origin: "log.example", Size: 5}, Entry: &verify.EntryReport{},
			NotShown: []verify.Gap{verify.GapWitnesses, verify.GapTime, verify.GapContent},
		},
		// What comes out of a file must not steer a terminal.
		"hostile": verify.Failure(&verify.Error{Reason: verify.WrongOrigin, Err: errors.New("the log \u202e\x1b[2J")}),
		"quoted":  verify.Failure(&verify.Error{Reason: verify.WrongOrigin, Err: errors.New(`checkpoint of "a log"`)}),
		"missing": verify.Failure(&verify.Error{Reason: verify.NoPolicy, Err: errors.New("no policy")}),
	}
}

// The texts are those in testdata, and none has what a terminal would obey.
func TestTexts(t *testing.T) {
	texts := make(map[string]string)
	for name, r := range testAudits() {
		texts["audit-"+name] = Audit(r, 2)
		if first, _, _ := strings.Cut(Audit(r, 0), "\n"); first != Headline(r) {
			t.Errorf("%s: the headline is %q, and the first line %q", name, Headline(r), first)
		}
	}
	for name, d := range testDues() {
		texts["due-"+name] = Due(d, 2)
	}
	for name, r := range testScans() {
		texts["scan-"+name] = Scan(r, 2)
	}
	for name, v := range testNotices() {
		texts["notice-"+name] = Notice(v)
	}
	for name, r := range testProofs() {
		texts["proof-"+name] = Proof(r)
	}
	for name, got := range texts {
		file := filepath.Join("testdata", name+".txt")
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
		if strings.ContainsAny(got, "\x1b\u202e") || strings.Contains(got, "<no value>") {
			t.Errorf("%s:\n%q", name, got)
		}
	}
}

// In JSON, reasons and warnings are sentences, and all else is the report's own.
func TestJSON(t *testing.T) {
	var got struct {
		Result, From string
		Reasons      []string
		Cases        []struct {
			Notices []struct {
				Accounts, Warnings []string
				Disclosure         int
			}
		}
	}
	b, err := json.Marshal(ScanJSON(testScans()["found"]))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	n := got.Cases[1].Notices[0]
	if got.Result != "found" || got.From != "2026-01" || n.Disclosure != 20 || n.Accounts[0] != "ada@example.org" || len(n.Warnings) != 6 {
		t.Errorf("%+v", got)
	}
	if got.Reasons[2] != "rules: the log has 5 breaches, and the log owes 1 anchor (entry 3), and 3 more obligations are overdue, late since 2026-01-02T00:00:00Z" || n.Warnings[1] != "the notice does not show which packages were opened" {
		t.Errorf("reasons %q, warnings %q", got.Reasons, n.Warnings)
	}
	var file struct {
		File, Verdict   string
		Shown, NotShown []string
		Notice          struct {
			Warnings []string
			Size     int
		}
	}
	if b, err = json.Marshal(NoticeJSON("x", testNotices()["emergency"], policy(t, 1, 2))); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	if file.File != "x" || file.Verdict != "proven" || len(file.Shown) != 5 || len(file.NotShown) != 6 || file.Notice.Size != 900 || len(file.Notice.Warnings) != 6 {
		t.Errorf("%+v", file)
	}
}

// policy returns a policy that k of n keys meet; with k 0, one that needs none.
func policy(t *testing.T, k, n int) *tlog.Policy {
	t.Helper()
	var list []people.Witness
	p := people.New("log.example/2026", "")
	for i := range n {
		name := fmt.Sprintf("w%d", i)
		list = append(list, people.Witness{Name: name, Keys: []*tlog.VerifierKey{p.Witness(name).Verifier()}})
	}
	out, err := tlog.ParsePolicy([]byte(people.Policy(k, list...)))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// What a policy bears is said in words, with a warning if one liar is enough.
func TestStrengthWords(t *testing.T) {
	for _, c := range []struct {
		k, n       int
		want, weak string
	}{
		{0, 2, "no cosignature is needed", "it requires no witness"},
		{1, 3, "need no key that lies|publication stops once 3 keys are silent|takes 1 key that states a false time", "share no key"},
		{2, 3, "need 1 key that lies|publication stops once 2 keys are silent|takes 2 keys that state false times", "one key that lies"},
		{1, 1, "need 1 key that lies|1 silent key stops everyone|takes 1 key", "one key that lies"},
		{3, 4, "need 2 keys that lie|publication stops once 2 keys are silent|takes 3 keys that state false times", ""},
	} {
		p := policy(t, c.k, c.n)
		got, weak := strings.Join(Strength(p), "|"), Weak(p)
		for _, part := range strings.Split(c.want, "|") {
			if !strings.Contains(got, part) {
				t.Errorf("%d of %d: %q is missing in %q", c.k, c.n, part, got)
			}
		}
		if !strings.Contains(weak, c.weak) || (c.weak == "") != (weak == "") {
			t.Errorf("%d of %d: warning %q, want %q", c.k, c.n, weak, c.weak)
		}
	}
}
