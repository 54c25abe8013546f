// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package scan_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/notice"
	"github.com/vasistas/vasistas/client/scan"
	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/log/event"
)

var kems = []event.KEM{event.KEMMLKEMX25519, event.KEMX25519}

func wants(t *testing.T, r *scan.Report, want scan.Result, cases int) {
	t.Helper()
	if r.Outcome() != want || r.Result != want.String() || len(r.Cases) != cases {
		t.Fatalf("%s with %d cases, want %s with %d\n%s", r.Result, len(r.Cases), want, cases, text(t, r))
	}
}

func has(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q is missing:\n%s", p, text)
		}
	}
}

// A case among those of others is found whole, whatever keys it is under.
func TestFound(t *testing.T) {
	for _, kem := range kems {
		t.Run(string(kem), func(t *testing.T) {
			w := newWorld(t)
			others := w.release([]string{"bob@example.org"}, w.stranger(kem))
			mine := w.release([]string{me, "eve@example.org"}, w.key(0, kem), w.stranger(kem))
			w.disclose(others, mine)
			w.Live(w.Size() + 300)
			r := w.scan(nil)
			wants(t, r, scan.Found, 1)
			c := r.Cases[0]
			if len(r.Unproven)+len(r.Reasons)+len(c.Breaches) > 0 || len(c.Notices) != 2 {
				t.Fatal(text(t, r))
			}
			for i, n := range c.Notices {
				if n.Release.By != []string{"c1", "c2"}[i] || n.Release.Index != mine.releases[i].Index || n.Access.Index != mine.Access.Index ||
					n.Warrant.Index != mine.Warrant.Index || !slices.Equal(n.Accounts, []string{me}) || !n.Consent || !n.Effect || len(n.Warnings) > 0 {
					t.Errorf("%+v", n.Verified)
				}
				b, err := n.File.Bytes()
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(string(b), "eve@") || !notice.Is(b) {
					t.Error("the file")
				}
				f, err := notice.Parse(b)
				if err != nil {
					t.Fatal(err)
				}
				v, err := f.Verify(w.ParsePolicy(3, "w1", "w2", "w3", "w4"), verify.Options{})
				if err != nil {
					t.Fatal(err)
				}
				if v.Accounts[0] != me || v.Case != "12 Js 7/26" || v.Warrant.By != "court" || v.Warrant.Decision != event.Granted || v.Agency != "police" ||
					v.Warrant.Grounds[0] != "investigation" || v.Access.By != "messenger" || v.Unit != "legal" || v.Release.By != n.Release.By || !v.Consent || v.ExistedBefore.IsZero() {
					t.Errorf("%+v", v)
				}
			}
			if strings.Contains(text(t, r), "eve@") {
				t.Error("it names another subject")
			}
			if r.Tries == 0 || r.Notices < 6 || r.Sealed == nil || r.Sealed.Releases != 0 {
				t.Errorf("%+v, sealed %+v", r, r.Sealed)
			}
		})
	}
}

// Nothing found is worth as much as the log kept its rules, and what is sealed is said.
func TestNothing(t *testing.T) {
	w := newWorld(t)
	w.disclose(w.release([]string{"bob@example.org"}, w.stranger(kems[0])))
	r := w.scan(nil)
	wants(t, r, scan.Nothing, 0)
	if r.Sealed.Releases != 0 || r.Audit.LoggedAfter == "" {
		t.Errorf("%+v", r.Sealed)
	}

	w.release([]string{me}, w.key(0, kems[0]))
	r = w.scan(nil)
	wants(t, r, scan.Nothing, 0)
	if r.Sealed.Releases != 2 || r.Sealed.Notices != 2 || r.Sealed.Never != 0 || r.Sealed.Live != 2 || r.Sealed.Last.Unix() != w.Now+12*hour {
		t.Errorf("%+v", r.Sealed)
	}

	// One that is overdue, and absence proves nothing.
	w.Now += 5 * day
	w.anchor()
	r = w.scan(nil)
	wants(t, r, scan.Undecided, 0)
	has(t, strings.Join(r.Reasons, " "), scan.ReasonBreaches)
}

// Keys of the past, and of the month that a fast clock is in.
func TestPeriods(t *testing.T) {
	w := newWorld(t)
	a := w.release([]string{me}, w.key(0, kems[1]))
	w.disclose(a)
	w.Live(w.Size() + 60) // for heartbeats
	w.Now += 40 * day
	w.anchor()
	b := w.release([]string{me}, w.key(0, kems[1]))
	c := w.release([]string{me}, w.key(1, kems[0]))
	d := w.release([]string{me}, w.key(2, kems[0]))
	e := w.release([]string{me}, w.key(3, kems[0])) // two months ahead: no clock is
	w.disclose(b, c, d, e)
	r := w.scan(nil)
	if r.From != "2026-01" || r.To != "2026-03" {
		t.Errorf("keys of %s to %s", r.From, r.To)
	}
	wants(t, r, scan.Found, 4)
	var periods []string
	for _, c := range r.Cases {
		periods = append(periods, c.Notices[0].Period)
	}
	if want := []string{"2026-01", "2026-01", "2026-02", "2026-03"}; !slices.Equal(periods, want) {
		t.Errorf("periods %v", periods)
	}
}

