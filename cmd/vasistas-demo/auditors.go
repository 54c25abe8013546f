// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/escrow/agency"
	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/cmd/vasistas/english"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/world"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/round"
	"github.com/vasistas/vasistas/log/tlog"
)

// lateSeal is of the warrant whose disclosure falls overdue.
const lateSeal = 5 * demoDay

// refused is one refusal of the story, as its test reads it.
type refused struct {
	by    string // a gate's custodian, or an auditor
	code  string // a gate's code; "declined" for an auditor
	rule  string // that bars; "" if a gate says only that the auditors' lines are missing
	index uint64 // the entry at fault; 0 without a rule
	after int    // how many letters were opened before
}

// bar is what bars: an obligation or a breach, which auditors and gates must name.
type bar struct {
	rule  string
	index uint64
	text  string
}

func barOf(o *ledger.Obligation) *bar { return &bar{o.Rule, o.Index, o.Text} }

func (b *bar) is(r round.Bar) bool {
	if r.Breach != nil {
		return r.Breach.Rule == b.rule && r.Breach.Index == b.index
	}
	return r.Obligation.Rule == b.rule && r.Obligation.Index == b.index
}

func (s *story) newAccess(ctx context.Context, o *opening) *access {
	file, pkg := escrowLetter(o, subjectAccount)
	return s.logAccess(ctx, o, subjectAccount, file, pkg)
}

// lend opens the letter of an access, and says who released.
func (s *story) lend(ctx context.Context, o *opening, a *access) []agency.Result {
	results, _ := s.openLetter(ctx, o, a)
	s.opened++
	var names []string
	for _, r := range results {
		if r.Err == nil {
			names = append(names, fmt.Sprintf("%s (entry %d)", r.Custodian, r.Release.Index))
		}
	}
	s.wrap("  ", "-> access %d: the agency reads the letter. Released by %s", a.Index, strings.Join(names, ", "))
	return results
}

// tellOverdue tells how a disclosure that is late stops every key, and how its cure brings access
// back.
func (s *story) tellOverdue(ctx context.Context) {
	s.title("No disclosure, no more keys")
	s.replay.catchUp(ctx)
	if s.toldBefore() {
		s.sum("stopped", "every key, in an earlier run: what it left is in the log")
		return
	}
	s.from = len(s.replay.entries)
	o := s.newOpening()
	s.order(ctx, o, sealDelayed)
	s.wrap("  ", "Access works while the rules hold, on a warrant of row %s (entry %d):", o.ID, o.warrant.Index)
	s.sayAudits(ctx, s.lend(ctx, o, s.newAccess(ctx, o)))

	late := s.lose(ctx)
	next := s.newAccess(ctx, o)
	s.auditedHead(ctx, next.Index)
	owed := s.awaitOverdue(ctx, "disclosure", late.Index)
	s.sayOwed(owed)
	s.wrap("  ", "The gates know it from their own copy of the log, at once. Auditors had cosigned the head with access %d "+
		"just before, and yet:", next.Index)
	s.refuseAll(ctx, s.requestFor(ctx, o, next), gate.CodeOverdue, barOf(owed))
	s.wrap("  ", "The auditors decline, and the log publishes why (%s/audit/round):", s.LogServer.URL)
	s.declined(ctx, barOf(owed), blocking, s.Auditors...)
	third := s.newAccess(ctx, o)
	s.wrap("  ", "So no head with the next access (entry %d) gets their cosignatures, and a gate refuses before it looks at its own copy:", third.Index)
	s.refuseAll(ctx, s.requestAt(ctx, must(s.client.Checkpoint(ctx)), o, third), gate.CodeQuorum, nil)

	// Cured before an anchor proves that it is late, it would count as in time.
	s.replay.await(ctx, "an anchor that proves the disclosure late", func() bool { return s.replay.ledger.Time().After(owed.Late) })
	s.sum("stopped", "entry %d was not disclosed in time: %d auditors declined, all gates refused, no key was used", late.Index, blocking)
	opening := &event.Disclosure{Event: late.Reference, Openings: late.openings.Public}
	begun := time.Now()
	cured := must(s.submit(ctx, signNow(opening, s.Signer(s.batch.accepted[s.batch.lastWarrant()].court))))
	s.wrap("  ", "The court publishes the disclosure, late (entry %d). No one has to decide anything: the auditors cosign again, and "+
		"both letters open.", cured.Index)
	s.lend(ctx, o, next)
	took := time.Since(begun)
	s.lend(ctx, o, third)
	s.wrap("  ", "That it was late stays in the log, for all to see.")
	s.sum("resumed", "%d ms after the court submitted the late disclosure: %.1f publication intervals, %.2f rounds", took.Milliseconds(),
		took.Seconds()/float64(s.profile.Publication), took.Seconds()/float64(s.profile.Round))
	s.returnAll(ctx, []event.Reference{o.warrant.Reference, late.Reference})
}

