// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package index

import (
	"time"

	"github.com/vasistas/vasistas/client/monitor/facts"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// Bounds of what one query returns.
const (
	MaxLimit   = 1000 // rows of a page
	MaxRelated = 256  // entries of one chain
	MaxValues  = 256  // values of one member; others count as facts.Other
)

// Window is the part of a list that a query returns.
type Window struct {
	Sort   Sort
	Desc   bool
	Offset uint64
	Limit  int // at most MaxLimit; 0: 50
}

// Sort is the column by which a list is sorted. Rows that are equal there are in the log's order.
type Sort string

// The columns. Lists other than duties have the log's order only.
const (
	ByIndex Sort = ""      // the log's order: of duties, that of the entries that ended them if all have ended, or else that set their due dates
	ByDue   Sort = "due"   // Duty.Due
	ByLate  Sort = "late"  // Duty.Late
	ByEnded Sort = "ended" // Duty.Ended
)

// Page is a part of a list of Total rows.
type Page[T any] struct {
	Rows  []T
	Total uint64
}

// Filter picks entries. Zero fields pick all.
type Filter struct {
	Types   []event.Type
	Names   []facts.Name // each of them; Name.Member "" is of no use
	Verdict Verdict      // "": any; Breach: also the Broken ones
	// From and To bound [Entry.After]: not before From, before To.
	From, To time.Time
	Window
}

// Verdict says what the rules made of an entry when it was logged.
type Verdict string

// The verdicts.
const (
	Kept       Verdict = "kept"       // there is none
	Breach     Verdict = "breach"     // it breaks a rule
	NoEffect   Verdict = "no effect"  // it changes nothing, and no party is at fault
	Unreadable Verdict = "unreadable" // it is no event
)

// Entry is an entry of the log. All its times are UTC.
type Entry struct {
	Index   uint64
	Leaf    tlog.Hash
	Hash    event.Digest // event hash; zero if Unreadable
	Type    event.Type   // "" if Unreadable
	Claimed time.Time    // the signers' claim
	After   time.Time    // proven: it was logged after this; zero: not known
	Before  time.Time    // proven: it existed before this; zero: not known
	Verdict Verdict
	Broken  bool // a breach of it, or of what it owed, is on record
	// Names are its signers by role, and its codes: the same as in [facts.Tally]. What an entry
	// with a verdict says may be against the charter.
	Names  []facts.Name
	Agency string // of a warrant or emergency access, once a disclosure has opened it
	Opened uint64 // that disclosure's index; 0: none
	// Access is what a release or refusal is about, Warrant the warrant of that access or the one that
	// the entry itself names, Court an authority that signed this warrant. 0 and "": none.
	Access, Warrant uint64
	Court           string
}

// Name returns the first value of a member, "" if there is none.
func (e *Entry) Name(member string) string {
	for _, n := range e.Names {
		if n.Member == member {
			return n.Value
		}
	}
	return ""
}

// Detail is an entry with what the rules say of it.
type Detail struct {
	Entry
	Violations []Violation // in the log's order; the first MaxRelated
	Duties     []Duty      // that it owes or owed; the first MaxRelated
	Settles    []Duty      // that it ended; the first MaxRelated
}

// Violation is a verdict about an entry: see [ledger.Violation].
type Violation struct {
	Rule, Way string
	Kind      string // breach, overdue or no effect
	Index     uint64
	Seen      uint64
	By        string
	Text      string
	Cure      string
}

// Related is an entry of a chain, with the reference that connects it.
type Related struct {
	Entry
	Kind string // what the reference to To is: warrant, access, event, validates, suspension, prev or finding; "" of the chain's first entry
	To   uint64
}

// Chain is what belongs together: a warrant or an emergency access with all that refers to it, at
// first or second hand, in the log's order. More says that it has more than MaxRelated.
type Chain struct {
	Entries []Related
	More    bool
}

// DutyState is what became of a duty as of the view.
type DutyState string

// The states. Overdue duties are open too; those that a filter picks as DutyDue are not overdue.
const (
	AnyDuty     DutyState = ""
	DutyOpen    DutyState = "open"    // owed
	DutyOverdue DutyState = "overdue" // owed, and View.At is after Late
	DutyDue     DutyState = "due"     // owed, not overdue, and due by DutyFilter.Until
	DutySettled DutyState = "settled" // cured, or owed no longer
	DutyLate    DutyState = "late"    // settled, late
	DutyLapsed  DutyState = "lapsed"  // became a breach
)

// DutyFilter picks duties. Zero fields pick all.
type DutyFilter struct {
	State DutyState
	Until time.Time // of DutyDue
	// Rules picks duties by these rules, and Without all but those by these.
	Rules, Without []string
	By             string // Duty.By
	// EndedFrom and EndedTo bound Duty.EndedAfter: not before EndedFrom, before EndedTo.
	EndedFrom, EndedTo time.Time
	Window
}

// Duty is an obligation, from the entry that opened it to the one that ended it. Text, Due and
// Late are as they were when the last due date was set, or when the duty ended.
type Duty struct {
	ledger.Obligation           // Groups are not known here; Auditors by the charter in force
	State             DutyState // open, overdue, settled, late or lapsed
	Opened            uint64    // the entry that opened it
	OpenedAfter       time.Time // that entry's After
	Ended             uint64    // the entry that settled it, or that made it lapse; 0: open
	EndedAfter        time.Time // that entry's After
	LateSince         time.Time // ledger.Change.LateSince; zero: in time as far as the log shows
}

// BreachFilter picks breaches. Zero fields pick all.
type BreachFilter struct {
	Unclosed bool // those that bar gates
	Closed   bool // those that an audit quorum, or an amendment, has closed
	Rule, By string
	Window
}

// BreachRow is a breach on record: see [ledger.Breach].
type BreachRow struct {
	ledger.BreachJSON
	SeenAfter time.Time // the After of the entry Seen
	Closed    bool
	ClosedAt  uint64 // the entry that closed it for gates; 0 unless Closed
}

// CustodyFilter picks releases or heartbeats. Zero fields pick all.
type CustodyFilter struct {
	Custodian string
	Key       string // id of the custodian's key
	Window
}

// Release is a release, with a verdict or without one.
type Release struct {
	Entry
	Custodian string // "" if no custodian holds the key
	Key       string
	Seq       uint64
	Access    uint64
}

// Heartbeat is a heartbeat, with a verdict or without one.
type Heartbeat struct {
	Entry
	Custodian string // "" if no custodian holds the key
	Key       string
	Seq       uint64
	From, To  time.Time // its period
	Resumed   bool
}

// Head is a head that the monitor has seen, and the witnesses that had cosigned it.
type Head struct {
	facts.Head
	Cosigned []Cosignature
}

// Cosignature is a witness's cosignature of a head.
type Cosignature struct {
	Name, Key string    // as in facts.Witness
	Time      time.Time // its claim
}

// Count counts entries without a verdict that name a value.
type Count struct {
	Month string // like 2026-01; "" before the first proven time
	Value string
	N     uint64
}

// Delay says how long events of a month stayed sealed.
type Delay struct {
	Month  string // of the sealed event, like 2026-01
	Sealed uint64 // not open yet, or without end
	Lapsed uint64 // not open in time, which became a breach; a later disclosure is not counted
	// Open counts events that disclosures have opened wholly. It took half of them at most Median,
	// and nine tenths at most Ninth, in time that witnesses prove. Unproven of the open ones have
	// no proof of both times, and are not in the figures.
	Open, Unproven         uint64
	Median, Ninth, Longest time.Duration
}
