// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// put submits an event, which must be admitted, and returns where it is.
func (w *world) put(s *event.Submission) event.Reference {
	w.t.Helper()
	return referTo(w.mustSequence(bytesOf(w.t, s)), s.Envelope)
}

// refused submits an event, which must be refused by a rule.
func (w *world) refused(entry []byte, rule, way string) *problem {
	w.t.Helper()
	_, err := w.sequence(entry)
	var p *problem
	if !errors.As(err, &p) || p.code != "rule" || p.Rule != rule || p.Way != way {
		w.t.Fatalf("%v; want the rule %s (%s)", err, rule, way)
	}
	want := http.StatusConflict
	if rule == "role" {
		want = http.StatusForbidden
	}
	if p.status != want {
		w.t.Errorf("rule %s (%s) has the status %d", rule, way, p.status)
	}
	return p
}

// TestLimitUnderConcurrency checks that of many concurrent accesses on a warrant that
// bears one, one is admitted.
func TestLimitUnderConcurrency(t *testing.T) {
	w := newWorld(t, 1, 1)
	w.start()
	for range 5 {
		ref := w.put(newWarrant(t, origin, warrantTerms{}, w.authority))
		entries := make([][]byte, 48)
		for i := range entries {
			entries[i] = bytesOf(t, w.newAccess(ref, time.Now().Add(time.Hour)))
		}
		errs := make([]error, len(entries))
		var wg sync.WaitGroup
		for i, e := range entries {
			wg.Go(func() { _, errs[i] = w.sequence(e) })
		}
		wg.Wait()
		in := 0
		for _, err := range errs {
			var p *problem
			switch {
			case err == nil:
				in++
			case !errors.As(err, &p) || p.Rule != "warrant-live" || p.Way != "accesses" || p.Reference == nil || p.Reference.Index != ref.Index ||
				p.Reference.Leaf != base64.StdEncoding.EncodeToString(ref.Leaf[:]):
				t.Errorf("refused with %v", err)
			}
		}
		if in != 1 {
			t.Fatalf("%d of %d accesses are on a warrant that bears one", in, len(entries))
		}
	}
	w.audit()
}

