// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package desk shows people what a monitor knows of its logs: pages in plain words, in English, French
// and German, without JavaScript.
//
// A [Desk] promises its reader that the first line of each page about a log is that of [facts.Report.Line], so
// that silence is never shown as fine, and that nothing on a page was loaded from elsewhere. It promises its
// operator that a visitor changes nothing: it answers GET and HEAD, and each list, page and cache is bounded.
// It trusts the facts and the index of its monitor. Strings of a log may be anything: they reach a page only
// through html/template, with what does not print replaced.
//
// # Paths
//
// /desk/HASH/ has the first screen of a log, where HASH is the SHA-256 of its origin in hex, and / that of the
// only log, or the list of all. Each page takes ?lang=fr, and those made of the index ?at=SIZE, which fixes a
// page to what the log said at the head of this size. The other pages show only the present, and refuse ?at=.
package desk

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/vasistas/vasistas/client/monitor"
	"github.com/vasistas/vasistas/client/monitor/facts"
	"github.com/vasistas/vasistas/client/monitor/index"
	"github.com/vasistas/vasistas/client/monitor/mirror"
	"github.com/vasistas/vasistas/internal/cosigning"
	"github.com/vasistas/vasistas/internal/durable"
)

// Config names the logs of a desk.
type Config struct {
	Logs   []Log
	Logger *slog.Logger // nil: none
}

// Log is what the desk needs to know about a log.
type Log struct {
	Origin string
	// Report returns the facts at the newest head that was read. Required.
	Report func() *facts.Report
	// Index answers for lists, and for what the log said at an earlier head. Required.
	Index *index.Index
	// Copy has the entries and the head. nil: no page of an entry.
	Copy *mirror.Mirror
	// Feed is the file that keeps the changes of the first line over restarts. "": they are kept in memory.
	Feed string

	hash string
	feed *feed
}

// Hash returns the name of the log in paths.
func (l *Log) Hash() string { return l.hash }

// Bounds of what visitors cost.
const (
	maxCached = 256 // pages in memory
	maxMaking = 16  // pages of the index, and parts of downloads, being made
)

// Desk is an http.Handler. It is safe for concurrent use.
type Desk struct {
	c      Config
	logs   []*Log
	pages  map[string]*template.Template
	cache  *lru.Cache[string, *cached]
	making chan struct{}
	unread atomic.Int64 // bytes of answers that are being sent
}

// A page is made for a request. The error is an [httpError], or else the fault of this machine.
type page func(*Request) (*Answer, error)

// routes are the pages about one log, by what follows /desk/HASH/. A * stands for one part of a path, which
// [Request.Arg] has.
var routes = map[string]page{
	"":           first,
	"trust":      trust,
	"witnesses":  witnesses,
	"custodians": custodians,
	"feed.atom":  atom,

	"custodians/*":     ofIndex("custodian", custodianChain),
	"entries":          listed("entries", entryListing),
	"entries.csv":      exported("entries", entryListing),
	"entry/*":          ofIndex("entry", entryOf),
	"entry/*/evidence": evidence,
	"duties":           listed("duties", dutyListing),
	"duties.csv":       exported("duties", dutyListing),
	"breaches":         listed("breaches", breachListing),
	"breaches.csv":     exported("breaches", breachListing),
	"timeline":         ofIndex("timeline", timeline),
	"charts":           ofIndex("charts", charts),
}

// New returns the desk of logs with different origins.
func New(c Config) (_ *Desk, err error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	d := &Desk{c: c, making: make(chan struct{}, maxMaking)}
	for _, l := range c.Logs {
		l.hash = cosigning.OriginHash(l.Origin)
		if d.log(l.hash) != nil {
			return nil, fmt.Errorf("two logs have the origin %q", l.Origin)
		}
		if l.feed, err = openFeed(l.Feed); err != nil { // no reason to audit nothing
			c.Logger.Warn("the feed of the desk begins again", "origin", l.Origin, "err", err)
			l.feed = &feed{file: l.Feed}
		}
		d.logs = append(d.logs, &l)
	}
	if d.pages, err = parseTemplates(); err != nil {
		return nil, err
	}
	d.cache, err = lru.New[string, *cached](maxCached)
	return d, err
}

