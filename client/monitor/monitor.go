// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package monitor copies, audits and serves the logs that a watchdog has joined.
//
// It keeps a full verified copy of each log on disk (package mirror), follows the log, and checks
// a share of the copy from time to time. It serves each copy as C2SP tlog-tiles under
// /HASH/, where HASH is the SHA-256 of the log's origin in lower-case hex, as in the monitoring
// prefix of C2SP tlog-mirror. A log for which the watchdog has cosigning keys is also audited
// (package auditor); the copy's checkpoint then has the auditor's cosignature, if the auditor has
// cosigned that head.
//
// It replays each copy, from its first entry on after a start and while it copies new entries, and
// keeps what a watchdog shows of the log (package facts). A new head counts once the copy is durable.
// /status has the facts of each log.
//
// Logs do not wait for each other: each has goroutines, connections, time limits and memory of its
// own, whatever its server answers. A copy is served also while its log is down.
//
// It trusts its disk as package durable does. It trusts no log, no mirror, and no reader.
package monitor

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/monitor/auditor"
	"github.com/vasistas/vasistas/client/monitor/facts"
	"github.com/vasistas/vasistas/client/monitor/mirror"
	"github.com/vasistas/vasistas/client/replica"
	"github.com/vasistas/vasistas/internal/cosigning"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/metrics"
	"github.com/vasistas/vasistas/internal/problem"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// Config names the logs of a monitor, each with an origin of its own.
type Config struct {
	// Auditors are the configurations of the audited logs, and Mirrors those of logs that are only
	// copied, with their origins.
	Auditors []auditor.Config
	Mirrors  []mirror.Config
	// Run says how the copies of Mirrors are kept. Its Failed is not used.
	Run mirror.RunOptions
	// URLs of the logs of Mirrors, by origin, where their auditors' answers are read. A log without
	// a URL is not asked.
	URLs map[string]string
	// Founded are the leaf hashes of the logs' first charters, by origin. A log with another entry 0
	// is not read; without a hash any charter is the first.
	Founded map[string]tlog.Hash
	// Unpinned reports whether the first charter of a log is the log's own word, which its operator
	// has not compared with the founders'. It is asked for each report. nil: no log's is.
	Unpinned func(origin string) bool
	// Tell is called with each fact of a log, in the log's order, from the first entry on after each
	// Start, and again from there after an error, which fails nothing else. While nothing is new it is
	// called with the last head again. Logs call it at the same time. nil: not.
	Tell func(origin string, f *facts.Fact) error
	// Metrics are those of each configuration in Auditors. nil: [Monitor.MetricsText] has none of
	// the auditors'.
	Metrics *auditor.Metrics
	Logger  *slog.Logger // nil: none
}

// page is an answer that strangers may ask for, which costs much more than to ask. It is made at
// most once a second for one state, by one request, and the others wait for that one.
type page struct {
	mu    sync.Mutex
	state string
	at    time.Time
	body  []byte
}

func (p *page) get(state string, body func() []byte) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.body == nil || p.state != state || time.Since(p.at) >= time.Second {
		p.state, p.body, p.at = state, body(), time.Now()
	}
	return p.body
}

// Monitor is an open monitor. It is safe for concurrent use.
type Monitor struct {
	c        Config
	auditors []*auditor.Auditor
	copied   []*copied // of Config.Mirrors
	audits   http.Handler
	copies   map[string]http.Handler // by the hash of the origin
	watches  map[string]*watch       // by origin
	reading  chan struct{}           // files of copies that are being served
	shown    page                    // /status
	own      ownMetrics

	stop context.CancelFunc
	done sync.WaitGroup
}

// copied is the copy of a log that is not audited.
type copied struct {
	origin, dir string
	*mirror.Mirror
}

// maxReading bounds the files of copies in memory at a time: each has up to 16 MiB.
const maxReading = 32

// Open opens all copies and auditors' states, which [auditor.Create] has made. It reads from no log.
func Open(c Config) (_ *Monitor, err error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Unpinned == nil {
		c.Unpinned = func(string) bool { return false }
	}
	m := &Monitor{c: c, copies: make(map[string]http.Handler), watches: make(map[string]*watch), reading: make(chan struct{}, maxReading)}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.Close())
		}
	}()
	m.own.init()
	for _, ac := range c.Auditors {
		ac.Replayed = func(ctx context.Context, from, to uint64) *replica.Replayed {
			return m.watches[ac.Origin].replayed(ctx, from, to)
		}
		a, err := auditor.Open(ac)
		if err != nil {
			return nil, fmt.Errorf("the log %s: %w", ac.Origin, err)
		}
		m.auditors = append(m.auditors, a)
		if err := m.serve(ac.Origin, a.Copy()); err != nil {
			return nil, err
		}
		m.watch(ac.Origin, a.Copy(), client.Config{URL: ac.URL, HTTPClient: ac.HTTPClient, Timeout: ac.Timeout}, ac.Poll, a.KeepFork, a.Forked)
	}
	for _, mc := range c.Mirrors {
		mc.Warn = func(err error) { c.Logger.Warn("the copy of the log", "origin", mc.Origin, "err", err) }
		one, err := mirror.Open(mc)
		if err != nil {
			return nil, fmt.Errorf("the log %s: %w", mc.Origin, err)
		}
		c := &copied{mc.Origin, mc.Dir, one}
		m.copied = append(m.copied, c)
		if err := m.serve(mc.Origin, one); err != nil {
			return nil, err
		}
		m.watch(mc.Origin, one, client.Config{URL: m.c.URLs[mc.Origin], Timeout: mc.Timeout}, m.c.Run.Poll, func(f *client.ForkError) { m.keepFork(c, f) }, c.forked)
	}
	m.audits = auditor.Handler(m.auditors...)
	return m, nil
}

