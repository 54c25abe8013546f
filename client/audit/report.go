// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// Verdict is the result of an audit, and the exit code of the command.
type Verdict int

const (
	Clean Verdict = iota
	Violations
	Undecided
)

func (v Verdict) String() string { return [...]string{"clean", "violations", "undecided"}[v] }

// Codes of reasons.
const (
	ReasonPolicy      = "policy"      // the policy does not accept the log's checkpoint
	ReasonCharter     = "charter"     // the head does not meet the charter's own witness policy
	ReasonRollback    = "rollback"    // the log serves a smaller tree than a verified one
	ReasonCorrupt     = "corrupt"     // a tile or bundle does not fit the tree
	ReasonUnreadable  = "unreadable"  // the log could not be read
	ReasonRules       = "rules"       // the charter names rules that this version does not know
	ReasonStale       = "stale"       // the head is older than the profile allows
	ReasonClock       = "clock"       // the clock is behind the head's cosignatures
	ReasonTime        = "time"        // no cosignatures prove a time of the head
	ReasonEmpty       = "empty"       // the log has no entries
	ReasonSnapshot    = "snapshot"    // the snapshot does not fit, or can't be saved
	ReasonInterrupted = "interrupted" // the audit was stopped
)

// Reason is why the audit is undecided.
type Reason struct {
	Code string
	Err  error
}

type reasonJSON struct {
	Code string `json:"code"`
	Text string `json:"text"` // of Err
}

// MarshalJSON writes the code and the error's text.
func (r Reason) MarshalJSON() ([]byte, error) { return json.Marshal(reasonJSON{r.Code, r.Err.Error()}) }

// UnmarshalJSON parses what MarshalJSON writes.
func (r *Reason) UnmarshalJSON(b []byte) error {
	var j reasonJSON
	err := json.Unmarshal(b, &j)
	r.Code, r.Err = j.Code, errors.New(j.Text)
	return err
}

// maxOwed bounds the lists of overdue obligations, and of those met late; all are counted.
const maxOwed = 256

// Report is the result. Names and meanings of its JSON members are stable; members may be
// added. Times are like 2006-01-02T15:04:05Z, hashes base64.
type Report struct {
	Verdict string   `json:"verdict"`           // clean, violations or undecided
	Reasons []Reason `json:"reasons,omitempty"` // why it is undecided, or unfinished

	Log       *Log      `json:"log,omitempty"` // absent: no head was accepted
	Witnesses []Witness `json:"witnesses,omitempty"`
	// The two times of the cosignatures; absent under "quorum none".
	ExistedBefore string `json:"existedBefore,omitempty"`
	LoggedAfter   string `json:"loggedAfter,omitempty"`
	// Age is how many seconds before Config.Now the head was seen, and MaxAge how many are allowed.
	// Age is absent if no time of the head is proven, and below 0 if the clock is behind.
	Age    *int64 `json:"age,omitempty"`
	MaxAge int64  `json:"maxAge,omitempty"`

	Audited    uint64            `json:"audited"`  // entries replayed, from the first
	Resumed    uint64            `json:"resumed"`  // how many of them the snapshot had
	Complete   bool              `json:"complete"` // every entry of the head was replayed
	Anchored   uint64            `json:"anchored"` // size of the largest anchored head
	Charter    *Charter          `json:"charter,omitempty"`
	Events     map[string]uint64 `json:"events,omitempty"` // by type
	Unreadable uint64            `json:"unreadable"`       // entries that are no events
	Signatures Signatures        `json:"signatures"`

	Breaches uint64              `json:"breaches"`           // how many, closed ones too
	Rules    []Rule              `json:"rules,omitempty"`    // all violations
	Unclosed []ledger.BreachJSON `json:"unclosed,omitempty"` // breaches that no audit quorum has closed
	// Overdue obligations, if the audit is complete and a time is proven.
	OverdueAt string              `json:"overdueAt,omitempty"`
	Overdue   uint64              `json:"overdue"`
	Owed      []ledger.Obligation `json:"owed,omitempty"` // the longest overdue, 256 at most
	Bars      []Bar               `json:"bars,omitempty"`
	// WasLate counts the obligations that were met late. They are no violations any more.
	WasLate uint64        `json:"wasLate"`
	Late    []ledger.Late `json:"late,omitempty"` // the last 256 of them
	// Auditors says which auditors vouch, and which decline and why; absent: the charter asks for
	// none, or the audit is not complete.
	Auditors *Auditors `json:"auditors,omitempty"`
	// Fork is the evidence that the log signed two heads of which neither extends the
	// other.
	Fork *tlog.Fork `json:"fork,omitempty"`

	verdict Verdict
	refused error
}

// Log names the log and its checkpoint.
type Log struct {
	Origin  string   `json:"origin"`
	Size    uint64   `json:"size"`
	Root    string   `json:"root"`
	Keys    []string `json:"keys"`              // that signed, as name+01234567
	Founded string   `json:"founded,omitempty"` // leaf hash of the first charter
}

