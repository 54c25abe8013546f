// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package desk_test

import (
	"encoding/xml"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/html"

	"github.com/vasistas/vasistas/client/monitor/desk"
	"github.com/vasistas/vasistas/client/monitor/facts"
	"github.com/vasistas/vasistas/internal/cosigning"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
)

// hostile is markup, a format, a formula, a change of direction, and a line of its own.
const hostile = "=1+%d%s<img src=x onerror=alert(1)></q></code><script>alert(1)</script>\"' style=x javascript:alert(1) \u202e\u2066\n\x1b[2J&lt;"

// fill sets each string below v to a text, and each list to n elements.
func fill(v reflect.Value, text string, n, depth int) {
	if !v.CanSet() || depth > 9 {
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint64, reflect.Uint32, reflect.Uint8:
		v.SetUint(7)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), text, n, depth+1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(v.Index(i), text, max(2, n/8), depth+1)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for i := range n {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(value, text, max(2, n/8), depth+1)
			key.SetString(text + strconv.Itoa(i))
			v.SetMapIndex(key, value)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Now().UTC()))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), text, n, depth+1)
		}
	}
}

// TestHostile: what a log, its parties and its auditors say is text on each page.
func TestHostile(t *testing.T) {
	for name, body := range full(t, hostile, 2) {
		noMarkup(t, name, body)
	}
}

// TestFull: no page gets large, however much there is to show.
func TestFull(t *testing.T) {
	for name, body := range full(t, strings.Repeat("a-code-of-64-characters-", 3)[:64], facts.MaxListed) {
		if len(body) > 200<<10 {
			t.Errorf("%s has %d bytes", name, len(body))
		}
	}
}