// TestRefusals checks that an event that breaks a rule gets an answer that names the
// rule, and changes nothing.
func TestRefusals(t *testing.T) {
	w := newWorld(t, 1, 1)
	w.start()
	terms := warrantTerms{accesses: 2, accounts: 2}
	good := newWarrant(t, origin, terms, w.authority)
	ref := w.put(good)
	revoked := w.put(newWarrant(t, origin, terms, w.authority))
	w.mustSequence(signed(t, &event.Revocation{Warrant: revoked, Reason: "ended", Scope: event.ScopeAll}, w.authority).Bytes())
	suspended := w.put(newWarrant(t, origin, warrantTerms{}, w.authority))
	w.mustSequence(signed(t, &event.Revocation{Warrant: suspended, Reason: "ended", Scope: event.ScopeSuspended}, w.authority).Bytes())
	answered := w.put(newWarrant(t, origin, warrantTerms{}, w.authority))
	w.mustSequence(signed(t, &event.Response{Warrant: answered, Outcome: event.Unable, Ground: "immunity"}, w.provider).Bytes())
	size := uint64(8)
	bare := func(body event.Body, by ...event.Signer) []byte { return signed(t, body, by...).Bytes() }
	warrant := func(change func(b *event.Warrant), until time.Time) []byte {
		s := newWarrant(t, origin, warrantTerms{until: until}, w.authority)
		ev := *s.Envelope.Event
		change(ev.Body.(*event.Warrant))
		env, err := event.Sign(&ev, w.authority)
		check(t, err)
		return bytesOf(t, &event.Submission{Envelope: env, Openings: s.Openings})
	}
	none := func(*event.Warrant) {}
	at := func(when time.Time) []byte {
		return bytesOf(t, newWarrant(t, origin, warrantTerms{at: when}, w.authority))
	}
	amended := func(change func(ch *event.Charter), by ...event.Signer) []byte {
		ch := w.charter()
		ch.Version = 2
		prev := referTo(0, w.founding)
		ch.Prev = &prev
		change(ch)
		return bare(ch, by...)
	}
	keep := func(*event.Charter) {}
	hour := time.Now().Add(time.Hour)
	access := func(on event.Reference) []byte { return bytesOf(t, w.newAccess(on, hour)) }
	same := newWarrant(t, origin, warrantTerms{}, w.authority)
	again := *same.Envelope.Event
	again.ID = good.Envelope.Event.ID
	sameID, err := event.Sign(&again, w.authority)
	check(t, err)
	future := event.Reference{Index: size + 5, Leaf: ref.Leaf}
	wrongLeaf := event.Reference{Index: ref.Index, Leaf: [32]byte{1}}
	for _, c := range []struct {
		name  string
		entry []byte
		rule  string
		way   string
	}{
		{"a first charter in the middle", w.foundingAgain(), "charter", "middle"},
		{"an amendment that skips a version", amended(func(ch *event.Charter) { ch.Version = 3 }, w.founder), "charter", "version"},
		{"an amendment of another charter", amended(func(ch *event.Charter) { ch.Prev.Leaf[0] ^= 1 }, w.founder), "charter", "prev"},
		{"an amendment that no founder signed", amended(keep, w.authority), "role", "wrong"},
		{"one operator counted twice", amended(func(ch *event.Charter) { ch.WitnessPolicy = twoKeysOfOne(t) }, w.founder), "charter", "operator"},
		{"a warrant by the provider", bare(good.Envelope.Event.Body, w.provider), "role", "wrong"},
		{"a warrant with an unknown offence", warrant(func(b *event.Warrant) { b.Offence = "treason" }, hour), "form", "code"},
		{"a warrant with an unknown instrument", warrant(func(b *event.Warrant) { b.Instrument = "oracle" }, hour), "form", "code"},
		{"a warrant for an unknown provider", warrant(func(b *event.Warrant) { b.Provider = "unknown" }, hour), "form", "name"},
		{"a warrant that is sealed for too long", warrant(none, time.Now().Add(200*24*time.Hour)), "seal-limit", "long"},
		{"a warrant without seals", bare(good.Envelope.Event.Body, w.authority), "seal-limit", "missing"},
		{"one id used twice", bytesOf(t, &event.Submission{Envelope: sameID, Openings: same.Openings}), "form", "id"},
		{"a claim from tomorrow", at(time.Now().Add(24 * time.Hour)), "honest-time", "ahead"},
		{"a claim from last month", at(time.Now().Add(-30 * 24 * time.Hour)), "honest-time", "old"},
		{"an access on what isn't there yet", access(future), "reference", "future"},
		{"an access on another leaf", access(wrongLeaf), "reference", "leaf"},
		{"an access on the charter", access(referTo(0, w.founding)), "reference", "type"},
		{"an access on a revoked warrant", access(revoked), "warrant-live", "revoked"},
		{"an access on a suspended warrant", access(suspended), "warrant-live", "suspended"},
		{"an access after a response", access(answered), "warrant-live", "response"},
		{"an access sealed for longer than its warrant", bytesOf(t, w.newAccess(ref, time.Now().Add(100*24*time.Hour))), "seal-limit", "own"},
		{"a second revocation", bare(&event.Revocation{Warrant: revoked, Reason: "ended", Scope: event.ScopeAll}, w.authority), "warrant-live", "over"},
		{"a revocation for no known reason", bare(&event.Revocation{Warrant: ref, Reason: "whim", Scope: event.ScopeAll}, w.authority), "form", "code"},
		{"a second suspension", bare(&event.Revocation{Warrant: suspended, Reason: "ended", Scope: event.ScopeSuspended}, w.authority), "revocation", "twice"},
		{"a resumption of a warrant", bare(&event.Revocation{Warrant: suspended, Reason: "ended", Scope: event.ScopeResumed, Suspension: &suspended}, w.authority), "reference", "type"},
		{"a response by an authority", bare(&event.Response{Warrant: ref, Outcome: event.Refused, Ground: "immunity"}, w.authority), "role", "wrong"},
		{"a response for no known ground", bare(&event.Response{Warrant: ref, Outcome: event.Refused, Ground: "whim"}, w.provider), "form", "code"},
		{"a second response", bare(&event.Response{Warrant: answered, Outcome: event.Refused, Ground: "immunity"}, w.provider), "response", "over"},
		{"a warrant for an unknown category", warrant(func(b *event.Warrant) { b.Categories = []string{"dreams"} }, hour), "form", "code"},
		{"a deferral beyond the step", bare(&event.Deferral{Event: ref, Until: whole(time.Now().Add(400 * 24 * time.Hour)), Ground: "investigation", Ordinal: 1}, w.authority), "seal-limit", "step"},
		{"a deferral back", bare(&event.Deferral{Event: ref, Until: whole(hour), Ground: "investigation", Ordinal: 1}, w.authority), "seal-limit", "back"},
		{"a deferral out of order", bare(&event.Deferral{Event: ref, Until: whole(time.Now().Add(91 * 24 * time.Hour)), Ground: "investigation", Ordinal: 2}, w.authority), "seal-limit", "ordinal"},
		{"a disclosure by the provider before its time", bare(&event.Disclosure{Event: ref, Openings: good.Openings}, w.provider), "opening", "early"},
		{"a disclosure of what was not sealed", bare(&event.Disclosure{Event: ref, Openings: []event.Opening{event.NewOpening("agency", event.Text("police"))}}, w.authority), "opening", "match"},
		{"a custodian that discloses a warrant", bare(&event.Disclosure{Event: ref, Openings: good.Openings}, w.custodian), "role", "standing"},
		{"an anchor that is none", bare(&event.Anchor{Checkpoint: origin + "\n1\nAAAA\n\n\u2014 x y\n"}, w.provider), "anchor", "checkpoint"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := *w
			w.t = t
			w.refused(c.entry, c.rule, c.way)
		})
	}
	if n := len(w.audit()); n != int(size) {
		t.Errorf("the log has %d entries; want %d", n, size)
	}
	// The log goes on: the warrant still bears its accesses.
	w.put(w.newAccess(ref, hour))
	w.put(w.newAccess(ref, hour))
	w.refused(access(ref), "warrant-live", "accesses")
}

