// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vasistas/vasistas/internal/c2sp"
)

// metrics are what /metrics shows. Every label has few values, none of which a
// stranger chooses: event types, codes of [Problem], names of the policy.
type metrics struct {
	events        *prometheus.CounterVec // by type and outcome
	batches       prometheus.Histogram
	addSeconds    prometheus.Histogram
	treeSize      prometheus.Gauge
	publishedSize prometheus.Gauge
	publishedAt   prometheus.Gauge
	rounds        *prometheus.CounterVec
	gather        prometheus.Histogram
	witnesses     *prometheus.CounterVec
}

func newMetrics() *metrics {
	return &metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vasistas_log_events_total",
			Help: "Events submitted, by type and outcome: admitted, duplicate, or the code of the refusal."}, []string{"type", "outcome"}),
		batches: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "vasistas_log_batch_entries",
			Help: "Entries a batch.", Buckets: prometheus.ExponentialBuckets(1, 4, 7)}),
		addSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "vasistas_log_batch_seconds",
			Help: "Time to make a batch durable.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 13)}),
		treeSize: prometheus.NewGauge(prometheus.GaugeOpts{Name: "vasistas_log_tree_size",
			Help: "Entries in the tree, published or not."}),
		publishedSize: prometheus.NewGauge(prometheus.GaugeOpts{Name: "vasistas_log_published_size",
			Help: "Entries in the published checkpoint."}),
		publishedAt: prometheus.NewGauge(prometheus.GaugeOpts{Name: "vasistas_log_published_timestamp_seconds",
			Help: "When a checkpoint was published last."}),
		rounds: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vasistas_log_rounds_total",
			Help: "Publication rounds: published, no_quorum or failed."}, []string{"outcome"}),
		gather: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "vasistas_log_cosign_seconds",
			Help: "Time to gather cosignatures.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 14)}),
		witnesses: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vasistas_log_witness_requests_total",
			Help: "Requests to witnesses, by the policy's name of the witness."}, []string{"witness", "outcome"}),
	}
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.events, m.batches, m.addSeconds, m.treeSize, m.publishedSize, m.publishedAt, m.rounds, m.gather, m.witnesses}
}

func (m *metrics) register(reg prometheus.Registerer) error {
	if reg == nil {
		return nil
	}
	for _, c := range m.collectors() {
		if err := reg.Register(c); err != nil {
			m.unregister(reg)
			return fmt.Errorf("metrics: %w", err)
		}
	}
	return nil
}

func (m *metrics) unregister(reg prometheus.Registerer) {
	if reg == nil {
		return
	}
	for _, c := range m.collectors() {
		reg.Unregister(c)
	}
}

func (m *metrics) event(kind, outcome string) { m.events.WithLabelValues(kind, outcome).Inc() }

func (m *metrics) batch(n int, d time.Duration) {
	m.batches.Observe(float64(n))
	m.addSeconds.Observe(d.Seconds())
}

func (m *metrics) tree(size uint64) { m.treeSize.Set(float64(size)) }

func (m *metrics) published(size uint64) {
	m.publishedSize.Set(float64(size))
	m.publishedAt.SetToCurrentTime()
}

func (m *metrics) round(err error) {
	switch {
	case err == nil:
		m.rounds.WithLabelValues("published").Inc()
	case errors.Is(err, c2sp.ErrNoQuorum):
		m.rounds.WithLabelValues("no_quorum").Inc()
	default:
		m.rounds.WithLabelValues("failed").Inc()
	}
}

func (m *metrics) gathered(d time.Duration) { m.gather.Observe(d.Seconds()) }

func (m *metrics) witness(name string, err error) {
	switch {
	case err == nil:
		m.witnesses.WithLabelValues(name, "cosigned").Inc()
	case errors.Is(err, errBusy):
		m.witnesses.WithLabelValues(name, "busy").Inc()
	default:
		m.witnesses.WithLabelValues(name, "failed").Inc()
	}
}
