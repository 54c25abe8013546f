// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package ledger checks the entries of a Vasistas log against its rules. It is one
// reducer: it takes entries in order and returns state and verdicts. Admission,
// gate, monitor and auditor run it and get the same verdicts.
//
// # Contract
//
// [Ledger.Apply] is pure: no clock, no I/O but the caller's [Tree], no
// randomness, no dependence on map order. The charter in force at an entry's index
// names the version of the rules for it. A shipped version never changes, from version 2
// on. The rules
// are one table, [Rules], which docs/rules.md and the texts of verdicts
// ([Cause.Text]) are rendered from.
//
// No signer and no claimed time is trusted. Anchors bound claimed times; the ledger
// verifies their cosignatures under the policy of the charter in force at the
// anchored size. The caller is trusted to pass the entries of one tree in order,
// with their leaf hashes, and its [Tree] to answer from that same, verified tree.
// The ledger keeps the tree's right edge, so [Ledger.Root] names exactly the
// entries that the verdicts are about.
//
// # Effect
//
// An entry in breach changes only the list of breaches. An entry without effect
// changes nothing. A release that comes too late for its access, through no fault
// of its custodian, counts in the custodian's chain and opens nothing, so a race
// never stops an honest chain.
//
// # Time
//
// The logged-after time of an entry is the latest that the anchors below it prove.
// An act is late only if that time proves it. What an entry owes counts from its
// claimed time, but from no earlier than what an anchor below the entry proves, so
// backdating makes no other party late, and from no later than the anchor that covers
// the entry proves. The profile in force at the debtor's own index applies to an
// obligation.
//
// # Memory
//
// The state holds what is open: events with sealed values, live warrants and
// accesses, obligations, ids younger than the profile's lag, entries that no anchor
// covers, one chain for each custodian, charters and breaches; and for about as long
// as the profile's stale, what has barred auditors. Closed events are read through
// [Tree] when an entry refers to them. Breaches beyond 64 by one key against one rule
// are counted, not listed. A custodian's or auditor's key adds to the state no more
// than its budget and what the log asks of it.
//
// # Decisions
//
//   - Violation.By: custodians and auditors answer for their own events, which
//     admission must not suppress. The log answers for all others, since admission
//     should have refused them.
//   - Voiding a key ends what its events from that index on allow: warrants,
//     accesses, deferrals and closed findings. What it resumed is suspended again, and
//     an emergency that it validated awaits a decision again. Debts, anchors and disclosures stay, since
//     mathematics proves them.
//   - Cosigner keys with one name, or of one auditor, belong to one operator. A
//     policy puts all keys of one operator into one group that any of its members
//     satisfies, so they never count twice.
//   - The head that first covers an amendment meets both the witness policy before
//     it and its own. A log publishes such a head of exactly that size (index+1), so
//     later readers find the step.
//   - A breach that shows only later (a claim ahead of its anchor) undoes nothing,
//     since other parties have built on the entry in good faith.
//   - A release ahead of its chain waits, up to [MaxAhead] of them, and takes effect
//     when the gap is filled: the log, not the custodian, orders entries.
//   - A custodian doesn't answer for what it could not know when it signed: its
//     release names the head that it relied on.
//   - Under the audit policy "quorum none" no finding closes a breach for a gate; a
//     later amendment by the charter keys does.
//   - Under the witness policy "quorum none" no time is proven: anchors are not due,
//     nothing is late, and ids are remembered for ever.
package ledger

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/internal/wakes"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// Errors of Apply. They are no verdicts, and the state is unchanged.
var (
	// ErrOrder: the entry is not the next one.
	ErrOrder = errors.New("not the next entry")
	// ErrRules: a valid charter names rules that this binary doesn't know. Only a
	// newer binary can check the entries after it.
	ErrRules = errors.New("the charter names rules that this version does not know; upgrade")
	// ErrTree: the caller's Tree failed.
	ErrTree = errors.New("reading the tree")
)

