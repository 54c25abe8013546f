// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	leads    prometheus.Gauge
	term     prometheus.Gauge
	who      *prometheus.GaugeVec
	terms    *prometheus.CounterVec
	forwards *prometheus.CounterVec
	size     prometheus.Gauge
}

func newMetrics() *metrics {
	return &metrics{
		leads: prometheus.NewGauge(prometheus.GaugeOpts{Name: "vasistas_frontend_leads",
			Help: "1 if this front end has the log open."}),
		term: prometheus.NewGauge(prometheus.GaugeOpts{Name: "vasistas_frontend_term",
			Help: "The term of the leader, which grows with each."}),
		who: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "vasistas_frontend_leader",
			Help: "1 for the front end that leads, by its URL; nothing if none does."}, []string{"url"}),
		terms: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vasistas_frontend_terms_total",
			Help: "Times of leading that ended: given up, lost, or refused since the log could not be opened."}, []string{"outcome"}),
		forwards: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vasistas_frontend_requests_total",
			Help: "Requests with events: served here, forwarded, refused for want of a leader, or failed on the way to it."}, []string{"outcome"}),
		size: prometheus.NewGauge(prometheus.GaugeOpts{Name: "vasistas_frontend_published_size",
			Help: "Entries in the checkpoint that this front end serves."}),
	}
}

// leader shows who leads. The URL is one that an operator configured.
func (m *metrics) leader(l *leader) {
	m.who.Reset()
	if l.Holder == "" {
		return
	}
	m.term.Set(float64(l.Term))
	m.who.WithLabelValues(l.URL).Set(1)
}

func (m *metrics) published(size uint64) { m.size.Set(float64(size)) }

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.leads, m.term, m.who, m.terms, m.forwards, m.size}
}

func (m *metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	var errs []error
	for _, c := range m.all() {
		errs = append(errs, r.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	return nil
}

func (m *metrics) unregister(r prometheus.Registerer) {
	if r == nil {
		return
	}
	for _, c := range m.all() {
		r.Unregister(c)
	}
}
