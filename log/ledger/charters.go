// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"fmt"

	"github.com/vasistas/vasistas/log/event"
)

// Charters checks charters without the entries between them, by the rules of
// [Ledger.Apply]: the first is entry 0 of the log, and each other one amends the one
// before it. It returns the charters up to the first that fails, and why that one
// fails: a [*Violation] or ErrRules. The charters show what the founders signed. They
// can't show that the log has no other amendment.
func Charters(origin string, entries []Entry) ([]*Charter, error) {
	l := New(origin, nil) // a charter refers to no entry but a charter, so no Tree is read
	for i := range entries {
		e := &entries[i]
		if e.Envelope == nil || e.Envelope.Event.Type != event.TypeCharter {
			return l.charters, fmt.Errorf("entry %d is no charter", e.Index)
		}
		if now := l.Charter(); now != nil && e.Index <= now.Index {
			return l.charters, fmt.Errorf("the charter in entry %d does not come after entry %d", e.Index, now.Index)
		}
		_, do, v, err := l.check(*e)
		if v != nil {
			err = v
		}
		if err != nil {
			return l.charters, err
		}
		do()
	}
	return l.charters, nil
}
