// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/replica"
	"github.com/vasistas/vasistas/internal/tiles"
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
	ReasonTime        = "time"        // no cosignature or anchor proves a time
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

// maxOwed bounds the list of overdue obligations; all are counted.
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

	Audited    uint64            `json:"audited"`  // entries replayed, from the first
	Resumed    uint64            `json:"resumed"`  // how many of them the snapshot had
	Complete   bool              `json:"complete"` // every entry of the head was replayed
	Anchored   uint64            `json:"anchored"` // size of the largest anchored head
	Charter    *Charter          `json:"charter,omitempty"`
	Events     map[string]uint64 `json:"events,omitempty"` // by type
	Unreadable uint64            `json:"unreadable"`       // entries that are no events
	Signatures Signatures        `json:"signatures"`

	Breaches uint64   `json:"breaches"`           // how many, closed ones too
	Rules    []Rule   `json:"rules,omitempty"`    // all violations
	Unclosed []Breach `json:"unclosed,omitempty"` // breaches that no audit quorum has closed
	// Overdue obligations, if the audit is complete and a time is proven.
	OverdueAt string       `json:"overdueAt,omitempty"`
	Overdue   uint64       `json:"overdue"`
	Owed      []Obligation `json:"owed,omitempty"` // the longest overdue, 256 at most
	Bars      []Bar        `json:"bars,omitempty"`
	// Fork is the evidence that the log signed two heads of which neither extends the
	// other.
	Fork *client.ForkEvidence `json:"fork,omitempty"`

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

// Breach is a breach on record.
type Breach struct {
	Rule     string   `json:"rule"`
	Way      string   `json:"way"`
	Index    uint64   `json:"index"`
	Last     uint64   `json:"last"`  // index of the last breach counted with it
	Count    uint64   `json:"count"` // above 1 only for a debtor that breaks a rule too often
	By       string   `json:"by"`
	Text     string   `json:"text"`
	Cure     string   `json:"cure,omitempty"`
	ClosedBy []string `json:"closedBy,omitempty"` // auditors, fewer than their quorum
}

