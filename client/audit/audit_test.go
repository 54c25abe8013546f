// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package audit_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

const day = 24 * 3600

// newLog returns a log with its charter. The test fails if it can't be written.
func newLog(t testing.TB) *written.Log {
	t.Helper()
	w := written.New(t.TempDir(), nil)
	t.Cleanup(func() { w.Report(t.Error) })
	return w
}

// run audits a log at a URL or in a directory.
func run(t testing.TB, url string, policy *tlog.Policy, c audit.Config) *audit.Report {
	t.Helper()
	cl, err := client.New(client.Config{URL: url, Policy: policy, Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	c.Client, c.Policy = cl, policy
	if c.Now.IsZero() {
		c.Now = headTime(url)
	}
	return audit.Run(t.Context(), c)
}

// headTime returns the time of the last cosignature of the head in a directory or at a URL,
// so that a log of the past is not stale.
func headTime(url string) time.Time {
	b, err := os.ReadFile(filepath.Join(url, "checkpoint"))
	if resp, failed := http.Get(url + "/checkpoint"); failed == nil {
		b, err = io.ReadAll(resp.Body)
		resp.Body.Close()
	}
	latest := uint64(written.Start)
	if cp, bad := tlog.ParseCheckpoint(b); err == nil && bad == nil {
		for _, s := range cp.Signatures {
			if len(s.Bytes) == 72 { // C2SP tlog-cosignature: a time, and an Ed25519 signature
				latest = max(latest, binary.BigEndian.Uint64(s.Bytes))
			}
		}
	}
	return time.Unix(int64(latest), 0)
}

// audits audits a log under the policy of its charter.
func audits(t testing.TB, w *written.Log) *audit.Report {
	t.Helper()
	return run(t, w.Dir, w.ParsePolicy(3, "w1", "w2", "w3", "w4"), audit.Config{})
}

func serve(t testing.TB, dir string) string {
	s := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(s.Close)
	return s.URL
}

func wants(t *testing.T, r *audit.Report, want audit.Verdict, reasons ...string) {
	t.Helper()
	var got []string
	for _, why := range r.Reasons {
		got = append(got, why.Code)
	}
	if r.Result() != want || r.Verdict != want.String() || !slices.Equal(got, reasons) {
		t.Fatalf("%s, reasons %v; want %s, reasons %v\n%s", r.Verdict, got, want, reasons, text(t, r))
	}
}

// only returns the only verdict of a kind.
func only(t *testing.T, r *audit.Report, kind string) audit.Rule {
	t.Helper()
	var out []audit.Rule
	for _, rule := range r.Rules {
		if rule.Kind == kind {
			out = append(out, rule)
		}
	}
	if len(out) != 1 {
		t.Fatalf("%d verdicts of the kind %s, want one\n%s", len(out), kind, text(t, r))
	}
	return out[0]
}

func TestClean(t *testing.T) {
	w := newLog(t)
	w.Live(700)
	w.Publish("w1", "w3", "w4")
	policy := w.ParsePolicy(3, "w1", "w2", "w3", "w4")
	for name, url := range map[string]string{"directory": w.Dir, "http": serve(t, w.Dir)} {
		t.Run(name, func(t *testing.T) {
			var last [2]uint64
			r := run(t, url, policy, audit.Config{Progress: func(done, size uint64) { last = [2]uint64{done, size} }})
			wants(t, r, audit.Clean)
			size := w.Size()
			if size < 3*tlog.TileWidth {
				t.Fatalf("a log of %d entries tests no read-ahead", size)
			}
			if r.Audited != size || !r.Complete || r.Log.Size != size || last != [2]uint64{size, size} || r.Resumed != 0 {
				t.Errorf("audited %d of %d, progress %v", r.Audited, size, last)
			}
			if r.Signatures != (audit.Signatures{Valid: size + 1}) { // the charter has two
				t.Errorf("signatures: %+v", r.Signatures)
			}
			if n := r.Events["warrant"]; r.Events["charter"] != 1 || n == 0 || r.Events["access"] != n || r.Events["release"] != 2*n || r.Events["disclosure"] != 2*n || r.Events["return"] != n {
				t.Errorf("events: %v", r.Events)
			}
			if len(r.Witnesses) != 3 || r.LoggedAfter == "" || r.ExistedBefore < r.LoggedAfter || r.OverdueAt != r.LoggedAfter || !r.Charter.Met {
				t.Errorf("%+v", r)
			}
		})
	}
}

// What is broken, and what must be found. Nothing else may be.
func TestBreaches(t *testing.T) {
	for name, test := range map[string]struct {
		do   func(w *written.Log)
		rule string
		by   string
		sigs audit.Signatures // besides the two of the charter
	}{
		"a signature does not verify": {func(w *written.Log) {
			e := w.WarrantEvent(w.Now + day)
			w.LogBadly(e, "court")
		}, "role/signature", "log", audit.Signatures{Invalid: 1}},
		"no charter names the key": {func(w *written.Log) {
			e := w.WarrantEvent(w.Now + day)
			w.LogEvent(e, "stranger")
		}, "role/unknown", "log", audit.Signatures{Unknown: 1}},
		"a provider signs a warrant": {func(w *written.Log) {
			e := w.WarrantEvent(w.Now + day)
			w.LogEvent(e, "messenger")
		}, "role/wrong", "log", audit.Signatures{Valid: 1}},
		"no event": {func(w *written.Log) { w.Append([]byte("no event")) }, "form/malformed", "log", audit.Signatures{}},
		"a second access on a warrant for one": {func(w *written.Log) {
			warrant := w.Warrant(w.Now + day)
			w.Access(warrant, w.Now+day)
			w.Access(warrant, w.Now+day)
		}, "warrant-live/accesses", "log", audit.Signatures{Valid: 3}},
		"a custodian answers twice": {func(w *written.Log) {
			access := w.Access(w.Warrant(w.Now+day), w.Now+day)
			w.Release(access, "c1")
			w.Release(access, "c1")
		}, "release-chain/twice", "custodian c1", audit.Signatures{Valid: 4}},
		"an anchor of another tree": {func(w *written.Log) {
			f := w.Fork(t.TempDir())
			f.Append([]byte("another story"))
			cp := f.Checkpoint("w1", "w2", "w3")
			w.Warrant(w.Now + day)
			w.Anchor(cp)
		}, "reference/head", "log", audit.Signatures{Valid: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newLog(t)
			test.do(w)
			w.Publish("w1", "w2", "w3")
			r := audits(t, w)
			wants(t, r, audit.Violations)
			got := only(t, r, "breach")
			if got.Rule+"/"+got.Way != test.rule || got.Count != 1 || len(got.Listed) != 1 {
				t.Fatalf("got %+v, want %s", got, test.rule)
			}
			f := got.Listed[0]
			if f.Index != w.Size()-1 || f.By != test.by || f.Text == "" {
				t.Errorf("%+v", f)
			}
			test.sigs.Valid += 2
			if r.Signatures != test.sigs {
				t.Errorf("signatures %+v, want %+v", r.Signatures, test.sigs)
			}
			if r.Breaches != 1 || len(r.Unclosed) != 1 || r.Unclosed[0].Index != f.Index || len(r.Bars) != 3 {
				t.Errorf("unclosed %+v, bars %+v", r.Unclosed, r.Bars)
			}
		})
	}
}

// All are counted, the first are listed.
func TestManyBreaches(t *testing.T) {
	w := newLog(t)
	for range 1000 {
		w.Append([]byte("\x1b[2J"))
	}
	w.Publish("w1", "w2", "w3")
	r := audits(t, w)
	wants(t, r, audit.Violations)
	got := only(t, r, "breach")
	if got.Count != 1000 || len(got.Listed) != 64 || r.Breaches != 1000 || r.Unreadable != 1000 {
		t.Errorf("count %d, listed %d, breaches %d, unreadable %d", got.Count, len(got.Listed), r.Breaches, r.Unreadable)
	}
}

// A breach that both auditors have closed stays a breach, but bars no party.
func TestClosedBreach(t *testing.T) {
	w := newLog(t)
	bad := w.Append([]byte("no event"))
	w.Finding("a1", "form", event.FindingClosed, bad.Index, bad.Index)
	w.Publish("w1", "w2", "w3")
	r := audits(t, w)
	wants(t, r, audit.Violations)
	if len(r.Unclosed) != 1 || !slices.Equal(r.Unclosed[0].ClosedBy, []string{"a1"}) || !slices.Equal(r.Bars, []audit.Bar{{Who: "gates", Breaches: 1}, {Who: "auditor a2", Breaches: 1}}) {
		t.Errorf("unclosed %+v, bars %+v", r.Unclosed, r.Bars)
	}
	w.Finding("a2", "form", event.FindingClosed, bad.Index, bad.Index)
	w.Publish("w1", "w2", "w3")
	r = audits(t, w)
	wants(t, r, audit.Violations)
	if r.Breaches != 1 || len(r.Unclosed) != 0 || len(r.Bars) != 0 {
		t.Errorf("breaches %d, unclosed %+v, bars %+v", r.Breaches, r.Unclosed, r.Bars)
	}
}

// Obligations are overdue by the time that the head's cosignatures prove.
func TestOverdue(t *testing.T) {
	w := newLog(t)
	warrant := w.Warrant(w.Now + day)
	w.Now += 12 * 3600
	w.Anchor(w.Checkpoint("w1", "w2", "w3"))
	w.Publish("w1", "w2", "w3")
	wants(t, audits(t, w), audit.Clean)
	// A grace of a day after a day, and one second.
	w.Now = written.Start + 2*day
	w.Publish("w1", "w2", "w3")
	wants(t, audits(t, w), audit.Clean)
	w.Now++
	w.Publish("w1", "w2", "w3")
	r := audits(t, w)
	wants(t, r, audit.Violations)
	if r.Overdue != 1 || r.Breaches != 0 || len(r.Owed) != 1 {
		t.Fatal(text(t, r))
	}
	o := r.Owed[0]
	if o.Rule != "disclosure" || o.Index != warrant.Index || o.By != "provider messenger" || o.Late.Format(time.RFC3339) != "2026-01-03T00:00:00Z" || !o.Auditors || o.Cure == "" {
		t.Errorf("%+v", o)
	}
	if len(r.Bars) != 3 || r.OverdueAt != "2026-01-03T00:00:01Z" {
		t.Errorf("bars %+v at %s", r.Bars, r.OverdueAt)
	}
	w.Disclose(warrant)
	w.Anchor(w.Checkpoint("w1", "w2", "w3"))
	w.Publish("w1", "w2", "w3")
	wants(t, audits(t, w), audit.Clean)
}

// Without effect is no violation, and is told.
func TestNoEffect(t *testing.T) {
	w := newLog(t)
	warrant := w.Warrant(w.Now + day)
	w.Append(warrant.Envelope.Bytes())
	w.Publish("w1", "w2", "w3")
	r := audits(t, w)
	wants(t, r, audit.Clean)
	if got := only(t, r, "no effect"); got.Rule != "form" || got.Way != "repeated" {
		t.Error(text(t, r))
	}
}

// Keys that an amendment names are verified like those of the first charter,
// however far ahead the workers are.
func TestAmendment(t *testing.T) {
	w := newLog(t)
	w.Amend(func(c *event.Charter) {
		c.Parties = append(c.Parties, w.Party(event.RoleAuthority, "court2"))
	})
	for range 600 {
		e := w.WarrantEvent(w.Now + day)
		w.LogEvent(e, "court2")
	}
	e := w.WarrantEvent(w.Now + day)
	w.LogBadly(e, "court2")
	w.Publish("w1", "w2", "w3")
	for range 5 {
		r := audits(t, w)
		wants(t, r, audit.Violations)
		if r.Signatures != (audit.Signatures{Valid: 604, Invalid: 1}) || r.Breaches != 1 || r.Charter.Version != 2 || r.Charter.Index != 1 {
			t.Fatalf("signatures %+v\n%s", r.Signatures, text(t, r))
		}
	}
}

// Referenced entries that the ledger has closed are read again from the log, and checked.
func TestOldReferences(t *testing.T) {
	w := newLog(t)
	warrant := w.Warrant(w.Now + 3600)
	w.Now += 3600
	w.Disclose(warrant)
	w.Return(warrant)
	for w.Size() < 70*tlog.TileWidth {
		w.Append([]byte("no event"))
	}
	w.Return(warrant)
	w.Publish("w1", "w2", "w3")
	for name, url := range map[string]string{"directory": w.Dir, "http": serve(t, w.Dir)} {
		r := run(t, url, w.ParsePolicy(3, "w1", "w2", "w3", "w4"), audit.Config{})
		if got := only(t, r, "no effect"); got.Rule != "return" || got.Way != "taken" || got.Listed[0].Index != w.Size()-1 {
			t.Errorf("%s: %s", name, text(t, r))
		}
	}
}

func TestNoCharter(t *testing.T) {
	w := written.Empty(t.TempDir(), people.New(written.Origin, ""))
	t.Cleanup(func() { w.Report(t.Error) })
	w.Publish("w1", "w2", "w3")
	wants(t, audits(t, w), audit.Undecided, audit.ReasonEmpty)
	w.Warrant(w.Now + day)
	w.Warrant(w.Now + day)
	w.Publish("w1", "w2", "w3")
	r := audits(t, w)
	wants(t, r, audit.Violations)
	if got := only(t, r, "breach"); got.Rule != "charter" || got.Way != "first" || got.Count != 2 || r.Signatures.Unknown != 2 || r.Charter != nil {
		t.Error(text(t, r))
	}
}

// The names in the JSON are stable.
func TestJSON(t *testing.T) {
	w := newLog(t)
	w.Append([]byte("no event"))
	w.Publish("w1", "w2", "w3")
	b, err := json.Marshal(audits(t, w))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	names := make([]string, 0, len(got))
	for n := range got {
		names = append(names, n)
	}
	slices.Sort(names)
	want := []string{"age", "anchored", "audited", "auditors", "bars", "breaches", "charter", "complete", "events", "existedBefore", "log", "loggedAfter",
		"maxAge", "overdue", "overdueAt", "resumed", "rules", "signatures", "unclosed", "unreadable", "verdict", "wasLate", "witnesses"}
	if d := cmp.Diff(want, names); d != "" {
		t.Error(d)
	}
	if got["verdict"] != "violations" {
		t.Errorf("verdict %v", got["verdict"])
	}
	var again audit.Reason
	why := audit.Reason{Code: audit.ReasonTime, Err: errors.New("no clock")}
	if b, err = json.Marshal(why); err != nil || string(b) != `{"code":"time","text":"no clock"}` {
		t.Errorf("%s, %v", b, err)
	}
	if err := json.Unmarshal(b, &again); err != nil || again.Code != why.Code || again.Err.Error() != why.Err.Error() {
		t.Errorf("%+v, %v", again, err)
	}
}

// A head that is older than the profile allows decides nothing, unless it is a copy of that
// time; nor does a head that is ahead of the clock.
func TestStaleHeadIsUndecided(t *testing.T) {
	w := newLog(t)
	w.Live(600)
	w.Publish("w1", "w2", "w3")
	policy, at := w.ParsePolicy(3, "w1", "w2", "w3", "w4"), time.Unix(w.Now, 0)
	for _, c := range []struct {
		now  time.Time
		want audit.Verdict
		why  []string
	}{
		{at.Add(time.Hour), audit.Clean, nil},
		{at.Add(time.Hour + time.Second), audit.Undecided, []string{audit.ReasonStale}},
		{at.AddDate(3, 0, 0), audit.Undecided, []string{audit.ReasonStale}},
		{at.Add(-time.Minute), audit.Clean, nil},
		{at.Add(-2 * time.Minute), audit.Undecided, []string{audit.ReasonClock}},
	} {
		wants(t, run(t, w.Dir, policy, audit.Config{Now: c.now}), c.want, c.why...)
	}
	cl, err := client.New(client.Config{URL: w.Dir, Policy: policy, Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	wants(t, audit.Run(t.Context(), audit.Config{Client: cl, Policy: policy}), audit.Undecided, audit.ReasonStale) // by the machine's clock
	w.LogBadly(w.WarrantEvent(w.Now), "court")
	w.Publish("w1", "w2", "w3")
	wants(t, run(t, w.Dir, policy, audit.Config{Now: at.AddDate(3, 0, 0)}), audit.Violations, audit.ReasonStale)
}

// What was late and cured leaves a trace: who owed it, when it was due, which entry cured it,
// and the witnessed times; from a snapshot, too.
func TestCuredLatenessStays(t *testing.T) {
	w := newLog(t)
	until := w.Now + 3600
	warrant := w.Warrant(until)
	access := w.Access(warrant, until)
	release := w.Release(access, "c1")
	w.Anchor(w.Checkpoint("w1", "w2", "w3"))
	for range 2 { // the grace is a day
		w.Now += day - 3600
		w.Anchor(w.Checkpoint("w1", "w2", "w3"))
	}
	late := w.Now
	w.Publish("w1", "w2", "w3")
	if r := audits(t, w); r.Result() != audit.Violations || r.Overdue == 0 || r.WasLate != 0 {
		t.Fatal(text(t, r))
	}
	snap := keep(t, w, audit.Violations)
	w.Now += 60
	cure := w.Disclose(access, release)
	w.Disclose(warrant)
	w.Return(warrant)
	w.Anchor(w.Checkpoint("w1", "w2", "w3"))
	w.Publish("w1", "w2", "w3")
	for name, r := range map[string]*audit.Report{"from the start": audits(t, w), "resumed": resume(t, w, snap)} {
		wants(t, r, audit.Clean)
		if r.Overdue != 0 || r.WasLate != 3 || len(r.Late) != 3 {
			t.Fatalf("%s: %s", name, text(t, r))
		}
		for i, l := range r.Late {
			at := time.Unix(late, 0)
			if l.Rule != "disclosure" || l.CuredBy != cure.Index+uint64(i/2) || !l.LateSince.Equal(at) || !l.CuredAfter.Equal(at) || !l.Due.Equal(time.Unix(until, 0)) || l.By == "" {
				t.Errorf("%s: %+v", name, l)
			}
		}
	}
}

// The cosignatures of a head must lie within the spread of the log's charter, be it shorter
// or longer than the policy's.
func TestAuditTakesTheChartersSpread(t *testing.T) {
	w := written.New(t.TempDir(), func(c *event.Charter) { c.Profile.Spread, c.Profile.Skew = 600, 1000 })
	t.Cleanup(func() { w.Report(t.Error) })
	policy := w.ParsePolicy(3, "w1", "w2", "w3", "w4")
	for apart, want := range map[uint64][]string{400: nil, 601: {audit.ReasonPolicy, audit.ReasonCharter}} {
		cp := w.Publish("w1", "w3")
		late, err := w.Witness("w2").Sign(&cp.Head, uint64(w.Now)+apart)
		if err != nil {
			t.Fatal(err)
		}
		cp.Signatures = append(cp.Signatures, late)
		if err := os.WriteFile(filepath.Join(w.Dir, "checkpoint"), cp.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		cl, err := client.New(client.Config{URL: w.Dir, Policy: policy.WithSpread(tlog.NoSpread), Retries: -1})
		if err != nil {
			t.Fatal(err)
		}
		r := audit.Run(t.Context(), audit.Config{Client: cl, Policy: policy, Now: headTime(w.Dir)})
		if want == nil {
			wants(t, r, audit.Clean)
			continue
		}
		if r.Result() != audit.Undecided || r.LoggedAfter != "" || len(r.Reasons) < 2 || r.Reasons[0].Code != want[0] || r.Reasons[1].Code != want[1] {
			t.Errorf("%d seconds apart: %s", apart, text(t, r))
		}
	}
}

// A log that no witness cosigns any more is not fresh because anchors prove an earlier time.
func TestHeadWithoutTimesIsUndecided(t *testing.T) {
	w := newLog(t)
	w.Anchor(w.Checkpoint("w1", "w2", "w3"))
	w.Amend(func(c *event.Charter) { c.WitnessPolicy = w.Policy(0) })
	w.Publish()
	for _, after := range []time.Duration{0, 3 * 365 * day * time.Second} {
		r := run(t, w.Dir, w.ParsePolicy(0), audit.Config{Now: time.Unix(w.Now, 0).Add(after)})
		wants(t, r, audit.Undecided, audit.ReasonTime)
	}
}
