// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"time"
)

// statuses are those of add-checkpoint; no label comes from a request.
var statuses = [...]int{200, 400, 403, 404, 405, 408, 409, 413, 422, 500, 503}

var buckets = [...]time.Duration{
	500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond,
	25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second,
}

// metrics are a fixed number of counters for the Prometheus text format.
type metrics struct {
	requests [len(statuses)]atomic.Uint64
	seconds  [len(buckets) + 1]atomic.Uint64 // the last one is above all buckets
	total    atomic.Int64                    // nanoseconds
	evidence map[EvidenceKind]*atomic.Uint64 // not written after newMetrics
}

var evidenceKinds = [...]EvidenceKind{Fork, EmptyRoot, BadProof}

func newMetrics() *metrics {
	m := &metrics{evidence: make(map[EvidenceKind]*atomic.Uint64)}
	for _, k := range evidenceKinds {
		m.evidence[k] = new(atomic.Uint64)
	}
	return m
}

func (m *metrics) observe(status int, d time.Duration) {
	for i, s := range statuses {
		if s == status {
			m.requests[i].Add(1)
		}
	}
	i := 0
	for i < len(buckets) && d > buckets[i] {
		i++
	}
	m.seconds[i].Add(1)
	m.total.Add(int64(d))
}

func (w *Witness) writeMetrics() []byte {
	const p = "vasistas_witness_"
	var b bytes.Buffer
	head := func(name, kind, help string) {
		fmt.Fprintf(&b, "# HELP %s%s %s\n# TYPE %s%s %s\n", p, name, help, p, name, kind)
	}
	m := w.metrics
	head("add_checkpoint_total", "counter", "Requests to add-checkpoint by status.")
	for i, s := range statuses {
		fmt.Fprintf(&b, "%sadd_checkpoint_total{code=\"%d\"} %d\n", p, s, m.requests[i].Load())
	}
	head("add_checkpoint_seconds", "histogram", "Time from the head of a request to add-checkpoint to the answer.")
	n := uint64(0)
	for i := range m.seconds {
		n += m.seconds[i].Load()
		le := "+Inf"
		if i < len(buckets) {
			le = fmt.Sprint(buckets[i].Seconds())
		}
		fmt.Fprintf(&b, "%sadd_checkpoint_seconds_bucket{le=\"%s\"} %d\n", p, le, n)
	}
	fmt.Fprintf(&b, "%sadd_checkpoint_seconds_sum %g\n%sadd_checkpoint_seconds_count %d\n", p, time.Duration(m.total.Load()).Seconds(), p, n)
	head("evidence_total", "counter", "Pieces of evidence kept since the start, by kind.")
	for _, k := range evidenceKinds {
		fmt.Fprintf(&b, "%sevidence_total{kind=\"%s\"} %d\n", p, k, m.evidence[k].Load())
	}
	view := w.view.Load()
	cosigned := 0
	for _, l := range view.byHash {
		if a := l.last.Load(); a != nil && a.time > 0 {
			cosigned++
		}
	}
	writable := 1
	if w.store.failed.Load() {
		writable = 0
	}
	for _, g := range []struct {
		name, help string
		value      int64
	}{
		{"logs", "Configured logs.", int64(len(view.byOrigin))},
		{"logs_cosigned", "Logs of which a head was cosigned.", int64(cosigned)},
		{"requests_at_work", "Requests at work.", int64(len(w.slots))},
		{"journal_bytes", "Size of the journal.", w.store.size()},
		{"journal_writable", "1 if the last write to the journal succeeded.", int64(writable)},
		{"last_timestamp_seconds", "The largest timestamp in a cosignature.", int64(w.store.clock.latest())},
	} {
		head(g.name, "gauge", g.help)
		fmt.Fprintf(&b, "%s%s %d\n", p, g.name, g.value)
	}
	return b.Bytes()
}
