// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/client/replica"
	"github.com/vasistas/vasistas/cmd/vasistas/english"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

const (
	numHistories = 3
	// historySeal and historyDelay are short, so that the histories end while the reader
	// watches; a slow machine gets more, see slack. The profile allows 90 for each.
	historySeal  = 12 * demoDay
	historyDelay = 6 * demoDay
)

// history is a warrant that is followed to its end.
type history struct {
	*accepted
	*logged
	until time.Time // of its seal
}

// clock is a time of the day as the story shows it.
func clock(t time.Time) string { return t.UTC().Format("15:04:05") }

// tellHistories tells what becomes of a few warrants, until the log has disclosed all whose seals
// end meanwhile.
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
		e := s.batch.events[i]
		h := &history{&s.batch.accepted[i], loggedAt(s.indices[i], e), e.env.Event.Sealed.Until}
		warrants = append(warrants, h.Reference)
		s.say("  Row %s: entry %d, a warrant of the court of %s, sealed until %s", h.ID, h.Index, h.court, clock(h.until))
		watches = append(watches, tellers[n](ctx, h))
	}
	s.returnAll(ctx, warrants)
	s.say("  And then, as it is read back from the log:")
	s.replay.await(ctx, "the end of all histories", watches...)
	s.sum("disclosed", "%d seals: none before its date, and all by the log itself but the late one", len(s.replay.opened))
}

// plain: an access on the warrant. The log discloses both.
func (s *story) plain(ctx context.Context, h *history) watch {
	newAccess := func() *signedEvent {
		return rowAccess(s.People, h.accepted, h.logged).sign(h.until, s.Signer(providerName))
	}
	access := must(s.submit(ctx, newAccess()))
	s.say("     entry %d: an access on it", access.Index)
	s.offer(ctx, "a second access, on a warrant that bears one", newAccess(), "warrant-live")
	return func() bool {
		warrant, with := s.replay.opened[h.Index], s.replay.opened[access.Index]
		if warrant == nil || with == nil {
			return false
		}
		s.say("     %s  row %s: the log disclosed the warrant (entry %d) and the access (entry %d)", clock(s.replay.now()), h.ID, warrant.by, with.by)
		s.sayOpened(h)
		return true
	}
}

// deferred: a court delays the disclosure further.
func (s *story) deferred(ctx context.Context, h *history) watch {
	until := h.until.Add(historyDelay)
	body := &event.Deferral{Event: h.Reference, Until: until, Ground: "jeopardy-to-investigation", Ordinal: 1}
	deferral := must(s.submit(ctx, signNow(body, s.Signer(h.court))))
	s.say("     entry %d: its court defers the disclosure to %s", deferral.Index, clock(until))
	s.offer(ctx, "the provider opening it early", signNow(h.opening(), s.Signer(providerName)), "opening")
	s.sum("refused", "by the log: a second access on a warrant that bears one, and a disclosure before its date")
	silent := false
	return func() bool {
		now, o := s.replay.now(), s.replay.opened[h.Index]
		switch {
		case o != nil && now.Before(until):
			try(fmt.Errorf("%w: entry %d was disclosed before %s", errSucceeded, h.Index, clock(until)))
		case o != nil:
			s.say("     %s  row %s: the log disclosed it (entry %d)", clock(now), h.ID, o.by)
			s.sayOpened(h)
			s.sum("deferred", "entry %d: its court delayed the disclosure to %s, and the log waited", h.Index, clock(until))
		case now.After(h.until) && now.Before(until) && !silent:
			silent = true
			s.say("     %s  row %s: its first date has passed; the log holds the deferral, and discloses nothing", clock(now), h.ID)
		}
		return o != nil
	}
}

// opening is a disclosure of all that a warrant seals for the public.
func (h *history) opening() *event.Disclosure {
	return &event.Disclosure{Event: h.Reference, Openings: h.openings.Public}
}

