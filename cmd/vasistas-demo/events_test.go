// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/profile"
)

// TestEveryRow finds for every row an event, or why there is none, and compares the periods of
// the events with the dates in the file. It signs all emergency accesses and each fifth
// warrant; of the others, it makes what decides whether they can be signed.
func TestEveryRow(t *testing.T) {
	t.Parallel()
	b := decideRows(allRows(t))
	want := map[refusal]int{refusedProvider: 121, refusedAgency: 21}
	if !maps.Equal(b.refused, want) {
		t.Errorf("refused: %v", b.refused)
	}
	if b.warrants != 5173 || len(b.accepted) != 5173+67 {
		t.Errorf("%d warrants of %d events", b.warrants, len(b.accepted))
	}
	refused := 0
	for _, n := range b.refused {
		refused += n
	}
	if len(b.accepted)+refused != numRows {
		t.Errorf("%d events and %d refused", len(b.accepted), refused)
	}
	k := people.New(origin, "")
	dates := rowDates(t)
	var some []row
	for i, a := range b.accepted {
		d := newWarrant(k, &a) // of an emergency, its decision
		var period []string
		for _, o := range append(d.public, d.subject...) {
			_, err := o.Digest()
			check(t, err)
			if o.Name == "dataPeriods" {
				period = o.Value.Codes()
			}
		}
		if !slices.Equal(period, dates[a.ID]) {
			t.Errorf("row %s: the event's period is %v, want %v", a.ID, period, dates[a.ID])
		}
		if a.Emergency || i%5 == 0 {
			some = append(some, *a.row)
		}
	}
	checkSigned(t, some)
}

// rowDates returns the period that each row states, by the row's id.
func rowDates(t *testing.T) map[string][]string {
	t.Helper()
	data, err := gzip.NewReader(bytes.NewReader(packedRows))
	check(t, err)
	records, err := csv.NewReader(data).ReadAll()
	check(t, err)
	dates, none, impossible := make(map[string][]string), 0, 0
	for _, r := range records[1:] {
		switch start, end := r[14], r[15]; {
		case start == "":
			none++
		case end < start:
			impossible++
		default:
			dates[r[0]] = []string{start + "T00:00:00Z/" + end + "T23:59:59Z"}
		}
	}
	if none != 1234 || impossible != 67 || len(dates) != numRows-none-impossible {
		t.Errorf("%d rows without dates, %d that end before they begin, %d with a period", none, impossible, len(dates))
	}
	return dates
}

// checkSigned signs rows, and reads the events as others will.
func checkSigned(t *testing.T, rows []row) {
	t.Helper()
	k := people.New(origin, "")
	b := signRows(t, k, rows, nil)
	if len(b.events) != len(rows) {
		t.Errorf("%d events of %d rows", len(b.events), len(rows))
	}
	ids := make(map[event.ID]bool)
	for i, e := range b.events {
		env, openings := e.env, e.openings
		check(t, env.Verify(k.Lookup))
		check(t, env.Event.MatchAll(event.ClassPublic, openings.Public))
		check(t, env.Event.MatchAll(event.ClassSubject, openings.Subject))
		if openings.Event != env.Hash() {
			t.Fatalf("event %d has the openings of another", i)
		}
		if ids[env.Event.ID] {
			t.Fatalf("event %d has the id of another", i)
		}
		ids[env.Event.ID] = true
	}
}

func signRows(t *testing.T, k *people.People, rows []row, kept []*signedEvent) *batch {
	t.Helper()
	b := decideRows(rows)
	b.events = kept
	b.sign(k, len(b.accepted))
	return b
}

