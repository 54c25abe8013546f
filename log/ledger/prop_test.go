// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/event"
)

// history is a log with the references between its entries.
type history struct {
	*world
	rt      *rapid.T
	mention map[uint64][]uint64 // entry -> entries that it mentions
	between func()              // if not nil: called between two steps of grow
}

// newHistory starts a log whose limits are wide enough for any interleaving.
func newHistory(t testing.TB, rt *rapid.T, edits ...func(*event.Charter)) *history {
	w := newWorld(t, func(c *event.Charter) {
		c.Profile.Emergency.Open = 100
		for _, edit := range edits {
			edit(c)
		}
	})
	return &history{world: w, rt: rt, mention: make(map[uint64][]uint64)}
}

func (h *history) mentions(e *logged, of ...*logged) *logged {
	for _, o := range of {
		h.mention[e.Index] = append(h.mention[e.Index], o.Index)
	}
	return e
}

// step makes and logs one event of a case.
type step func()

// accessCase is a warrant, or an emergency with its decision, and all that follows.
func (h *history) accessCase() []step {
	emergency := rapid.Bool().Draw(h.rt, "emergency")
	answers := rapid.IntRange(0, 3).Draw(h.rt, "answers")
	var warrant, access *logged
	var releases []*logged
	var warrantUntil, accessUntil int64
	var steps []step
	add := func(s step) { steps = append(steps, s) }
	seal := func() int64 { return h.Now + int64(rapid.IntRange(1, 3600).Draw(h.rt, "seal")) }
	if emergency {
		add(func() { accessUntil = seal(); access = h.Access(nil, accessUntil) })
	} else {
		warrantEvent := func(until int64, more ...event.Opening) *logged {
			b := h.WarrantBody()
			b.Categories = []string{"content", "traffic"}
			e := h.Event(b)
			public := h.Seal(e, until, more...)
			out := h.LogEvent(e, "court")
			out.Public = public
			return out
		}
		add(func() { warrantUntil = seal(); warrant = warrantEvent(warrantUntil) })
		if rapid.Bool().Draw(h.rt, "extended") {
			var later *logged
			add(func() {
				later = warrantEvent(h.Now+1, h.Opening("extends", event.Text(warrant.String())))
				h.Now += 2
				h.mentions(h.Disclose(later), later)
				h.mentions(h.LogEvent(h.Event(&event.Return{Warrant: later.Reference}), "messenger"), later)
			})
		}
		add(func() { h.inPart(warrant, "content") })
		add(func() {
			accessUntil = min(warrantUntil, h.Now+1)
			b := written.AccessBody(warrant)
			b.Categories = []string{"traffic"}
			e := h.Event(b)
			public := h.Seal(e, accessUntil)
			access = h.mentions(h.LogEvent(e, "messenger"), warrant)
			access.Public = public
		})
		add(func() { h.inPart(warrant, "") })
	}
	for i := range answers {
		add(func() {
			r := h.answer(access, fmt.Sprintf("c%d", i+1))
			releases = append(releases, h.mentions(r, access))
		})
	}
	if rapid.Bool().Draw(h.rt, "refused") {
		add(func() {
			h.mentions(h.LogEvent(h.Event(&event.Refusal{Access: access.Reference, Reason: "unreadable"}), "c1"), access)
		})
	}
	if emergency {
		add(func() {
			w := h.WarrantBody()
			ref := access.Reference
			w.Validates = &ref
			e := h.Event(w)
			warrantUntil = seal()
			public := h.Seal(e, warrantUntil)
			warrant = h.mentions(h.LogEvent(e, "court"), access)
			warrant.Public = public
		})
	}
	add(func() {
		h.Now = max(h.Now, accessUntil)
		h.mentions(h.Disclose(access, releases...), access)
	})
	add(func() {
		h.Now = max(h.Now, warrantUntil)
		h.mentions(h.Disclose(warrant), warrant)
	})
	add(func() {
		h.mentions(h.LogEvent(h.Event(&event.Return{Warrant: warrant.Reference, Executed: true}), "messenger"), warrant)
	})
	return steps
}