// late: the provider's vault loses the openings, which the court still has.
func (s *story) late(ctx context.Context, h *history) watch {
	var late time.Time
	try(s.Vault.Erase(ctx, h.env.Hash()))
	s.wrap("     ", "A fault, made on purpose: the vault of the log was made to lose what it is to disclose of this one.")
	var cured *logged
	seen := false
	return func() bool {
		o, opened := s.overdue("disclosure", h.Index), s.replay.opened[h.Index]
		switch {
		case cured == nil && o == nil:
			if opened != nil {
				try(fmt.Errorf("entry %d opens what the vault has lost", opened.by))
			}
			return false
		case !seen:
			seen, late = true, o.Late
			s.say("     %s  row %s is OVERDUE:", clock(s.replay.now()), h.ID)
			s.wrap("       ", "rule %s (%s), owed by %s: %s. It was due %s, and late after %s. To cure it: %s.",
				o.Rule, o.Way, o.By, o.Text, clock(o.Due), clock(o.Late), o.Cure)
			if o.Auditors {
				s.wrap("       ", "While it lasts, no auditor may cosign, and gates open no key.")
			}
			r := s.runAudit(ctx)
			if r.Result() != audit.Violations || r.Overdue == 0 {
				try(fmt.Errorf("a disclosure is late, and the audit does not find it: %s", r.Verdict))
			}
			s.wrap("       ", "The audit of the whole log says: %s", english.Headline(r))
			return false
		case cured == nil && !s.replay.ledger.Time().After(o.Late):
			return false // no anchor proves yet that it is late: cured now, it would count as in time
		case cured == nil:
			cured = must(s.submit(ctx, signNow(h.opening(), s.Signer(h.court))))
			return false
		case o != nil || opened == nil || opened.by != cured.Index:
			return false
		}
		s.say("     %s  row %s is cured: its court disclosed it (entry %d), late, for all to see", clock(s.replay.now()), h.ID, cured.Index)
		s.sayOpened(h)
		s.sum("late", "entry %d: the vault lost what it seals; overdue since %s, until its court disclosed it (entry %d)", h.Index, clock(late), cured.Index)
		return true
	}
}

// overdue returns the obligation of an entry by a rule that is overdue at the head; nil if none is.
func (s *story) overdue(rule string, index uint64) *ledger.Obligation {
	for _, o := range s.replay.ledger.Overdue(s.replay.now()) {
		if o.Rule == rule && o.Index == index {
			return &o
		}
	}
	return nil
}

// sayOpened says what was disclosed. It must be what the court had sealed, and the row's period.
func (s *story) sayOpened(h *history) {
	values := make(map[string]event.Value)
	for _, o := range s.replay.opened[h.Index].Openings {
		values[o.Name] = o.Value
	}
	if got := values["agency"].Text(); got != h.agency {
		try(fmt.Errorf("entry %d was sealed for the agency %s, and disclosed as %s", h.Index, h.agency, got))
	}
	period := "no period of the data stated"
	list := must(values["dataPeriods"].Periods())
	if !slices.Equal(list, h.periods) {
		try(fmt.Errorf("entry %d was sealed for data of %v, and disclosed as %v", h.Index, h.periods, list))
	}
	for _, p := range list {
		period = fmt.Sprintf("data of %s to %s", p.From.Format(time.DateOnly), p.To.Format(time.DateOnly))
	}
	s.wrap("       ", "agency %s, grounds %s, %s", h.agency, strings.Join(values["grounds"].Codes(), ", "), period)
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
		if slices.ContainsFunc(owed, func(index uint64) bool { return s.replay.opened[index] == nil }) {
			return false
		}
		if len(owed) > 0 {
			s.say("     %s  all %d rows without delayed notice are disclosed, by the log itself", clock(s.replay.now()), len(owed))
		}
		return true
	}
}

