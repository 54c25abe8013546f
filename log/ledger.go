// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/vasistas/vasistas/internal/checksum"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/duty"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/internal/chain"
	"github.com/vasistas/vasistas/log/internal/entries"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/state"
	"github.com/vasistas/vasistas/log/tlog"
)

// RuleError names the rule that an event would break as the next entry.
type RuleError struct{ *ledger.Violation }

func (e *RuleError) Error() string {
	text := fmt.Sprintf("rule %s (%s): %s", e.Rule, e.Code, e.Text())
	if e.Cure != "" {
		text += "; to mend it: " + e.Cure
	}
	return text
}

// liveLedger is the ledger of this log, with the agenda that follows from it.
//
// The sequencer writes it, entry by entry and ahead of the tree: it applies an entry
// before the entry is stored, so that the rules see it when they check the next one. If the
// entry then does not get into the tree, the ledger is opened again, from its last snapshot
// and the tree.
type liveLedger struct {
	origin  string
	caches  *state.Dir
	metrics *logMetrics
	logger  *slog.Logger

	pages *entries.Pages // the sequencer's, except Reader and Prover
	view  atomic.Pointer[view]
	edge  atomic.Pointer[chain.Edge] // of the checked tree, all applied; written by the sequencer
	// admitted is how many entries this log or its witnesses have vouched for; beyond it,
	// the engine's are checked as if they were submitted. Only the tree's owner uses it.
	admitted uint64

	mu       sync.Mutex // guards what follows
	rules    *ledger.Ledger
	agenda   *duty.Agenda // another one after each open
	saved    uint64       // size of the last snapshot
	recovery [32]byte     // leaf hash of the charter by which the operator recovers the log; or zero

	writing sync.Mutex // held while a snapshot is written
}

// open reads the last snapshot and what the tree has beyond it. If active, t is the
// engine's tree; a standby reads the published tree, which its snapshot may be ahead of.
func (ll *liveLedger) open(ctx context.Context, t *chain.Tree, active bool) error {
	ll.pages.Reset(t)
	rules, agenda, err := ll.readSnapshot(ctx, t.Edge())
	switch {
	case errors.Is(err, ledger.ErrRules), !active && errors.Is(err, errSnapshotAhead):
		return fmt.Errorf("reading what the entries mean: %w", err)
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		ll.logger.Warn("the snapshot of the ledger can't be used; reading the whole log", "err", err)
	}
	if rules == nil {
		rules, agenda = ledger.New(ll.origin, ll.pages), duty.NewAgenda()
	}
	saved := rules.Size()
	if err := ll.replay(ctx, rules, agenda, t); err != nil {
		return err
	}
	agenda.CheckIdle()
	ll.mu.Lock()
	ll.rules, ll.agenda, ll.saved = rules, agenda, saved
	ll.mu.Unlock()
	ll.updateView(true)
	ll.commit(t)
	return nil
}

func (ll *liveLedger) replay(ctx context.Context, rules *ledger.Ledger, agenda *duty.Agenda, t *chain.Tree) error {
	err := entries.Replay(ctx, rules, ll.pages.Reader, t.Edge(), ll.admitted, func(e *ledger.Entry) { agenda.Applied(rules, e) })
	if err != nil {
		return fmt.Errorf("reading what the entries mean: %w", err)
	}
	return nil
}

// follow applies the entries of the tree that the ledger lacks. Only its owner may use
// the ledger meanwhile. After an error the ledger is unusable.
func (ll *liveLedger) follow(ctx context.Context, t *chain.Tree) error {
	ll.pages.Reset(t)
	if err := ll.replay(ctx, ll.rules, ll.agenda, t); err != nil {
		return err
	}
	ll.updateView(false)
	ll.commit(t)
	return nil
}

// commit records that the entries below t's size are in the tree.
func (ll *liveLedger) commit(t *chain.Tree) {
	e := t.Edge()
	ll.pages.Commit(int(ll.rules.Size() - e.Size))
	ll.edge.Store(&e)
	ll.admitted = e.Size
}

// updateView makes a new view if the charter in force is another than in the last one,
// or if always.
func (ll *liveLedger) updateView(always bool) {
	now, last := ll.rules.Charter(), ll.view.Load()
	if now != nil && (always || last == nil || last.inForce() != now) {
		ll.view.Store(newView(ll.rules, ll.recovery))
	}
}

