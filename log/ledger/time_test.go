// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/event"
)

// anchorBy logs an anchor of the log's head, in which each witness states its own time.
func (w *world) anchorBy(times map[string]int64) {
	w.t.Helper()
	cp := w.checkpoint(w.l.Size(), w.Now)
	for _, name := range []string{"w1", "w2", "w3"} {
		at, ok := times[name]
		if !ok {
			continue
		}
		one, err := people.Cosign(cp.Head, uint64(at), parties.Witness(name))
		if err != nil {
			w.t.Fatal(err)
		}
		cp.Signatures = append(cp.Signatures, one.Signatures...)
	}
	w.Anchor(cp)
}

func (w *world) wantCodes(codes ...string) {
	w.t.Helper()
	var got []string
	for _, v := range w.violations {
		got = append(got, v.Rule+"/"+v.Code)
	}
	if !slices.Equal(got, codes) {
		w.t.Errorf("verdicts %v, want %v", w.violations, codes)
	}
}

// An anchor whose cosignatures are further apart than the spread proves nothing and
// discharges no duty.
func TestAnchorWithoutWindow(t *testing.T) {
	w := newWorld(t, nil)
	w.Warrant(w.Now + day)
	before := w.l.Time()
	w.Now += hour
	w.anchorBy(map[string]int64{"w1": w.Now, "w2": w.Now, "w3": w.Now + 121*day})
	w.wantCodes("anchor/checkpoint")
	if w.l.Time() != before || w.l.Anchored() != 0 {
		t.Errorf("it proves %v, for %d entries", w.l.Time(), w.l.Anchored())
	}
	if late := w.l.Overdue(at(w.Now + 2*day)); len(late) == 0 || late[0].Rule != "anchor" {
		t.Errorf("overdue: %v", late)
	}
	w.anchorBy(map[string]int64{"w1": w.Now, "w2": w.Now + 20, "w3": w.Now + 20})
	w.wantCodes()
	if w.l.Time() != at(w.Now) {
		t.Errorf("an honest anchor proves %v", w.l.Time())
	}
}

// An emergency access that claims the year 9021 and is sealed until 9022: once it is
// anchored, all that it owes and allows counts from the anchor's time, and the log answers.
func TestClaimOfAnotherAge(t *testing.T) {
	w := newWorld(t, nil)
	far := int64(7000) * 365 * day
	e := w.Event(written.AccessBody(nil))
	e.Time = at(w.Now + far)
	w.Seal(e, w.Now+far+180*day)
	access := w.LogEvent(e, "messenger", "duty")
	if a, _ := w.l.Access(access.Index); a.Ends.Unix() < w.Now+far {
		t.Fatal("the claim counts for nothing before it is anchored")
	}
	w.Now += hour
	w.anchor()
	w.wantCodes("honest-time/ahead")
	if v := w.violations[0]; v.By != Log {
		t.Errorf("%s must answer", v.By)
	}
	p := w.l.Charter().Profile
	latest := w.Now + int64(p.Skew)
	if a, _ := w.l.Access(access.Index); a.Ends.Unix() != latest+int64(p.AccessLife) {
		t.Errorf("the access ends at %v", a.Ends)
	}
	if until := w.l.open.get(access.Index).seal.until; until != latest+int64(p.Seal.Longest) {
		t.Errorf("the access is sealed until %v", unix(until))
	}
	if late := w.l.Overdue(at(w.Now + 200*day)); !slices.ContainsFunc(late, func(o Obligation) bool { return o.Rule == "emergency" && o.Index == access.Index }) ||
		!slices.ContainsFunc(late, func(o Obligation) bool { return o.Rule == "disclosure" && o.Index == access.Index }) {
		t.Errorf("overdue after 200 days: %v", late)
	}
	moved := 0
	for i := range w.changes {
		if w.changes[i].Kind == Moved && w.changes[i].Obligation().Index == access.Index {
			moved++
		}
	}
	if moved == 0 {
		t.Errorf("no change says that a date moved: %v", w.changes)
	}
}

