// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package facts_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/client/monitor/facts"
	"github.com/vasistas/vasistas/client/replica"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/round"
	"github.com/vasistas/vasistas/log/tlog"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// reader replays a written log.
type reader struct {
	t       testing.TB
	w       *written.Log
	replica *replica.Replica
	facts   *facts.Facts
}

func newReader(t testing.TB, w *written.Log, tell func(*facts.Fact) error) *reader {
	t.Helper()
	c, err := client.New(client.Config{URL: w.Dir, Policy: w.ParsePolicy(3, "w1", "w2", "w3", "w4")})
	check(t, err)
	r, err := replica.New(replica.Config{Client: c, Origin: w.Origin, Use: "test"})
	check(t, err)
	return &reader{t, w, r, facts.New(r.Ledger(), tell)}
}

// read replays up to the present head, which witnesses cosign now.
func (r *reader) read() *facts.Report {
	r.t.Helper()
	cp := r.w.Publish("w1", "w2", "w3")
	_, err := r.replica.Update(r.t.Context())
	check(r.t, err)
	check(r.t, r.replica.Replay(r.t.Context(), r.facts.Observer()))
	check(r.t, r.facts.Head(cp))
	return r.facts.Report()
}

func newLog(t testing.TB) *written.Log {
	w := written.New(t.TempDir(), nil)
	t.Cleanup(func() { w.Report(t.Error) })
	return w
}

func text(t testing.TB, v any) string {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	check(t, err)
	return string(b)
}

// brute is what a ledger of its own says of each entry, kept without bounds.
type brute struct {
	l          *ledger.Ledger
	read       []ledger.Entry
	after      []time.Time // by entry: the proven time
	violations []*ledger.Violation
	changes    []ledger.Change
}

func replayed(t testing.TB, w *written.Log, m *written.Record) *brute {
	t.Helper()
	b := &brute{l: ledger.New(w.Origin, m)}
	for i, raw := range m.Entries {
		e := ledger.Read(uint64(i), raw)
		violations, changes, err := b.l.Apply(e)
		check(t, err)
		b.read, b.after = append(b.read, e), append(b.after, b.l.Time())
		b.violations, b.changes = append(b.violations, violations...), append(b.changes, changes...)
	}
	return b
}

func (b *brute) kept(i int) bool {
	return !slices.ContainsFunc(b.violations, func(v *ledger.Violation) bool { return v.Index == uint64(i) && v.Seen == v.Index })
}

func month(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format("2006-01")
}

// counts counts the entries and changes of one month; all months: *.
func (b *brute) counts(of string) facts.Counts {
	in := func(t time.Time) bool { return of == "*" || month(t) == of }
	out := facts.Counts{Events: map[event.Type]*facts.Tally{}}
	for i, e := range b.read {
		if !in(b.after[i]) {
			continue
		}
		if e.Envelope == nil {
			out.Unreadable++
			continue
		}
		tally := out.Events[e.Envelope.Event.Type]
		if tally == nil {
			tally = &facts.Tally{}
			out.Events[e.Envelope.Event.Type] = tally
		}
		if tally.Logged++; b.kept(i) {
			tally.Kept++
		}
	}
	for i := range b.changes {
		c := &b.changes[i]
		if !in(b.after[c.Entry]) {
			continue
		}
		if c.Breach != nil {
			out.Breaches += map[bool]uint64{true: 1}[c.Kind == ledger.Breached]
			out.Closed += map[bool]uint64{true: 1}[c.Kind == ledger.Closed]
			continue
		}
		if out.Owed == nil {
			out.Owed = map[string]*facts.Owed{}
		}
		o := out.Owed[c.Obligation().Rule]
		if o == nil {
			o = &facts.Owed{}
			out.Owed[c.Obligation().Rule] = o
		}
		switch {
		case c.Kind == ledger.Opened:
			o.Opened++
		case c.Kind == ledger.Lapsed:
			o.Lapsed++
		case c.Kind == ledger.Settled && c.LateSince.IsZero():
			o.Settled++
		case c.Kind == ledger.Settled:
			o.Settled, o.Late = o.Settled+1, o.Late+1
		}
	}
	return out
}

