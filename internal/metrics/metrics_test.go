// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/vasistas/vasistas/internal/metrics"
)

// read returns what Prometheus's parser reads: each name with its type and help, and each
// value by name and labels.
func read(t *testing.T, text []byte) (families map[string]string, values map[string]float64) {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	parsed, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	families, values = make(map[string]string), make(map[string]float64)
	for name, f := range parsed {
		families[name] = f.GetType().String() + " " + f.GetHelp()
		for _, m := range f.GetMetric() {
			key := name
			for _, l := range m.GetLabel() {
				key += fmt.Sprintf(" %s=%s", l.GetName(), l.GetValue())
			}
			switch {
			case m.Counter != nil:
				values[key] = m.Counter.GetValue()
			case m.Gauge != nil:
				values[key] = m.Gauge.GetValue()
			case m.Histogram != nil:
				values[key+" sum"], values[key+" count"] = m.Histogram.GetSampleSum(), float64(m.Histogram.GetSampleCount())
				for _, b := range m.Histogram.GetBucket() {
					values[fmt.Sprint(key, " ≤", b.GetUpperBound())] = float64(b.GetCumulativeCount())
				}
			}
		}
	}
	return families, values
}

// TestText compares what Prometheus's parser reads with what was counted.
func TestText(t *testing.T) {
	hostile := "a \\n \"b\",c=\"d\"} 1\nevil 7\n\\"
	var s metrics.Set
	plain := s.Counter("plain_total", "Counts without labels.")
	labeled := s.Counter("labeled_total", hostile, "code", "text")
	s.Counter("unused_total", "Never counted.", "label")
	gauge := s.Gauge("gauge", "Goes up and down.")
	replaced := s.Gauge("replaced", "By rule.", "rule")
	seconds := s.Histogram("seconds", "Times.", metrics.Exponential(0.001, 2, 3), "outcome")
	sizes := s.Histogram("sizes", "Sizes.", []float64{1, 4})

	families, values := read(t, s.Text())
	wantFamilies := map[string]string{
		"plain_total": "COUNTER Counts without labels.", "gauge": "GAUGE Goes up and down.", "sizes": "HISTOGRAM Sizes.",
	}
	wantValues := map[string]float64{
		"plain_total": 0, "gauge": 0, "sizes sum": 0, "sizes count": 0, "sizes ≤1": 0, "sizes ≤4": 0, "sizes ≤+Inf": 0,
	}
	if d := cmp.Diff(wantFamilies, families) + cmp.Diff(wantValues, values); d != "" {
		t.Errorf("at the start: %s", d)
	}

	plain.Add(1)
	plain.Add(2)
	labeled.Add(0, "200", "")
	labeled.Add(5, "500", hostile)
	gauge.Set(1796000000.25)
	gauge.Add(-0.25)
	replaced.Set(9, "gone")
	replaced.Replace(map[string]int{"a": 1, hostile: 2})
	for _, v := range []float64{0.0005, 0.001, 0.0011, 0.004, 0.0041, 1e9} {
		seconds.Observe(v, "ok")
	}
	seconds.Observe(math.Inf(1), "late")
	sizes.Observe(1)
	families, values = read(t, s.Text())
	maps.Copy(wantFamilies, map[string]string{
		"labeled_total": "COUNTER " + hostile, "replaced": "GAUGE By rule.", "seconds": "HISTOGRAM Times.",
	})
	wantValues = map[string]float64{
		"plain_total": 3, "labeled_total code=200 text=": 0, "labeled_total code=500 text=" + hostile: 5,
		"gauge": 1796000000, "replaced rule=a": 1, "replaced rule=" + hostile: 2,
		"seconds outcome=ok ≤0.001": 2, "seconds outcome=ok ≤0.002": 3, "seconds outcome=ok ≤0.004": 4, "seconds outcome=ok ≤+Inf": 6,
		"seconds outcome=ok sum": 1e9 + 0.0107, "seconds outcome=ok count": 6,
		"seconds outcome=late ≤0.001": 0, "seconds outcome=late ≤0.002": 0, "seconds outcome=late ≤0.004": 0, "seconds outcome=late ≤+Inf": 1,
		"seconds outcome=late sum": math.Inf(1), "seconds outcome=late count": 1,
		"sizes sum": 1, "sizes count": 1, "sizes ≤1": 1, "sizes ≤4": 1, "sizes ≤+Inf": 1,
	}
	if d := cmp.Diff(wantFamilies, families) + cmp.Diff(wantValues, values); d != "" {
		t.Error(d)
	}
}

// TestConcurrent counts, observes and reads at once.
func TestConcurrent(t *testing.T) {
	var s metrics.Set
	counter, histogram := s.Counter("counter_total", "Help.", "label"), s.Histogram("histogram", "Help.", []float64{1})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range 200 {
				counter.Add(1, fmt.Sprint(n%3))
				histogram.Observe(float64(i))
				_, values := read(t, s.Text())
				if values["histogram count"] != values["histogram ≤+Inf"] {
					t.Errorf("a histogram was read while it changed: %v", values)
				}
			}
		})
	}
	all.Wait()
	_, values := read(t, s.Text())
	want := map[string]float64{
		"counter_total label=0": 536, "counter_total label=1": 536, "counter_total label=2": 528,
		"histogram ≤1": 400, "histogram ≤+Inf": 1600, "histogram count": 1600, "histogram sum": 28 * 200,
	}
	if d := cmp.Diff(want, values); d != "" {
		t.Error(d)
	}
}
