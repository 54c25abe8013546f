// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package index_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/monitor/facts"
	"github.com/vasistas/vasistas/client/monitor/index"
	"github.com/vasistas/vasistas/client/replica"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newLog(t testing.TB) *written.Log {
	w := written.New(t.TempDir(), nil)
	t.Cleanup(func() { w.Report(t.Error) })
	return w
}

// reader replays a written log as a monitor does: after an error of the index from the first entry on.
type reader struct {
	t       testing.TB
	w       *written.Log
	x       *index.Index
	path    string
	replica *replica.Replica
	facts   *facts.Facts
	truth   *truth
	untold  error
}

func newReader(t testing.TB, w *written.Log) *reader {
	t.Helper()
	r := &reader{t: t, w: w, path: filepath.Join(t.TempDir(), "index.db")}
	r.open()
	t.Cleanup(func() { check(t, r.x.Close()) })
	return r
}

func (r *reader) open() {
	r.t.Helper()
	var err error
	r.x, err = index.Open(index.Config{Path: r.path, Origin: r.w.Origin})
	check(r.t, err)
	r.restart()
}

// restart makes the reader read from the first entry on.
func (r *reader) restart() {
	r.t.Helper()
	c, err := client.New(client.Config{URL: r.w.Dir, Policy: r.w.ParsePolicy(3, "w1", "w2", "w3", "w4")})
	check(r.t, err)
	r.replica, err = replica.New(replica.Config{Client: c, Origin: r.w.Origin, Use: "test"})
	check(r.t, err)
	r.untold, r.truth = nil, &truth{l: r.replica.Ledger()}
	r.facts = facts.New(r.replica.Ledger(), func(f *facts.Fact) error {
		r.truth.note(f)
		if r.untold == nil {
			r.untold = r.x.Tell(f)
		}
		return nil
	})
}

// read replays up to the present head, which witnesses cosign now, and returns the index's error.
func (r *reader) read() error {
	r.t.Helper()
	cp := r.w.Publish("w1", "w2", "w3")
	_, err := r.replica.Update(r.t.Context())
	check(r.t, err)
	check(r.t, r.replica.Replay(r.t.Context(), r.facts.Observer()))
	check(r.t, r.facts.Head(cp))
	return r.untold
}

func (r *reader) view(size uint64) *index.View {
	r.t.Helper()
	v, err := r.x.View(r.t.Context(), size)
	check(r.t, err)
	return v
}

// truth is what the ledger said of each entry, kept without bounds.
type truth struct {
	l          *ledger.Ledger
	read       []ledger.Entry
	after      []time.Time
	names      [][]facts.Name
	violations []*ledger.Violation
	changes    []ledger.Change
	head       *facts.Head
}

func (b *truth) note(f *facts.Fact) {
	if f.Head != nil {
		b.head = f.Head
		return
	}
	b.read, b.after, b.names = append(b.read, *f.Entry), append(b.after, f.Ledger.Time()), append(b.names, f.Names)
	b.violations, b.changes = append(b.violations, f.Violations...), append(b.changes, slices.Clone(f.Changes)...)
}

// resolved returns the entry to which a reference leads, if it has the entry's leaf hash.
func (b *truth) resolved(at int, ref *event.Reference) (i int, ok bool) {
	if ref == nil || ref.Index >= uint64(at) || b.read[ref.Index].Leaf != ref.Leaf {
		return 0, false
	}
	return int(ref.Index), true
}

// court returns what Entry says of the access and warrant of an entry.
func (b *truth) court(i int) (access, warrant uint64, court string) {
	var ref *event.Reference
	at := i
	switch body := b.read[i].Envelope.Event.Body.(type) {
	case *event.Release:
		ref = &body.Access
	case *event.Refusal:
		ref = &body.Access
	}
	if of, ok := b.resolved(i, ref); ok {
		access, at = uint64(of), of
	}
	if b.read[at].Envelope == nil {
		return access, 0, ""
	}
	ref = nil
	switch body := b.read[at].Envelope.Event.Body.(type) {
	case *event.Access:
		ref = body.Warrant
	case *event.Revocation:
		ref = &body.Warrant
	case *event.Response:
		ref = &body.Warrant
	case *event.Return:
		ref = &body.Warrant
	}
	of, ok := b.resolved(at, ref)
	if !ok {
		return access, 0, ""
	}
	for _, n := range b.names[of] {
		if n.Member == "authority" {
			return access, uint64(of), n.Value
		}
	}
	return access, uint64(of), ""
}

