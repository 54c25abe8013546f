// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package scan finds a subject's notices in a log, and decides whether there are others.
//
// It promises its caller a [Report]. Each [Case] in it is an access to the subject's data
// with its notices. A key of the subject's seed opened each notice, a custodian's release
// states its digest, and package notice verified its openings against warrant and access.
// If the report says that there is no notice, every notice in the log up to the head was
// tried under every key, and package audit found that the log kept its rules, so that
// every notice due by then was disclosed. It trusts the caller's policy (C2SP tlog-policy)
// and the caller's state, and not the log.
//
// # Privacy
//
// A scan reads the whole log in order, like every audit. If the client keeps what it reads
// (Keep of [client.Config]) or reads a directory, its requests do not depend on the notices
// that open. Otherwise the scan reads the entries of a case again, or the whole log if a key
// of a new month opened an old notice, and the server may guess why.
//
// # How
//
// A scan observes an audit, whose workers also try the notices of each disclosure on all
// cores. The ledger then has the release that states a notice, and whether the disclosure
// had an effect. Memory is bounded by the audit's queue, the ledger, and the notices that
// opened. A state is the audit's snapshot with the notices so far.
//
// The keys are those from the first month of the seed to the month after the present one,
// by the clock or by the witnesses of the head, whichever is later. The state says which
// months were tried at which entries, and a later run tries the others there, too. A
// notice's length shows the KEM of its key.
package scan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/notice"
	"github.com/vasistas/vasistas/client/replica"
	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// Config names a log, a policy and a subject's seed.
type Config struct {
	// Config of the observed audit. Keep its snapshots secret: they have the content of
	// the subject's notices. One that does not fit is a [replica.SnapshotError]. SaveEvery
	// 0: 32,768. Run sets Observe, Use and Own.
	audit.Config

	// Seed of the subject's notice keys. Keys are tried up to the month after Now or after
	// the head's witnessed time, whichever is later.
	Seed *escrow.Seed
}

// Run scans the log up to its present head. It returns an error if it read nothing: a
// member of c is missing, or the snapshot was refused. The report has all other errors.
func Run(ctx context.Context, c Config) (*Report, error) {
	if c.Seed == nil || c.Client == nil {
		return nil, errors.New("give a seed and the client of a log")
	}
	if c.Policy == nil {
		return nil, client.ErrNoPolicy
	}
	c.SaveEvery = cmp.Or(c.SaveEvery, 1<<15)
	if c.Now.IsZero() {
		c.Now = time.Now()
	}
	f := &finder{seed: c.Seed, now: c.Now, client: c.Client, state: &state{Seed: seedName(c.Seed)}}
	r := &Report{From: c.Seed.First.String()}
	j := &joiner{ctx: ctx, c: c, f: f, r: r}
	f.proves = j.proves
	var gap bool
	c.Observe = func(l *ledger.Ledger, head *tlog.Verified) (replica.Observer, error) {
		o, err := f.observe(ctx, l, head)
		gap = errors.Is(err, errGap)
		return o, err
	}
	c.Use, c.Own = "scan", f.state
	r.Audit = audit.Run(ctx, c.Config)
	if gap {
		c.Snapshot = nil
		return Run(ctx, c)
	}
	if err := r.Audit.Refused(); err != nil {
		return nil, err
	}
	r.To = max(f.last, c.Seed.First).String()
	r.Notices, r.Tries, r.Left = f.state.Notices, f.tries.Load(), f.state.Left
	r.Unlisted = f.state.BreachCount - uint64(len(f.state.Breaches))
	if r.Audit.Complete && f.ledger != nil {
		o := f.ledger.Outstanding()
		r.Sealed = &Sealed{Releases: o.Releases, Notices: o.Notices, Never: o.Never, Last: o.Last, Live: o.Live}
	}
	for _, x := range f.state.Hits {
		j.add(x)
	}
	slices.SortStableFunc(r.Cases, func(a, b *Case) int { return cmp.Compare(a.access.Index, b.access.Index) })
	for _, c := range r.Cases {
		slices.SortStableFunc(c.Notices, func(a, b *Notice) int { return cmp.Compare(a.Release.Index, b.Release.Index) })
	}
	r.conclude()
	return r, nil
}

// joiner joins the hits of a scan to cases.
type joiner struct {
	ctx context.Context
	c   Config
	f   *finder
	r   *Report
}

// add adds a hit to its case, or to the unproven ones.
func (j *joiner) add(x *hit) {
	n, err := j.prove(x, j.c.Now)
	if err != nil {
		j.r.Unproven = append(j.r.Unproven, Unproven{x.Disclosure, x.Digest.String(), x.Period, err.Error()})
		return
	}
	c := j.r.caseOf(n.File.Notice.Access)
	c.Notices = append(c.Notices, n)
	for _, b := range j.f.state.Breaches {
		if c.concerns(b.Index, n.Verified) && !slices.Contains(c.Breaches, b) {
			c.Breaches = append(c.Breaches, b)
		}
	}
}