// foundingAgain is the first charter with another id.
func (w *world) foundingAgain() []byte {
	w.t.Helper()
	return signed(w.t, w.charter(), w.founder).Bytes()
}

// twoKeysOfOne is a policy in which both keys of one operator count.
func twoKeysOfOne(t *testing.T) string {
	t.Helper()
	text := ""
	for i, a := range []tlog.Algorithm{tlog.CosignatureEd25519, tlog.CosignatureMLDSA44} {
		k, err := tlog.GenerateSigner("one.example", a)
		check(t, err)
		text += "witness k" + string(rune('a'+i)) + " " + k.Verifier().String() + "\n"
	}
	return text + "group g 2 ka kb\nquorum g\n"
}

// TestOpenings checks that openings must be of what the entry seals for everyone.
func TestOpenings(t *testing.T) {
	w := newWorld(t, 1, 1)
	w.start()
	s := newWarrant(t, origin, warrantTerms{}, w.authority)
	other := newWarrant(t, origin, warrantTerms{}, w.authority)
	with := func(openings ...event.Opening) []byte {
		return bytesOf(t, &event.Submission{Envelope: s.Envelope, Openings: openings})
	}
	// Only the profile says that an emergency names its agency, and which codes there
	// are.
	emergency := w.newAccess(event.Reference{}, time.Now().Add(time.Hour)).Envelope.Event
	emergency.Body.(*event.Access).Warrant, emergency.Body.(*event.Access).Emergency = nil, "life"
	bare := []event.Opening{event.NewOpening("unit", event.Text("desk")), event.Decoy(), event.Decoy()}
	subject := []event.Opening{event.NewOpening("account", event.Text("x")), event.NewOpening("agencySignature", event.Bytes(make([]byte, 64))),
		event.NewOpening("package", event.Text(event.Digest{1}.String()))}
	check(t, emergency.Seal(emergency.Sealed.Until, bare, subject))
	nameless, err := event.Sign(emergency, w.provider, w.duty)
	check(t, err)
	tea := *other.Envelope.Event
	whim := []event.Opening{event.NewOpening("agency", event.Text("police")), other.Openings[1], event.NewOpening("grounds", event.Codes("tea"))}
	for _, o := range other.Openings {
		if o.Name == "agencyKey" {
			whim[1] = o
		}
	}
	check(t, tea.Seal(tea.Sealed.Until, whim, []event.Opening{event.NewOpening("case", event.Text("1"))}))
	groundless, err := event.Sign(&tea, w.authority)
	check(t, err)
	for _, c := range []struct {
		name string
		body []byte
		says string
	}{
		{"an emergency without its agency", bytesOf(t, &event.Submission{Envelope: nameless, Openings: bare}), "must seal its agency"},
		{"a ground that the profile lacks", bytesOf(t, &event.Submission{Envelope: groundless, Openings: whim}), "no grounds"},
		{"none", s.Envelope.Bytes(), "closed"},
		{"one is missing", with(s.Openings[:2]...), "closed"},
		{"another's", with(other.Openings...), "matches no digest"},
		{"one too many", with(append(slices.Clone(s.Openings), event.NewOpening("grounds", event.Codes("investigation")))...), "matches no digest"},
		{"one of the subject's", with(append(slices.Clone(s.Openings), event.NewOpening("case", event.Text("1")))...), "name"},
		{"notices", bytesOf(t, &event.Submission{Envelope: s.Envelope, Openings: s.Openings, Notices: [][]byte{{1}}}), "notices"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := w.sequence(c.body)
			var p *problem
			if !errors.As(err, &p) || p.code != "openings" || p.status != http.StatusUnprocessableEntity || !strings.Contains(p.Detail, c.says) {
				t.Errorf("%v; want openings that says %q", err, c.says)
			}
		})
	}
	if w.vault.Len() != 0 {
		t.Errorf("the vault has %d records", w.vault.Len())
	}
	ref := w.put(s)
	if !w.vault.Has(s.Envelope.Hash()) {
		t.Error("the vault hasn't the openings of a logged warrant")
	}
	// A submitter of the entry alone, which is public, gets its proof.
	if i := w.mustSequence(s.Envelope.Bytes()); i != ref.Index {
		t.Errorf("the same event is at %d and %d", ref.Index, i)
	}
	w.audit()
}

