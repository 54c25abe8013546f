// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/internal/cosigning"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

const (
	// inline is how many entries a request applies by itself. More are left to the background.
	inline = 1024
	// patience is how long a request waits for the lock. While the auditor catches up, it has to
	// answer, too.
	patience = 2 * time.Second
)

// ErrUnknownLog: the origin is not that of this auditor's log.
var ErrUnknownLog = errors.New("the log is unknown to this auditor")

// ConflictError reports that the old size of a request is not Size, that of the recorded head
// (tlog-witness, status 409).
type ConflictError struct{ Old, Size uint64 }

func (e *ConflictError) Error() string {
	return fmt.Sprintf("the latest cosigned size is %d, not %d", e.Size, e.Old)
}

// InconsistentError reports that a head was not proven to be consistent with the recorded one
// (tlog-witness, status 422).
type InconsistentError struct{ Reason string }

func (e *InconsistentError) Error() string { return e.Reason }

// AddCheckpoint answers the body of an add-checkpoint request with the lines of this auditor's
// cosignatures (tlog-witness, "add-checkpoint"). Malformed input wraps [tlog.ErrMalformed].
func (a *Auditor) AddCheckpoint(ctx context.Context, body []byte) ([]byte, error) {
	r, err := cosigning.Parse(body, cosigning.MaxBody)
	if err != nil {
		return nil, err
	}
	return a.add(ctx, r)
}

func (a *Auditor) add(ctx context.Context, r *tlog.AddCheckpoint) ([]byte, error) {
	if r.Checkpoint.Origin != a.cfg.Origin {
		return nil, fmt.Errorf("%w: %q", ErrUnknownLog, r.Checkpoint.Origin)
	}
	if err := cosigning.CheckText(&r.Checkpoint.Head); err != nil {
		return nil, err
	}
	leave, err := a.slot()
	if err != nil {
		return nil, err
	}
	defer leave()
	lines, err := cosigning.VerifyLines(r.Checkpoint, *a.keys.Load())
	if err != nil {
		return nil, err
	}
	head := &tlog.Checkpoint{Head: cosigning.CloneHead(&r.Checkpoint.Head, a.cfg.Origin), Signatures: lines}
	last := a.last.Load()
	if fork := last.contradicts(head); fork != nil {
		if err := a.enter(ctx, head.Size, func() error { a.convict(fork); return nil }); err != nil {
			return nil, err
		}
	}
	if err := last.follows(r, head); err != nil {
		return nil, err
	}
	var ours []tlog.Signature
	err = a.enter(ctx, head.Size, func() (err error) {
		_, ours, err = a.repeat(r, head)
		return err
	})
	if err != nil {
		return nil, err
	}
	if ours != nil {
		a.told.Cosigned(a.cfg.Logger, &head.Head, a.last.Load().Time)
		return tlog.SignatureLines(ours), nil
	}
	said, err := a.consult(ctx, head)
	if err != nil {
		return nil, err
	}
	err = a.enter(ctx, head.Size, func() (err error) {
		ours, err = a.cosign(ctx, r, head, said)
		return err
	})
	if err != nil {
		return nil, err
	}
	a.looked(nil)
	a.told.Cosigned(a.cfg.Logger, &head.Head, a.last.Load().Time)
	return tlog.SignatureLines(ours), nil
}

// slot takes a slot of the requests under way.
func (a *Auditor) slot() (leave func(), err error) {
	select {
	case a.slots <- struct{}{}:
		return func() { <-a.slots }, nil
	default:
		return nil, refuse(codeBusy, "%d requests are under way", cap(a.slots))
	}
}

// enter calls do under the lock, if it gets the lock soon. size is that of the head that the caller
// asks for.
func (a *Auditor) enter(ctx context.Context, size uint64, do func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	entered := false
	err := a.with(ctx, func() error {
		entered = true
		return do()
	})
	if !entered {
		return a.behind(cmp.Or(a.target.Load(), size))
	}
	return err
}

func (a *Auditor) behind(size uint64) error {
	return refuse(codeNotReady, "catching up: %d of %d entries are applied", min(a.copy.applied.Load(), size), size)
}

// contradicts returns the evidence of a head of the recorded size with another root, nil for any
// other head.
func (r *record) contradicts(head *tlog.Checkpoint) *client.ForkError {
	if r.head == nil || r.head.Size != head.Size || r.head.Root == head.Root {
		return nil
	}
	return &client.ForkError{Small: r.head, Large: head, Prefix: head.Root, Own: tlog.OwnSmall}
}