func (b *truth) typ(i int) event.Type {
	if b.read[i].Envelope == nil {
		return ""
	}
	return b.read[i].Envelope.Event.Type
}

func (b *truth) verdict(i int) index.Verdict {
	out := index.Kept
	for _, v := range b.violations {
		switch {
		case v.Index != uint64(i) || v.Seen != v.Index:
		case v.Kind == ledger.KindBreach:
			out = index.Breach
		case out == index.Kept:
			out = index.NoEffect
		}
	}
	if b.read[i].Envelope == nil {
		out = index.Unreadable
	}
	return out
}

// broken reports whether a breach of an entry, or of what it owed, is on record.
func (b *truth) broken(i int) bool {
	return slices.ContainsFunc(b.violations, func(v *ledger.Violation) bool { return v.Index == uint64(i) && v.Kind == ledger.KindBreach })
}

// duties follows the changes to what each obligation has become.
func (b *truth) duties() (out []index.Duty) {
	type key struct {
		rule, way, custodian string
		index                uint64
	}
	open := map[key]int{}
	for i := range b.changes {
		c := &b.changes[i]
		if c.Breach != nil {
			continue
		}
		o := c.Obligation()
		k := key{o.Rule, o.Way, o.Custodian, o.Index}
		at, known := open[k]
		if !known {
			at = len(out)
			out = append(out, index.Duty{Obligation: o, State: index.DutyOpen, Opened: c.Entry, OpenedAfter: b.after[c.Entry]})
			open[k] = at
		}
		d := &out[at]
		if c.Kind == ledger.Moved {
			d.Due, d.Late, d.Text = o.Due, o.Late, o.Text
		}
		if c.Kind != ledger.Settled && c.Kind != ledger.Lapsed {
			continue
		}
		delete(open, k)
		d.Text, d.Ended, d.EndedAfter, d.LateSince, d.State = o.Text, c.Entry, b.after[c.Entry], c.LateSince, index.DutySettled
		if c.Kind == ledger.Lapsed {
			d.State = index.DutyLapsed
		} else if !c.LateSince.IsZero() {
			d.State = index.DutyLate
		}
	}
	at := b.at()
	for i := range out {
		if d := &out[i]; d.State == index.DutyOpen && at.After(d.Late) {
			d.State = index.DutyOverdue
		}
		out[i].Auditors = out[i].Rule != "heartbeat" && slices.Contains(b.l.Charter().Profile.Bars, out[i].Rule)
	}
	return out
}

func (b *truth) at() time.Time {
	if t := b.l.Time(); t.After(b.head.LoggedAfter) {
		return t
	}
	return b.head.LoggedAfter
}

// differs reports that two values have different JSON.
func differs(t testing.TB, what string, got, want any) {
	t.Helper()
	is, err := json.MarshalIndent(got, "", " ")
	check(t, err)
	must, err := json.MarshalIndent(want, "", " ")
	check(t, err)
	if string(is) != string(must) {
		t.Errorf("%s (-want +got):\n%s", what, gocmp.Diff(string(must), string(is)))
	}
}

// all reads all pages of a list, each in turn of another length, in both directions.
func all[T any](t testing.TB, what string, page func(w index.Window) (index.Page[T], error)) []T {
	t.Helper()
	read := func(desc bool) (out []T) {
		for n := 7; ; n += 13 {
			p, err := page(index.Window{Desc: desc, Offset: uint64(len(out)), Limit: n})
			check(t, err)
			if out = append(out, p.Rows...); len(p.Rows) < n {
				if p.Total != uint64(len(out)) {
					t.Errorf("%s: %d rows, and the total is %d", what, len(out), p.Total)
				}
				return out
			}
		}
	}
	up, down := read(false), read(true)
	slices.Reverse(down)
	differs(t, what+", backwards", down, up)
	return up
}

