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
		t.Fatalf("%s with %d cases, want %s with %d\n%s", r.Result, len(r.Cases), want, cases, r.Text(100))
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
			w.Live(300)
			others := w.release([]string{"bob@example.org"}, w.stranger(kem))
			mine := w.release([]string{me, "eve@example.org"}, w.key(0, kem), w.stranger(kem))
			w.disclose(others, mine)
			w.Live(w.Size() + 300)
			r := w.scan(nil)
			wants(t, r, scan.Found, 1)
			c := r.Cases[0]
			if len(r.Unproven)+len(r.Reasons)+len(c.Breaches) > 0 || len(c.Notices) != 2 {
				t.Fatal(r.Text(100))
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
				v, err := f.Verify(w.Policy(2, "w1", "w2", "w3"), verify.Options{})
				if err != nil {
					t.Fatal(err)
				}
				has(t, v.Text(), "PROVEN: a release of your data", `"ada@example.org"`, `"12 Js 7/26"`, "by the authority court", "granted", "agency           police",
					"grounds investigation", "by the provider messenger (unit legal)", "by the custodian "+n.Release.By, "the agency signed", "existed before")
			}
			has(t, r.Text(100), "FOUND: your data was released, in 1 case", "custodian        c1 released", "custodian        c2 released",
				"no entry of this case broke a rule", "nothing else was disclosed about you up to 20", "By the auditors' word: nobody's")
			if strings.Contains(r.Text(100), "eve@") {
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
	has(t, r.Text(10), "NOTHING: ", "nothing was disclosed about you up to ", "no release is sealed")

	w.release([]string{me}, w.key(0, kems[0]))
	r = w.scan(nil)
	wants(t, r, scan.Nothing, 0)
	if r.Sealed.Releases != 2 || r.Sealed.Notices != 2 || r.Sealed.Never != 0 || r.Sealed.Live != 2 || r.Sealed.Last.Unix() != w.Now+12*hour {
		t.Errorf("%+v", r.Sealed)
	}
	has(t, r.Text(10), "2 releases are still sealed, and may be about you: the last of them until 2026-", "2 accesses may still be answered")

	// One that is overdue, and absence proves nothing.
	w.Now += 5 * day
	w.anchor()
	r = w.scan(nil)
	wants(t, r, scan.Undecided, 0)
	has(t, r.Text(10), "COULD NOT TELL", "obligations are overdue")
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
	e := w.release([]string{me}, w.key(3, kems[0])) // two months ahead: nobody's clock is
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
			t.Fatal(r.Audit.Text(3), r.Text(10))
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