// follows checks that a head may follow the recorded one, in the order of tlog-witness,
// "add-checkpoint".
func (last *record) follows(r *tlog.AddCheckpoint, head *tlog.Checkpoint) error {
	size, root := last.size(), tiles.EmptyRoot()
	if last.head != nil {
		root = last.head.Root
	}
	switch {
	case r.Old != size:
		return &ConflictError{r.Old, size}
	case head.Size == 0:
		return &InconsistentError{"an auditor cosigns no empty tree"}
	case last.contradicts(head) != nil:
		return &InconsistentError{fmt.Sprintf("this auditor has cosigned another root hash for size %d", size)}
	case size == 0 && len(r.Proof) > 0:
		return &InconsistentError{"the old size is 0, but the consistency proof is not empty"}
	case size > 0 && tiles.VerifyConsistency(size, root, head.Size, head.Root, r.Proof) != nil:
		return &InconsistentError{fmt.Sprintf("the consistency proof from size %d to size %d does not verify", size, head.Size)}
	}
	return nil
}

// repeat takes the second step, and returns the recorded head. It returns lines, too, if the head was
// cosigned in this very second: all was checked for it. It needs the lock.
func (a *Auditor) repeat(r *tlog.AddCheckpoint, head *tlog.Checkpoint) (last *record, lines []tlog.Signature, err error) {
	if a.stopped != nil {
		return nil, nil, refuse(codeStopped, "%w", a.stopped)
	}
	if last, err = a.recorded(); err != nil {
		return nil, nil, refuse(codeStorage, "%w", err)
	}
	if fork := last.contradicts(head); fork != nil {
		a.convict(fork)
	}
	if err := last.follows(r, head); err != nil {
		return nil, nil, err
	}
	if last.repeats(head) && last.Time == uint64(time.Now().Unix()) {
		lines = a.lines
	}
	return last, lines, nil
}

// said is what the log says to a request.
type said struct {
	note    *tlog.Checkpoint // the named head
	audited *tlog.Checkpoint // nil: none is shown
	copying *update          // of the copy, with verified entries; nil: the copy has the head
}

// consult asks the log whether it names this head, and what it shows as audited. From the log's first
// answer on the copy is being updated. The caller must not have the lock: a stranger's requests would
// keep it for as long as the log takes.
func (a *Auditor) consult(ctx context.Context, head *tlog.Checkpoint) (s said, err error) {
	if s.note, err = a.namedNote(ctx, head); err != nil {
		return s, err
	}
	s.copying = a.join(head.Size)
	if s.audited, err = fetchAudited(ctx, a.log.Load()); err != nil {
		return s, refuse(codeNotReady, "%w", err)
	}
	s.copying.waitVerified(ctx)
	return s, nil
}

// cosign takes the steps from the second on. head has the log's verified lines only. It needs the
// lock.
func (a *Auditor) cosign(ctx context.Context, r *tlog.AddCheckpoint, head *tlog.Checkpoint, log said) ([]tlog.Signature, error) {
	last, lines, err := a.repeat(r, head)
	if err != nil || lines != nil {
		return lines, err
	}
	if err := a.checkLost(last, log.audited); err != nil {
		return nil, err
	}
	if err := a.follow(ctx, log.note); err != nil {
		return nil, err
	}
	if err := a.checkTree(ctx, last, log.note); err != nil {
		return nil, err
	}
	if err := a.checkStored(ctx, log); err != nil {
		return nil, err
	}
	now, err := a.judge(log.note, last)
	if err != nil {
		return nil, err
	}
	lines, err = a.sign(last, head, now)
	if err == nil {
		a.vouch(log.note, lines, a.copy.ledger.Charter())
	}
	return lines, err
}

// namedNote returns the note of the head that the log names, if it is this one.
func (a *Auditor) namedNote(ctx context.Context, head *tlog.Checkpoint) (*tlog.Checkpoint, error) {
	r, err := a.readRound(ctx)
	switch {
	case absent(err):
		return nil, refuse(codeHead, "the log names no head: %w", err)
	case err != nil:
		return nil, refuse(codeNotReady, "%w", err)
	case !named(r):
		return nil, refuse(codeHead, "the log names no head: its round is %s", r.State)
	case string(r.Head().Text()) != string(head.Text()):
		return nil, refuse(codeHead, "the log names the head of size %d and root %s, and not this one", r.Size, r.Root)
	}
	return r.Head(), nil
}

// checkLost stops the auditor if the log shows a later cosignature of it than last. The lock has
// been free since the log was asked, so last may only be later.
func (a *Auditor) checkLost(last *record, shown *tlog.Checkpoint) error {
	if shown == nil {
		return nil
	}
	if err := last.lost(a.cfg.Signers, shown); err != nil {
		a.stopped = err
		a.cfg.Logger.Error("the auditor stops", "origin", a.cfg.Origin, "err", err)
		return refuse(codeStopped, "%w", err)
	}
	return nil
}

