// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

const (
	testLog   = written.Origin
	testStart = written.Start

	minute = people.Minute
	hour   = people.Hour
	day    = people.Day
)

func hash(s string) [32]byte { return sha256.Sum256([]byte(s)) }

// parties have the same keys in every run. Under this seed the charter, and so verdicts, list
// c1 to c4 in this order.
var parties = people.New(testLog, "ledger 19")

func keyID(name string) string { return parties.KeyID(name) }

func keysOf(names ...string) []*event.PublicKey {
	return parties.Party(event.RoleAuthority, "any", names...).Keys
}

// testCharter has more parties than that of package people, and all that a profile can have.
func testCharter() *event.Charter {
	return parties.Charter(func(c *event.Charter) {
		high, commission := parties.Party(event.RoleAuthority, "high"), parties.Party(event.RoleAuthority, "commission", "com1", "com2", "com3")
		high.Above, commission.Kind = []string{"court"}, "commission"
		c.Party(event.RoleAuthority, "court").Keys = keysOf("court", "court2")
		c.Parties = append(c.Parties, high, commission, parties.Party(event.RoleAuthority, "other"),
			parties.Party(event.RoleProvider, "mailer"), parties.Party(event.RoleCustodian, "c4"))
		c.Party(event.RoleAuthority, "other").Kind = ""
		police, enforcer, over := parties.Party(event.RoleAuthority, "police"), parties.Party(event.RoleAuthority, "enforcer"), parties.Party(event.RoleAuthority, "over")
		police.Kind, enforcer.Kind, over.Kind = "police", "", ""
		enforcer.Enforces, over.Above = []string{"court", "police"}, []string{"enforcer"}
		c.Parties = append(c.Parties, police, enforcer, over)
		c.Groups = append(c.Groups, event.Group{ID: "side", Threshold: 1, Members: []string{"c4"}})
		p := &c.Profile
		p.Deferral = event.DeferralLimit{
			Steps: []event.Step{{After: 0, Signatures: 1, Longest: 90 * day}, {After: 100 * day, Kinds: []string{"commission"}, Signatures: 2, Longest: 30 * day}},
			Total: 150 * day,
			Never: &event.Step{After: 110 * day, Kinds: []string{"commission"}, Signatures: 3},
		}
		p.Emergency = &event.Emergency{Open: 1, Accounts: 2, Decision: event.Deadline{Within: 3 * day, Grace: hour}, Grounds: []string{"life"}}
		p.Instruments = append(p.Instruments, event.Instrument{Code: "short", Window: 60 * day, Seal: &event.SealLimit{Default: day, Longest: 2 * day},
			Deferral: &event.DeferralLimit{Steps: []event.Step{{Signatures: 1, Longest: day}}}})
		p.Categories, p.NonExecution = []string{"content", "subscriber", "traffic"}, []string{"data-not-held", "immunity"}
		p.Instruments = append(p.Instruments,
			event.Instrument{Code: "content", Window: 60 * day, Category: "content", With: []string{"traffic"},
				Issuers: []string{"court"}, Validated: []string{"police"}, Validators: []string{"court"}},
			event.Instrument{Code: "keep", Window: 60 * day, Preserves: true})
		p.Reasons, p.Bars = append(p.Reasons, "unreadable"), []string{"anchor", "disclosure", "emergency", "missing-release"}
	})
}

// memTree is a whole tree in memory.
type memTree struct {
	entries [][]byte
	roots   [][32]byte
	edge    tiles.Frontier
}

func (m *memTree) add(b []byte) {
	if len(m.roots) == 0 {
		m.roots = append(m.roots, m.edge.Root())
	}
	m.entries = append(m.entries, b)
	if err := m.edge.Append(tiles.LeafHash(b), func(tlog.Tile, []byte) error { return nil }); err != nil {
		panic(err)
	}
	m.roots = append(m.roots, m.edge.Root())
}

func (m *memTree) Entry(i uint64) ([]byte, error) {
	if i >= uint64(len(m.entries)) {
		return nil, fmt.Errorf("the tree has %d entries, and none of index %d", len(m.entries), i)
	}
	return m.entries[i], nil
}

func (m *memTree) Root(size uint64) ([32]byte, error) {
	if size >= uint64(len(m.roots)) {
		return [32]byte{}, fmt.Errorf("the tree has %d entries, and no root of size %d", len(m.entries), size)
	}
	return m.roots[size], nil
}

type logged = written.Logged

// world is a log with everyone who writes to it, and its ledger.
type world struct {
	*written.Log
	t          testing.TB
	tree       *memTree
	l          *Ledger
	notices    int
	violations []*Violation // of the last entry
	changes    []Change     // of the last entry
}

// emptyWorld is a log without entries.
func emptyWorld(t testing.TB) *world {
	w := &world{t: t, Log: written.Empty("", parties), tree: new(memTree)}
	w.l = New(testLog, w.tree)
	w.l.open.most = 2
	w.Appended = func(_ event.Reference, b []byte) { w.apply(b) }
	t.Cleanup(func() { w.Report(t.Error) })
	return w
}

// newWorld is a world with its charter logged.
func newWorld(t testing.TB, edit func(*event.Charter)) *world {
	w := emptyWorld(t)
	ch := testCharter()
	if edit != nil {
		edit(ch)
	}
	w.Charter = w.LogEvent(w.Event(ch), "f1", "f2")
	if len(w.violations) > 0 {
		t.Fatal(w.violations[0])
	}
	return w
}

