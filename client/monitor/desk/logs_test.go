// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package desk_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client/monitor/facts"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/round"
)

// Markup that a log writes wherever it can, and a name as long as names get.
const (
	markup = `<img/src=x/onerror=console.error(1)></script><script>console.error(2)</script>`
	long   = "a-name-as-long-as-a-name-can-be-in-any-charter-of-any-log-64-abc"
)

// aLog is one that a test has written, of the last hundred days, and serves.
type aLog struct {
	*written.Log
	url   string
	round *round.Round // of its auditors
}

// newALog serves a log of an origin that has had its charter for a hundred days.
func newALog(t testing.TB, origin string, edit func(*event.Charter)) *aLog {
	l := &aLog{Log: written.Empty(t.TempDir(), people.New(origin, origin))}
	t.Cleanup(func() { l.Report(t.Error) })
	l.Now = time.Now().Unix() - 100*people.Day
	l.Charter = l.LogEvent(l.Event(l.People.Charter(func(c *event.Charter) {
		c.Profile = people.LongProfile()
		l.Forms(c)
		c.Profile.Offences = []string{"fraud", "homicide", "kidnapping", "narcotics"}
		c.Profile.Anchor.Within = 100 * people.Day
		if edit != nil {
			edit(c)
		}
	})), "f1", "f2")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/audit/round":
			w.Write(l.round.Bytes())
		case "/audit/checkpoint":
			fmt.Fprint(w, l.round.Checkpoint)
		default:
			http.FileServer(http.Dir(l.Dir)).ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	l.url = server.URL
	return l
}

// live logs cases until a time: warrants of two courts and four offences, some refused, with accesses,
// releases, responses, and disclosures 20 days later. One is late and cured, one deferred.
func (l *aLog) live(until int64) {
	type one struct {
		warrant, access *written.Logged
		releases        []*written.Logged
		due             int64
	}
	var open []*one
	offences := l.Charter.Envelope.Event.Body.(*event.Charter).Profile.Offences
	for n := 0; l.Now < until; n++ {
		for len(open) > 0 && open[0].due <= l.Now {
			if open[0].access != nil {
				l.Disclose(open[0].access, open[0].releases...)
			}
			if w := open[0].warrant; w.Envelope.Event.Body.(*event.Warrant).Decision != event.Denied {
				l.Return(w)
			}
			l.Disclose(open[0].warrant)
			open = open[1:]
		}
		body := l.WarrantBody()
		body.Offence = offences[n*n%len(offences)]
		body.Accounts, body.Accesses = uint64(1+n%3), 1
		if n%4 == 3 {
			body.Instrument, body.Categories = "order", []string{"content", "traffic"}
		}
		if n%7 == 6 {
			body.Decision, body.Accounts, body.Accesses, body.NotBefore, body.NotAfter = event.Denied, 0, 0, time.Time{}, time.Time{}
		}
		due := l.Now + 20*people.Day
		e := l.Event(body)
		public := l.Seal(e, due)
		w := l.LogEvent(e, "court")
		w.Public = public
		c := &one{warrant: w, due: due}
		if body.Decision != event.Denied {
			if n%5 == 4 {
				l.Respond(w, event.Refused)
			} else if n%3 != 2 {
				c.access = l.Access(w, due)
				l.See()
				c.releases = append(c.releases, l.Release(c.access, "c1"), l.Release(c.access, fmt.Sprintf("c%d", 2+n%2)))
			}
		}
		if open = append(open, c); n == 12 {
			c.due += 40 * people.Hour // it will be late
		}
		l.Anchor(l.Checkpoint("w1", "w2", "w3"))
		if n%8 == 7 {
			for i := range 3 {
				l.Heartbeat(fmt.Sprintf("c%d", i+1))
			}
		}
		l.Now += 40 * people.Hour
	}
	l.Now = until
}

// publish ends the log with a head, which its auditors have answered with a text: "" if they cosign it.
func (l *aLog) publish(text string) {
	l.Anchor(l.Checkpoint("w1", "w2", "w3"))
	cp := l.Publish("w1", "w2", "w3")
	at := written.At(l.Now)
	var answers []round.Answer
	for _, a := range []string{"a1", "a2"} {
		one := round.Answer{Auditor: a, Key: l.Witness(a).Verifier().String(), Kind: round.Cosigned, Time: &at}
		if text != "" {
			one.Kind, one.Time, one.Text = round.Refused, nil, round.Quote(text)
		}
		answers = append(answers, one)
	}
	if text == "" {
		audited, err := l.People.Checkpoint(l.Head(), uint64(l.Now), "a1", "a2")
		l.Fail(err)
		cp = audited
	}
	l.round = round.New(cp, at, answers)
	l.round.State = round.Met
}

// fourLogs returns logs whose first lines are OK, LATE, WRONG and SILENT. The one that is WRONG has markup and
// long names wherever a log can have any.
func fourLogs(t testing.TB) map[facts.Verdict]*aLog {
	now := time.Now().Unix()
	ok := newALog(t, "log.example/ok", nil)
	ok.live(now - people.Day)
	ok.Amend(func(c *event.Charter) { c.Profile.Offences = append(c.Profile.Offences, "smuggling") })
	ok.Now = now
	ok.publish("")

	late := newALog(t, "log.example/late", nil)
	late.live(now - 50*people.Day)
	late.Now = now
	late.publish("")

	wrong := newALog(t, "log.example/"+markup, func(c *event.Charter) {
		c.Profile.Offences = []string{long}
	})
	wrong.live(now - 2*people.Day)
	wrong.Append([]byte(markup))
	wrong.Append([]byte(`{"payload":"` + markup + `"}`))
	wrong.LogBadly(wrong.WarrantEvent(wrong.Now+people.Day), "court")
	wrong.Now = now
	wrong.publish(markup)

	silent := newALog(t, "log.example/silent", nil)
	silent.live(now - 3*people.Day)
	silent.publish("the server is down")
	return map[facts.Verdict]*aLog{facts.OK: ok, facts.Late: late, facts.Wrong: wrong, facts.Silent: silent}
}