// A Ledger is the state after the first entries of one log. [New] and [Restore]
// make it. It is not safe for concurrent use.
type Ledger struct {
	origin string
	tree   Tree
	edge   *tiles.Frontier // of exactly the applied entries

	charters  []*Charter         // accepted ones, ascending
	keys      []*event.PublicKey // every key that a charter ever named, by number
	keyNum    map[string]uint32  // key id -> number
	open      store
	released  map[uint64]uint64 // release with closed notices -> its access
	chains    map[uint32]*chain // by key number
	ids       *ids              // an id whose time is below floor means nothing
	lastIDs   int               // ids.n after the last sweep
	breaches  []*Breach         // in the order in which they showed
	asides    []aside           // in the order in which they were set aside
	spent     map[uint32]uint64 // events in the budget of a key, by number; none is 0
	renewed   int64             // the proven time at which all budgets began again
	undecided int               // emergency accesses; derived from open
	totals    Totals            // of obligations that ended
	owed      [dutyAnchor]int   // number of owed obligations, by kind; derived

	anchored   uint64     // size of the largest anchored head
	existed    int64      // the tree of the largest anchored head existed before this time, by the last anchor; not state
	after      int64      // logged-after: the greatest of all anchors
	floor      int64      // claims below it are too old; never goes back
	unanchored []claim    // effective entries from anchored on, ascending
	first      []claim    // of these, each with an earlier base than all before it; derived
	wake       wakes.Heap // when open items must be checked, once an anchor proves the time past; derived

	soonest int64  // until then no open item is overdue; derived, a lower bound
	scanned uint64 // the size at which soonest was exact

	recent     recent
	roots      [4]knownRoot // a cache of Tree.Root; not state
	entry      Entry        // that is being checked
	act        act          // of entry
	release    pending      // of entry, if it is a release
	violations []*Violation // of the entry that is being applied
	diff       diff         // of the entry that is being applied
}

type knownRoot struct {
	size uint64
	root [32]byte
}

// claim is the claimed time of an entry that no anchor covers.
type claim struct {
	index  uint64
	time   int64
	base   int64 // the later of time and the proven time
	anchor bool
}

// New returns the ledger of a log without entries. The first entry must be the
// log's charter.
func New(origin string, tree Tree) *Ledger {
	l := &Ledger{
		origin: origin, tree: tree, edge: new(tiles.Frontier),
		keyNum: make(map[string]uint32), released: make(map[uint64]uint64), soonest: math.MaxInt64,
		chains: make(map[uint32]*chain), ids: newIDs(slices.Values[[]usedID](nil)), spent: make(map[uint32]uint64),
	}
	l.open = store{warm: make(map[uint64]*item), most: maxWarm, names: names{number: make(map[string]uint64)}, late: l.late}
	return l
}

// Origin returns the log's origin.
func (l *Ledger) Origin() string { return l.origin }

// Size returns how many entries were applied, which is the index of the next one.
func (l *Ledger) Size() uint64 { return l.edge.Size() }

// Root returns the RFC 6962 root hash of the tree of the applied entries.
func (l *Ledger) Root() [32]byte { return l.edge.Root() }

// Key returns the key with this id if any charter ever named it, else nil.
func (l *Ledger) Key(keyID string) *event.PublicKey {
	if n, ok := l.keyNum[keyID]; ok {
		return l.keys[n]
	}
	return nil
}

// act is the check of one entry.
type act struct {
	l       *Ledger
	e       *Entry
	ev      *event.Event
	c       *Charter // in force at this index; nil for entry 0
	time    int64    // claimed
	base    int64    // the later of time and the proven time
	by      string   // who must answer for a violation
	signers []*holder
	uses    []usedID // the signers' uses of the event's id, in order
	spends  bool     // it counts in its signer's budget
	dead    bool     // a release that opens nothing
}

// effect changes the state. It can't fail: the check has done all that can.
type effect func()

// Apply applies the next entry. It returns verdicts about the entry and, where it proves
// something, about earlier entries; and what the entry changed, valid up to the next call.
// An entry in breach is no error. On an error (ErrOrder, ErrRules, ErrTree) the state is
// unchanged.
func (l *Ledger) Apply(e Entry) ([]*Violation, []Change, error) {
	if e.Index != l.Size() {
		return nil, nil, fmt.Errorf("%w: entry %d, and %d is next", ErrOrder, e.Index, l.Size())
	}
	x, do, v, err := l.check(e)
	if err != nil {
		return nil, nil, err
	}
	return l.commit(x, do, v), l.diff.changes, nil
}