// serve serves a copy under the hash of its log's origin.
func (m *Monitor) serve(origin string, from *mirror.Mirror) error {
	hash := cosigning.OriginHash(origin)
	if origin == "" || m.copies[hash] != nil {
		return fmt.Errorf("the origin %q is empty or that of two logs", origin)
	}
	m.copies[hash] = http.StripPrefix("/"+hash, from.Handler())
	return nil
}

// Start follows the logs in the background, until Close.
func (m *Monitor) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	m.stop = cancel
	for _, a := range m.auditors {
		a.Start()
	}
	for _, one := range m.copied {
		o := m.c.Run
		o.Failed = func(err error) { m.failed(one, err) }
		m.done.Go(func() { one.Run(ctx, o) })
	}
	for _, w := range m.watches {
		m.done.Go(func() { w.run(ctx) })
	}
}

// failed logs the outcome of an update or check, and keeps the evidence of a fork.
func (m *Monitor) failed(one *copied, err error) {
	fork, forked := errors.AsType[*client.ForkError](err)
	switch {
	case forked:
		m.keepFork(one, fork)
	case err != nil:
		m.c.Logger.Warn("copying the log", "origin", one.origin, "err", err)
	default:
		m.c.Logger.Info("copying the log works again", "origin", one.origin)
	}
}

// keepFork keeps the evidence of the first fork.
func (m *Monitor) keepFork(one *copied, fork *client.ForkError) {
	if one.forked() {
		return
	}
	m.c.Logger.Error("the log contradicts itself", "origin", one.origin, "evidence", string(fork.Bytes()), "err", fork)
	if err := durable.CreateFile(one.evidence(), fork.Bytes(), 0o644); err != nil && !errors.Is(err, fs.ErrExist) {
		m.c.Logger.Warn("the evidence is not written", "origin", one.origin, "err", err)
	}
}

// Close ends the monitor. Call it once no request is under way.
func (m *Monitor) Close() (err error) {
	if m.stop != nil {
		m.stop()
	}
	m.done.Wait()
	for _, a := range m.auditors {
		err = errors.Join(err, a.Close())
	}
	for _, one := range m.copied {
		err = errors.Join(err, one.Close())
	}
	return err
}

// Status is the state of a log: of its copy and its auditor, and what the log says.
type Status struct {
	auditor.Status
	Line  facts.Line    `json:"line"`
	Facts *facts.Report `json:"facts"`
}

// Status returns the state of each log: audited ones first.
func (m *Monitor) Status() []*Status {
	list := []*Status{} // not nil: JSON
	for _, s := range m.states() {
		r := m.watches[s.Origin].Report()
		list = append(list, &Status{*s, r.Line(time.Now()), r})
	}
	return list
}

// Report returns the facts of a followed log.
func (m *Monitor) Report(origin string) *facts.Report { return m.watches[origin].Report() }

// Copy returns the copy of a followed log.
func (m *Monitor) Copy(origin string) *mirror.Mirror { return m.watches[origin].copy }

// states returns the state of each log without what the log says, in the order of Status.
func (m *Monitor) states() []*auditor.Status {
	list := make([]*auditor.Status, len(m.auditors))
	var asked sync.WaitGroup // an auditor that catches up answers after a while
	for i, a := range m.auditors {
		asked.Go(func() { list[i] = a.Status() })
	}
	asked.Wait()
	for _, one := range m.copied {
		list = append(list, one.status())
	}
	return list
}

func (m *Monitor) statusText() []byte {
	b, err := json.Marshal(m.Status())
	if err != nil {
		panic(err) // strings, numbers and times
	}
	return append(b, '\n')
}