func entries(t testing.TB, v *index.View, f index.Filter) []index.Entry {
	t.Helper()
	return all(t, fmt.Sprintf("entries of %+v", f), func(w index.Window) (index.Page[index.Entry], error) {
		f.Window = w
		return v.Entries(t.Context(), f)
	})
}

func duties(t testing.TB, v *index.View, f index.DutyFilter) []index.Duty {
	t.Helper()
	return all(t, fmt.Sprintf("duties of %+v", f), func(w index.Window) (index.Page[index.Duty], error) {
		f.Window = w
		return v.Duties(t.Context(), f)
	})
}

// dump is what all queries of a view answer, without other heads.
func dump(t testing.TB, v *index.View) map[string]any {
	t.Helper()
	out := map[string]any{"size": v.Size(), "at": v.At(), "entries": entries(t, v, index.Filter{})}
	head, ok := v.Head()
	out["head"], out["headed"] = head, ok
	put := func(what string, got any, err error) {
		t.Helper()
		check(t, err)
		out[what] = got
	}
	for i := range v.Size() {
		d, err := v.Entry(t.Context(), i)
		put(fmt.Sprint("entry ", i), d, err)
		c, err := v.Related(t.Context(), i)
		put(fmt.Sprint("related ", i), c, err)
	}
	for _, s := range []index.DutyState{index.AnyDuty, index.DutyOpen, index.DutyOverdue, index.DutyDue, index.DutySettled, index.DutyLate, index.DutyLapsed} {
		ds := duties(t, v, index.DutyFilter{State: s, Until: v.At().Add(7 * 24 * time.Hour)})
		// The rows of duties with a later due date have other numbers.
		slices.SortFunc(ds, func(a, b index.Duty) int {
			return cmp.Or(cmp.Compare(a.Opened, b.Opened), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Index, b.Index), cmp.Compare(a.Custodian, b.Custodian))
		})
		out["duties "+string(s)] = ds
	}
	out["breaches"] = all(t, "breaches", func(w index.Window) (index.Page[index.BreachRow], error) {
		return v.Breaches(t.Context(), index.BreachFilter{Window: w})
	})
	out["releases"] = all(t, "releases", func(w index.Window) (index.Page[index.Release], error) {
		return v.Releases(t.Context(), index.CustodyFilter{Window: w})
	})
	out["heartbeats"] = all(t, "heartbeats", func(w index.Window) (index.Page[index.Heartbeat], error) {
		return v.Heartbeats(t.Context(), index.CustodyFilter{Window: w})
	})
	months, err := v.Months(t.Context())
	put("months", months, err)
	for _, typ := range event.Types() {
		for _, member := range []string{"", "authority", "custodian", "offence", "agency"} {
			n, err := v.Counts(t.Context(), typ, member)
			put(fmt.Sprint("counts ", typ, " ", member), n, err)
			values, err := v.Values(t.Context(), typ, member)
			put(fmt.Sprint("values ", typ, " ", member), values, err)
		}
	}
	for _, typ := range []event.Type{event.TypeWarrant, event.TypeAccess} {
		d, err := v.Delays(t.Context(), typ)
		put("delays "+string(typ), d, err)
	}
	return out
}

// chapter adds events of types that a story lacks.
func chapter(w *written.Log, n int) {
	until := w.Now + 5*people.Day
	e := w.Access(nil, until)
	b := w.WarrantBody()
	b.Validates = &e.Reference
	ev := w.Event(b)
	w.Seal(ev, until)
	w.LogEvent(ev, "court")
	warrant := w.Warrant(until)
	w.LogEvent(w.Event(&event.Deferral{Event: warrant.Reference, Until: written.At(until + people.Day), Ground: "ended", Ordinal: 1}), "court")
	access := w.Access(warrant, until)
	w.LogEvent(w.Event(&event.Refusal{Access: access.Reference, Reason: "ended"}), "c3")
	w.Revoke(warrant, event.ScopeAll)
	w.Respond(w.Warrant(until), event.Unable)
	if n == 2 {
		w.Amend(func(c *event.Charter) { c.Profile.Bars = nil })
	}
}

