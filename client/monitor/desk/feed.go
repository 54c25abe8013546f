// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package desk

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vasistas/vasistas/client/monitor/facts"
	"github.com/vasistas/vasistas/internal/durable"
)

const (
	maxFeed     = 50      // changes that are kept
	maxFeedSize = 4 << 20 // bytes of the file
	lookEvery   = 2 * time.Second
	// settles is how long a verdict must stand before it is a change: a start and a slow answer of the log are
	// none. WRONG need not stand.
	settles = 15 * time.Second
)

// A Change is a change of a log's verdict. Text has the reasons in each language, as they were then.
type Change struct {
	At      time.Time           `json:"at"` // of this machine's clock
	Verdict facts.Verdict       `json:"verdict"`
	Text    map[string][]string `json:"text"`
}

// feed has the changes of one log, newest first.
type feed struct {
	file string

	mu   sync.Mutex
	list []Change

	next  facts.Verdict // seen since since; only look uses them
	since time.Time
}

func openFeed(file string) (*feed, error) {
	f := &feed{file: file}
	if file == "" {
		return f, nil
	}
	b, err := durable.ReadFile(file, maxFeedSize)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &f.list)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return f, nil
}

func (f *feed) changes() []Change {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.list
}

// Run notes changes of the first lines until ctx ends.
func (d *Desk) Run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		for _, l := range d.logs {
			if err := d.look(l); err != nil {
				d.c.Logger.Warn("the feed of the desk", "origin", l.Origin, "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look adds a change that has settled to the feed.
func (d *Desk) look(l *Log) error {
	r, now, f := l.Report(), time.Now().UTC(), l.feed
	line := r.Line(now)
	if line.Reasons[0].Code == facts.ReasonReading { // after a start
		return nil
	}
	if line.Verdict != f.next {
		f.next, f.since = line.Verdict, now
	}
	old := f.changes()
	if len(old) > 0 && old[0].Verdict == line.Verdict || line.Verdict != facts.Wrong && now.Sub(f.since) < settles {
		return nil
	}
	c := Change{At: now.Truncate(time.Second), Verdict: line.Verdict, Text: make(map[string][]string)}
	for _, lang := range langs {
		q := &Request{Lang: lang, Log: l, Now: now, desk: d}
		for _, s := range q.line(r).Reasons {
			c.Text[lang.Code] = append(c.Text[lang.Code], strings.TrimSpace(s.Text+" "+s.Detail))
		}
	}
	list := slices.Concat([]Change{c}, limit(old, maxFeed-1))
	f.mu.Lock()
	f.list = list
	f.mu.Unlock()
	if f.file == "" {
		return nil
	}
	b, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return durable.WriteFile(f.file, b, 0o644)
}

type atomLink struct {
	Rel  string `xml:"rel,attr,omitempty"`
	Href string `xml:"href,attr"`
}

type atomEntry struct {
	ID      string    `xml:"id"`
	Title   string    `xml:"title"`
	Updated time.Time `xml:"updated"`
	Link    atomLink  `xml:"link"`
	Summary string    `xml:"summary"`
}

// An atomFeed is a feed by RFC 4287.
type atomFeed struct {
	XMLName xml.Name    `xml:"http://www.w3.org/2005/Atom feed"`
	Lang    string      `xml:"xml:lang,attr"`
	ID      string      `xml:"id"`
	Title   string      `xml:"title"`
	Updated time.Time   `xml:"updated"`
	Author  string      `xml:"author>name"`
	Links   []atomLink  `xml:"link"`
	Entries []atomEntry `xml:"entry"`
}

func atom(q *Request) (*Answer, error) {
	changes := q.Log.feed.changes()
	id := "urn:vasistas:desk:" + q.Log.hash
	f := atomFeed{Lang: q.Code, ID: id, Title: q.T("feed.title", q.Log.Origin), Author: q.T("feed.author"),
		Links: []atomLink{{"self", q.Link("feed.atom")}, {"alternate", q.Link("")}}}
	for _, c := range changes {
		at := c.At.Format(time.RFC3339)
		f.Entries = append(f.Entries, atomEntry{ID: id + ":" + at, Title: q.T("verdict."+string(c.Verdict)) + ": " + clean(q.Log.Origin), Updated: c.At,
			Link: atomLink{Href: q.Link("")}, Summary: strings.Join(c.Text[q.Code], " ")})
	}
	if len(changes) > 0 {
		f.Updated = changes[0].At
	}
	b, err := xml.MarshalIndent(&f, "", " ")
	return &Answer{Type: "application/atom+xml; charset=utf-8", Body: append([]byte(xml.Header), append(b, '\n')...)}, err
}