// add checks an event as the next entry, whose bytes are given, and applies it unless
// admission must refuse it: then it returns a *[RuleError].
func (ll *liveLedger) add(e ledger.Entry, entry []byte) error {
	ll.mu.Lock()
	defer ll.mu.Unlock()
	e.Index = ll.rules.Size()
	v, violations, err := ll.rules.Add(e)
	switch {
	case err != nil:
		return fmt.Errorf("applying entry %d: %w", e.Index, err)
	case v != nil:
		ll.metrics.refusals.Add(1, v.Rule)
		return &RuleError{v}
	}
	for _, v := range violations {
		ll.metrics.violations.Add(1, v.Rule, v.Kind.String())
		ll.logger.Warn("an entry is against the rules", "rule", v.Rule, "way", v.Code, "kind", v.Kind.String(), "entry", v.Index, "seen", v.Seen, "by", v.By, "text", v.Text())
	}
	ll.metrics.changed(ll.rules.Changes())
	ll.agenda.Applied(ll.rules, &e)
	ll.updateView(false)
	ll.pages.Add(entry)
	return nil
}

// recorded returns the entry in which an event had an effect under each key of e.
func (ll *liveLedger) recorded(e ledger.Entry) (index uint64, ok bool) {
	ll.mu.Lock()
	defer ll.mu.Unlock()
	return ll.rules.Recorded(e)
}

// Query implements [duty.Log].
func (ll *liveLedger) Query(f func(*ledger.Ledger, *duty.Agenda)) {
	ll.mu.Lock()
	defer ll.mu.Unlock()
	f(ll.rules, ll.agenda)
}

// Size implements [duty.Log].
func (ll *liveLedger) Size() uint64 { return ll.edge.Load().Size }

// Entry implements [duty.Log].
func (ll *liveLedger) Entry(ctx context.Context, index uint64) ([]byte, error) {
	return chain.ReadProven(ctx, ll.pages.Reader, ll.pages.Prover, index, *ll.edge.Load())
}

// proven returns the time that the anchors prove, in POSIX seconds; 0: none.
func (ll *liveLedger) proven() (at uint64) {
	ll.Query(func(l *ledger.Ledger, _ *duty.Agenda) {
		if t := l.Time(); !t.IsZero() {
			at = uint64(t.Unix())
		}
	})
	return at
}

// owes returns whether the log must disclose something of an entry.
func (ll *liveLedger) owes(index uint64) (owes bool) {
	ll.Query(func(_ *ledger.Ledger, a *duty.Agenda) { owes = a.Owes(index) })
	return owes
}

// recovers returns the charter that takes the log over.
func (ll *liveLedger) recovers(env *event.Envelope) (*ledger.Charter, error) {
	ll.mu.Lock()
	defer ll.mu.Unlock()
	c, err := ll.rules.Recovers(env, ll.rules.Size())
	if v, ok := errors.AsType[*ledger.Violation](err); ok {
		return nil, &RuleError{v}
	}
	return c, err
}

// takeOver marks the charter by which the log is recovered.
func (ll *liveLedger) takeOver(c *ledger.Charter) {
	ll.mu.Lock()
	defer ll.mu.Unlock()
	ll.recovery = c.Leaf
	ll.updateView(true)
}

// The file "ledger" in the state directory has what the entries up to some size
// mean, so that a start costs only the entries since. It is a cache: if the
// file is missing, damaged, or of another tree, the log computes it from the tree.
// Its parts are
//
//	vasistas log snapshot 2\n
//	size of the tree, 8 bytes
//	duty.Agenda.SnapshotLater
//	SHA-256 of all of this
//	ledger.Ledger.SnapshotLater, which has a SHA-256 of its own
const snapshotMagic = "vasistas log snapshot 2\n"

// snapshotEvery is after how many entries a snapshot is written, plus the number of
// open events. The cost of a snapshot grows with the open events, so it stays a small
// part of the work.
const snapshotEvery = 1 << 14

var (
	errSnapshot = errors.New("no snapshot of this tree")
	// errSnapshotAhead: the snapshot may be of a tree that is yet to be published.
	errSnapshotAhead = fmt.Errorf("%w: it has more entries", errSnapshot)
)

