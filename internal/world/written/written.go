// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package written writes logs by hand, for tests of what reads logs: a directory in the
// layout of C2SP tlog-tiles, with a charter as entry 0, real signatures, and heads that
// real keys cosigned. The test chooses times, entries and cosignatures: a log keeps the
// rules, or breaks the one that the test is about.
//
// Methods return no errors. A Log keeps its first error, of a file or an event that is
// malformed; a test ends with Report(t.Error), or has proven nothing.
package written

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// Origin of every log of this package.
const Origin = "log.example/2026"

// Start is the claimed time of the first charter.
const Start = 1_767_225_600 // 2026-01-01T00:00:00Z

// Log is a log and everyone who writes to it.
type Log struct {
	*people.People
	Dir     string  // "": it writes no files
	Now     int64   // POSIX seconds: the time of events and cosignatures
	Charter *Logged // the last
	// Appended, if set, is called after each entry.
	Appended func(at event.Reference, entry []byte)

	chains  map[string]link // by custodian
	threads []*thread       // of Story
	edge    tiles.Frontier
	bundle  []byte
	head    event.Head // what releases rely on
	serial  uint64
	err     *error // of a log and its forks
}

// link is the last release of a custodian's chain.
type link struct {
	seq  uint64
	hash event.Digest
}

// Logged is an event as its author knows it.
type Logged struct {
	event.Reference
	Envelope *event.Envelope
	Public   []event.Opening
	Notices  [][]byte
}

// New returns a log with the charter of people.Charter, which edit may change.
func New(dir string, edit func(*event.Charter)) *Log {
	l := Empty(dir, people.New(Origin, ""))
	l.Charter = l.LogEvent(l.Event(l.People.Charter(edit)), "f1", "f2")
	return l
}

// Empty returns a log without entries.
func Empty(dir string, p *people.People) *Log {
	return &Log{People: p, Dir: dir, Now: Start, chains: make(map[string]link), err: new(error)}
}

// Fork returns the same log, under the same keys, in another directory, so that it can go
// on with other entries. The two share Err.
func (l *Log) Fork(dir string) *Log {
	f := *l
	f.Dir = dir
	l.Fail(os.CopyFS(f.Dir, os.DirFS(l.Dir)))
	f.edge = *l.edge.Clone()
	f.bundle, f.chains = slices.Clone(l.bundle), maps.Clone(l.chains)
	return &f
}

// Err returns the first error.
func (l *Log) Err() error { return *l.err }

// Report calls report with the first error, if there is one.
func (l *Log) Report(report func(...any)) {
	if *l.err != nil {
		report("writing the log:", *l.err)
	}
}

// Fail keeps an error, unless it is nil or the log has one.
func (l *Log) Fail(err error) {
	if *l.err == nil {
		*l.err = err
	}
}

// Size returns the number of entries.
func (l *Log) Size() uint64 { return l.edge.Size() }

// Head returns the present head.
func (l *Log) Head() tlog.Head {
	return tlog.Head{Origin: l.Origin, Size: l.Size(), Root: l.edge.Root()}
}

// Append appends an entry, which need not be an event.
func (l *Log) Append(entry []byte) event.Reference {
	at := event.Reference{Index: l.Size(), Leaf: tiles.LeafHash(entry)}
	l.bundle = tlog.AppendEntry(l.bundle, entry)
	l.Fail(l.edge.Append(at.Leaf, l.tile))
	if l.Size()%tlog.TileWidth == 0 {
		l.Fail(l.tile(tlog.Tile{Level: tlog.Entries, Index: at.Index / tlog.TileWidth, Width: tlog.TileWidth}, l.bundle))
		l.bundle = l.bundle[:0]
	}
	if l.Appended != nil {
		l.Appended(at, entry)
	}
	return at
}

func (l *Log) tile(t tlog.Tile, b []byte) error { return l.write(t.Path(), b) }

func (l *Log) write(name string, b []byte) error {
	if l.Dir == "" {
		return nil
	}
	name = filepath.Join(l.Dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, b, 0o644)
}

// Publish writes the right edge of the tree and the present head, which the witnesses
// cosign now. It returns the head.
func (l *Log) Publish(witnesses ...string) *tlog.Checkpoint {
	l.Fail(l.edge.Partial(l.tile))
	if size := l.Size(); size%tlog.TileWidth > 0 {
		l.Fail(l.tile(tlog.Tile{Level: tlog.Entries, Index: size / tlog.TileWidth, Width: int(size % tlog.TileWidth)}, l.bundle))
	}
	cp := l.Checkpoint(witnesses...)
	l.Fail(l.write("checkpoint", cp.Bytes()))
	return cp
}