// inPart suspends and resumes a warrant, and has its provider answer it: in a category or, if
// that is "", in all.
func (h *history) inPart(warrant *logged, category string) {
	revocation := func(scope event.Scope, of *event.Reference, by string) *logged {
		return h.mentions(h.LogEvent(h.Event(&event.Revocation{Warrant: warrant.Reference, Reason: "ended", Scope: scope, Suspension: of}), by), warrant)
	}
	if rapid.Bool().Draw(h.rt, "suspended") {
		by := rapid.SampledFrom([]string{"court", "enforcer"}).Draw(h.rt, "by")
		s := revocation(event.ScopeSuspended, nil, by)
		h.mentions(revocation(event.ScopeResumed, &s.Reference, by), s)
	}
	if rapid.Bool().Draw(h.rt, "answered") {
		r := &event.Response{Warrant: warrant.Reference, Outcome: event.Refused, Ground: "immunity"}
		if category != "" {
			r.Outcome, r.Categories = event.Partial, []string{category}
		}
		h.mentions(h.LogEvent(h.Event(r), "messenger"), warrant)
	}
}

// sideCase advances time, logs heartbeats and amends.
func (h *history) sideCase() []step {
	var steps []step
	for range rapid.IntRange(1, 6).Draw(h.rt, "side") {
		switch rapid.IntRange(0, 3).Draw(h.rt, "what") {
		case 0, 1:
			steps = append(steps, func() { h.anchor() })
		case 2:
			who := fmt.Sprintf("c%d", rapid.IntRange(1, 4).Draw(h.rt, "who"))
			steps = append(steps, func() { h.Heartbeat(who) })
		case 3:
			steps = append(steps, func() {
				before := h.Charter
				h.mentions(h.amend(nil), before)
			})
		}
	}
	return steps
}

// grow logs cases, interleaved at random.
func (h *history) grow() {
	cases := [][]step{h.sideCase()}
	for range rapid.IntRange(1, 4).Draw(h.rt, "cases") {
		cases = append(cases, h.accessCase())
	}
	for len(cases) > 0 {
		i := rapid.IntRange(0, len(cases)-1).Draw(h.rt, "next")
		cases[i][0]()
		if len(h.violations) > 0 {
			h.rt.Fatalf("entry %d of a valid history: %v", h.l.Size()-1, h.violations[0])
		}
		if cases[i] = cases[i][1:]; len(cases[i]) == 0 {
			cases = slices.Delete(cases, i, i+1)
		}
		h.Now += int64(rapid.IntRange(0, 600).Draw(h.rt, "pause"))
		if h.between != nil {
			h.between()
		}
	}
}

// replay applies entries to a ledger, from its size on.
func replay(rt *rapid.T, l *Ledger, entries [][]byte) []*Violation {
	var violations []*Violation
	for i := l.Size(); i < uint64(len(entries)); i++ {
		v, _, err := l.Apply(Read(i, entries[i]))
		if err != nil {
			rt.Fatal(err)
		}
		violations = append(violations, v...)
	}
	return violations
}

func treeOf(entries [][]byte) *memTree {
	m := new(memTree)
	for _, e := range entries {
		m.add(e)
	}
	return m
}

func TestInterleavingsAreValid(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := newHistory(t, rt)
		h.grow()
		// At the end only anchors, heartbeats and the like are owed.
		for _, o := range h.l.Overdue(distant) {
			if o.Rule != "anchor" && o.Rule != "heartbeat" {
				rt.Fatalf("still due: %+v", o)
			}
		}
	})
}

func TestTamperingIsNoticed(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := newHistory(t, rt)
		h.grow()
		var later []uint64
		for e := range h.mention {
			later = append(later, e)
		}
		slices.Sort(later)
		j := rapid.SampledFrom(later).Draw(rt, "mentioning")
		i := rapid.SampledFrom(h.mention[j]).Draw(rt, "mentioned")
		entries := slices.Clone(h.tree.entries)
		e := entries[i]
		switch rapid.IntRange(0, 2).Draw(rt, "tampering") {
		case 0:
			entries = slices.Delete(entries, int(i), int(i)+1)
		case 1:
			entries = slices.Insert(entries, int(j)+1, e)
			entries = slices.Delete(entries, int(i), int(i)+1)
		case 2:
			at := rapid.IntRange(int(i)+1, len(entries)).Draw(rt, "copy")
			entries = slices.Insert(entries, at, e)
		}
		if len(replay(rt, New(testLog, treeOf(entries)), entries)) == 0 {
			rt.Fatal("no verdict")
		}
	})
}