// errNothing is of a hit that proves nothing, whatever else is known.
var errNothing = errors.New("")

func nothing(format string, args ...any) error {
	return fmt.Errorf("%w%w", errNothing, fmt.Errorf(format, args...))
}

// proves returns whether a hit proves an access, or may under a later head, and an error if
// that is unknown.
func (j *joiner) proves(x *hit) (bool, error) {
	_, err := j.prove(x, time.Time{}) // a clock that is behind must not drop a hit
	if !decided(err) {
		return false, err
	}
	// Nor must a head whose cosignatures lie too far apart, which the log can choose to show.
	v, _ := errors.AsType[*verify.Error](err)
	return err == nil || v != nil && v.Reason == verify.NoQuorum, nil
}

// decided returns whether the answer err is final, whatever is read later.
func decided(err error) bool {
	_, verified := errors.AsType[*verify.Error](err)
	return err == nil || verified || errors.Is(err, errNothing)
}

// prove proves a hit by the first of its releases that does. If none does, the error is
// that of the last one, or of one that could not be read.
func (j *joiner) prove(x *hit, now time.Time) (*Notice, error) {
	if x.Error != "" {
		return nil, nothing("it opens under your key, but is not a notice: %s", x.Error)
	}
	n, err := escrow.ParseNotice(x.Notice)
	if err != nil {
		return nil, nothing("%w", err)
	}
	if j.f.ledger == nil {
		return nil, errors.New("it could not be proven in this run")
	}
	var unread, last error
	for _, s := range x.Stated {
		file, err := j.file(n, x.Digest, s.Release)
		var v *notice.Verified
		if err == nil {
			v, err = file.Verify(j.c.Policy, verify.Options{Origin: j.c.Origin, Now: now})
		}
		if err == nil {
			// The file can't show that an auditor is set aside.
			if _, none := j.f.ledger.VerifyAudit(j.f.ledger.Charter(), j.f.head.Checkpoint); none != nil {
				v.Auditors = nil
			}
			return &Notice{Verified: v, Digest: x.Digest.String(), Disclosure: x.Disclosure, PublishedAfter: x.After,
				Period: x.Period, Effect: x.Effect, File: file}, nil
		}
		if last = err; !decided(err) {
			unread = err
		}
	}
	return nil, cmp.Or(unread, last)
}

// file collects the proofs of a notice under one head, and checks that the release states
// the notice's digest.
func (j *joiner) file(n *escrow.Notice, digest event.Digest, ref event.Reference) (*notice.File, error) {
	file := &notice.File{Notice: n}
	var err error
	prove := func(index uint64) []byte {
		if err != nil {
			return nil
		}
		if index >= j.f.head.Checkpoint.Size {
			err = nothing("entry %d: the log has %d entries", index, j.f.head.Checkpoint.Size)
			return nil
		}
		p, failed := j.c.Client.ProveAt(j.ctx, j.f.head, index)
		if failed != nil {
			err = fmt.Errorf("entry %d: %w", index, failed)
			return nil
		}
		return p.Bytes()
	}
	if file.Release = prove(ref.Index); err == nil {
		err = states(file.Release, digest)
	}
	file.Access = prove(n.Access.Index)
	if n.Warrant != nil {
		file.Warrant = prove(n.Warrant.Index)
	}
	// Later charters count, too: the last one has the head's policies, and any may void a signer's key.
	for c := j.f.ledger.Charter(); c != nil; c = j.f.ledger.CharterAt(c.Index) {
		file.Charters = append(file.Charters, prove(c.Index))
	}
	slices.Reverse(file.Charters)
	return file, err
}

// states checks that an entry is a release that states the notice.
func states(proof []byte, digest event.Digest) error {
	p, err := tlog.ParseProof(proof)
	if err != nil {
		return err
	}
	env, err := event.ParseEnvelope(p.Extra)
	if err != nil {
		return nothing("%w", err)
	}
	r, ok := env.Event.Body.(*event.Release)
	if !ok || !slices.Contains(r.Notices, digest) {
		return nothing("no release states it: a party that may sign disclosures and knows your public notice key may have made it up")
	}
	return nil
}

// Result is the outcome of a scan, and the exit code of the command.
type Result int

const (
	Nothing   Result = iota // no notice, and the log kept its rules
	Found                   // at least one case
	Undecided               // no case, but there may be one
)

func (r Result) String() string { return [...]string{"nothing", "found", "undecided"}[r] }

