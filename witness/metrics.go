// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"github.com/vasistas/vasistas/internal/metrics"
	"github.com/vasistas/vasistas/log/tlog"
)

// witnessMetrics are the metrics of a witness. No label comes from a request; the label log is the
// origin of a configured log.
type witnessMetrics struct {
	metrics.Set // with all of these

	requests, seconds, evidence                            *metrics.Metric
	logs, cosigned, atWork, journalBytes, writable, latest *metrics.Metric // set by writeMetrics
	headSize, headTime, answers                            *metrics.Metric // set by writeMetrics
}

func newMetrics() *witnessMetrics {
	m := new(witnessMetrics)
	m.requests = m.Counter("vasistas_witness_add_checkpoint_total", "Requests to add-checkpoint by status.", "code")
	m.seconds = m.Histogram("vasistas_witness_add_checkpoint_seconds", "Time from the head of a request to add-checkpoint to the answer.",
		[]float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .5, 2})
	m.evidence = m.Counter("vasistas_witness_evidence_total", "Pieces of evidence kept since the start, by kind.", "kind")
	m.logs = m.Gauge("vasistas_witness_logs", "Configured logs.")
	m.cosigned = m.Gauge("vasistas_witness_logs_cosigned", "Logs of which a head was cosigned.")
	m.atWork = m.Gauge("vasistas_witness_requests_at_work", "Requests at work.")
	m.journalBytes = m.Gauge("vasistas_witness_journal_bytes", "Size of the journal.")
	m.writable = m.Gauge("vasistas_witness_journal_writable", "1 if the last write to the journal succeeded.")
	m.latest = m.Gauge("vasistas_witness_last_timestamp_seconds", "The largest timestamp in a cosignature.")
	m.headSize = m.Gauge("vasistas_witness_head_size", "Size of the latest head that was cosigned, by log; 0: none.", "log")
	m.headTime = m.Gauge("vasistas_witness_cosigned_timestamp_seconds", "Time of the latest cosignature, by log, in Unix time; 0: none.", "log")
	m.answers = m.Counter("vasistas_witness_cosigned_total", "Answers with cosignatures since the start, by log.", "log")
	for _, status := range []string{"200", "400", "403", "404", "405", "408", "409", "413", "422", "500", "503"} {
		m.requests.Add(0, status)
	}
	for _, k := range []string{tlog.KindFork, tlog.KindUnproven} {
		m.evidence.Add(0, k)
	}
	return m
}

func (w *Witness) writeMetrics() []byte {
	m, cosigned, writable := w.metrics, 0, 1.0
	for _, l := range w.view.Load().byHash {
		if a := l.last.Load(); a != nil && a.time > 0 {
			cosigned++
		}
	}
	sizes, times, answers := make(map[string]int), make(map[string]int), make(map[string]int)
	for _, l := range w.logs() {
		sizes[l.Origin], times[l.Origin], answers[l.Origin] = int(l.Size), 0, int(l.Answers)
		if l.Cosigned != nil {
			times[l.Origin] = int(l.Cosigned.Unix())
		}
	}
	if w.store.failed.Load() {
		writable = 0
	}
	m.logs.Set(float64(len(sizes)))
	m.headSize.Replace(sizes)
	m.headTime.Replace(times)
	m.answers.Replace(answers)
	m.cosigned.Set(float64(cosigned))
	m.atWork.Set(float64(len(w.slots) + len(w.advance)))
	m.journalBytes.Set(float64(w.store.size()))
	m.writable.Set(writable)
	m.latest.Set(float64(w.store.clock.latest()))
	return m.Text()
}
