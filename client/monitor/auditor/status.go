// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/vasistas/vasistas/internal/metrics"
	"github.com/vasistas/vasistas/internal/problem"
	"github.com/vasistas/vasistas/log/round"
	"github.com/vasistas/vasistas/log/tlog"
)

// Status is the state of an auditor, in JSON. A monitor shows a log that it only copies without
// Auditor and Keys.
type Status struct {
	Origin  string   `json:"origin"`
	Auditor string   `json:"auditor"`
	Keys    []string `json:"keys"` // vkeys
	// The recorded head, and the time of its latest cosignature; absent before the first.
	Size     uint64     `json:"size"`
	Root     *tlog.Hash `json:"root,omitempty"`
	Cosigned *time.Time `json:"cosigned,omitempty"`
	// Applied entries, and the size of the head that the log named when the auditor last looked.
	Applied uint64 `json:"applied"`
	Named   uint64 `json:"named,omitempty"`
	// Copied is the size of the full copy on disk, and CopyFails why the copy's last update failed.
	Copied    uint64 `json:"copied"`
	CopyFails string `json:"copyFails,omitempty"`
	// Why the auditor would cosign no named head at present; "": it would.
	Declines string      `json:"declines,omitempty"`
	Ends     string      `json:"ends,omitempty"` // what would end that
	Bars     []round.Bar `json:"bars,omitempty"`
	// Stopped says why the auditor signs nothing until its operator acts.
	Stopped string `json:"stopped,omitempty"`
}

// Unready returns what is wrong with a log, and what would end it, in one line; "": nothing is.
func (s *Status) Unready() string {
	reason := ""
	switch {
	case s.Declines != "":
		reason = "the auditor does not cosign: " + s.Declines + "; it cosigns again once " + s.Ends
	case s.CopyFails != "":
		reason = s.CopyFails + "; it is copied again once the log or a mirror of it answers as it should"
	case s.Copied == 0:
		reason = "nothing is copied yet; it is ready once the log shows a head that the witnesses have cosigned"
	}
	return strings.ReplaceAll(reason, "\n", "; ")
}

// ends says what would end a refusal.
func (r *Refusal) ends() string {
	switch problem.Code(r.Code) {
	case codeStopped:
		return `its operator resumes it: see "vasistas-monitor resume-lost -h"`
	case codeStorage:
		return "its disk takes data"
	case codeBarred:
		return "each of these is cured, or closed by findings"
	case codeClock:
		return "the clock is right"
	case codeTrust:
		return "an amendment names this auditor with these keys"
	case codeQuorum, codeStale, codeHead:
		return "the log names a head that its witnesses have cosigned lately"
	}
	return "the log answers and its entries are read; it needs no restart"
}

// Ready returns why the auditor would cosign no named head at present, nil if it would. The error
// is a [Refusal].
func (a *Auditor) Ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	entered := false
	err := a.with(ctx, func() error {
		entered = true
		return a.declines()
	})
	if !entered {
		return a.behind(a.target.Load())
	}
	return err
}

func (a *Auditor) declines() error {
	if a.stopped != nil {
		return refuse(codeStopped, "%w", a.stopped)
	}
	if _, err := a.recorded(); err != nil {
		return refuse(codeStorage, "%w", err)
	}
	a.mu.Lock()
	lately, r := a.lately, a.round
	a.mu.Unlock()
	if _, refused := errors.AsType[*Refusal](lately); refused {
		return lately
	}
	switch {
	case lately != nil:
		return refuse(codeNotReady, "%w", lately)
	case r == nil:
		return refuse(codeNotReady, "the log's round was not read yet")
	case a.copy.ledger.Size() < r.Size && named(r):
		return a.behind(r.Size)
	case a.copied() < r.Size && named(r):
		return refuse(codeNotReady, "the copy of the log has %d of %d entries", a.copied(), r.Size)
	case a.copy.ledger.Charter() == nil:
		return refuse(codeNotReady, "no entry is applied yet")
	}
	if err := a.member(a.copy.ledger.Charter(), a.copy.ledger.Size()); err != nil {
		return err
	}
	if bars := a.bars(time.Now()); len(bars) > 0 {
		return barred(bars)
	}
	return nil
}

// Status returns the auditor's state.
func (a *Auditor) Status() *Status {
	s := &Status{Origin: a.cfg.Origin, Auditor: a.cfg.Name, Applied: a.copy.applied.Load(), Copied: a.copied()}
	if err := a.stored.Failing(); err != nil {
		s.CopyFails = err.Error()
	}
	for _, k := range a.cfg.Signers {
		s.Keys = append(s.Keys, k.Verifier().String())
	}
	if last := a.last.Load(); last.head != nil {
		at := time.Unix(int64(last.Time), 0).UTC()
		s.Size, s.Root, s.Cosigned = last.head.Size, &last.head.Root, &at
	}
	a.mu.Lock()
	if a.round != nil && named(a.round) {
		s.Named = a.round.Size
	}
	a.mu.Unlock()
	if err := a.Ready(); err != nil {
		s.Declines = err.Error()
		if r, ok := errors.AsType[*Refusal](err); ok {
			s.Bars, s.Ends = round.Bars(r.Bars), r.ends()
		}
		if _, ok := errors.AsType[*LostStateError](err); ok {
			s.Stopped = err.Error()
		}
	}
	return s
}

// Metrics are those of the auditors of one process. Every label has few values, and no request
// chooses one.
type Metrics struct{ m auditorMetrics }

type auditorMetrics struct {
	metrics.Set // with all of these, each with the label log

	requests, seconds, forks       *metrics.Metric
	size, cosigned, applied, ready *metrics.Metric // set by Text
}

// NewMetrics returns the metrics for [Config].Metrics.
func NewMetrics() *Metrics {
	out := new(Metrics)
	m := &out.m
	m.requests = m.Counter("vasistas_auditor_requests_total", "Requests for a cosignature, by log and outcome: cosigned, conflict, or the code of the refusal.", "log", "outcome")
	m.seconds = m.Histogram("vasistas_auditor_request_seconds", "Time that a request for a cosignature took.", metrics.Exponential(0.001, 2, 16), "log")
	m.forks = m.Gauge("vasistas_auditor_contradictions", "Contradictions of the log of which the state directory has evidence.", "log")
	m.size = m.Gauge("vasistas_auditor_head_size", "Size of the recorded head.", "log")
	m.cosigned = m.Gauge("vasistas_auditor_cosigned_timestamp_seconds", "Time of the latest cosignature, in Unix time.", "log")
	m.applied = m.Gauge("vasistas_auditor_applied", "Entries applied.", "log")
	m.ready = m.Gauge("vasistas_auditor_ready", "1 if the auditor would cosign; /readyz and /status say why not.", "log")
	return out
}

// add adds a log.
func (m *auditorMetrics) add(origin string) {
	m.requests.Add(0, origin, "cosigned")
	for _, c := range problem.OfAuditor() {
		m.requests.Add(0, origin, string(c))
	}
}

// Text returns the metrics of these auditors, which have them in their [Config], in the Prometheus
// text format, version 0.0.4.
func (m *Metrics) Text(auditors ...*Auditor) []byte {
	for _, a := range auditors {
		last, origin := a.last.Load(), a.cfg.Origin
		m.m.size.Set(float64(last.size()), origin)
		m.m.cosigned.Set(float64(last.Time), origin)
		m.m.applied.Set(float64(a.copy.applied.Load()), origin)
		ready := 0.0
		if a.Ready() == nil {
			ready = 1
		}
		m.m.ready.Set(ready, origin)
	}
	return m.m.Text()
}
