// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package notices is for the person whom an access concerns: it finds that person's
// notices in a log, and says what they prove.
//
// It promises its caller that a scan which says that it is complete has tried every
// notice which the log had published up to its head, with every key of the seed; that
// each case which it shows is what the log's own entries sealed; and that it names what
// stays hidden: releases whose notices are still sealed, until when, and how many may be
// for ever. It trusts the caller's policy, and whoever wrote the seed file.
//
// What it can't find: notices to keys of another seed, and what was opened without the
// log.
//
// # What others learn
//
// A scan reads every entry, whether a notice was found or not; the entries that a found
// notice names it picks out while it reads the whole log once more. So whoever serves
// the tiles sees that somebody read the log, and once more if something was found, but
// not what. A mirror of one's own shows not even that.
package notices

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/internal/c2sp"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
)

// Config says which log is scanned, and whose notices are looked for.
type Config struct {
	// Audit is how the log is read and replayed. Its Snapshot, Save, Observe and
	// Finish are not to be set.
	Audit audit.Config
	// Origin of the log, to which notice keys belong.
	Origin string
	// Seed of the subject's notice keys.
	Seed *escrow.Seed
	// Until is the last month whose key is tried; no notice to a later one's can be in
	// the log yet. Zero: that after this month, for whose clock is fast.
	Until escrow.Period

	// State that a scan before has left; nil: none.
	State []byte
	// Save, if not nil, is called with a state from time to time and at the end. A
	// state holds the subject's notices.
	Save func(state []byte) error
}

// Sealed is what nobody can read yet.
type Sealed struct {
	Releases   int    `json:"releases"`            // whose notices are not published
	Notices    int    `json:"notices"`             // that are not
	WithoutEnd int    `json:"withoutEnd"`          // of the releases: with no date
	LastUntil  string `json:"lastUntil,omitempty"` // of the others
}

// Report is a scan's result. Names and meanings of its JSON members are stable; members
// may be added.
type Report struct {
	Verdict string `json:"verdict"` // clean, violations, undecided: as audit's
	// Complete says that each notice up to the head was tried with each key.
	Complete bool     `json:"complete"`
	Until    string   `json:"until,omitempty"` // witnessed time: what was published later is not in it
	Months   string   `json:"months"`          // first and last month whose keys were tried
	Tried    uint64   `json:"tried"`           // notices
	Cases    []*Case  `json:"cases"`
	Bad      []string `json:"bad,omitempty"` // notices to you that contradict the log
	Sealed   Sealed   `json:"sealed"`
	// Audit is what the replay found.
	Audit *audit.Report `json:"audit"`

	verdict audit.Verdict
}

// Result returns the verdict, and the exit code of the command.
func (r *Report) Result() audit.Verdict { return r.verdict }

// scan is one run.
type scan struct {
	c      Config
	trial  *trial
	state  state
	batch  []candidate
	client *client.Client
	ledger *ledger.Ledger // once the replay has ended; nil if it never began
}

// Scan scans the log up to its present head. The report is never nil.
func Scan(ctx context.Context, c Config) *Report {
	if c.Until == 0 {
		c.Until = escrow.PeriodOf(time.Now()) + 1
	}
	s := &scan{c: c, client: c.Audit.Client, state: state{Seed: seedID(c.Seed, c.Origin), Entries: make(map[uint64][]byte)}}
	keys, err := c.Seed.Keys(c.Origin, c.Until)
	if err == nil && c.State != nil {
		err = s.resume(c.State)
	}
	if err != nil {
		return s.failed(err)
	}
	holders := make([]escrow.KeyHolder, len(keys))
	for i := range keys {
		holders[i] = keys[i]
	}
	s.trial = newTrial(c.Origin, holders, c.Audit.Workers)
	defer s.trial.close()
	s.trial.found, s.trial.tried = s.state.Found, s.state.Tried

	run := s.c.Audit // with the snapshot of the state
	run.Observe = s.observe
	run.Finish = func(l *ledger.Ledger) {
		s.flush()
		s.ledger = l
	}
	var last []byte // the audit's snapshot
	if c.Save != nil {
		run.Save = func(b []byte) error {
			last = b
			return s.save(b)
		}
	}
	a := audit.Run(ctx, run)
	found := s.trial.drain()
	err = s.fetch(ctx, found)
	if err == nil && last != nil {
		err = s.save(last) // with the entries that the notices name
	}
	return s.report(ctx, a, found, err)
}

