// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package metrics counts what a daemon does, and writes the counts in the text exposition
// format of Prometheus, version 0.0.4. Names of metrics and labels must be valid in that
// format; help texts and values of labels may be any UTF-8. A metric keeps each combination
// of values for good, so there must be few combinations.
package metrics

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A Set is the metrics of one component. All are added before the first use. A metric
// with labels is written once it has a value, any other from the start.
type Set struct{ list []*Metric }

// A Metric is a counter, a gauge or a histogram. It is safe for concurrent use. Its methods
// take the values of its labels in the order of their names.
type Metric struct {
	name, help, kind string
	labels           []string
	buckets          []float64 // of a histogram, ascending; the last is +Inf

	mu     sync.Mutex
	series map[string][]float64 // by labels as they are written: value or sum; observations by bucket
}

// Counter adds a counter, for [Metric.Add] of what is not negative.
func (s *Set) Counter(name, help string, labels ...string) *Metric {
	return s.add(&Metric{name: name, help: help, kind: "counter", labels: labels})
}

// Gauge adds a gauge, for [Metric.Add], [Metric.Set] and [Metric.Replace].
func (s *Set) Gauge(name, help string, labels ...string) *Metric {
	return s.add(&Metric{name: name, help: help, kind: "gauge", labels: labels})
}

// Histogram adds a histogram, for [Metric.Observe]. buckets are the upper bounds,
// ascending, without +Inf.
func (s *Set) Histogram(name, help string, buckets []float64, labels ...string) *Metric {
	buckets = append(slices.Clip(buckets), math.Inf(1))
	return s.add(&Metric{name: name, help: help, kind: "histogram", labels: labels, buckets: buckets})
}

func (s *Set) add(m *Metric) *Metric {
	s.list = append(s.list, m)
	m.series = make(map[string][]float64)
	if len(m.labels) == 0 {
		m.Add(0)
	}
	return m
}

// Exponential returns n buckets, each factor times the one before.
func Exponential(start, factor float64, n int) (buckets []float64) {
	for range n {
		buckets, start = append(buckets, start), start*factor
	}
	return buckets
}

// Add adds v to a counter or a gauge.
func (m *Metric) Add(v float64, values ...string) {
	m.change(values, func(s []float64) { s[0] += v })
}

// Set sets a gauge.
func (m *Metric) Set(v float64, values ...string) {
	m.change(values, func(s []float64) { s[0] = v })
}

// Replace sets all values of a metric that has one label, by the label's value. Those of a counter
// must come from a count that does not go back.
func (m *Metric) Replace(all map[string]int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.series)
	for value, n := range all {
		m.series[m.pairs([]string{value})] = []float64{float64(n)}
	}
}

// Observe counts an observation in a histogram.
func (m *Metric) Observe(v float64, values ...string) {
	i, _ := slices.BinarySearch(m.buckets, v)
	m.change(values, func(s []float64) { s[0], s[1+i] = s[0]+v, s[1+i]+1 })
}

func (m *Metric) change(values []string, do func([]float64)) {
	pairs := m.pairs(values)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.series[pairs] == nil {
		m.series[pairs] = make([]float64, 1+len(m.buckets))
	}
	do(m.series[pairs])
}

var (
	escapeHelp  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	escapeLabel = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

// pairs returns labels as they are written, each with a comma.
func (m *Metric) pairs(values []string) (s string) {
	for i, name := range m.labels {
		s += name + `="` + escapeLabel.Replace(values[i]) + `",`
	}
	return s
}

// Text returns all metrics in the text format.
func (s *Set) Text() []byte {
	var b bytes.Buffer
	for _, m := range s.list {
		m.write(&b)
	}
	return b.Bytes()
}

func (m *Metric) write(b *bytes.Buffer) {
	line := func(suffix, pairs string, v float64) {
		if pairs != "" {
			pairs = "{" + strings.TrimSuffix(pairs, ",") + "}"
		}
		fmt.Fprintf(b, "%s%s%s %s\n", m.name, suffix, pairs, format(v))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.series) > 0 {
		fmt.Fprintf(b, "# HELP %s %s\n# TYPE %[1]s %[3]s\n", m.name, escapeHelp.Replace(m.help), m.kind)
	}
	for _, pairs := range slices.Sorted(maps.Keys(m.series)) {
		s, n := m.series[pairs], 0.0
		if m.buckets == nil {
			line("", pairs, s[0])
			continue
		}
		for i, le := range m.buckets {
			n += s[1+i]
			line("_bucket", pairs+`le="`+format(le)+`"`, n)
		}
		line("_sum", pairs, s[0])
		line("_count", pairs, n)
	}
}

func format(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