// A valid history with entries in breach, or without effect, stays valid and owes
// the same. Such entries don't change the rest of the state, which logBytes compares
// for every entry of every test here.
func TestBreachChangesNothingElse(t *testing.T) {
	breaches := 0
	rapid.Check(t, func(rt *rapid.T) {
		h := newHistory(t, rt, func(c *event.Charter) { c.AuditPolicy = "quorum none\n" }) // else breaches bar
		r := newRogue(h, rapid.SampledFrom(rogues).Draw(rt, "rogue"))
		for _, e := range r.seen[:2] { // else they stay open
			h.LogEvent(h.Event(&event.Disclosure{Event: e.Reference, Openings: e.Public}), "court")
		}
		h.LogEvent(h.Event(&event.Return{Warrant: r.seen[0].Reference}), "messenger")
		h.between = func() {
			for range rapid.IntRange(0, 2).Draw(rt, "mischief") {
				if b := r.breach(); b != nil {
					h.Append(b)
					breaches += len(h.violations)
					h.violations = nil
				}
			}
		}
		h.grow()
		for _, o := range h.l.Overdue(distant) {
			if o.Rule != "anchor" && o.Rule != "heartbeat" {
				rt.Fatalf("still due: %+v", o)
			}
		}
	})
	if breaches == 0 {
		t.Error("no entry was in breach")
	}
}

func TestReplayFromAnySnapshot(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := newHistory(t, rt)
		r := newRogue(h, rapid.SampledFrom(rogues).Draw(rt, "rogue"))
		h.grow()
		for range rapid.IntRange(0, 10).Draw(rt, "mischief") {
			r.act(false)
		}
		h.Now += int64(rapid.IntRange(0, 100).Draw(rt, "days")) * day
		h.anchor()
		entries := h.tree.entries
		whole := New(testLog, h.tree)
		all := replay(rt, whole, entries)
		if !bytes.Equal(whole.Snapshot(), h.l.Snapshot()) {
			rt.Fatal("two replays differ")
		}
		at := rapid.IntRange(0, len(entries)).Draw(rt, "at")
		first := New(testLog, h.tree)
		violations := replay(rt, first, entries[:at])
		root, _ := h.tree.Root(uint64(at))
		second, err := Restore(first.Snapshot(), uint64(at), root, h.tree)
		if err != nil {
			rt.Fatal(err)
		}
		violations = append(violations, replay(rt, second, entries)...)
		if !bytes.Equal(second.Snapshot(), whole.Snapshot()) {
			rt.Fatal("the replay from the snapshot differs")
		}
		if fmt.Sprint(texts(violations)) != fmt.Sprint(texts(all)) {
			rt.Fatalf("verdicts differ:\n%v\n%v", texts(violations), texts(all))
		}
		sameOverdue(rt, h, second, whole)
	})
}

func texts(vs []*Violation) []string {
	out := []string{}
	for _, v := range vs {
		out = append(out, v.Error())
	}
	return out
}

// sameOverdue compares what several ledgers of one state have overdue.
func sameOverdue(rt *rapid.T, h *history, ledgers ...*Ledger) {
	for _, l := range ledgers {
		c, err := restored(l)
		if err != nil {
			rt.Fatal(err)
		}
		ledgers = append(ledgers, c)
	}
	times := rapid.SliceOfN(rapid.Int64Range(testStart, testStart+400*day), 1, 4).Draw(rt, "times")
	want := make(map[int64]string)
	for _, l := range append(ledgers, h.l) {
		for _, t := range append(slices.Clone(times), times...) {
			got := fmt.Sprintf("%+v", l.Overdue(time.Unix(t, 0)))
			if want[t] == "" {
				want[t] = got
			} else if got != want[t] {
				rt.Fatalf("Overdue at %d differs:\n%s\n%s", t, got, want[t])
			}
			if got, want := countOwed(l, t), countOwed(l, 0); got != want {
				rt.Fatalf("at %d %d are overdue or due, and before all %d", t, got, want)
			}
		}
	}
}

// countOwed counts what is overdue at a time, or due ever. What anchors are owed depends on the time.
func countOwed(l *Ledger, t int64) int {
	due, _ := l.Due(time.Unix(t, 0), distant)
	return len(slices.DeleteFunc(append(due, l.Overdue(time.Unix(t, 0))...), func(o Obligation) bool { return o.Rule == "anchor" }))
}

