// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

const testOrigin = "log.example/warrants"

func testCharter(witnesses int) *ledger.Charter {
	p := people.New(testOrigin, "")
	return &ledger.Charter{Charter: &event.Charter{Profile: event.Profile{Stale: 600, Skew: 60}}, Witnesses: p.ParsePolicy(witnesses, "w1", "w2", "w3")}
}

func code(err error) Code {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r.Code
	}
	return ""
}

// TestMachineAndHeadAgree: a gate opens only while its machine's clock lies between its newest head's
// time, less the skew, and that time plus stale; the head's time goes on by the monotonic clock.
func TestMachineAndHeadAgree(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	month := 30 * 24 * time.Hour
	for name, c := range map[string]struct {
		machine, witnessed time.Duration // since at
		witnesses          int
		code               Code
	}{
		"fresh":                           {0, 0, 2, ""},
		"to the second":                   {600 * time.Second, 0, 2, ""},
		"stale":                           {601 * time.Second, 0, 2, CodeStale},
		"within skew":                     {-60 * time.Second, 0, 2, ""},
		"machine is behind":               {-61 * time.Second, 0, 2, CodeClock},
		"a month-old head":                {month, 0, 2, CodeStale},
		"a machine that was set back":     {0, month, 2, CodeStale},
		"a machine a month behind":        {-month, 0, 2, CodeClock},
		"no witnesses, so no time at all": {0, 0, 0, CodeQuorum},
	} {
		m := moment{at.Add(c.machine), at.Add(c.witnessed)}
		if err := m.fresh(vouched{"witnesses", 7, uint64(at.Unix())}, testCharter(c.witnesses)); code(err) != c.code {
			t.Errorf("%s: %v, want %q", name, err, c.code)
		}
	}
	f := &follower{head: &tlog.Verified{LoggedAfter: uint64(at.Unix())}, received: time.Now()}
	if m := f.at(f.received.Add(time.Minute)); !m.witnessed.Equal(at.Add(time.Minute)) {
		t.Errorf("a minute later it is %s", m.witnessed)
	}
}

// TestClaimsAhead: a gate relies on no claim that is ahead of its machine or of its newest head by more
// than the skew, and on no window that it is not in by both.
func TestClaimsAhead(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	for _, c := range []struct {
		claim, machine, witnessed time.Duration
		ok                        bool
	}{
		{60 * time.Second, 0, 0, true}, {61 * time.Second, 0, 0, false}, {61 * time.Second, time.Hour, 0, false},
		{61 * time.Second, 0, time.Hour, false}, {200 * 8766 * time.Hour, 0, 0, false}, {-time.Hour, 0, 0, true},
	} {
		m := moment{at.Add(c.machine), at.Add(c.witnessed)}
		if err := m.claimed(&event.Event{Time: at.Add(c.claim), Type: event.TypeAccess}, testCharter(2)); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
	w := &event.Warrant{NotBefore: at, NotAfter: at.Add(time.Hour)}
	for _, c := range []struct {
		machine, witnessed time.Duration
		ok                 bool
	}{{0, 0, true}, {time.Hour, time.Hour, true}, {-1, 0, false}, {0, -1, false}, {time.Hour + 1, time.Hour, false}, {time.Hour, time.Hour + 1, false}} {
		if err := (moment{at.Add(c.machine), at.Add(c.witnessed)}).within(w); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func emptyJournal(t *testing.T, keyID string) *journal {
	name := filepath.Join(t.TempDir(), "journal")
	if err := createJournal(name, keyID); err != nil {
		t.Fatal(err)
	}
	j, err := openJournal(name, keyID)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.close() })
	return j
}

// TestSpoiltCopyIsNotOwn: an entry of the gate's event hash counts as its event only if it is the leaf
// that the journal has, or had an effect. A copy that a stranger has spoilt changes nothing, and a second
// signature of the same event is the same event.
func TestSpoiltCopyIsNotOwn(t *testing.T) {
	p := people.New(testOrigin, "")
	j := emptyJournal(t, p.KeyID("c1"))
	sign := func(access uint64) *signed {
		s, err := j.sign(func(seq uint64, prev event.Digest) (*event.Submission, error) {
			env, err := p.Signed(time.Now(), &event.Release{Access: event.Reference{Index: access}, Seq: seq + 1, Prev: prev,
				Notices: []event.Digest{{1}}, Head: event.Head{Size: 1}}, "c1")
			return &event.Submission{Envelope: env}, err
		})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	one, two := sign(1), sign(2)
	seen := func(s *signed, index uint64, leaf [32]byte, effect bool) {
		t.Helper()
		if err := j.seen(ledger.Entry{Index: index, Leaf: leaf, Hash: s.hash}, effect); err != nil {
			t.Fatal(err)
		}
	}
	seen(one, 7, [32]byte{7}, false)
	if j.release(1).logged {
		t.Fatal("a spoilt copy counts as logged")
	}
	seen(one, 8, one.own, false)
	seen(two, 9, [32]byte{9}, true)
	seen(two, 10, two.own, false)
	if a, b := j.release(1), j.release(2); !a.logged || a.index != 8 || !b.logged || b.index != 9 || len(j.waiting()) != 0 {
		t.Fatalf("%+v, %+v", a, b)
	}
}

// TestManyNotices: a gate publishes all notices of a release that has more than fit into the outbox.
func TestManyNotices(t *testing.T) {
	p := people.New(testOrigin, "")
	j := emptyJournal(t, p.KeyID("c1"))
	g := &Gate{cfg: Config{Origin: testOrigin, Signer: p.Signer("c1"), Logger: slog.New(slog.DiscardHandler)}, journal: j}
	r := &signed{kind: event.TypeRelease, logged: true, index: 7}
	for i := range 3 * maxOutbox / 2 {
		r.notices = append(r.notices, []byte{byte(i)})
	}
	j.releases[0] = r
	var got []byte
	for range 2 {
		for _, s := range j.unpublished() {
			if err := g.discloseOne(s); err != nil && !errors.Is(err, errOutbox) {
				t.Fatal(err)
			}
		}
		for _, s := range j.waiting() { // the log takes them
			sub, err := event.ParseSubmission(s.submission)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, sub.Envelope.Event.Body.(*event.Disclosure).Notices[0]...)
			j.drop(s.hash)
		}
	}
	if len(got) != 3*maxOutbox/2 || len(j.unpublished()) != 0 {
		t.Fatalf("it publishes %d", got)
	}
}
