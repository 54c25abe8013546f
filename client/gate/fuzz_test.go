// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"bytes"
	"testing"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// FuzzHeadRecord: a head register that parses has exactly one spelling.
func FuzzHeadRecord(f *testing.F) {
	f.Add((&headRecord{Gate: "k", Leaf: tlog.Hash{1}}).bytes())
	f.Add((&headRecord{Checkpoint: "x\n1\n", Gate: "k", Trusted: 7, Leaf: tlog.Hash{2}}).bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseHeadRecord(b)
		if err != nil {
			return
		}
		if again := r.bytes(); !bytes.Equal(again, b) {
			t.Errorf("%q is read, and written as %q", b, again)
		}
	})
}

// FuzzJournalRecord: whatever stands in a journal, replaying it ends in a state or in
// an error.
func FuzzJournalRecord(f *testing.F) {
	f.Add([]byte{recordLogged, 1})
	f.Add(base{size: 3, seq: 2, prev: event.Digest{1}, resumed: true}.record())
	f.Add(append([]byte{recordSigned}, `{"payload":""}`...))
	f.Add(append([]byte{recordHeld}, `{}`...))
	f.Add(append([]byte{recordLetGo}, make([]byte, 32)...))
	f.Fuzz(func(t *testing.T, rec []byte) {
		if len(rec) == 0 {
			return // a journal has none
		}
		j := newJournal()
		if err := j.replay(rec); err != nil {
			return
		}
		if rec[0] == recordBase && !bytes.Equal(j.base.record(), rec) {
			t.Errorf("%x is read, and written as %x", rec, j.base.record())
		}
	})
}