// replay reads the log as any stranger would, from its first entry on, and checks each entry by
// the rules, to show what happens when. Its time is that of the witnesses of the head.
type replay struct {
	replica *replica.Replica
	ledger  *ledger.Ledger
	head    *tlog.Verified

	entries [][]byte
	opened  map[uint64]*opened // by sealed entry; here each disclosure opens all of it
}

type opened struct {
	*event.Disclosure
	by uint64 // its own entry
}

func newReplay(cl *client.Client) *replay {
	r := must(replica.New(replica.Config{Client: cl, Origin: origin}))
	return &replay{replica: r, ledger: r.Ledger(), opened: make(map[uint64]*opened)}
}

// catchUp reads and checks what is new up to the published head.
func (r *replay) catchUp(ctx context.Context) {
	r.head = must(r.replica.Update(ctx))
	try(r.replica.Replay(ctx, replica.Observer{
		Bundle: func(b client.Bundle) error {
			r.entries = append(r.entries, b.Entries...)
			return nil
		},
		After: func(e *ledger.Entry, breaches []*ledger.Violation, _ []ledger.Change) error {
			if e.Envelope == nil || len(breaches) > 0 { // the audit says which
				return nil
			}
			if d, ok := e.Envelope.Event.Body.(*event.Disclosure); ok {
				r.opened[d.Event.Index] = &opened{d, e.Index}
			}
			return nil
		},
	}))
}

// now is the time at which the witnesses saw the head.
func (r *replay) now() time.Time { return time.Unix(int64(r.head.LoggedAfter), 0).UTC() }

// A watch looks at the log after it has grown, and reports whether it is done.
type watch func() bool

func (r *replay) await(ctx context.Context, what string, all ...watch) {
	poll(ctx, what, func() bool {
		r.catchUp(ctx)
		all = slices.DeleteFunc(all, func(w watch) bool { return w() })
		return len(all) == 0
	})
}

// maxShown bounds a list of what an earlier run left.
const maxShown = 5

// runAudit audits the log as the command "vasistas audit" does, without the replay's help.
func (s *story) runAudit(ctx context.Context) *audit.Report {
	return audit.Run(ctx, audit.Config{Client: s.client, Policy: s.policy, Origin: origin})
}

// audit audits the whole log. A new log must have kept every rule, and owe nothing that is late.
// An earlier run may have been cut off before it did what was due: that does not fail this run.
func (s *story) audit(ctx context.Context) {
	s.replay.await(ctx, "the end of all that is overdue", func() bool {
		return len(s.replay.ledger.Overdue(s.replay.now())) == 0 || !s.made
	})
	r := s.runAudit(ctx)
	s.title("The audit of the whole log")
	s.sum("audited", "%s", english.Headline(r))
	for line := range strings.Lines(english.Audit(r, maxShown)) {
		s.say("  %s", strings.TrimSuffix(line, "\n"))
	}
	switch r.Result() {
	case audit.Clean:
	case audit.Violations:
		if s.made || r.Fork != nil {
			try(fmt.Errorf("the log broke its rules: %d breaches, %d overdue", r.Breaches, r.Overdue))
		}
		for _, b := range r.Unclosed {
			// No interruption of an earlier run explains another rule's breach.
			if b.Rule != "unfulfilled" {
				try(fmt.Errorf("the log let in what breaks a rule: entry %d: %s (%s): %s", b.Index, b.Rule, b.Way, b.Text))
			}
		}
		s.wrap("  ", "An earlier run hid a release, was cut off, or stopped before what it owed was due. The log can't hide that.")
	default:
		try(errors.New("the audit could not tell whether the log kept its rules"))
	}
	s.wrap("  ", "%d seals were opened, none before its date.", len(s.replay.opened))
	if len(s.batch.histories) > 0 {
		s.wrap("  ", "The disclosures that were made late on purpose were overdue, and are no breaches, since each was cured within the 30 "+
			"seconds that the profile gives. A replay of the log shows that they were late.")
	}
}