// lose logs a warrant, and lets the log's vault lose what is to be disclosed of it.
func (s *story) lose(ctx context.Context) *logged {
	a := s.batch.accepted[s.batch.lastWarrant()]
	a.window = toldWindow
	d := newWarrant(s.People, &a)
	until := d.Time.Add(lateSeal + s.slack())
	late := must(s.submit(ctx, d.sign(until, s.Signer(a.court))))
	try(s.Vault.Erase(ctx, late.env.Hash()))
	s.wrap("  ", "Then a disclosure falls overdue, on purpose: the warrant of row %s (entry %d) is due at %s, and the log's vault was "+
		"made to lose what it seals.", a.ID, late.Index, clock(until))
	return late
}

// sayAudits says which auditors stand behind each release.
func (s *story) sayAudits(ctx context.Context, results []agency.Result) {
	s.replay.catchUp(ctx)
	l := s.replay.ledger
	for _, r := range results {
		if r.Err != nil {
			continue
		}
		body := must(event.ParseEnvelope(s.replay.entries[r.Release.Index])).Event.Body.(*event.Release)
		cp := must(tlog.ParseCheckpoint([]byte(body.Audit)))
		must(l.VerifyAudit(l.Charter(), cp))
		var names []string
		for _, a := range s.Auditors {
			if slices.ContainsFunc(a.Keys, func(k *tlog.Signer) bool { return cp.Find(k.Verifier()) != nil }) {
				names = append(names, a.Name)
			}
		}
		s.wrap("     ", "entry %d carries the audit under which the key was opened: a head of %d entries, cosigned by %s. So anyone can "+
			"check it years later.", r.Release.Index, cp.Size, strings.Join(names, " and "))
	}
}

// awaitOverdue waits until an obligation is overdue at the published head.
func (s *story) awaitOverdue(ctx context.Context, rule string, index uint64) (owed *ledger.Obligation) {
	s.replay.await(ctx, fmt.Sprintf("%s of entry %d to be overdue", rule, index), func() bool {
		owed = s.overdue(rule, index)
		return owed != nil
	})
	return owed
}

func (s *story) sayOwed(o *ledger.Obligation) {
	s.wrap("  ", "At %s it is OVERDUE: %s. It was due at %s; %s owes it.", clock(s.replay.now()), o.Text, clock(o.Due), o.By)
}

// refuseAll asks every gate, and each must refuse with this code and name what bars, if b is not
// nil. No gate's key may be touched.
func (s *story) refuseAll(ctx context.Context, r *escrow.Request, code gate.Code, b *bar) {
	for i, g := range s.Gates {
		if b != nil { // the gate has read as far as the story
			poll(ctx, "the gate to read the log", func() bool {
				_, err := checkRefusal(g.Name, g.Running.Ready(), code, b)
				return err == nil
			})
		}
		before := s.keys[i].used.Load()
		_, err := g.Running.Release(ctx, must(r.Seal(origin, g.Key.Public())))
		no := must(checkRefusal(g.Name, err, code, b))
		if s.keys[i].used.Load() != before {
			try(fmt.Errorf("the gate of %s refused, and had used its key", g.Name))
		}
		s.note(g.Name, string(code), b)
		s.wrap("  ", "-> %s refuses (%s): %v", g.Name, no.Code, no.Err)
	}
}

func checkRefusal(name string, err error, code gate.Code, b *bar) (*gate.Refusal, error) {
	no, ok := errors.AsType[*gate.Refusal](err)
	switch {
	case err == nil:
		return nil, fmt.Errorf("%w: the gate of %s opened its share", errSucceeded, name)
	case !ok || no.Code != code || b != nil && !strings.Contains(no.Err.Error(), b.text):
		return nil, fmt.Errorf("the gate of %s refuses, but not as %s for %v: %w", name, code, b, err)
	}
	return no, nil
}

// note keeps a refusal for the story's test.
func (s *story) note(by, code string, b *bar) {
	n := refused{by: by, code: code, after: s.opened}
	if b != nil {
		n.rule, n.index = b.rule, b.index
	}
	s.refusals = append(s.refusals, n)
}

// blocking is how many auditors make the audit policy impossible to meet. A log ends a round once
// so many decline, and may not hear the others.
const blocking = numAuditors - auditQuorum + 1

