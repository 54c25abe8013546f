// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package index_test

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/vasistas/vasistas/client/monitor/facts"
	"github.com/vasistas/vasistas/client/monitor/index"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/event"
)

// walks is a step that reads a whole table that grows with the log. A list of all duties is read in
// its order, up to its limit.
var walks = regexp.MustCompile(`SCAN (e|o|x|n|m|d|r|a|w|entry|name|duty|violation|reference|release|heartbeat|anchor|warrant|breach|cosignature)( |$)`)

var (
	keyed   = regexp.MustCompile(`SEARCH (n|m|w|name|reference|violation|warrant|cosignature) `) // has a key, not only a bound
	indexed = regexp.MustCompile(`USING .*INDEX`)
	ordered = regexp.MustCompile(`FROM duty WHERE [^()]*(\([^()]*\))? ORDER BY id( DESC)? LIMIT`)
)

// TestPlans: no query reads a whole table that grows with the log without an index.
func TestPlans(t *testing.T) {
	w := newLog(t)
	w.Story(rand.New(rand.NewPCG(1, 1)), 300, true)
	r := newReader(t, w)
	check(t, r.read())
	first := w.Size() / 2
	w.Story(rand.New(rand.NewPCG(2, 2)), 600, true)
	check(t, r.read())
	for _, size := range []uint64{0, first} {
		v := r.view(size)
		type query struct {
			text string
			args []any
		}
		var queries []query
		seen := map[string]bool{}
		shape := regexp.MustCompile(`[0-9]+`)
		v.Traced(func(text string, args []any) {
			if s := shape.ReplaceAllString(text, "0"); !seen[s] {
				seen[s] = true
				queries = append(queries, query{text, args})
			}
		})
		dump(t, v)
		names := []facts.Name{{Member: "custodian", Value: "c1"}}
		entries(t, v, index.Filter{Names: names})
		entries(t, v, index.Filter{Names: append(names, facts.Name{Member: "custodian", Value: "c1"}), Types: []event.Type{event.TypeRelease, event.TypeHeartbeat}, Verdict: index.Kept})
		for _, sort := range []index.Sort{index.ByIndex, index.ByDue, index.ByLate, index.ByEnded} {
			for _, s := range []index.DutyState{index.DutyOpen, index.DutyOverdue, index.DutySettled, index.DutyLate, index.DutyLapsed} {
				_, err := v.Duties(t.Context(), index.DutyFilter{State: s, Without: []string{"anchor"}, By: "provider messenger", Window: index.Window{Sort: sort}})
				check(t, err)
			}
		}
		_, err := v.Releases(t.Context(), index.CustodyFilter{Custodian: "c1", Key: w.KeyID("c1")})
		check(t, err)
		v.Traced(nil)
		if len(queries) < 30 {
			t.Fatalf("only %d queries", len(queries))
		}
		for _, q := range queries {
			steps, err := v.Plan(t.Context(), q.text, q.args)
			check(t, err)
			for _, s := range steps {
				if walks.MatchString(s) && !indexed.MatchString(s) && !ordered.MatchString(q.text) {
					t.Errorf("%s\n%s", s, q.text)
				}
				if keyed.MatchString(s) && !strings.Contains(s, "=?") {
					t.Errorf("%s\n%s", s, q.text)
				}
			}
		}
		check(t, v.Close())
	}
}

// TestManyOpen lists ten thousand open obligations.
func TestManyOpen(t *testing.T) {
	w := newLog(t)
	for i := range 5000 {
		w.Warrant(w.Now + int64(1+i%20)*people.Day)
	}
	w.Anchor(w.Checkpoint("w1", "w2", "w3"))
	w.Now += 10 * people.Day
	w.Anchor(w.Checkpoint("w1", "w2", "w3"))
	r := newReader(t, w)
	check(t, r.read())
	v := r.view(0)
	defer v.Close()
	report := r.facts.Report()
	seen := map[uint64]int{}
	for offset := uint64(0); ; offset += index.MaxLimit {
		p, err := v.Duties(t.Context(), index.DutyFilter{State: index.DutyOpen, Window: index.Window{Sort: index.ByLate, Offset: offset, Limit: 1 << 20}})
		check(t, err)
		for _, d := range p.Rows {
			seen[d.Index]++
		}
		if open := report.Open["disclosure"] + report.Open["return"] + report.Open["heartbeat"]; p.Total != open || open < 10_000 {
			t.Fatalf("%d are open, want %d", p.Total, open)
		}
		if len(p.Rows) < index.MaxLimit {
			break
		}
	}
	for i := range uint64(5000) {
		if seen[i+1] != 2 {
			t.Fatalf("warrant %d owes %d acts", i+1, seen[i+1])
		}
	}
	late, err := v.Duties(t.Context(), index.DutyFilter{State: index.DutyOverdue})
	check(t, err)
	due, err := v.Duties(t.Context(), index.DutyFilter{State: index.DutyDue, Until: v.At().AddDate(0, 0, 7), Without: []string{"heartbeat", "anchor"}})
	check(t, err)
	if late.Total != report.Overdue || late.Total == 0 || due.Total != report.Due7 || due.Total == 0 {
		t.Errorf("%d are overdue, want %d; %d are due, want %d", late.Total, report.Overdue, due.Total, report.Due7)
	}
}