// core is all that an entry in breach, or without effect, must not change.
func core(l *Ledger) []byte {
	c := &codec{names: new(names)}
	l.codeCharters(c)
	c.uint(&l.anchored)
	c.time(&l.after)
	c.time(&l.floor)
	for _, x := range l.unanchored {
		c.uint(&x.index)
	}
	l.open.all(c.item)
	for _, ch := range l.sortedChains() {
		c.chain(ch)
	}
	return c.b
}

// apply applies an entry to the ledger.
func (w *world) apply(b []byte) {
	w.t.Helper()
	e := Read(w.l.Size(), b)
	before, hidden := core(w.l), disclosables(w.l, e.Index)
	var err error
	if w.violations, w.changes, err = w.l.Apply(e); err != nil {
		w.t.Fatal(err)
	}
	w.tree.add(b)
	walked := make(map[string]int)
	_, due := w.l.Due(at(w.Now), at(w.Now))
	for rule, n := range due {
		walked[rule] = int(n)
	}
	counted := w.l.Owed(at(w.Now))
	maps.DeleteFunc(counted, func(_ string, n int) bool { return n == 0 })
	if !maps.Equal(walked, counted) {
		w.t.Fatalf("%v is owed; counted are %v", walked, counted)
	}
	touched := make(map[uint64]bool)
	w.l.Touched(func(i uint64) { touched[i] = true })
	for i, d := range disclosables(w.l, e.Index) {
		if d != hidden[i] && hidden[i].Disclosability != AheadOfChain && !touched[uint64(i)] {
			w.t.Fatalf("entry %d changes what hides entry %d, and does not touch it", e.Index, i)
		}
	}
	for _, v := range w.violations {
		counts := slices.Contains([]*Way{releaseLate, releaseEarly, auditStale, auditAmended, auditBarred}, v.Way)
		if v.Index == e.Index && !counts && !bytes.Equal(before, core(w.l)) {
			w.t.Fatalf("the entry changed the state, and its verdict is: %v", v)
		}
	}
	if got, want := w.l.Root(), w.tree.edge.Root(); got != want {
		w.t.Fatalf("root at size %d differs", w.l.Size())
	}
}

type disclosable struct {
	Disclosability
	until time.Time
}

// disclosables returns what [Ledger.Disclosable] returns for each of the last 50 entries below size.
func disclosables(l *Ledger, size uint64) []disclosable {
	out := make([]disclosable, size)
	for i := max(0, len(out)-50); i < len(out); i++ {
		out[i].Disclosability, out[i].until = l.Disclosable(uint64(i), time.Time{})
	}
	return out
}

// distant is later than any date.
var distant = at(1 << 62)

func at(t int64) time.Time { return written.At(t) }

// release makes the custodian's next release, and does not log it.
func (w *world) release(access *logged, custodian string) (*event.Event, [][]byte) {
	w.notices++
	notice := fmt.Appendf(nil, "notice %d of %s", w.notices, custodian)
	w.See()
	e := w.ReleaseEvent(access, custodian, notice)
	e.Body.(*event.Release).Audit = w.note(access)
	return e, [][]byte{notice}
}

// note is the largest head with the access that the auditors may cosign now or, if they
// are barred at each, the present one.
func (w *world) note(access *logged) string {
	head := event.Head{Size: w.l.Size(), Root: event.Digest(w.l.Root())}
	for size := head.Size; size > access.Index; size-- {
		if !w.l.wasBarred("a1", size, w.Now) && !w.l.wasBarred("a2", size, w.Now) {
			head.Size = size
			root, _ := w.tree.Root(size)
			head.Root = event.Digest(root)
			break
		}
	}
	return w.Audit(head)
}

func (w *world) answer(access *logged, custodian string) *logged {
	e, notices := w.release(access, custodian)
	out := w.LogEvent(e, custodian)
	out.Notices = notices
	w.Follow(custodian, out.Envelope)
	return out
}

// checkpoint is one of this log's heads, cosigned by these witnesses at a time.
func (w *world) checkpoint(size uint64, cosigned int64, witnesses ...string) *tlog.Checkpoint {
	w.t.Helper()
	root, err := w.tree.Root(size)
	if err != nil {
		w.t.Fatal(err)
	}
	cp, err := parties.Checkpoint(tlog.Head{Origin: testLog, Size: size, Root: root}, uint64(cosigned), witnesses...)
	if err != nil {
		w.t.Fatal(err)
	}
	return cp
}

func (w *world) anchor() *logged { return w.Anchor(w.Checkpoint("w1", "w2", "w3")) }

// amend logs the next version of the charter.
func (w *world) amend(edit func(*event.Charter), by ...string) *logged {
	if len(by) == 0 {
		by = []string{"f1", "f2"}
	}
	out := w.LogEvent(w.Event(w.NextCharter(edit)), by...)
	if w.l.Charter().Index == out.Index {
		w.Charter = out
	}
	return out
}

// keyNames lets verdicts name keys instead of hashes.
var keyNames = func() *strings.Replacer {
	var pairs []string
	for _, n := range []string{"f1", "f2", "f3", "f4", "court", "court2", "court3", "high", "com1", "com2", "com3", "other", "police", "enforcer", "over", "duty", "messenger", "mailer",
		"c1", "c1new", "c2", "c3", "c4", "a1", "a2", "stranger"} {
		pairs = append(pairs, keyID(n), "<"+n+">")
	}
	return strings.NewReplacer(pairs...)
}()