// The window of a warrant that claims to be of the future ends no later than the longest
// window after the anchor, and so does the age that a deferral counts.
func TestWindowOfAnotherAge(t *testing.T) {
	w := newWorld(t, nil)
	far := int64(400 * day)
	b := w.WarrantBody()
	b.NotBefore, b.NotAfter = at(w.Now), at(w.Now+far+100*day)
	e := w.Event(b)
	e.Time = at(w.Now + far)
	w.Seal(e, w.Now+far+20*day)
	warrant := w.LogEvent(e, "court")
	w.wantCodes()
	w.Now += hour
	w.anchor()
	p := w.l.Charter().Profile
	end := w.Now + int64(p.Skew) + int64(p.Instrument("search").Window)
	if got := w.l.open.get(warrant.Index); got.warrant.notAfter != end || got.seal.end != end {
		t.Errorf("the window ends on day %d, and ages count from day %d", (got.warrant.notAfter-testStart)/day, (got.seal.end-testStart)/day)
	}
}

// A deferral that an honest court granted before the anchor stands, and ends no later than
// the longest step after the moved date.
func TestMovedDeferral(t *testing.T) {
	w := newWorld(t, nil)
	far := int64(4000 * day)
	e := w.Event(written.AccessBody(nil))
	e.Time = at(w.Now + far)
	w.Seal(e, w.Now+far+10*day)
	access := w.LogEvent(e, "messenger", "duty")
	w.LogEvent(w.Event(&event.Deferral{Event: access.Reference, Until: at(w.Now + far + 30*day), Ground: "investigation", Ordinal: 1}), "court")
	w.Now += hour
	w.anchor()
	p := w.l.Charter().Profile
	want := w.Now + int64(p.Skew) + int64(p.Seal.Longest)
	if s := w.l.open.get(access.Index).seal; s.ordinal == 1 {
		want += 90 * day // the longest step
		if s.until != want {
			t.Errorf("sealed until day %d, want %d", (s.until-testStart)/day, (want-testStart)/day)
		}
	} else {
		t.Errorf("the deferral did not count: %+v", s)
	}
}

// After weeks without an anchor, the first makes nothing lapse, and an act that cures is
// in time to cure. What was late stays visible.
func TestNothingLapsesAtOnce(t *testing.T) {
	w := newWorld(t, nil)
	warrant := w.Warrant(w.Now + day)
	w.Now += 300 * day
	w.anchor()
	w.wantCodes()
	w.Disclose(warrant)
	w.wantCodes()
	var settled []Change
	for _, c := range w.changes {
		if c.Kind == Settled {
			settled = append(settled, c)
		}
	}
	if len(settled) != 1 || settled[0].LateSince != at(w.Now) || settled[0].Obligation().Index != warrant.Index || settled[0].Entry != w.l.Size()-1 {
		t.Errorf("changes %+v", w.changes)
	}
	w.anchor()
	if got := w.l.Totals(); got.Late < 1 || got.Lapsed != 0 {
		t.Errorf("totals %+v", got)
	}
	// The return and the heartbeats lapse 30 days after they were proven late.
	w.Now += 30*day - 1
	w.anchor()
	w.wantCodes()
	w.Now++
	w.anchor()
	if len(w.violations) == 0 || w.l.Totals().Lapsed != uint64(len(w.violations)) {
		t.Errorf("%v, totals %+v", w.violations, w.l.Totals())
	}
}