// observe tries the notices that an entry publishes.
func (s *scan) observe(l *ledger.Ledger, e *ledger.Entry) error {
	d, ok := e.Envelope.Event.Body.(*event.Disclosure)
	if !ok {
		return nil
	}
	for _, n := range d.Notices {
		c := candidate{Ciphertext: n, Disclosed: e.Index}
		if r, ok := l.ReleaseOf(d.Event.Index, escrow.NoticeDigest(n)); ok {
			c.Release, c.Effective = r, true
		} else if d.Event.Index < e.Index {
			c.Release = d.Event // if it is a release at all
		}
		if s.batch = append(s.batch, c); len(s.batch) == batchSize {
			s.flush()
		}
	}
	return nil
}

func (s *scan) flush() {
	s.trial.add(s.batch)
	s.batch = nil
}

// state is what a scan needs to go on. As bytes it is the magic line, a line of JSON, the
// audit's snapshot, and SHA-256 of all that.
type state struct {
	Seed    string            `json:"seed"` // hash
	Tried   uint64            `json:"tried"`
	Found   []candidate       `json:"found,omitempty"`
	Entries map[uint64][]byte `json:"entries,omitempty"` // that found notices name
}

const (
	stateMagic     = "vasistas scan state 1\n"
	maxStateHeader = 256 << 20
)

// MaxStateSize bounds a state in bytes.
const MaxStateSize = audit.MaxSnapshotSize

// StateError says that a state can't be resumed from.
type StateError struct{ Reason string }

func (e *StateError) Error() string { return "the state can't be resumed from: " + e.Reason }

func seedID(s *escrow.Seed, origin string) string {
	h := sha256.Sum256(append(append([]byte("vasistas scan "), origin...), s.Bytes()...))
	return hex.EncodeToString(h[:])
}

func (s *scan) save(snapshot []byte) error {
	if s.trial != nil {
		s.flush()
		s.state.Found = s.trial.drain()
		s.state.Tried = s.trial.tried
	}
	header, err := json.Marshal(s.state)
	if err != nil {
		return err
	}
	b := append([]byte(stateMagic), header...)
	b = append(append(b, '\n'), snapshot...)
	sum := sha256.Sum256(b)
	if len(b)+len(sum) > MaxStateSize {
		return fmt.Errorf("the state would have %d bytes, and %d are allowed", len(b)+len(sum), MaxStateSize)
	}
	return s.c.Save(append(b, sum[:]...))
}

func (s *scan) resume(b []byte) error {
	bad := func(format string, args ...any) error { return &StateError{fmt.Sprintf(format, args...)} }
	n := len(b) - sha256.Size
	if n < 0 || sha256.Sum256(b[:n]) != [32]byte(b[n:]) {
		return bad("it is damaged")
	}
	rest, ok := bytes.CutPrefix(b[:n], []byte(stateMagic))
	if !ok {
		return bad("it is not of this version")
	}
	header, snapshot, ok := bytes.Cut(rest, []byte("\n"))
	if !ok || len(header) > maxStateHeader {
		return bad("it has no header")
	}
	var st state
	if err := json.Unmarshal(header, &st); err != nil {
		return bad("%v", err)
	}
	if st.Seed != s.state.Seed {
		return bad("it was made with another seed, or for another log")
	}
	if st.Entries == nil {
		st.Entries = make(map[uint64][]byte)
	}
	s.state, s.c.Audit.Snapshot = st, snapshot
	return nil
}

// fetch gets the entries that found notices name, and that the state lacks, by reading
// the whole log once more.
func (s *scan) fetch(ctx context.Context, found []candidate) error {
	want := make(map[uint64]bool)
	need := func(i uint64) {
		if s.state.Entries[i] == nil {
			want[i] = true
		}
	}
	for _, c := range found {
		n, err := s.trial.read(c.Ciphertext)
		if err != nil {
			continue // it is malformed, which the report says
		}
		need(n.Access.Index)
		need(c.Release.Index)
		if n.Warrant != nil {
			need(n.Warrant.Index)
		}
	}
	if len(want) == 0 {
		return nil
	}
	for e, err := range s.client.Follow(ctx, client.FollowOptions{UntilHead: true, ReadAhead: s.c.Audit.ReadAhead}) {
		if err != nil {
			return fmt.Errorf("reading what the notices name: %w", err)
		}
		if want[e.Index] {
			s.state.Entries[e.Index] = bytes.Clone(e.Bytes)
		}
	}
	return nil
}