// TestQueries compares each query with the facts of the ledger, and views of earlier heads with
// fresh indexes that know no later entry.
func TestQueries(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newLog(t)
			rnd := rand.New(rand.NewPCG(seed, 2))
			lasting := newReader(t, w)
			want := map[uint64]map[string]any{}
			for n := range 4 {
				w.Story(rnd, w.Size()+50, seed%2 == 1)
				chapter(w, n)
				w.Now += int64(rnd.IntN(30)) * people.Day
				w.Anchor(w.Checkpoint("w1", "w2", "w3"))
				fresh := newReader(t, w)
				check(t, fresh.read())
				v := fresh.view(0)
				want[w.Size()] = dump(t, v)
				compare(t, fresh, v)
				check(t, v.Close())
				if n == 1 {
					check(t, lasting.x.Close())
					lasting.open()
				}
				check(t, lasting.read())
			}
			for size, must := range want {
				v := lasting.view(size)
				got := dump(t, v)
				for k := range must {
					differs(t, fmt.Sprintf("as of %d: %s", size, k), got[k], must[k])
				}
				check(t, v.Close())
			}
		})
	}
}

// compare compares what a view at the last head answers with the truth.
func compare(t *testing.T, r *reader, v *index.View) {
	t.Helper()
	b := r.truth
	report := r.facts.Report()
	pick := func(ok func(i int) bool) (out []uint64) {
		for i := range b.read {
			if ok(i) {
				out = append(out, uint64(i))
			}
		}
		return out
	}
	indexes := func(list []index.Entry) (out []uint64) {
		for _, e := range list {
			out = append(out, e.Index)
		}
		return out
	}
	for i, e := range entries(t, v, index.Filter{}) {
		want := index.Entry{Index: uint64(i), Leaf: b.read[i].Leaf, Type: b.typ(i), After: b.after[i], Before: e.Before, Verdict: b.verdict(i), Broken: b.broken(i),
			Names: b.names[i], Agency: e.Agency, Opened: e.Opened}
		if env := b.read[i].Envelope; env != nil {
			want.Hash, want.Claimed = env.Hash(), env.Event.Time
			want.Access, want.Warrant, want.Court = b.court(i)
		}
		differs(t, fmt.Sprint("entry ", i), e, want)
		if e.Before.IsZero() || !e.After.IsZero() && e.Before.Before(e.After) {
			t.Errorf("entry %d was logged after %s and before %s", i, e.After, e.Before)
		}
	}
	for _, typ := range append(event.Types(), "") {
		for _, verdict := range []index.Verdict{"", index.Kept, index.Breach, index.NoEffect, index.Unreadable} {
			ok := func(i int) bool {
				return b.typ(i) == typ && (verdict == "" || b.verdict(i) == verdict || verdict == index.Breach && b.broken(i))
			}
			f := index.Filter{Types: []event.Type{typ}, Verdict: verdict}
			differs(t, fmt.Sprintf("%+v", f), indexes(entries(t, v, f)), pick(ok))
			if f.From, f.To = b.after[len(b.after)/3], b.after[len(b.after)-3]; f.From.IsZero() {
				continue
			}
			differs(t, fmt.Sprintf("%+v", f), indexes(entries(t, v, f)), pick(func(i int) bool { return ok(i) && !b.after[i].Before(f.From) && b.after[i].Before(f.To) }))
		}
	}
	for _, names := range [][]facts.Name{{{Member: "custodian", Value: "c1"}}, {{Member: "offence", Value: "fraud"}, {Member: "authority", Value: "court"}},
		{{Member: "offence", Value: "none"}}, {{Member: "provider", Value: "messenger"}}} {
		differs(t, fmt.Sprint(names), indexes(entries(t, v, index.Filter{Names: names})), pick(func(i int) bool {
			return !slices.ContainsFunc(names, func(n facts.Name) bool { return !slices.Contains(b.names[i], n) })
		}))
	}
	compareDuties(t, r, v)
	var breaches []index.BreachRow
	unclosed := 0
	b.l.Breaches(func(x *ledger.Breach, closed bool) {
		breaches = append(breaches, index.BreachRow{BreachJSON: *x.JSON(), SeenAfter: b.after[x.Seen], Closed: closed})
		if !closed {
			unclosed++
		}
	})
	p, err := v.Breaches(t.Context(), index.BreachFilter{Window: index.Window{Limit: index.MaxLimit}})
	check(t, err)
	for i := range p.Rows {
		if x := &p.Rows[i]; x.Closed != (x.ClosedAt > 0) {
			t.Errorf("breach %+v", x)
		}
		p.Rows[i].ClosedAt = 0
	}
	differs(t, "breaches", p.Rows, breaches)
	open, err := v.Breaches(t.Context(), index.BreachFilter{Unclosed: true})
	check(t, err)
	if open.Total != uint64(unclosed) || unclosed != len(report.Unclosed) {
		t.Errorf("%d breaches are not closed, want %d", open.Total, unclosed)
	}
	months, err := v.Months(t.Context())
	check(t, err)
	differs(t, "months", months, report.Months)
	for _, c := range report.Custodians {
		releases, err := v.Releases(t.Context(), index.CustodyFilter{Key: c.Key, Custodian: c.Custodian, Window: index.Window{Desc: true}})
		check(t, err)
		beats, err := v.Heartbeats(t.Context(), index.CustodyFilter{Key: c.Key, Window: index.Window{Desc: true}})
		check(t, err)
		differs(t, "releases of "+c.Custodian, releases.Total, len(pick(func(i int) bool {
			return b.typ(i) == event.TypeRelease && b.read[i].Envelope.Signatures[0].KeyID == c.Key
		})))
		differs(t, "heartbeats of "+c.Custodian, beats.Total, len(pick(func(i int) bool {
			return b.typ(i) == event.TypeHeartbeat && b.read[i].Envelope.Signatures[0].KeyID == c.Key
		})))
		if i := slices.IndexFunc(beats.Rows, func(h index.Heartbeat) bool { return h.Verdict == index.Kept }); (i >= 0) != (c.Beat != nil) || i >= 0 && (beats.Rows[i].Index != c.Beat.Index || !beats.Rows[i].To.Equal(c.Until)) {
			t.Errorf("the last heartbeat of %+v is %+v", c, beats.Rows)
		}
	}
	head, ok := v.Head()
	differs(t, "head", head.Head, b.head)
	heads, err := v.Heads(t.Context(), index.Window{})
	check(t, err)
	if !ok || len(head.Cosigned) != 3 || heads.Total != 1 || !v.At().Equal(report.At) {
		t.Errorf("head %+v, %d heads, at %s, want %s", head, heads.Total, v.At(), report.At)
	}
}

