// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/event"
)

func TestCharterAt(t *testing.T) {
	w := newWorld(t, nil)
	w.Warrant(w.Now + day)
	w.amend(func(c *event.Charter) { c.WitnessPolicy = parties.Policy(3, "w2", "w3", "w4", "w5") }) // entry 2
	w.Warrant(w.Now + day)
	w.amend(func(c *event.Charter) { c.WitnessPolicy = parties.Policy(1, "w4") }) // entry 4
	w.Warrant(w.Now + day)
	for size, want := range []uint64{1: 0, 2: 0, 3: 2, 4: 2, 5: 4, 6: 4} {
		if c := w.l.CharterAt(uint64(size)); size == 0 && c != nil || size > 0 && c.Index != want {
			t.Errorf("the charter in force at size %d is %+v, want that of entry %d", size, c, want)
		}
	}
}

func TestRecovery(t *testing.T) {
	w := newWorld(t, nil)
	next := func(edit func(*event.Charter), by ...string) *event.Envelope {
		return w.Sign(w.Event(w.NextCharter(edit)), by...)
	}
	newKeys := func(c *event.Charter) { c.WitnessPolicy = parties.Policy(1, "w4") }
	c, err := w.l.Recovers(next(newKeys, "f1", "f2", "f3"), w.l.Size())
	if err != nil || c.Version != 2 || len(c.Witnesses.Witnesses) != 1 {
		t.Fatalf("%+v, %v", c, err)
	}
	for name, env := range map[string]*event.Envelope{
		"enough to amend only": next(newKeys, "f1", "f2"),
		"another prev":         next(func(c *event.Charter) { c.Prev.Leaf[0] ^= 1 }, "f1", "f2", "f3"),
		"a later version":      next(func(c *event.Charter) { c.Version = 3 }, "f1", "f2", "f3"),
		"an operator twice":    next(func(c *event.Charter) { c.WitnessPolicy = twiceText(2) }, "f1", "f2", "f3"),
		"no charter":           w.Sign(w.Event(&event.Heartbeat{From: at(1), To: at(2)}), "c1"),
	} {
		if c, err := w.l.Recovers(env, w.l.Size()); err == nil {
			t.Errorf("%s: recovers to version %d", name, c.Version)
		}
	}
	bad := next(newKeys, "f1", "f2", "f3")
	bad.Signatures[2].Sig[0] ^= 1
	if _, err := w.l.Recovers(bad, w.l.Size()); err == nil {
		t.Error("a bad signature counts")
	}
	if w.l.Size() != 1 || w.l.Charter().Version != 1 {
		t.Error("asking has changed the ledger")
	}
	// Once the log has them, each is checked under the charter before it.
	recovery, few := next(newKeys, "f1", "f2", "f3"), event.Envelope{}
	w.Charter = w.LogEnvelope(recovery)
	few = *next(nil, "f1", "f2")
	w.Charter = w.LogEnvelope(&few)
	if c, err := w.l.Recovers(recovery, 9); err != nil || c.Index != 1 || w.l.Charter().Version != 3 {
		t.Errorf("logged: %+v, %v", c, err)
	}
	if _, err := w.l.Recovers(&few, 2); err == nil {
		t.Error("an amendment that is logged recovers")
	}
	if _, err := w.l.Recovers(next(nil, "f1", "f2", "f3"), 3); err != nil {
		t.Error(err)
	}
}

func TestUnknownRules(t *testing.T) {
	w := emptyWorld(t)
	ch := testCharter()
	ch.Rules = 3
	if _, _, err := w.l.Apply(Read(0, w.Sign(w.Event(ch), "f1", "f2").Bytes())); !errors.Is(err, ErrRules) {
		t.Errorf("entry 0: %v", err)
	}
	w = newWorld(t, nil)
	two := func(c *event.Charter) { c.Rules = 3 }
	before := w.l.Snapshot()
	if _, _, err := w.l.Apply(Read(1, w.Sign(w.Event(w.NextCharter(two)), "f1", "f2").Bytes())); !errors.Is(err, ErrRules) {
		t.Errorf("amendment: %v", err)
	}
	if !bytes.Equal(before, w.l.Snapshot()) {
		t.Error("an error changed the state")
	}
	// Too few signers can't stop a log by naming unknown rules.
	v, _, err := w.l.Apply(Read(1, w.Sign(w.Event(w.NextCharter(two)), "f1").Bytes()))
	if err != nil || len(v) != 1 || v[0].Code != "few" {
		t.Errorf("%v, %v", v, err)
	}
}

