// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/cmd/vasistas/english"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
)

// traffic is warrants that the log takes meanwhile. Only an anchor turns what is overdue into a
// breach, and a log in which nothing happens needs no anchor.
type traffic struct {
	next     time.Time
	warrants []event.Reference
}

// trafficPause is the pause between two of these warrants.
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

// find logs an auditor's closed finding about a breach.
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
