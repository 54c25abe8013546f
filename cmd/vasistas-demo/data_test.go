// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// dataSum is the SHA-256 of the CSV. data/PROVENANCE.md states it too.
const dataSum = "a8399a56940eecd8b0165e7ff8f8bc2a06105fc4116e11acdd3cea0510c09806"

const numRows = 5382

func allRows(t testing.TB) []row {
	t.Helper()
	data, err := gzip.NewReader(bytes.NewReader(packedRows))
	check(t, err)
	rows, err := readRows(data)
	check(t, err)
	return rows
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestData(t *testing.T) {
	data, err := gzip.NewReader(bytes.NewReader(packedRows))
	check(t, err)
	b, err := io.ReadAll(data)
	check(t, err)
	if sum := fmt.Sprintf("%x", sha256.Sum256(b)); sum != dataSum {
		t.Errorf("the data has the SHA-256 %s", sum)
	}
	if !bytes.Contains(provenance, []byte(dataSum)) {
		t.Error("PROVENANCE.md states another SHA-256")
	}
	rows := allRows(t)
	if len(rows) != numRows {
		t.Errorf("%d rows", len(rows))
	}
	emergencies, delayed, repeated := 0, 0, 0
	seen := make(map[string]bool)
	for _, r := range rows {
		if r.Emergency {
			emergencies++
		}
		if r.Delayed {
			delayed++
		}
		r.ID, r.Digest = "", [32]byte{}
		text := fmt.Sprint(r)
		if seen[text] {
			repeated++
		}
		seen[text] = true
	}
	if emergencies != 197 || delayed != 3531 {
		t.Errorf("%d emergencies, %d with delayed notice", emergencies, delayed)
	}
	// At least: the row type leaves columns out.
	if repeated < 10 {
		t.Errorf("%d repeated rows", repeated)
	}
}

// TestNoFreeText holds that the two columns of free text are not back, and that
// no cell of the named columns is as long as a sentence.
func TestNoFreeText(t *testing.T) {
	for _, name := range columns {
		if strings.Contains(name, "facts") || strings.Contains(name, "nature_of") {
			t.Errorf("there is a column %s", name)
		}
	}
	for _, r := range allRows(t) {
		for _, n := range r.Natures {
			if len(n) > 64 {
				t.Errorf("row %s: a nature of %d bytes", r.ID, len(n))
			}
		}
	}
}

// cells returns a row of the CSV with these cells, and what all rows have.
func cells(over map[string]string) string {
	with := map[string]string{
		"row_id": "2018:1", "agency": "Chico PD", "county_of_court": "Butte",
		"served_on": "Business", "business_name": "Sprint", "emergency": "No", "info_start": "2018-01-01", "info_end": "2018-01-31",
	}
	for k, v := range over {
		with[k] = v
	}
	var list []string
	for _, c := range columns {
		list = append(list, `"`+strings.ReplaceAll(with[c], `"`, `""`)+`"`)
	}
	return strings.Join(columns, ",") + "\n" + strings.Join(list, ",") + "\n"
}

func oneRow(t testing.TB, over map[string]string) *row {
	t.Helper()
	rows, err := readRows(strings.NewReader(cells(over)))
	check(t, err)
	return &rows[0]
}

func TestReadRow(t *testing.T) {
	r := oneRow(t, map[string]string{
		"row_id": "2016:9", "info_start": "", "info_end": "",
		"warrant_number": " n/a", "primary_nature": "Homicide|Narcotics", "served_on": "Residence|Device Only",
		"delay_reasons": "lead to flight from prosecution", "emergency": "Yes", "grounds": "was stolen or embezzled|[WITHHELD]",
	})
	switch {
	case !r.InfoStart.IsZero(), !r.InfoEnd.IsZero():
		t.Errorf("times: %+v", r)
	case r.Number != "", !r.Delayed, !r.Emergency:
		t.Errorf("flags: %+v", r)
	case len(r.Natures) != 2, len(r.ServedOn) != 2, len(r.Grounds) != 2:
		t.Errorf("lists: %+v", r)
	}
	if r := oneRow(t, map[string]string{"warrant_number": "18SW-1"}); r.Number != "18SW-1" || r.Delayed || r.Natures != nil {
		t.Errorf("%+v", r)
	}
}

func TestReadRowRefuses(t *testing.T) {
	for _, over := range []map[string]string{
		{"emergency": ""},
		{"emergency": "yes"},
		{"info_start": "2018-13-01"},
		{"info_end": ""},
		{"agency": ""},
		{"county_of_court": ""},
		{"served_on": ""},
		{"row_id": ""},
	} {
		if rows, err := readRows(strings.NewReader(cells(over))); err == nil {
			t.Errorf("%v was read as %+v", over, rows)
		}
	}
	if _, err := readRows(strings.NewReader(strings.Replace(cells(nil), "row_id", "id", 1))); err == nil {
		t.Error("another header was read")
	}
	if _, err := readRows(strings.NewReader(cells(nil) + "one,two\n")); err == nil {
		t.Error("a row of two cells was read")
	}
}

func TestCode(t *testing.T) {
	for name, want := range map[string]string{
		"Riverside County District Attorney's Office": "riverside-county-district-attorneys-office",
		"Riverside County District Attorney’s office": "riverside-county-district-attorneys-office",
		"SAN BERNARDINO COUNTY SHERIFF":               "san-bernardino-county-sheriff",
		"ANTIOCH POLICE DETP":                         "antioch-police-detp", // a misspelling stays one
		"SBCSD":                                       "sbcsd",               // whose it is, is not for the mapping to say
		"L.A. IMPACT":                                 "la-impact",
		"17-169":                                      "17-169",
		" Google, Inc. ":                              "google-inc",
		"AT&T and Sprint":                             "at-t-and-sprint",
		"[WITHHELD]":                                  "withheld",
		"...":                                         "",
		"":                                            "",
	} {
		if got := code(name); got != want || isCode(got) != (want != "") {
			t.Errorf("%q is %q, want %q", name, got, want)
		}
	}
}

func TestOffenceAndGrounds(t *testing.T) {
	for want, natures := range map[string][]string{
		"not-stated": nil, "homicide": {"Homicide"}, "theft-fraud": {"Theft/Fraud"},
		"several": {"Homicide", "Narcotics"}, "withheld": {"[WITHHELD]"}, "other": {"missing person"},
	} {
		if got := offenceCode(natures); got != want {
			t.Errorf("%q is %q, want %q", natures, got, want)
		}
	}
	got, ok := groundCodes([]string{"was stolen or embezzled", "[WITHHELD]"})
	if !ok || !slices.Equal(got, []string{"stolen-or-embezzled", "withheld"}) {
		t.Errorf("grounds: %q, %v", got, ok)
	}
	if got, ok := groundCodes(nil); !ok || !slices.Equal(got, []string{"not-stated"}) {
		t.Errorf("no grounds: %q, %v", got, ok)
	}
	if got, ok := groundCodes([]string{"because"}); ok {
		t.Errorf("a free ground is %q", got)
	}
}
