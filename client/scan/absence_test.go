// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package scan_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/client/scan"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/event"
)

// months passes two months, with heartbeats.
func (w *world) months() {
	w.anchor()
	for range 2 {
		w.Now += 37 * day
		for _, c := range []string{"c1", "c2", "c3"} {
			w.Heartbeat(c)
		}
		w.anchor()
	}
}

// keeps scans with a clock, and returns the report with its state.
func (w *world) keeps(now time.Time) (r *scan.Report, state []byte) {
	r = w.scan(func(c *scan.Config) {
		c.Now, c.Save = now, func(b []byte) error { state = slices.Clone(b); return nil }
	})
	return r, state
}

// A clock that is months behind once hides nothing: the witnesses' time says which keys there
// are.
func TestScanClockBehindOnce(t *testing.T) {
	w := newWorld(t)
	w.months()
	w.disclose(w.release([]string{me}, w.key(2, kems[0])))
	r, state := w.keeps(time.Unix(written.Start, 0))
	if r.Outcome() == scan.Nothing || r.To != "2026-04" || !slices.Contains(r.Reasons, audit.ReasonClock) {
		t.Errorf("clock behind: %s, keys up to %s, reasons %v", r.Result, r.To, r.Reasons)
	}
	wants(t, w.scan(func(c *scan.Config) { c.Snapshot = state }), scan.Found, 1)
}

// Keys of months that an earlier run did not try are tried at the entries that it read.
func TestScanFillsGapOfMonths(t *testing.T) {
	w := newWorld(t)
	// An app whose clock is months ahead encrypted to it.
	w.disclose(w.release([]string{me}, w.key(2, kems[0])))
	r, state := w.keeps(nowOf(w))
	wants(t, r, scan.Nothing, 0)
	if r.To != "2026-02" {
		t.Errorf("keys up to %s", r.To)
	}
	w.months()
	r = w.scan(func(c *scan.Config) { c.Snapshot = state })
	wants(t, r, scan.Found, 1)
	if r.Audit.Resumed != 0 {
		t.Error("entries that hold a notice were not scanned again")
	}
	// Without a notice in the gap, the state goes on.
	other := newWorld(t)
	other.disclose(other.release([]string{"bob@example.org"}, other.stranger(kems[0])))
	_, state = other.keeps(nowOf(other))
	other.months()
	r = other.scan(func(c *scan.Config) { c.Snapshot = state })
	wants(t, r, scan.Nothing, 0)
	if r.Audit.Resumed == 0 || r.To != "2026-04" || r.Tries < 4 {
		t.Errorf("resumed %d, keys up to %s, tries %d", r.Audit.Resumed, r.To, r.Tries)
	}
}

// An old head proves no absence, unless it is asked for a copy of that time.
func TestScanStaleHead(t *testing.T) {
	w := newWorld(t)
	w.disclose(w.release([]string{"bob@example.org"}, w.stranger(kems[0])))
	r := w.scan(func(c *scan.Config) { c.Now = c.Now.AddDate(3, 0, 0) })
	wants(t, r, scan.Undecided, 0)
	if !slices.Equal(r.Reasons, []string{audit.ReasonStale}) {
		t.Errorf("reasons %v", r.Reasons)
	}
	wants(t, w.scan(nil), scan.Nothing, 0)
}

// A custodian that states another's notice, and has it published first, hides nothing.
func TestScanLiarMasksNothing(t *testing.T) {
	w := newWorld(t)
	c := &released{Case: w.NewCase(hour12, []string{me}, w.Wrap(w.key(0, kems[0]), me))}
	b, err := w.Notice(c.Case, "c1", 0).Seal(w.key(0, kems[0]))
	if err != nil {
		t.Fatal(err)
	}
	honest, liar := w.ReleaseWith(c.Access, "c1", b), w.ReleaseWith(c.Access, "c2", b)
	w.anchor()
	w.Now += 13 * hour
	w.anchor()
	for _, r := range []*written.Logged{liar, honest} {
		w.LogEvent(w.Event(&event.Disclosure{Event: r.Reference, Notices: [][]byte{b}}), "messenger")
	}
	w.Disclose(c.Access)
	w.Disclose(c.Warrant)
	w.Return(c.Warrant)
	w.anchor()
	r := w.scan(nil)
	wants(t, r, scan.Found, 1)
	if n := r.Cases[0].Notices; len(n) != 1 || n[0].Release.By != "c1" || n[0].Release.Index != honest.Index || !n[0].Effect || len(r.Unproven) != 0 {
		t.Error(text(t, r))
	}
}

// False notices, however many, push no true one out of the report.
func TestScanFloodEvictsWhatProvesNothing(t *testing.T) {
	was := scan.SetMaxHits(8)
	t.Cleanup(func() { scan.SetMaxHits(was) })
	w := newWorld(t)
	mine := w.release([]string{me}, w.key(0, kems[0]))
	flood := func(n int) {
		for i := range n {
			false1 := w.Notice(mine.Case, "c1", 0)
			false1.Seq += uint64(i)
			b, err := false1.Seal(w.key(0, kems[0]))
			if err != nil {
				t.Fatal(err)
			}
			w.LogEvent(w.Event(&event.Disclosure{Event: mine.Access.Reference, Notices: [][]byte{b}}), "messenger")
		}
	}
	flood(20)
	second := w.release([]string{me}, w.key(0, kems[0]))
	w.disclose(mine, second)
	flood(30)
	r, state := w.keeps(nowOf(w))
	wants(t, r, scan.Found, 2)
	if len(r.Cases[0].Notices) != 2 || len(r.Cases[1].Notices) != 2 || len(r.Unproven) > 8 || r.Left+uint64(len(r.Unproven)) != 50 {
		t.Errorf("%d left, %d unproven\n%s", r.Left, len(r.Unproven), text(t, r))
	}
	// The bound grows with what proves something.
	scan.SetMaxHits(1)
	w.LogEvent(w.Event(&event.Disclosure{Event: mine.Access.Reference, Notices: [][]byte{mine.releases[0].Notices[0]}}), "messenger")
	flood(1)
	r = w.scan(func(c *scan.Config) { c.Snapshot = state })
	wants(t, r, scan.Found, 2)
	if !strings.Contains(strings.Join(r.Reasons, " "), scan.ReasonUnproven) {
		t.Errorf("reasons %v", r.Reasons)
	}
}
