// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package desk_test

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client/monitor/desk"
	"github.com/vasistas/vasistas/internal/cosigning"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/event"
)

// bed is a log that the test writes, and a monitor with its desk that copies it.
type bed struct {
	*written.Log
	t      testing.TB
	dir    string // of the monitor
	state  string // of the log, in dir
	desk   *desk.Monitor
	server *httptest.Server
}

// newBed returns the bed of a log with only its charter.
func newBed(t testing.TB, origin string) *bed {
	p := people.New(origin, "")
	b := &bed{Log: written.Empty(t.TempDir(), p), t: t, dir: t.TempDir()}
	b.state = filepath.Join(b.dir, cosigning.OriginHash(origin))
	t.Cleanup(func() { b.Report(t.Error) })
	b.Charter = b.LogEvent(b.Event(p.Charter(func(c *event.Charter) {
		p.Forms(c)
		c.Profile.Emergency = people.LongProfile().Emergency
		c.Profile.Categories = []string{"content", "subscriber", "traffic"}
	})), "f1", "f2")
	t.Cleanup(b.close)
	return b
}

// open starts the monitor, and waits until it shows the published head.
func (b *bed) open() {
	b.t.Helper()
	b.desk, b.server = serve(b.t, b.dir, nil, b.Log)
	b.await()
}

func (b *bed) close() {
	if b.desk == nil {
		return
	}
	b.server.Close()
	if err := b.desk.Close(); err != nil {
		b.t.Errorf("closing the monitor: %v", err)
	}
	b.desk = nil
}

// publish publishes a head, which shows to a monitor that runs.
func (b *bed) publish() {
	b.t.Helper()
	b.Publish("w1", "w2", "w3")
	if b.desk != nil {
		b.await()
	}
}

func (b *bed) await() {
	b.t.Helper()
	at := fmt.Sprintf("at=%d\"", b.Size())
	eventually(b.t, func() error {
		status, page := b.try(b.path("entries"))
		if status == http.StatusOK && strings.Contains(page, at) {
			return nil
		}
		return fmt.Errorf("%d: the page has no %s; %s", status, at, b.desk.Report(b.Origin).Failing)
	})
}

// path returns the path of a page about the log.
func (b *bed) path(page string) string {
	return "/desk/" + cosigning.OriginHash(b.Origin) + "/" + page
}

func (b *bed) try(path string) (status int, body string) {
	resp, err := http.Get(b.server.URL + path)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(text)
}

// get returns a page that must be there.
func (b *bed) get(path string) string {
	b.t.Helper()
	status, body := b.try(path)
	if status != http.StatusOK {
		b.t.Fatalf("%s: %d\n%s", path, status, body)
	}
	return body
}

// main returns what a page says, without the frame.
func (b *bed) main(path string) string {
	b.t.Helper()
	_, rest, ok := strings.Cut(b.get(path), `<main id="main">`)
	said, _, closed := strings.Cut(rest, "</main>")
	if !ok || !closed {
		b.t.Fatalf("%s has no main part", path)
	}
	return said
}

var (
	tags  = regexp.MustCompile(`<[^>]*>`)
	white = regexp.MustCompile(`\s+`)
)

// text returns a page as a reader sees it.
func text(page string) string {
	return strings.TrimSpace(white.ReplaceAllString(html.UnescapeString(tags.ReplaceAllString(page, " ")), " "))
}

// says fails unless a page has these sentences.
func (b *bed) says(path string, sentences ...string) {
	b.t.Helper()
	said := text(b.main(path))
	for _, s := range sentences {
		if !strings.Contains(said, s) {
			b.t.Errorf("%s does not say %q:\n%s", path, s, said)
		}
	}
}

// anchor logs the present head, an hour later.
func (b *bed) anchor() *written.Logged {
	a := b.Anchor(b.Checkpoint("w1", "w2", "w3"))
	b.Now += people.Hour
	return a
}

// tale has the events of story by what they are.
type tale map[string]*written.Logged

// story logs an event of each type and kind, some late and some against the rules, in three months.
func (b *bed) story() tale {
	b.t.Helper()
	s := tale{"charter": b.Charter}
	log := func(body event.Body, by ...string) *written.Logged { return b.LogEvent(b.Event(body), by...) }
	b.anchor()
	s["warrant"] = b.Warrant(b.Now + 10*people.Day)
	s["access"] = b.Access(s["warrant"], b.Now+10*people.Day)
	s["release"] = b.Release(s["access"], "c1")
	s["refusal"] = log(&event.Refusal{Access: s["access"].Reference, Reason: "ended"}, "c3")
	s["suspended"] = b.Revoke(s["warrant"], event.ScopeSuspended)
	s["resumed"] = b.Resume(s["suspended"])
	b.anchor()
	b.Now += 20 * people.Day
	b.anchor() // the disclosures are late
	s["disclosure"] = b.Disclose(s["warrant"])
	s["notices"] = b.Disclose(s["access"], s["release"])
	s["return"] = b.Return(s["warrant"])
	s["order"] = b.order("content", "traffic")
	s["in-part"] = b.Revoke(s["order"], event.ScopeCategories, "traffic")
	s["partial"] = b.Respond(s["order"], event.Partial, "content")
	s["unable"] = b.Respond(b.order("content"), event.Unable)
	s["refused"] = b.Respond(b.order("content"), event.Refused)
	s["not"] = log(&event.Return{Warrant: s["order"].Reference}, "messenger")
	s["deferral"] = b.deferral(s["order"], 60)
	s["denied"] = b.denied()
	b.anchor()
	b.Now += 15 * people.Day
	b.anchor()
	for _, c := range []string{"c1", "c2", "c3"} {
		s["heartbeat "+c] = b.Heartbeat(c)
	}
	s["emergency"] = b.Access(nil, b.Now+20*people.Day)
	s["all"] = b.Revoke(s["order"], event.ScopeAll)
	s["junk"] = &written.Logged{Reference: b.Append([]byte("<script>alert(1)</script>\n=1+1"))}
	s["bad"] = b.LogBadly(b.WarrantEvent(b.Now+people.Day), "court")
	s["open"] = b.Finding("a1", "form", event.FindingOpen, s["junk"].Index, s["junk"].Index)
	s["closed"] = b.Finding("a2", "form", event.FindingClosed, s["junk"].Index, s["junk"].Index)
	s["amended"] = b.Amend(nil)
	s["anchor"] = b.anchor()
	b.Publish("w1", "w2", "w3")
	return s
}

// order logs a warrant for categories of data.
func (b *bed) order(categories ...string) *written.Logged {
	body := b.WarrantBody()
	body.Instrument, body.Categories, body.Decision = "order", categories, event.Modified
	return b.seal(body, b.Now+25*people.Day, "court")
}

func (b *bed) denied() *written.Logged {
	body := b.WarrantBody()
	body.Decision, body.Accesses, body.Accounts, body.NotBefore, body.NotAfter = event.Denied, 0, 0, time.Time{}, time.Time{}
	return b.seal(body, b.Now+25*people.Day, "court")
}

func (b *bed) deferral(of *written.Logged, days int64) *written.Logged {
	return b.seal(&event.Deferral{Event: of.Reference, Ground: "investigation", Ordinal: 1, Until: written.At(b.Now + days*people.Day)}, b.Now+25*people.Day, "court")
}

// seal logs an event with what its type seals.
func (b *bed) seal(body event.Body, until int64, by ...string) *written.Logged {
	e := b.Event(body)
	public := b.Seal(e, until)
	out := b.LogEvent(e, by...)
	out.Public = public
	return out
}