func TestOrder(t *testing.T) {
	w := newWorld(t, nil)
	if _, _, err := w.l.Apply(Read(2, w.Charter.Envelope.Bytes())); !errors.Is(err, ErrOrder) {
		t.Error(err)
	}
}

// failingTree fails for every other question.
type failingTree struct {
	*memTree
	asked int
}

var errDisk = errors.New("disk")

func (f *failingTree) fail() error {
	if f.asked++; f.asked%2 == 1 {
		return errDisk
	}
	return nil
}

func (f *failingTree) Entry(i uint64) ([]byte, error) {
	if err := f.fail(); err != nil {
		return nil, err
	}
	return f.memTree.Entry(i)
}

func (f *failingTree) Root(size uint64) ([32]byte, error) {
	if err := f.fail(); err != nil {
		return [32]byte{}, err
	}
	return f.memTree.Root(size)
}

// An Apply that fails with the tree changes nothing, and can be repeated.
func TestTreeFails(t *testing.T) {
	w := newWorld(t, nil)
	warrant := w.Warrant(w.Now + hour)
	access := w.Access(warrant, w.Now+hour)
	w.answer(access, "c1")
	w.anchor()
	w.LogEvent(w.Event(&event.Revocation{Warrant: w.Charter.Reference, Reason: "ended", Scope: event.ScopeAll}), "court")
	l := New(testLog, &failingTree{memTree: w.tree})
	failed := 0
	for i, b := range w.tree.entries {
		before := l.Snapshot()
		_, _, err := l.Apply(Read(uint64(i), b))
		if err == nil {
			continue
		}
		failed++
		if !errors.Is(err, ErrTree) || !errors.Is(err, errDisk) {
			t.Fatal(err)
		}
		if !bytes.Equal(before, l.Snapshot()) {
			t.Fatalf("entry %d: the failed Apply changed the state", i)
		}
		if _, _, err := l.Apply(Read(uint64(i), b)); err != nil {
			t.Fatal(err)
		}
	}
	if failed != 3 || !bytes.Equal(l.Snapshot(), w.l.Snapshot()) {
		t.Errorf("%d failures, and the state differs: %v", failed, !bytes.Equal(l.Snapshot(), w.l.Snapshot()))
	}
}