// rogues are parties that are below their threshold alone.
var rogues = []string{"c1", "a1", "court", "f1", "other", "enforcer"}

// rogue signs arbitrary events with its own key.
type rogue struct {
	*history
	name   string
	seen   []*logged // events to refer to
	served []*logged // warrants of its own
}

func newRogue(h *history, name string) *rogue {
	w := h.Warrant(h.Now + 10)
	a := h.Access(w, h.Now+5)
	return &rogue{history: h, name: name, seen: []*logged{w, a, h.Charter}}
}

func (r *rogue) any() *logged { return rapid.SampledFrom(r.seen).Draw(r.rt, "seen") }

func (r *rogue) ref() event.Reference {
	ref := r.any().Reference
	if rapid.IntRange(0, 4).Draw(r.rt, "ref") == 0 {
		ref.Index = rapid.Uint64Range(0, r.l.Size()+3).Draw(r.rt, "index")
	}
	return ref
}

func (r *rogue) body() event.Body {
	seq := rapid.SampledFrom([]uint64{1, 2, 3, 50, 1 << 40}).Draw(r.rt, "seq")
	prev := event.Digest{}
	if seq > 1 {
		prev = hash(fmt.Sprint("prev ", seq))
	}
	switch r.name[0] {
	case 'c':
		if r.name == "court" {
			break
		}
		switch rapid.IntRange(0, 3).Draw(r.rt, "kind") {
		case 0:
			size := rapid.Uint64Range(1, r.l.Size()+2).Draw(r.rt, "size")
			root, _ := r.tree.Root(min(size, r.l.Size()))
			return &event.Release{Access: r.ref(), Seq: seq, Prev: prev, Notices: []event.Digest{hash("n")}, Head: event.Head{Size: size, Root: root}}
		case 1:
			return &event.Heartbeat{From: at(r.Now), To: at(r.Now + day), Seq: seq, Prev: hash("x")}
		case 2:
			return &event.Refusal{Access: r.ref(), Reason: "ended"}
		}
		return &event.Disclosure{Event: r.ref(), Notices: [][]byte{[]byte("n")}}
	case 'a':
		last := rapid.Uint64Range(0, r.l.Size()+2).Draw(r.rt, "last")
		return &event.Finding{First: 0, Last: last, Rule: rapid.SampledFrom([]string{"form", "unfulfilled", "tea"}).Draw(r.rt, "rule"), State: event.FindingOpen, Digest: hash("t")}
	case 'f':
		return r.NextCharter(func(c *event.Charter) { c.Thresholds.Amend = 1 })
	}
	switch rapid.IntRange(0, 3).Draw(r.rt, "kind") {
	case 0:
		b := &event.Revocation{Warrant: r.ref(), Reason: "ended", Scope: rapid.SampledFrom([]event.Scope{event.ScopeAll, event.ScopeCategories,
			event.ScopeSuspended, event.ScopeResumed}).Draw(r.rt, "scope")}
		if b.Scope == event.ScopeCategories {
			b.Categories = []string{"content"}
		} else if b.Scope == event.ScopeResumed {
			ref := r.ref()
			b.Suspension = &ref
		}
		return b
	case 1:
		return &event.Deferral{Event: r.ref(), Until: at(r.Now + 20*day), Ground: "investigation", Ordinal: 1}
	case 2:
		return &event.Disclosure{Event: r.ref(), Openings: r.seen[0].Public}
	}
	w := r.WarrantBody()
	w.Accesses, w.Accounts = rapid.Uint64Range(1, event.MaxInteger).Draw(r.rt, "n"), event.MaxInteger
	return w
}

// make signs an event.
func (r *rogue) make() (*event.Envelope, []event.Opening) {
	e := r.Event(r.body())
	e.Time = at(r.Now + rapid.Int64Range(-10*day, 10*day).Draw(r.rt, "claim"))
	var public []event.Opening
	if _, ok := e.Body.(*event.Warrant); ok {
		public = r.Seal(e, e.Time.Unix()+rapid.Int64Range(0, 180*day).Draw(r.rt, "until"))
	}
	return r.Sign(e, r.name), public
}

