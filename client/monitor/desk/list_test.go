// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package desk_test

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/event"
)

const origin = "log.example/warrants"

// TestEachEvent: the page of each event says in one sentence what happened, in each language.
func TestEachEvent(t *testing.T) {
	t.Parallel()
	b := newBed(t, origin)
	s := b.story()
	b.open()
	for name, says := range map[string]string{
		"charter":      "signed the first charter. It says who may sign what in this log",
		"amended":      "signed version 2 of the charter.",
		"warrant":      "The authority court granted a warrant to the provider messenger.",
		"order":        "granted a warrant to the provider messenger, with other limits than were asked for.",
		"denied":       "The authority court denied a warrant to the provider messenger.",
		"suspended":    "The authority court suspended a warrant.",
		"resumed":      "The authority court resumed a suspended warrant.",
		"in-part":      "The authority court revoked a warrant in some categories of data.",
		"all":          "The authority court revoked a warrant. No access",
		"access":       "The provider messenger asked the custodians of the group main to open data under a warrant.",
		"emergency":    "to open data in an emergency, without a warrant.",
		"release":      "The custodian c1 stated that it opens its share of a key. This is its release number 1.",
		"refusal":      "The custodian c3 refused to open its share of a key.",
		"deferral":     "The authority court deferred a disclosure.",
		"disclosure":   "The provider messenger disclosed what an earlier event sealed.",
		"partial":      "executes a warrant only in part.",
		"unable":       "cannot execute a warrant.",
		"refused":      "will not execute a warrant.",
		"return":       "reported how a warrant was executed.",
		"not":          "reported that a warrant was not executed.",
		"heartbeat c1": "The custodian c1 stated how many releases it has signed: 1.",
		"anchor":       "logged an earlier head with its cosignatures.",
		"open":         "The auditor a1 stated that a breach of the rule “form of an event” is open.",
		"closed":       "The auditor a2 stated that a breach of the rule “form of an event” is closed.",
		"junk":         "This entry is no event. The log should have refused it.",
	} {
		path := b.path(fmt.Sprintf("entry/%d", s[name].Index))
		b.says(path, says)
		for _, lang := range []string{"fr", "de"} {
			if said := text(b.main(path + "?lang=" + lang)); strings.Contains(said, says) {
				t.Errorf("%s in %s: %s", name, lang, said)
			}
		}
	}
}

// TestEntry: bounds and claim, the chain, what is sealed and owed, and verdicts.
func TestEntry(t *testing.T) {
	t.Parallel()
	b := newBed(t, origin)
	s := b.story()
	b.open()
	at := func(name string) string { return b.path(fmt.Sprintf("entry/%d", s[name].Index)) }
	link := func(name string) string { return fmt.Sprintf(`href="%s"`, at(name)) }
	b.says(at("warrant"), "Logged after 1 January 2026, 00:00:00 UTC", "The signer alone says this. No witness proves it.",
		"3 values for the public: disclosed", "met late, Late by: 10 days", "1 value that only the person concerned ever reads")
	b.says(at("charter"), "not known: no earlier head in the log proves a time", "Nothing. All that it states is on this page.")
	b.says(at("emergency"), "3 values for the public, to be disclosed by", "on the emergency access")
	b.says(at("disclosure"), "The investigating agency police", "It ended these obligations: provider messenger: the disclosure of what entry 2 keeps sealed . met late, Late by:")
	b.says(at("junk"), "Rule “form of an event”, for which the log must answer:", "It had no effect. Verdict: is no event.")
	b.says(at("bad"), "A signer that is not proven", "Rule “right to sign”, for which the log must answer:")
	page := b.main(at("access"))
	for _, name := range []string{"warrant", "release", "notices", "refusal"} {
		if !strings.Contains(page, link(name)) {
			t.Errorf("the page of the access has no %s", link(name))
		}
	}
	b.says(at("refusal"), fmt.Sprintf("%d: refusal , the custodian c3 (this event): about entry %d", s["refusal"].Index, s["access"].Index))
	for _, name := range []string{"refusal", "release"} {
		list := b.path("entries?type=" + name)
		b.says(list, fmt.Sprintf("access: %d ; warrant: %d (court)", s["access"].Index, s["warrant"].Index))
		if page := b.main(list); !strings.Contains(page, link("access")) || !strings.Contains(page, link("warrant")) {
			t.Errorf("the list of the %s leads to no access or no warrant", name)
		}
	}
	for _, path := range []string{"entry/999", "entry/01", "entry/-1", "entry/x", "entry/1/x"} {
		if status, _ := b.try(b.path(path)); status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
	}
}

