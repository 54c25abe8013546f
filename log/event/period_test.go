// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// days returns a JSON list of n periods of one day each, which follow each other.
func days(n int) string {
	list := make([]string, n)
	for i := range list {
		from := testTime.AddDate(0, 0, i)
		list[i] = `"` + Period{from, from.Add(day*time.Second - time.Second)}.String() + `"`
	}
	return "[" + strings.Join(list, ",") + "]"
}

// Sealed periods and references are refused as openings or by the event that they open.
func TestSealedValuesRefuse(t *testing.T) {
	e := sample(t, sampleBodies()[1])
	leaf := base64.StdEncoding.EncodeToString(fill("leaf", 32))
	const (
		first  = `2026-03-01T12:00:00Z/2026-03-02T12:00:00Z`
		touch  = `2026-03-02T12:00:00Z/2026-03-03T12:00:00Z`
		within = `2026-03-01T13:00:00Z/2026-03-01T14:00:00Z`
		late   = `2026-04-01T12:00:00Z/2026-04-01T12:00:00Z`
		apart  = ` does not begin after `
		opens  = "seals no such name or value there: dataPeriods: "
	)
	quote := func(s ...string) string { return `["` + strings.Join(s, `","`) + `"]` }
	for _, c := range []struct{ name, value, want string }{ // want "": the value may be sealed
		{"dataPeriods", quote(first), ""},
		{"dataPeriods", quote(first, late), ""},
		{"dataPeriods", quote(first, `2026-03-02T12:00:01Z/2026-03-03T12:00:00Z`), ""},
		{"dataPeriods", days(16), ""},
		{"dataPeriods", days(17), errLong.Error()},
		{"dataPeriods", `[]`, errEmptyList.Error()},
		{"dataPeriods", quote(late, first), errUnsorted.Error()},
		{"dataPeriods", quote(first, first), errUnsorted.Error()},
		{"dataPeriods", quote(first, touch), opens + "the period " + touch + apart + first},
		{"dataPeriods", quote(first, within), opens + "the period " + within + apart + first},
		{"dataPeriods", quote(`2026-03-01T12:00:00Z/2026-03-01T12:00:00Z`, first), opens + "the period " + first + apart},
		{"dataPeriods", quote(`2026-03-02T12:00:00Z/2026-03-01T12:00:00Z`), "the period 2026-03-02T12:00:00Z/2026-03-01T12:00:00Z ends before it begins"},
		{"dataPeriods", quote(`2026-03-01T12:00:00Z/`), errTime.Error()},
		{"dataPeriods", quote(`/2026-03-01T12:00:00Z`), errTime.Error()},
		{"dataPeriods", quote(first + `/2026-03-09T12:00:00Z`), errTime.Error()},
		{"dataPeriods", quote(`2026-02-29T12:00:00Z/2026-03-01T12:00:00Z`), "no such time"},
		{"dataPeriods", quote(`2026-03-01T12:00:00+01:00/2026-03-02T12:00:00Z`), errTime.Error()},
		{"dataPeriods", quote(`2026-03-01T12:00:00Z/2026-03-02T12:00:00`), errTime.Error()},
		{"dataPeriods", quote(`2026-03-01T12:00:00.0Z/2026-03-02T12:00:00Z`), errTime.Error()},
		{"dataPeriods", quote(`1969-12-31T23:59:59Z/2026-03-02T12:00:00Z`), errTime.Error()},
		{"dataPeriods", quote(`2026-03-01T12:00:00Z--P1D`), errCode.Error()},
		{"dataPeriods", `"` + late + `"`, opens + "want a list of periods"},
		{"dataPeriods", quote("a"), opens + "want a period: two times with a slash between them"},
		{"dataPeriods", quote(first, "a"), opens + "want a period: two times with a slash between them"},
		{"grounds", quote("investigation"), ""},
		{"grounds", quote(first), "grounds: " + errCode.Error()},
		{"grounds", quote(first, "investigation"), "grounds: " + errCode.Error()},

		{"extends", `"0 ` + leaf + `"`, ""},
		{"extends", `"9007199254740991 ` + leaf + `"`, ""},
		{"extends", `"9007199254740992 ` + leaf + `"`, errReference.Error()},
		{"extends", `"99999999999999999999 ` + leaf + `"`, errReference.Error()},
		{"extends", `"3"`, errReference.Error()},
		{"extends", `"3 "`, errReference.Error()},
		{"extends", `"` + leaf + `"`, errReference.Error()},
		{"extends", `" ` + leaf + `"`, errReference.Error()},
		{"extends", `"3 ` + base64.StdEncoding.EncodeToString(fill("leaf", 31)) + `"`, errReference.Error()},
		{"extends", `"3 ` + base64.StdEncoding.EncodeToString(fill("leaf", 33)) + `"`, errReference.Error()},
		{"extends", `"3 ` + strings.TrimSuffix(leaf, "=") + `"`, errReference.Error()},
		{"extends", `"3 ` + leaf[:20] + `\n` + leaf[20:] + `"`, "control character"},
		{"extends", `"03 ` + leaf + `"`, errReference.Error()},
		{"extends", `"+3 ` + leaf + `"`, errReference.Error()},
		{"extends", `"-3 ` + leaf + `"`, errReference.Error()},
		{"extends", `"3  ` + leaf + `"`, errReference.Error()},
		{"extends", `" 3 ` + leaf + `"`, errReference.Error()},
		{"extends", `"3 ` + leaf + ` "`, errReference.Error()},
		{"extends", `["a"]`, "extends: want a string"},

		{"proceeding", `"` + Digest(hash("p")).String() + `"`, ""},
		{"proceeding", `"` + Digest(hash("p")).String()[:42] + `"`, "proceeding: "},
		{"proceeding", `"161 Js 12/26"`, "proceeding: "},
	} {
		text := `["` + base64.RawURLEncoding.EncodeToString(fill("salt", 16)) + `","` + c.name + `",` + c.value + `]`
		o, err := ParseOpening(base64.RawURLEncoding.EncodeToString([]byte(text)))
		if err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: error is %v", c.value, err)
		}
		if err == nil {
			if _, err = e.Match(ClassPublic, []Opening{o}); !errors.Is(err, ErrNoMatch) && !errors.Is(err, ErrWrongName) {
				t.Errorf("%s: error is %v", c.value, err)
			}
		}
		if good := errors.Is(err, ErrNoMatch); good != (c.want == "") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v, want %s", c.name, c.value, err, c.want)
		}
	}
}