// What is served can't tell a subject that found something from one that did not.
func TestPrivate(t *testing.T) {
	w := newWorld(t)
	mine := w.release([]string{me}, w.key(0, kems[0]))
	w.Live(400)
	w.disclose(mine)
	w.Live(w.Size() + 300)
	var mu sync.Mutex
	var asked []string
	url := w.serve(func(path string) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, path)
	})
	requests := func(seed *escrow.Seed, want scan.Result) []string {
		asked = nil
		r := w.scan(func(c *scan.Config) {
			c.Client, c.Seed = w.client(client.Config{URL: url, Keep: t.TempDir()}), seed
		})
		if r.Outcome() != want {
			t.Fatal(text(t, r))
		}
		slices.Sort(asked)
		return asked
	}
	found := requests(w.seed, scan.Found)
	none := requests(escrow.NewSeed(nowOf(w)), scan.Nothing)
	if !slices.Equal(found, none) {
		t.Errorf("who found something asked for\n%v\nand who did not for\n%v", found, none)
	}
	if n := len(slices.Compact(slices.Clone(found))); n != len(found) {
		t.Errorf("%d of %d requests were repeated", len(found)-n, len(found))
	}
}

// Each entry is checked by the charter of its own time: the court's key was replaced after
// its warrant.
func TestAmended(t *testing.T) {
	w := newWorld(t)
	c := &released{Case: w.NewCase(hour12, []string{me}, w.Wrap(w.key(0, kems[0]), me))}
	w.See()
	w.Amend(func(ch *event.Charter) {
		ch.Party(event.RoleAuthority, "court").Keys = []*event.PublicKey{w.Public("another court key")}
	})
	for _, name := range []string{"c1", "c2"} {
		c.releases = append(c.releases, w.ReleaseCase(c.Case, name))
	}
	w.disclose(c)
	r := w.scan(nil)
	wants(t, r, scan.Found, 1)
	n := r.Cases[0].Notices[0]
	if len(n.Charters) != 2 || n.Warrant.By != "court" || len(n.Warnings) > 0 {
		t.Errorf("%+v", n.Verified)
	}
	n.File.Charters = n.File.Charters[1:] // which does not know the court's old key
	if _, err := n.File.Verify(w.ParsePolicy(3, "w1", "w2", "w3", "w4"), verify.Options{}); verify.VerdictOf(err) == verify.Proven {
		t.Error("a file without the charter of the warrant's time")
	}
}

// Cosignatures that are in the future for this machine prove nothing yet.
func TestFuture(t *testing.T) {
	w := newWorld(t)
	w.disclose(w.release([]string{me}, w.key(0, kems[0])))
	r := w.scan(func(c *scan.Config) { c.Now = c.Now.AddDate(0, 0, -7) })
	wants(t, r, scan.Undecided, 0)
	has(t, r.Unproven[0].Reason, "in the future")
}

// An emergency has no warrant; who was on duty is told instead.
func TestEmergency(t *testing.T) {
	w := newWorld(t)
	w.Amend(func(ch *event.Charter) {
		ch.Profile.Emergency = &event.Emergency{Open: 5, Accounts: 5, Decision: event.Deadline{Within: 30 * day, Grace: day}, Grounds: []string{"life"}}
	})
	p := w.Wrap(w.key(0, kems[0]), me)
	recipient := w.stranger(kems[0])
	e := w.Event(&event.Access{Emergency: "life", Group: "main", Recipient: recipient, Accounts: 1})
	message, err := event.AgencyMessage(e.Log, event.Digest{}, e.ID, recipient)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := w.Agency.Sign(message)
	if err != nil {
		t.Fatal(err)
	}
	public := []event.Opening{event.NewOpening("unit", event.Text("legal")), event.NewOpening("agency", event.Text("police")),
		event.NewOpening("agencyKey", event.Bytes(w.Agency.Public().SPKI()))}
	subject := []event.Opening{event.NewOpening("account", event.Text(me)), event.NewOpening("package", event.Text(p.Digest().String())),
		event.NewOpening("agencySignature", event.Bytes(signature))}
	access := w.LogSealed(e, w.Now+12*hour, public, subject, "messenger", "duty")
	n := &escrow.Notice{Origin: access.Envelope.Event.Log, Access: access.Reference, Custodian: "c1", Seq: 1, Recipient: recipient,
		AccessOpenings: &event.Openings{Event: access.Envelope.Hash(), Public: public, Subject: subject}}
	b, err := n.Seal(w.key(0, kems[0]))
	if err != nil {
		t.Fatal(err)
	}
	release := w.ReleaseWith(access, "c1", b)
	w.anchor()
	w.Now += 13 * hour
	w.anchor()
	w.Disclose(access, release)
	w.anchor()
	r := w.scan(nil)
	wants(t, r, scan.Found, 1)
	if got := r.Cases[0].Notices[0]; len(got.Warnings)+len(r.Cases[0].Breaches)+len(r.Reasons) > 0 || got.Warrant != nil || !got.Consent || got.Duty != "court" || got.Emergency != "life" {
		t.Errorf("%+v\n%s", got.Verified, text(t, r))
	}
}