var row = regexp.MustCompile(`<th scope="row"><a href="[^"]*/entry/(\d+)[^"]*"`)

// rows returns the entries that a list shows.
func (b *bed) rows(path string) (list []uint64) {
	b.t.Helper()
	for _, m := range row.FindAllStringSubmatch(b.main(path), -1) {
		n, err := strconv.ParseUint(m[1], 10, 64)
		check(b.t, err)
		list = append(list, n)
	}
	return list
}

// csv returns the rows of an export, without its notes and its head; and the notes.
func (b *bed) csv(path string) (notes []string, rows [][]string) {
	b.t.Helper()
	r := csv.NewReader(strings.NewReader(b.get(path)))
	r.FieldsPerRecord = -1
	all, err := r.ReadAll()
	check(b.t, err)
	for i, row := range all {
		if !strings.HasPrefix(row[0], "# ") {
			return notes, all[i+1:]
		}
		notes = append(notes, row[0])
	}
	b.t.Fatalf("%s has no head", path)
	return nil, nil
}

// TestFilter: each filter of the entries picks those that it names, the export has the same, and so have all pages.
func TestFilter(t *testing.T) {
	t.Parallel()
	b := newBed(t, origin)
	b.Live(100)
	s := b.story()
	b.open()
	var all []uint64
	for n := range b.Size() {
		all = append(all, b.Size()-1-n)
	}
	from := func(names ...string) (list []uint64) {
		for _, name := range names {
			list = append(list, s[name].Index)
		}
		slices.Sort(list)
		slices.Reverse(list)
		return list
	}
	for query, want := range map[string][]uint64{
		"":                                all,
		"type=refusal":                    from("refusal"),
		"type=revocation":                 from("suspended", "resumed", "in-part", "all"),
		"party=custodian+c3&type=refusal": from("refusal"),
		"party=auditor+a1":                from("open"),
		"verdict=unreadable":              from("junk"),
		"category=traffic&type=warrant":   from("order"),
		"instrument=order&category=traffic&month=2026-01": from("order"),
		"month=2030-01": nil,
		"offence=none":  nil,
	} {
		var shown []uint64
		for page := 1; page == 1 || len(shown)%50 == 0 && len(shown) > 0 && len(shown) < len(want); page++ {
			shown = append(shown, b.rows(b.path(fmt.Sprintf("entries?%s&page=%d", query, page)))...)
		}
		if !slices.Equal(shown, want) {
			t.Errorf("%q shows %v; want %v", query, shown, want)
		}
		var exported []uint64
		notes, rows := b.csv(b.path("entries.csv?" + query))
		for _, r := range rows {
			n, err := strconv.ParseUint(r[0], 10, 64)
			check(t, err)
			exported = append(exported, n)
		}
		if !slices.Equal(exported, want) {
			t.Errorf("%q exports %v; want %v", query, exported, want)
		}
		said := strings.Join(notes, "\n")
		if head := b.Head(); !strings.Contains(said, origin) || !strings.Contains(said, fmt.Sprint(b.Size())) || !strings.Contains(said, head.Root.String()) {
			t.Errorf("the export does not state its source: %s", said)
		}
		if !exportedAt.MatchString(said) || !strings.Contains(said, ": WRONG.") || !strings.Contains(said, "# Witnesses saw this head on ") {
			t.Errorf("the export does not state its times and the first line: %s", said)
		}
	}
	resp, err := http.Head(b.server.URL + b.path("entries.csv?party=custodian+c3&type=refusal&sort=index"))
	check(t, err)
	resp.Body.Close()
	if name := resp.Header.Get("Content-Disposition"); name != fmt.Sprintf(`attachment; filename="log.example-warrants-entries-custodian-c3-refusal-head-%d.csv"`, b.Size()) {
		t.Errorf("the name of the export: %s", name)
	}
	for _, query := range []string{"page=0", "page=x", "sort=leaf", "order=up", "month=13", "month=2026-13", "party=court", "party=offence+fraud"} {
		if status, _ := b.try(b.path("entries?" + query)); status != http.StatusBadRequest {
			t.Errorf("%s: %d", query, status)
		}
	}
}

