// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// What barred an auditor at a recent size and a time is what Barred returned then, and
// no later entry changes it: a snapshot has it too.
func TestPastBarsAreRemembered(t *testing.T) {
	compared, found := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		h := newHistory(t, rt, func(c *event.Charter) { c.Profile.Bars = append(c.Profile.Bars, "return"); slices.Sort(c.Profile.Bars) })
		r := newRogue(h, rapid.SampledFrom(rogues).Draw(rt, "rogue"))
		type question struct {
			size   uint64
			time   int64
			barred bool
			other  bool // by more than an anchor, which is also owed for a claim that lies ahead
		}
		var asked []question
		ask := func() {
			for _, back := range []int64{0, 1, minute, hour, -hour} {
				t := h.Now - back
				bars := h.l.Barred("a1", at(t))
				other := slices.ContainsFunc(bars, func(b Bar) bool { return b.Obligation == nil || b.Obligation.Rule != anchorLate.Rule })
				asked = append(asked, question{h.l.Size(), t, len(bars) > 0, other})
			}
		}
		h.Appended = func(_ event.Reference, b []byte) { h.apply(b); ask() }
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			switch rapid.IntRange(0, 5).Draw(rt, "what") {
			case 0, 1:
				r.act(false)
			case 2:
				h.anchor()
			case 3:
				rule := rapid.SampledFrom([]string{"form", "release-chain", "disclosure", "reference"}).Draw(rt, "rule")
				state := rapid.SampledFrom([]event.FindingState{event.FindingClosed, event.FindingOpen}).Draw(rt, "state")
				h.Finding(rapid.SampledFrom([]string{"a1", "a2"}).Draw(rt, "by"), rule, state, 0, h.l.Size()-1)
			case 4:
				for _, e := range r.seen {
					if e.Public != nil {
						h.LogEvent(h.Event(&event.Disclosure{Event: e.Reference, Openings: e.Public}), "court")
					}
				}
			case 5:
				h.amend(func(c *event.Charter) {
					if rapid.Bool().Draw(rt, "void") {
						c.Void = []event.Void{{From: h.l.Size() / 2, Key: keyID("a2")}}
					}
				})
			}
			h.Now += rapid.SampledFrom([]int64{0, minute, hour, 7 * hour, day}).Draw(rt, "pause")
		}
		c, err := restored(h.l)
		if err != nil {
			rt.Fatal(err)
		}
		for _, q := range asked {
			if q.size < h.l.recent.oldest {
				continue
			}
			compared++
			if q.barred {
				found++
			}
			if got := h.l.wasBarred("a1", q.size, q.time); got && !q.barred || !got && q.other || got != c.wasBarred("a1", q.size, q.time) {
				rt.Fatalf("at size %d of %d, day %f: barred %v, and it was %v", q.size, h.l.Size(), float64(q.time-testStart)/day, got, q.barred)
			}
		}
	})
	if compared == 0 || found == 0 {
		t.Errorf("%d comparisons, %d of bars", compared, found)
	}
}

// The memory of past bars has what changed since the last stale head, however long the
// log goes on.
func TestPastBarsAreBounded(t *testing.T) {
	w := newWorld(t, nil)
	most := 0
	for range 200 {
		warrant := w.Warrant(w.Now + minute)
		w.Now += 10 * minute
		w.Disclose(warrant)
		w.anchor()
		most = max(most, len(w.l.recent.past)+len(w.l.recent.heads))
	}
	if most > 50 {
		t.Errorf("%d", most)
	}
}