// Admission refuses some events and must let others in.
func TestAdmit(t *testing.T) {
	w := newWorld(t, nil)
	warrant := w.Warrant(w.Now + hour)
	access := w.Access(warrant, w.Now+hour)
	release, _ := w.release(access, "c4") // of another group
	origin := w.Event(&event.Heartbeat{From: at(1), To: at(2)})
	origin.Log = "other.example"
	early := w.Event(&event.Disclosure{Event: warrant.Reference, Openings: warrant.Public})
	for _, tt := range []struct {
		name string
		env  *event.Envelope
		want string // way of the refusal; "": admitted
	}{
		{"a custodian's breach", w.Sign(release, "c4"), ""},
		{"a custodian's too old event", func() *event.Envelope {
			return w.Sign(w.Event(&event.Heartbeat{From: at(1), To: at(2)}), "c1")
		}(), ""},
		{"an auditor's reference to the future", w.Sign(w.Event(&event.Finding{First: 1, Last: 99, Rule: "form", State: event.FindingOpen, Digest: hash("x")}), "a1"), ""},
		{"an authority's breach", w.Sign(w.Event(&event.Revocation{Warrant: access.Reference, Reason: "ended", Scope: event.ScopeAll}), "court"), "type"},
		{"a provider's breach", w.Sign(early, "messenger"), "early"},
		{"another log, by a custodian", w.Sign(origin, "c1"), "origin"},
		{"another role, by a custodian", w.Sign(w.Event(&event.Revocation{Warrant: warrant.Reference, Reason: "ended", Scope: event.ScopeAll}), "c1"), "wrong"},
		{"a stranger", w.Sign(w.Event(&event.Heartbeat{From: at(1), To: at(2)}), "stranger"), "unknown"},
		{"a custodian opens what is not its own", w.Sign(early, "c1"), "standing"},
		{"a repetition", warrant.Envelope, "repeated"},
		{"a charter with too few signatures", w.Sign(w.Event(w.NextCharter(nil)), "f1"), "few"},
	} {
		before := w.l.Snapshot()
		v, err := w.l.Admit(Read(0, tt.env.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if v != nil {
			got = v.Code
		}
		if got != tt.want {
			t.Errorf("%s: refused for %q (%v), want %q", tt.name, got, v, tt.want)
		}
		if !bytes.Equal(before, w.l.Snapshot()) {
			t.Errorf("%s: asking has changed the state", tt.name)
		}
	}
}

// Signatures verified in advance give the same verdict.
func TestVerifiedBefore(t *testing.T) {
	w := newWorld(t, nil)
	warrant := w.Sign(w.Event(&event.Heartbeat{From: at(1), To: at(2)}), "c1")
	for _, bad := range []bool{false, true} {
		env := *warrant
		env.Signatures = slices.Clone(env.Signatures)
		if bad {
			env.Signatures[0].Sig = bytes.Clone(env.Signatures[0].Sig)
			env.Signatures[0].Sig[0] ^= 1
		}
		plain := Read(1, env.Bytes())
		checked := plain
		checked.Verify(w.l.Key)
		if want := map[bool]SigState{false: Good, true: Bad}[bad]; checked.Signatures[0] != want {
			t.Errorf("state %d, want %d", checked.Signatures[0], want)
		}
		a, err := w.l.Check(plain)
		if err != nil {
			t.Fatal(err)
		}
		b, err := w.l.Check(checked)
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(a) != fmt.Sprint(b) || (a != nil) != bad {
			t.Errorf("%v, %v", a, b)
		}
	}
}

// A void ends what a stolen key allowed, and leaves what it owes.
func TestVoid(t *testing.T) {
	w := newWorld(t, nil)
	warrant := w.Warrant(w.Now + 20*day)
	access := w.Access(warrant, w.Now+20*day)
	d := &event.Deferral{Event: warrant.Reference, Until: at(w.Now + 60*day), Ground: "investigation", Ordinal: 1}
	w.LogEvent(w.Event(d), "court2")
	d.Until, d.Ordinal = at(w.Now+90*day), 2
	w.LogEvent(w.Event(d), "court")
	from := w.l.Size()
	w.Now += 30 * day
	w.amend(func(c *event.Charter) {
		c.Void = []event.Void{{From: 3, Key: keyID("court2")}, {From: from, Key: keyID("messenger")}}
		slices.SortFunc(c.Void, func(a, b event.Void) int { return strings.Compare(a.Key, b.Key) })
	})
	it := w.l.open.get(warrant.Index)
	if s := it.seal; s.until != w.Now || s.ordinal != 2 {
		t.Errorf("until day %d, after %d deferrals; want the day of the amendment", (s.until-testStart)/day, s.ordinal)
	}
	if a, _ := w.l.Access(access.Index); a.Dead != "" {
		t.Errorf("an access before the index is dead: %s", a.Dead)
	}
	if !it.warrant.live() || it.voidAt != 0 {
		t.Error("a warrant of another key of the court is dead")
	}
	w.amend(func(c *event.Charter) {
		c.Void = append(c.Void, event.Void{From: 0, Key: keyID("court")})
		slices.SortFunc(c.Void, func(a, b event.Void) int { return strings.Compare(a.Key, b.Key) })
	})
	if it.voidAt == 0 {
		t.Error("the voided warrant is live")
	}
	if a, _ := w.l.Access(access.Index); a.Dead == "" {
		t.Error("an access on a voided warrant is live")
	}
	if !slices.ContainsFunc(w.l.Overdue(distant), func(o Obligation) bool { return o.Rule == "disclosure" && o.Index == warrant.Index }) {
		t.Error("the voided warrant owes no disclosure")
	}
}

// Backdating to before the last anchor makes no other party late: due times count
// from no earlier than the proven time.
func TestBackdating(t *testing.T) {
	w := newWorld(t, nil)
	w.Now += 6 * day
	w.anchor()
	e := w.Event(w.WarrantBody())
	e.Time = at(w.Now - 6*day)
	w.Seal(e, w.Now-5*day)
	w.LogEvent(e, "court")
	for _, o := range w.l.Overdue(at(w.Now + hour)) {
		t.Errorf("overdue: %s of entry %d", o.Rule, o.Index)
	}
}

// On a quiet log, an old claim makes only its own anchor late, until that anchor is
// logged.
func TestQuietLog(t *testing.T) {
	w := newWorld(t, nil)
	w.anchor()
	w.Now += 6 * day
	e := w.Event(w.WarrantBody())
	e.Time = at(w.Now - 5*day)
	w.Seal(e, w.Now+day)
	w.LogEvent(e, "court")
	if o := w.l.Overdue(at(w.Now)); len(o) != 1 || o[0].Rule != "anchor" {
		t.Errorf("overdue: %+v", o)
	}
	w.anchor()
	for _, o := range w.l.Overdue(at(w.Now)) {
		t.Errorf("overdue after the anchor: %s of entry %d", o.Rule, o.Index)
	}
}

// Breaches of one party beyond the limit are counted, not listed.
func TestManyBreaches(t *testing.T) {
	w := newWorld(t, nil)
	access := w.Access(nil, w.Now+day)
	for range 3 * maxListed {
		e, _ := w.release(access, "c4")
		w.LogEvent(e, "c4")
	}
	b := w.l.breaches
	if len(b) != maxListed || b[maxListed-1].Count != 2*maxListed+1 || b[maxListed-1].Last != w.l.Size()-1 {
		t.Fatalf("%d breaches, the last of %d up to entry %d", len(b), b[len(b)-1].Count, b[len(b)-1].Last)
	}
	w.Finding("a1", "release-chain", event.FindingClosed, 0, w.l.Size()-1)
	if bars := w.l.Barred("a1", at(w.Now)); len(bars) > 0 {
		t.Errorf("barred: %+v", bars[0].Breach)
	}
	e, _ := w.release(access, "c4")
	w.LogEvent(e, "c4")
	if bars := w.l.Barred("a1", at(w.Now)); len(bars) != 1 {
		t.Errorf("a breach after the finding does not bar: %d", len(bars))
	}
}

// The state holds what is open: little is left when all is closed and the lag over.
func TestMemoryIsWhatIsOpen(t *testing.T) {
	w := newWorld(t, nil)
	for range 50 {
		warrant := w.Warrant(w.Now + minute)
		access := w.Access(warrant, w.Now+minute)
		r := w.answer(access, "c1")
		w.Now += hour
		w.Disclose(access, r)
		w.Disclose(warrant)
		w.LogEvent(w.Event(&event.Return{Warrant: warrant.Reference}), "messenger")
		w.Heartbeat("c2")
		w.Heartbeat("c3")
		w.Heartbeat("c4")
		w.anchor()
	}
	w.Now += 10 * day
	w.anchor()
	if open, _ := w.l.Open(); open != 0 {
		t.Errorf("%d events are open", open)
	}
	if len(w.l.breaches) != 0 {
		t.Errorf("%+v", w.l.breaches[0])
	}
	if n := len(w.l.Snapshot()); n > 64<<10 {
		t.Errorf("the snapshot has %d bytes", n)
	}
	if len(w.l.released) > 0 || len(w.l.unanchored) != 1 {
		t.Errorf("%d releases, %d unanchored entries are left", len(w.l.released), len(w.l.unanchored))
	}
	if c, _ := w.l.Chain(keyID("c1")); c.Seq != 50 || c.Broken || c.Waiting != 0 {
		t.Errorf("%+v", c)
	}
}

func TestComplete(t *testing.T) {
	w := newWorld(t, nil)
	warrant, access := w.Event(w.WarrantBody()), w.Event(written.AccessBody(nil))
	public := w.Seal(warrant, w.Now+day)
	if err := w.l.Charter().Complete(warrant, public); err != nil {
		t.Error(err)
	}
	tea := append(slices.Clone(public[:2]), w.Opening("grounds", event.Codes("tea")))
	if err := warrant.Seal(at(w.Now+day), tea, []event.Opening{w.Opening("case", event.Text("1"))}); err != nil {
		t.Fatal(err)
	}
	if err := w.l.Charter().Complete(warrant, tea); !errors.Is(err, event.ErrWrongName) {
		t.Errorf("a ground that the profile lacks: %v", err)
	}
	public = w.Seal(access, w.Now+day)
	if err := w.l.Charter().Complete(access, public); err != nil {
		t.Error(err)
	}
	bare := []event.Opening{w.Opening("unit", event.Text("legal")), event.Decoy(), event.Decoy()}
	subject := []event.Opening{w.Opening("account", event.Text("x")), w.Opening("agencySignature", event.Bytes([]byte("s"))),
		w.Opening("package", event.Text(event.Digest(hash("p")).String()))}
	if err := access.Seal(at(w.Now+day), bare, subject); err != nil {
		t.Fatal(err)
	}
	if err := w.l.Charter().Complete(access, bare); !errors.Is(err, event.ErrIncomplete) {
		t.Errorf("an emergency without its agency: %v", err)
	}
}