// TestDuties: duties by state, in the order of a column, and what is said of lateness.
func TestDuties(t *testing.T) {
	t.Parallel()
	b := newBed(t, origin)
	s := b.story()
	b.open()
	late := b.rows(b.path("duties?state=late&sort=due"))
	if !slices.Contains(late, s["warrant"].Index) || !slices.Contains(late, s["release"].Index) || slices.Contains(late, s["order"].Index) {
		t.Errorf("late: %v", late)
	}
	b.says(b.path("duties?state=late"), "met late", "What is overdue, is overdue as of")
	open := b.rows(b.path("duties?state=open"))
	if !slices.Contains(open, s["emergency"].Index) {
		t.Errorf("open: %v", open)
	}
	_, rows := b.csv(b.path("duties.csv?sort=due&order=desc"))
	due := func(a, b []string) int { return strings.Compare(b[4], a[4]) }
	if len(rows) < 8 || !slices.IsSortedFunc(rows, due) {
		t.Errorf("not sorted by the due date: %q", rows)
	}
	if by := b.rows(b.path("duties?by=" + url.QueryEscape("authority court"))); !slices.Equal(by, []uint64{s["emergency"].Index}) {
		t.Errorf("the court owes %v", by)
	}
	if status, _ := b.try(b.path("duties?state=none")); status != http.StatusBadRequest {
		t.Errorf("an unknown state: %d", status)
	}
}

// TestFixed: what a page that is fixed to a head says does not change when the log grows, and what it links to
// is fixed to the same head.
func TestFixed(t *testing.T) {
	t.Parallel()
	b := newBed(t, origin)
	s := b.story()
	b.open()
	size := b.Size()
	at := fmt.Sprintf("at=%d", size)
	pages := []string{"entries", "entries?type=warrant", "duties", "duties?state=open", "timeline", "timeline?all=1", "charts",
		"custodians/" + b.KeyID("c1"), fmt.Sprintf("entry/%d", s["warrant"].Index), fmt.Sprintf("entry/%d", s["anchor"].Index), fmt.Sprintf("entry/%d", s["order"].Index)}
	fixed := func() (said []string) {
		for _, p := range pages {
			said = append(said, b.get(b.path(p+map[bool]string{true: "&", false: "?"}[strings.Contains(p, "?")]+at)))
		}
		for _, p := range []string{"entries.csv?", "duties.csv?"} {
			said = append(said, exportedAt.ReplaceAllString(b.get(b.path(p+at)), ""))
		}
		return said
	}
	before := fixed()
	b.Disclose(s["order"])
	b.Release(s["access"], "c1")
	b.Heartbeat("c1")
	b.Live(b.Size() + 60)
	b.publish()
	b.close()
	b.open() // nothing is cached
	for i, said := range fixed() {
		if said != before[i] {
			t.Errorf("%s has changed:\n%s\n%s", append(pages, "entries.csv", "duties.csv")[i], before[i], said)
		}
	}
	for _, link := range links(b.main(b.path("entries?" + at))) {
		if u, err := url.Parse(link); err != nil || u.Query().Get("at") != fmt.Sprint(size) {
			t.Errorf("a link leads to another head: %s", link)
		}
	}
	for _, p := range []string{"", "trust", "witnesses", "custodians", "feed.atom"} {
		if status, page := b.try(b.path(p) + "?" + at); status != http.StatusBadRequest || !strings.Contains(page, "has no past") {
			t.Errorf("%s shows the present at an earlier head: %d\n%s", p, status, page)
		}
	}
	for at, want := range map[string]int{"0": http.StatusBadRequest, "x": http.StatusBadRequest, "1": http.StatusOK, fmt.Sprint(b.Size() + 1): http.StatusNotFound} {
		if status, _ := b.try(b.path("entries?at=" + at)); status != want {
			t.Errorf("at=%s: %d; want %d", at, status, want)
		}
	}
}

