// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

const testLog = "log.example/2026"

var testStart = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Unix()

const (
	minute = 60
	hour   = 60 * minute
	day    = 24 * hour
)

func hash(s string) [32]byte { return sha256.Sum256([]byte(s)) }

// Keys are made of their names, so that every run makes the same log.
func signer(name string) event.Signer {
	if s, ok := signers.Load(name); ok {
		return s.(event.Signer)
	}
	seed := hash("event key " + name)
	s, err := event.NewSigner(ed25519.NewKeyFromSeed(seed[:]))
	if err != nil {
		panic(err)
	}
	signers.Store(name, s)
	return s
}

var signers sync.Map // making keys is slow

func noteSigner(name string, a tlog.Algorithm, seed string) *tlog.Signer {
	h := hash("note key " + seed)
	public := ed25519.NewKeyFromSeed(h[:]).Public().(ed25519.PublicKey)
	k, err := tlog.NewVerifierKey(name, a, public)
	if err != nil {
		panic(err)
	}
	text := fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", name, k.ID, base64.StdEncoding.EncodeToString(append([]byte{byte(a)}, h[:]...)))
	s, err := tlog.ParseSigner(text)
	if err != nil {
		panic(err)
	}
	return s
}

func logSigner() *tlog.Signer { return noteSigner(testLog, tlog.Ed25519, "log") }
func witnessSigner(name string) *tlog.Signer {
	return noteSigner(name+".example", tlog.CosignatureEd25519, name)
}

func testProfile() event.Profile {
	return event.Profile{
		ID: "test", AccessLife: day, Publication: minute, Inclusion: hour, Lag: 7 * day, Skew: minute, Stale: hour,
		Unfulfilled: 30 * day, DisclosureGrace: day,
		Anchor: event.Deadline{Within: day, Grace: hour}, Heartbeat: event.Deadline{Within: 60 * day, Grace: day},
		MissingRelease: event.Deadline{Within: day, Grace: hour}, Return: event.Deadline{Within: 30 * day, Grace: day},
		Seal: event.SealLimit{Default: 30 * day, Longest: 180 * day},
		Deferral: event.DeferralLimit{
			Steps: []event.Step{{After: 0, Signatures: 1, Longest: 90 * day}, {After: 100 * day, Kinds: []string{"commission"}, Signatures: 2, Longest: 30 * day}},
			Total: 150 * day,
			Never: &event.Step{After: 110 * day, Kinds: []string{"commission"}, Signatures: 3},
		},
		Emergency:   &event.Emergency{Open: 1, Accounts: 2, Decision: event.Deadline{Within: 3 * day, Grace: hour}, Grounds: []string{"life"}},
		Instruments: []event.Instrument{{Code: "search"}, {Code: "short", Seal: &event.SealLimit{Default: day, Longest: 2 * day}, Deferral: &event.DeferralLimit{Steps: []event.Step{{Signatures: 1, Longest: day}}}}},
		Offences:    []string{"fraud"}, Grounds: []string{"investigation"}, Reasons: []string{"ended", "unreadable"},
		Bars: []string{"anchor", "disclosure", "emergency", "missing-release"},
	}
}

func keysOf(names ...string) []*event.PublicKey {
	var out []*event.PublicKey
	for _, n := range names {
		out = append(out, signer(n).Public())
	}
	return out
}

