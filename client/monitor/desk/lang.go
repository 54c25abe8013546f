// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package desk

import (
	"bufio"
	"bytes"
	"embed"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"golang.org/x/text/message/catalog"
)

//go:embed text/*.txt
var texts embed.FS

// codes are the languages of the catalogues. The first one is shown to readers of none of them.
var codes = []string{"en", "fr", "de"}

// A Lang has the texts of a language.
type Lang struct {
	Code    string // of HTML's lang, such as fr
	known   map[string]bool
	printer *message.Printer
}

// langs are all languages, in the order of codes.
var langs = func() (all []*Lang) {
	built := catalog.NewBuilder()
	for _, code := range codes {
		entries, err := readCatalogue(code)
		if err == nil {
			err = build(built, language.MustParse(code), entries)
		}
		if err != nil {
			panic(err) // the files are ours, and tested
		}
		l := &Lang{Code: code, known: make(map[string]bool)}
		for _, e := range entries {
			l.known[e.key] = true
		}
		all = append(all, l)
	}
	for _, l := range all {
		l.printer = message.NewPrinter(language.MustParse(l.Code), message.Catalog(built))
	}
	return all
}()

var matcher = language.NewMatcher([]language.Tag{language.English, language.French, language.German})

// choose returns the language of a request: that of its parameter lang, or what its browser prefers.
func choose(r *http.Request) *Lang {
	if i := slices.Index(codes, r.URL.Query().Get("lang")); i >= 0 {
		return langs[i]
	}
	_, i := language.MatchStrings(matcher, r.Header.Get("Accept-Language"))
	return langs[i]
}

// An entry of a catalogue. One is the text for a singular first figure, if there is one.
type entry struct{ key, text, one string }

// readCatalogue reads the file of a language. Its lines are "key | text" and "key (one) | text", where the
// text has the figures and names %[1]d, %[2]s and so on. Empty lines and those that begin with # are notes.
func readCatalogue(code string) (entries []entry, err error) {
	b, err := texts.ReadFile("text/" + code + ".txt")
	if err != nil {
		return nil, err
	}
	at := make(map[string]int)
	lines := bufio.NewScanner(bytes.NewReader(b))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		key, text, ok := strings.Cut(line, "|")
		key, one := strings.CutSuffix(strings.TrimSpace(key), " (one)")
		if text = strings.TrimSpace(text); !ok || key == "" || text == "" {
			return nil, fmt.Errorf("%s.txt, line %d: it is not like \"key | text\"", code, n)
		}
		i, known := at[key]
		if !known {
			i, at[key] = len(entries), len(entries)
			entries = append(entries, entry{key: key})
		}
		to := &entries[i].text
		if one {
			to = &entries[i].one
		}
		if *to != "" {
			return nil, fmt.Errorf("%s.txt, line %d: %s stands there twice", code, n, key)
		}
		*to = text
	}
	return entries, lines.Err()
}

func build(to *catalog.Builder, tag language.Tag, entries []entry) error {
	for _, e := range entries {
		msg := catalog.Message(catalog.String(e.text))
		if e.one != "" {
			msg = plural.Selectf(1, "%d", plural.One, e.one, plural.Other, e.text)
		}
		if err := to.Set(tag, e.key, msg); err != nil {
			return fmt.Errorf("%s: %w", e.key, err)
		}
	}
	return nil
}

// Has reports whether there is a text.
func (l *Lang) Has(key string) bool { return l.known[key] }

// T returns the text of a key with figures and names, the key itself if there is no text. What does not print in
// a string is replaced.
func (l *Lang) T(key string, args ...any) string {
	if !l.Has(key) {
		return clean(key)
	}
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = clean(s)
		}
	}
	return l.printer.Sprintf(message.Key(key, key), args...)
}

// Name returns the text of a code. The key of the text is a prefix, such as "offence.", and the code. A code without a
// text, such as one that only a charter defines, stands for itself.
func (l *Lang) Name(prefix, code string) string {
	if l.Has(prefix + code) {
		return l.T(prefix + code)
	}
	return clean(code)
}

// N returns a figure in words of the language: 5,382 or 5 382.
func (l *Lang) N(n uint64) string { return l.printer.Sprintf("%d", n) }

// maxShown bounds a string of a log on a page, in characters.
const maxShown = 300

// clean replaces what could turn the direction of a line, or hide in it, and cuts what is too long.
func clean(s string) string {
	s = strings.Map(printable, s)
	if r := []rune(s); len(r) > maxShown {
		s = string(r[:maxShown]) + "…"
	}
	return s
}

func printable(r rune) rune {
	if unicode.IsPrint(r) || r == '\u00a0' || r == '\u202f' { // French figures have such spaces
		return r
	}
	return unicode.ReplacementChar
}

// Lines returns a text of several lines as it may be shown.
func (l *Lang) Lines(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' {
			return r
		}
		return printable(r)
	}, s)
}

// Clean returns a string of a log as it may be shown.
func (l *Lang) Clean(s string) string { return clean(s) }

// When returns a time in words, such as 28 November 2026, 14:03 UTC; or that it is not known.
func (l *Lang) When(t time.Time) string {
	if t.IsZero() {
		return l.T("time.unknown")
	}
	t = t.UTC()
	return l.T("time", l.Day(t), t.Format("15"), t.Format("04"))
}

// Exact is When to the second.
func (l *Lang) Exact(t time.Time) string {
	if t.IsZero() {
		return l.T("time.unknown")
	}
	t = t.UTC()
	return l.T("time.exact", l.Day(t), t.Format("15"), t.Format("04"), t.Format("05"))
}

// Day returns the day of a time, such as 28 November 2026.
func (l *Lang) Day(t time.Time) string {
	if t.IsZero() {
		return l.T("time.unknown")
	}
	day := strconv.Itoa(t.Day())
	if t.Day() == 1 {
		day = l.T("day.first")
	}
	return l.T("day", day, l.T("month."+strconv.Itoa(int(t.Month()))), strconv.Itoa(t.Year()))
}

// Month returns the name of a month like 2026-11, such as November 2026.
func (l *Lang) Month(month string) string {
	t, err := time.Parse("2006-01", month)
	if err != nil {
		return l.T("time.unknown")
	}
	return l.T("month", l.T("month."+strconv.Itoa(int(t.Month()))), strconv.Itoa(t.Year()))
}

// Span returns a length of time in its largest unit, such as 3 hours.
func (l *Lang) Span(d time.Duration) string {
	switch d = max(d, 0); {
	case d < 2*time.Minute:
		return l.T("span.seconds", int(d/time.Second))
	case d < 2*time.Hour:
		return l.T("span.minutes", int(d/time.Minute))
	case d < 48*time.Hour:
		return l.T("span.hours", int(d/time.Hour))
	}
	return l.T("span.days", int(d/(24*time.Hour)))
}