// exportedAt is the line of an export about the present.
var exportedAt = regexp.MustCompile(`(?m)^"?# Exported from the monitor at 127\.0\.0\.1:\d+ at [^ ]+Z\. Its first line said then: [^"\n]*"?$`)

var href = regexp.MustCompile(`href="([^"]*)"`)

func links(page string) (list []string) {
	for _, m := range href.FindAllStringSubmatch(page, -1) {
		list = append(list, html.UnescapeString(m[1]))
	}
	return list
}

// TestEveryLink: each page that the desk links to is there, in each language, of bounded size, with each text,
// and without markup of a log or a visitor.
func TestEveryLink(t *testing.T) {
	t.Parallel()
	b := newBed(t, "log.example/<img/src=x/onerror='alert(1)'>&{{.}}")
	s := b.story()
	b.open()
	hostile := url.QueryEscape(`"><script>alert(1)</script>'=cmd|' /C calc'!A0`)
	queue := []string{b.path("") + "?lang=en", b.path("") + "?lang=fr", b.path("") + "?lang=de", fmt.Sprintf("%s?lang=%s", b.path(fmt.Sprint("entry/", s["junk"].Index)), hostile)}
	for _, param := range []string{"type", "party", "instrument", "offence", "category", "verdict", "sort", "at", "x", "<b>"} {
		queue = append(queue, b.path("entries?"+param+"="+hostile))
	}
	for _, param := range []string{"state", "rule", "by"} {
		queue = append(queue, b.path("duties?"+param+"="+hostile))
	}
	queue = append(queue, b.path("custodians/"+url.PathEscape("<script>")), b.path("entry/"+url.PathEscape("<script>")))
	visitors := len(queue)
	seen := make(map[string]bool)
	for i := 0; i < len(queue) && len(seen) < 400; i++ {
		path := queue[i]
		if seen[path] || !strings.HasPrefix(path, "/desk/") || strings.Contains(path, "/static/") {
			continue
		}
		seen[path] = true
		status, page := b.try(path)
		if status != http.StatusOK && i >= visitors {
			t.Errorf("%s: %d", path, status)
		}
		if len(page) > 200<<10 {
			t.Errorf("%s has %d bytes", path, len(page))
		}
		if strings.Contains(path, ".csv") || strings.Contains(path, "/evidence") || strings.Contains(path, ".atom") {
			continue
		}
		for _, wrong := range []string{"<script", "<img", "<b>", "%!", "ZgotmplZ", "onerror='"} {
			if strings.Contains(page, wrong) {
				t.Errorf("%s has %s:\n%s", path, wrong, page)
			}
		}
		if status == http.StatusOK {
			queue = append(queue, links(page)...)
		}
	}
	if len(seen) < 100 {
		t.Errorf("only %d pages", len(seen))
	}
}