// plain leaves out the names, which sum checks.
func plain(c facts.Counts) facts.Counts {
	events := map[event.Type]*facts.Tally{}
	for k, t := range c.Events {
		events[k] = &facts.Tally{Logged: t.Logged, Kept: t.Kept}
	}
	c.Events = events
	return c
}

// open follows the changes, and returns what is owed then, without anchors.
func (b *brute) open() []ledger.Obligation {
	type key struct {
		rule, custodian string
		index           uint64
		way             string
	}
	owed := map[key]ledger.Obligation{}
	for i := range b.changes {
		c := &b.changes[i]
		if c.Breach != nil {
			continue
		}
		o := c.Obligation()
		k := key{o.Rule, o.Custodian, o.Index, o.Way}
		switch c.Kind {
		case ledger.Opened, ledger.Moved:
			owed[k] = o
		case ledger.Settled, ledger.Lapsed:
			delete(owed, k)
		}
	}
	return slices.Collect(maps.Values(owed))
}

// TestFactsOfRandomLogs compares the facts of logs that live at random, read in two steps, with
// those of all entries by brute force, and with an audit.
func TestFactsOfRandomLogs(t *testing.T) {
	var met [4]int // late, closed, overdue, releases in a chain
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newLog(t)
			m := w.Record()
			rnd := rand.New(rand.NewPCG(seed, 1))
			var told []uint64
			heads := 0
			reads := newReader(t, w, func(f *facts.Fact) error {
				if f.Head != nil {
					if heads++; f.Head.Size != uint64(len(told)) {
						return fmt.Errorf("the head of size %d is told after %d entries", f.Head.Size, len(told))
					}
					return nil
				}
				told = append(told, f.Entry.Index)
				return nil
			})
			w.Story(rnd, 60, seed%2 == 1)
			before := text(t, reads.read())
			first := reads.facts.Report()
			w.Story(rnd, 160, seed%2 == 1)
			w.Now += int64(rnd.IntN(4)) * people.Day
			got := reads.read()
			if text(t, first) != before {
				t.Error("later entries change an earlier report")
			}
			if again := newReader(t, w, nil).read(); text(t, again) != text(t, got) {
				t.Errorf("a replay in one step has other facts: %s", cmp.Diff(got, again))
			}
			if heads != 2 || uint64(len(told)) != w.Size() || !slices.IsSorted(told) {
				t.Errorf("%d heads and %d entries of %d are told", heads, len(told), w.Size())
			}
			met[0], met[1], met[2] = met[0]+len(got.Late), met[1]+len(got.Closed), met[2]+int(got.Overdue)
			for _, c := range got.Custodians {
				met[3] = max(met[3], int(c.Seq))
			}
			compare(t, w, replayed(t, w, m), got)
		})
	}
	if slices.Min(met[:]) < 3 {
		t.Errorf("the stories met too little: %v", met)
	}
}

