// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	_ "embed" // the data
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
)

//go:embed data/warrants-2016-2019.csv.gz
var packedRows []byte

//go:embed data/PROVENANCE.md
var provenance []byte

// columns is the header of the CSV, which is the only one that readRows takes.
var columns = []string{
	"row_id", "source_file", "submitted", "submitted_raw", "signed", "agency", "county_of_court", "warrant_number",
	"primary_nature", "violence_options", "secondary_nature", "served_on", "business_name", "items",
	"info_start", "info_end", "info_days", "grounds", "delay_reasons", "emergency",
}

// row is one notification: a warrant that was executed, or an emergency access. Text is as the
// source has it; "" is an empty cell.
type row struct {
	ID        string   // year:number
	Digest    [32]byte // SHA-256 of its cells, each ended by a line feed
	Agency    string
	County    string // of the court
	Number    string // of the warrant; "" also for the ways to say that there is none
	Natures   []string
	ServedOn  []string
	Business  string
	InfoStart time.Time // first and last day of the data that was asked for,
	InfoEnd   time.Time // both or neither; the last may be before the first
	Grounds   []string
	Delayed   bool // delayed notice was requested
	Emergency bool
}

// readRows reads rows in their order. It is strict: the data is fixed, so a row that it can't
// read is a mistake in this program.
func readRows(r io.Reader) ([]row, error) {
	in := csv.NewReader(r)
	in.FieldsPerRecord = len(columns)
	records, err := in.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("rows: %w", err)
	}
	if len(records) == 0 || !slices.Equal(records[0], columns) {
		return nil, errors.New("rows: the header is not the expected one")
	}
	rows := make([]row, len(records)-1)
	for i, record := range records[1:] {
		if rows[i], err = parseRow(record); err != nil {
			return nil, fmt.Errorf("rows: %s: %w", record[0], err)
		}
	}
	return rows, nil
}

func parseRow(record []string) (row, error) {
	cell := func(name string) string { return record[slices.Index(columns, name)] }
	r := row{
		ID: cell("row_id"), Digest: sha256.Sum256([]byte(strings.Join(record, "\n") + "\n")), Agency: cell("agency"), County: cell("county_of_court"),
		Number: warrantNumber(cell("warrant_number")), Natures: list(cell("primary_nature")),
		ServedOn: list(cell("served_on")), Business: cell("business_name"), Grounds: list(cell("grounds")),
		Delayed: cell("delay_reasons") != "",
	}
	var start, end error
	r.InfoStart, start = day(cell("info_start"))
	r.InfoEnd, end = day(cell("info_end"))
	if err := errors.Join(start, end); err != nil {
		return row{}, err
	}
	switch e := cell("emergency"); e {
	case "Yes", "No":
		r.Emergency = e == "Yes"
	default:
		return row{}, fmt.Errorf("emergency is %q", e)
	}
	if r.ID == "" || r.Agency == "" || r.County == "" || len(r.ServedOn) == 0 || r.InfoStart.IsZero() != r.InfoEnd.IsZero() {
		return row{}, errors.New("a cell that all rows have is empty")
	}
	return r, nil
}

func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, "|")
}

// day reads a date, which may be missing.
func day(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	return time.Parse(time.DateOnly, s)
}

// noNumber is what people wrote where a warrant's number should be.
var noNumber = []string{"n/a", "na", "none", "tbd", "unk", "pending", "see attached", "not available"}

func warrantNumber(s string) string {
	if slices.Contains(noNumber, strings.ToLower(strings.TrimSpace(s))) {
		return ""
	}
	return s
}

// Codes for what a row does not say. An event takes no free text.
const (
	codeNotStated = "not-stated" // the cell is empty
	codeWithheld  = "withheld"   // the cell was withheld before it came to us
	codeSeveral   = "several"    // several offence classes
	codeOther     = "other"      // an offence that was typed by hand
)

const (
	cellWithheld = "[WITHHELD]"
	maxCode      = 64
)

var (
	dropped = strings.NewReplacer("'", "", "’", "", ".", "")
	between = regexp.MustCompile(`[^a-z0-9]+`)
)

// code makes a code of a name by its spelling alone: lower case, no apostrophes and dots, and a
// hyphen for all else that is no letter or digit. Two spellings of one name are two codes.
func code(name string) string {
	return strings.Trim(between.ReplaceAllString(dropped.Replace(strings.ToLower(name)), "-"), "-")
}

// isCode returns whether an event can state a code.
func isCode(s string) bool { return s != "" && len(s) <= maxCode }

// offences are the codes of the form's options for the nature of an investigation. All else in
// that column becomes codeOther.
var offences = []string{
	"arrest-warrant-fugitive", "child-exploitation", "computer-crime-fraud", "crime-of-violence", "homicide",
	"human-trafficking", "narcotics", "theft-fraud", "threats-harassment", codeWithheld,
}

// offenceCode maps the natures of an investigation to the one class that an event has.
func offenceCode(natures []string) string {
	switch {
	case len(natures) == 0:
		return codeNotStated
	case len(natures) > 1:
		return codeSeveral
	}
	if c := code(natures[0]); slices.Contains(offences, c) {
		return c
	}
	return codeOther
}

// grounds are the form's options: the grounds of Penal Code section 1524(a), by their first words.
var grounds = []struct{ begins, code string }{
	{"was stolen or embezzled", "stolen-or-embezzled"},
	{"was used as the means of committing a felony", "means-of-felony"},
	{"is possessed by a person with the intent to use it", "possessed-with-intent"},
	{"tends to show that a felony", "evidence-of-felony"},
	{"tends to show that sexual exploitation of a child", "evidence-of-child-exploitation"},
	{cellWithheld, codeWithheld},
}

// groundCodes maps each ground; ok is false if one is no option of the form.
func groundCodes(list []string) (codes []string, ok bool) {
	if len(list) == 0 {
		return []string{codeNotStated}, true
	}
	for _, g := range list {
		i := slices.IndexFunc(grounds, func(o struct{ begins, code string }) bool { return strings.HasPrefix(g, o.begins) })
		if i < 0 {
			return nil, false
		}
		codes = append(codes, grounds[i].code)
	}
	return codes, true
}