func testCharter() *event.Charter {
	var parties []event.Party
	add := func(role event.Role, name string, keys ...string) *event.Party {
		parties = append(parties, event.Party{Name: name, Role: role, Keys: keysOf(keys...)})
		return &parties[len(parties)-1]
	}
	for _, n := range []string{"f1", "f2", "f3"} {
		add(event.RoleCharter, n, n)
	}
	add(event.RoleAuthority, "court", "court", "court2").Kind = "court"
	high := add(event.RoleAuthority, "high", "high")
	high.Kind, high.Above = "court", []string{"court"}
	add(event.RoleAuthority, "commission", "com1", "com2", "com3").Kind = "commission"
	add(event.RoleAuthority, "other", "other")
	add(event.RoleDuty, "court", "duty")
	add(event.RoleProvider, "messenger", "messenger")
	add(event.RoleProvider, "mailer", "mailer")
	for _, n := range []string{"c1", "c2", "c3", "c4"} {
		k := hash("gate " + n)
		add(event.RoleCustodian, n, n).Gates = []event.HPKEKey{{KEM: event.KEMX25519, Public: k[:]}}
	}
	for _, n := range []string{"a1", "a2"} {
		add(event.RoleAuditor, n, n).Cosigners = []string{witnessSigner(n).Verifier().String()}
	}
	return &event.Charter{
		Version: 1, Rules: 1, LogKeys: []string{logSigner().Verifier().String()}, Parties: parties,
		Groups:     []event.Group{{ID: "main", Threshold: 2, Members: []string{"c1", "c2", "c3"}}, {ID: "side", Threshold: 1, Members: []string{"c4"}}},
		Thresholds: event.Thresholds{Amend: 2, Recover: 3}, Profile: testProfile(),
		WitnessPolicy: policyText(2, "w1", "w2", "w3"), AuditPolicy: policyText(2, "a1", "a2"),
	}
}

func policyText(k int, names ...string) string {
	var b strings.Builder
	for _, n := range names {
		fmt.Fprintf(&b, "witness %s %s\n", n, witnessSigner(n).Verifier())
	}
	fmt.Fprintf(&b, "group g %d %s\nquorum g\n", k, strings.Join(names, " "))
	return b.String()
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

// logged is an event as its author knows it.
type logged struct {
	env     *event.Envelope
	index   uint64
	public  []event.Opening
	notices [][]byte
}

func (e *logged) ref() event.Reference {
	return event.Reference{Index: e.index, Leaf: e.env.LeafHash()}
}

// world is a log with everyone who writes to it.
type world struct {
	t       testing.TB
	tree    *memTree
	l       *Ledger
	now     int64
	serial  int
	charter *logged
	chains  map[string][2]any // custodian -> seq, prev as it knows them
	found   []*Violation
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, tree: new(memTree), now: testStart, chains: make(map[string][2]any)}
	w.l = New(testLog, w.tree)
	return w
}

// founded is a world with its charter logged.
func founded(t testing.TB, edit func(*event.Charter)) *world {
	w := newWorld(t)
	ch := testCharter()
	if edit != nil {
		edit(ch)
	}
	w.charter = w.log(w.event(ch), "f1", "f2")
	if len(w.found) > 0 {
		t.Fatal(w.found[0])
	}
	return w
}

// event makes an event whose id is the same in every run.
func (w *world) event(body event.Body) *event.Event {
	w.t.Helper()
	e, err := event.New(testLog, body)
	if err != nil {
		w.t.Fatalf("%T: %v", body, err)
	}
	w.serial++
	h := hash(fmt.Sprint("id ", w.serial))
	copy(e.ID[:], h[:])
	e.Time = time.Unix(w.now, 0).UTC()
	return e
}

func (w *world) sign(e *event.Event, by ...string) *event.Envelope {
	w.t.Helper()
	var signers []event.Signer
	for _, n := range by {
		signers = append(signers, signer(n))
	}
	env, err := event.Sign(e, signers...)
	if err != nil {
		w.t.Fatal(err)
	}
	return env
}

func (w *world) log(e *event.Event, by ...string) *logged {
	w.t.Helper()
	return w.logEnvelope(w.sign(e, by...))
}

func (w *world) logEnvelope(env *event.Envelope) *logged {
	w.t.Helper()
	out := &logged{env: env, index: w.l.Size()}
	w.logBytes(env.Bytes())
	return out
}

// core is all that an entry in breach, or without effect, must not change.
func core(l *Ledger) []byte {
	c := new(codec)
	l.codeCharters(c)
	c.uint(&l.anchored)
	c.time(&l.after)
	c.time(&l.floor)
	for _, x := range l.unanchored {
		c.uint(&x.index)
	}
	for _, it := range l.sortedItems() {
		c.item(it)
	}
	for _, ch := range l.sortedChains() {
		c.chain(ch)
	}
	return c.b
}

