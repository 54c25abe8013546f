// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package desk

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"github.com/vasistas/vasistas/client/monitor/index"
	"github.com/vasistas/vasistas/log/ledger"
)

// A chainPage has the releases and heartbeats of a custodian's key, the newest first.
type chainPage struct {
	Custodian, Key string
	Releases       []chainRow // a part of the last index.MaxLimit ones
	Gaps           []string   // all that is missing among those
	Page           uint64
	More           bool
	Heartbeats     []chainRow // the last ones
	Total          [2]uint64  // releases and heartbeats in the log
}

// A chainRow is a release or a heartbeat, or a gap between two.
type chainRow struct {
	Gap    string // what is missing; "": nothing
	Index  uint64
	Seq    uint64
	Access uint64
	Period string
	After  time.Time
	Effect string // its verdict
}

// custodianChain is the page of a custodian's key.
func custodianChain(q *Request, v *index.View) (any, error) {
	w, page, err := q.window("index")
	if err != nil {
		return nil, err
	}
	last := index.Window{Desc: true, Limit: index.MaxLimit}
	releases, err := v.Releases(q.HTTP.Context(), index.CustodyFilter{Key: q.Arg[0], Window: last})
	if err != nil {
		return nil, err
	}
	last.Limit = rowsShown
	beats, err := v.Heartbeats(q.HTTP.Context(), index.CustodyFilter{Key: q.Arg[0], Window: last})
	if err != nil {
		return nil, err
	}
	p := &chainPage{Key: q.Arg[0], Page: page, Total: [2]uint64{releases.Total, beats.Total}}
	// The log can append what the key has not signed, which then names no custodian: it fills no gap.
	stated := uint64(0)
	for i := range beats.Rows {
		if h := &beats.Rows[i]; h.Custodian != "" {
			p.Custodian, stated = h.Custodian, max(stated, h.Seq)
		}
	}
	for i := range releases.Rows {
		p.Custodian = cmp.Or(p.Custodian, releases.Rows[i].Custodian)
	}
	if p.Custodian == "" {
		return nil, &httpError{http.StatusNotFound, "error.custodian"}
	}
	rows := q.releases(p, releases, stated)
	from := min(w.Offset, uint64(len(rows)))
	p.Releases = rows[from:min(from+rowsShown, uint64(len(rows)))]
	p.More = from+rowsShown < uint64(len(rows))
	q.beats(p, beats.Rows)
	return p, nil
}

// releases returns rows by their number, the largest first, and what is missing between them and what a
// heartbeat states. Releases may be logged out of order: near the first of a part of the chain nothing is said.
func (q *Request) releases(p *chainPage, found index.Page[index.Release], stated uint64) (rows []chainRow) {
	list := found.Rows
	slices.SortStableFunc(list, func(a, b index.Release) int { return cmp.Compare(b.Seq, a.Seq) })
	next, low := stated+1, uint64(0)
	if found.Total > uint64(len(list)) && len(list) > 0 {
		low = list[len(list)-1].Seq + ledger.MaxAhead
	}
	gap := func(seq uint64) {
		if text := q.missing(max(seq, low), next); text != "" {
			p.Gaps, rows = append(p.Gaps, text), append(rows, chainRow{Gap: text})
		}
		next = seq
	}
	for i := range list {
		r := &list[i]
		if r.Custodian != "" {
			gap(r.Seq)
		}
		rows = append(rows, chainRow{Index: r.Index, Seq: r.Seq, Access: r.Access, After: r.After, Effect: q.Judged(r.Entry)})
	}
	gap(0)
	return rows
}

// missing says which numbers between two are missing; "": none.
func (q *Request) missing(low, high uint64) string {
	switch {
	case high <= low+1:
		return ""
	case high == low+2:
		return q.T("chain.gap", q.N(low+1))
	}
	return q.T("chain.gaps", q.N(low+1), q.N(high-1))
}

// beats adds rows, and the time between them that no heartbeat covers.
func (q *Request) beats(p *chainPage, rows []index.Heartbeat) {
	var next time.Time // where the row after begins
	for i := range rows {
		h := &rows[i]
		signed := h.Custodian != ""
		if signed && h.To.Before(next) {
			p.Heartbeats = append(p.Heartbeats, chainRow{Gap: q.T("chain.silent", q.When(h.To), q.When(next))})
		}
		p.Heartbeats = append(p.Heartbeats, chainRow{Index: h.Index, Seq: h.Seq, Period: q.fromTo(h.From, h.To), After: h.After, Effect: q.Judged(h.Entry)})
		if signed {
			next = h.From
		}
	}
}