// follow applies the entries up to a named head, if there are few.
func (a *Auditor) follow(ctx context.Context, note *tlog.Checkpoint) error {
	size := a.copy.ledger.Size()
	switch {
	case note.Size < size:
		return refuse(codeHead, "the log named a head of size %d before", size)
	case note.Size-size > inline:
		return a.behind(note.Size)
	}
	err := a.advance(ctx, note)
	_, refused := errors.AsType[*Refusal](err)
	_, forked := errors.AsType[*client.ForkError](err)
	switch {
	case err == nil, refused:
		return err
	case forked:
		return &InconsistentError{err.Error()}
	}
	return refuse(codeNotReady, "catching up: %w", err)
}

// checkTree checks that the tree of the ledger is that of the head, and extends the recorded head.
func (a *Auditor) checkTree(ctx context.Context, last *record, note *tlog.Checkpoint) error {
	l := a.copy.ledger
	if l.Size() != note.Size || l.Root() != note.Root {
		return refuse(codeNotReady, "the applied entries are not those of the head")
	}
	if last.head == nil {
		return nil
	}
	root, err := a.copy.replica.Tree().Root(ctx, last.head.Size)
	if err != nil {
		return refuse(codeNotReady, "%w", err)
	}
	if root != last.head.Root {
		return &InconsistentError{fmt.Sprintf("the tree has another root at the recorded size %d", last.head.Size)}
	}
	return nil
}

// judge returns the present second if the auditor may cosign the head then.
func (a *Auditor) judge(note *tlog.Checkpoint, last *record) (uint64, error) {
	in := a.copy.ledger.Charter()
	now := time.Now().Truncate(time.Second)
	v, err := in.Witnesses.Verify(note, a.cfg.Origin)
	if err != nil {
		return 0, refuse(codeQuorum, "the policy of the witnesses: %w", err)
	}
	after := time.Unix(int64(min(v.LoggedAfter, 1<<62)), 0)
	switch {
	case now.Unix() <= 0 || uint64(now.Unix()) < last.Time:
		return 0, refuse(codeClock, "this machine's clock is %d seconds behind the last cosignature", int64(last.Time)-now.Unix())
	case now.Before(after.Add(-seconds(in.Profile.Skew))):
		return 0, refuse(codeClock, "this machine's clock says %s, but witnesses have signed at %s", formatTime(now), formatTime(after))
	case now.After(after.Add(seconds(in.Profile.Stale))):
		return 0, refuse(codeStale, "witnesses have signed the head of size %d at %s, more than %s ago", note.Size, formatTime(after), event.Span(in.Profile.Stale))
	}
	if err := a.member(in, note.Size); err != nil {
		return 0, err
	}
	if bars := a.bars(now); len(bars) > 0 {
		return 0, barred(bars)
	}
	return uint64(now.Unix()), nil
}

// member checks that the charter in force names this auditor with its keys.
func (a *Auditor) member(in *ledger.Charter, size uint64) error {
	p := in.Party(event.RoleAuditor, a.cfg.Name)
	if p == nil {
		return refuse(codeTrust, "the charter in force names no auditor %s", a.cfg.Name)
	}
	for _, s := range a.cfg.Signers {
		if !slices.Contains(p.Cosigners, s.Verifier().String()) {
			return refuse(codeTrust, "the charter in force does not name the key %s of auditor %s", s.Verifier(), a.cfg.Name)
		}
	}
	if a.copy.ledger.SetAside(p, size) {
		return refuse(codeTrust, "the key of auditor %s is set aside, so its cosignatures do not count", a.cfg.Name)
	}
	return nil
}

// sign records the head with the time, and then makes the lines.
func (a *Auditor) sign(last *record, head *tlog.Checkpoint, now uint64) ([]tlog.Signature, error) {
	a.lines = nil
	if !last.repeats(head) || last.Time != now {
		if err := a.persist(last, head, now); err != nil {
			a.cfg.Logger.Error("recording a head failed", "origin", a.cfg.Origin, "err", err)
			return nil, refuse(codeStorage, "%w", err)
		}
	}
	lines, err := cosigning.Cosign(a.cfg.Signers, &head.Head, now)
	if err != nil {
		return nil, err
	}
	a.lines = lines
	return lines, nil
}

func seconds(n uint64) time.Duration { return time.Duration(min(n, 1<<33)) * time.Second }

func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// barred is the refusal of an auditor that the rules bar.
func barred(bars []ledger.Bar) *Refusal {
	var what []string
	for _, b := range bars[:min(len(bars), 3)] {
		if v := b.Breach; v != nil {
			what = append(what, fmt.Sprintf("the breach of the rule %s at entry %d", v.Rule, v.Index))
		} else {
			what = append(what, fmt.Sprintf("the overdue obligation %s of entry %d", b.Obligation.Rule, b.Obligation.Index))
		}
	}
	if n := len(bars) - len(what); n > 0 {
		what = append(what, fmt.Sprintf("%d more", n))
	}
	r := refuse(codeBarred, "barred by %s", strings.Join(what, ", "))
	r.Bars = bars
	return r
}