func (s *scan) failed(err error) *Report {
	r := &Report{Months: s.months(), verdict: audit.Undecided, Audit: &audit.Report{Verdict: audit.Undecided.String()}}
	r.Audit.Reasons = []audit.Reason{{Code: audit.ReasonSnapshot, Text: err.Error()}}
	if !errors.As(err, new(*StateError)) {
		r.Audit.Reasons[0].Code = audit.ReasonUnreadable
	}
	r.Verdict = r.verdict.String()
	return r
}

func (s *scan) months() string {
	return s.c.Seed.First.String() + " to " + s.c.Until.String()
}

// report says what was found, and what is not there.
func (s *scan) report(ctx context.Context, a *audit.Report, found []candidate, err error) *Report {
	r := &Report{Complete: a.Complete && err == nil, Until: a.LoggedAfter, Months: s.months(), Tried: s.trial.tried,
		Audit: a, verdict: a.Result(), Cases: []*Case{}}
	if s.ledger != nil {
		u := s.ledger.Undisclosed()
		r.Sealed = Sealed{u.Releases, u.Notices, u.Never, stamp(u.Last)}
	}
	if err != nil {
		a.Reasons = append(a.Reasons, audit.Reason{Code: audit.ReasonUnreadable, Text: err.Error()})
		if r.verdict == audit.Clean {
			r.verdict = audit.Undecided
		}
	}
	against := false
	for _, c := range found {
		k, err := s.build(c)
		if err != nil {
			r.Bad = append(r.Bad, fmt.Sprintf("the notice that entry %d publishes is to you, and: %v", c.Disclosed, err))
			continue
		}
		s.judge(k, a, c.Effective)
		k.ByAuditors, k.NotShown = s.auditors(ctx, k.ByAuditors, k.NotShown)
		r.Cases = append(r.Cases, k)
		against = against || len(k.Against) > 0
	}
	if (against || len(r.Bad) > 0) && r.verdict == audit.Clean {
		r.verdict = audit.Violations
	}
	r.Verdict = r.verdict.String()
	return r
}

func (s *scan) build(c candidate) (*Case, error) {
	n, err := s.trial.read(c.Ciphertext)
	if err != nil {
		return nil, err
	}
	get := func(i uint64) (*entry, error) {
		b := s.state.Entries[i]
		if b == nil {
			return nil, contradiction("it names entry %d, which is not there", i)
		}
		return parseEntry(i, b)
	}
	release, err := get(c.Release.Index)
	if err != nil {
		return nil, err
	}
	access, err := get(n.Access.Index)
	if err != nil {
		return nil, err
	}
	var warrant *entry
	if n.Warrant != nil {
		if warrant, err = get(n.Warrant.Index); err != nil {
			return nil, err
		}
	}
	return build(n, c.Ciphertext, release, access, warrant)
}

// judge adds what the replay has shown of a case.
func (s *scan) judge(k *Case, a *audit.Report, effective bool) {
	if !a.Complete || s.ledger == nil {
		k.NotShown = append(k.NotShown, "that the signers held their roles and kept their limits: the replay was not finished")
		return
	}
	entries := []uint64{k.Release, k.Access}
	if k.Warrant != nil {
		entries = append(entries, *k.Warrant)
	}
	for _, b := range s.ledger.Breaches() {
		for _, i := range entries {
			switch {
			case b.Index == i:
				k.Against = append(k.Against, fmt.Sprintf("entry %d breaks the rule %s: %s", i, b.Rule, b.Text))
			case b.Count > 1 && b.Index < i && i <= b.Last:
				k.Against = append(k.Against, fmt.Sprintf("entry %d may be one of %d that break the rule %s", i, b.Count, b.Rule))
			}
		}
	}
	if name := custodianOf(s.ledger.CharterAt(k.Release), k.Signers["release"]); name != k.Custodian {
		k.Against = append(k.Against, fmt.Sprintf("the key that signed the release is not custodian %s's, as the notice says, but %q's", k.Custodian, name))
	}
	switch {
	case len(k.Against) > 0:
	case !effective:
		k.NotShown = append(k.NotShown, "that the release answers its access: the ledger had closed it, or gave it no effect")
	default:
		k.ByReplay = append(k.ByReplay, "everyone who signed the warrant, the access and the release held the role for it, and none of the three broke a rule")
	}
}

