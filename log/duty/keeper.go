// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package duty

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/vault"
)

// Keeper logs anchors and due disclosures. All its fields belong to the goroutine that
// calls Clean and then Run.
type Keeper struct {
	Config
	agenda  *Agenda           // at the last head, to compare; another one: the ledger was read again
	proven  int64             // by anchors, when the log was opened
	first   int64             // time of the first head since; 0: none yet
	waiting map[uint64]int64  // deposits that wait for a deferral, and until when
	closing map[uint64]uint64 // deposits with nothing left to disclose, and the tree size that shows it
	told    map[string]bool   // failures that the operator was told of
	counted time.Time         // when overdue was counted last
	costs   time.Duration     // what that took
}

const (
	// Window is how many deposits are disclosed at once.
	Window = 64
	// retry is after how long what failed is tried again, in witnessed seconds.
	retry = 60
)

// New returns a keeper of a log whose ledger is read.
func New(cfg Config) *Keeper {
	k := &Keeper{Config: cfg, waiting: make(map[uint64]int64), closing: make(map[uint64]uint64), told: make(map[string]bool)}
	k.Log.Query(func(l *ledger.Ledger, _ *Agenda) { k.proven = proven(l) })
	return k
}

// retry schedules another check of a deposit whose disclosure failed at a witnessed time.
func (k *Keeper) retry(now int64, index uint64) {
	k.Log.Query(func(_ *ledger.Ledger, a *Agenda) { a.checkAgain(now+retry, index) })
}

// Clean drops from the vault the records of events that were never logged, and from the
// agenda the disclosed events whose records are gone. Other disclosed records stay until
// a published head shows the disclosure. Clean reports the records that the vault lacks.
func (k *Keeper) Clean(ctx context.Context) error {
	var keep map[event.Digest]bool
	k.Log.Query(func(_ *ledger.Ledger, a *Agenda) {
		keep = make(map[event.Digest]bool, len(a.deposits)-a.gone)
		for d := range a.all() {
			keep[d.hash] = true
		}
	})
	kept := 0
	dropped, err := k.Vault.Retain(ctx, func(h event.Digest) bool {
		wanted := keep[h]
		if wanted {
			kept++
		}
		return wanted
	})
	switch {
	case err != nil:
		return fmt.Errorf("cleaning the vault: %w", err)
	case len(dropped) > 0:
		k.Logger.Info("dropped from the vault what was never logged", "events", len(dropped))
	case kept == len(keep): // the vault lacks none
		k.Metrics.Lost(0)
		return nil
	}
	var lost []deposit
	var done []uint64
	k.Log.Query(func(l *ledger.Ledger, a *Agenda) {
		for d := range a.all() {
			if k.Vault.Has(d.hash) {
				continue
			}
			if state, _ := l.Disclosable(d.index, time.Time{}); state == ledger.AllOpen {
				done = append(done, d.index)
			} else {
				lost = append(lost, *d)
			}
		}
		a.drop(done...)
	})
	for _, d := range lost {
		k.lose(d, nil)
	}
	k.Metrics.Lost(len(lost))
	return nil
}

// lose reports, once, that the vault has lost a deposit.
func (k *Keeper) lose(d deposit, err error) {
	news := false
	k.Log.Query(func(_ *ledger.Ledger, a *Agenda) { news = a.lose(d.index) })
	if !news {
		return
	}
	what := "openings"
	if d.release {
		what = "notices"
	}
	k.Logger.Error("the vault has lost what is to be disclosed, and this entry can't be disclosed: "+
		"restore the vault, or have the event submitted again with its "+what, "entry", d.index, "event", d.hash.String(), "err", err)
}

// Run tends to each published head until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	for {
		h, changed := k.Feed.Published()
		// The time of a head from before the start is too old.
		if h != nil && h.Fresh {
			k.tend(ctx, h, changed)
		}
		if !k.wait(ctx, h, changed) {
			return
		}
	}
}

// wait waits for the next head, and asks for one when something is due: an idle log
// would not hear from its witnesses in time. It returns false when ctx ends.
func (k *Keeper) wait(ctx context.Context, h *Head, changed <-chan struct{}) bool {
	var due <-chan time.Time
	if at, ok := k.next(h); ok && k.Signer != nil {
		// Cosignatures have whole seconds.
		due = time.After(max(time.Second, time.Unix(at, 0).Sub(k.Now())))
	}
	for {
		select {
		case <-ctx.Done():
			return false
		case <-changed:
			return true
		case <-due:
			k.Feed.Refresh()
			due = time.After(time.Second)
		}
	}
}

// next returns when there will be something to do, if all goes on as it is.
func (k *Keeper) next(h *Head) (at int64, ok bool) {
	if h == nil || h.Time == 0 {
		return 0, false
	}
	k.Log.Query(func(_ *ledger.Ledger, a *Agenda) {
		if len(a.checks) > 0 {
			at, ok = a.checks[0].Time, true
		}
	})
	for _, t := range k.waiting {
		if !ok || t < at {
			at, ok = t, true
		}
	}
	if t, fresh := k.anchorDue(h); fresh && (!ok || t < at) {
		at, ok = t, true
	}
	return at, ok
}

