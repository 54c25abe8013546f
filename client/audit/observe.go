// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// An Observer is shown what an audit reads: for who looks for something in a log and
// wants to know, from the same reading, what it is worth there. An error of it ends
// the audit.
type Observer interface {
	// Start is called once, before the first entry that is not in the snapshot, with
	// the ledger that the audit keeps, and the head that it goes up to.
	Start(*ledger.Ledger, *tlog.Verified) error
	// Read is called with each event by the workers: side by side, in no order, and
	// perhaps for entries that the audit never comes to apply. What it returns goes
	// to Before.
	Read(*ledger.Entry) any
	// Before is called with each entry in the log's order, before it is applied.
	Before(l *ledger.Ledger, e *ledger.Entry, note any) error
	// After is called once it is, with what was found about it.
	After(l *ledger.Ledger, e *ledger.Entry, found []*ledger.Violation) error
}

// before and after ask the observer, if there is one.
func (a *auditor) before(b *batch, i int) error {
	if a.c.Observer == nil {
		return nil
	}
	return a.c.Observer.Before(a.l, &b.read[i], b.notes[i])
}

func (a *auditor) after(e *ledger.Entry, found []*ledger.Violation) error {
	if a.c.Observer == nil {
		return nil
	}
	return a.c.Observer.After(a.l, e, found)
}
