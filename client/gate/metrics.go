// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"strconv"
	"time"

	"github.com/vasistas/vasistas/internal/metrics"
	"github.com/vasistas/vasistas/internal/problem"
)

// gateMetrics are the metrics of a gate. Every label has few values, and no request
// chooses one.
type gateMetrics struct {
	metrics.Set // with all of these

	requests, seconds, posts, looks, refused         *metrics.Metric
	headSize, headTime, unconfirmed, outbox, stopped *metrics.Metric // set by Metrics
	open, audited, contradictions                    *metrics.Metric // set by Metrics
}

func newMetrics() *gateMetrics {
	m := new(gateMetrics)
	m.requests = m.Counter("vasistas_gate_requests_total", "Requests, by outcome: answered, or the code of the refusal.", "outcome")
	m.seconds = m.Histogram("vasistas_gate_request_seconds", "Time that a request took.", metrics.Exponential(0.001, 2, 16), "answered")
	m.posts = m.Counter("vasistas_gate_posts_total", "Submissions to the log, by type and outcome.", "type", "outcome")
	m.looks = m.Counter("vasistas_gate_looks_total", "Updates from the log, by outcome: ok or failed.", "outcome")
	m.refused = m.Counter("vasistas_gate_busy_total", "Requests refused unread, since too many were under way.")
	m.headSize = m.Gauge("vasistas_gate_head_size", "Size of the largest head that this gate has verified.")
	m.headTime = m.Gauge("vasistas_gate_head_timestamp_seconds", "Logged-after time of that head, in Unix time.")
	m.unconfirmed = m.Gauge("vasistas_gate_unconfirmed_changes", "Amendments that the operator must confirm.")
	m.outbox = m.Gauge("vasistas_gate_outbox", "Signed events that no head has shown yet.")
	m.stopped = m.Gauge("vasistas_gate_stopped", "1 if the gate opens nothing until its operator acts.")
	m.open = m.Gauge("vasistas_gate_open", "1 if the gate would open; /readyz and status say why not.")
	m.audited = m.Gauge("vasistas_gate_audited_timestamp_seconds", "Logged-after time of the newest head that auditors vouch for, in Unix time; 0: none.")
	m.contradictions = m.Gauge("vasistas_gate_contradictions", "Contradictions of the log since the start that stop nothing; the state directory has evidence.")
	for _, c := range append(problem.OfGate(), "answered") {
		m.requests.Add(0, string(c))
	}
	return m
}

// Metrics returns the gate's metrics in the Prometheus text format, version 0.0.4. While
// the gate is busy for a second, those of its head and its state stay as they were.
func (g *Gate) Metrics() []byte {
	m := g.metrics
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = g.with(ctx, func(f *follower) error {
		if f.head != nil {
			m.headSize.Set(float64(f.head.Checkpoint.Size))
			m.headTime.Set(float64(f.head.LoggedAfter))
		}
		m.unconfirmed.Set(float64(len(f.pending())))
		m.stopped.Set(flag(f.stopped != nil || g.journal.failed() != nil))
		m.open.Set(flag(g.shut(f) == nil))
		after, _ := f.audits.judged(f.ledger)
		m.audited.Set(float64(after))
		m.contradictions.Set(float64(f.contradictions))
		return nil
	})
	m.outbox.Set(float64(len(g.journal.waiting())))
	return m.Text()
}

func (m *gateMetrics) answer(outcome string, begun time.Time) {
	m.requests.Add(1, outcome)
	m.seconds.Observe(time.Since(begun).Seconds(), strconv.FormatBool(outcome == "answered"))
}

func flag(set bool) float64 {
	if set {
		return 1
	}
	return 0
}

func outcome(err error) string {
	if err != nil {
		return "failed"
	}
	return "ok"
}