// readSnapshot reads the file. It returns an error unless the file is of the tree of
// this edge.
func (ll *liveLedger) readSnapshot(ctx context.Context, e chain.Edge) (*ledger.Ledger, *duty.Agenda, error) {
	name := ll.caches.Path("ledger")
	file, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, nil, err
	}
	agenda, size, used, err := readAgenda(file, info.Size())
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errSnapshot, err)
	}
	if size > e.Size {
		return nil, nil, fmt.Errorf("%w: %d, and the tree has %d; after a recovery, remove %s", errSnapshotAhead, size, e.Size, name)
	}
	root, err := chain.ProvenRoot(ctx, ll.pages.Prover, size, e)
	if err != nil {
		return nil, nil, chain.TreeError(err)
	}
	rules, err := ledger.RestoreFrom(io.NewSectionReader(file, used, info.Size()-used), size, root, ll.pages)
	if err != nil {
		return nil, nil, err
	}
	if rules.Origin() != ll.origin {
		return nil, nil, fmt.Errorf("%w: it is of the log %s", errSnapshot, rules.Origin())
	}
	return rules, agenda, nil
}

// readAgenda reads the first part of a snapshot file of n bytes: the agenda and the size of the tree. used
// is the length of that part.
func readAgenda(file *os.File, n int64) (agenda *duty.Agenda, size uint64, used int64, err error) {
	sum, buffered := sha256.New(), bufio.NewReaderSize(file, 64<<10)
	r := io.TeeReader(buffered, sum)
	head := make([]byte, len(snapshotMagic)+8)
	if _, err := io.ReadFull(r, head); err != nil || string(head[:len(snapshotMagic)]) != snapshotMagic {
		return nil, 0, 0, checksum.ErrMagic
	}
	if agenda, err = duty.ReadAgenda(r, n); err != nil {
		return nil, 0, 0, err
	}
	end := make([]byte, sha256.Size)
	if _, err := io.ReadFull(buffered, end); err != nil || !bytes.Equal(end, sum.Sum(nil)) {
		return nil, 0, 0, checksum.ErrDamaged
	}
	used, err = file.Seek(0, io.SeekCurrent)
	return agenda, binary.BigEndian.Uint64(head[len(snapshotMagic):]), used - int64(buffered.Buffered()), err
}

// snapshot returns a function that writes the ledger as it is now, and the size of the last
// snapshot. writing must be held.
func (ll *liveLedger) snapshot() (write func(io.Writer) error, saved uint64) {
	ll.mu.Lock()
	defer ll.mu.Unlock()
	head := binary.BigEndian.AppendUint64([]byte(snapshotMagic), ll.rules.Size())
	agenda, rules := ll.agenda.SnapshotLater(), ll.rules.SnapshotLater()
	saved, ll.saved = ll.saved, ll.rules.Size()
	return func(w io.Writer) error {
		out, sum := bufio.NewWriterSize(w, 256<<10), sha256.New()
		both := bufio.NewWriterSize(io.MultiWriter(out, sum), 4096)
		if _, err := both.Write(head); err != nil {
			return err
		}
		if err := errors.Join(agenda(both), both.Flush()); err != nil {
			return err
		}
		if _, err := out.Write(sum.Sum(nil)); err != nil {
			return err
		}
		return errors.Join(rules(out), out.Flush())
	}, saved
}

// snapshotDue returns whether a snapshot should be written.
func (ll *liveLedger) snapshotDue() bool {
	ll.mu.Lock()
	defer ll.mu.Unlock()
	open, _ := ll.rules.Open()
	return ll.rules.Size()-ll.saved >= uint64(snapshotEvery+open)
}

// save writes a snapshot. All that was applied must be in the tree when save is called;
// the snapshot lacks what is applied meanwhile.
func (ll *liveLedger) save() error {
	ll.writing.Lock()
	defer ll.writing.Unlock()
	return ll.write(ll.snapshot())
}

// saveLater prepares a snapshot before all applied entries are in the tree. The caller calls save once they
// are in the tree, or have failed; a goroutine then encodes and writes the snapshot. save is nil if another
// snapshot is being written.
func (ll *liveLedger) saveLater() (save func(stored bool)) {
	if !ll.writing.TryLock() {
		return nil
	}
	write, saved := ll.snapshot()
	return func(stored bool) {
		if !stored {
			ll.writing.Unlock()
			return
		}
		go func() {
			defer ll.writing.Unlock()
			if err := ll.write(write, saved); err != nil {
				ll.logger.Warn("the snapshot of the ledger was not written; a start would take longer", "err", err)
			}
		}()
	}
}

func (ll *liveLedger) write(write func(io.Writer) error, saved uint64) error {
	err := durable.WriteStream(ll.caches.Path("ledger"), 0o600, write)
	if err != nil {
		ll.mu.Lock()
		ll.saved = min(ll.saved, saved)
		ll.mu.Unlock()
		return fmt.Errorf("writing the snapshot of the ledger: %w", err)
	}
	return nil
}