func compare(t *testing.T, w *written.Log, b *brute, got *facts.Report) {
	t.Helper()
	differs := func(what string, got, want any) {
		t.Helper()
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", what, d)
		}
	}
	differs("total", plain(got.Total), b.counts("*"))
	var months []string
	for _, at := range b.after {
		if m := month(at); len(months) == 0 || months[len(months)-1] != m {
			months = append(months, m)
		}
	}
	for i, m := range months {
		differs("month "+m, plain(got.Months[i].Counts), b.counts(m))
	}
	var late []ledger.Late
	releases, beats := map[string]uint64{}, map[string]uint64{}
	for i := range b.changes {
		if c := &b.changes[i]; c.Breach == nil && c.Kind == ledger.Settled && !c.LateSince.IsZero() {
			late = append(late, ledger.Late{Obligation: c.Obligation(), CuredBy: c.Entry, LateSince: c.LateSince, CuredAfter: c.At})
		}
	}
	differs("late", got.Late, late[max(0, len(late)-facts.MaxLate):])
	delete(got.Open, "anchor")
	open, due, debts := map[string]uint64{}, [2]uint64{}, map[string][2]uint64{}
	for _, o := range b.open() {
		open[o.Rule]++
		for i, days := range []time.Duration{7, 30} {
			if o.Rule != "heartbeat" && !o.Late.Before(got.At) && !o.Due.After(got.At.Add(days*24*time.Hour)) {
				due[i]++
				by := debts[o.By+" "+o.Rule]
				by[i]++
				debts[o.By+" "+o.Rule] = by
			}
		}
	}
	differs("open", got.Open, open)
	differs("due", [2]uint64{got.Due7, got.Due30}, due)
	counted := map[string][2]uint64{}
	for _, d := range got.Debts {
		if by := counted[d.By+" "+d.Rule]; d.Due30 > 0 {
			counted[d.By+" "+d.Rule] = [2]uint64{by[0] + d.Due7, by[1] + d.Due30}
		}
		if (d.First != nil) != (d.Overdue > 0) || (d.Next != nil) != (d.Due30 > 0) {
			t.Errorf("a debt without its first or next: %s", text(t, d))
		}
	}
	if !maps.Equal(counted, debts) {
		t.Errorf("due by debtor and rule: %v; want %v", counted, debts)
	}
	courts := uint64(0)
	for i, e := range b.read {
		if e.Envelope == nil || !b.kept(i) {
			continue
		}
		switch e.Envelope.Event.Type {
		case event.TypeWarrant:
			courts++
		case event.TypeRelease:
			releases[e.Envelope.Signatures[0].KeyID] = e.Index
		case event.TypeHeartbeat:
			beats[e.Envelope.Signatures[0].KeyID] = e.Index
		}
	}
	differs("names of warrants", got.Total.Events[event.TypeWarrant].Of, map[string]map[string]uint64{
		"authority": {"court": courts}, "addressed": {"messenger": courts}, "decision": {"granted": courts},
		"instrument": {"search": courts}, "offence": {"fraud": courts}})
	for _, c := range got.Custodians {
		last := func(l *facts.Logged) uint64 {
			if l == nil {
				return 0
			}
			return l.Index
		}
		if c.Key != w.KeyID(c.Custodian) || last(c.Release) != releases[c.Key] || last(c.Beat) != beats[c.Key] {
			t.Errorf("custodian %s: %+v; the last release is %d, the last heartbeat %d", c.Custodian, c, releases[c.Key], beats[c.Key])
		}
	}
	audited(t, w, got)
}

// audited compares with what an audit says.
func audited(t *testing.T, w *written.Log, got *facts.Report) {
	t.Helper()
	policy := w.ParsePolicy(3, "w1", "w2", "w3", "w4")
	c, err := client.New(client.Config{URL: w.Dir, Policy: policy})
	check(t, err)
	now := time.Unix(w.Now, 0)
	r := audit.Run(t.Context(), audit.Config{Client: c, Policy: policy, Now: now})
	events, wasLate := map[string]uint64{}, uint64(0)
	for k, tally := range got.Total.Events {
		events[string(k)] = tally.Logged
	}
	for _, o := range got.Total.Owed {
		wasLate += o.Late
	}
	var unclosed []ledger.BreachJSON
	for _, b := range got.Unclosed {
		unclosed = append(unclosed, *b)
	}
	type common struct {
		Events                        map[string]uint64
		Unreadable, Breaches, Overdue uint64
		WasLate                       uint64
		Unclosed                      []ledger.BreachJSON
		Owed                          []ledger.Obligation
		Late                          []ledger.Late
		At                            string
	}
	want := common{r.Events, r.Unreadable, r.Breaches, r.Overdue, r.WasLate, r.Unclosed, r.Owed, r.Late, r.OverdueAt}
	is := common{events, got.Total.Unreadable, got.Total.Breaches, got.Overdue, wasLate, unclosed, got.Owed, got.Late, got.At.Format(time.RFC3339)}
	if text(t, is) != text(t, want) {
		t.Errorf("an audit says otherwise: %s", cmp.Diff(text(t, want), text(t, is)))
	}
	verdict := map[audit.Verdict]facts.Verdict{audit.Clean: facts.OK}[r.Result()]
	switch {
	case len(unclosed) > 0:
		verdict = facts.Wrong
	case r.Overdue > 0:
		verdict = facts.Late
	case r.Breaches > 0:
		verdict = facts.OK // all are closed
	}
	if line := got.Line(now); line.Verdict != verdict {
		t.Errorf("the first line is %+v, and the audit %s", line, r.Verdict)
	}
}

