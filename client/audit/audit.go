// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package audit replays a whole log and decides whether the log kept its rules.
//
// It promises its caller a [Report] with one of three verdicts. Clean: every entry up to
// a head that the caller's policy accepts is proven to be in that head's tree, its
// signatures were verified, package ledger has applied it, and no rule is broken or
// obligation overdue. What was late and is cured stays in the report. Violations: at least one is, and the report has the evidence: the
// log's signed tree has the entry, or the log signed a fork. Undecided: the audit could
// not tell, and the report says why. A violation decides even in an unfinished audit,
// which claims nothing else.
//
// It trusts the caller's policy (C2SP tlog-policy) and, if the audit resumes, the
// caller's snapshot, and neither the log, a mirror nor the transport. A tile that does
// not fit the tree leaves the verdict undecided, since a mirror or a disk may have
// damaged it. Two signed heads that contradict each other are a violation, since only
// the log can sign them: see [client.ForkError].
//
// # What is checked
//
//   - the head, under the caller's policy and under the witness policy of the log's own
//     charter: log signature, cosignatures, quorum;
//   - each entry, and each tile above it up to the root;
//   - each signature of each entry by a key that a charter names;
//   - each rule, by ledger.Apply, in the log's order; for anchors also the cosignatures,
//     under the charter in force;
//   - overdue obligations, at the later of the head's logged-after time and the last time
//     that an anchor proves;
//   - the head's age, by the clock or for the time that the caller names. No verdict on an
//     entry depends on it.
//
// # How
//
// It uses package replica, which works on all cores in bounded memory. A snapshot is the
// replica's with the audit's counts, bound to the policy. A resumed audit gives the same
// report as a replay from the start. A snapshot that does not fit is a
// [replica.SnapshotError] among the reasons, and the audit reads nothing then.
package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/replica"
	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// Config names a log and the policy of its audit.
type Config struct {
	// Client of the log, with the policy below and at least its spread. With
	// [tlog.NoSpread] it reads logs of any charter.
	Client *client.Client
	// Policy of the audit. It must not be nil. Its spread counts for a log without a
	// charter; else that of the charter does.
	Policy *tlog.Policy
	// Origin is the client's. "": the name of the log's key.
	Origin string

	// Now is the time at which the head must not be stale: older than the charter's profile
	// allows, or 24 hours without a charter. Zero: the machine's clock. For a copy of a log
	// it is the time of the copy.
	Now time.Time
	// MaxAge is how old the head may be at Now. 0: what the charter's profile allows.
	MaxAge time.Duration

	// Snapshot to resume from. nil: start at the first entry.
	Snapshot []byte
	// Save, if not nil, is called with a snapshot now and then and at the end, even if
	// the audit ends early. Its error ends the audit.
	Save func(snapshot []byte) error
	// SaveEvery is the number of entries between two snapshots. 0: 262,144.
	SaveEvery uint64

	// Progress, if not nil, is called after each bundle with the number of entries
	// replayed and the size of the head. It must be quick.
	Progress func(done, size uint64)

	// Observe, if not nil, is called once before the replay, with the ledger and the
	// head. The replay calls the observer that it returns.
	Observe func(*ledger.Ledger, *tlog.Verified) (replica.Observer, error)
	// Use is the purpose of the snapshot, see [replica.Config]. "": audit.
	Use string
	// Own is the observer's part of the snapshot, see [replica.Config]. nil: none.
	Own any
}

type auditor struct {
	c        Config
	replica  *replica.Replica
	head     *tlog.Verified // nil: none was accepted
	l        *ledger.Ledger // nil: before the head
	own      own
	observer replica.Observer // the caller's
	resumed  uint64           // size of the snapshot
	saved    uint64           // size of the last snapshot saved; at first resumed
	done     bool             // every entry of the head was replayed
	auditors *Auditors        // nil: the charter asks for none
}

// own is the audit's part of a snapshot.
type own struct {
	Totals   *totals `json:"totals"` // of the entries below the ledger's size
	Observer any     `json:"observer,omitempty"`
}

