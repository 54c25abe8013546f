// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"github.com/vasistas/vasistas/log/ledger"
)

// Status is the state of a running log, in JSON: what its operator can read of it over HTTP. Times
// are like 2006-01-02T15:04:05Z. A standby has no figures.
type Status struct {
	// Unready says why the log admits no events, and what ends that; "": it admits them.
	Unready   string      `json:"unready,omitempty"`
	Published *StatusHead `json:"published,omitempty"`
	Waiting   *int64      `json:"waiting,omitempty"`   // entries that are not published yet
	Named     *StatusHead `json:"named,omitempty"`     // for auditors
	Audited   *StatusHead `json:"audited,omitempty"`   // that met the audit policy last
	Owed      []OwedRule  `json:"owed"`                // by rule
	Lost      int64       `json:"vaultLost,omitempty"` // events that the log must disclose, and that its vault has lost
}

// StatusHead is a head in a [Status].
type StatusHead struct {
	Size int64     `json:"size"`
	At   time.Time `json:"at"`
}

// OwedRule counts the obligations of a rule.
type OwedRule struct {
	Rule    string `json:"rule"`
	Owed    int64  `json:"owed"` // overdue or not
	Overdue int64  `json:"overdue"`
	Late    int64  `json:"late"` // that ended late since the start
}

// ReadStatus reads the figures of a status from a log's metrics, as [Log.Metrics] returns them.
func ReadStatus(text []byte) *Status {
	figure := func(name string) (n int64, ok bool) {
		for l := range bytes.Lines(text) {
			if v, found := bytes.CutPrefix(l, []byte("vasistas_log_"+name+" ")); found {
				f, err := strconv.ParseFloat(string(bytes.TrimSpace(v)), 64)
				return int64(f), err == nil
			}
		}
		return 0, false
	}
	head := func(name string) *StatusHead {
		at, ok := figure(name + "_timestamp_seconds")
		if !ok || at <= 0 {
			return nil
		}
		size, _ := figure(name + "_size")
		return &StatusHead{size, time.Unix(at, 0).UTC()}
	}
	s := &Status{Published: head("published"), Named: head("named"), Audited: head("audited"), Owed: []OwedRule{}}
	if tree, ok := figure("tree_size"); ok {
		published, _ := figure("published_size")
		s.Waiting = new(tree - published)
	}
	for _, rule := range ledger.Owing() {
		label := fmt.Sprintf("{rule=%q}", rule)
		if owed, ok := figure("owed" + label); ok {
			overdue, _ := figure("overdue" + label)
			late, _ := figure("late_total" + label)
			s.Owed = append(s.Owed, OwedRule{rule, owed, overdue, late})
		}
	}
	s.Lost, _ = figure("vault_lost")
	return s
}