func compareDuties(t *testing.T, r *reader, v *index.View) {
	t.Helper()
	b, report := r.truth, r.facts.Report()
	order := func(ds []index.Duty) []index.Duty {
		slices.SortFunc(ds, func(a, b index.Duty) int {
			return cmp.Or(cmp.Compare(a.Opened, b.Opened), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Index, b.Index), cmp.Compare(a.Custodian, b.Custodian))
		})
		return ds
	}
	all := order(b.duties())
	week := v.At().Add(7 * 24 * time.Hour)
	owed := func(d *index.Duty) bool { return d.State == index.DutyOpen || d.State == index.DutyOverdue }
	for state, ok := range map[index.DutyState]func(d *index.Duty) bool{
		index.AnyDuty:     func(d *index.Duty) bool { return true },
		index.DutyOpen:    owed,
		index.DutyOverdue: func(d *index.Duty) bool { return d.State == index.DutyOverdue },
		index.DutyDue:     func(d *index.Duty) bool { return d.State == index.DutyOpen && !d.Due.After(week) },
		index.DutySettled: func(d *index.Duty) bool { return d.State == index.DutySettled || d.State == index.DutyLate },
		index.DutyLate:    func(d *index.Duty) bool { return d.State == index.DutyLate },
		index.DutyLapsed:  func(d *index.Duty) bool { return d.State == index.DutyLapsed },
	} {
		for _, f := range []index.DutyFilter{{}, {Rules: []string{"disclosure", "return"}}, {Without: []string{"heartbeat"}}, {By: "provider messenger"},
			{EndedFrom: b.after[len(b.after)/3], EndedTo: b.after[len(b.after)-3]}} {
			f.State, f.Until = state, week
			var want []index.Duty
			for _, d := range all {
				ended := f.EndedFrom.IsZero() || d.Ended != 0 && !d.EndedAfter.Before(f.EndedFrom) && d.EndedAfter.Before(f.EndedTo)
				if ok(&d) && ended && !slices.Contains(f.Without, d.Rule) && (f.Rules == nil || slices.Contains(f.Rules, d.Rule)) && (f.By == "" || f.By == d.By) {
					want = append(want, d)
				}
			}
			differs(t, fmt.Sprintf("duties of %+v", f), order(duties(t, v, f)), want)
		}
	}
	var late []index.Duty
	p, err := v.Duties(t.Context(), index.DutyFilter{State: index.DutyOverdue, Window: index.Window{Sort: index.ByLate, Limit: facts.MaxListed}})
	check(t, err)
	for _, d := range p.Rows {
		d.Groups = nil
		late = append(late, d)
	}
	if p.Total != report.Overdue {
		t.Errorf("%d are overdue, want %d", p.Total, report.Overdue)
	}
	for i := range late {
		if late[i].Index != report.Owed[i].Index || !late[i].Late.Equal(report.Owed[i].Late) {
			t.Errorf("the overdue ones are %+v, want %+v", late, report.Owed)
		}
	}
}