// TestChainGaps: a release that is missing shows as a gap, and so do a heartbeat that states more, and one that
// never came.
func TestChainGaps(t *testing.T) {
	t.Parallel()
	b := newBed(t, origin)
	b.anchor()
	warrant := b.Warrant(b.Now + 40*people.Day)
	access := b.Access(warrant, b.Now+40*people.Day)
	logged := []*written.Logged{b.Release(access, "c1")}
	b.Heartbeat("c1")
	b.Publish("w1", "w2", "w3")
	b.open()
	page := b.path("custodians/" + b.KeyID("c1"))
	b.says(page, "Custodian c1: releases and signs of life", "No number is missing")
	skip := func() { // it is signed, and never logged
		e := b.ReleaseEvent(access, "c1", []byte("notice"))
		b.Follow("c1", b.Sign(e, "c1"))
	}
	logged = append(logged, b.LogBadly(b.ReleaseEvent(access, "c1", []byte("notice")), "c1")) // the log forges what is missing
	skip()
	logged = append(logged, b.Release(access, "c1"))
	skip()
	skip()
	b.Now += 5 * people.Day
	_, last := b.Last("c1")
	b.LogBadly(b.Event(&event.Heartbeat{From: written.At(b.Now - 6*people.Day), To: written.At(b.Now - people.Day), Seq: 99, Prev: last}), "c1")
	b.Heartbeat("c1")
	b.LogBadly(b.Event(&event.Heartbeat{From: written.At(b.Now), To: written.At(b.Now + people.Day), Seq: 99, Prev: last}), "c1")
	b.publish()
	b.close()
	b.open() // nothing is cached
	b.says(page, "Custodian c1: releases", "GAP: number 2 is missing", "GAP: the numbers 4 to 5 are missing", "GAP: no sign of life covers the time from")
	if said := text(b.main(page)); strings.Contains(said, "No number is missing") {
		t.Errorf("it also says that none is: %s", said)
	}
	for _, r := range logged {
		if !strings.Contains(b.main(page), b.path(fmt.Sprint("entry/", r.Index))) {
			t.Errorf("release %d is not shown", r.Index)
		}
	}
	if status, _ := b.try(b.path("custodians/" + b.KeyID("court"))); status != http.StatusNotFound {
		t.Errorf("a key of no custodian: %d", status)
	}
}

var figure = regexp.MustCompile(`(?s)<section class="chart" aria-labelledby="([^"]*)">.*?</section>`)
var cells = regexp.MustCompile(`<tr><th scope="row">(?:<a [^>]*>)?([^<]*)(?:</a>)?</th><td>([\d,]*)</td>(?:<td>([\d,]*)</td>)?`)

// TestCharts: the table of each chart has the figures of the log, and the drawing the same ones as text.
func TestCharts(t *testing.T) {
	t.Parallel()
	b := newBed(t, origin)
	counts := map[string]map[string]int{"warrant": {}, "authority": {}, "instrument": {}, "offence": {}, "category": {}, "sealed-warrant": {}, "still": {}}
	b.anchor()
	add := func(month string, open bool, categories ...string) {
		w := b.Warrant(b.Now + 10*people.Day)
		instrument := "search"
		if categories != nil {
			w, instrument = b.order(categories...), "order"
			counts["warrant"][month]++
			counts["authority"]["court"]++
			counts["instrument"]["search"]++
			counts["offence"]["fraud"]++
			counts["still"][month]++
		}
		for _, c := range categories {
			counts["category"][c]++
		}
		counts["warrant"][month]++
		counts["authority"]["court"]++
		counts["instrument"][instrument]++
		counts["offence"]["fraud"]++
		if open {
			b.anchor()
			b.Now += 10 * people.Day
			b.anchor()
			b.Disclose(w)
			counts["sealed-warrant"][month]++
		} else {
			counts["still"][month]++
		}
	}
	add("January 2026", true)
	add("January 2026", false, "content")
	b.Now += 31 * people.Day
	b.anchor()
	add("February 2026", false, "content", "traffic")
	b.anchor()
	b.Publish("w1", "w2", "w3")
	b.open()
	page := b.main(b.path("charts"))
	shown := make(map[string]map[string]int)
	for _, f := range figure.FindAllStringSubmatch(page, -1) {
		shown[f[1]] = make(map[string]int)
		for _, c := range cells.FindAllStringSubmatch(f[0], -1) {
			n, _ := strconv.Atoi(c[2])
			shown[f[1]][html.UnescapeString(c[1])] = n
			if f[1] == "sealed-warrant" {
				if shown["still"] == nil {
					shown["still"] = make(map[string]int)
				}
				shown["still"][c[1]], _ = strconv.Atoi(c[3])
			}
			if !strings.Contains(f[0], ">"+c[1]+"</text>") {
				t.Errorf("the drawing %s does not name %s", f[1], c[1])
			}
		}
		if len(shown[f[1]]) > 0 && !strings.Contains(f[0], "<title id=") {
			t.Errorf("the drawing %s has no title", f[1])
		}
	}
	for chart, want := range counts {
		for name, n := range want {
			if shown[chart][name] != n {
				t.Errorf("%s, %s: %d; want %d", chart, name, shown[chart][name], n)
			}
		}
	}
	if strings.Contains(page, "style=") || strings.Contains(page, "fill=\"#") {
		t.Error("a drawing has colours or styles of its own")
	}
}

