// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"fmt"
	"strings"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// A Tree is the caller's verified tree. It returns entries below the ledger's size
// and roots of sizes up to it, also of entries that are applied but not yet stored.
// An error fails the Apply that caused the call, and changes nothing.
type Tree interface {
	Entry(index uint64) ([]byte, error)
	Root(size uint64) ([32]byte, error)
}

// A SigState says whether a signature is verified.
type SigState uint8

// The states.
const (
	Unchecked SigState = iota // Apply verifies it
	Good                      // verified by the caller, under Ledger.Key's key
	Bad                       // does not verify
)

// An Entry is a parsed entry of the log. The costly steps, [Read] and
// [Entry.Verify], may run in parallel before Apply.
type Entry struct {
	Index      uint64
	Leaf       tlog.Hash       // RFC 6962 leaf hash
	Envelope   *event.Envelope // nil: the entry doesn't parse
	Err        error           // the parser's error
	Hash       event.Digest    // event hash; zero: Apply computes it
	Signatures []SigState      // by envelope signature; nil: all Unchecked

	// Extends is the warrant that this one extends; nil: none, or not known. The reference is
	// sealed, so only admission, which has the openings, sets it.
	Extends *event.Reference
}

// Read parses the bytes of an entry. It never fails: Apply returns a verdict about
// an entry that doesn't parse.
func Read(index uint64, b []byte) Entry {
	e := Entry{Index: index, Leaf: tiles.LeafHash(b)}
	if e.Envelope, e.Err = event.ParseEnvelope(b); e.Err != nil {
		e.Envelope = nil
		return e
	}
	e.Hash = e.Envelope.Hash()
	return e
}

// Verify verifies the signatures whose keys lookup knows ([Ledger.Key]) and
// leaves the others to Apply, which knows the charter at the entry's index.
func (e *Entry) Verify(lookup func(keyID string) *event.PublicKey) {
	if e.Envelope == nil {
		return
	}
	e.Signatures = make([]SigState, len(e.Envelope.Signatures))
	for i, s := range e.Envelope.Signatures {
		if k := lookup(s.KeyID); k != nil {
			e.Signatures[i] = verify(e.Envelope, i, k)
		}
	}
}

func verify(env *event.Envelope, i int, k *event.PublicKey) SigState {
	one := event.Envelope{Event: env.Event, Payload: env.Payload, Signatures: env.Signatures[i : i+1]}
	if one.Verify(func(string) *event.PublicKey { return k }) != nil {
		return Bad
	}
	return Good
}

// A Kind says what follows from a violation.
type Kind uint8

// The kinds.
const (
	KindBreach   Kind = iota + 1 // stays on record; bars auditors until they close it
	KindOverdue                  // lasts until it is cured, or unfulfilled
	KindNoEffect                 // the entry changes nothing, and no party is at fault
)

func (k Kind) String() string {
	return [...]string{"", "breach", "overdue", "no effect"}[k]
}

// Log is the Violation.By of entries that admission should have refused.
const Log = "log"

// A Violation is a verdict about an entry.
type Violation struct {
	Cause
	Index uint64           // the entry at fault
	Seen  uint64           // the entry that showed it: Index or a later one
	By    string           // who must answer: Log, or role and name; "X or log" if the entries don't tell which
	About *event.Reference // the reference that is at issue, if any

	key uint32 // number + 1 of the custodian's or auditor's key that must answer; 0: none
}

// orLog is the Violation.By of what either the party or the log did, when the
// entries don't tell which.
func orLog(by string) string { return by + " or " + Log }

// Party words the By of a violation, a breach or an obligation for a sentence: "the log", "the
// provider messenger", "the custodian c1 or the log".
func Party(by string) string {
	if party, ok := strings.CutSuffix(by, " or "+Log); ok {
		return "the " + party + " or the " + Log
	}
	return "the " + by
}

func (v *Violation) Error() string {
	return fmt.Sprintf("rule %s (%s): entry %d: %s", v.Rule, v.Code, v.Index, v.Text())
}