// logBytes applies an entry, and leaves what was found in w.found.
func (w *world) logBytes(b []byte) {
	w.t.Helper()
	e := Read(w.l.Size(), b)
	before := core(w.l)
	var err error
	if w.found, err = w.l.Apply(e); err != nil {
		w.t.Fatal(err)
	}
	w.tree.add(b)
	for _, v := range w.found {
		counts := v.Rule == "release-chain" && (v.Code == "late" || v.Code == "early")
		if v.Index == e.Index && !counts && !bytes.Equal(before, core(w.l)) {
			w.t.Fatalf("the entry changed the state, and its verdict is: %v", v)
		}
	}
	if got, want := w.l.Root(), w.tree.edge.Root(); got != want {
		w.t.Fatalf("root at size %d differs", w.l.Size())
	}
}

func (w *world) opening(name string, v event.Value) event.Opening {
	w.serial++
	h := hash(fmt.Sprint("salt ", w.serial))
	return event.Opening{Salt: [16]byte(h[:16]), Name: name, Value: v}
}

func (w *world) seal(e *event.Event, until int64) []event.Opening {
	w.t.Helper()
	agency := []event.Opening{w.opening("agency", event.Text("police")), w.opening("agencyKey", event.Bytes(signer("agency").Public().SPKI()))}
	var public, subject []event.Opening
	switch b := e.Body.(type) {
	case *event.Warrant:
		public = append(agency, w.opening("grounds", event.Codes("investigation")))
		subject = []event.Opening{w.opening("case", event.Text("12/26"))}
	case *event.Access:
		public = []event.Opening{w.opening("unit", event.Text("legal"))}
		if b.Emergency != "" {
			public = append(public, agency...)
		}
		subject = []event.Opening{w.opening("account", event.Text("x@example.org")), w.opening("agencySignature", event.Bytes([]byte("signature"))),
			w.opening("package", event.Text(event.Digest(hash("package")).String()))}
	case *event.Deferral:
		public = []event.Opening{w.opening("reasons", event.Codes("ended"))}
	}
	if err := e.Seal(time.Unix(until, 0).UTC(), public, subject); err != nil {
		w.t.Fatal(err)
	}
	return public
}

// distant is later than any date.
var distant = at(1 << 62)

func at(t int64) time.Time { return time.Unix(t, 0).UTC() }

func testWarrant(w *world) *event.Warrant {
	return &event.Warrant{Decision: event.Granted, Provider: "messenger", Instrument: "search", Offence: "fraud",
		Accounts: 2, Accesses: 1, NotBefore: at(w.now), NotAfter: at(w.now + 30*day)}
}

func testAccess(warrant *logged) *event.Access {
	k := hash("recipient")
	r := event.HPKEKey{KEM: event.KEMX25519, Public: k[:]}
	if warrant == nil {
		return &event.Access{Emergency: "life", Group: "main", Recipient: r, Accounts: 1}
	}
	ref := warrant.ref()
	return &event.Access{Warrant: &ref, Group: "main", Recipient: r, Accounts: 1}
}

func (w *world) warrant(until int64) *logged {
	e := w.event(testWarrant(w))
	public := w.seal(e, until)
	out := w.log(e, "court")
	out.public = public
	return out
}

func (w *world) access(warrant *logged, until int64) *logged {
	e := w.event(testAccess(warrant))
	public := w.seal(e, until)
	by := []string{"messenger"}
	if warrant == nil {
		by = append(by, "duty")
	}
	out := w.log(e, by...)
	out.public = public
	return out
}

// release makes the custodian's next release, and does not log it.
func (w *world) release(access *logged, custodian string) (*event.Event, [][]byte) {
	seq, prev := uint64(0), event.Digest{}
	if c, ok := w.chains[custodian]; ok {
		seq, prev = c[0].(uint64), c[1].(event.Digest)
	}
	w.serial++
	notice := []byte(fmt.Sprintf("notice %d of %s", w.serial, custodian))
	size := w.l.Size()
	e := w.event(&event.Release{Access: access.ref(), Seq: seq + 1, Prev: prev, Notices: []event.Digest{sha256.Sum256(notice)},
		Head: event.Head{Size: size, Root: event.Digest(w.tree.edge.Root())}})
	return e, [][]byte{notice}
}

