// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package desk

import (
	"fmt"
	"io/fs"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vasistas/vasistas/log/ledger"
)

func catalogue(t *testing.T, code string) map[string]entry {
	t.Helper()
	entries, err := readCatalogue(code)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]entry)
	for _, e := range entries {
		all[e.key] = e
	}
	return all
}

var placeholder = regexp.MustCompile(`%(\[\d\][a-z]|.)`)

// places returns the figures and names of a text.
func places(text string) []string {
	all := placeholder.FindAllString(text, -1)
	slices.Sort(all)
	return slices.Compact(all)
}

// TestCataloguesAgree: each language has each text, with the same figures and names.
func TestCataloguesAgree(t *testing.T) {
	en := catalogue(t, "en")
	for _, code := range codes {
		of := catalogue(t, code)
		for key, e := range en {
			if of[key].text == "" {
				t.Errorf("%s.txt lacks %s", code, key)
				continue
			}
			want := places(e.text)
			if got := places(of[key].text); !slices.Equal(got, want) {
				t.Errorf("%s.txt: %s has %v; want %v", code, key, got, want)
			}
			if (of[key].one == "") != (e.one == "") {
				t.Errorf("%s.txt: %s has a text for one thing: %v, in English: %v", code, key, of[key].one != "", e.one != "")
			}
			for _, p := range places(of[key].one) {
				if !slices.Contains(want, p) {
					t.Errorf("%s.txt: %s (one) has %s", code, key, p)
				}
			}
		}
		for key := range of {
			if _, ok := en[key]; !ok {
				t.Errorf("%s.txt has %s, and en.txt does not", code, key)
			}
		}
	}
}

var quoted = regexp.MustCompile("[\"`]([a-z0-9]+\\.[a-zA-Z0-9.-]*|time|day|month|fixed|notknown)[\"`]")
var called = regexp.MustCompile(`\bT "([^"]+)"|\bT\("([^"]+)"[,)]`)

// TestTextsAreUsed: templates and code use only keys that exist, and each key is used: as it stands, or by the
// beginning of it that ends with a point.
func TestTextsAreUsed(t *testing.T) {
	en := catalogue(t, "en")
	unused := maps.Clone(en)
	err := filepath.WalkDir(".", func(name string, f fs.DirEntry, err error) error {
		if err != nil || f.IsDir() || strings.HasSuffix(name, "_test.go") || !strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, ".html") {
			return err
		}
		b, err := os.ReadFile(name)
		for _, m := range called.FindAllStringSubmatch(string(b), -1) {
			if key := m[1] + m[2]; en[key].text == "" {
				t.Errorf("%s uses %s, which en.txt lacks", name, key)
			}
		}
		for _, m := range quoted.FindAllStringSubmatch(string(b), -1) {
			delete(unused, m[1])
			if strings.HasSuffix(m[1], ".") {
				maps.DeleteFunc(unused, func(key string, _ entry) bool { return strings.HasPrefix(key, m[1]) })
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"decision", "outcome", "role"} { // Lang.Name
		maps.DeleteFunc(unused, func(key string, _ entry) bool { return strings.HasPrefix(key, kind+".") })
	}
	for key := range unused {
		t.Errorf("nothing uses %s", key)
	}
}

// TestFrenchSpaces: no line ends before a mark that French sets apart, and none begins after « alone.
func TestFrenchSpaces(t *testing.T) {
	breaks := regexp.MustCompile(`(?:^|[^\x{a0}\x{202f}])[:;?!»]|«[^\x{a0}\x{202f}]`)
	for key, e := range catalogue(t, "fr") {
		for _, text := range []string{e.text, e.one} {
			if at := breaks.FindString(placeholder.ReplaceAllString(text, "1")); at != "" && !strings.Contains(text, "http") {
				t.Errorf("fr.txt: %s has %q, without a no-break space", key, at)
			}
		}
	}
	// A figure with such a space stays whole in a sentence.
	if got, want := langs[1].T("entry.number", langs[1].N(5382)), "inscription 5\u00a0382"; got != want {
		t.Errorf("%q; want %q", got, want)
	}
}

// TestWords: figures, dates and spans in each language.
func TestWords(t *testing.T) {
	at := time.Date(2026, 11, 28, 14, 3, 0, 0, time.UTC)
	for i, want := range [][]string{
		{"28 November 2026, 14:03 UTC", "1 March 2026", "November 2026", "5,382", "1 second", "90 minutes", "3 days"},
		{"28 novembre 2026 à 14 h 03 UTC", "1er mars 2026", "novembre 2026", "5\u00a0382", "1 seconde", "90 minutes", "3 jours"},
		{"28. November 2026, 14:03 Uhr UTC", "1. März 2026", "November 2026", "5.382", "1 Sekunde", "90 Minuten", "3 Tage"},
	} {
		l := langs[i]
		got := []string{l.When(at), l.Day(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)), l.Month("2026-11"), l.N(5382), l.Span(time.Second), l.Span(90 * time.Minute), l.Span(80 * time.Hour)}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q; want %q", l.Code, got, want)
		}
	}
}

// TestNames: each rule has a name, and each month, or that none is known, has room in a chart.
func TestNames(t *testing.T) {
	for _, l := range langs {
		for _, r := range ledger.Rules(2) {
			if !l.Has("rule." + r.Name) {
				t.Errorf("%s.txt has no name of the rule %s", l.Code, r.Name)
			}
		}
		labels := []string{l.T("timeline.unknown")}
		for month := range 12 {
			labels = append(labels, l.Month(fmt.Sprintf("2026-%02d", month+1)))
		}
		for _, label := range labels {
			if shorten(label, maxLabel) != label {
				t.Errorf("%s: a chart cuts %q", l.Code, label)
			}
		}
		if got := l.code("reason", "breach"); got != "breach" { // no text of the first line
			t.Errorf("%s: the reason of a refusal is shown as %q", l.Code, got)
		}
	}
}

// TestChoose: the parameter wins over what the browser prefers, and English is for all others.
func TestChoose(t *testing.T) {
	for _, c := range []struct{ query, header, want string }{
		{"", "", "en"}, {"", "de-AT,de;q=0.9", "de"}, {"", "fr-CA", "fr"}, {"", "ja", "en"}, {"?lang=fr", "de", "fr"}, {"?lang=xx", "de", "de"}, {"", "\x00;;", "en"},
	} {
		r := httptest.NewRequest("GET", "/"+c.query, nil)
		r.Header.Set("Accept-Language", c.header)
		if got := choose(r).Code; got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// TestWaysWithAnEffect: each verdict of the rules that leaves an entry an effect has a text that says so.
func TestWaysWithAnEffect(t *testing.T) {
	found := 0
	for _, r := range ledger.Rules(rulesVersion) {
		if langs[0].T("broken."+r.Name) == "broken."+r.Name {
			t.Errorf("the rule %s has no name", r.Name)
		}
		for _, w := range r.Ways {
			effect := strings.Contains(w.Template, "counts in the chain") || strings.Contains(w.Template, "takes effect")
			if effect {
				found++
			}
			if known := ways[w.Rule+"/"+w.Code]; effect != (known != "" && known != "entry.effect.yes") {
				t.Errorf("%s/%s: %q; the rules say %q", w.Rule, w.Code, known, w.Template)
			}
		}
	}
	if found != 4 {
		t.Errorf("%d verdicts leave an effect", found)
	}
}
