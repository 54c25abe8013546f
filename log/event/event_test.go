// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gowebpki/jcs"
)

var cmpKeys = cmp.Options{
	cmp.Comparer(func(a, b *PublicKey) bool { return a.Equal(b) }),
	cmp.AllowUnexported(Value{}),
}

func TestRoundTrip(t *testing.T) {
	seen := make(map[Type]bool)
	for i, body := range sampleBodies() {
		e := sample(t, body)
		seen[e.Type] = true
		t.Run(fmt.Sprintf("%02d %s", i, e.Type), func(t *testing.T) {
			b, err := e.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			again, err := Parse(b)
			if err != nil {
				t.Fatalf("%v\n%s", err, b)
			}
			if d := cmp.Diff(e, again, cmpKeys); d != "" {
				t.Error(d)
			}
			// An independent canonicalizer agrees, and so does a decoder that
			// knows no canonical form.
			if canonical, err := jcs.Transform(b); err != nil || !bytes.Equal(canonical, b) {
				t.Errorf("jcs: %v\nhave %s\nwant %s", err, b, canonical)
			}
			var header struct {
				Type, Log, ID, Time string
			}
			if err := json.Unmarshal(b, &header); err != nil {
				t.Fatal(err)
			}
			if header.Type != string(e.Type) || header.Log != testLog || header.ID != e.ID.String() || header.Time != "2026-03-01T12:00:00Z" {
				t.Errorf("header is %+v", header)
			}
		})
	}
	for _, typ := range Types() {
		if !seen[typ] {
			t.Errorf("no sample of a %s", typ)
		}
	}
	if len(Types()) != 13 {
		t.Errorf("%d types, want 13", len(Types()))
	}
}

// Every single-byte change, removal and insertion of a payload is refused, or
// is another event with exactly those bytes.
func TestNoSecondEncoding(t *testing.T) {
	for _, body := range sampleBodies() {
		if body.Type() == TypeCharter {
			continue // too long for this, and the fuzz test has it
		}
		b, err := sample(t, body).Bytes()
		if err != nil {
			t.Fatal(err)
		}
		for i := range b {
			for _, insert := range []string{"", " ", "\n", "\r\n", "0", "\\", "\"", ",", "null", "{}", "\xff"} {
				for _, drop := range []int{0, 1} {
					m := slices.Concat(b[:i], []byte(insert), b[i+drop:])
					if bytes.Equal(m, b) {
						continue
					}
					if e, err := Parse(m); err == nil {
						if again, err := e.Bytes(); err != nil || !bytes.Equal(again, m) {
							t.Fatalf("%s\nwas read as\n%s (%v)", m, again, err)
						}
					} else if !errors.Is(err, ErrMalformed) {
						t.Fatalf("error is %v", err)
					}
				}
			}
		}
	}
}