// follow moves the custodian's chain on to a release.
func (w *world) follow(custodian string, env *event.Envelope) {
	w.chains[custodian] = [2]any{env.Event.Body.(*event.Release).Seq, event.Digest(env.Hash())}
}

func (w *world) answer(access *logged, custodian string) *logged {
	e, notices := w.release(access, custodian)
	out := w.log(e, custodian)
	out.notices = notices
	w.follow(custodian, out.env)
	return out
}

func (w *world) disclose(e *logged, notices ...*logged) *logged {
	d := &event.Disclosure{Event: e.ref(), Openings: slices.Clone(e.public)}
	for _, n := range notices {
		d.Notices = append(d.Notices, n.notices...)
	}
	return w.log(w.event(d), "messenger")
}

func (w *world) heartbeat(custodian string) *logged {
	h := &event.Heartbeat{From: at(w.now - day), To: at(w.now)}
	if c, ok := w.chains[custodian]; ok {
		h.Seq, h.Prev = c[0].(uint64), c[1].(event.Digest)
	}
	return w.log(w.event(h), custodian)
}

// checkpoint is one of this log's heads, cosigned by these witnesses at a time.
func (w *world) checkpoint(size uint64, cosigned int64, witnesses ...string) *tlog.Checkpoint {
	w.t.Helper()
	root, err := w.tree.Root(size)
	if err != nil {
		w.t.Fatal(err)
	}
	cp := &tlog.Checkpoint{Head: tlog.Head{Origin: testLog, Size: size, Root: root}}
	signers := []*tlog.Signer{logSigner()}
	for _, n := range witnesses {
		signers = append(signers, witnessSigner(n))
	}
	for _, s := range signers {
		sig, err := s.Sign(&cp.Head, uint64(cosigned))
		if err != nil {
			w.t.Fatal(err)
		}
		cp.Signatures = append(cp.Signatures, sig)
	}
	return cp
}

func (w *world) anchor() *logged {
	cp := w.checkpoint(w.l.Size(), w.now, "w1", "w2")
	return w.log(w.event(&event.Anchor{Checkpoint: string(cp.Bytes())}), "messenger")
}

func (w *world) finding(auditor, rule string, state event.FindingState, first, last uint64) *logged {
	return w.log(w.event(&event.Finding{First: first, Last: last, Rule: rule, State: state, Digest: hash("text")}), auditor)
}

// amend logs the next version of the charter.
func (w *world) amend(edit func(*event.Charter), by ...string) *logged {
	if len(by) == 0 {
		by = []string{"f1", "f2"}
	}
	out := w.log(w.event(w.nextCharter(edit)), by...)
	if c := w.l.Charter(); c.Index == out.index {
		w.charter = out
	}
	return out
}

func (w *world) nextCharter(edit func(*event.Charter)) *event.Charter {
	next := *w.charter.env.Event.Body.(*event.Charter)
	ref := w.charter.ref()
	next.Version, next.Prev = next.Version+1, &ref
	next.Parties, next.Groups, next.Void = slices.Clone(next.Parties), slices.Clone(next.Groups), slices.Clone(next.Void)
	if edit != nil {
		edit(&next)
	}
	return &next
}

func keyID(name string) string { return signer(name).KeyID() }

// keyNames lets verdicts name keys instead of hashes.
var keyNames = func() *strings.Replacer {
	var pairs []string
	for _, n := range []string{"f1", "f2", "f3", "f4", "court", "court2", "court3", "high", "com1", "com2", "com3", "other", "duty", "messenger", "mailer",
		"c1", "c1new", "c2", "c3", "c4", "a1", "a2", "stranger"} {
		pairs = append(pairs, keyID(n), "<"+n+">")
	}
	return strings.NewReplacer(pairs...)
}()
