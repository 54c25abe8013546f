// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"slices"
	"testing"

	"github.com/vasistas/vasistas/log/event"
)

// variant is an envelope of the same event with other signatures.
func (w *world) variant(env *event.Envelope, edit func(*event.Envelope)) *event.Envelope {
	out := *env
	out.Signatures = slices.Clone(env.Signatures)
	edit(&out)
	return &out
}

func flipped(env *event.Envelope) {
	s := &env.Signatures[0]
	s.Sig = append([]byte{s.Sig[0] ^ 1}, s.Sig[1:]...)
}

// entry is an envelope as the next entry.
func (w *world) entry(env *event.Envelope) Entry { return Read(w.l.Size(), env.Bytes()) }

// An entry of the same event, with a bad signature or another party's, blocks the
// honest one of no type.
func TestVariantsDoNotBlock(t *testing.T) {
	for name, tt := range map[string]struct {
		make  func(w *world, warrant, access *logged) *event.Event
		by    string
		other string // another party of the role
	}{
		"release": {func(w *world, _, access *logged) *event.Event { e, _ := w.release(access, "c1"); return e }, "c1", "c2"},
		"heartbeat": {func(w *world, _, _ *logged) *event.Event {
			return w.Event(&event.Heartbeat{From: at(w.Now - day), To: at(w.Now)})
		}, "c1", "c2"},
		"refusal": {func(w *world, _, access *logged) *event.Event {
			return w.Event(&event.Refusal{Access: access.Reference, Reason: "unreadable"})
		}, "c1", "c2"},
		"revocation": {func(w *world, warrant, _ *logged) *event.Event {
			return w.Event(&event.Revocation{Warrant: warrant.Reference, Reason: "ended", Scope: event.ScopeAll})
		}, "court", "other"},
		"deferral": {func(w *world, warrant, _ *logged) *event.Event {
			return w.Event(&event.Deferral{Event: warrant.Reference, Until: at(w.Now + 40*day), Ground: "investigation", Ordinal: 1})
		}, "court", "other"},
		"disclosure": {func(w *world, warrant, _ *logged) *event.Event {
			return w.Event(&event.Disclosure{Event: warrant.Reference, Openings: warrant.Public})
		}, "court", "other"},
		"return": {func(w *world, warrant, _ *logged) *event.Event {
			return w.Event(&event.Return{Warrant: warrant.Reference, Executed: true})
		}, "messenger", "mailer"},
		"warrant": {func(w *world, _, _ *logged) *event.Event {
			e := w.Event(w.WarrantBody())
			w.Seal(e, w.Now+day)
			return e
		}, "court", "other"},
		"charter": {func(w *world, _, _ *logged) *event.Event { return w.Event(w.NextCharter(nil)) }, "f1", "f3"},
		"finding": {func(w *world, _, _ *logged) *event.Event {
			return w.Event(&event.Finding{First: 0, Last: 1, Rule: "form", State: event.FindingClosed, Digest: hash("x")})
		}, "a1", "a2"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			warrant := w.Warrant(w.Now + 30*day)
			access := w.Access(warrant, w.Now+20*day)
			e := tt.make(w, warrant, access)
			by := []string{tt.by}
			if name == "charter" {
				by = append(by, "f2")
			}
			honest := w.Sign(e, by...)
			w.LogEnvelope(w.variant(honest, flipped))
			if tt.by[0] == 'c' && name != "warrant" && name != "finding" {
				w.LogEvent(e, tt.by, tt.other) // both: only one may, or the other has no standing
			}
			if _, ok := w.l.Recorded(w.entry(honest)); ok {
				t.Fatal("recorded before it had an effect")
			}
			at := w.LogEnvelope(honest)
			if len(w.violations) > 0 {
				t.Fatalf("the honest entry: %v", w.violations[0])
			}
			if i, ok := w.l.Recorded(w.entry(honest)); !ok || i != at.Index {
				t.Errorf("recorded: %d, %v; want %d", i, ok, at.Index)
			}
			if _, ok := w.l.Recorded(w.entry(w.variant(honest, flipped))); ok {
				t.Error("a bad signature is recorded")
			}
			if _, ok := w.l.Recorded(w.entry(w.Sign(e, append(by, tt.other)...))); ok {
				t.Error("another party's signature is recorded")
			}
			v, err := w.l.Admit(w.entry(honest))
			if err != nil || v == nil || v.Rule != "form" || v.Code != "repeated" || v.Args[0] != at.Index {
				t.Errorf("again: %v, %v", v, err)
			}
		})
	}
}