// tend does what is due at a published head, until changed is closed: the next head may
// have to be anchored.
func (k *Keeper) tend(ctx context.Context, h *Head, changed <-chan struct{}) {
	if k.first == 0 {
		k.first = h.Time
	}
	k.erase(ctx, h)
	k.count(h)
	if h.Time == 0 {
		return // without a witness's time, nothing is known to be due
	}
	// Anchors come first: no number of disclosures must delay what proves time.
	if at, fresh := k.anchorDue(h); fresh && at <= h.Time {
		k.report("anchor", k.anchor(h))
	}
	for ctx.Err() == nil {
		due, more := k.due(h.Time)
		if !more {
			break
		}
		k.disclose(ctx, due, h.Time)
		select {
		case <-changed:
			return
		default:
		}
	}
	for i, until := range k.waiting {
		if until <= h.Time {
			delete(k.waiting, i)
			k.Log.Query(func(_ *ledger.Ledger, a *Agenda) { a.check(0, i) })
		}
	}
}

// due makes the checks that are due, and returns the deposits to disclose now. more is
// true if any check was due. It schedules no check for now or earlier, so it ends.
func (k *Keeper) due(now int64) (due []deposit, more bool) {
	k.Log.Query(func(l *ledger.Ledger, a *Agenda) {
		deposits := a.next(now, Window)
		more = len(deposits) > 0
		for _, d := range deposits {
			if d.index >= k.Log.Size() {
				// The ledger has it, and the tree may never have it.
				a.checkAgain(now+1, d.index)
				continue
			}
			switch state, until := l.Disclosable(d.index, time.Unix(now, 0)); state {
			case ledger.AllOpen:
				k.closing[d.index] = l.Size()
				delete(k.waiting, d.index)
			case ledger.AheadOfChain:
				a.ahead = append(a.ahead, d.index)
			case ledger.StillSealed:
				if !until.IsZero() { // else an amendment may end the seal, and schedules a check
					a.check(until.Unix(), d.index)
				}
			case ledger.CanDisclose:
				if end := k.patience(until.Unix(), l.Charter().Profile.DisclosureGrace); end > now {
					k.waiting[d.index] = end
				} else if k.Signer == nil {
					a.checkAgain(now+retry, d.index)
				} else {
					due = append(due, d)
				}
			}
		}
	})
	return due, more
}

// patience returns until when the disclosure after an ended seal waits; 0: not at all. It
// waits only if the seal ended while the log was down, and that only until half of the
// grace is left: a deferral that was claimed in time counts until the disclosure is
// logged, or an anchor proves that the grace is over.
func (k *Keeper) patience(until int64, grace uint64) int64 {
	if until <= k.proven || until > k.first {
		return 0
	}
	return until + int64(min(grace, 1<<40)/2)
}

// erase drops from the vault each deposit that the log need not disclose any more, once a
// published head shows why.
func (k *Keeper) erase(ctx context.Context, h *Head) {
	var hashes []event.Digest
	k.Log.Query(func(_ *ledger.Ledger, a *Agenda) {
		if a != k.agenda {
			// The entries that closed them were applied, and perhaps not stored.
			for i := range k.closing {
				a.check(0, i)
			}
			clear(k.closing)
			k.agenda = a
		}
		for i, size := range k.closing {
			if size <= h.Checkpoint.Size {
				hashes = append(hashes, a.drop(i)...)
				delete(k.closing, i)
			}
		}
	})
	if len(hashes) == 0 {
		return
	}
	k.Vault.Delete(hashes...)
	if err := k.Vault.Compact(ctx); err != nil && ctx.Err() == nil {
		k.report("vault", err)
	}
}

// count reports what is owed and overdue. It reads everything that is overdue, so it runs for
// at most a fiftieth of the time.
func (k *Keeper) count(h *Head) {
	if !k.counted.IsZero() && time.Since(k.counted) < max(5*time.Second, 50*k.costs) {
		return
	}
	began := time.Now()
	if h.Time != 0 {
		owed, overdue, open := make(map[string]int), make(map[string]int), 0
		k.Log.Query(func(l *ledger.Ledger, _ *Agenda) {
			at := time.Unix(h.Time, 0)
			all := l.Owed(at)
			for _, rule := range ledger.Owing() {
				owed[rule], overdue[rule] = all[rule], 0
			}
			for _, o := range l.Overdue(at) {
				overdue[o.Rule]++
			}
			open, _ = l.Open()
		})
		k.Metrics.Owed(owed, overdue, open)
	}
	lost := 0
	k.Log.Query(func(_ *ledger.Ledger, a *Agenda) { lost = a.lost() })
	k.Metrics.Lost(lost)
	k.Metrics.Vault(k.Vault.Stats())
	k.counted, k.costs = time.Now(), time.Since(began)
}