// custodianOf returns the custodian of a charter whose event key is among these.
func custodianOf(c *ledger.Charter, keyIDs []string) string {
	if c == nil {
		return ""
	}
	for _, p := range c.Parties {
		for _, k := range p.Keys {
			if p.Role == event.RoleCustodian && slices.Contains(keyIDs, k.KeyID()) {
				return p.Name
			}
		}
	}
	return ""
}

// auditors says whether auditors have cosigned the head as the charter wants it.
func (s *scan) auditors(ctx context.Context, word, gaps []string) ([]string, []string) {
	const none = "the auditors' word: "
	if s.ledger == nil || s.ledger.Charter() == nil {
		return word, append(gaps, none+"no charter was read")
	}
	charter := s.ledger.Charter()
	var text strings.Builder
	for _, k := range charter.LogKeys {
		text.WriteString("log " + k + "\n")
	}
	text.WriteString(charter.AuditPolicy)
	p, err := c2sp.ParsePolicy([]byte(text.String()))
	if err != nil || !p.NeedsWitnesses() {
		return word, append(gaps, none+"the log's charter asks for no auditors")
	}
	cp, err := s.client.Checkpoint(ctx)
	if err == nil {
		_, err = p.Verify(cp.Checkpoint, s.c.Audit.Origin)
	}
	if err != nil {
		return word, append(gaps, none+"the head that the log serves does not carry it")
	}
	return append(word, fmt.Sprintf("at size %d the rules were kept, say auditors who meet the charter's audit policy", cp.Checkpoint.Size)), gaps
}

// Text returns the report for people, in lines.
func (r *Report) Text(list int) string {
	var b strings.Builder
	for i, c := range r.Cases {
		fmt.Fprintf(&b, "Case %d. %s\n", i+1, c.Text())
	}
	for _, s := range r.Bad {
		fmt.Fprintf(&b, "CONTRADICTION: %s\n", printable(s))
	}
	until := "up to a head whose time no witness vouches for"
	if r.Until != "" {
		until = "up to " + r.Until + ", as witnesses vouch"
	}
	switch {
	case !r.Complete:
		fmt.Fprintf(&b, "NOT FINISHED: notices may be missing here.\n")
	case len(r.Cases)+len(r.Bad) == 0:
		fmt.Fprintf(&b, "Nothing was disclosed about you %s: none of %d published notices is to a key of your seed (months %s).\n", until, r.Tried, r.Months)
	default:
		fmt.Fprintf(&b, "Nothing else was disclosed about you %s: of %d published notices, %d are to keys of your seed (months %s).\n",
			until, r.Tried, len(r.Cases)+len(r.Bad), r.Months)
	}
	if r.Complete {
		r.Sealed.text(&b)
	}
	fmt.Fprintf(&b, "This does not show: notices to keys of another seed, and what was opened without the log.\n\nThe log:\n")
	b.WriteString(r.Audit.Text(list))
	return b.String()
}

func (s *Sealed) text(b *strings.Builder) {
	if s.Releases == 0 {
		fmt.Fprintf(b, "No release is still sealed.\n")
		return
	}
	fmt.Fprintf(b, "Still sealed: %d releases with %d notices, of which nobody can tell whether one is to you", s.Releases, s.Notices)
	if s.LastUntil != "" {
		fmt.Fprintf(b, "; the last of them until %s, unless it is deferred", s.LastUntil)
	}
	if s.WithoutEnd > 0 {
		fmt.Fprintf(b, "; %d without end", s.WithoutEnd)
	}
	fmt.Fprintf(b, ".\n")
}