// Checkpoint returns the present head, cosigned now.
func (l *Log) Checkpoint(witnesses ...string) *tlog.Checkpoint {
	cp, err := l.People.Checkpoint(l.Head(), uint64(l.Now), witnesses...)
	if err != nil {
		l.Fail(err)
		cp = &tlog.Checkpoint{Head: l.Head()}
	}
	return cp
}

// Event makes an event that claims to be of now. Its id is the same in every run.
func (l *Log) Event(body event.Body) *event.Event {
	e, err := l.People.Event(At(l.Now), body)
	if err != nil {
		l.Fail(err)
		e = &event.Event{Type: body.Type(), Log: l.Origin, Body: body}
	}
	h := l.hash("id")
	copy(e.ID[:], h[:])
	return e
}

// hash returns a value that is new to this log and the same in every run.
func (l *Log) hash(what string) [32]byte {
	l.serial++
	return sha256.Sum256(fmt.Appendf(nil, "%s %d", what, l.serial))
}

// At returns a time in POSIX seconds as events state it.
func At(t int64) time.Time { return time.Unix(t, 0).UTC() }

// Sign signs an event.
func (l *Log) Sign(e *event.Event, by ...string) *event.Envelope {
	env, err := l.People.Sign(e, by...)
	if err != nil {
		l.Fail(err)
		env = &event.Envelope{Event: e}
	}
	return env
}

// LogEvent signs and appends an event.
func (l *Log) LogEvent(e *event.Event, by ...string) *Logged { return l.LogEnvelope(l.Sign(e, by...)) }

// LogEnvelope appends an envelope.
func (l *Log) LogEnvelope(env *event.Envelope) *Logged {
	return &Logged{Reference: l.Append(env.Bytes()), Envelope: env}
}

// LogBadly appends an event whose signature does not verify.
func (l *Log) LogBadly(e *event.Event, by string) *Logged {
	env := l.Sign(e, by)
	for i := range env.Signatures {
		env.Signatures[i].Sig[0] ^= 1
	}
	return l.LogEnvelope(env)
}

// LogSealed seals an event with these openings, and logs it.
func (l *Log) LogSealed(e *event.Event, until int64, public, subject []event.Opening, by ...string) *Logged {
	l.Fail(e.Seal(At(until), public, subject))
	out := l.LogEvent(e, by...)
	out.Public = public
	return out
}

// Opening makes an opening whose salt is the same in every run.
func (l *Log) Opening(name string, v event.Value) event.Opening {
	h := l.hash("salt")
	return event.Opening{Salt: [16]byte(h[:16]), Name: name, Value: v}
}

// Seal seals what an event of its type needs, and more for the public. It returns all openings
// for the public.
func (l *Log) Seal(e *event.Event, until int64, more ...event.Opening) (public []event.Opening) {
	agency := func() []event.Opening {
		return []event.Opening{l.Opening("agency", event.Text("police")), l.Opening("agencyKey", event.Bytes(l.Public("agency").SPKI()))}
	}
	var subject []event.Opening
	switch b := e.Body.(type) {
	case *event.Warrant:
		public = append(agency(), l.Opening("grounds", event.Codes("investigation")))
		subject = []event.Opening{l.Opening("case", event.Text("12/26"))}
	case *event.Access:
		public = []event.Opening{l.Opening("unit", event.Text("legal"))}
		if b.Emergency != "" {
			public = append(public, agency()...)
		}
		digest := event.Digest(sha256.Sum256([]byte("package")))
		subject = []event.Opening{l.Opening("account", event.Text("x@example.org")), l.Opening("agencySignature", event.Bytes([]byte("signature"))),
			l.Opening("package", event.Text(digest.String()))}
	case *event.Deferral:
		public = []event.Opening{l.Opening("reasons", event.Codes("ended"))}
	}
	public = append(public, more...)
	l.Fail(e.Seal(At(until), public, subject))
	return public
}

// WarrantBody returns a warrant for one access in the next 30 days.
func (l *Log) WarrantBody() *event.Warrant {
	return &event.Warrant{Decision: event.Granted, Provider: "messenger", Instrument: "search", Offence: "fraud",
		Accounts: 2, Accesses: 1, NotBefore: At(l.Now), NotAfter: At(l.Now + 30*people.Day)}
}

