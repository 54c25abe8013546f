// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package desk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/monitor"
	"github.com/vasistas/vasistas/client/monitor/desk"
	"github.com/vasistas/vasistas/client/monitor/facts"
	"github.com/vasistas/vasistas/client/monitor/mirror"
	"github.com/vasistas/vasistas/internal/cosigning"
	"github.com/vasistas/vasistas/internal/world"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/round"
	"github.com/vasistas/vasistas/log/tlog"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eventually(t testing.TB, f func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	check(t, world.Await(ctx, 20*time.Millisecond, f))
}

// newLog returns a log that began some days ago.
func newLog(t testing.TB, origin string, days int64) *written.Log {
	l := written.Empty(t.TempDir(), people.New(origin, ""))
	t.Cleanup(func() { l.Report(t.Error) })
	l.Now = time.Now().Unix() - days*people.Day
	l.Charter = l.LogEvent(l.Event(l.People.Charter(nil)), "f1", "f2")
	return l
}

// now publishes a head that witnesses cosign now.
func now(l *written.Log) {
	l.Now = time.Now().Unix()
	l.Anchor(l.Checkpoint("w1", "w2", "w3"))
	l.Publish("w1", "w2", "w3")
}

// serve serves a monitor of logs with its desk. What it knows of a log is below dir, in the directory of the log's hash.
func serve(t testing.TB, dir string, edit func(*monitor.Config), logs ...*written.Log) (*desk.Monitor, *httptest.Server) {
	t.Helper()
	c := monitor.Config{Run: mirror.RunOptions{Poll: 10 * time.Millisecond, CheckEvery: time.Hour}, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
	for _, l := range logs {
		c.Mirrors = append(c.Mirrors, mirror.Config{Dir: filepath.Join(dir, cosigning.OriginHash(l.Origin), "copy"), Origin: l.Origin,
			Sources: []mirror.Source{{Name: "log", Source: client.Dir(l.Dir)}}, Policy: l.ParsePolicy(3, "w1", "w2", "w3", "w4").WithSpread(tlog.NoSpread)})
	}
	if edit != nil {
		edit(&c)
	}
	m, err := desk.Open(c, func(origin string) string { return filepath.Join(dir, cosigning.OriginHash(origin)) })
	check(t, err)
	m.Start()
	return m, httptest.NewServer(m)
}

// show serves a monitor of logs, and waits until it has read them.
func show(t testing.TB, edit func(*monitor.Config), logs ...*written.Log) (url string) {
	t.Helper()
	m, server := serve(t, t.TempDir(), edit, logs...)
	t.Cleanup(func() {
		server.Close()
		check(t, m.Close())
	})
	for _, l := range logs {
		eventually(t, func() error {
			if r := m.Report(l.Origin); r.Applied < l.Size() || r.Head == nil {
				return fmt.Errorf("%s: %d entries are read: %s", l.Origin, r.Applied, r.Failing)
			}
			return nil
		})
	}
	return server.URL
}

func get(t testing.TB, url string) (*http.Response, string) {
	t.Helper()
	resp, err := http.Get(url)
	check(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	check(t, err)
	return resp, string(b)
}

// page gets a page, which must be one, and no large one.
func page(t testing.TB, url string) string {
	t.Helper()
	resp, body := get(t, url)
	if resp.StatusCode != http.StatusOK || len(body) > 200<<10 || strings.Contains(body, "ZgotmplZ") || strings.Contains(body, "%!") {
		t.Fatalf("%s: %d, %d bytes\n%s", url, resp.StatusCode, len(body), body)
	}
	return body
}

var verdicts = map[string]map[facts.Verdict]string{
	"en": {facts.OK: "OK", facts.Late: "LATE", facts.Wrong: "WRONG", facts.Silent: "SILENT"},
	"fr": {facts.OK: "OK", facts.Late: "EN RETARD", facts.Wrong: "VIOLATION", facts.Silent: "SILENCE"},
	"de": {facts.OK: "OK", facts.Late: "VERSPÄTET", facts.Wrong: "VERSTOSS", facts.Silent: "STUMM"},
}

var pages = []string{"", "trust", "witnesses", "custodians"}

// TestVerdicts: each page in each language begins with the verdict of the log, and the first screen says why.
func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		verdict  facts.Verdict
		write    func(*written.Log)
		days     int64
		en, not  string
		overview []string
	}{
		{facts.OK, func(l *written.Log) { now(l); l.Warrant(l.Now + 20*people.Day); now(l) }, 0, "Nothing is overdue and no breach is open in the first 4 entries", "SILENT", []string{
			"This monitor has read and checked each of the first 4 entries", "A witness does not read entries", "the disclosure of what entry 2 keeps sealed", "by authority:</small> court",
			"1 entry was logged before",
			"1 disclosure is still owed.", "This is the first charter. Its leaf hash is the log’s founding hash.", ">w1 <small>"}},
		{facts.Late, func(l *written.Log) { l.Warrant(l.Now + people.Day); now(l) }, 5, "1 obligation is overdue", "SILENT", []string{
			"provider messenger owes the disclosure of what entry 1 keeps sealed since", "Log a disclosure that opens it."}},
		{facts.Wrong, func(l *written.Log) { l.LogBadly(l.WarrantEvent(l.Now+20*people.Day), "court"); now(l) }, 0, "1 breach is not closed", "SILENT", []string{"the log has broken the rule “right to sign” in entry 1"}},
		{facts.Silent, func(l *written.Log) { l.Publish("w1", "w2", "w3") }, 3, "The charter allows an age of 60 minutes.", "Nothing is overdue, and", []string{"Silence does not mean that all is well", "is 3 days old"}},
	} {
		t.Run(string(c.verdict), func(t *testing.T) {
			l := newLog(t, "log.example/verdicts", c.days)
			c.write(l)
			url := show(t, nil, l) + "/desk/" + cosigning.OriginHash(l.Origin) + "/"
			first := page(t, url+"?lang=en")
			for _, want := range append(c.overview, c.en) {
				if !strings.Contains(first, want) {
					t.Errorf("the first screen lacks %q:\n%s", want, first)
				}
			}
			if strings.Contains(first, c.not) {
				t.Errorf("the first screen has %q", c.not)
			}
			for lang, words := range verdicts {
				for _, p := range pages {
					body := page(t, url+p+"?lang="+lang)
					want := `<strong class="verdict">` + words[c.verdict] + `</strong>`
					if !strings.Contains(body, want) || !strings.Contains(body, `<html lang="`+lang+`">`) || !strings.Contains(body, "<title>"+words[c.verdict]+" ·") {
						t.Errorf("%s in %s lacks %s:\n%s", p, lang, want, body)
					}
				}
			}
		})
	}
}