// TestFirstLine: what is wrong hides silence, silence hides what is late, and nothing silent is OK.
func TestFirstLine(t *testing.T) {
	w := newLog(t)
	reads := newReader(t, w, nil)
	want := func(r *facts.Report, now int64, v facts.Verdict, reason string) {
		t.Helper()
		l := r.Line(time.Unix(now, 0))
		if l.Verdict != v || !strings.HasPrefix(l.Reasons[0].Text, reason) {
			t.Errorf("%s: %q; want %s: %q", l.Verdict, l.Reasons, v, reason)
		}
	}
	const stale, skew = people.Hour, people.Minute
	want(new(facts.Report), w.Now, facts.Silent, "no head of the log")
	want(&facts.Report{Applied: 7, Copied: 9}, w.Now, facts.Silent, "7 of 9 entries")
	want(&facts.Report{Forked: true}, w.Now, facts.Wrong, "the log has signed two heads")
	r := reads.read()
	want(r, w.Now, facts.OK, "nothing is overdue and no breach is open in the first 1 entries")
	want(r, w.Now+stale, facts.OK, "nothing is overdue")
	want(r, w.Now+stale+1, facts.Silent, "witnesses saw the last head at 2026-01-01T00:00:00Z")
	want(r, w.Now-skew-1, facts.Silent, "witnesses signed the head at 2026-01-01T00:00:00Z, and this machine's clock")
	w.Warrant(w.Now + people.Day)
	w.Now += 2*people.Day + 1
	r = reads.read()
	want(r, w.Now, facts.Late, "2 obligations are overdue at 2026-01-03T00:00:01Z; the first: the log owes anchor since 2026-01-02T01:00:00Z: ")
	want(r, w.Now+stale+1, facts.Silent, "witnesses saw")
	anchors, _ := r.Owing("anchor")
	disclosures, _ := r.Owing("disclosure")
	if r.Overdue != 2 || len(r.Owed) != 2 || r.Owed[0].Cure == "" || anchors != 1 || disclosures != 1 || r.Debts[0].First == nil {
		t.Errorf("overdue: %s; by debtor %s", text(t, r.Owed), text(t, r.Debts))
	}
	w.Append([]byte("no event"))
	r = reads.read()
	want(r, w.Now, facts.Wrong, "1 breach is not closed; the first: the log has broken form at entry 2")
	want(r, w.Now+people.Day, facts.Wrong, "1 breach is not closed")
}

// TestAuditorsSilence: a log whose auditors are silent, or that hides what they say, is not OK.
func TestAuditorsSilence(t *testing.T) {
	w := newLog(t)
	reads := newReader(t, w, nil)
	reads.read()
	now := time.Unix(w.Now, 0)
	verdict := func(a *audit.Auditors, v facts.Verdict) *facts.Report {
		t.Helper()
		reads.facts.Asked(a)
		r := reads.facts.Report()
		if l := r.Line(now); l.Verdict != v {
			t.Errorf("%+v; want %s", l, v)
		}
		return r
	}
	answers := func(kind round.Kind) *round.Round {
		return &round.Round{Size: 1, Auditors: []round.Answer{{Auditor: "a1", Key: "k1", Kind: kind, Text: "barred"}}}
	}
	verdict(nil, facts.OK) // there is no log to ask
	verdict(&audit.Auditors{Unknown: []string{"not found"}}, facts.Silent)
	verdict(&audit.Auditors{Round: answers(round.Refused)}, facts.Silent)
	r := verdict(&audit.Auditors{Round: answers(round.Silent), Vouched: &audit.Vouched{Size: 1, At: now.Add(-time.Hour)}}, facts.OK)
	if len(r.Auditors) != 1 || r.Auditors[0].Kind != round.Refused || r.Auditors[0].Text != "barred" {
		t.Errorf("the answers are %+v", r.Auditors)
	}
	verdict(&audit.Auditors{Vouched: &audit.Vouched{Size: 1, At: now.Add(1000 * time.Hour)}}, facts.Silent)
	verdict(&audit.Auditors{Round: answers(round.Silent), Vouched: &audit.Vouched{Size: 1, At: now.Add(-time.Hour)}}, facts.OK)
	now = now.Add(time.Second)
	r = verdict(&audit.Auditors{Unknown: []string{"the round is gone"}}, facts.Silent)
	if l := r.Line(now); r.Vouched == nil || !slices.Contains(l.Reasons, facts.Reason{Code: facts.ReasonUnknown, Text: "the round is gone"}) ||
		!slices.Contains(l.Reasons, facts.Reason{Code: facts.ReasonAnswer, Text: "auditor a1: declined (barred)"}) {
		t.Errorf("%q", l.Reasons)
	}
}