// A value of any zone and order becomes periods in UTC, sorted, each once.
func TestPeriods(t *testing.T) {
	a := Period{testTime, testTime.Add(time.Hour)}
	b := Period{testTime.AddDate(0, 1, 0), testTime.AddDate(0, 2, 0)}
	there := time.FixedZone("", 3600)
	v := Periods(b, a, Period{a.From.In(there), a.To.In(there)})
	got, err := v.Periods()
	if err != nil || !slices.Equal(got, []Period{a, b}) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := Codes("a").Periods(); !errors.Is(err, ErrMalformed) {
		t.Errorf("a code as a period: error is %v", err)
	}
	e := sample(t, sampleBodies()[1])
	public, subject := sampleOpenings(t, e)
	for name, bad := range map[string]Value{
		"reversed": Periods(Period{a.To, a.From}), "year 10000": Periods(Period{a.From, a.From.AddDate(8000, 0, 0)}),
		"overlap": Periods(a, Period{a.To, b.To}), "none": Periods(),
	} {
		list := slices.Clone(public)
		i := slices.IndexFunc(list, func(o Opening) bool { return o.Name == "dataPeriods" })
		list[i].Value = bad
		if err := e.Seal(testTime.AddDate(0, 6, 0), list, subject); !errors.Is(err, ErrWrongName) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

// The expected tag is what OpenSSL makes:
//
//	printf 'vasistas proceeding\n(274) 161 Js 12/26' |
//	openssl dgst -sha256 -mac HMAC -macopt hexkey:000102030405060708090a0b0c0d0e0f
func TestProceedingTag(t *testing.T) {
	secret := make([]byte, 16)
	for i := range secret {
		secret[i] = byte(i)
	}
	const want = "f45ef76891d62f6a5bd421de2dcb0ebd84c7bb54de6fae44e9e26d63044197e4"
	tag, err := ProceedingTag(secret, "(274) 161 Js 12/26")
	if err != nil || fmt.Sprintf("%x", tag) != want {
		t.Errorf("%x, %v, want %s", tag, err, want)
	}
	if _, err := ProceedingTag(secret, ""); err == nil || !strings.Contains(err.Error(), "has no number") {
		t.Errorf("an empty number: %v", err)
	}
	if _, err := ProceedingTag(secret[:15], "1"); err == nil || !strings.Contains(err.Error(), "has 15 bytes") {
		t.Errorf("a short secret: error is %v", err)
	}
}