// Add is Admit and Apply with one check: it applies e as the next entry, whatever
// its Index. If admission must refuse e, Add returns that verdict and the state is
// unchanged.
func (l *Ledger) Add(e Entry) (refused *Violation, violations []*Violation, err error) {
	e.Index = l.Size()
	x, do, v, err := l.check(e)
	if err != nil || refuses(v) {
		return v, nil, err
	}
	return nil, l.commit(x, do, v), nil
}

// commit puts a checked entry into effect.
func (l *Ledger) commit(x *act, do effect, v *Violation) []*Violation {
	l.violations, l.diff.changes, l.diff.touched = nil, l.diff.changes[:0], l.diff.touched[:0]
	if v != nil {
		l.note(v)
	}
	x.remember(do != nil)
	if do != nil {
		l.unanchored = append(l.unanchored, x.claim())
		l.await(x.claim())
		do()
	}
	l.diff.claim, l.diff.signers = x.time, x.signers
	l.compare()
	l.recall(x.e.Index)
	// Append fails only if the callback does.
	_ = l.edge.Append(x.e.Leaf, func(tlog.Tile, []byte) error { return nil })
	return l.violations
}

// claim returns an effective entry's claim, which a later anchor may disprove.
func (x *act) claim() claim {
	return claim{index: x.e.Index, time: x.time, base: x.base, anchor: x.ev.Type == event.TypeAnchor}
}

// Check returns the verdict that e would get as the next entry, whatever its
// Index: nil if it would have its full effect. It changes nothing.
func (l *Ledger) Check(e Entry) (*Violation, error) {
	e.Index = l.Size()
	_, _, v, err := l.check(e)
	return v, err
}

// Effective reports whether e would have an effect as the next entry, such as a place in its
// signer's chain that opens nothing. It changes nothing.
func (l *Ledger) Effective(e Entry) (bool, error) {
	e.Index = l.Size()
	_, do, _, err := l.check(e)
	return do != nil, err
}

// Admit returns the verdict with which admission must refuse e as the next entry,
// nil if it must not. Refused are entries that are no valid event of this log, and
// violations by the provider or an authority. Custodians' and auditors' claims are
// never refused.
func (l *Ledger) Admit(e Entry) (*Violation, error) {
	v, err := l.Check(e)
	if !refuses(v) {
		return nil, err
	}
	return v, nil
}

func refuses(v *Violation) bool {
	return v != nil && (v.By == Log || v.Rule == formRepeated.Rule && v.Code == formRepeated.Code)
}

// note adds a verdict to those that Apply returns, and records a breach.
func (l *Ledger) note(v *Violation) {
	l.violations = append(l.violations, v)
	if v.Kind == KindBreach {
		l.breach(v)
	}
}

// check returns the verdict about e as the next entry, and e's effect. The results hold until the next call.
// check changes nothing.
func (l *Ledger) check(e Entry) (*act, effect, *Violation, error) {
	l.open.cool()
	l.entry = e
	x := &l.act
	*x = act{l: l, e: &l.entry, by: Log, c: l.Charter(), signers: x.signers[:0], uses: x.uses[:0]}
	if e.Envelope == nil {
		if x.c == nil {
			return x, nil, x.fail(charterFirst), nil
		}
		return x, nil, x.fail(formMalformed, e.Err), nil
	}
	x.ev = e.Envelope.Event
	x.time = x.ev.Time.Unix()
	x.base = max(x.time, l.after)
	if x.ev.Log != l.origin {
		return x, nil, x.fail(formOrigin, x.ev.Log), nil
	}
	if x.c == nil {
		do, v, err := x.founding()
		return x, do, v, err
	}
	if v := x.sign(); v != nil {
		return x, nil, v, nil
	}
	do, v, err := x.judge()
	if err == nil {
		do, v = x.budgeted(do, v)
	}
	return x, do, v, err
}

// judge returns the verdict about an event whose signatures count, and its effect.
func (x *act) judge() (effect, *Violation, error) {
	if v := cmp.Or(x.setAside(), x.reused()); v != nil {
		return nil, v, nil
	}
	exempt := x.ev.Type == event.TypeCharter || x.ev.Type == event.TypeRelease
	if x.time < x.l.floor && !exempt {
		return nil, x.fail(timeOld), nil
	}
	do, v, err := x.handle()
	if do == nil && v != nil && err == nil {
		v = x.again(v)
	}
	return do, v, err
}

