// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vasistas/vasistas/internal/problem"
	"github.com/vasistas/vasistas/log/event"
)

// metrics are the gate's Prometheus metrics. Every label has few values, and no request
// chooses one.
type metrics struct {
	requests *prometheus.CounterVec // by code
	seconds  *prometheus.HistogramVec
	posts    *prometheus.CounterVec // by type and outcome
	looks    *prometheus.CounterVec // by outcome
	refused  prometheus.Counter     // before reading
}

func newMetrics() *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vasistas_gate_requests_total",
			Help: "Requests, by outcome: answered, or the code of the refusal."}, []string{"outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "vasistas_gate_request_seconds",
			Help: "Time that a request took.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 16)}, []string{"answered"}),
		posts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vasistas_gate_posts_total",
			Help: "Submissions to the log, by type and outcome."}, []string{"type", "outcome"}),
		looks: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vasistas_gate_looks_total",
			Help: "Updates from the log, by outcome: ok or failed."}, []string{"outcome"}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{Name: "vasistas_gate_busy_total",
			Help: "Requests refused unread, since too many were under way."}),
	}
	for _, c := range append(problem.OfGate(), "answered") {
		m.requests.WithLabelValues(string(c))
	}
	return m
}

func (m *metrics) answer(outcome string, begun time.Time) {
	m.requests.WithLabelValues(outcome).Inc()
	m.seconds.WithLabelValues(fmt.Sprint(outcome == "answered")).Observe(time.Since(begun).Seconds())
}

func (m *metrics) posted(kind event.Type, err error) {
	m.posts.WithLabelValues(string(kind), outcome(err)).Inc()
}

func (m *metrics) look(err error) { m.looks.WithLabelValues(outcome(err)).Inc() }

func outcome(err error) string {
	if err != nil {
		return "failed"
	}
	return "ok"
}

func (m *metrics) register(reg prometheus.Registerer, g *Gate) error {
	gauge := func(name, help string, read func(*follower) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			var v float64
			_ = g.with(ctx, func(f *follower) error { v = read(f); return nil }) // 0 while the gate is busy
			return v
		})
	}
	list := []prometheus.Collector{m.requests, m.seconds, m.posts, m.looks, m.refused,
		gauge("vasistas_gate_head_size", "Size of the largest head that this gate has verified.", func(f *follower) float64 {
			if f.head == nil {
				return 0
			}
			return float64(f.head.Checkpoint.Size)
		}),
		gauge("vasistas_gate_head_timestamp_seconds", "Logged-after time of that head, in Unix time.", func(f *follower) float64 {
			if f.head == nil {
				return 0
			}
			return float64(f.head.LoggedAfter)
		}),
		gauge("vasistas_gate_unconfirmed_changes", "Changes of who is trusted that the operator must confirm.", func(f *follower) float64 {
			return float64(len(f.pending()))
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "vasistas_gate_outbox", Help: "Signed events that no head has shown yet."},
			func() float64 { return float64(len(g.journal.waiting())) }),
		gauge("vasistas_gate_stopped", "1 if the gate opens nothing until its operator acts.", func(f *follower) float64 {
			if f.stopped != nil || g.journal.failed() != nil {
				return 1
			}
			return 0
		}),
	}
	for i, c := range list {
		if err := reg.Register(c); err != nil {
			for _, d := range list[:i] {
				reg.Unregister(d)
			}
			return fmt.Errorf("metrics: %w", err)
		}
	}
	return nil
}