// TestExtends checks that admission judges which warrant a warrant seals that it extends, which the entry does
// not show: before and after a restart, and again when it is submitted again.
func TestExtends(t *testing.T) {
	w := prepareWorld(t, 1, 1)
	w.extra = func(ch *event.Charter) {
		high, other := w.Party(event.RoleAuthority, "high"), w.Party(event.RoleAuthority, "other")
		high.Above = []string{"court"}
		ch.Parties = append(ch.Parties, high, other, w.Party(event.RoleProvider, "mailer"))
	}
	w.create()
	w.start()
	extends := func(ref event.Reference, change func(*event.Warrant), by event.Signer) *event.Submission {
		t.Helper()
		s := newWarrant(t, origin, warrantTerms{}, by)
		ev := *s.Envelope.Event
		change(ev.Body.(*event.Warrant))
		public := append(slices.Clone(s.Openings), event.NewOpening("extends", event.Text(ref.String())))
		check(t, ev.Seal(ev.Sealed.Until, public, []event.Opening{event.NewOpening("case", event.Text("1/2026"))}))
		env, err := event.Sign(&ev, by)
		check(t, err)
		return &event.Submission{Envelope: env, Openings: public}
	}
	keep := func(*event.Warrant) {}
	earlier := w.put(newWarrant(t, origin, warrantTerms{}, w.authority))
	access := w.put(w.newAccess(earlier, time.Now().Add(time.Hour)))
	wrong := []struct {
		s         *event.Submission
		rule, way string
	}{
		{extends(earlier, keep, w.Signer("other")), "extends", "authority"},
		{extends(earlier, func(b *event.Warrant) { b.Provider = "mailer" }, w.authority), "extends", "provider"},
		{extends(access, keep, w.authority), "reference", "type"},
		{extends(event.Reference{Index: 1 << 40, Leaf: earlier.Leaf}, keep, w.authority), "reference", "future"},
		{extends(event.Reference{Index: earlier.Index, Leaf: access.Leaf}, keep, w.authority), "reference", "leaf"},
	}
	good := []*event.Submission{extends(earlier, keep, w.authority), extends(earlier, keep, w.Signer("high"))}
	var refs []event.Reference
	for round, name := range []string{"first", "again", "restarted"} {
		if name == "restarted" {
			w.stop()
			w.start()
			good = append(good, extends(earlier, keep, w.authority), extends(refs[1], keep, w.Signer("high")))
			wrong[round].s = extends(refs[1], keep, w.authority) // a court extends no warrant of one above it
			wrong[round].rule, wrong[round].way = "extends", "authority"
		}
		for _, c := range wrong {
			p := w.refused(bytesOf(t, c.s), c.rule, c.way)
			if p.Reference == nil {
				t.Errorf("%s: %s (%s) names no entry", name, c.rule, c.way)
			}
			// What a warrant extends can't be kept from admission.
			if _, err := w.sequence(c.s.Envelope.Bytes()); !isProblem(err, "openings") {
				t.Errorf("%s: without its openings: %v", name, err)
			}
		}
		for i, s := range good {
			ref := w.put(s)
			if i == len(refs) {
				refs = append(refs, ref)
			}
			if ref != refs[i] {
				t.Errorf("%s: entry %d is entry %d again", name, refs[i].Index, ref.Index)
			}
		}
	}
	if n := len(w.audit()); n != 3+len(good) {
		t.Errorf("the log has %d entries; want %d", n, 3+len(good))
	}
}