func (d *Desk) log(hash string) *Log {
	if i := slices.IndexFunc(d.logs, func(l *Log) bool { return l.hash == hash }); i >= 0 {
		return d.logs[i]
	}
	return nil
}

// Serves reports whether a path is the desk's.
func Serves(path string) bool {
	return path == "/" || path == "/desk" || strings.HasPrefix(path, "/desk/")
}

// ServeHTTP serves what the package comment lists.
func (d *Desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	q := &Request{HTTP: known(r), Now: time.Now().UTC(), desk: d, Lang: choose(r)}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		d.fail(w, q, &httpError{http.StatusMethodNotAllowed, "error.method"})
		return
	}
	if name, ok := strings.CutPrefix(r.URL.Path, "/desk/static/"); ok {
		d.serveStatic(w, r, name)
		return
	}
	make, err := d.route(q)
	if err == nil && q.present && q.Get("at") != "" {
		err = errPresent
	}
	if err != nil {
		d.fail(w, q, err)
		return
	}
	d.answer(w, q, make)
}

func (d *Desk) route(q *Request) (page, error) {
	path := q.HTTP.URL.Path
	if path == "/" || path == "/desk" || path == "/desk/" {
		q.present = true
		if len(d.logs) == 1 {
			q.Log = d.logs[0]
			return first, nil
		}
		return all, nil
	}
	hash, rest, _ := strings.Cut(strings.TrimPrefix(path, "/desk/"), "/")
	if q.Log = d.log(hash); q.Log == nil {
		return nil, errNotFound
	}
	for pattern, make := range routes {
		if q.match(pattern, rest) {
			q.present = present[pattern]
			return make, nil
		}
	}
	return nil, errNotFound
}

// A Monitor is a monitor with the desk of its logs.
type Monitor struct {
	*monitor.Monitor
	Desk    *Desk
	indexes map[string]*index.Index // by origin
	stop    context.CancelFunc
	running sync.WaitGroup
}

// Open opens a monitor, an index of each log, and the desk. dir returns the directory of a log's state, which
// Open creates, for the index and the feed. Config.Tell is Open's.
func Open(c monitor.Config, dir func(origin string) string) (_ *Monitor, err error) {
	m := &Monitor{indexes: make(map[string]*index.Index)}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.Close())
		}
	}()
	var origins []string
	for _, a := range c.Auditors {
		origins = append(origins, a.Origin)
	}
	for _, a := range c.Mirrors {
		origins = append(origins, a.Origin)
	}
	c.Tell = func(origin string, f *facts.Fact) error { return m.indexes[origin].Tell(f) }
	if m.Monitor, err = monitor.Open(c); err != nil { // first, since the copies are locked for one monitor
		return nil, err
	}
	for _, origin := range origins {
		if err := durable.MkdirAll(dir(origin), 0o700); err != nil {
			return nil, err
		}
		x, err := index.Open(index.Config{Path: filepath.Join(dir(origin), "index.db"), Origin: origin, Logger: c.Logger})
		if err != nil {
			return nil, fmt.Errorf("the index of the log %s: %w", origin, err)
		}
		m.indexes[origin] = x
	}
	var logs []Log
	for _, origin := range origins {
		logs = append(logs, Log{Origin: origin, Report: func() *facts.Report { return m.Report(origin) }, Index: m.indexes[origin],
			Copy: m.Copy(origin), Feed: filepath.Join(dir(origin), "changes.json")})
	}
	m.Desk, err = New(Config{Logs: logs, Logger: c.Logger})
	return m, err
}

// Start follows the logs in the background, until Close.
func (m *Monitor) Start() {
	var ctx context.Context
	ctx, m.stop = context.WithCancel(context.Background())
	m.Monitor.Start()
	m.running.Go(func() { m.Desk.Run(ctx) })
}

// Close ends the monitor. Call it once no request is under way.
func (m *Monitor) Close() (err error) {
	if m.stop != nil {
		m.stop()
	}
	m.running.Wait()
	if m.Monitor != nil {
		err = m.Monitor.Close()
	}
	for _, x := range m.indexes {
		err = errors.Join(err, x.Close())
	}
	return err
}

// ServeHTTP serves the desk, and else what the monitor serves.
func (m *Monitor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if Serves(r.URL.Path) {
		m.Desk.ServeHTTP(w, r)
		return
	}
	m.Monitor.ServeHTTP(w, r)
}