// declined waits until n of these auditors have declined a named head because of b, as the log
// publishes it.
func (s *story) declined(ctx context.Context, b *bar, n int, of ...*world.Auditor) {
	var by []string
	poll(ctx, "the auditors to decline", func() bool {
		r, err := s.client.Round(ctx)
		for _, a := range of {
			if err == nil && len(by) < n && !slices.Contains(by, a.Name) && declines(r, a.Name, b) {
				by = append(by, a.Name)
			}
		}
		return len(by) == n
	})
	for _, name := range by {
		s.note(name, "declined", b)
		s.wrap("  ", "-> %s declines: %s: %s", name, b.rule, b.text)
	}
}

// declines reports whether an auditor declines a named head because of b.
func declines(r *round.Round, name string, b *bar) bool {
	return slices.ContainsFunc(r.Auditors, func(a round.Answer) bool {
		return a.Auditor == name && a.Kind == round.Refused && slices.ContainsFunc(a.Bars, b.is)
	})
}

// traffic is warrants that the log takes meanwhile. Only an anchor turns what is overdue into a
// breach, and a log in which nothing happens needs no anchor.
type traffic struct {
	next     time.Time
	warrants []event.Reference
}

const trafficPause = 10 * time.Second

// pass logs the next warrant once it is time.
func (s *story) pass(ctx context.Context, t *traffic) {
	if time.Now().Before(t.next) {
		return
	}
	t.next = time.Now().Add(trafficPause)
	a := s.batch.accepted[s.batch.lastWarrant()]
	d := newWarrant(s.People, &a)
	t.warrants = append(t.warrants, must(s.submit(ctx, d.sign(d.Time.Add(sealDefault), s.Signer(a.court)))).Reference)
}

// toldBefore reports whether an earlier run has told the sections on auditors: the last one leaves
// a broken chain in the log.
func (s *story) toldBefore() bool {
	c, _ := s.replay.ledger.Chain(s.KeyID(custodianName))
	return c.Broken || c.Stated > 0
}

// tellHidden tells how a release that is not in the log stops every key, and how auditors close
// the case.
func (s *story) tellHidden(ctx context.Context) {
	s.title("A hidden release")
	if s.toldBefore() {
		s.sum("hidden", "a release, in an earlier run: what it left is in the log")
		return
	}
	s.replay.catchUp(ctx)
	key := s.Signer(custodianName)
	o := s.newOpening()
	s.order(ctx, o, sealDelayed)
	beat := s.hide(ctx, o, key)
	kept := s.newAccess(ctx, o)
	s.auditedHead(ctx, kept.Index)
	owed := s.awaitOverdue(ctx, "missing-release", beat.Index)
	s.sayOwed(owed)
	s.refuseAll(ctx, s.requestFor(ctx, o, kept), gate.CodeOverdue, barOf(owed))
	s.declined(ctx, barOf(owed), blocking, s.Auditors...)

	breach := s.lapse(ctx, beat)
	s.declined(ctx, breach, blocking, s.Auditors...)
	again := s.newOpening() // the first warrant may be over
	s.order(ctx, again, sealDelayed)
	kept = s.newAccess(ctx, again)
	s.wrap("  ", "Nothing that the custodian does now lifts this. For want of cosignatures every gate refuses the next access (entry %d), "+
		"and by its own copy each would refuse it too:", kept.Index)
	s.refuseAll(ctx, s.requestAt(ctx, must(s.client.Checkpoint(ctx)), again, kept), gate.CodeQuorum, nil)
	s.barredAll(ctx, breach)

	s.closeBreach(ctx, breach)
	s.lend(ctx, again, kept)
	s.declined(ctx, breach, 1, s.Auditors[auditQuorum:]...)
	s.wrap("  ", "It has not closed the breach, and need not: %d of %d are enough.", auditQuorum, numAuditors)
	s.sum("hidden", "a release (entry %d shows it): a breach, and no key opened until %d auditors had closed it", beat.Index, auditQuorum)
	s.returnAll(ctx, []event.Reference{o.warrant.Reference, again.warrant.Reference})
	s.sayBreach(ctx)
}

// hide makes the custodian that runs no gate release a key in secret, and state it: its next
// heartbeat counts a release that the log lacks.
func (s *story) hide(ctx context.Context, o *opening, key event.Signer) *logged {
	a := must(s.submit(ctx, rowAccess(s.People, o.accepted, o.warrant).sign(o.until, s.Signer(providerName))))
	head := s.auditedHead(ctx, a.Index)
	s.replay.catchUp(ctx)
	note, _, err := s.replay.ledger.AuditNote(head.Checkpoint)
	try(err)
	cp := head.Checkpoint
	secret := signNow(&event.Release{Access: a.Reference, Seq: 1, Notices: []event.Digest{escrow.NoticeDigest([]byte("never published"))},
		Head: event.Head{Size: cp.Size, Root: event.Digest(cp.Root)}, Audit: note}, key)
	now := time.Now().UTC().Truncate(time.Second)
	beat := must(s.submit(ctx, signNow(&event.Heartbeat{From: now.Add(-demoDay), To: now, Seq: 1, Prev: secret.env.Hash()}, key)))
	s.wrap("  ", "Suppose that the custodian %s opens a key for access %d of row %s, and does not log its release. Releases are "+
		"numbered, and a custodian's heartbeat states how many there are: its heartbeat in entry %d says 1, and the log holds none. "+
		"(A custodian that lies in both is not seen.)", custodianName, a.Index, o.ID, beat.Index)
	return beat
}

