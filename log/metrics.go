// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"errors"
	"time"

	"github.com/vasistas/vasistas/internal/metrics"
	"github.com/vasistas/vasistas/log/internal/cosign"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/vault"
)

// logMetrics are the metrics of a log. Every label has few values, and no submitter
// chooses them: event types, codes of problems, names of the policy.
type logMetrics struct {
	metrics.Set // with all of these

	events, rounds, witnesses, refusals, violations, disclosures *metrics.Metric // counters
	late                                                         *metrics.Metric // counter
	batches, addSeconds, gather                                  *metrics.Metric // histograms
	treeSize, publishedSize, publishedAt, overdue, open, lost    *metrics.Metric // gauges
	owed                                                         *metrics.Metric // gauge
	vaultRecords, vaultBytes, vaultDamaged                       *metrics.Metric // gauges
	answers                                                      *metrics.Metric // counter
	namedSize, namedAt, auditedSize, auditedAt                   *metrics.Metric // gauges
}

func newMetrics() *logMetrics {
	m := new(logMetrics)
	m.events = m.Counter("vasistas_log_events_total", "Events submitted, by type and outcome: admitted, duplicate, or the code of the refusal.", "type", "outcome")
	m.batches = m.Histogram("vasistas_log_batch_entries", "Entries a batch.", metrics.Exponential(1, 4, 7))
	m.addSeconds = m.Histogram("vasistas_log_batch_seconds", "Time to make a batch durable.", metrics.Exponential(0.001, 2, 13))
	m.treeSize = m.Gauge("vasistas_log_tree_size", "Entries in the tree, published or not.")
	m.publishedSize = m.Gauge("vasistas_log_published_size", "Entries in the published checkpoint.")
	m.publishedAt = m.Gauge("vasistas_log_published_timestamp_seconds", "When a checkpoint was published last.")
	m.rounds = m.Counter("vasistas_log_rounds_total", "Publication rounds: published, no_quorum or failed.", "outcome")
	m.gather = m.Histogram("vasistas_log_cosign_seconds", "Time to gather cosignatures.", metrics.Exponential(0.001, 2, 14))
	m.witnesses = m.Counter("vasistas_log_witness_requests_total", "Requests to witnesses, by the policy's name of the witness.", "witness", "outcome")
	m.refusals = m.Counter("vasistas_log_refused_total", "Events refused for a rule that they would break.", "rule")
	m.violations = m.Counter("vasistas_log_violations_total", "Verdicts about entries that were logged: breaches, and what had no effect.", "rule", "kind")
	m.owed = m.Gauge("vasistas_log_owed", "What is owed, overdue or not, by rule.", "rule")
	m.late = m.Counter("vasistas_log_late_total", "Obligations that ended since the start after they were overdue: met late, or a breach by now; by rule.", "rule")
	m.overdue = m.Gauge("vasistas_log_overdue", "What is overdue at the time of the published head, by rule.", "rule")
	m.open = m.Gauge("vasistas_log_open_events", "Events that allow or owe something.")
	m.disclosures = m.Counter("vasistas_log_own_events_total", "Anchors and disclosures by the log itself: logged, or failed and to be tried again.", "type", "outcome")
	m.lost = m.Gauge("vasistas_log_vault_lost", "Sealed events that the log can't disclose, since the vault has lost them.")
	m.vaultRecords = m.Gauge("vasistas_log_vault_records", "Events whose openings or notices the vault has.")
	m.vaultBytes = m.Gauge("vasistas_log_vault_bytes", "Bytes of the vault's files.")
	m.vaultDamaged = m.Gauge("vasistas_log_vault_damaged_files", "Files of the vault that can't be read.")
	m.namedSize = m.Gauge("vasistas_log_named_size", "Entries in the head that is named for auditors.")
	m.namedAt = m.Gauge("vasistas_log_named_timestamp_seconds", "When that head was named.")
	m.auditedSize = m.Gauge("vasistas_log_audited_size", "Entries in the head that met the audit policy last.")
	m.auditedAt = m.Gauge("vasistas_log_audited_timestamp_seconds", "The time that the auditors' cosignatures of that head prove.")
	m.answers = m.Counter("vasistas_log_auditor_answers_total", "Answers of auditors, by the charter's name of the auditor: cosigned, declined, silent or wrong.", "auditor", "answer")
	for _, rule := range ledger.Owing() {
		m.owed.Set(0, rule)
		m.overdue.Set(0, rule)
		m.late.Add(0, rule)
	}
	for _, outcome := range []string{"published", "no_quorum", "failed"} {
		m.rounds.Add(0, outcome)
	}
	for _, own := range []string{"anchor", "disclosure", "vault"} {
		m.disclosures.Add(0, own, "failed")
	}
	return m
}

// named counts a new round.
func (m *logMetrics) named(size uint64, at time.Time) {
	m.namedSize.Set(float64(size))
	m.namedAt.Set(float64(at.Unix()))
}

// forgetRounds says that nothing is named or audited.
func (m *logMetrics) forgetRounds() {
	for _, g := range []*metrics.Metric{m.namedSize, m.namedAt, m.auditedSize, m.auditedAt} {
		g.Set(0)
	}
}

// changed counts what an entry ended late.
func (m *logMetrics) changed(changes []ledger.Change) {
	for i := range changes {
		if c := &changes[i]; (c.Kind == ledger.Settled || c.Kind == ledger.Lapsed) && !c.LateSince.IsZero() {
			m.late.Add(1, c.Rule())
		}
	}
}

func (m *logMetrics) round(err error) {
	outcome := "failed"
	if err == nil {
		outcome = "published"
	} else if errors.Is(err, tlog.ErrNoQuorum) {
		outcome = "no_quorum"
	}
	m.rounds.Add(1, outcome)
}

func (m *logMetrics) witness(name string, err error) {
	outcome := "failed"
	if err == nil {
		outcome = "cosigned"
	} else if errors.Is(err, cosign.ErrBusy) {
		outcome = "busy"
	}
	m.witnesses.Add(1, name, outcome)
}

// Own implements [duty.Metrics].
func (m *logMetrics) Own(what string, err error) {
	outcome := "logged"
	if err != nil {
		outcome = "failed"
	}
	m.disclosures.Add(1, what, outcome)
}

// Lost implements [duty.Metrics].
func (m *logMetrics) Lost(events int) { m.lost.Set(float64(events)) }

// Owed implements [duty.Metrics].
func (m *logMetrics) Owed(owed, overdue map[string]int, open int) {
	m.owed.Replace(owed)
	m.overdue.Replace(overdue)
	m.open.Set(float64(open))
}

// Vault implements [duty.Metrics].
func (m *logMetrics) Vault(s vault.Stats) {
	m.vaultRecords.Set(float64(s.Records))
	m.vaultBytes.Set(float64(s.FileBytes))
	m.vaultDamaged.Set(float64(s.DamagedFiles))
}