// TestWitnesses: a witness keeps the last time at which it cosigned, and its lag is counted.
func TestWitnesses(t *testing.T) {
	w := newLog(t)
	reads := newReader(t, w, nil)
	reads.read()
	for range 5 {
		w.Warrant(w.Now + people.Day)
	}
	w.Now += 60
	cp := w.Publish("w1", "w2", "w4")
	_, err := reads.replica.Update(t.Context())
	check(t, err)
	check(t, reads.replica.Replay(t.Context(), reads.facts.Observer()))
	check(t, reads.facts.Head(cp))
	type lag struct {
		size, behind uint64
		at           int64
	}
	got := map[string]lag{}
	for _, x := range reads.facts.Report().Witnesses {
		got[x.Name] = lag{x.Size, x.Behind, x.Time.Unix()}
	}
	now := lag{6, 0, w.Now}
	want := map[string]lag{"w1": now, "w2": now, "w3": {1, 5, w.Now - 60}, "w4": now}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(lag{})); d != "" {
		t.Errorf("witnesses (-want +got):\n%s", d)
	}
	// A head that the charter's witnesses do not meet is not OK.
	check(t, reads.facts.Head(&tlog.Checkpoint{Head: cp.Head, Signatures: cp.Signatures[:2]}))
	if l := reads.facts.Report().Line(time.Unix(w.Now, 0)); l.Verdict != facts.Silent {
		t.Errorf("%+v", l)
	}
}

// TestBounds: what is kept is bounded, and the totals have all.
func TestBounds(t *testing.T) {
	w := newLog(t)
	for i := range facts.MaxNames + 20 {
		w.Finding("a1", fmt.Sprintf("rule-%d", i), event.FindingOpen, 0, 0)
	}
	reads := newReader(t, w, nil)
	for range facts.MaxMonths + 4 {
		w.Anchor(w.Checkpoint("w1", "w2", "w3"))
		w.Now += 31 * people.Day
		reads.read()
	}
	r := reads.read()
	of := r.Total.Events[event.TypeFinding].Of["rule"]
	if len(of) != facts.MaxNames+1 || of[facts.Other] != 20 {
		t.Errorf("%d names, %d others", len(of), of[facts.Other])
	}
	if n := r.Total.Events[event.TypeAnchor].Logged; len(r.Months) != facts.MaxMonths || n != facts.MaxMonths+4 {
		t.Errorf("%d months, %d anchors", len(r.Months), n)
	}
}

// TestTellFails: an error of tell ends the replay.
func TestTellFails(t *testing.T) {
	w := newLog(t)
	no := errors.New("no room")
	reads := newReader(t, w, func(*facts.Fact) error { return no })
	w.Publish("w1", "w2", "w3")
	_, err := reads.replica.Update(t.Context())
	check(t, err)
	if err := reads.replica.Replay(t.Context(), reads.facts.Observer()); !errors.Is(err, no) {
		t.Error(err)
	}
}