// TestTimeline: months of proven times, the newest first, and without the regular events unless they are asked for.
func TestTimeline(t *testing.T) {
	t.Parallel()
	b := newBed(t, origin)
	s := b.story()
	b.open()
	page := b.main(b.path("timeline"))
	quiet := text(page)
	if strings.Contains(quiet, "sign of life,") || strings.Contains(quiet, ": anchor") {
		t.Errorf("it has heartbeats or anchors: %s", quiet)
	}
	if feb, jan := strings.Index(quiet, "February 2026"), strings.Index(quiet, "January 2026"); feb < 0 || jan < feb {
		t.Errorf("months at %d and %d: %s", feb, jan, quiet)
	}
	if !strings.Contains(quiet, "no witnessed time") || !strings.Contains(page, fmt.Sprintf("entry/%d", s["warrant"].Index)) {
		t.Errorf("it lacks something: %s", quiet)
	}
	b.says(b.path("timeline?all=1"), ": sign of life", ": anchor")
}

// TestBreaches: the list of breaches says who broke which rule since when, who has closed it by which entry, and what it
// bars; and the first screen leads there.
func TestBreaches(t *testing.T) {
	t.Parallel()
	b := newBed(t, origin)
	s := b.story()
	b.Finding("a1", "form", event.FindingClosed, s["junk"].Index, s["junk"].Index)
	quorum := b.Size() - 1
	b.Finding("a1", "form", event.FindingOpen, s["junk"].Index, s["junk"].Index)
	b.Publish("w1", "w2", "w3")
	b.open()
	b.says(b.path("breaches?page=9"), "The list ends before this page.")
	for query, want := range map[string][]uint64{
		"":                                      {s["bad"].Index, s["junk"].Index},
		"state=open":                            {s["bad"].Index},
		"state=closed":                          {s["junk"].Index},
		"rule=role":                             {s["bad"].Index},
		"rule=anchor":                           nil,
		"by=log&rule=form":                      {s["junk"].Index},
		"by=authority+none":                     nil,
		fmt.Sprintf("state=open&at=%d", quorum): {s["bad"].Index, s["junk"].Index},
	} {
		if shown := b.rows(b.path("breaches?" + query)); !slices.Equal(shown, want) {
			t.Errorf("%q shows %v; want %v", query, shown, want)
		}
		if _, rows := b.csv(b.path("breaches.csv?" + query)); len(rows) != len(want) {
			t.Errorf("%q exports %q", query, rows)
		}
	}
	b.says(b.path("breaches"), "who may sign what:", "not closed all custodians", "the form of an entry:", "closed; auditors that closed it: a2",
		fmt.Sprintf("see entry %d", quorum), "no custodian; an auditor")
	if _, rows := b.csv(b.path("breaches.csv?state=closed")); rows[0][6] != fmt.Sprint(quorum) || rows[0][3] == "" {
		t.Errorf("it was closed by entry %d: %q", quorum, rows)
	}
	if status, _ := b.try(b.path("breaches?state=late")); status != http.StatusBadRequest {
		t.Errorf("an unknown state: %d", status)
	}
	if first := b.main(b.path("")); !strings.Contains(first, b.path("breaches")+`">2 breaches are on record. Not closed: 1.</a>`) {
		t.Errorf("the first screen has no link:\n%s", first)
	}
}

// TestOpenedValues: the page of an event shows what disclosures have opened of it, and at an earlier head what they
// had opened then.
func TestOpenedValues(t *testing.T) {
	t.Parallel()
	b := newBed(t, origin)
	s := b.story()
	b.open()
	warrant := b.path(fmt.Sprint("entry/", s["warrant"].Index))
	opened := fmt.Sprintf("Opened by entry %d The investigating agency police", s["disclosure"].Index)
	b.says(warrant, opened)
	if said := text(b.main(warrant + fmt.Sprintf("?at=%d", s["disclosure"].Index))); strings.Contains(said, "Opened by") {
		t.Errorf("it was open before its disclosure: %s", said)
	}
	if said := text(b.main(b.path(fmt.Sprint("entry/", s["order"].Index)))); strings.Contains(said, "Opened by") {
		t.Errorf("it is not open: %s", said)
	}
}