func TestEvents(t *testing.T) {
	warrant := oneRow(t, map[string]string{"warrant_number": "18SW-1", "primary_nature": "Homicide", "delay_reasons": "x",
		"grounds": "was stolen or embezzled"})
	filed := oneRow(t, map[string]string{"row_id": "2016:1", "info_start": "", "info_end": "", "served_on": "Device Only", "business_name": ""})
	emergency := oneRow(t, map[string]string{"emergency": "Yes", "info_start": "", "info_end": ""})
	k := people.New(origin, "")

	ev, openings := signed(t, k, warrant)
	w := ev.Body.(*event.Warrant)
	if w.Decision != event.Granted || w.Provider != providerName || w.Offence != "homicide" || w.Accounts != 1 || w.Accesses != 1 ||
		!w.NotBefore.Equal(ev.Time) || w.NotAfter.Sub(w.NotBefore) != 10*time.Second {
		t.Errorf("warrant: %+v", w)
	}
	if openings["case"] != "18SW-1" || openings["agency"] != "chico-pd" || ev.Sealed.Until.Sub(ev.Time) != 90*time.Second {
		t.Errorf("seals: %v until %v", openings, ev.Sealed.Until)
	}

	digests := len(ev.Sealed.Public)
	ev, openings = signed(t, k, filed)
	if n := len(ev.Sealed.Public); n != digests {
		t.Errorf("a warrant without a period has %d public digests, one with a period %d", n, digests)
	}
	w = ev.Body.(*event.Warrant)
	if w.Provider != providerName || w.Offence != "not-stated" || !w.NotBefore.Equal(ev.Time) || w.NotAfter.Sub(w.NotBefore) != 10*time.Second {
		t.Errorf("warrant of 2016: %+v", w)
	}
	if openings["case"] != "row 2016:1, which states no warrant number" || ev.Sealed.Until.Sub(ev.Time) != 10*time.Second {
		t.Errorf("seals: %v until %v", openings, ev.Sealed.Until)
	}

	ev, openings = signed(t, k, emergency)
	a := ev.Body.(*event.Access)
	if openings["unit"] != "sprint" || openings["agency"] != "chico-pd" {
		t.Errorf("seals of an access: %v", openings)
	}
	if a.Warrant != nil || a.Emergency != emergencyGround || a.Accounts != 1 {
		t.Errorf("access: %+v", a)
	}
	message, err := event.AgencyMessage(ev.Log, event.Digest{}, ev.ID, a.Recipient)
	check(t, err)
	signature, err := event.Text(openings["agencySignature"]).Bytes()
	check(t, err)
	check(t, k.Public(agencyKey("chico-pd")).Verify(message, signature))
}

func sign(t *testing.T, k *people.People, r *row) *signedEvent {
	t.Helper()
	c, no := decide(r)
	if no != "" {
		t.Fatal(no)
	}
	return signEvent(k, &c)
}

// signed returns the event of a row, and the texts under its seals.
func signed(t *testing.T, k *people.People, r *row) (*event.Event, map[string]string) {
	t.Helper()
	e := sign(t, k, r)
	env, o := e.env, e.openings
	check(t, env.Verify(k.Lookup))
	texts := make(map[string]string)
	for _, o := range append(o.Public, o.Subject...) {
		texts[o.Name] = o.Value.Text()
	}
	return env.Event, texts
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		want refusal
		over map[string]string
	}{
		{refusedProvider, map[string]string{"emergency": "Yes", "business_name": "", "served_on": "Device Only"}},
		{refusedProvider, map[string]string{"emergency": "Yes", "business_name": "..."}},
		{refusedAgency, map[string]string{"agency": "-"}},
		{refusedAgency, map[string]string{"agency": "A Police Department With A Name That Is Longer Than Sixty-Four Letters"}},
		{refusedGrounds, map[string]string{"grounds": "because"}},
	} {
		if _, got := decide(oneRow(t, c.over)); got != c.want {
			t.Errorf("%v: %q, want %q", c.over, got, c.want)
		}
	}
}

// TestTwice: a row that stands twice is two events, and an event of an earlier run is not signed
// again.
func TestTwice(t *testing.T) {
	r, bad := oneRow(t, nil), oneRow(t, map[string]string{"agency": "-"})
	rows := []row{*r, *bad, *r}
	k := people.New(origin, "")
	first := signRows(t, k, rows, nil)
	if len(first.events) != 2 || first.events[0].env.Hash() == first.events[1].env.Hash() {
		t.Fatalf("%d events, or one twice", len(first.events))
	}
	dir := t.TempDir()
	saveEvents(dir, first.events)
	again := signRows(t, k, append(rows, *r), loadEvents(dir))
	if len(again.events) != 3 || again.refused[refusedAgency] != 1 {
		t.Fatalf("%d events, refused %v", len(again.events), again.refused)
	}
	for i, e := range first.events {
		if again.events[i].env.LeafHash() != e.env.LeafHash() || !reflect.DeepEqual(again.events[i].openings, e.openings) {
			t.Errorf("event %d was signed again", i)
		}
	}
	check(t, os.MkdirAll(filepath.Join(dir, "log", "state"), 0o700))
	check(t, os.WriteFile(filepath.Join(dir, "log", "state", "log.json"), nil, 0o644))
	_, err := openSystem(t.Context(), &options{dir: dir}, nil)
	if err == nil || !strings.Contains(err.Error(), "earlier version") {
		t.Errorf("the directory of an earlier version: %v", err)
	}
}