// AccessBody returns an access to all categories of a warrant; without a warrant, an emergency
// access.
func AccessBody(warrant *Logged) *event.Access {
	k := sha256.Sum256([]byte("recipient"))
	a := &event.Access{Group: "main", Recipient: event.HPKEKey{KEM: event.KEMX25519, Public: k[:]}, Accounts: 1}
	if warrant == nil {
		a.Emergency = "life"
	} else {
		a.Warrant = &warrant.Reference
		if w, ok := warrant.Envelope.Event.Body.(*event.Warrant); ok {
			a.Categories = w.Categories
		}
	}
	return a
}

// WarrantEvent makes the event of a warrant that is sealed until a time.
func (l *Log) WarrantEvent(until int64) *event.Event {
	e := l.Event(l.WarrantBody())
	l.Seal(e, until)
	return e
}

// Warrant logs a warrant that is sealed until a time.
func (l *Log) Warrant(until int64) *Logged { return l.sealed(l.WarrantBody(), until, "court") }

func (l *Log) sealed(body event.Body, until int64, by ...string) *Logged {
	e := l.Event(body)
	public := l.Seal(e, until)
	out := l.LogEvent(e, by...)
	out.Public = public
	return out
}

// Access logs an access on a warrant; without one, in an emergency.
func (l *Log) Access(warrant *Logged, until int64) *Logged {
	by := []string{"messenger"}
	if warrant == nil {
		by = append(by, "duty")
	}
	return l.sealed(AccessBody(warrant), until, by...)
}

// See makes the present head the one that releases rely on.
func (l *Log) See() { l.head = event.Head{Size: l.Size(), Root: event.Digest(l.edge.Root())} }

// Last returns the number and the hash of a custodian's last release; 0 if there is none.
func (l *Log) Last(custodian string) (seq uint64, hash event.Digest) {
	c := l.chains[custodian]
	return c.seq, c.hash
}

// ReleaseEvent makes a custodian's next release.
func (l *Log) ReleaseEvent(access *Logged, custodian string, notices ...[]byte) *event.Event {
	if l.head.Size <= access.Index {
		l.See()
	}
	seq, prev := l.Last(custodian)
	r := &event.Release{Access: access.Reference, Seq: seq + 1, Prev: prev, Head: l.head}
	for _, n := range notices {
		r.Notices = append(r.Notices, sha256.Sum256(n))
	}
	event.SortDigests(r.Notices)
	r.Audit = l.Audit(r.Head)
	return l.Event(r)
}

// Audit returns a head as a note that the auditors of the charter's audit policy cosign
// now, "" if the policy is none.
func (l *Log) Audit(h event.Head) string {
	c := l.Charter.Envelope.Event.Body.(*event.Charter)
	var auditors []string
	for _, p := range c.Parties {
		if len(p.Cosigners) > 0 && strings.Contains(c.AuditPolicy, p.Cosigners[0]) {
			auditors = append(auditors, p.Name)
		}
	}
	if auditors == nil {
		return ""
	}
	cp, err := l.People.Checkpoint(tlog.Head{Origin: l.Origin, Size: h.Size, Root: tlog.Hash(h.Root)}, uint64(l.Now), auditors...)
	if err != nil {
		l.Fail(err)
		return ""
	}
	return string(cp.Bytes())
}

// Follow makes a release the last of its custodian's chain.
func (l *Log) Follow(custodian string, release *event.Envelope) {
	l.chains[custodian] = link{release.Event.Body.(*event.Release).Seq, release.Hash()}
}

// ReleaseWith logs a custodian's next release, with these notices.
func (l *Log) ReleaseWith(access *Logged, custodian string, notices ...[]byte) *Logged {
	out := l.LogEvent(l.ReleaseEvent(access, custodian, notices...), custodian)
	out.Notices = notices
	l.Follow(custodian, out.Envelope)
	return out
}

// Release logs a custodian's next release, with a notice as long as a short one that is
// padded and encrypted.
func (l *Log) Release(access *Logged, custodian string) *Logged {
	h := l.hash("notice of " + custodian)
	return l.ReleaseWith(access, custodian, append(h[:], make([]byte, 512-len(h))...))
}

// Disclose opens a warrant or access, and publishes the notices of releases.
func (l *Log) Disclose(e *Logged, releases ...*Logged) *Logged {
	d := &event.Disclosure{Event: e.Reference, Openings: slices.Clone(e.Public)}
	for _, r := range releases {
		d.Notices = append(d.Notices, r.Notices...)
	}
	return l.LogEvent(l.Event(d), "messenger")
}

// Return says what became of a warrant.
func (l *Log) Return(warrant *Logged) *Logged {
	return l.LogEvent(l.Event(&event.Return{Warrant: warrant.Reference, Executed: true, Persons: 1}), "messenger")
}