// TestClaimedLate: if only the debtor's own claim shows that an obligation was late, the page says so. No obligation is
// cured before it was late.
func TestClaimedLate(t *testing.T) {
	t.Parallel()
	b := newBed(t, origin)
	b.anchor()
	w := b.Warrant(b.Now + 2*people.Day)
	b.Now += 10 * people.Day
	b.Disclose(w)
	b.anchor()
	b.Publish("w1", "w2", "w3")
	b.open()
	b.says(b.path(""), "as the debtor itself states: no witness proves it")
	b.says(b.path("duties?state=late"), "8 days, as the debtor itself states: no witness proves it")
	b.says(b.path(fmt.Sprint("entry/", w.Index)), "Late by: 8 days, as the debtor itself states")
}

// TestReleaseEffects: a release that waits, and one that came too late, have an effect, which its page names.
func TestReleaseEffects(t *testing.T) {
	t.Parallel()
	b := newBed(t, origin)
	b.anchor()
	warrant := b.Warrant(b.Now + 40*people.Day)
	access := b.Access(warrant, b.Now+40*people.Day)
	late := b.ReleaseEvent(access, "c2", []byte("notice"))
	b.Follow("c1", b.Sign(b.ReleaseEvent(access, "c1", []byte("notice")), "c1")) // it is signed, and never logged
	early := b.Release(access, "c1")
	b.Revoke(warrant, event.ScopeAll)
	answered := b.LogEvent(late, "c2")
	forged := b.LogBadly(b.ReleaseEvent(access, "c1", []byte("notice")), "c2")
	b.Publish("w1", "w2", "w3")
	b.open()
	for of, says := range map[*written.Logged]string{early: "It waits: it takes effect once", answered: "It counts in the chain", forged: "It had no effect."} {
		b.says(b.path(fmt.Sprint("entry/", of.Index)), says)
	}
}

// TestDenied: a return that denies an access is set against the releases for its warrant.
func TestDenied(t *testing.T) {
	t.Parallel()
	b := newBed(t, origin)
	b.anchor()
	var opened, unused tale = tale{}, tale{}
	for _, s := range []tale{opened, unused} {
		s["warrant"] = b.Warrant(b.Now + 40*people.Day)
		s["access"] = b.Access(s["warrant"], b.Now+40*people.Day)
	}
	opened["release"] = b.Release(opened["access"], "c1")
	for _, s := range []tale{opened, unused} {
		s["return"] = b.LogEvent(b.Event(&event.Return{Warrant: s["warrant"].Reference}), "messenger")
	}
	b.Publish("w1", "w2", "w3")
	b.open()
	for what, e := range opened {
		b.says(b.path(fmt.Sprint("entry/", e.Index)), fmt.Sprintf("Entry %d reports that warrant %d was not executed. But a custodian stated that it opens its share", opened["return"].Index, opened["warrant"].Index))
		if said := text(b.main(b.path(fmt.Sprint("entry/", unused[cmp.Or(map[string]string{"release": "access"}[what], what)].Index)))); strings.Contains(said, "But a custodian") {
			t.Errorf("%s without a release: %s", what, said)
		}
	}
}

