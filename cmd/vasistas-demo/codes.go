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
	codeNotStated  = "not-stated"   // the cell is empty
	codeWithheld   = "withheld"     // the cell was withheld before it came to us
	codeNone       = "none"         // no business was served: a device or a home was searched
	codeNotOneName = "not-one-name" // several companies, remarks beside a name, or nobody's name
	codeSeveral    = "several"      // several offence classes
	codeOther      = "other"        // an offence in somebody's own words
)

const cellWithheld = "[WITHHELD]"

// The form's own options for the nature of an investigation. Everything else in
// that column was typed by hand, and becomes codeOther.
var offences = map[string]string{
	"Homicide":                "homicide",
	"Narcotics":               "narcotics",
	"Theft/Fraud":             "theft-fraud",
	"Crime of Violence":       "crime-of-violence",
	"Child Exploitation":      "child-exploitation",
	"Arrest/Warrant Fugitive": "arrest-warrant-fugitive",
	"Threats/Harassment":      "threats-harassment",
	"Human Trafficking":       "human-trafficking",
	"Computer Crime Fraud":    "computer-crime-fraud",
}

// offenceCode maps the nature of an investigation to one class: an event has
// one.
func offenceCode(natures []string) string {
	switch {
	case len(natures) == 0:
		return codeNotStated
	case len(natures) > 1:
		return codeSeveral
	case natures[0] == cellWithheld:
		return codeWithheld
	}
	if code, ok := offences[natures[0]]; ok {
		return code
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

// countyCode is the name of a county's superior court, among these courts.
func countyCode(county string) string { return strings.Join(words(county), "-") }

// Abbreviations that stand for one thing in this data. Those of whole names
// (LAPD, SBCSD) stay as they are, and so do misspellings: the mapping says what
// was written, and does not decide who was meant.
var abbreviations = map[string]string{
	"pd": "police department", "dept": "department", "da": "district attorney", "so": "sheriff",
	"attorneys": "attorney", "sheriffs": "sheriff", "us": "united states",
}

// agencyCode maps an agency's name: lower case, no possessives, abbreviations
// spelled out, and "office" or "department" dropped after the words sheriff and
// district attorney, for which people write either. It is "" for a name without
// a letter.
func agencyCode(s string) string {
	if s == cellWithheld {
		return codeWithheld
	}
	if !strings.ContainsAny(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz") {
		return ""
	}
	var out []string
	for _, w := range words(s) {
		if long, ok := abbreviations[w]; ok {
			w = long
		}
		out = append(out, strings.Fields(w)...)
	}
	if n := len(out); n > 2 && (out[n-1] == "office" || out[n-1] == "department") && (out[n-2] == "sheriff" || out[n-2] == "attorney") {
		out = out[:n-1]
	}
	return strings.Join(out, "-")
}

var (
	possessive = regexp.MustCompile(`['’]s\b|['’]`)
	initials   = regexp.MustCompile(`\b([a-z])\.`)
	word       = regexp.MustCompile(`[a-z0-9]+`)
)

// words returns the lower-case words of a name. Initials with dots are one:
// L.A. is la.
func words(s string) []string {
	s = possessive.ReplaceAllString(strings.ToLower(s), "")
	return word.FindAllString(initials.ReplaceAllString(s, "$1"), -1)
}

// oneName are names that have in them what separates two names elsewhere.
var oneName = []struct {
	spelled *regexp.Regexp
	name    string
}{
	{regexp.MustCompile(`\bat ?(&|and) ?t\b`), "att"},
	{regexp.MustCompile(`\b1 ?(&|and) ?1\b`), "1-1"},
	{regexp.MustCompile(`\bmail (&|and) media\b`), "mail media"},
	{regexp.MustCompile(`\bprint and ship\b`), "print ship"},
	{regexp.MustCompile(`\bd/b/a\b`), "dba"},
	{regexp.MustCompile(`\bt-mobile, usa\b`), "t-mobile usa"},
}

// noName is what stands where a name should be and names nobody.
var noName = []string{
	"all carriers", "cell phone companies", "cell tower owner", "cellular telephone companies", "m", "motel",
	"multiple", "phone only", "tower dump", "tower dump to major service providers", "tower dump-all carriers", "unknown",
}

var (
	// legalForm is how a company's name ends, with whatever stands between.
	legalForm = regexp.MustCompile(`[ ,.]*\b(inc|incorporated|llc|llp|lp|ltd|corp|corporation)[ ,.!]*$`)
	separator = regexp.MustCompile(`[,;/|&()#:"]| and | - |\.\s`)
	provider  = regexp.MustCompile(`[a-z0-9]+(\.[a-z0-9]+)*`)
)

// providerCode maps a business's name: lower case, without its legal form. A
// cell that holds more than one plain name is codeNotOneName. It is "" for a
// name without a letter or digit.
func providerCode(s string, servedOn []string) string {
	switch {
	case s == cellWithheld:
		return codeWithheld
	case s == "" && slices.Contains(servedOn, "Business"):
		return codeNotStated
	case s == "":
		return codeNone
	}
	s = initials.ReplaceAllString(strings.ToLower(strings.TrimSpace(s)), "$1")
	for _, n := range oneName {
		s = n.spelled.ReplaceAllString(s, n.name)
	}
	s = legalForm.ReplaceAllString(s, "")
	s = strings.TrimRight(possessive.ReplaceAllString(s, ""), " .,!")
	if separator.MatchString(s) || slices.Contains(noName, s) {
		return codeNotOneName
	}
	return strings.Join(provider.FindAllString(s, -1), "-")
}

// named says whether a provider's code is the name of one.
func named(provider string) bool {
	return !slices.Contains([]string{codeNone, codeNotStated, codeWithheld, codeNotOneName}, provider)
}