// state has the heads of the copies, and those that are replayed.
func (m *Monitor) state() string {
	var b strings.Builder
	for _, origin := range slices.Sorted(maps.Keys(m.watches)) {
		w := m.watches[origin]
		if head := w.copy.Head(); head != nil {
			fmt.Fprintf(&b, "%d %x", head.Size, head.Root)
		}
		if r := w.report.Load(); r != nil && r.Head != nil {
			fmt.Fprint(&b, " ", r.Head.Size)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// status is that of a log without an auditor.
func (c *copied) status() *auditor.Status {
	s := &auditor.Status{Origin: c.origin, Keys: []string{}, Copied: c.size()}
	if err := c.Failing(); err != nil {
		s.CopyFails = err.Error()
	}
	return s
}

// evidence is the file with the evidence of the first fork.
func (c *copied) evidence() string { return filepath.Join(c.dir, "fork.json") }

func (c *copied) forked() bool {
	_, err := os.Stat(c.evidence())
	return err == nil
}

func (c *copied) size() uint64 {
	if h := c.Head(); h != nil {
		return h.Size
	}
	return 0
}

// ServeHTTP serves the copies, what [auditor.Handler] serves, /status ([Status], a list),
// /healthz and /readyz.
func (m *Monitor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	hash, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	from, read := m.copies[hash], r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case from != nil:
		m.serveCopy(w, r, from)
	case path == "/status" && read:
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.Write(m.shown.get(m.state(), m.statusText))
	case path == "/readyz" && read:
		m.ready(w)
	case path == "/healthz" && read:
		writeText(w, "ok\n")
	case path == "/status", path == "/readyz", path == "/healthz":
		w.Header().Set("Allow", "GET")
		problem.New(problem.Method, "", "the resource has GET").Answer(w)
	default:
		m.audits.ServeHTTP(w, r)
	}
}

func (m *Monitor) serveCopy(w http.ResponseWriter, r *http.Request, from http.Handler) {
	select {
	case m.reading <- struct{}{}:
		defer func() { <-m.reading }()
		w.Header().Set("X-Content-Type-Options", "nosniff")
		from.ServeHTTP(w, r)
	default:
		p := problem.New(problem.Busy, "busy", fmt.Sprintf("%d files are being read; ask again, or ask the log", maxReading))
		p.RetryAfter = 2 * time.Second
		w.Header().Set("Access-Control-Allow-Origin", "*")
		p.Answer(w)
	}
}

// ready answers 200 if the monitor has a copy to serve, and names what is wrong with each log: a log
// that is down, or that its auditor declines, must not take the copies of others from their readers.
func (m *Monitor) ready(w http.ResponseWriter) {
	var text strings.Builder
	serves := false
	for _, s := range m.states() {
		serves = serves || s.Copied > 0
		r := m.watches[s.Origin].Report()
		state := cmp.Or(s.Unready(), r.Failing, "ready")
		if r.Unpinned {
			state += "; unpinned: see \"vasistas-monitor pin -h\""
		}
		fmt.Fprintf(&text, "%s: %s\n", s.Origin, strings.ReplaceAll(state, "\n", "; "))
	}
	if serves {
		writeText(w, text.String())
		return
	}
	p := problem.New(problem.NotReady, "not ready", text.String())
	p.RetryAfter = 2 * time.Second
	p.Answer(w)
}

func writeText(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	io.WriteString(w, text)
}

type ownMetrics struct {
	metrics.Set
	copied, fails, verdict, overdue, late *metrics.Metric
}

func (o *ownMetrics) init() {
	o.copied = o.Gauge("vasistas_monitor_copied", "Size of the full copy on disk.", "log")
	o.fails = o.Gauge("vasistas_monitor_copy_fails", "1 if the copy's last update failed; status says why.", "log")
	o.verdict = o.Gauge("vasistas_monitor_verdict", "1 for what the first line of the log's status says: OK, LATE, WRONG or SILENT; 0 for the others.", "log", "verdict")
	o.overdue = o.Gauge("vasistas_monitor_overdue", "Obligations that are overdue at the last head that was read, by rule.", "log", "rule")
	o.late = o.Gauge("vasistas_monitor_was_late", "Obligations, from the log's first entry on, that were met late or became breaches.", "log")
}

// MetricsText returns the metrics in the Prometheus text format, version 0.0.4.
func (m *Monitor) MetricsText() []byte {
	flag := func(set bool) float64 {
		if set {
			return 1
		}
		return 0
	}
	for _, s := range m.Status() {
		m.own.copied.Set(float64(s.Copied), s.Origin)
		m.own.fails.Set(flag(s.CopyFails != ""), s.Origin)
		for _, v := range []facts.Verdict{facts.OK, facts.Late, facts.Wrong, facts.Silent} {
			m.own.verdict.Set(flag(s.Line.Verdict == v), s.Origin, string(v))
		}
		for _, rule := range ledger.Owing() {
			overdue, _ := s.Facts.Owing(rule)
			m.own.overdue.Set(float64(overdue), s.Origin, rule)
		}
		late := uint64(0)
		for _, o := range s.Facts.Total.Owed {
			late += o.Late + o.Lapsed
		}
		m.own.late.Set(float64(late), s.Origin)
	}
	out := m.own.Text()
	if m.c.Metrics != nil {
		out = append(out, m.c.Metrics.Text(m.auditors...)...)
	}
	return out
}