// Every obligation that opens is settled, moved or lapsed, once.
func TestChangesAreComplete(t *testing.T) {
	w := newWorld(t, nil)
	type key struct {
		rule, code string
		index      uint64
		custodian  string
	}
	owed := make(map[key]bool)
	note := func() {
		t.Helper()
		for i := range w.changes {
			c := &w.changes[i]
			if c.Breach != nil {
				continue
			}
			o := c.Obligation()
			k := key{o.Rule, o.Way, o.Index, o.Custodian}
			switch c.Kind {
			case Opened:
				if owed[k] {
					t.Errorf("%v opens twice", k)
				}
				owed[k] = true
			case Moved:
				if !owed[k] {
					t.Errorf("%v moves, and is not owed", k)
				}
			default:
				if !owed[k] && o.Rule != "anchor" {
					t.Errorf("%v ends, and is not owed", k)
				}
				delete(owed, k)
			}
		}
	}
	note()
	w.Appended = func(_ event.Reference, b []byte) { w.apply(b); note() }
	warrant := w.Warrant(w.Now + 20*day)
	access := w.Access(warrant, w.Now+20*day)
	release := w.answer(access, "c1")
	w.LogEvent(w.Event(&event.Deferral{Event: access.Reference, Until: at(w.Now + 40*day), Ground: "investigation", Ordinal: 1}), "court")
	w.Heartbeat("c2")
	w.Now += 50 * day
	w.anchor()
	w.Disclose(access, release)
	w.Disclose(warrant)
	w.Return(warrant)
	w.amend(func(c *event.Charter) { c.Party(event.RoleCustodian, "c3").Keys = keysOf("c3new") })
	w.Now += 200 * day
	for range 3 {
		w.anchor()
		w.Now += 100 * day
	}
	var left []key
	for k := range owed {
		left = append(left, k)
	}
	var want []key
	w.l.each(maxTime, maxTime, func(d duty) {
		if d.kind != dutyAnchor {
			c := d.cause()
			want = append(want, key{c.Rule, c.Code, d.index, d.name})
		}
	})
	if len(left) != len(want) {
		t.Errorf("by the changes %v are owed, by the state %v", left, want)
	}
}

// An entry that claims a time far ahead does not put off its own anchor.
func TestAnchorOfAClaimAhead(t *testing.T) {
	w := newWorld(t, nil)
	w.Now += hour
	w.anchor()
	e := w.Event(written.AccessBody(nil))
	e.Time = at(w.Now + 7000*365*int64(day))
	w.Seal(e, e.Time.Unix()+180*day)
	w.LogEvent(e, "messenger", "duty")
	late := w.l.Overdue(at(w.Now + 2*day))
	if len(late) != 1 || late[0].Rule != "anchor" || !late[0].Auditors {
		t.Errorf("overdue two days later: %v", late)
	}
	if late := w.l.Overdue(at(w.Now + hour)); len(late) != 0 {
		t.Errorf("overdue after an hour: %v", late)
	}
}

// Without an anchor between, an entry that says itself that it is late is late.
func TestAdmittedLateness(t *testing.T) {
	w := newWorld(t, nil)
	warrant := w.Warrant(w.Now + day)
	w.Now += 10 * day
	w.Disclose(warrant)
	if got := w.l.Totals(); got.Late != 1 {
		t.Errorf("totals %+v, changes %+v", got, w.changes)
	}
}

// The age of a deferral counts from the end of the window that an anchor leaves, also of
// an emergency access that the warrant validates, and of a deferral's own seal.
func TestAgeOfAnotherAge(t *testing.T) {
	w := newWorld(t, nil)
	access := w.Access(nil, w.Now+20*day)
	far := int64(4000 * day)
	b := w.WarrantBody()
	b.Validates, b.NotAfter = &access.Reference, at(w.Now+far+100*day)
	e := w.Event(b)
	e.Time = at(w.Now + far)
	w.Seal(e, w.Now+far+20*day)
	warrant := w.LogEvent(e, "court")
	w.wantCodes()
	own := w.Event(&event.Deferral{Event: access.Reference, Until: at(w.Now + 40*day), Ground: "investigation", Ordinal: 1})
	w.Seal(own, w.Now+10*day)
	deferral := w.LogEvent(own, "court")
	w.wantCodes()
	w.Now += hour
	w.anchor()
	p := w.l.Charter().Profile
	end := w.Now + int64(p.Skew) + int64(p.Instrument("search").Window)
	for name, i := range map[string]uint64{"warrant": warrant.Index, "access": access.Index, "deferral": deferral.Index} {
		if got := w.l.open.get(i).seal.end; got != end {
			t.Errorf("the age of the %s counts from day %d, want %d", name, (got-testStart)/day, (end-testStart)/day)
		}
	}
}