var (
	formMalformed = &Way{"form", "malformed", KindBreach, "it does not parse: {why}", ""}
	formOrigin    = &Way{"form", "origin", KindBreach, `it names the log "{log}"`, ""}
	formID        = &Way{"form", "id", KindBreach, "its signer has used this id for another event", "sign the event again, under a fresh id"}
	formRepeated  = &Way{"form", "repeated", KindNoEffect, "this event, by the same keys, is in the log already, as entry {entry}", ""}
	formCode      = &Way{"form", "code", KindBreach, `the profile has no {kind} "{code}"`, "sign an event with the profile's codes, or amend the charter"}
	formName      = &Way{"form", "name", KindBreach, `the charter has no {kind} "{name}"`, "sign an event with the charter's names, or amend the charter"}

	timeOld   = &Way{"honest-time", "old", KindNoEffect, "its claimed time is older than what may be logged now", "sign the event again"}
	timeAhead = &Way{"honest-time", "ahead", KindBreach, "its claimed time is {seconds} seconds after a head that contains it was cosigned", ""}
)

// root returns the tree's root at a size and caches the last few, since many
// releases rely on one head.
func (l *Ledger) root(size uint64) ([32]byte, error) {
	for _, k := range l.roots {
		if k.size == size {
			return k.root, nil
		}
	}
	r, err := l.tree.Root(size)
	if err != nil {
		return r, fmt.Errorf("%w: root at size %d: %w", ErrTree, size, err)
	}
	copy(l.roots[1:], l.roots[:])
	l.roots[0] = knownRoot{size, r}
	return r, nil
}

var (
	referenceFuture = &Way{"reference", "future", KindBreach, "it refers to the entry or size {entry}, which does not exist below it", ""}
	referenceLeaf   = &Way{"reference", "leaf", KindBreach, "entry {entry} has another leaf hash than it says", ""}
	referenceType   = &Way{"reference", "type", KindBreach, "entry {entry} is of the type {type}, which it can't refer to", ""}
	referenceHead   = &Way{"reference", "head", KindBreach, "this log's tree of size {size} has another root than it states: its signer is wrong or was shown another log", ""}
)

// resolve returns what a reference names: an open item or, from the tree, an event
// that is closed or never had an effect.
func (x *act) resolve(ref event.Reference, want ...event.Type) (*item, *event.Event, *Violation, error) {
	it, env, v, err := x.resolveEnvelope(ref, want...)
	if env == nil {
		return it, nil, v, err
	}
	return it, env.Event, v, err
}

// resolveEnvelope is resolve with the envelope of a closed event.
func (x *act) resolveEnvelope(ref event.Reference, want ...event.Type) (*item, *event.Envelope, *Violation, error) {
	if ref.Index >= x.e.Index {
		return nil, nil, x.refer(ref, referenceFuture, ref.Index), nil
	}
	if it := x.l.open.get(ref.Index); it != nil {
		switch {
		case it.leaf != ref.Leaf:
			return nil, nil, x.refer(ref, referenceLeaf, ref.Index), nil
		case !slices.Contains(want, it.kind):
			return nil, nil, x.refer(ref, referenceType, ref.Index, it.kind), nil
		}
		return it, nil, nil, nil
	}
	b, err := x.l.tree.Entry(ref.Index)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%w: entry %d: %w", ErrTree, ref.Index, err)
	}
	if leaf := tiles.LeafHash(b); !bytes.Equal(leaf[:], ref.Leaf[:]) {
		return nil, nil, x.refer(ref, referenceLeaf, ref.Index), nil
	}
	env, err := event.ParseEnvelope(b)
	if err != nil {
		return nil, nil, x.refer(ref, referenceType, ref.Index, Term("string of bytes")), nil
	}
	if !slices.Contains(want, env.Event.Type) {
		return nil, nil, x.refer(ref, referenceType, ref.Index, env.Event.Type), nil
	}
	return nil, env, nil, nil
}

// refer makes a verdict about the entry's reference.
func (x *act) refer(ref event.Reference, w *Way, args ...any) *Violation {
	v := x.fail(w, args...)
	v.About = &ref
	return v
}
