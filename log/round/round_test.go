// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package round

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sample returns a round with an answer of each kind.
func sample(t testing.TB) *Round {
	t.Helper()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var keys []string
	for i := range 4 {
		k, err := tlog.GenerateSigner(fmt.Sprintf("a%d.example", i), tlog.CosignatureEd25519)
		check(t, err)
		keys = append(keys, k.Verifier().String())
	}
	log, err := tlog.GenerateSigner("log.example", tlog.Ed25519)
	check(t, err)
	head := tlog.Head{Origin: "log.example", Size: 7, Root: tlog.Hash{1}}
	sig, err := log.Sign(&head, 0)
	check(t, err)
	r := New(&tlog.Checkpoint{Head: head, Signatures: []tlog.Signature{sig}}, at.Add(7*time.Millisecond), []Answer{
		{Auditor: "one", Key: keys[0], Kind: Cosigned, Time: &at},
		{Auditor: "two", Key: keys[1], Kind: Refused, Text: "barred <&>", Bars: []Bar{
			{Obligation: &ledger.Obligation{Rule: "disclosure", Way: "late", Index: 3, By: "provider messenger", Due: at, Late: at.Add(time.Hour), Text: "t", Groups: []string{"main"}}},
			{Breach: &ledger.BreachJSON{Rule: "chain", Way: "gap", Index: 1, Seen: 2, Last: 1, Count: 1, By: "custodian one", Text: "t", Cure: "c", ClosedBy: []string{"two"}}},
		}},
		{Auditor: "three", Key: keys[2], Kind: Silent},
		{Auditor: "four", Key: keys[3], Kind: Wrong, Text: "a bad signature"},
	})
	return r
}

func TestRoundTrip(t *testing.T) {
	r := sample(t)
	got, err := Parse(r.Bytes())
	check(t, err)
	if !bytes.Equal(got.Bytes(), r.Bytes()) || got.Head().Size != 7 || len(got.Auditors) != 4 || got.Auditors[1].Bars[0].Obligation.Groups[0] != "main" {
		t.Errorf("%s", got.Bytes())
	}
}

