// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"slices"

	"github.com/vasistas/vasistas/log/event"
)

var budgetOver = &Way{"budget", "over", KindBreach, "its key has logged {count} events since the budget began again, which is the limit", "log it after the next anchor that ends the interval"}

// budgeted bounds the events that one custodian's or auditor's key has in an interval.
// An event over the budget has no effect, and the log answers for it, since admission
// should have refused it. Without a witnessed time no interval ends, so there is no
// budget.
func (x *act) budgeted(do effect, v *Violation) (effect, *Violation) {
	if x.by == Log || !x.c.Witnesses.NeedsWitnesses() || x.exempt(do, v) {
		return do, v
	}
	if n := x.l.spent[x.signers[0].key]; n >= x.c.Profile.Budget.Events {
		over := x.fail(budgetOver, n).byLog()
		x.signers = nil // its id is not remembered
		return nil, over
	}
	x.spends = true
	return do, v
}

// spend counts an event of the budget.
func (x *act) spend() {
	if x.spends {
		x.l.spent[x.signers[0].key]++
	}
}

// renew begins all budgets again at the first anchor an interval after the last time.
func (l *Ledger) renew() {
	if l.after >= l.renewed+int64(l.Charter().Profile.Budget.Interval) {
		l.renewed = l.after
		clear(l.spent)
	}
}

// exempt reports whether an event doesn't count: the log asks its signer for it, needs it
// as evidence, or repeats it.
func (x *act) exempt(do effect, v *Violation) bool {
	switch {
	case v != nil && v.Kind == KindBreach:
		return !slices.ContainsFunc(x.l.breaches, func(b *Breach) bool { return b.By == v.By && b.Rule == v.Rule })
	case v != nil && v.Way == formRepeated:
		return true
	case do == nil:
		return false
	}
	signer := x.signers[0]
	switch b := x.ev.Body.(type) {
	case *event.Release:
		return !x.dead
	case *event.Refusal:
		it := x.l.open.get(b.Access.Index)
		why, _ := x.l.dead(it)
		return why == "" && !slices.ContainsFunc(it.access.refusals, func(r refused) bool { return r.key == signer.key })
	case *event.Heartbeat:
		return min(b.To.Unix(), x.time) >= x.l.chains[signer.key].beat+int64(x.c.Profile.Heartbeat.Within)
	case *event.Finding:
		return b.State == event.FindingClosed && slices.ContainsFunc(x.named(b), func(b *Breach) bool {
			s, ok := b.standOf(signer.party.Name, x.e.Index)
			return !ok || s.open
		})
	}
	return false
}
