// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package desk

import (
	"time"

	"github.com/vasistas/vasistas/client/monitor/index"
	"github.com/vasistas/vasistas/log/event"
)

// timelineShown is the number of events on one page of the timeline.
const timelineShown = 100

// A timelinePage has events by month, the newest first.
type timelinePage struct {
	Months []timelineMonth
	Page   uint64
	More   bool
	Quiet  bool // without heartbeats and anchors
}

type timelineMonth struct {
	Name    string
	Entries []entryRow
}

// timeline is the page of what happened, by month of proven times.
func timeline(q *Request, v *index.View) (any, error) {
	w, page, err := q.window("index")
	if err != nil {
		return nil, err
	}
	w.Desc, w.Limit, w.Offset = true, timelineShown, (page-1)*timelineShown
	f := index.Filter{Window: w}
	p := &timelinePage{Page: page, Quiet: q.Get("all") == ""}
	for _, t := range event.Types() {
		if t != event.TypeHeartbeat && t != event.TypeAnchor {
			f.Types = append(f.Types, t)
		}
	}
	if !p.Quiet {
		f.Types = nil
	}
	found, err := v.Entries(q.HTTP.Context(), f)
	if err != nil {
		return nil, err
	}
	p.More = f.Offset+uint64(len(found.Rows)) < found.Total
	for _, e := range found.Rows {
		name := q.month(monthName(e.After))
		if n := len(p.Months); n == 0 || p.Months[n-1].Name != name {
			p.Months = append(p.Months, timelineMonth{Name: name})
		}
		m := &p.Months[len(p.Months)-1]
		m.Entries = append(m.Entries, q.entryRow(e))
	}
	return p, nil
}

func monthName(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format("2006-01")
}