// TestRoundRefused checks that a round that no log writes is refused.
func TestRoundRefused(t *testing.T) {
	text := string(sample(t).Bytes())
	long := strings.Repeat("x", MaxText+1)
	for name, change := range map[string][2]string{
		"size":         {`"size":7`, `"size":8`},
		"root":         {`"root":"AQ`, `"root":"Ag`},
		"state":        {`"open"`, `"closed"`},
		"kind":         {`"silent"`, `"asleep"`},
		"no time":      {`"answer":"silent"`, `"answer":"cosigned"`},
		"milliseconds": {`"named":"2026-01-02T03:04:05Z"`, `"named":"2026-01-02T03:04:05.5Z"`},
		"zone":         {`"named":"2026-01-02T03:04:05Z"`, `"named":"2026-01-02T04:04:05+01:00"`},
		"unknown":      {`"state":`, `"more":1,"state":`},
		"twice":        {`"state":`, `"state":"met","state":`},
		"case":         {`"state":`, `"State":`},
		"space":        {`"state":`, ` "state":`},
		"text":         {`a bad signature`, long},
		"control":      {`a bad signature`, `\u001b[2J`},
		"line":         {`a bad signature`, `a\nb`},
		"key":          {`"key":"`, `"key":"x`},
		"bars":         {`"answer":"declined"`, `"answer":"wrong"`},
		"no bar":       {`"bars":[`, `"bars":[{},`},
		"many bars":    {`"bars":[`, `"bars":[` + strings.Repeat(`{"breach":{"rule":"","way":"","index":1,"seen":2,"last":1,"count":1,"by":"","text":""}},`, MaxBars)},
		"escape":       {`<&>`, `\u003c&>`},
		"checkpoint":   {`log.example\n7`, `log.example\r\n7`},
	} {
		changed := strings.Replace(text, change[0], change[1], 1)
		if changed == text {
			t.Fatalf("%s: nothing is changed", name)
		}
		if _, err := Parse([]byte(changed)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Parse(bytes.Repeat([]byte(" "), MaxSize+1)); !errors.Is(err, ErrMalformed) {
		t.Errorf("too large: %v", err)
	}
}

// TestRoundDecline checks that what is quoted of an auditor is bounded and printable.
func TestRoundDecline(t *testing.T) {
	bar := `{"obligation":{"rule":"r\u0007","way":"w","index":1,"by":"b","due":"2026-01-02T03:04:05Z","late":"2026-01-02T05:04:05+01:00","text":"` +
		strings.Repeat("ä", 3000) + `","auditors":true,"groups":[` + strings.Repeat(`"g",`, 99) + `"g"]}}`
	d, err := ParseDecline([]byte(`{"title":"Barred","detail":"","new":1,"bars":[{},` + strings.Repeat(bar+",", 50) + bar + `]}`))
	check(t, err)
	size := 0
	for _, b := range d.Bars {
		o := b.Obligation
		if o.Rule != "r\uFFFD" || len(o.Text) > MaxText || len(o.Groups) != maxNames || o.Late.Location() != time.UTC {
			t.Fatalf("%+v", o)
		}
		size += len(encode(b))
	}
	if d.Detail != "Barred" || len(d.Bars) == 0 || len(d.Bars) > MaxBars || size > maxBarSize {
		t.Errorf("%q, %d bars of %d bytes", d.Detail, len(d.Bars), size)
	}
	r := sample(t)
	r.Auditors[1].Bars, r.Auditors[1].Text = d.Bars, d.Detail
	_, err = Parse(r.Bytes())
	check(t, err)
	for _, bad := range []string{``, `[]`, `{}`, `{"detail":"x","bars":[7]}`, `{"detail":"x","bars":[{}]}`, `{"bars":{}}`} {
		if d, err := ParseDecline([]byte(bad)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %+v, %v", bad, d, err)
		}
	}
}

// TestYears checks that a time at the edge of what JSON can hold spoils no round: in UTC it has
// another year than in its zone.
func TestYears(t *testing.T) {
	for _, late := range []string{"9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z"} {
		bar := func(due, late string) string {
			return fmt.Sprintf(`{"obligation":{"rule":"r","way":"w","index":1,"by":"b","due":%q,"late":%q,"text":"t","auditors":true}}`, due, late)
		}
		const at = "2026-01-02T03:04:05Z"
		d, err := ParseDecline([]byte(`{"title":"x","bars":[` + bar(at, at) + "," + bar(at, late) + "," + bar(late, at) + `]}`))
		check(t, err)
		r := sample(t)
		r.Auditors[1].Bars = d.Bars
		if _, err := Parse(r.Bytes()); err != nil {
			t.Errorf("%s: %v", late, err)
		}
		text := strings.Replace(string(sample(t).Bytes()), `"late":"2026-01-02T04:04:05Z"`, fmt.Sprintf(`"late":%q`, late), 1)
		if _, err := Parse([]byte(text)); errors.Is(err, ErrMalformed) != !strings.HasPrefix(late, "9999-12-31T23:59:59Z") {
			t.Errorf("a round with %s: %v", late, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(sample(f).Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := Parse(b); err == nil && !bytes.Equal(r.Bytes(), b) {
			t.Errorf("%q is read as %q", b, r.Bytes())
		}
	})
}

func FuzzDecline(f *testing.F) {
	f.Add([]byte(`{"title":"Barred","bars":[{"breach":{"rule":"chain","index":1,"text":"x","cure":"y\u0007","closedBy":["a","\u202e"]}}]}`))
	f.Add([]byte(`{"title":"x","bars":[{"obligation":{"rule":"r","due":"2026-01-02T03:04:05Z","late":"9999-12-31T23:59:59-23:59"}}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ParseDecline(b)
		if err != nil {
			return
		}
		r := sample(t)
		r.Auditors[1].Bars, r.Auditors[1].Text = d.Bars, d.Detail
		if _, err := Parse(r.Bytes()); err != nil {
			t.Errorf("%q is quoted as %s: %v", b, r.Bytes(), err)
		}
	})
}