// TestVoices checks that what custodians and auditors say against a rule is logged.
func TestVoices(t *testing.T) {
	w := newWorld(t, 1, 1)
	w.start()
	warrant := w.put(newWarrant(t, origin, warrantTerms{}, w.authority))
	access := w.put(w.newAccess(warrant, time.Now().Add(time.Hour)))
	w.published(3)
	cp := w.checkpoint()
	head := event.Head{Size: cp.Size, Root: event.Digest(cp.Root)}
	wrong := head
	wrong.Root[0] ^= 1
	next := uint64(3)
	for _, c := range []struct {
		name string
		s    *event.Submission
	}{
		{"a release that relies on another tree", w.release(access, 1, [32]byte{}, wrong)},
		{"a release", w.release(access, 1, [32]byte{}, head)},
		{"a second one for the same seq", w.release(access, 1, [32]byte{}, head)},
		{"a refusal for no known reason", &event.Submission{Envelope: signed(t, &event.Refusal{Access: access, Reason: "whim"}, w.custodian)}},
		{"a finding about what isn't there", &event.Submission{Envelope: signed(t, &event.Finding{First: 90, Last: 99, Rule: "anchor", State: event.FindingOpen}, w.auditor)}},
	} {
		i, err := w.sequence(bytesOf(t, c.s))
		if err != nil || i != next {
			t.Errorf("%s: at %d: %v", c.name, i, err)
		}
		next++
	}
	w.audit()
}

// TestCharterOverHTTP checks that anyone gets the charter in force, with its index.
func TestCharterOverHTTP(t *testing.T) {
	w := newWorld(t, 1, 1)
	w.start()
	get := func() (index string, body []byte) {
		resp, err := http.Get(w.url + "/charter")
		check(t, err)
		defer resp.Body.Close()
		var b bytes.Buffer
		_, err = b.ReadFrom(resp.Body)
		check(t, err)
		return resp.Header.Get("Vasistas-Index"), b.Bytes()
	}
	if index, body := get(); index != "0" || !bytes.Equal(body, w.founding.Bytes()) {
		t.Errorf("the charter is entry %s:\n%s", index, body)
	}
	w.append(w.warrant())
	ch := w.charter()
	ch.Version = 2
	prev := referTo(0, w.founding)
	ch.Prev = &prev
	ch.Profile.Offences = append(ch.Profile.Offences, "smuggling")
	amendment := signed(t, ch, w.founder)
	w.append(amendment.Bytes())
	if index, body := get(); index != "2" || !bytes.Equal(body, amendment.Bytes()) {
		t.Errorf("the charter is entry %s:\n%s", index, body)
	}
}
