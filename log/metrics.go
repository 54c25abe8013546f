// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/vasistas/vasistas/log/internal/cosign"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/vault"
)

// family is a set of metrics that are shown together.
type family struct{ *prometheus.Registry }

func (f family) counter(name, help string, labels ...string) *prometheus.CounterVec {
	return promauto.With(f).NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func (f family) gauge(name, help string) prometheus.Gauge {
	return promauto.With(f).NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
}

func (f family) histogram(name, help string, buckets []float64) prometheus.Histogram {
	return promauto.With(f).NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
}

// show adds the metrics to a registry; nil: they are counted and not shown.
func (f family) show(reg prometheus.Registerer) error {
	if reg == nil {
		return nil
	}
	if err := reg.Register(f); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}

func (f family) hide(reg prometheus.Registerer) {
	if reg != nil {
		reg.Unregister(f)
	}
}

// metrics are what /metrics shows. Every label has few values, and no submitter chooses
// them: event types, codes of problems, names of the policy.
type metrics struct {
	family                               // with all of these
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
	all := family{prometheus.NewRegistry()}
	return &metrics{
		family: all,
		events: all.counter("vasistas_log_events_total",
			"Events submitted, by type and outcome: admitted, duplicate, or the code of the refusal.", "type", "outcome"),
		batches: all.histogram("vasistas_log_batch_entries", "Entries a batch.", prometheus.ExponentialBuckets(1, 4, 7)),
		addSeconds: all.histogram("vasistas_log_batch_seconds",
			"Time to make a batch durable.", prometheus.ExponentialBuckets(0.001, 2, 13)),
		treeSize:      all.gauge("vasistas_log_tree_size", "Entries in the tree, published or not."),
		publishedSize: all.gauge("vasistas_log_published_size", "Entries in the published checkpoint."),
		publishedAt:   all.gauge("vasistas_log_published_timestamp_seconds", "When a checkpoint was published last."),
		rounds:        all.counter("vasistas_log_rounds_total", "Publication rounds: published, no_quorum or failed.", "outcome"),
		gather: all.histogram("vasistas_log_cosign_seconds",
			"Time to gather cosignatures.", prometheus.ExponentialBuckets(0.001, 2, 14)),
		witnesses: all.counter("vasistas_log_witness_requests_total",
			"Requests to witnesses, by the policy's name of the witness.", "witness", "outcome"),
		refusals: all.counter("vasistas_log_refused_total", "Events refused for a rule that they would break.", "rule"),
		violations: all.counter("vasistas_log_violations_total",
			"Verdicts about entries that were logged: breaches, and what had no effect.", "rule", "kind"),
		overdue: promauto.With(all).NewGaugeVec(prometheus.GaugeOpts{Name: "vasistas_log_overdue",
			Help: "What is overdue at the time of the published head, by rule."}, []string{"rule"}),
		open: all.gauge("vasistas_log_open_events", "Events that allow or owe something."),
		disclosures: all.counter("vasistas_log_own_events_total",
			"Anchors and disclosures by the log itself: logged, or failed and to be tried again.", "type", "outcome"),
		lost:         all.gauge("vasistas_log_vault_lost", "Sealed events that the log can't disclose, since the vault has lost them."),
		vaultRecords: all.gauge("vasistas_log_vault_records", "Events whose openings or notices the vault has."),
		vaultBytes:   all.gauge("vasistas_log_vault_bytes", "Bytes of the vault's files."),
		vaultDamaged: all.gauge("vasistas_log_vault_damaged_files", "Files of the vault that can't be read."),
	}
}

func (m *metrics) event(kind, outcome string) { m.events.WithLabelValues(kind, outcome).Inc() }

func (m *metrics) batch(n int, d time.Duration) {
	m.batches.Observe(float64(n))
	m.addSeconds.Observe(d.Seconds())
}

func (m *metrics) round(err error) {
	outcome := "failed"
	if err == nil {
		outcome = "published"
	} else if errors.Is(err, tlog.ErrNoQuorum) {
		outcome = "no_quorum"
	}
	m.rounds.WithLabelValues(outcome).Inc()
}

func (m *metrics) witness(name string, err error) {
	outcome := "failed"
	if err == nil {
		outcome = "cosigned"
	} else if errors.Is(err, cosign.ErrBusy) {
		outcome = "busy"
	}
	m.witnesses.WithLabelValues(name, outcome).Inc()
}

// Own implements [duty.Metrics].
func (m *metrics) Own(what string, err error) {
	outcome := "logged"
	if err != nil {
		outcome = "failed"
	}
	m.disclosures.WithLabelValues(what, outcome).Inc()
}

// Lost implements [duty.Metrics].
func (m *metrics) Lost() { m.lost.Inc() }

// Owed implements [duty.Metrics].
func (m *metrics) Owed(overdue map[string]int, open int) {
	m.overdue.Reset()
	for rule, n := range overdue {
		m.overdue.WithLabelValues(rule).Set(float64(n))
	}
	m.open.Set(float64(open))
}

// Vault implements [duty.Metrics].
func (m *metrics) Vault(s vault.Stats) {
	m.vaultRecords.Set(float64(s.Records))
	m.vaultBytes.Set(float64(s.FileBytes))
	m.vaultDamaged.Set(float64(s.DamagedFiles))
}
