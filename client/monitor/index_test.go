// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package monitor_test

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/vasistas/vasistas/client/monitor"
	"github.com/vasistas/vasistas/client/monitor/facts"
	"github.com/vasistas/vasistas/client/monitor/index"
	"github.com/vasistas/vasistas/log/event"
)

// TestIndexOfMonitor: a monitor's index has each head soon, and comes back after its file was deleted,
// while the log is down. What is wrong with the index changes nothing that the monitor says.
func TestIndexOfMonitor(t *testing.T) {
	w := newTestbed(t)
	path := w.Path("index.db")
	x, err := index.Open(index.Config{Path: path, Origin: origin})
	check(t, err)
	t.Cleanup(func() { check(t, x.Close()) })
	w.start(func(c *monitor.Config) {
		c.Tell = func(_ string, f *facts.Fact) error { return x.Tell(f) }
	})
	whole := func(warrants uint64) {
		t.Helper()
		eventually(t, func() error {
			v, err := x.View(t.Context(), 0)
			if err != nil {
				return err
			}
			defer v.Close()
			p, err := v.Entries(t.Context(), index.Filter{Types: []event.Type{event.TypeWarrant}})
			if s := w.status(); err == nil && (p.Total != warrants || x.Notice() != "" || s.Facts.Failing != "") {
				err = fmt.Errorf("%d warrants; %q; %q", p.Total, x.Notice(), s.Facts.Failing)
			}
			return err
		})
	}
	w.grow(20)
	whole(20)
	w.grow(20)
	whole(40)
	check(t, w.StopLog(t.Context()))
	check(t, os.Remove(path))
	eventually(t, func() error {
		if _, err := os.Stat(path); err != nil {
			return err
		}
		return nil
	})
	whole(40)
	eventually(t, func() error {
		if s := w.status(); s.Facts.Total.Events[event.TypeWarrant].Kept != 40 {
			return errors.New("the monitor lacks warrants")
		}
		return nil
	})
}