// Codes of reasons beyond the audit's.
const (
	ReasonFork     = "fork"     // the log signed two heads of which neither extends the other
	ReasonBreaches = "breaches" // entries broke rules, or obligations are overdue
	ReasonUnproven = "unproven" // notices opened that prove no access
)

// Report is the result of a scan. Names and meanings of its JSON members are stable; members
// may be added.
type Report struct {
	Result  string   `json:"result"`            // nothing, found or undecided
	Reasons []string `json:"reasons,omitempty"` // codes: those of Audit, and those above

	Notices  uint64     `json:"notices"` // tried, in this run and before
	Tries    uint64     `json:"tries"`   // of a key at a notice, in this run
	From     string     `json:"from"`    // first month of the keys
	To       string     `json:"to"`      // last month
	Cases    []*Case    `json:"cases,omitempty"`
	Unproven []Unproven `json:"unproven,omitempty"`
	Left     uint64     `json:"left,omitempty"` // notices that opened, that prove nothing, beyond 10,000
	// Unlisted counts breaches of the log, perhaps of Cases, beyond those that a state keeps.
	Unlisted uint64 `json:"unlisted,omitempty"`
	// Sealed counts the undisclosed notices; absent if the log was not read to its head.
	Sealed *Sealed `json:"sealed,omitempty"`

	// Audit is the report of the audit that the scan observed.
	Audit *audit.Report `json:"audit"`

	result Result
}

// Case is an access to the subject's data.
type Case struct {
	Notices  []*Notice `json:"notices"`            // proven ones, one for each custodian and notice key
	Breaches []Breach  `json:"breaches,omitempty"` // of the case's entries

	access event.Reference
}

// Notice is a custodian's proven notice of an access.
type Notice struct {
	*notice.Verified
	Digest         string    `json:"digest"`                  // of its ciphertext, stated by the release
	Disclosure     uint64    `json:"disclosure"`              // index of the entry that published it
	PublishedAfter time.Time `json:"publishedAfter,omitzero"` // witnessed
	Period         string    `json:"period"`                  // month of the key that opened it
	Effect         bool      `json:"effect"`                  // the disclosure kept the rules

	// File is the notice with its proofs.
	File *notice.File `json:"-"`
}

// Breach is an entry of a case that broke a rule, or that by a rule had no effect when it was
// logged.
type Breach struct {
	Index    uint64 `json:"index"`
	Rule     string `json:"rule"`
	Text     string `json:"text"`
	NoEffect bool   `json:"noEffect,omitempty"` // it broke none
}

// Unproven is a notice that opened but proves no access.
type Unproven struct {
	Disclosure uint64 `json:"disclosure"`
	Digest     string `json:"digest"`
	Period     string `json:"period"`
	Reason     string `json:"reason"`
}

// Sealed counts the releases and notices that are not disclosed yet. Some may concern this
// subject.
type Sealed struct {
	Releases uint64    `json:"releases"`
	Notices  uint64    `json:"notices"`
	Never    uint64    `json:"never"`         // releases sealed without end
	Last     time.Time `json:"last,omitzero"` // end of the last seal of the others, by decisions so far
	Live     uint64    `json:"live"`          // accesses that a custodian may still answer
}

// Outcome returns the result.
func (r *Report) Outcome() Result { return r.result }

func (r *Report) caseOf(access event.Reference) *Case {
	i := slices.IndexFunc(r.Cases, func(c *Case) bool { return c.access == access })
	if i < 0 {
		i, r.Cases = len(r.Cases), append(r.Cases, &Case{access: access})
	}
	return r.Cases[i]
}

// concerns returns whether an entry is one of the case's.
func (c *Case) concerns(index uint64, v *notice.Verified) bool {
	return index == v.Access.Index || index == v.Release.Index || v.Warrant != nil && index == v.Warrant.Index
}

// conclude decides the result. If the log broke its rules, a notice that had to be disclosed
// may be missing, so the absence of notices proves nothing.
func (r *Report) conclude() {
	for _, why := range r.Audit.Reasons {
		r.Reasons = append(r.Reasons, why.Code)
	}
	if r.Audit.Fork != nil {
		r.Reasons = append(r.Reasons, ReasonFork)
	}
	if r.Audit.Breaches > 0 || r.Audit.Overdue > 0 {
		r.Reasons = append(r.Reasons, ReasonBreaches)
	}
	if len(r.Unproven) > 0 || r.Left > 0 {
		r.Reasons = append(r.Reasons, ReasonUnproven)
	}
	switch {
	case len(r.Cases) > 0:
		r.result = Found
	case len(r.Reasons) > 0 || !r.Audit.Complete:
		r.result = Undecided
	}
	r.Result = r.result.String()
}