func TestParseRefuses(t *testing.T) {
	w := sample(t, sampleBodies()[1])
	b, err := w.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	good := string(b)
	id := `"id":"` + w.ID.String() + `"`
	public := w.Sealed.Public
	list := func(ds ...Digest) string {
		var s []string
		for _, d := range ds {
			s = append(s, `"`+d.String()+`"`)
		}
		return strings.Join(s, ",")
	}
	for name, edit := range map[string][2]string{
		"duplicate member":       {`"accesses":1,`, `"accesses":1,"accesses":1,`},
		"duplicate header":       {id, id + "," + id},
		"unknown member":         {`"accesses":1,`, `"aaa":1,"accesses":1,`},
		"unknown header":         {id, id + `,"kid":"x"`},
		"unknown last":           {`"type":"warrant"}`, `"type":"warrant","x":1}`},
		"null":                   {`"accesses":1`, `"accesses":null`},
		"null body":              {good[8:strings.Index(good, `,"id"`)], "null"},
		"empty string":           {`"offence":"a-life"`, `"offence":""`},
		"empty list":             {`"public":[` + list(public...) + `]`, `"public":[]`},
		"empty object":           {`"body":{`, `"body":{},"x":{`},
		"reordered":              {`"accesses":1,"accounts":2`, `"accounts":2,"accesses":1`},
		"missing member":         {`"offence":"a-life",`, ``},
		"missing header":         {id + ",", ``},
		"wrong case":             {`"accesses"`, `"Accesses"`},
		"space":                  {`"accesses":1`, `"accesses": 1`},
		"crlf":                   {`"accesses":1,`, "\"accesses\":1,\r\n"},
		"escaped letter":         {`"a-life"`, `"\u0061-life"`},
		"escaped slash":          {`log.example/2026`, `log.example\/2026`},
		"escaped name":           {`"offence"`, `"\u006fffence"`},
		"big integer":            {`"accesses":1`, `"accesses":9007199254740992`},
		"very big integer":       {`"accesses":1`, `"accesses":18446744073709551617`},
		"endless integer":        {`"accesses":1`, `"accesses":` + strings.Repeat("9", 5000)},
		"negative":               {`"accesses":1`, `"accesses":-1`},
		"negative zero":          {`"accesses":1`, `"accesses":-0`},
		"plus":                   {`"accesses":1`, `"accesses":+1`},
		"leading zero":           {`"accesses":1`, `"accesses":01`},
		"fraction":               {`"accesses":1`, `"accesses":1.0`},
		"exponent":               {`"accesses":1`, `"accesses":1e0`},
		"zero for absent":        {`"accesses":1`, `"accesses":0`},
		"string integer":         {`"accesses":1`, `"accesses":"1"`},
		"bad utf-8":              {`"a-life"`, "\"a-life\xff\""},
		"upper case code":        {`"a-life"`, `"A-life"`},
		"free text":              {`"a-life"`, `"a life"`},
		"long code":              {`"a-life"`, `"` + strings.Repeat("a", 65) + `"`},
		"code begins with dash":  {`"a-life"`, `"-life"`},
		"unknown decision":       {`"granted"`, `"maybe"`},
		"denied with limits":     {`"granted"`, `"denied"`},
		"trailing space":         {`"type":"warrant"}`, `"type":"warrant"} `},
		"trailing LF":            {`"type":"warrant"}`, "\"type\":\"warrant\"}\n"},
		"trailing value":         {`"type":"warrant"}`, `"type":"warrant"}{"type":"warrant"}`},
		"leading BOM":            {`{"body"`, "\ufeff{\"body\""},
		"unknown type":           {`"type":"warrant"`, `"type":"warrent"`},
		"other type":             {`"type":"warrant"`, `"type":"refusal"`},
		"unsorted digests":       {list(public[0], public[1]), list(public[1], public[0])},
		"duplicate digests":      {list(public[0], public[1]), list(public[0], public[0], public[1])},
		"short digest":           {public[0].String(), public[0].String()[:42]},
		"padded digest":          {public[0].String(), public[0].String() + "="},
		"long digest":            {public[0].String(), public[0].String() + "A"},
		"digest trailing bits":   {`"` + w.ID.String(), `"` + w.ID.String()[:21] + "B"},
		"digest line break":      {public[0].String(), public[0].String()[:20] + "\n" + public[0].String()[21:]},
		"zero id":                {w.ID.String(), strings.Repeat("A", 22)},
		"time fraction":          {`"time":"2026-03-01T12:00:00Z"`, `"time":"2026-03-01T12:00:00.0Z"`},
		"time offset":            {`"time":"2026-03-01T12:00:00Z"`, `"time":"2026-03-01T12:00:00+00:00"`},
		"time lower case":        {`"time":"2026-03-01T12:00:00Z"`, `"time":"2026-03-01t12:00:00z"`},
		"time space":             {`"time":"2026-03-01T12:00:00Z"`, `"time":"2026-03-01 12:00:00Z"`},
		"leap second":            {`"time":"2026-03-01T12:00:00Z"`, `"time":"2026-06-30T23:59:60Z"`},
		"hour 24":                {`"time":"2026-03-01T12:00:00Z"`, `"time":"2026-03-01T24:00:00Z"`},
		"no such day":            {`"time":"2026-03-01T12:00:00Z"`, `"time":"2026-02-29T12:00:00Z"`},
		"before 1970":            {`"time":"2026-03-01T12:00:00Z"`, `"time":"1969-12-31T23:59:59Z"`},
		"window backwards":       {`"notBefore":"2026-03-01T12:00:00Z"`, `"notBefore":"2027-03-01T12:00:00Z"`},
		"origin with plus":       {`"log":"log.example/2026"`, `"log":"log+example"`},
		"origin with space":      {`"log":"log.example/2026"`, `"log":"log example"`},
		"origin not ASCII":       {`"log":"log.example/2026"`, `"log":"l\u00f6g.example"`},
		"long origin":            {`"log":"log.example/2026"`, `"log":"` + strings.Repeat("a", 256) + `"`},
		"sealed without digests": {good[strings.Index(good, `"public":`):strings.Index(good, `"until"`)], ``},
		"sealed without until":   {good[strings.Index(good, `,"until"`):strings.Index(good, `},"time"`)], ``},
		"too large":              {good, `{"body":{"x":"` + strings.Repeat("a", MaxPayloadSize) + `"},"type":"warrant"}`},
		"empty":                  {good, ``},
		"unterminated":           {good, `{"body":{"accesses":1,"type":"warrant"}`},
	} {
		bad := strings.Replace(good, edit[0], edit[1], 1)
		if bad == good {
			t.Errorf("%s: the edit changes nothing", name)
			continue
		}
		if _, err := Parse([]byte(bad)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

func TestBytesRefuses(t *testing.T) {
	prev := Digest(hash("x"))
	zone := time.FixedZone("", 3600)
	for name, body := range map[string]Body{
		"denied with a limit":       &Warrant{Decision: Denied, Provider: "p", Instrument: "i", Offence: "o", Accounts: 1},
		"granted without limits":    &Warrant{Decision: Granted, Provider: "p", Instrument: "i", Offence: "o"},
		"time zone":                 &Heartbeat{From: testTime.In(zone), To: testTime.Add(time.Hour)},
		"nanoseconds":               &Heartbeat{From: testTime.Add(1), To: testTime.Add(time.Hour)},
		"empty period":              &Heartbeat{From: testTime, To: testTime},
		"heartbeat prev at 0":       &Heartbeat{From: testTime, To: testTime.Add(1e9), Prev: prev},
		"heartbeat no prev at 1":    &Heartbeat{From: testTime, To: testTime.Add(1e9), Seq: 1},
		"access on nothing":         &Access{Group: "g", Recipient: HPKEKey{KEMX25519, fill("x", 32)}, Accounts: 1},
		"access on both":            &Access{Warrant: refp(1), Emergency: "life", Group: "g", Recipient: HPKEKey{KEMX25519, fill("x", 32)}, Accounts: 1},
		"access without accounts":   &Access{Warrant: refp(1), Group: "g", Recipient: HPKEKey{KEMX25519, fill("x", 32)}},
		"short recipient key":       &Access{Warrant: refp(1), Group: "g", Recipient: HPKEKey{KEMX25519, fill("x", 31)}, Accounts: 1},
		"recipient of another kem":  &Access{Warrant: refp(1), Group: "g", Recipient: HPKEKey{KEMMLKEMX25519, fill("x", 32)}, Accounts: 1},
		"unknown kem":               &Access{Warrant: refp(1), Group: "g", Recipient: HPKEKey{"rsa", fill("x", 32)}, Accounts: 1},
		"release prev at 1":         &Release{Access: ref(1), Seq: 1, Prev: prev, Notices: []Digest{prev}, Head: Head{1, prev}},
		"release no prev at 2":      &Release{Access: ref(1), Seq: 2, Notices: []Digest{prev}, Head: Head{1, prev}},
		"release without notices":   &Release{Access: ref(1), Seq: 1, Head: Head{1, prev}},
		"release at an empty tree":  &Release{Access: ref(1), Seq: 1, Notices: []Digest{prev}, Head: Head{0, prev}},
		"release notices twice":     &Release{Access: ref(1), Seq: 1, Notices: []Digest{prev, prev}, Head: Head{1, prev}},
		"too many notices":          &Release{Access: ref(1), Seq: 1, Notices: make([]Digest, MaxDigests+1), Head: Head{1, prev}},
		"deferral until both":       &Deferral{Event: ref(1), Until: testTime, Never: true, Ground: "g", Ordinal: 1},
		"deferral until nothing":    &Deferral{Event: ref(1), Ground: "g", Ordinal: 1},
		"deferral ordinal 0":        &Deferral{Event: ref(1), Until: testTime, Ground: "g"},
		"disclosure of nothing":     &Disclosure{Event: ref(1)},
		"disclosure of a case":      &Disclosure{Event: ref(1), Openings: []Opening{{Name: "case", Value: Text("1/26")}}},
		"disclosure of an account":  &Disclosure{Event: ref(1), Openings: []Opening{{Name: "account", Value: Text("a@b")}}},
		"empty notice":              &Disclosure{Event: ref(1), Notices: [][]byte{{}}},
		"huge notice":               &Disclosure{Event: ref(1), Notices: [][]byte{make([]byte, MaxNoticeSize+1)}},
		"too large a disclosure":    &Disclosure{Event: ref(1), Notices: [][]byte{fill("a", 20000), fill("b", 20000)}},
		"figures, not executed":     &Return{Warrant: ref(1), Persons: 1},
		"index too large":           &Refusal{ref(MaxInteger + 1), "r"},
		"finding backwards":         &Finding{First: 2, Last: 1, Rule: "r", State: FindingOpen},
		"finding in no state":       &Finding{First: 2, Last: 2, Rule: "r"},
		"anchor of another log":     &Anchor{"other.example\n3\nzZ0=\n\n\u2014 other.example AAAA\n"},
		"anchor without signatures": &Anchor{testLog + "\n3\nzZ0=\n\n"},
		"anchor with CR":            &Anchor{testLog + "\r\n3\nzZ0=\n\n\u2014 x AAAA\n"},
		"anchor with trailing text": &Anchor{testLog + "\n3\nzZ0=\n\n\u2014 x AAAA\nfree text\n"},
		"anchor not UTF-8":          &Anchor{testLog + "\n3\nzZ0=\n\xff\n\n\u2014 x AAAA\n"},
	} {
		if _, err := New(testLog, body); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
	e := sample(t, &Refusal{ref(1), "r"})
	e.Sealed = &Sealed{Until: testTime, Public: []Digest{prev}}
	if _, err := e.Bytes(); !errors.Is(err, ErrMalformed) {
		t.Errorf("sealed refusal: error is %v", err)
	}
	e = sample(t, &Refusal{ref(1), "r"})
	e.Type = TypeReturn
	if _, err := e.Bytes(); !errors.Is(err, ErrMalformed) {
		t.Errorf("type and body: error is %v", err)
	}
	if _, err := New(testLog, nil); !errors.Is(err, ErrMalformed) {
		t.Errorf("no body: error is %v", err)
	}
	if _, err := New("a b", &Refusal{ref(1), "r"}); !errors.Is(err, ErrMalformed) {
		t.Errorf("bad origin: error is %v", err)
	}
	d := sample(t, &Deferral{Event: ref(1), Until: testTime, Ground: "g", Ordinal: 1})
	d.Sealed = &Sealed{Until: testTime, Subject: []Digest{prev}}
	if _, err := d.Bytes(); !errors.Is(err, ErrMalformed) {
		t.Errorf("deferral with subject digests: error is %v", err)
	}
}

func TestNewIsFresh(t *testing.T) {
	a, b := sampleNew(t), sampleNew(t)
	if a.ID == b.ID {
		t.Error("two events have one id")
	}
	if since := time.Since(a.Time); since < 0 || since > time.Minute || a.Time.Nanosecond() != 0 {
		t.Errorf("time is %v", a.Time)
	}
}

func sampleNew(t *testing.T) *Event {
	t.Helper()
	e, err := New(testLog, &Refusal{ref(1), "r"})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestSigners(t *testing.T) {
	want := map[Type]string{
		TypeCharter: "[charter]", TypeWarrant: "[authority]", TypeRevocation: "[authority]", TypeAccess: "[provider duty]",
		TypeRelease: "[custodian]", TypeRefusal: "[custodian]", TypeDeferral: "[authority]",
		TypeDisclosure: "[provider authority custodian]", TypeResponse: "[provider]", TypeReturn: "[provider]", TypeHeartbeat: "[custodian]",
		TypeAnchor: "[provider]", TypeFinding: "[auditor]",
	}
	for _, typ := range Types() {
		if got := fmt.Sprint(typ.Signers()); got != want[typ] {
			t.Errorf("%s: %s, want %s", typ, got, want[typ])
		}
	}
	if Type("x").Signers() != nil || Type("x").Valid() {
		t.Error("an unknown type has signers")
	}
}
