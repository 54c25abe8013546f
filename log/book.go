// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"container/heap"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// book is what the entries mean: the ledger, and beside it what the log owes the
// world by itself, anchors and disclosures.
//
// The sequencer writes it, entry by entry and ahead of the tree: an entry is
// applied before it is stored, so that the next one of the same batch is judged by
// it. If it then is not stored, the book is opened again from its last snapshot and
// the tree, as at a start.
type book struct {
	origin  string
	caches  *stateDir
	metrics *metrics
	logger  *slog.Logger

	pages *pages // answers for entries
	view  atomic.Pointer[view]
	edge  atomic.Pointer[edge] // of the tree whose entries are all applied; written by the sequencer
	// opened is how often the book was opened: after each time but the first, what
	// was applied before may not be in the tree.
	opened atomic.Uint64

	mu sync.Mutex // guards what follows
	contents
	wake     wakes      // when to check which deposit
	recovery [32]byte   // leaf hash of the charter by which the operator recovers the log; or zero
	writing  sync.Mutex // held while a snapshot is written
}

// contents are what was read of the tree.
type contents struct {
	ledger   *ledger.Ledger
	anchors  []uint64            // indices of the anchors that no anchor covers, ascending
	deposits map[uint64]*deposit // what is, or should be, in the vault, by index
	saved    uint64              // size of the last snapshot
}

// deposit is a logged event of which the vault has something to be disclosed.
type deposit struct {
	index   uint64
	hash    event.Digest
	release bool // its notices; else, openings
	lost    bool // the vault hasn't it, and that was told
}

// view is what everyone may know of the ledger. It is immutable.
type view struct {
	charters []*ledger.Charter // ascending, at least one
	keys     map[string]*event.PublicKey
	recovery *ledger.Charter // one of the charters, by which the operator recovers the log; or nil
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

// policies returns the witness policies that a head must meet; see
// ledger.Ledger.Policies. One that first contains a recovery need not meet what was
// before that.
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

func newBook(origin string, caches *stateDir, r tlog.TileReader, logger *slog.Logger) *book {
	return &book{origin: origin, caches: caches, pages: newPages(r), logger: logger}
}

// open takes up the last snapshot and what the tree has beyond it, and makes it
// what the book says. The tree is t's, all of it checked.
func (b *book) open(ctx context.Context, t *tree) error {
	b.pages.reset(t)
	o, err := b.restore(ctx, t)
	if err != nil {
		return fmt.Errorf("reading what the entries mean: %w", err)
	}
	b.mu.Lock()
	b.contents = *o
	b.opened.Add(1)
	b.wakeAll()
	b.mu.Unlock()
	b.publish(nil)
	b.settle(t)
	return nil
}

// follow applies the entries of the tree that the book lacks. It schedules no checks
// of deposits: wakeAll does. After an error the book is unusable.
func (b *book) follow(ctx context.Context, t *tree) error {
	b.pages.reset(t)
	o := b.contents
	if err := replay(ctx, &o, b.pages.reader, t.edge.Load()); err != nil {
		return fmt.Errorf("reading what the entries mean: %w", err)
	}
	b.mu.Lock()
	b.contents = o
	b.opened.Add(1)
	b.mu.Unlock()
	b.publish(b.view.Load())
	b.settle(t)
	return nil
}

// wakeAll schedules a check of every deposit; mu must be held.
func (b *book) wakeAll() {
	b.wake = make(wakes, 0, len(b.deposits))
	for i := range b.deposits {
		b.wake = append(b.wake, wake{0, i}) // all alike, so it is a heap
	}
}

// settle says that what was applied is in the tree.
func (b *book) settle(t *tree) {
	b.pages.settle()
	b.edge.Store(t.edge.Load())
}

// publish makes the view that everyone has, if the charters are others than in the
// last one.
func (b *book) publish(last *view) {
	now := b.ledger.Charter()
	if now == nil || last != nil && last.inForce() == now {
		return
	}
	v := &view{keys: make(map[string]*event.PublicKey)}
	for c := now; c != nil; c = b.ledger.CharterAt(c.Index) {
		v.charters = append(v.charters, c)
	}
	slices.Reverse(v.charters)
	for _, id := range b.ledger.KeyIDs() {
		v.keys[id] = b.ledger.Key(id)
	}
	if i := slices.IndexFunc(v.charters, func(c *ledger.Charter) bool { return c.Leaf == b.recovery }); i > 0 {
		v.recovery = v.charters[i]
	}
	b.view.Store(v)
}

// add judges an event as the next entry, and applies it unless admission must
// refuse it: then it returns a *[RuleError].
func (b *book) add(ev *admitted) error {
	e := ledger.Entry{Leaf: ev.leaf, Envelope: ev.env, Hash: ev.hash, Signatures: ev.signatures}
	b.mu.Lock()
	defer b.mu.Unlock()
	e.Index = b.ledger.Size()
	v, found, err := b.ledger.Add(e)
	switch {
	case err != nil:
		return fmt.Errorf("applying entry %d: %w", e.Index, err)
	case v != nil:
		b.metrics.refusals.WithLabelValues(v.Rule).Inc()
		return &RuleError{v}
	}
	b.applied(&e, found)
	b.pages.add(ev.entry)
	return nil
}

// applied takes note of an entry that the ledger has. It needs mu.
func (b *book) applied(e *ledger.Entry, found []*ledger.Violation) {
	for _, v := range found {
		b.metrics.violations.WithLabelValues(v.Rule, v.Kind.String()).Inc()
		b.logger.Warn("an entry is against the rules", "rule", v.Rule, "way", v.Code, "kind", v.Kind.String(), "entry", v.Index, "seen", v.Seen, "by", v.By, "text", v.Text())
	}
	if d := b.take(e); d != nil {
		b.look(0, d.index)
	}
	if e.Envelope == nil {
		return
	}
	switch body := e.Envelope.Event.Body.(type) {
	case *event.Disclosure:
		b.look(0, body.Event.Index)
	case *event.Charter:
		b.publish(b.view.Load())
		if len(body.Void) > 0 { // which may move dates back
			b.wakeAll()
		}
	}
}

func depositOf(e *ledger.Entry) *deposit {
	ev := e.Envelope.Event
	d := &deposit{index: e.Index, hash: e.Hash}
	if r, ok := ev.Body.(*event.Release); ok {
		d.release = true
		if len(r.Notices) == 0 {
			return nil
		}
	} else if len(ev.Sealed.Digests(event.ClassPublic)) == 0 {
		return nil
	}
	return d
}

// look has a deposit looked at once the witnessed time, in POSIX seconds, is
// reached. It needs mu.
func (b *book) look(at int64, index uint64) {
	if b.deposits[index] != nil {
		heap.Push(&b.wake, wake{at, index})
	}
}

// woken returns the deposits whose time has come, ascending, at most n.
func (b *book) woken(now int64, n int) []deposit {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []deposit
	for len(b.wake) > 0 && b.wake[0].time <= now && len(out) < n {
		w := heap.Pop(&b.wake).(wake)
		if d := b.deposits[w.index]; d != nil {
			out = append(out, *d)
		}
	}
	slices.SortFunc(out, func(a, b deposit) int { return int(int64(a.index) - int64(b.index)) })
	return slices.Compact(out)
}

// nextLook returns when the next deposit wants to be looked at.
func (b *book) nextLook() (int64, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.wake) == 0 {
		return 0, false
	}
	return b.wake[0].time, true
}