// breach makes an entry that has no effect: the rogue's own, or another party's with
// a fault. It returns nil if the entry would have an effect.
func (r *rogue) breach() []byte {
	env, _ := r.make()
	fault := rapid.IntRange(0, 3).Draw(r.rt, "fault")
	if fault == 0 { // a signature in another party's name
		env.Signatures[0] = event.Signature{KeyID: keyID("c2"), Sig: env.Signatures[0].Sig}
	}
	b := env.Bytes()
	if fault == 1 { // an entry that the log already has
		b = rapid.SampledFrom(r.tree.entries).Draw(r.rt, "again")
	}
	v, err := r.l.Check(Read(0, b))
	if err != nil {
		r.rt.Fatal(err)
	}
	if v == nil || v.Code == "early" || v.Code == "late" {
		return nil
	}
	return b
}

// act signs an event, and logs it if admission doesn't refuse it.
func (r *rogue) act(admitted bool) {
	env, public := r.make()
	b := env.Bytes()
	if admitted {
		v, err := r.l.Admit(Read(0, b))
		if err != nil {
			r.rt.Fatal(err)
		}
		if v != nil {
			return
		}
	}
	out := &logged{Envelope: env, Reference: r.Append(b), Public: public}
	r.seen = append(r.seen, out)
	if public != nil && len(r.violations) == 0 {
		r.served = append(r.served, out)
	}
}

// No admitted act of one party stops the others: they close the breaches, fulfil
// what is owed and end the party's key. Then nothing is barred, and an access goes
// through.
func TestNobodyStopsEveryone(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := newHistory(t, rt)
		name := rapid.SampledFrom(rogues).Draw(rt, "rogue")
		h.amend(func(c *event.Charter) { c.AuditPolicy = parties.Policy(1, "a1", "a2") })
		r := newRogue(h, name)
		for range rapid.IntRange(1, 30).Draw(rt, "mischief") {
			r.act(true)
			h.Now += int64(rapid.IntRange(0, 3*day).Draw(rt, "pause"))
			if rapid.Bool().Draw(rt, "anchor") {
				h.anchor()
			}
		}
		h.amend(func(c *event.Charter) {
			drop := func(p event.Party) bool { return p.Name == name && p.Role != event.RoleDuty }
			if name == "court" || name == "enforcer" {
				c.Party(event.RoleAuthority, name).Keys = keysOf("court3")
				return
			}
			if name == "f1" {
				c.Party(event.RoleCharter, "f1").Keys = keysOf("f4")
				return
			}
			if name == "a1" {
				c.AuditPolicy = parties.Policy(1, "a2")
			}
			c.Parties = slices.DeleteFunc(c.Parties, drop)
			c.Groups[0].Members = slices.DeleteFunc(slices.Clone(c.Groups[0].Members), func(n string) bool { return n == name })
		}, "f2", "f3")
		if h.l.Charter().Index != h.l.Size()-1 {
			rt.Fatalf("no amendment: %v", h.violations)
		}
		for range 8 { // the others go on
			h.Now += 50 * day
			for _, c := range []string{"c1", "c2", "c3", "c4"} {
				if c != name {
					h.Heartbeat(c)
				}
			}
			h.anchor()
		}
		for _, w := range append(r.served, r.seen[:2]...) {
			if h.l.open.get(w.Index) != nil {
				h.Disclose(w)
			}
		}
		h.anchor()
		for _, rule := range Rules(2) {
			for _, a := range []string{"a1", "a2"} {
				if a != name {
					h.Finding(a, rule.Name, event.FindingClosed, 0, h.l.Size()-1)
				}
			}
		}
		for _, who := range []string{"", "a2"} {
			if bars := h.l.Barred(who, at(h.Now)); len(bars) > 0 {
				rt.Fatalf("%q is barred: %+v %+v", who, bars[0].Breach, bars[0].Obligation)
			}
		}
		w := h.Event(h.WarrantBody())
		public := h.Seal(w, h.Now+day)
		warrant := h.LogEvent(w, map[bool]string{true: "court3", false: "court"}[name == "court"])
		warrant.Public = public
		h.ok()
		access := h.Access(warrant, h.Now+day)
		h.ok()
		for _, c := range []string{"c2", "c3"} {
			h.answer(access, c)
			h.ok()
		}
		if a, _ := h.l.Access(access.Index); len(a.Answered) != 2 {
			rt.Fatalf("answered by %v", a.Answered)
		}
	})
}

func (h *history) ok() {
	h.t.Helper()
	if len(h.violations) > 0 {
		h.rt.Fatalf("entry %d: %v", h.l.Size()-1, h.violations[0])
	}
}