// TestManyOwed: the first screen counts obligations by debtor and rule if they are too many to list, each one once.
func TestManyOwed(t *testing.T) {
	r := facts.Report{Applied: 600, Head: &facts.Head{Size: 600, LoggedAfter: time.Now()}, At: time.Now(), Overdue: 9, Due7: 300, Due30: 307}
	owed := func(rule string, index uint64) *ledger.Obligation {
		return &ledger.Obligation{By: "provider p", Rule: rule, Way: "late", Index: index, Due: r.At, Late: r.At}
	}
	r.Owed = []ledger.Obligation{*owed("return", 71)}
	r.Debts = []facts.Debt{{By: "provider p", Rule: "return", Way: "late", Overdue: 9, Due7: 300, Due30: 300, First: owed("return", 71), Next: owed("return", 72)},
		{By: "provider p", Rule: "disclosure", Way: "late", Due30: 7, Next: owed("disclosure", 73)},
		{By: "provider p", Rule: "emergency", Way: "late", Due30: 1, Next: owed("emergency", 76)}}
	r.Total.Owed = map[string]*facts.Owed{"disclosure": {Late: 300}}
	for range facts.MaxListed {
		r.Late = append(r.Late, ledger.Late{Obligation: *owed("disclosure", 74), CuredBy: 75})
	}
	d, err := desk.New(desk.Config{Logs: []desk.Log{{Origin: "log.example", Report: func() *facts.Report { return &r }}}, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	check(t, err)
	w := httptest.NewRecorder()
	d.ServeHTTP(w, httptest.NewRequest("GET", "/?lang=en", nil))
	body := w.Body.String()
	for _, want := range []string{"the emergency access 76", "9 obligations: report on a warrant", "300 obligations: report on a warrant", "7 obligations: disclosure", "256 obligations: disclosure", ">44 more<",
		"Within 7 days: 300. Within 30 days: 307.", "7 of them fall due within 30 days", "state=overdue", "by=provider&#43;p&amp;lang=en&amp;rule=return&amp;state=due"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in\n%s", want, body)
		}
	}
	for i := 71; i < 75; i++ {
		if strings.Contains(body, fmt.Sprintf("entry/%d?", i)) {
			t.Errorf("obligation %d is listed, and counted", i)
		}
	}
}

// full returns each page in each language of a report that has a text in each field, and n elements in each list.
func full(t *testing.T, text string, n int) map[string]string {
	t.Helper()
	var r facts.Report
	fill(reflect.ValueOf(&r).Elem(), text, n, 0)
	r.Overdue, r.Due7, r.Due30 = 10_000, 10_000, 20_000
	r.Charters = r.Charters[:min(n, facts.MaxCharters)]
	for _, tally := range r.Total.Events {
		for _, of := range []string{"authority", "agency", "group", "custodian", "reason", "outcome"} {
			tally.Of[of] = tally.Of[text+"0"]
		}
		for _, of := range event.Types() {
			r.Total.Events[of] = tally
		}
		break
	}
	r.Months = []facts.Month{{Month: r.At.Format("2006-01"), Counts: r.Total}}
	all := make(map[string]string)
	for _, forked := range []bool{false, true} {
		r.Forked = forked
		d, err := desk.New(desk.Config{Logs: []desk.Log{{Origin: text, Report: func() *facts.Report { return &r }}}, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
		check(t, err)
		for _, p := range pages {
			for lang := range verdicts {
				w := httptest.NewRecorder()
				path := "/desk/" + cosigning.OriginHash(text) + "/" + p + "?lang=" + lang + "&x=%22%3E%3Cscript%3E"
				d.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
				if w.Code != 200 {
					t.Errorf("%s: %d", path, w.Code)
				}
				all[fmt.Sprint(p, " in ", lang, ", forked: ", forked)] = w.Body.String()
			}
		}
	}
	return all
}

// noMarkup checks that a page has only elements and attributes of ours.
func noMarkup(t *testing.T, name, body string) {
	t.Helper()
	if strings.ContainsAny(body, "\u202e\u2066\x1b") || !strings.Contains(body, "&lt;img src=x") {
		t.Errorf("%s shows what does not print, or nothing", name)
	}
	for z := html.NewTokenizer(strings.NewReader(body)); ; {
		kind := z.Next()
		if kind == html.ErrorToken {
			if z.Err() != io.EOF {
				t.Error(z.Err())
			}
			return
		}
		if kind != html.StartTagToken && kind != html.SelfClosingTagToken {
			continue
		}
		tag := z.Token()
		if strings.Contains(" script img style iframe object embed base form ", " "+tag.Data+" ") {
			t.Errorf("%s has <%s>", name, tag.Data)
		}
		for _, a := range tag.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "src" || a.Key == "href" && a.Val != "data:," && !strings.HasPrefix(a.Val, "/") && a.Val != "#main" {
				t.Errorf("%s: %v", name, tag)
			}
		}
	}
}

// TestFeed: the feed has each verdict that stood for a while, WRONG at once, no start, and all that after a restart.
func TestFeed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "changes.json")
	synctest.Test(t, func(t *testing.T) {
		var report atomic.Pointer[facts.Report]
		report.Store(&facts.Report{Copied: 5})
		open := func() *desk.Desk {
			d, err := desk.New(desk.Config{Logs: []desk.Log{{Origin: hostile, Report: report.Load, Feed: file}}})
			check(t, err)
			return d
		}
		d := open()
		go d.Run(t.Context())
		fresh := func() *facts.Report {
			return &facts.Report{Applied: 5, Copied: 5, Head: &facts.Head{Size: 5, LoggedAfter: time.Now()}, At: time.Now(), Charter: &facts.Charter{Stale: 1 << 20, Skew: 60, Witnessed: true}}
		}
		verdicts := func() (list []string) {
			w := httptest.NewRecorder()
			// Another address each time, since a page stands for a second.
			d.ServeHTTP(w, httptest.NewRequest("GET", fmt.Sprintf("/desk/%s/feed.atom?lang=en&t=%d", cosigning.OriginHash(hostile), time.Now().UnixNano()), nil))
			var f struct {
				Entry []struct {
					Title   string `xml:"title"`
					Summary string `xml:"summary"`
				} `xml:"entry"`
			}
			if err := xml.Unmarshal(w.Body.Bytes(), &f); err != nil || w.Code != 200 {
				t.Fatalf("%d %v\n%s", w.Code, err, w.Body)
			}
			for _, e := range f.Entry {
				verdict, _, _ := strings.Cut(e.Title, ":")
				list = append(list, verdict)
				if e.Summary == "" || strings.Contains(e.Title, "\u202e") {
					t.Errorf("%+v", e)
				}
			}
			return list
		}
		want := func(want string) {
			t.Helper()
			if got := strings.Join(verdicts(), " "); got != want {
				t.Errorf("the feed has %q; want %q", got, want)
			}
		}
		time.Sleep(time.Hour)
		want("") // it only reads its copy
		report.Store(fresh())
		time.Sleep(time.Minute)
		want("OK")
		report.Store(&facts.Report{})
		time.Sleep(7 * time.Second)
		report.Store(fresh())
		time.Sleep(time.Minute)
		want("OK") // the silence was short
		forked := fresh()
		forked.Forked = true
		report.Store(forked)
		time.Sleep(3 * time.Second)
		want("WRONG OK")
		report.Store(&facts.Report{})
		time.Sleep(time.Minute)
		want("SILENT WRONG OK")
		d = open()
		want("SILENT WRONG OK")
	})
	check(t, os.WriteFile(file, []byte("{"), 0o644))
	if _, err := desk.New(desk.Config{Logs: []desk.Log{{Origin: "a", Feed: file}}}); err != nil {
		t.Errorf("a damaged file: %v", err)
	}
}