// A deferral that claims to be of a later age does not seal for ever.
func TestNeverNeedsAProvenAge(t *testing.T) {
	w := newWorld(t, nil)
	access := w.Access(nil, w.Now+20*day)
	never := func(time int64) {
		e := w.Event(&event.Deferral{Event: access.Reference, Never: true, Ground: "investigation", Ordinal: 1})
		e.Time = at(time)
		w.LogEvent(e, "com1", "com2", "com3")
	}
	never(w.Now + 200*day)
	if w.l.open.get(access.Index).seal.never {
		t.Error("sealed for ever")
	}
	w.wantCodes("seal-limit/never")
}

// A duty that was proven late and then moved is late only again, and lapses only after the
// anchor that proves it again.
func TestMovedDutyIsNotLate(t *testing.T) {
	w := newWorld(t, nil)
	access := w.Access(w.Warrant(w.Now+20*day), w.Now+20*day)
	grace := int64(w.l.Charter().Profile.DisclosureGrace)
	w.amend(func(c *event.Charter) { c.Profile.DisclosureGrace = uint64(grace / 2) })
	release := w.answer(access, "c1")
	w.wantCodes()
	w.Now += 20*day + grace/2 + minute
	w.anchor() // the notices are late, the access's own seal is not
	if late := w.l.Overdue(at(w.Now)); !slices.ContainsFunc(late, func(o Obligation) bool { return o.Index == release.Index }) {
		t.Fatalf("overdue: %v", late)
	}
	e := w.Event(&event.Deferral{Event: access.Reference, Until: at(w.Now + 60*day), Ground: "investigation", Ordinal: 1})
	e.Time = at(w.Now - grace)
	w.LogEvent(e, "court")
	w.wantCodes()
	w.Now += 61 * day
	w.anchor()
	for _, v := range w.violations {
		if v.Index == release.Index {
			t.Errorf("at the first anchor that proves it late: %v", v)
		}
	}
}

// Another party's claim does not make the debtor late: no anchor proves it.
func TestClaimOfAnotherMakesNoDebtorLate(t *testing.T) {
	w := newWorld(t, nil)
	warrant := w.Warrant(w.Now + day)
	e := w.Event(&event.Disclosure{Event: warrant.Reference, Openings: warrant.Public})
	e.Time = at(w.Now + 100*day)
	w.LogEvent(e, "court")
	w.wantCodes()
	if got := w.l.Totals(); got.Settled != 1 || got.Late != 0 {
		t.Errorf("totals %+v", got)
	}
}

// An obligation has one JSON form, which is read again, also if it falls due after the last
// date that JSON has.
func TestObligationJSON(t *testing.T) {
	w := newWorld(t, func(c *event.Charter) {
		c.Profile.Bars = append(c.Profile.Bars, "heartbeat")
		slices.Sort(c.Profile.Bars)
	})
	e := w.WarrantEvent(maxTime)
	e.Time = at(maxTime)
	w.LogEvent(e, "court")
	w.wantCodes()
	for _, o := range append(w.l.Overdue(distant), w.changes[0].Obligation()) {
		b, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		var again Obligation
		if err := json.Unmarshal(b, &again); err != nil || !reflect.DeepEqual(o, again) {
			t.Errorf("%s is read as %+v, %v", b, again, err)
		}
	}
}