// TestFixedForever: a page that is fixed to a head says if the log later contradicted itself or went back, and the
// page of a mistyped head is not fixed to one.
func TestFixedForever(t *testing.T) {
	t.Parallel()
	b := newBed(t, origin)
	b.story()
	before, err := os.ReadFile(filepath.Join(b.Dir, "checkpoint"))
	check(t, err)
	b.anchor()
	b.Publish("w1", "w2", "w3")
	b.open()
	first := func(path string) string {
		_, body := b.try(path)
		_, rest, _ := strings.Cut(body, "</nav>")
		said, _, _ := strings.Cut(rest, `<main id="main">`)
		return text(said)
	}
	fixed := b.path("entries?at=5")
	if said := first(fixed); strings.Contains(said, "WRONG") || !strings.Contains(said, "fixed to one head") {
		t.Errorf("before: %s", said)
	}
	check(t, os.WriteFile(filepath.Join(b.Dir, "checkpoint"), before, 0o600))
	eventually(t, func() error {
		for _, path := range []string{fixed, b.path("entries"), b.path("")} {
			if said := first(path); !strings.Contains(said, "The log now serves a smaller head") {
				return fmt.Errorf("the log goes back, and %s says: %s", path, said)
			}
		}
		return nil
	})
	check(t, os.WriteFile(filepath.Join(b.state, "copy", "fork.json"), []byte("{}"), 0o600))
	eventually(t, func() error {
		if said := first(fixed); !strings.Contains(said, "WRONG The log has signed two heads") {
			return fmt.Errorf("the log has forked, and the page says: %s", said)
		}
		return nil
	})
	if _, page := b.try(b.path("entries?at=junk&lang=fr")); strings.Contains(page, "%3F") || !strings.Contains(page, "?lang=fr") {
		t.Errorf("the page of an error leads to another language:\n%s", page)
	}
	status, page := b.try(b.path("entries?at=junk"))
	if status != http.StatusBadRequest || strings.Contains(page, "fixed") || strings.Contains(page, "at=junk") || !strings.Contains(page, "must be a number of entries") {
		t.Errorf("at=junk: %d\n%s", status, page)
	}
}

// TestBreachEntry: an entry owed what was never done. Its page says first that this is a breach, and leads to the findings
// about the breach, which lead back. Lists show the breach, and lists at an earlier head do not.
func TestBreachEntry(t *testing.T) {
	t.Parallel()
	b := newBed(t, origin)
	b.anchor()
	warrant := b.Warrant(b.Now + 40*people.Day)
	access := b.Access(warrant, b.Now+40*people.Day)
	b.Follow("c1", b.Sign(b.ReleaseEvent(access, "c1", []byte("notice")), "c1")) // it is signed, and never logged
	beat := b.Heartbeat("c1")
	before := b.Size()
	for range 40 {
		b.Now += people.Day
		b.anchor()
	}
	finding := b.Finding("a1", "unfulfilled", event.FindingClosed, beat.Index, beat.Index)
	b.Publish("w1", "w2", "w3")
	b.open()
	page := b.path(fmt.Sprint("entry/", beat.Index))
	b.says(page, "A breach: custodian c1 or the log never met an obligation, the releases that entry", "When it was logged, it had the effect", "a finding about entry")
	if body := b.main(page); strings.Contains(body, "It had the effect that") || !strings.Contains(body, b.path(fmt.Sprint("entry/", finding.Index))) {
		t.Errorf("it denies the breach, or has no link to the finding:\n%s", body)
	}
	if body := b.main(b.path(fmt.Sprint("entry/", finding.Index))); !strings.Contains(body, page) || !strings.Contains(body, "a finding about entry") {
		t.Errorf("the finding has no link to the breach:\n%s", body)
	}
	for query, want := range map[string][]uint64{"verdict=breach": {beat.Index}, "verdict=breach&type=heartbeat": {beat.Index}, "verdict=breach&type=warrant": nil,
		fmt.Sprint("verdict=breach&at=", before): nil} {
		if shown := b.rows(b.path("entries?" + query)); !slices.Equal(shown, want) {
			t.Errorf("%q shows %v; want %v", query, shown, want)
		}
	}
	b.says(b.path("entries?verdict=breach"), "a breach since")
	if readme, err := os.ReadFile(filepath.Join(b.unzip(page+"/evidence"), "README.txt")); err != nil || !strings.Contains(string(readme), "A breach: custodian c1 or the log never met") {
		t.Errorf("its evidence does not speak of the breach: %v\n%s", err, readme)
	}
	if said := text(b.main(fmt.Sprint(page, "?at=", before))); strings.Contains(said, "A breach:") {
		t.Errorf("it was a breach before it was shown: %s", said)
	}
}
