// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/cmd/vasistas/english"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
)

const (
	numHistories = 3
	// historySeal and historyDelay are short, so that the histories end while
	// somebody watches. The profile allows 90 for each. A machine on which
	// everything takes longer gets more; see paceOf.
	historySeal    = 15 * demoDay
	longestHistory = 75 * demoDay
	historyDelay   = 6 * demoDay
)

// paceOf returns how long histories are sealed on a machine that took so long for n
// events: they must be told, and a fault be made, before their seals end.
func paceOf(took time.Duration, n int) time.Duration {
	if n == 0 {
		return historySeal
	}
	return min(historySeal+(100*took/time.Duration(n)).Truncate(demoDay), longestHistory)
}

// history is a warrant that is followed to its end.
type history struct {
	*accepted
	*logged
}

func (h *history) until() time.Time { return h.env.Event.Sealed.Until }

// clock is a time of the day as the story shows it.
func clock(t time.Time) string { return t.UTC().Format("15:04:05") }

// tellHistories tells what becomes of a few warrants up to their disclosure, and
// waits until the log has disclosed all that ends meanwhile.
func (s *story) tellHistories(ctx context.Context) {
	tellers := []func(context.Context, *history) watch{s.plain, s.deferred, s.late}
	tellers = tellers[numHistories-len(s.batch.histories):]
	watches := []watch{s.watchRest()}
	if len(tellers) == 0 {
		s.title("Until disclosure")
		s.say("  No new row asked for delayed notice: those of an earlier run have their history in the log.")
	} else {
		s.title("A few histories, until disclosure")
		s.wrap("  ", "A day is a second here. These rows asked for delayed notice, and their warrants are "+
			"sealed for %d seconds instead of 90. Times are those of the witnesses (UTC).", int(s.batch.accepted[s.batch.histories[0]].seal.Seconds()))
	}
	var warrants []event.Reference
	for n, i := range s.batch.histories {
		h := &history{&s.batch.accepted[i], loggedAt(s.indices[i], s.batch.events[i])}
		warrants = append(warrants, h.Reference)
		s.say("  Row %s: entry %d, a warrant of the court of %s, sealed until %s", h.ID, h.Index, h.court, clock(h.until()))
		watches = append(watches, tellers[n](ctx, h))
	}
	s.returnAll(ctx, warrants)
	s.say("  And then, as it is read back from the log:")
	try(s.replay.await(ctx, watches...))
}

// plain: an access on the warrant. The log discloses both.
func (s *story) plain(ctx context.Context, h *history) watch {
	newAccess := func() *signedEvent {
		return rowAccess(s.People, h.accepted, h.logged).sign(h.until(), s.Signer(providerName))
	}
	access := must(s.submit(ctx, newAccess()))
	s.say("     entry %d: an access on it", access.Index)
	s.offer(ctx, "a second access, on a warrant that bears one", newAccess(), "warrant-live")
	return func() bool {
		warrant, ok := s.replay.opened[h.Index]
		byToo, okToo := s.replay.opened[access.Index]
		if !ok || !okToo {
			return false
		}
		s.say("     %s  row %s: the log disclosed the warrant (entry %d) and the access (entry %d)", clock(s.replay.now()), h.ID, warrant.by, byToo.by)
		s.sayOpened(h)
		return true
	}
}

// deferred: a court delays the disclosure further.
func (s *story) deferred(ctx context.Context, h *history) watch {
	until := h.until().Add(historyDelay)
	body := &event.Deferral{Event: h.Reference, Until: until, Ground: "jeopardy-to-investigation", Ordinal: 1}
	deferral := must(s.submit(ctx, signNow(body, s.Signer(h.court))))
	s.say("     entry %d: its court defers the disclosure to %s", deferral.Index, clock(until))
	s.offer(ctx, "the provider opening it early", signNow(h.opening(), s.Signer(providerName)), "opening")
	silent := false
	return func() bool {
		now := s.replay.now()
		o, ok := s.replay.opened[h.Index]
		switch {
		case ok && now.Before(until):
			try(fmt.Errorf("%w: entry %d was disclosed before %s", errSucceeded, h.Index, clock(until)))
		case ok:
			s.say("     %s  row %s: the log disclosed it (entry %d)", clock(now), h.ID, o.by)
			s.sayOpened(h)
		case now.After(h.until()) && now.Before(until) && !silent:
			silent = true
			s.say("     %s  row %s: its first date has passed; the log holds the deferral, and discloses nothing", clock(now), h.ID)
		}
		return ok
	}
}