// Revoke logs that the court ends a warrant, ends these categories of it, or suspends it.
func (l *Log) Revoke(warrant *Logged, scope event.Scope, categories ...string) *Logged {
	return l.LogEvent(l.Event(&event.Revocation{Warrant: warrant.Reference, Reason: "ended", Scope: scope, Categories: categories}), "court")
}

// Resume logs that the court ends a suspension.
func (l *Log) Resume(suspension *Logged) *Logged {
	r := suspension.Envelope.Event.Body.(*event.Revocation)
	return l.LogEvent(l.Event(&event.Revocation{Warrant: r.Warrant, Reason: "ended", Scope: event.ScopeResumed, Suspension: &suspension.Reference}), "court")
}

// Respond logs that the provider does not execute a warrant, or these categories of it.
func (l *Log) Respond(warrant *Logged, outcome event.Outcome, categories ...string) *Logged {
	return l.LogEvent(l.Event(&event.Response{Warrant: warrant.Reference, Outcome: outcome, Ground: "data-not-held", Categories: categories}), "messenger")
}

// Heartbeat logs how many releases a custodian has made.
func (l *Log) Heartbeat(custodian string) *Logged {
	seq, prev := l.Last(custodian)
	return l.LogEvent(l.Event(&event.Heartbeat{From: At(l.Now - people.Day), To: At(l.Now), Seq: seq, Prev: prev}), custodian)
}

// Anchor logs a head of this log.
func (l *Log) Anchor(head *tlog.Checkpoint) *Logged {
	return l.LogEvent(l.Event(&event.Anchor{Checkpoint: string(head.Bytes())}), "messenger")
}

// Finding logs an auditor's statement about the breaches of a rule by the entries from
// first to last.
func (l *Log) Finding(auditor, rule string, state event.FindingState, first, last uint64) *Logged {
	return l.LogEvent(l.Event(&event.Finding{First: first, Last: last, Rule: rule, State: state, Digest: sha256.Sum256([]byte("text"))}), auditor)
}

// NextCharter returns the next version of the charter, which edit may change.
func (l *Log) NextCharter(edit func(*event.Charter)) *event.Charter {
	next := *l.Charter.Envelope.Event.Body.(*event.Charter)
	ref := l.Charter.Reference
	next.Version, next.Prev = next.Version+1, &ref
	next.Parties, next.Groups, next.Void = slices.Clone(next.Parties), slices.Clone(next.Groups), slices.Clone(next.Void)
	if edit != nil {
		edit(&next)
	}
	return &next
}

// Amend logs the next version of the charter, signed by two founders.
func (l *Log) Amend(edit func(*event.Charter)) *Logged {
	l.Charter = l.LogEvent(l.Event(l.NextCharter(edit)), "f1", "f2")
	return l.Charter
}

// Live lets a log live until it has so many entries, and a few more to end what it
// has begun. It keeps every rule: each case has a warrant, an access, two
// releases, and 8 hours later two disclosures and a return; every group of cases
// ends with an anchor. A group is some 60 entries and takes an hour.
func (l *Log) Live(size uint64) {
	const group, later = 8, 8
	type one struct {
		warrant, access *Logged
		releases        []*Logged
	}
	var open [][]one
	finish := func() {
		for _, c := range open[0] {
			l.Disclose(c.access, c.releases...)
			l.Disclose(c.warrant)
			l.Return(c.warrant)
		}
		open = open[1:]
	}
	beat := l.Now
	for l.Size() < size {
		cases := make([]one, group)
		until := l.Now + later*people.Hour
		for i := range cases {
			cases[i].warrant = l.Warrant(until)
			cases[i].access = l.Access(cases[i].warrant, until)
		}
		l.See()
		for i, c := range cases {
			cases[i].releases = []*Logged{l.Release(c.access, "c1"), l.Release(c.access, "c2")}
		}
		if open = append(open, cases); len(open) > later {
			finish()
		}
		l.tick(&beat)
	}
	for len(open) > 0 {
		finish()
		l.tick(&beat)
	}
}

// tick ends a group with an anchor and an hour; once a month with heartbeats.
func (l *Log) tick(beat *int64) {
	if l.Now-*beat > 30*people.Day {
		*beat = l.Now
		for i := range 3 {
			l.Heartbeat(fmt.Sprintf("c%d", i+1))
		}
	}
	l.Anchor(l.Checkpoint("w1", "w2", "w3"))
	l.Now += people.Hour
}