// Run audits the log up to its present head. The report is never nil. Its reasons say why
// a verdict is undecided.
func Run(ctx context.Context, c Config) *Report {
	c.SaveEvery = cmp.Or(c.SaveEvery, 1<<18)
	c.Use = cmp.Or(c.Use, "audit")
	if c.Now.IsZero() {
		c.Now = time.Now()
	}
	a := &auditor{c: c, own: own{new(totals), c.Own}}
	if c.Client == nil || c.Policy == nil {
		return a.report(client.ErrNoPolicy)
	}
	if err := a.start(ctx); err != nil {
		a.own.Totals, a.resumed = new(totals), 0
		return a.report(err)
	}
	err := a.replay(ctx)
	if is[*saveError](err) {
		return a.report(err)
	}
	var fork error
	if a.done {
		a.auditors, fork = AskAuditors(ctx, a.c.Client, a.replica)
	}
	// After an error the snapshot has the entries replayed before it.
	return a.report(err, fork, a.save())
}

func (a *auditor) start(ctx context.Context) error {
	r, err := replica.New(replica.Config{Client: a.c.Client, Use: a.c.Use, Policy: a.c.Policy.Bytes(), Snapshot: a.c.Snapshot,
		Own: &a.own, Tiles: true})
	if err != nil {
		return err
	}
	if l := r.Ledger(); l != nil {
		if a.own.Totals == nil || a.own.Totals.entries() != l.Size() {
			return &replica.SnapshotError{Reason: "its counts do not add up to its size"}
		}
		a.resumed, a.saved = l.Size(), l.Size()
	}
	head, err := r.Update(ctx)
	if err != nil {
		return err
	}
	a.replica, a.head, a.l = r, head, r.Ledger()
	if a.c.Observe != nil {
		a.observer, err = a.c.Observe(a.l, a.head)
	}
	return err
}

// replay replays every entry up to the head, and then sets done.
func (a *auditor) replay(ctx context.Context) error {
	o := a.observer
	after := o.After
	o.After = func(e *ledger.Entry, violations []*ledger.Violation, changes []ledger.Change) error {
		a.own.Totals.add(a.l, e, violations)
		a.own.Totals.addChanges(changes)
		if after != nil {
			return after(e, violations, changes)
		}
		return nil
	}
	o.Applied = a.applied
	err := a.replica.Replay(ctx, o)
	a.done = err == nil
	return err
}

func (a *auditor) applied() error {
	size := a.head.Checkpoint.Size
	if a.c.Progress != nil {
		a.c.Progress(a.l.Size(), size)
	}
	if a.l.Size()-a.saved >= a.c.SaveEvery && a.l.Size() < size {
		return a.save()
	}
	return nil
}

func (a *auditor) save() error {
	if a.c.Save == nil || a.l.Size() == 0 {
		return nil
	}
	b, err := a.replica.Snapshot()
	if err == nil {
		err = a.c.Save(b)
	}
	if err != nil {
		return &saveError{err}
	}
	a.saved = a.l.Size()
	return nil
}

type saveError struct{ err error }

func (e *saveError) Error() string { return "saving the snapshot: " + e.err.Error() }
func (e *saveError) Unwrap() error { return e.err }