// TestSayOpened tells what a disclosure opens, and fails if that is not what the court sealed.
func TestSayOpened(t *testing.T) {
	k := people.New(origin, "")
	for want, over := range map[string]map[string]string{
		"grounds not-stated, data of 2018-01-01 to 2018-01-31": nil,
		"grounds not-stated, data of 2018-01-31 to 2018-01-31": {"info_start": "2018-01-31"},
		"grounds not-stated, no period of the data stated":     {"info_start": "2018-02-01"},
	} {
		c, no := decide(oneRow(t, over))
		if no != "" {
			t.Fatal(no)
		}
		e := signEvent(k, &c)
		disclosure := &opened{Disclosure: &event.Disclosure{Openings: e.openings.Public}}
		var out bytes.Buffer
		s := &story{stdout: &out, replay: &replay{opened: map[uint64]*opened{7: disclosure}}}
		h := &history{accepted: &c, logged: loggedAt(7, e)}
		if err := caught(func() { s.sayOpened(h) }); err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("%v: %v, %s", over, err, &out)
		}
		c.periods = periods(oneRow(t, map[string]string{"info_end": "2018-01-30"}))
		if err := caught(func() { s.sayOpened(h) }); err == nil {
			t.Errorf("%v: another period than the sealed one was told", over)
		}
	}
}

// TestSlack: a slow machine gets more time for its histories, within what the profile allows.
func TestSlack(t *testing.T) {
	for took, want := range map[time.Duration]time.Duration{0: 0, 100 * time.Millisecond: 0, 3 * time.Second: 18 * time.Second, time.Hour: longestSlack} {
		if got := (&story{publication: took}).slack(); got != want || historySeal+historyDelay+got > sealDelayed {
			t.Errorf("a publication in %v: %v, want %v", took, got, want)
		}
	}
}

// TestPace: whatever the machine's pace, the profile's figures agree with each other.
func TestPace(t *testing.T) {
	for took, want := range map[time.Duration]uint64{0: 1, paceEvent * 9: 1, paceEvent * 10: 2, paceEvent * 35: 4, time.Hour: maxPace} {
		if got := paceOf(took, 10); got != want {
			t.Errorf("ten events in %v: %d, want %d", took, got, want)
		}
	}
	k := people.New(origin, "")
	for n := range uint64(maxPace) {
		_, err := k.Signed(time.Now(), k.Charter(func(c *event.Charter) {
			p, err := profile.Load("demo")
			check(t, err)
			adapt(&p, n+1)
			c.Profile = p
		}), "f1", "f2")
		check(t, err)
	}
}

// TestPick holds that histories are of new rows, and that the last chunk has them.
func TestPick(t *testing.T) {
	b := decideRows(allRows(t))
	b.pick(numHistories, 0)
	chunks := b.chunks()
	if len(b.histories) != numHistories || chunks[len(chunks)-1][0] != b.histories[0] || !slices.IsSorted(b.histories) {
		t.Fatalf("histories %v, chunks %v", b.histories, chunks)
	}
	end := 0
	for _, c := range chunks {
		if c[0] != end || c[1] <= c[0] || c[1]-c[0] > maxChunk {
			t.Errorf("chunk %v after %d", c, end)
		}
		end = c[1]
	}
	if end != len(b.accepted) {
		t.Errorf("the chunks end at %d of %d", end, len(b.accepted))
	}
	none := decideRows(allRows(t)[:60])
	none.pick(numHistories, len(none.accepted))
	if len(none.histories) != 0 {
		t.Errorf("histories of rows that were signed before: %v", none.histories)
	}
}