// Witness is a witness of the policy that cosigned.
type Witness struct {
	Name string `json:"name"`
	Key  string `json:"key"`
	Time string `json:"time"`
}

// Charter is the charter in force after the last entry audited.
type Charter struct {
	Version uint64 `json:"version"`
	Rules   uint64 `json:"rules"`
	Profile string `json:"profile"`
	Index   uint64 `json:"index"`
	Leaf    string `json:"leaf"`
	// Met: the head meets this charter's witness policy.
	Met bool `json:"met"`
}

// Bar counts the breaches and obligations that at OverdueAt bar an auditor from cosigning,
// or the gates from opening keys.
type Bar struct {
	Who      string `json:"who"` // "gates", or "auditor " and an auditor's name
	Breaches int    `json:"breaches"`
	Overdue  int    `json:"overdue"`
}

// Result returns the verdict.
func (r *Report) Result() Verdict { return r.verdict }

// Refused returns why the snapshot was refused, in which case the audit read nothing.
func (r *Report) Refused() error { return r.refused }

func (r *Report) cannot(code, format string, args ...any) {
	r.Reasons = append(r.Reasons, Reason{code, fmt.Errorf(format, args...)})
}

// maxListed bounds the list of violations of one way to break a rule; all are counted.
const maxListed = 64

// totals are the counts of the entries below a size. They are part of a snapshot, so
// their JSON is stable.
type totals struct {
	Events     map[string]uint64 `json:"events,omitempty"` // by type
	Unreadable uint64            `json:"unreadable"`       // entries that are no events
	Signatures Signatures        `json:"signatures"`
	Rules      []Rule            `json:"rules,omitempty"` // sorted
	Late       []ledger.Late     `json:"late,omitempty"`  // the last ones
}

// Signatures counts the signatures of all entries.
type Signatures struct {
	Valid   uint64 `json:"valid"`
	Invalid uint64 `json:"invalid"`
	Unknown uint64 `json:"unknown"` // of keys that no earlier charter named
}

// Rule has the violations of one way to break a rule.
type Rule struct {
	Rule   string    `json:"rule"`
	Way    string    `json:"way"`
	Kind   string    `json:"kind"`   // breach, or "no effect"
	Count  uint64    `json:"count"`  // all of them
	Listed []Finding `json:"listed"` // the first 64
}

// Finding is a violation.
type Finding struct {
	Index uint64           `json:"index"` // the entry at fault
	Seen  uint64           `json:"seen"`  // the entry that revealed it
	By    string           `json:"by"`    // the responsible party
	About *event.Reference `json:"about,omitempty"`
	Text  string           `json:"text"`
	Cure  string           `json:"cure,omitempty"` // absent: nothing cures it
}

// add counts an applied entry and the violations that it revealed.
func (t *totals) add(l *ledger.Ledger, e *ledger.Entry, violations []*ledger.Violation) {
	if e.Envelope == nil {
		t.Unreadable++
	} else {
		if t.Events == nil {
			t.Events = make(map[string]uint64)
		}
		t.Events[string(e.Envelope.Event.Type)]++
	}
	for i, state := range e.Signatures {
		switch {
		case l.Key(e.Envelope.Signatures[i].KeyID) == nil:
			t.Signatures.Unknown++
		case state == ledger.Good:
			t.Signatures.Valid++
		default:
			t.Signatures.Invalid++
		}
	}
	for _, v := range violations {
		t.addViolation(v)
	}
}

func (t *totals) addViolation(v *ledger.Violation) {
	i, ok := slices.BinarySearchFunc(t.Rules, v, func(r Rule, v *ledger.Violation) int {
		return cmp.Or(cmp.Compare(r.Rule, v.Rule), cmp.Compare(r.Way, v.Code), cmp.Compare(r.Kind, v.Kind.String()))
	})
	if !ok {
		t.Rules = slices.Insert(t.Rules, i, Rule{Rule: v.Rule, Way: v.Code, Kind: v.Kind.String()})
	}
	r := &t.Rules[i]
	if r.Count++; r.Count > maxListed {
		return
	}
	r.Listed = append(r.Listed, Finding{Index: v.Index, Seen: v.Seen, By: v.By, About: v.About, Text: v.Text(), Cure: v.Cure})
}

// addChanges keeps what was met late.
func (t *totals) addChanges(changes []ledger.Change) {
	for i := range changes {
		l, ok := changes[i].Late()
		if !ok {
			continue
		}
		if len(t.Late) == maxOwed {
			t.Late = slices.Delete(t.Late, 0, 1)
		}
		t.Late = append(t.Late, l)
	}
}

func (t *totals) entries() uint64 {
	n := t.Unreadable
	for _, c := range t.Events {
		n += c
	}
	return n
}

func (t *totals) breaches() uint64 {
	n := uint64(0)
	for i := range t.Rules {
		if t.Rules[i].Kind == ledger.KindBreach.String() {
			n += t.Rules[i].Count
		}
	}
	return n
}