// report makes the report of an audit that ended with errs.
func (a *auditor) report(errs ...error) *Report {
	r := &Report{Complete: a.done, Resumed: a.resumed, Events: a.own.Totals.Events, Unreadable: a.own.Totals.Unreadable,
		Signatures: a.own.Totals.Signatures, Rules: a.own.Totals.Rules, Breaches: a.own.Totals.breaches(), Auditors: a.auditors}
	for _, err := range errs {
		if err != nil {
			a.reportError(r, err)
		}
	}
	if a.head != nil {
		a.narrow(r)
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

func (a *auditor) reportError(r *Report, err error) {
	// Only evidence that convinces a third party is a violation.
	if fork, ok := errors.AsType[*client.ForkError](err); ok && verify.Fork(a.c.Policy, fork, a.c.Origin) == nil {
		r.Fork = fork
		return
	}
	if is[*replica.SnapshotError](err) {
		r.refused = err
	}
	r.cannot(reasonOf(err), "%w", err)
}

// narrow takes the times of the head by the spread of the charter, and none if the
// cosignatures lie further apart.
func (a *auditor) narrow(r *Report) {
	policy := a.c.Policy
	if c := a.l.Charter(); a.done && c != nil {
		policy = policy.WithSpread(c.Profile.Spread)
	}
	v, err := policy.Verify(a.head.Checkpoint, a.c.Origin)
	if err != nil {
		r.cannot(ReasonPolicy, "%w, %d seconds", err, policy.Spread)
		v = &tlog.Verified{Checkpoint: a.head.Checkpoint, Logs: a.head.Logs, Witnesses: a.head.Witnesses}
	}
	a.head = v
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
	if a.head.LoggedAfter > 0 {
		r.ExistedBefore, r.LoggedAfter = formatTime(a.head.ExistedBefore), formatTime(a.head.LoggedAfter)
	}
}

func (a *auditor) reportLedger(r *Report) {
	r.Audited, r.Anchored = a.l.Size(), a.l.Anchored()
	r.WasLate, r.Late = a.l.Totals().Late, a.own.Totals.Late
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
	a.reportAge(r, a.seen(byCharter))
	now := a.now(byCharter)
	a.reportBreaches(r, now)
	if !a.done || c == nil {
		return
	}
	if a.seen(byCharter).IsZero() {
		r.cannot(ReasonTime, "no cosignatures prove a time of this head, so its age is unknown, and what became overdue since the last anchor")
	}
	if !now.IsZero() {
		a.reportOverdue(r, now)
	}
}

// seen returns the time after which the head was cosigned, zero if none is proven.
func (a *auditor) seen(byCharter *tlog.Verified) time.Time {
	after := a.head.LoggedAfter
	if !a.c.Policy.NeedsWitnesses() && byCharter != nil {
		after = byCharter.LoggedAfter
	}
	if after == 0 || after >= 1<<40 {
		return time.Time{}
	}
	return time.Unix(int64(after), 0).UTC()
}

// now returns the latest time that is proven to be past, zero if there is none.
func (a *auditor) now(byCharter *tlog.Verified) time.Time {
	now := a.l.Time()
	if seen := a.seen(byCharter); seen.After(now) {
		now = seen
	}
	return now
}

// defaultStale and defaultSkew are for a log without a charter.
const defaultStale, defaultSkew = 24 * time.Hour, 5 * time.Minute

// reportAge reports the head's age, and adds a reason if the head is too old, or if the clock can't
// tell. A log can show one reader an old head for ever.
func (a *auditor) reportAge(r *Report, seen time.Time) {
	stale, skew := defaultStale, defaultSkew
	if c := a.l.Charter(); c != nil {
		stale, skew = time.Duration(c.Profile.Stale)*time.Second, time.Duration(c.Profile.Skew)*time.Second
	}
	stale = cmp.Or(a.c.MaxAge, stale)
	if !seen.IsZero() {
		r.Age, r.MaxAge = new(int64(a.c.Now.Sub(seen)/time.Second)), int64(stale/time.Second)
	}
	const format = "2006-01-02T15:04:05Z"
	switch now := a.c.Now.UTC(); {
	case seen.IsZero():
	case now.Sub(seen) > stale:
		r.cannot(ReasonStale, "the witnesses saw this head at %s, more than %d seconds before %s: the log may show you an old tree; if this is a copy of that time, say so",
			seen.Format(format), stale/time.Second, now.Format(format))
	case seen.Sub(now) > skew:
		r.cannot(ReasonClock, "the clock says %s, but witnesses have signed this head at %s, so its age is not known", now.Format(format), seen.Format(format))
	}
}

func (a *auditor) reportBreaches(r *Report, now time.Time) {
	for _, bar := range a.l.Barred("", now) {
		if bar.Breach != nil {
			r.Unclosed = append(r.Unclosed, *bar.Breach.JSON())
		}
	}
}

func (a *auditor) reportOverdue(r *Report, now time.Time) {
	overdue := a.l.Overdue(now)
	r.OverdueAt, r.Overdue = now.Format(time.RFC3339), uint64(len(overdue))
	r.Owed = overdue[:min(len(overdue), maxOwed)]
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

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func formatTime(t uint64) string {
	return time.Unix(int64(min(t, 1<<40)), 0).UTC().Format(time.RFC3339)
}
