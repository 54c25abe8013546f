// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"regexp"
	"slices"
	"strings"
)

// Codes for what a row does not say. An event takes no free text, and these
// state a gap instead of closing it.
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

// code makes a code of a name by its spelling alone: lower case, without apostrophes
// and dots, and a hyphen for all else that is no letter or digit. It says what was
// written, and does not decide who was meant.
func code(name string) string {
	return strings.Trim(between.ReplaceAllString(dropped.Replace(strings.ToLower(name)), "-"), "-")
}

// isCode returns whether an event can state a code.
func isCode(s string) bool { return s != "" && len(s) <= maxCode }

// offences are the codes of the form's own options for the nature of an investigation.
// Everything else in that column becomes codeOther.
var offences = []string{
	"arrest-warrant-fugitive", "child-exploitation", "computer-crime-fraud", "crime-of-violence", "homicide",
	"human-trafficking", "narcotics", "theft-fraud", "threats-harassment", codeWithheld,
}

// offenceCode maps the nature of an investigation to one class: an event has
// one.
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

// grounds are the form's options: the grounds of Penal Code section 1524(a), by
// how the form begins them.
var grounds = []struct{ begins, code string }{
	{"was stolen or embezzled", "stolen-or-embezzled"},
	{"was used as the means of committing a felony", "means-of-felony"},
	{"is possessed by a person with the intent to use it", "possessed-with-intent"},
	{"tends to show that a felony", "evidence-of-felony"},
	{"tends to show that sexual exploitation of a child", "evidence-of-child-exploitation"},
	{cellWithheld, codeWithheld},
}

// groundCodes maps each ground; what is no option of the form is ok == false.
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
