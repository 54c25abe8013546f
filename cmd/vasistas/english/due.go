// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package english

import (
	"slices"
	"time"

	"github.com/vasistas/vasistas/client/audit"
)

// Due returns what is owed as text, by debtor, with at most list elements of each list.
func Due(d *audit.Due, list int) string {
	return say("due", struct {
		*audit.Due
		List    int
		Debtors []dueDebtor
	}{d, list, debtors(d)})
}

// dueDebtor is what one party owes. Each list is in order of dates.
type dueDebtor struct {
	By                          string
	Overdue, Due, Sealed, Later []audit.DueItem
	Lacking                     []audit.DueItem // disclosures whose openings the vault lacks
}

// debtors groups what is owed by debtor: who owes the first item stands first.
func debtors(d *audit.Due) []dueDebtor {
	var out []dueDebtor
	for _, item := range d.Items {
		i := slices.IndexFunc(out, func(o dueDebtor) bool { return o.By == item.By })
		if i < 0 {
			i, out = len(out), append(out, dueDebtor{By: item.By})
		}
		o := &out[i]
		for state, list := range map[string]*[]audit.DueItem{audit.DueOverdue: &o.Overdue, audit.DueSoon: &o.Due, audit.DueSealed: &o.Sealed, audit.DueLater: &o.Later} {
			if item.State == state {
				*list = append(*list, item)
			}
		}
		if item.InVault != nil && !*item.InVault {
			o.Lacking = append(o.Lacking, item)
		}
	}
	return out
}

// isIn says how long after another a time is.
func isIn(t, from time.Time) string {
	if !t.After(from) {
		return "in its grace"
	}
	return "in " + age(int64(t.Sub(from)/time.Second))
}

func last[T any](list []T) T { return list[len(list)-1] }