// A gate's note has a smallest set of lines that count: not those of auditors that were
// barred or are set aside. A release with it is effective.
func TestAuditNoteIsMinimal(t *testing.T) {
	w := newWorld(t, func(c *event.Charter) { c.AuditPolicy = parties.Policy(1, "a1", "a2") })
	access := w.Access(w.Warrant(w.Now+day), w.Now+day)
	release := func(custodian string, auditors ...string) (lines int, err error) {
		note, after, err := w.l.AuditNote(w.checkpoint(w.l.Size(), w.Now, auditors...))
		if err != nil {
			return 0, err
		}
		cp, err := tlog.ParseCheckpoint([]byte(note))
		if err != nil || after != uint64(w.Now) {
			t.Fatalf("after %d: %v", after, err)
		}
		e, _ := w.release(access, custodian)
		e.Body.(*event.Release).Audit = note
		w.LogEvent(e, custodian)
		if len(w.violations) > 0 {
			t.Error(w.violations[0])
		}
		return len(cp.Signatures), nil
	}
	if n, err := release("c1", "a1", "a2"); n != 2 || err != nil {
		t.Errorf("%d lines, %v; want the log's and one auditor's", n, err)
	}
	b := w.foreign(access)
	if _, err := release("c2", "a1", "a2"); !errors.Is(err, tlog.ErrNoQuorum) {
		t.Errorf("both are barred: %v", err)
	}
	w.closeBreach("release-chain", b.Index, "a2")
	if n, err := release("c2", "a1", "a2"); n != 2 || err != nil {
		t.Errorf("%d lines, %v", n, err)
	}
	f := w.LogEvent(w.Event(&event.Finding{First: 0, Last: 99, Rule: "form", State: event.FindingOpen, Digest: hash("x")}), "a2")
	w.closeBreach("reference", f.Index, "a1", "a2")
	if _, err := release("c3", "a2"); !errors.Is(err, tlog.ErrNoQuorum) {
		t.Errorf("it is set aside: %v", err)
	}
	if n, err := release("c3", "a1", "a2"); n != 2 || err != nil {
		t.Errorf("%d lines, %v", n, err)
	}
}

// A release whose audit an earlier log key signed stands after an amendment replaced that
// key: the charter at the size of the audited head names it.
func TestAuditUnderAReplacedLogKey(t *testing.T) {
	next, err := tlog.NewSigner(testLog, tlog.Ed25519, [32]byte{7})
	if err != nil {
		t.Fatal(err)
	}
	for _, seen := range []bool{true, false} {
		w := newWorld(t, nil)
		access := w.Access(w.Warrant(w.Now+day), w.Now+day)
		head := w.checkpoint(w.l.Size(), w.Now, "a1", "a2")
		relied := event.Head{Size: w.l.Size(), Root: event.Digest(w.l.Root())}
		w.amend(func(c *event.Charter) { c.LogKeys = []string{next.Verifier().String()} })
		w.wantCodes()
		note, _, err := w.l.AuditNote(head)
		if err != nil {
			t.Fatal(err)
		}
		e, _ := w.release(access, "c1")
		r := e.Body.(*event.Release)
		r.Audit = note
		if !seen {
			r.Head = relied
		}
		w.LogEvent(e, "c1")
		w.wantCodes()
		if seen {
			continue
		}
		// The new key signs no head of before.
		forged, err := people.Cosign(head.Head, uint64(w.Now), next, parties.Witness("a1"), parties.Witness("a2"))
		if err != nil {
			t.Fatal(err)
		}
		e, _ = w.release(access, "c2")
		e.Body.(*event.Release).Audit = string(forged.Bytes())
		w.LogEvent(e, "c2")
		w.wantCodes("audit/checkpoint")
	}
}

// The breaches of an auditor that cosigned a head from before the charter that names it
// bar the others once, as those of any other.
func TestAuditorOfALaterCharterIsSetAside(t *testing.T) {
	w := newWorld(t, nil)
	warrant := w.Warrant(w.Now + day)
	access := w.Access(warrant, w.Now+day)
	size := w.l.Size()
	w.amend(func(c *event.Charter) { parties.Cast(c, event.RoleAuditor, "a1", "a2", "a3") })
	w.wantCodes()
	w.Now += 2 * day // the anchor is late
	cp := w.checkpoint(size, w.Now, "a1", "a2", "a3")
	e, _ := w.release(access, "c1")
	e.Time = at(w.Now - day)
	e.Body.(*event.Release).Audit = string(cp.Bytes())
	w.LogEvent(e, "c1")
	w.wantCodes("audit/barred", "audit/barred", "audit/barred")
	for _, v := range w.violations {
		if v.key == 0 {
			t.Errorf("no key answers for %v by %s", v, v.By)
		}
	}
}

// A head stays named for a round: auditors may cosign it while witnesses cosign a larger
// one. A release under it is effective for as long as its cosignatures are not stale.
func TestNoteOfTheLastRound(t *testing.T) {
	w := newWorld(t, nil)
	p := w.l.Charter().Profile
	access := w.Access(w.Warrant(w.Now+20*day), w.Now+20*day)
	named := w.l.Size()
	w.Warrant(w.Now + 20*day)
	w.anchor()
	w.Now += int64(p.Round)
	note := w.checkpoint(named, w.Now, "a1", "a2")
	w.Now += int64(p.Stale)
	w.anchor()
	e, _ := w.release(access, "c1")
	e.Body.(*event.Release).Audit = string(note.Bytes())
	w.LogEvent(e, "c1")
	w.wantCodes()
}