// view is the charters and keys of the ledger. It is immutable, and read without a
// lock.
type view struct {
	charters []*ledger.Charter // ascending, at least one
	keys     map[string]*event.PublicKey
	recovery *ledger.Charter // one of the charters, by which the operator recovers the log; or nil
}

// newView returns the view of a ledger; recovery is the leaf hash of the recovery, or
// zero.
func newView(l *ledger.Ledger, recovery [32]byte) *view {
	v := &view{keys: make(map[string]*event.PublicKey)}
	for c := l.Charter(); c != nil; c = l.CharterAt(c.Index) {
		v.charters = append(v.charters, c)
	}
	slices.Reverse(v.charters)
	for _, id := range l.KeyIDs() {
		v.keys[id] = l.Key(id)
	}
	if i := slices.IndexFunc(v.charters, func(c *ledger.Charter) bool { return c.Leaf == recovery }); i > 0 {
		v.recovery = v.charters[i]
	}
	return v
}

// at returns the charter in force at a tree of that size.
func (v *view) at(size uint64) *ledger.Charter {
	for _, c := range slices.Backward(v.charters) {
		if c.Index < size {
			return c
		}
	}
	return v.charters[0]
}

// inForce returns the charter in force at the next index.
func (v *view) inForce() *ledger.Charter { return v.charters[len(v.charters)-1] }

// logKeys returns the vkeys that sign a head of this size: those of the charter in
// force and, if the head ends with an amendment, also those of the charter before,
// since such a head meets the old policies and the new ones.
func (v *view) logKeys(size uint64) []string {
	now := v.at(size)
	if now.Index+1 == size {
		return slices.Concat(now.LogKeys, v.at(now.Index).LogKeys)
	}
	return now.LogKeys
}

// reachKeys returns the vkeys that sign a head of this size again. The keys of a recovery sign
// heads from before the recovery, since the older keys may be lost.
func (v *view) reachKeys(size uint64) []string {
	if v.recovery != nil && v.recovery.Index >= size {
		return v.recovery.LogKeys
	}
	return v.logKeys(size)
}

// amended returns whether a head of size to must meet the policies of several charters, if the last
// published head has size from: an amendment lies between.
func (v *view) amended(from, to uint64) bool {
	if v.recovery != nil && v.recovery.Index >= to {
		return false // the next head has the recovery too
	}
	return len(v.policies(from, to)) > 1
}

// ours returns whether a head that a witness shows is evidence against this log. A key in
// force signed it, so a copy of this log is at work; or it met the policy that the tree
// has at its size. A key that an amendment has replaced proves nothing by itself: a thief
// of it must not stop the log.
func (v *view) ours(cp *tlog.Checkpoint) bool {
	for _, l := range v.inForce().Witnesses.Logs {
		if line := cp.Find(l.Key); line != nil {
			if _, err := l.Key.Verify(&cp.Head, line); err == nil {
				return true
			}
		}
	}
	c := v.at(cp.Size)
	_, err := c.Witnesses.Verify(cp, cp.Origin)
	return c.Witnesses.NeedsWitnesses() && err == nil
}

// policies returns the witness policies that a head must meet; see
// ledger.Ledger.Policies. A head that first contains a recovery need not meet the
// policies before that.
func (v *view) policies(from, size uint64) []*tlog.Policy {
	var out []*tlog.Policy
	for _, c := range v.charters {
		if c.Index >= size {
			break
		}
		if c.Index < from || c == v.recovery {
			out = out[:0]
		}
		out = append(out, c.Witnesses)
	}
	return out
}

// hearing returns the policies whose witnesses are asked at a start whether they know
// a later head than that of this size.
func (v *view) hearing(size uint64) []*tlog.Policy {
	if v.recovery != nil && v.recovery.Index >= size {
		return []*tlog.Policy{v.recovery.Witnesses}
	}
	return v.policies(size, size)
}

// step returns the size of the next head to publish of a tree, after one of size
// from: the tree's own, or that which ends with the next amendment.
func (v *view) step(from, size uint64) uint64 {
	for _, c := range v.charters {
		if v.recovery != nil && c.Index < v.recovery.Index {
			continue
		}
		if c.Index >= from && c.Index+1 < size {
			return c.Index + 1
		}
	}
	return size
}