// lapse waits until the missing release is a breach, while the log goes on.
func (s *story) lapse(ctx context.Context, beat *logged) (b *bar) {
	s.wrap("  ", "The release never comes. The log goes on with other warrants meanwhile, for auditors stop keys and not the log.")
	t := new(traffic)
	s.replay.await(ctx, "the missing release to be a breach", func() bool {
		s.pass(ctx, t)
		for _, x := range s.replay.ledger.Barred("", s.replay.now()) {
			if x.Breach != nil && x.Breach.Index == beat.Index {
				b = &bar{x.Breach.Rule, x.Breach.Index, x.Breach.Text()}
			}
		}
		return b != nil
	})
	s.returnAll(ctx, t.warrants)
	s.wrap("  ", "At %s it is a BREACH: %s", clock(s.replay.now()), b.text)
	return b
}

// barredAll checks that each gate says by itself that it would open nothing, because of a breach.
func (s *story) barredAll(ctx context.Context, b *bar) {
	for _, g := range s.Gates {
		var no *gate.Refusal
		poll(ctx, "the gate to read the log", func() bool {
			r, err := checkRefusal(g.Name, g.Running.Ready(), gate.CodeBreach, b)
			no = r
			return err == nil
		})
		s.note(g.Name, string(no.Code), b)
		s.say("  -> %s would open nothing (%s)", g.Name, no.Code)
	}
}

// closeBreach lets as many auditors as the policy asks for publish what they found, one after the
// other. The last one opens the gates.
func (s *story) closeBreach(ctx context.Context, b *bar) {
	s.wrap("  ", "Only the auditors can close it, each for itself, by a finding whose text it publishes (%s):", s.Path("finding.txt"))
	for i, a := range s.Auditors[:auditQuorum] {
		if i > 0 {
			s.barredAll(ctx, b)
		}
		s.say("  -> %s closes it (entry %d)", a.Name, s.find(ctx, a.Name, b).Index)
	}
}

func (s *story) find(ctx context.Context, auditor string, b *bar) *logged {
	text := fmt.Appendf(nil, "Entry %d: %s. The parties were heard, and what happened is known.\n", b.index, b.text)
	try(durable.WriteFile(s.Path("finding.txt"), text, 0o644))
	return must(s.submit(ctx, signNow(&event.Finding{First: b.index, Last: b.index, Rule: b.rule, State: event.FindingClosed,
		Digest: sha256.Sum256(text)}, s.Signer(auditor))))
}

// settle lifts what a run that was cut off has left: what is overdue is a breach in time, and the
// auditors close each breach.
func (s *story) settle(ctx context.Context) {
	if s.made {
		return
	}
	t, closed := new(traffic), make(map[bar]bool)
	s.replay.await(ctx, "the end of what an earlier run has left", func() bool {
		bars := s.replay.ledger.Barred("", s.replay.now())
		for _, x := range bars {
			if x.Breach == nil {
				continue
			}
			b := bar{x.Breach.Rule, x.Breach.Index, x.Breach.Text()}
			for _, a := range s.Auditors[:auditQuorum] {
				if !closed[b] {
					s.find(ctx, a.Name, &b)
				}
			}
			closed[b] = true
		}
		if len(bars) > 0 {
			s.pass(ctx, t)
		}
		return len(bars) == 0
	})
	s.returnAll(ctx, t.warrants)
	if len(closed) > 0 {
		s.say("  The auditors closed %d breaches that an earlier run had left.", len(closed))
	}
}

// sayBreach lets the audit of the whole log say what stays of the breach.
func (s *story) sayBreach(ctx context.Context) {
	r := s.runAudit(ctx)
	if r.Result() != audit.Violations || r.Breaches == 0 || slices.ContainsFunc(r.Unclosed, func(b ledger.BreachJSON) bool { return b.Rule == "unfulfilled" }) && s.made {
		try(fmt.Errorf("the breach is closed and on record, and the audit says otherwise: %s, %d breaches", r.Verdict, r.Breaches))
	}
	s.wrap("  ", "Access works, and the breach stays on record. The audit of the whole log says now: %s", english.Headline(r))
}