// report counts an outcome, and reports a failure to the operator once until it is over.
func (k *Keeper) report(what string, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	k.Metrics.Own(what, err)
	switch {
	case err == nil && k.told[what]:
		delete(k.told, what)
		k.Logger.Info("it works again", "what", what)
	case err != nil && !k.told[what]:
		k.told[what] = true
		k.Logger.Error("the log can't do what it owes; trying again", "what", what, "err", err)
	}
}

// submit submits an event of the log itself, at a witnessed time.
func (k *Keeper) submit(body event.Body, at int64) (wait func() error, err error) {
	ev, err := event.New(k.Origin, body)
	if err != nil {
		return nil, err
	}
	ev.Time = time.Unix(at, 0).UTC()
	env, err := event.Sign(ev, k.Signer)
	if err != nil {
		return nil, fmt.Errorf("signing with the provider's key: %w", err)
	}
	return k.Log.Submit(env)
}

// anchorDue returns when the next anchor is to be logged: half of the profile's
// interval after the time that the last one proves. fresh says whether the head has
// anything to be anchored.
func (k *Keeper) anchorDue(h *Head) (at int64, fresh bool) {
	k.Log.Query(func(l *ledger.Ledger, a *Agenda) { at, fresh = a.anchoring(l, h.Checkpoint.Size) })
	if !fresh || k.Signer == nil || !h.Charter.Witnesses.NeedsWitnesses() {
		return 0, false
	}
	return at + int64(min(h.Charter.Profile.Anchor.Within, 1<<40)/2), true
}

// anchor logs the published head: its text, the log's signatures and one minimal
// satisfying set.
func (k *Keeper) anchor(h *Head) error {
	note, err := minimal(h.Checkpoint, h.Charter.Witnesses)
	if err != nil {
		return err
	}
	wait, err := k.submit(&event.Anchor{Checkpoint: string(note.Bytes())}, h.Time)
	if err != nil {
		return err
	}
	return wait()
}

// disclose logs the disclosures of deposits, side by side. A failed one is tried again
// later.
func (k *Keeper) disclose(ctx context.Context, due []deposit, now int64) {
	if len(due) == 0 {
		return
	}
	hashes := make([]event.Digest, len(due))
	for i := range due {
		hashes[i] = due[i].hash
	}
	records, lost := k.Vault.Get(ctx, hashes...)
	have := make(map[event.Digest]*vault.Record, len(records))
	for _, r := range records {
		have[r.Event()] = r
	}
	waits := make([][]func() error, len(due))
	for i, d := range due {
		r := have[d.hash]
		if r == nil {
			k.lose(d, lost)
			k.retry(now, d.index)
			continue
		}
		var err error
		if waits[i], err = k.open(ctx, d, r, now); err != nil {
			k.report("disclosure", err)
			k.retry(now, d.index)
		}
	}
	for i := range due {
		for _, wait := range waits[i] {
			err := wait()
			if errors.Is(err, ErrOpened) { // by another, or by this log before a crash
				err = nil
				k.retry(now, due[i].index)
			}
			k.report("disclosure", err)
			if err != nil {
				k.retry(now, due[i].index)
			}
		}
	}
}

// open submits the disclosures of one deposit.
func (k *Keeper) open(ctx context.Context, d deposit, r *vault.Record, now int64) ([]func() error, error) {
	entry, err := k.Log.Entry(ctx, d.index)
	if err != nil {
		return nil, err
	}
	env, err := event.ParseEnvelope(entry)
	if err != nil {
		return nil, fmt.Errorf("entry %d: %w", d.index, err)
	}
	bodies, err := vault.Disclosures(d.index, env, r)
	if err != nil {
		return nil, err
	}
	var out []func() error
	for _, body := range bodies {
		wait, err := k.submit(body, now)
		if err != nil {
			return out, err
		}
		out = append(out, wait)
	}
	return out, nil
}

// minimal returns the checkpoint with the lines of a policy's window only: those that
// every reader takes its times from.
func minimal(cp *tlog.Checkpoint, p *tlog.Policy) (*tlog.Checkpoint, error) {
	out, times := &tlog.Checkpoint{Head: cp.Head}, make(tlog.Times)
	for _, l := range p.Logs {
		if s := cp.Find(l.Key); s != nil {
			out.Signatures = append(out.Signatures, *s)
		}
	}
	for i, w := range p.Witnesses {
		if s := cp.Find(w.Key); s != nil {
			var err error
			if times[i], err = w.Key.Verify(&cp.Head, s); err != nil {
				return nil, err
			}
		}
	}
	w, err := p.Window(times)
	if err != nil {
		return nil, fmt.Errorf("anchoring the head of size %d: %w", cp.Size, err)
	}
	for _, i := range w.Set {
		out.Signatures = append(out.Signatures, *cp.Find(p.Witnesses[i].Key))
	}
	_, err = p.Verify(out, cp.Origin)
	return out, err
}