// Obligation is an overdue obligation.
type Obligation struct {
	Rule      string `json:"rule"`
	Way       string `json:"way"`
	Index     uint64 `json:"index"` // the entry that owes it
	By        string `json:"by"`
	Due       string `json:"due"`
	Late      string `json:"late"` // Due with the grace
	Text      string `json:"text"`
	Cure      string `json:"cure,omitempty"`
	Auditors  bool   `json:"auditors"`            // it bars auditors, and so every gate
	Custodian string `json:"custodian,omitempty"` // it bars this custodian from releasing
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

// report makes the report of an audit that ended with errs.
func (a *auditor) report(errs ...error) *Report {
	r := &Report{Complete: a.done, Resumed: a.resumed, Events: a.own.Totals.Events, Unreadable: a.own.Totals.Unreadable,
		Signatures: a.own.Totals.Signatures, Rules: a.own.Totals.Rules, Breaches: a.own.Totals.breaches()}
	for _, err := range errs {
		if err != nil {
			a.reportError(r, err)
		}
	}
	if a.head != nil {
		a.reportHead(r)
	}
	if a.l != nil {
		a.reportLedger(r)
	}
	switch {
	case r.Breaches > 0 || r.Overdue > 0 || r.Fork != nil:
		r.verdict = Violations
	case len(r.Reasons) > 0 || !r.Complete:
		r.verdict = Undecided
	}
	r.Verdict = r.verdict.String()
	return r
}

func (r *Report) cannot(code, format string, args ...any) {
	r.Reasons = append(r.Reasons, Reason{code, fmt.Errorf(format, args...)})
}

func (a *auditor) reportError(r *Report, err error) {
	// Only evidence that convinces a third party is a violation.
	if fork, ok := errors.AsType[*client.ForkError](err); ok && fork.Check(a.c.Policy, a.c.Origin) == nil {
		r.Fork = fork.Evidence()
		return
	}
	if is[*replica.SnapshotError](err) {
		r.refused = err
	}
	r.cannot(reasonOf(err), "%w", err)
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func reasonOf(err error) string {
	switch {
	case is[*replica.SnapshotError](err), is[*saveError](err):
		return ReasonSnapshot
	case errors.Is(err, context.Canceled):
		return ReasonInterrupted
	case is[*client.RollbackError](err):
		return ReasonRollback
	case is[*tlog.CorruptError](err), errors.Is(err, tiles.ErrProof), errors.Is(err, tlog.ErrMalformed):
		return ReasonCorrupt
	case errors.Is(err, ledger.ErrRules):
		return ReasonRules
	case errors.Is(err, client.ErrNoPolicy), errors.Is(err, tlog.ErrNoQuorum), errors.Is(err, tlog.ErrUnknownLog), errors.Is(err, tlog.ErrBadSignature):
		return ReasonPolicy
	}
	return ReasonUnreadable
}

func (a *auditor) reportHead(r *Report) {
	cp := a.head.Checkpoint
	r.Log = &Log{Origin: cp.Origin, Size: cp.Size, Root: cp.Root.String()}
	for _, k := range a.head.Logs {
		r.Log.Keys = append(r.Log.Keys, fmt.Sprintf("%s+%08x", k.Name, k.ID))
	}
	for _, w := range a.head.Witnesses {
		r.Witnesses = append(r.Witnesses, Witness{w.Witness.Name, fmt.Sprintf("%s+%08x", w.Witness.Key.Name, w.Witness.Key.ID), formatTime(w.Time)})
	}
	if a.c.Policy.NeedsWitnesses() {
		r.ExistedBefore, r.LoggedAfter = formatTime(a.head.ExistedBefore), formatTime(a.head.LoggedAfter)
	}
}

func (a *auditor) reportLedger(r *Report) {
	r.Audited, r.Anchored = a.l.Size(), a.l.Anchored()
	if a.done && r.Audited == 0 {
		r.cannot(ReasonEmpty, "the log has no entries, not even a charter")
		return
	}
	c := a.l.Charter()
	var byCharter *tlog.Verified
	if c != nil {
		r.Log.Founded = a.l.CharterAt(1).Leaf.String()
		r.Charter = &Charter{Version: c.Version, Rules: c.Rules, Profile: c.Profile.ID, Index: c.Index, Leaf: c.Leaf.String()}
		if a.done {
			var err error
			byCharter, err = c.Witnesses.Verify(a.head.Checkpoint, a.l.Origin())
			if r.Charter.Met = err == nil; err != nil {
				r.cannot(ReasonCharter, "the head meets your policy, but not the witness policy of the log's own charter: %w", err)
			}
		}
	}
	now := a.now(byCharter)
	a.reportBreaches(r, now)
	if !a.done || c == nil {
		return
	}
	if now.IsZero() {
		r.cannot(ReasonTime, "neither cosignatures nor anchors prove a time, so overdue obligations are unknown")
		return
	}
	a.reportOverdue(r, now)
}

// now returns the latest time that is proven to be past, zero if there is none.
func (a *auditor) now(byCharter *tlog.Verified) time.Time {
	after := a.head.LoggedAfter
	if !a.c.Policy.NeedsWitnesses() && byCharter != nil {
		after = byCharter.LoggedAfter
	}
	now := a.l.Time()
	if after > 0 && after < 1<<40 && time.Unix(int64(after), 0).After(now) {
		now = time.Unix(int64(after), 0).UTC()
	}
	return now
}

func (a *auditor) reportBreaches(r *Report, now time.Time) {
	for _, bar := range a.l.Barred("", now) {
		b := bar.Breach
		if b == nil {
			continue
		}
		r.Unclosed = append(r.Unclosed, Breach{Rule: b.Rule, Way: b.Code, Index: b.Index, Last: b.Last, Count: b.Count,
			By: b.By, Text: b.Text(), Cure: b.Cure, ClosedBy: b.ClosedBy()})
	}
}

func (a *auditor) reportOverdue(r *Report, now time.Time) {
	overdue := a.l.Overdue(now)
	r.OverdueAt, r.Overdue = now.Format(time.RFC3339), uint64(len(overdue))
	for _, o := range overdue[:min(len(overdue), maxOwed)] {
		r.Owed = append(r.Owed, Obligation{Rule: o.Rule, Way: o.Code, Index: o.Index, By: o.Debtor,
			Due: o.Due.Format(time.RFC3339), Late: o.Late.Format(time.RFC3339), Text: o.Text(), Cure: o.Cure,
			Auditors: o.Auditors, Custodian: o.Custodian})
	}
	add := func(who, auditor string) {
		b := Bar{Who: who}
		for _, bar := range a.l.Barred(auditor, now) {
			if bar.Breach != nil {
				b.Breaches++
			} else {
				b.Overdue++
			}
		}
		if b.Breaches+b.Overdue > 0 {
			r.Bars = append(r.Bars, b)
		}
	}
	add("gates", "")
	for _, p := range a.l.Charter().Parties {
		if p.Role == event.RoleAuditor {
			add("auditor "+p.Name, p.Name)
		}
	}
	slices.SortFunc(r.Bars, func(a, b Bar) int { return b.Breaches + b.Overdue - a.Breaches - a.Overdue })
}

func formatTime(t uint64) string {
	return time.Unix(int64(min(t, 1<<40)), 0).UTC().Format(time.RFC3339)
}
