// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package desk

import (
	"cmp"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/vasistas/vasistas/client/monitor/facts"
	"github.com/vasistas/vasistas/client/monitor/index"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/round"
)

// trust is the page of who may sign what in a log.
func trust(q *Request) (*Answer, error) {
	r := q.Report()
	d := struct {
		Charter  *ledger.Charter // nil: none
		Charters []Amended
	}{Charters: q.amended(r)}
	if len(r.Charters) > 0 {
		d.Charter = r.Charters[0]
	}
	return &Answer{Template: "trust", Data: d}, nil
}

func witnesses(q *Request) (*Answer, error) { return &Answer{Template: "witnesses"}, nil }

// maxKeys bounds the custodians' keys on a page.
const maxKeys = 200

// custodians is the page of the custodians' chains: those in use first.
func custodians(q *Request) (*Answer, error) {
	all := slices.Clone(q.Report().Custodians)
	slices.SortStableFunc(all, func(a, b facts.Custodian) int {
		if a.Ended != b.Ended {
			return map[bool]int{false: -1, true: 1}[a.Ended]
		}
		return cmp.Compare(a.Custodian, b.Custodian)
	})
	return &Answer{Template: "custodians", Data: struct {
		List []facts.Custodian
		More int
	}{limit(all, maxKeys), max(0, len(all)-maxKeys)}}, nil
}

// Amended is a charter with what it changed.
type Amended struct {
	*ledger.Charter
	At      time.Time
	Changes []string // of the charter before; none of the first charter
	More    int      // changes that are not listed
}

// Bounds of what is listed. A policy has at most 32 keys.
const (
	maxChanges  = 16 // of one charter
	maxCharters = 16
	maxBars     = 2  // of one auditor's answer
	maxKeysOf   = 32 // of witnesses, and of auditors
)

// Witnesses returns the first keys of witnesses.
func (q *Request) Witnesses() []facts.Witness { return limit(q.Report().Witnesses, maxKeysOf) }

// Auditors returns the answers of the first keys of auditors.
func (q *Request) Auditors() []facts.Answer { return limit(q.Report().Auditors, maxKeysOf) }

// Bars returns the first bars of an auditor's answer.
func (q *Request) Bars(a facts.Answer) []round.Bar { return limit(a.Bars, maxBars) }

// amended returns the charters of a report, newest first.
func (q *Request) amended(r *facts.Report) (out []Amended) {
	for i, c := range limit(r.Charters, maxCharters) {
		a := Amended{Charter: c, At: time.Unix(c.Time, 0).UTC()}
		if i+1 < len(r.Charters) {
			a.Changes = q.changes(r.Charters[i+1].Charter, c.Charter)
			a.More = max(0, len(a.Changes)-maxChanges)
			a.Changes = limit(a.Changes, maxChanges)
		}
		out = append(out, a)
	}
	return out
}

// changes says what differs between a charter and its amendment.
func (l *Lang) changes(old, now *event.Charter) (out []string) {
	say := func(key string, args ...any) { out = append(out, l.T(key, args...)) }
	for i := range now.Parties {
		p := &now.Parties[i]
		keys := l.Keys(*p)
		switch was := old.Party(p.Role, p.Name); {
		case was == nil:
			say("change.added", l.Role(p), strings.Join(keys, ", "))
		case !slices.Equal(l.Keys(*was), keys):
			say("change.keys", l.Role(p), strings.Join(l.Keys(*was), ", "), strings.Join(keys, ", "))
		}
	}
	for i := range old.Parties {
		if p := &old.Parties[i]; now.Party(p.Role, p.Name) == nil {
			say("change.removed", l.Role(p), strings.Join(l.Keys(*p), ", "))
		}
	}
	for i := range now.Void {
		if v := &now.Void[i]; !slices.ContainsFunc(old.Void, func(o event.Void) bool { return o.Key == v.Key }) {
			say("change.void", v.Key, l.N(v.From))
		}
	}
	for _, part := range []struct {
		key  string
		same bool
	}{
		{"change.log", slices.Equal(old.LogKeys, now.LogKeys)},
		{"change.witnesses", old.WitnessPolicy == now.WitnessPolicy},
		{"change.auditors", old.AuditPolicy == now.AuditPolicy},
		{"change.groups", slices.EqualFunc(old.Groups, now.Groups, func(a, b event.Group) bool {
			return a.ID == b.ID && a.Threshold == b.Threshold && slices.Equal(a.Members, b.Members)
		})},
		{"change.profile", reflect.DeepEqual(old.Profile, now.Profile)},
	} {
		if !part.same {
			say(part.key)
		}
	}
	return out
}

// Role returns a party with its role, such as "custodian notary".
func (l *Lang) Role(p *event.Party) string { return l.Party(string(p.Role) + " " + p.Name) }

// Keys returns the fingerprints of a party's keys: SHA-256 in hex.
func (l *Lang) Keys(p event.Party) (ids []string) {
	for _, k := range p.Keys {
		ids = append(ids, k.KeyID())
	}
	return ids
}

// Vkey returns what tells a verifier key from others: its name and hash.
func (l *Lang) Vkey(key string) string {
	if parts := strings.SplitN(key, "+", 3); len(parts) == 3 {
		return clean(parts[0] + "+" + parts[1])
	}
	return clean(key)
}

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
