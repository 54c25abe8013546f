// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/vault"
)

// metrics are what /metrics shows. Every label has few values, none of which a
// stranger chooses: event types, codes of problems, names of the policy.
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
	refusals      *prometheus.CounterVec
	violations    *prometheus.CounterVec
	overdue       *prometheus.GaugeVec
	open          prometheus.Gauge
	disclosures   *prometheus.CounterVec
	lost          prometheus.Gauge
	vaultRecords  prometheus.Gauge
	vaultBytes    prometheus.Gauge
	vaultDamaged  prometheus.Gauge
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
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vasistas_log_refused_total",
			Help: "Events refused for a rule that they would break."}, []string{"rule"}),
		violations: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vasistas_log_violations_total",
			Help: "Verdicts about entries that were logged: breaches, and what had no effect."}, []string{"rule", "kind"}),
		overdue: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "vasistas_log_overdue",
			Help: "What is overdue at the time of the published head, by rule."}, []string{"rule"}),
		open: prometheus.NewGauge(prometheus.GaugeOpts{Name: "vasistas_log_open_events",
			Help: "Events that allow or owe something."}),
		disclosures: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vasistas_log_own_events_total",
			Help: "Anchors and disclosures by the log itself: logged, or failed and to be tried again."}, []string{"type", "outcome"}),
		lost: prometheus.NewGauge(prometheus.GaugeOpts{Name: "vasistas_log_vault_lost",
			Help: "Sealed events that the log can't disclose, since the vault has lost them."}),
		vaultRecords: prometheus.NewGauge(prometheus.GaugeOpts{Name: "vasistas_log_vault_records",
			Help: "Events whose openings or notices the vault has."}),
		vaultBytes: prometheus.NewGauge(prometheus.GaugeOpts{Name: "vasistas_log_vault_bytes",
			Help: "Bytes of the vault's files."}),
		vaultDamaged: prometheus.NewGauge(prometheus.GaugeOpts{Name: "vasistas_log_vault_damaged_files",
			Help: "Files of the vault that can't be read."}),
	}
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.events, m.batches, m.addSeconds, m.treeSize, m.publishedSize, m.publishedAt, m.rounds, m.gather, m.witnesses,
		m.refusals, m.violations, m.overdue, m.open, m.disclosures, m.lost, m.vaultRecords, m.vaultBytes, m.vaultDamaged}
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
	case errors.Is(err, tlog.ErrNoQuorum):
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

func (m *metrics) refused(rule string) { m.refusals.WithLabelValues(rule).Inc() }

func (m *metrics) violation(v *ledger.Violation) {
	m.violations.WithLabelValues(v.Rule, v.Kind.String()).Inc()
}

// owed shows what is overdue and open.
func (m *metrics) owed(rules map[string]int, open int) {
	m.overdue.Reset()
	for rule, n := range rules {
		m.overdue.WithLabelValues(rule).Set(float64(n))
	}
	m.open.Set(float64(open))
}

func (m *metrics) vault(s vault.Stats) {
	m.vaultRecords.Set(float64(s.Records))
	m.vaultBytes.Set(float64(s.FileBytes))
	m.vaultDamaged.Set(float64(s.DamagedFiles))
}