// A place in a chain, even a waiting one, is an effect; a release that loses it when
// its chain ends is not recorded.
func TestWaitingReleaseIsRecorded(t *testing.T) {
	w := newWorld(t, nil)
	access := w.Access(nil, w.Now+20*day)
	e, _ := w.release(access, "c1")
	e.Body.(*event.Release).Seq, e.Body.(*event.Release).Prev = 2, hash("first")
	env := w.Sign(e, "c1")
	waiting := w.LogEnvelope(env)
	if i, ok := w.l.Recorded(w.entry(env)); !ok || i != waiting.Index {
		t.Errorf("recorded: %d, %v", i, ok)
	}
	w.amend(func(c *event.Charter) { c.Party(event.RoleCustodian, "c1").Keys = keysOf("c1new") })
	if _, ok := w.l.Recorded(w.entry(env)); ok {
		t.Error("recorded, and its place is lost")
	}
}

// The log repeats an event that had no effect: its signer does not answer twice, and
// admission does not take it again.
func TestRepetitionIsNoSecondBreach(t *testing.T) {
	w := newWorld(t, nil)
	access := w.Access(nil, w.Now+20*day)
	e, _ := w.release(access, "c4") // of another group
	first := w.LogEvent(e, "c4")
	w.LogEnvelope(first.Envelope)
	if len(w.violations) != 1 || w.violations[0].Code != "repeated" || w.violations[0].Args[0] != first.Index {
		t.Errorf("%v", w.violations)
	}
	if n := len(w.l.breaches); n != 1 {
		t.Errorf("%d breaches", n)
	}
}

// A custodian's disclosure to which another custodian adds its signature makes
// neither look guilty, and does not block the first one's own.
func TestAddedSignatureAccusesNoOther(t *testing.T) {
	w := newWorld(t, nil)
	access := w.Access(nil, w.Now+hour)
	r := w.answer(access, "c1")
	w.Now += 2 * hour
	e := w.Event(&event.Disclosure{Event: access.Reference, Notices: r.Notices})
	w.LogEvent(e, "c1", "c2")
	for _, v := range w.violations {
		if v.By != Log {
			t.Errorf("%v answers: %v", v.By, v)
		}
	}
	w.LogEvent(e, "c1")
	if len(w.violations) > 0 {
		t.Error(w.violations[0])
	}
}

// A recovery envelope with a signature stripped, posted first, does not make the
// real one taken: the signatures of one event are united.
func TestRecoveryUnitesSignatures(t *testing.T) {
	w := newWorld(t, nil)
	real := w.Sign(w.Event(w.NextCharter(func(c *event.Charter) { c.WitnessPolicy = parties.Policy(1, "w4") })), "f1", "f2", "f3")
	stripped := w.LogEnvelope(w.variant(real, func(e *event.Envelope) { e.Signatures = e.Signatures[:2] }))
	if w.l.Charter().Version != 2 {
		t.Fatal(w.violations)
	}
	c, err := w.l.Recovers(real, 9)
	if err != nil || c.Index != stripped.Index || c.Leaf != stripped.Leaf {
		t.Fatalf("%+v, %v", c, err)
	}
	rest := w.variant(real, func(e *event.Envelope) { e.Signatures = e.Signatures[2:] })
	if _, err := w.l.Recovers(rest, 9); err != nil {
		t.Error(err)
	}
	if _, err := w.l.Recovers(stripped.Envelope, 9); err == nil {
		t.Error("an amendment recovers")
	}
	if _, ok := w.l.Recorded(w.entry(real)); ok {
		t.Error("the third signature is recorded")
	}
}

// An envelope that fewer keys signed is recorded with the one that all signed, and is
// answered with its index; one more key is not.
func TestFewerSignersAreRecorded(t *testing.T) {
	w := newWorld(t, nil)
	e := w.Event(w.WarrantBody())
	w.Seal(e, w.Now+day)
	all := w.LogEvent(e, "court", "court2")
	for by, want := range map[string]bool{"court": true, "court2": true, "other": false} {
		if i, ok := w.l.Recorded(w.entry(w.Sign(e, by))); ok != want || ok && i != all.Index {
			t.Errorf("signed by %s: %d, %v", by, i, ok)
		}
	}
	w.LogEvent(e, "court2")
	if len(w.violations) != 1 || w.violations[0].Way != formRepeated || w.violations[0].Args[0] != all.Index {
		t.Error(w.violations)
	}
}