// TestWasLate: what was cured is still shown, and what an amendment changed.
func TestWasLate(t *testing.T) {
	l := newLog(t, "log.example/cured", 40)
	w := l.Warrant(l.Now + people.Day)
	for range 10 {
		l.Now += people.Day
		l.Anchor(l.Checkpoint("w1", "w2", "w3"))
	}
	l.Disclose(w)
	l.Amend(func(c *event.Charter) { l.Cast(c, event.RoleAuthority, "court", "tribunal") })
	for range 29 {
		l.Now += people.Day
		l.Anchor(l.Checkpoint("w1", "w2", "w3"))
	}
	now(l)
	url := show(t, nil, l)
	body := page(t, url+"/?lang=en")
	for _, want := range []string{"Since the first entry: 1.", `<a href="/desk/` + cosigning.OriginHash(l.Origin) + `/entry/12?lang=en">entry 12, after `,
		"Added: authority tribunal, with the key " + l.KeyID("tribunal"), "Charter, version 2, entry 13"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in\n%s", want, body)
		}
	}
}

// TestPast: where auditors have closed a breach, the first line is OK, says that a rule was broken, and leads to
// the list; and the first screen says how many auditors vouch, and why another does not.
func TestPast(t *testing.T) {
	const origin = "log.example/past"
	l := newALog(t, origin, func(c *event.Charter) { c.AuditPolicy = people.New(origin, origin).Policy(1, "a1", "a2") })
	l.Now = time.Now().Unix()
	junk := l.Append([]byte("no event")).Index
	for _, a := range []string{"a1", "a2"} {
		l.Finding(a, "form", event.FindingClosed, junk, junk)
	}
	for _, c := range []string{"c1", "c2", "c3"} {
		l.Heartbeat(c)
	}
	l.publish("")
	l.round.Auditors[1] = round.Answer{Auditor: "a2", Key: l.round.Auditors[1].Key, Kind: round.Refused, Text: "its office is closed"}
	cp, err := l.People.Checkpoint(l.Head(), uint64(l.Now), "a1")
	check(t, err)
	l.round = round.New(cp, written.At(l.Now), l.round.Auditors)
	l.round.State = round.Met
	url := show(t, func(c *monitor.Config) { c.URLs = map[string]string{origin: l.url} }, l.Log) + "/desk/" + cosigning.OriginHash(l.Origin) + "/"
	for lang, words := range map[string][]string{
		"en": {"1 rule was broken and never cured. 2 of 2 auditors have closed the breach.", "1 of 2 auditors vouches for the first", "Auditor a2: declines to cosign."},
		"fr": {"1 règle a été enfreinte sans remède.", "1 auditeur sur 2 se porte garant", "a2"},
		"de": {"1 Regel wurde verletzt, ohne dass es behoben wurde.", "1 von 2 Prüfern steht", "a2"},
	} {
		eventually(t, func() error {
			body := page(t, url+"?lang="+lang)
			_, line, _ := strings.Cut(body, `<section class="line OK"`)
			line, rest, _ := strings.Cut(line, "</section>")
			link := `<a href="/desk/` + cosigning.OriginHash(l.Origin) + "/breaches?lang=" + lang + `">` + words[0]
			if !strings.Contains(line, link) || !strings.Contains(line, words[1]) || !strings.Contains(rest, words[1]) || !strings.Contains(rest, words[2]) {
				return fmt.Errorf("in %s: %s", lang, body)
			}
			return nil
		})
	}
}