// sealed says until when a deposit is sealed. With over, nothing of it is owed any
// more.
func (b *book) sealed(d *deposit) (until int64, never, over bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return sealedIn(b.ledger, d)
}

func sealedIn(l *ledger.Ledger, d *deposit) (until int64, never, over bool) {
	at := d.index
	if d.release {
		access, closed, ok := l.Notices(d.index)
		if !ok || closed == 0 {
			return 0, false, true
		}
		at = access
	}
	s, ok := l.Sealed(at)
	if !ok || !d.release && s.Closed == 0 {
		return 0, false, true
	}
	return s.Until.Unix(), s.Never, false
}

// anchoring returns the size and the logged-after time of the last anchor (0 and
// the charter's own time if there is none), and whether a head of this size has
// entries, other than anchors, that no anchor covers.
func (b *book) anchoring(size uint64) (anchored uint64, since int64, fresh bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	anchored, since = b.ledger.Anchored(), b.view.Load().charters[0].Time
	if t := b.ledger.Time(); !t.IsZero() {
		since = max(since, t.Unix())
	}
	if size <= anchored {
		return anchored, since, false
	}
	below := uint64(0)
	for _, i := range b.anchors {
		if i >= anchored && i < size {
			below++
		}
	}
	return anchored, since, size-anchored > below
}

// proven returns what the anchors prove, in POSIX seconds.
func (b *book) proven() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t := b.ledger.Time(); !t.IsZero() {
		return t.Unix()
	}
	return 0
}

// size returns how many entries were applied.
func (b *book) size() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ledger.Size()
}

// overdue returns how much is overdue by rule, and how much is open.
func (b *book) overdue(at time.Time) (rules map[string]int, open int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	rules = make(map[string]int)
	for _, o := range b.ledger.Overdue(at) {
		rules[o.Rule]++
	}
	open, _ = b.ledger.Open()
	return rules, open
}

// drop forgets deposits, and returns their events.
func (b *book) drop(indices []uint64) []event.Digest {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []event.Digest
	for _, i := range indices {
		if d := b.deposits[i]; d != nil {
			out = append(out, d.hash)
			delete(b.deposits, i)
		}
	}
	return out
}

// lookAt is look for others.
func (b *book) lookAt(at int64, index uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.look(at, index)
}

// setLost notes that the vault hasn't what it should, and returns whether that is
// news.
func (b *book) setLost(index uint64) (news bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.deposits[index]
	if d == nil || d.lost {
		return false
	}
	d.lost = true
	return true
}

// found notes that the vault has it again.
func (b *book) found(hash event.Digest, index uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if d := b.deposits[index]; d != nil && d.hash == hash {
		d.lost = false
		b.look(0, index)
	}
}

// owes returns whether the log has something to disclose of an entry.
func (b *book) owes(index uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.deposits[index] != nil
}

// deposited returns all deposits, ascending.
func (b *book) deposited() []deposit {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]deposit, 0, len(b.deposits))
	for _, i := range slices.Sorted(maps.Keys(b.deposits)) {
		out = append(out, *b.deposits[i])
	}
	return out
}

// wakes is a heap of times at which deposits want to be looked at. It may hold
// deposits that are gone, or those of which the date has moved: looking does no
// harm.
type wakes []wake

type wake struct {
	time  int64
	index uint64
}

func (w wakes) Len() int           { return len(w) }
func (w wakes) Less(i, j int) bool { return w[i].time < w[j].time }
func (w wakes) Swap(i, j int)      { w[i], w[j] = w[j], w[i] }
func (w *wakes) Push(x any)        { *w = append(*w, x.(wake)) }
func (w *wakes) Pop() any {
	old := *w
	x := old[len(old)-1]
	*w = old[:len(old)-1]
	return x
}