// opening is a disclosure of all that a warrant seals for the public.
func (h *history) opening() *event.Disclosure {
	return &event.Disclosure{Event: h.Reference, Openings: h.openings.Public}
}

// late: the provider's vault loses the openings, which the court still has.
func (s *story) late(ctx context.Context, h *history) watch {
	try(s.Vault.Erase(ctx, h.env.Hash()))
	s.wrap("     ", "A fault, made on purpose: the vault of the log was made to lose what it is to disclose of this one.")
	var cured *logged
	return func() bool {
		o := s.overdue(h.Index)
		opened, ok := s.replay.opened[h.Index]
		switch {
		case cured == nil && o == nil:
			if ok {
				try(fmt.Errorf("entry %d opens what the vault has lost", opened.by))
			}
			return false
		case cured == nil:
			s.say("     %s  row %s is OVERDUE:", clock(s.replay.now()), h.ID)
			s.wrap("       ", "rule %s (%s), owed by %s: %s. It was due %s, and late after %s. To cure it: %s.",
				o.Rule, o.Code, o.Debtor, o.Text(), clock(o.Due), clock(o.Late), o.Cure)
			if o.Auditors {
				s.wrap("       ", "While it lasts, no auditor may cosign, and gates open no key.")
			}
			r := s.runAudit(ctx)
			if r.Result() != audit.Violations || r.Overdue == 0 {
				try(fmt.Errorf("a disclosure is late, and the audit does not find it: %s", r.Verdict))
			}
			s.wrap("       ", "The audit of the whole log says: %s", english.Headline(r))
			cured = must(s.submit(ctx, signNow(h.opening(), s.Signer(h.court))))
			return false
		case o != nil || opened.by != cured.Index:
			return false
		}
		s.say("     %s  row %s is cured: its court disclosed it (entry %d), late, for all to see", clock(s.replay.now()), h.ID, cured.Index)
		s.sayOpened(h)
		return true
	}
}

// overdue returns the late disclosure of an entry, nil if there is none at the head.
func (s *story) overdue(index uint64) *ledger.Obligation {
	for _, o := range s.replay.ledger.Overdue(s.replay.now()) {
		if o.Rule == "disclosure" && o.Index == index {
			return &o
		}
	}
	return nil
}

// sayOpened says what was disclosed. It must be what the court had sealed.
func (s *story) sayOpened(h *history) {
	values := s.replay.opened[h.Index].values
	if got := values["agency"].Text(); got != h.agency {
		try(fmt.Errorf("entry %d was sealed for the agency %s, and disclosed as %s", h.Index, h.agency, got))
	}
	s.wrap("       ", "agency %s, grounds %s", h.agency, strings.Join(values["grounds"].Codes(), ", "))
}

// offer shows the log's answer to what a rule must refuse.
func (s *story) offer(ctx context.Context, what string, e *signedEvent, rule string) {
	_, err := s.submit(ctx, e)
	if err == nil {
		try(fmt.Errorf("%w: the log took %s", errSucceeded, what))
	}
	p, ok := errors.AsType[*client.Problem](err)
	if !ok || p.Rule != rule {
		try(fmt.Errorf("%s was not refused by the rule %s: %w", what, rule, err))
	}
	s.wrap("     ", "Offered: %s. -> HTTP %d, %s", what, p.Status, p.Detail)
}

// watchRest waits for the disclosure of everything that was sealed for 10 days.
func (s *story) watchRest() watch {
	var owed []uint64
	for i, a := range s.batch.accepted {
		if a.seal == sealDefault {
			owed = append(owed, s.indices[i])
		}
	}
	return func() bool {
		for _, index := range owed {
			if _, ok := s.replay.opened[index]; !ok {
				return false
			}
		}
		if len(owed) > 0 {
			s.say("     %s  all %d rows without delayed notice are disclosed, by the log itself", clock(s.replay.now()), len(owed))
		}
		return true
	}
}