// TestIndexFails: without its index a monitor still says how its log is, and that lists lack something.
func TestIndexFails(t *testing.T) {
	l := newLog(t, "log.example/index", 0)
	now(l)
	url := show(t, func(c *monitor.Config) {
		check(t, os.MkdirAll(filepath.Join(filepath.Dir(c.Mirrors[0].Dir), "index.db", "taken"), 0o700))
	}, l)
	l.Warrant(l.Now + 20*people.Day)
	now(l)
	eventually(t, func() error {
		body := page(t, url+"/?lang=en")
		for _, want := range []string{">OK</strong>", "in the first 4 entries", "The lists behind this page are not complete."} {
			if !strings.Contains(body, want) {
				return fmt.Errorf("no %q in\n%s", want, body)
			}
		}
		return nil
	})
}

// TestFrame: headers, methods, languages, and the addresses that are not the desk's.
func TestFrame(t *testing.T) {
	l := newLog(t, "log.example/frame", 0)
	now(l)
	url := show(t, nil, l)
	base := "/desk/" + cosigning.OriginHash(l.Origin) + "/"
	for _, c := range []struct {
		method, path string
		status       int
		kind         string
	}{
		{"GET", "/", 200, "text/html; charset=utf-8"}, {"HEAD", "/", 200, "text/html; charset=utf-8"}, {"GET", base, 200, "text/html; charset=utf-8"}, {"GET", base + "feed.atom", 200, "application/atom+xml; charset=utf-8"},
		{"GET", "/desk/static/desk.css", 200, "text/css; charset=utf-8"}, {"GET", "/desk/static/none.css", 404, ""}, {"GET", base + "none", 404, "text/html; charset=utf-8"}, {"GET", "/desk/00/", 404, "text/html; charset=utf-8"},
		{"POST", "/", 405, "text/html; charset=utf-8"}, {"PUT", base, 405, "text/html; charset=utf-8"}, {"DELETE", base + "trust", 405, ""}, {"POST", "/desk/static/desk.css", 405, ""},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, url+c.path, strings.NewReader(""))
		check(t, err)
		resp, err := http.DefaultTransport.RoundTrip(req)
		check(t, err)
		body, err := io.ReadAll(resp.Body)
		check(t, err)
		check(t, resp.Body.Close())
		h := resp.Header
		if resp.StatusCode != c.status || c.kind != "" && h.Get("Content-Type") != c.kind || c.method == "HEAD" && (len(body) > 0 || resp.ContentLength < 1000) {
			t.Errorf("%s %s: %d, %v, %d bytes", c.method, c.path, resp.StatusCode, h, len(body))
		}
		if h.Get("Content-Security-Policy") != "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'" ||
			h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" || h.Get("Set-Cookie") != "" || c.status == 405 && h.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s %s: %v", c.method, c.path, h)
		}
	}
	// The monitor's own paths are as they were.
	for path, want := range map[string]string{"/healthz": "ok", "/status": `"verdict":"OK"`, "/" + cosigning.OriginHash(l.Origin) + "/checkpoint": l.Origin} {
		if resp, body := get(t, url+path); resp.StatusCode != 200 || !strings.Contains(body, want) || resp.Header.Get("Content-Security-Policy") != "" {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
	body := page(t, url+"/?lang=fr")
	for _, m := range regexp.MustCompile(`(?:href|src)="([^"]*)"`).FindAllStringSubmatch(body, -1) {
		if !strings.HasPrefix(m[1], "/") && !strings.HasPrefix(m[1], "#") && m[1] != "data:," {
			t.Errorf("the page refers to %s", m[1])
		}
	}
}

// TestTwoLogs: the first page lists all logs, each with a first line of its own, and each has its pages.
func TestTwoLogs(t *testing.T) {
	one, two := newLog(t, "log.example/one", 0), newLog(t, "log.example/two", 3)
	now(one)
	two.Publish("w1", "w2", "w3")
	url := show(t, func(c *monitor.Config) { c.Unpinned = func(origin string) bool { return origin == two.Origin } }, one, two)
	all := page(t, url+"/?lang=en") // the worst comes first
	a, b, ok := strings.Cut(all, one.Origin)
	if !ok || !strings.Contains(a, two.Origin) || !strings.Contains(a, ">OK</strong>") || !strings.Contains(a, ">SILENT</strong>") || !strings.Contains(a, "Not pinned.") || strings.Contains(b, "Not pinned.") {
		t.Errorf("all logs:\n%s", all)
	}
	for l, unpinned := range map[*written.Log]bool{one: false, two: true} {
		for _, p := range pages {
			body := page(t, url+"/desk/"+cosigning.OriginHash(l.Origin)+"/"+p+"?lang=en")
			if strings.Contains(body, "Not pinned.") != unpinned || unpinned && !strings.Contains(html.UnescapeString(body), "Founding hash: <code>"+l.Charter.Leaf.String()) || !strings.Contains(body, `href="/?lang=en"`) {
				t.Errorf("%s of %s:\n%s", p, l.Origin, body)
			}
		}
	}
}

// TestCompressed: who takes gzip gets the same page.
func TestCompressed(t *testing.T) {
	l := newLog(t, "log.example/gzip", 0)
	now(l)
	url := show(t, nil, l)
	resp, body := get(t, url+"/desk/static/pico.classless.min.css") // the client decompresses it
	if !resp.Uncompressed || !bytes.Contains([]byte(body), []byte("--pico-")) {
		t.Errorf("%v, %d bytes", resp.Header, len(body))
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", url+"/desk/static/pico.classless.min.css", nil)
	check(t, err)
	for _, refuses := range []string{"identity", "gzip;q=0", "br, gzip ; q=0.0", ""} {
		req.Header.Set("Accept-Encoding", refuses)
		plain, err := http.DefaultTransport.RoundTrip(req)
		check(t, err)
		b, err := io.ReadAll(plain.Body)
		check(t, errors.Join(err, plain.Body.Close()))
		if plain.Header.Get("Content-Encoding") != "" || string(b) != body {
			t.Errorf("%q: %v, %d bytes, and %d compressed", refuses, plain.Header, len(b), len(body))
		}
	}
}