// TestReaders: views that are open while heads are indexed show one head each, and one too many waits
// as long as its caller lets it.
func TestReaders(t *testing.T) {
	w := newLog(t)
	w.Story(rand.New(rand.NewPCG(1, 1)), 50, false)
	r := newReader(t, w)
	check(t, r.read())
	old := r.view(0)
	defer old.Close()
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for ended := false; !ended; {
				select {
				case <-done:
					ended = true
				default:
				}
				if err := sums(t.Context(), r.x); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for n := range 10 {
		w.Story(rand.New(rand.NewPCG(2, uint64(n))), w.Size()+20, true)
		if err := r.read(); err != nil {
			t.Error(err)
		}
	}
	close(done)
	readers.Wait()
	if n := len(entries(t, old, index.Filter{})); uint64(n) != old.Size() || old.Size() >= w.Size() {
		t.Errorf("a view of the size %d shows %d entries", old.Size(), n)
	}
	views := []*index.View{old}
	for ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond); ; {
		v, err := r.x.View(ctx, 0)
		if err != nil {
			if cancel(); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			break
		}
		views = append(views, v)
	}
	for _, v := range views[1:] {
		check(t, v.Close())
	}
	check(t, sums(t.Context(), r.x))
}

// sums fails unless the counts of a view are those of its entries.
func sums(ctx context.Context, x *index.Index) error {
	v, err := x.View(ctx, 0)
	if err != nil {
		return err
	}
	defer v.Close()
	months, err := v.Months(ctx)
	if err != nil {
		return err
	}
	n := uint64(0)
	for i := range months {
		n += months[i].Unreadable
		for _, tally := range months[i].Events {
			n += tally.Logged
		}
	}
	if p, err := v.Entries(ctx, index.Filter{}); err != nil || n != v.Size() || p.Total != n {
		return fmt.Errorf("%d entries in months and %d in the list of a view of the size %d: %w", n, p.Total, v.Size(), err)
	}
	return nil
}
