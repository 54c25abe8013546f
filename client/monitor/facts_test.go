// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package monitor_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/monitor"
	"github.com/vasistas/vasistas/client/monitor/facts"
	"github.com/vasistas/vasistas/client/monitor/mirror"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// TestFacts: a monitor says of each log, audited or only copied, what is owed and that the auditors
// vouch; tells each entry in order; and has the same facts after a restart, while the log is down,
// too. Without its auditor, the first line goes from OK to SILENT.
func TestFacts(t *testing.T) {
	w := newTestbed(t)
	policy := w.policy.WithSpread(tlog.NoSpread)
	log, err := client.New(client.Config{URL: w.LogServer.URL, Retries: -1})
	check(t, err)
	var mu sync.Mutex
	told := make(map[uint64]int) // by size: heads
	next := uint64(0)
	failed := false
	tell := func(of string, f *facts.Fact) error {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case of != origin:
			return nil
		case f.Head != nil && f.Head.Size != next, f.Head == nil && f.Entry.Index != next && f.Entry.Index != 0:
			t.Errorf("%+v is told after %d entries", f, next)
		case f.Head != nil:
			told[next]++
		case f.Entry.Index == 100 && !failed:
			failed = true
			return errors.New("the index is full")
		default:
			next = f.Entry.Index + 1
		}
		return nil
	}
	w.start(func(c *monitor.Config) { c.Tell = tell })
	w.grow(300)
	size := w.awaitServed(300).Size
	state := func(above uint64, want facts.Verdict) (s *monitor.Status) {
		t.Helper()
		eventually(t, func() error {
			s = w.status()
			if s.Line.Verdict != want || s.Facts.Head == nil || s.Facts.Head.Size < above || want == facts.OK && s.Facts.Vouched == nil {
				return fmt.Errorf("%+v", s.Line)
			}
			return nil
		})
		return s
	}
	s := state(size, facts.OK)
	if n := s.Facts.Total.Events[event.TypeWarrant]; n == nil || n.Kept != 300 || n.Of["authority"]["court"] != 300 || s.Facts.Due7 < 300 || len(s.Facts.Due) != facts.MaxListed {
		t.Errorf("%+v, %d due, %d listed", n, s.Facts.Due7, len(s.Facts.Due))
	}
	if s.Facts.Vouched == nil || len(s.Facts.Auditors) != len(w.auditor.Keys) || s.Facts.Auditors[0].Auditor != "a1" || !slices.ContainsFunc(s.Facts.Witnesses, func(w facts.Witness) bool { return !w.Time.IsZero() }) {
		t.Errorf("vouched %+v, auditors %+v, witnesses %+v", s.Facts.Vouched, s.Facts.Auditors, s.Facts.Witnesses)
	}
	text := string(w.running.MetricsText())
	for _, want := range []string{`verdict{log="log.example/warrants",verdict="OK"} 1`, `verdict{log="log.example/warrants",verdict="LATE"} 0`,
		`overdue{log="log.example/warrants",rule="anchor"} 0`, `overdue{log="log.example/warrants",rule="return"} 0`, `was_late{log="log.example/warrants"} 0`} {
		if !strings.Contains(text, "\nvasistas_monitor_"+want+"\n") {
			t.Errorf("%s is missing in %s", want, text)
		}
	}
	eventually(t, func() error {
		_, text := get(t, w.auditor.URL+"/status")
		var list []*monitor.Status
		if err := json.Unmarshal([]byte(text), &list); err != nil {
			return err
		}
		if n := len(list); n != 1 || list[0].Facts.Head == nil || list[0].Facts.Head.Size < size || list[0].Cosigned == nil {
			return fmt.Errorf("/status has %d logs: %s", n, text)
		}
		return nil
	})
	mu.Lock()
	if !failed || len(told) == 0 {
		t.Errorf("failed: %v, heads: %v", failed, told)
	}
	mu.Unlock()

	check(t, w.StopLog(t.Context()))
	s = state(size, facts.OK) // until the head is stale
	w.stop()
	w.start(nil)
	s2 := w.status()
	eventually(t, func() error {
		if s2 = w.status(); s2.Facts.Head == nil || s2.Facts.Head.Size != s.Facts.Head.Size {
			return fmt.Errorf("%+v", s2.Line)
		}
		return nil
	})
	if d := cmp.Diff(s.Facts.Total, s2.Facts.Total); d != "" {
		t.Errorf("after a restart (-before +after):\n%s", d)
	}
	// The log is down, so the word of its auditors is not known any more.
	if s2.Line.Verdict != facts.Silent || s2.Facts.Failing == "" {
		state(size, facts.Silent)
	}
	w.stop()
	check(t, w.StartLog(t.Context()))
	check(t, w.AwaitLog(t.Context()))

	// A copy without an auditor asks the log only if its URL is known.
	for _, url := range []string{"", w.LogServer.URL} {
		w.start(func(c *monitor.Config) {
			c.Auditors = nil
			c.Mirrors = []mirror.Config{{Dir: w.Path("copied"), Sources: []mirror.Source{{Name: "log", Source: log.Source()}}, Policy: policy, Origin: origin}}
			c.URLs = map[string]string{origin: url}
		})
		eventually(t, func() error {
			if s := w.status(); s.Facts.Applied < size || s.Facts.Asked != (url != "") || url == "" && s.Line.Verdict != facts.OK {
				return fmt.Errorf("asked: %v, %+v", s.Facts.Asked, s.Line)
			}
			return nil
		})
		w.stop()
	}
}
