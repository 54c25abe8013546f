// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/event"
)

// What the events say that the rows do not. The story tells it.
const (
	instrumentWarrant = "calecpa-search-warrant" // what every row that is no emergency is
	emergencyGround   = "calecpa-emergency"      // Penal Code section 1546.1(c)(6)
	noGroup           = "no-gate"                // the rows know no escrow: the charter's group has no gate
	noAccount         = "not stated in the data" // the rows name no accounts

	// The limits of the profile demo, which are those of Penal Code sections 1534
	// and 1546.2 with a second for each day: notice may be delayed by 90.
	demoDay     = time.Second
	sealDelayed = 90 * demoDay
	sealDefault = 10 * demoDay
	warrantLife = 10 * demoDay // a warrant's window
	// toldWindow is the window of the warrants whose story has accesses.
	toldWindow = accessLife * time.Second
)

// refusal is why a row can't be an event; "": it can.
type refusal string

const (
	refusedProvider refusal = "an emergency whose row names no provider, which would have logged the access"
	refusedAgency   refusal = "the agency's name is longer than a code, or none"
	refusedGrounds  refusal = "a ground that is none of the form's"

	maxCodesPerOpening = 16
	maxChunk           = 512 // events that are signed and logged together
)

// accepted is a row that becomes an event, with what the event takes from it.
type accepted struct {
	*row
	court, agency, provider, offence string // codes
	grounds                          []string
	periods                          []event.Period // of the data that a warrant asks for
	window                           time.Duration  // a warrant's
	seal                             time.Duration
}

// decide returns what the event of a row takes from it, or refuses the row.
func decide(r *row) (c accepted, no refusal) {
	c = accepted{
		row: r, court: code(r.County), agency: code(r.Agency), provider: code(r.Business), offence: offenceCode(r.Natures),
		periods: periods(r), window: warrantLife, seal: sealDefault,
	}
	if r.Delayed {
		c.seal = sealDelayed
	}
	var ok bool
	if c.grounds, ok = groundCodes(r.Grounds); !ok || len(c.grounds) > maxCodesPerOpening {
		return c, refusedGrounds
	}
	switch {
	case !isCode(c.agency):
		return c, refusedAgency
	case r.Emergency && !isCode(c.provider):
		return c, refusedProvider
	}
	return c, ""
}

// periods returns the whole days that data was asked for. The rows state no zone; the events say
// UTC. A row without dates, or whose last day is before its first, has no period.
func periods(r *row) []event.Period {
	if r.InfoStart.IsZero() || r.InfoEnd.Before(r.InfoStart) {
		return nil
	}
	return []event.Period{{From: r.InfoStart, To: r.InfoEnd.Add(24*time.Hour - time.Second)}}
}

// signedEvent is an event with the secrets of its seals.
type signedEvent struct {
	env      *event.Envelope
	openings *event.Openings
}

// submission is what the log gets: the event, and the openings that the log is to disclose. The
// subject's openings stay here.
func (e *signedEvent) submission() *event.Submission {
	return &event.Submission{Envelope: e.env, Openings: e.openings.Public}
}

type logged struct {
	*signedEvent
	event.Reference
}

func loggedAt(index uint64, e *signedEvent) *logged {
	return &logged{e, event.Reference{Index: index, Leaf: e.env.LeafHash()}}
}

// signEvent makes the event of a row: a warrant, signed by its court, or an emergency access,
// signed by the provider and the court's duty key. Ids and salts are random, so two equal rows
// are two events.
func signEvent(k *people.People, a *accepted) *signedEvent {
	if a.Emergency {
		d := rowAccess(k, a, nil)
		d.public = append(d.public, agencyOpenings(k, a)...)
		return d.sign(d.Time.Add(a.seal), k.Signer(providerName), k.Signer(dutyKey(a.court)))
	}
	d := newWarrant(k, a)
	return d.sign(d.Time.Add(a.seal), k.Signer(a.court))
}

// draft is an event with what it is to seal.
type draft struct {
	*event.Event
	public, subject []event.Opening
}

func (d *draft) sign(until time.Time, by ...event.Signer) *signedEvent {
	try(d.Seal(until, d.public, d.subject))
	env := must(event.Sign(d.Event, by...))
	return &signedEvent{env, &event.Openings{Event: env.Hash(), Public: d.public, Subject: d.subject}}
}

func agencyOpenings(k *people.People, a *accepted) []event.Opening {
	return []event.Opening{
		event.NewOpening("agency", event.Text(a.agency)),
		event.NewOpening("agencyKey", event.Bytes(k.Public(agencyKey(a.agency)).SPKI())),
	}
}

func newWarrant(k *people.People, a *accepted) *draft {
	now := time.Now().UTC().Truncate(time.Second)
	ev := must(event.New(origin, &event.Warrant{
		Decision: event.Granted, Provider: providerName, Instrument: instrumentWarrant, Offence: a.offence,
		Accounts: 1, Accesses: 1, NotBefore: now, NotAfter: now.Add(a.window),
	}))
	ev.Time = now
	// The case is the warrant's number or, as most rows have none, the row's own.
	number := cmp.Or(a.Number, "row "+a.ID+", which states no warrant number")
	period := event.Decoy()
	if len(a.periods) > 0 {
		period = event.NewOpening("dataPeriods", event.Periods(a.periods...))
	}
	return &draft{
		Event:  ev,
		public: append(agencyOpenings(k, a), event.NewOpening("grounds", event.Codes(a.grounds...)), period),
		// The decoys hide whether a period, and whether identifiers, are sealed too. There are no
		// identifiers.
		subject: []event.Opening{event.NewOpening("case", event.Text(number)), event.Decoy()},
	}
}

// accessTerms are what an access says apart from its warrant.
type accessTerms struct {
	group, unit, account string
	recipient            event.HPKEKey
	pkg                  event.Digest
}

// newAccess makes an access on a warrant; if warrant is nil, an emergency access.
func newAccess(agency event.Signer, warrant *logged, t accessTerms) *draft {
	body := &event.Access{Emergency: emergencyGround, Group: t.group, Accounts: 1, Recipient: t.recipient}
	var hash event.Digest
	if warrant != nil {
		body.Warrant, body.Emergency, hash = &warrant.Reference, "", warrant.env.Hash()
	}
	ev := must(event.New(origin, body))
	signature := must(agency.Sign(must(event.AgencyMessage(ev.Log, hash, ev.ID, body.Recipient))))
	return &draft{
		Event:  ev,
		public: []event.Opening{event.NewOpening("unit", event.Text(t.unit))},
		subject: []event.Opening{
			event.NewOpening("account", event.Text(t.account)),
			event.NewOpening("agencySignature", event.Bytes(signature)),
			event.NewOpening("package", event.Text(t.pkg.String())),
		},
	}
}

// rowAccess makes the access of a row. Nothing is released to its recipient.
func rowAccess(k *people.People, a *accepted, warrant *logged) *draft {
	unit := a.provider
	if !isCode(unit) {
		unit = codeNotStated
	}
	// The digest of the row stands where that of an escrow package would.
	return newAccess(k.Signer(agencyKey(a.agency)), warrant, accessTerms{noGroup, unit, noAccount, k.Gate(rand.Text()), event.Digest(a.Digest)})
}

// batch is the rows as events.
type batch struct {
	accepted  []accepted
	events    []*signedEvent // of the accepted rows, as far as they are signed
	histories []int          // of accepted, those that are told at length; see pick
	warrants  int
	refused   map[refusal]int
	gaps      map[string]int // warrants by what their row does not say
}

func decideRows(rows []row) *batch {
	b := &batch{refused: make(map[refusal]int), gaps: make(map[string]int)}
	for i := range rows {
		c, no := decide(&rows[i])
		if no != "" {
			b.refused[no]++
			continue
		}
		b.accepted = append(b.accepted, c)
		if c.Emergency {
			continue
		}
		b.warrants++
		for gap, is := range map[string]bool{
			"name no provider: a device or a home was searched": c.Business == "" && !slices.Contains(c.ServedOn, "Business"),
			"state no offence":               c.offence == codeNotStated,
			"state an offence in free words": c.offence == codeOther,
			"state several offences":         c.offence == codeSeveral,
			"state no warrant number":        c.Number == "",
			"state no period of the data":    c.InfoStart.IsZero(),
			"state a period that ends before it begins: the event states none": c.InfoEnd.Before(c.InfoStart),
		} {
			if is {
				b.gaps[gap]++
			}
		}
	}
	return b
}

// pick takes the last rows with delayed notice that no earlier run has signed for the histories.
// They are sealed for less than 90 seconds, which the profile allows.
func (b *batch) pick(n, kept int) {
	for i := len(b.accepted) - 1; i >= kept && len(b.histories) < n; i-- {
		if a := &b.accepted[i]; a.Delayed && !a.Emergency {
			a.window, a.seal = toldWindow, historySeal
			b.histories = append(b.histories, i)
		}
	}
	slices.Reverse(b.histories)
}

func (b *batch) firstWarrant() int {
	i := slices.IndexFunc(b.accepted, func(a accepted) bool { return !a.Emergency })
	if i < 0 {
		try(errors.New("no row is a warrant; use more -rows"))
	}
	return i
}

func (b *batch) lastWarrant() int {
	i := len(b.accepted) - 1
	for i > 0 && b.accepted[i].Emergency {
		i--
	}
	return i
}

// chunks cuts the accepted rows into those that are signed and logged together: what has a
// deadline follows after each chunk. The first chunk is one event, which measures a publication; the
// last one begins with the first history.
func (b *batch) chunks() (out [][2]int) {
	for from, to := 0, 0; from < len(b.accepted); from = to {
		to = min(from+maxChunk, len(b.accepted))
		if from == 0 {
			to = 1
		}
		if len(b.histories) > 0 && from < b.histories[0] {
			to = min(to, b.histories[0])
		}
		out = append(out, [2]int{from, to})
	}
	return out
}

// sign signs the events of the first n accepted rows that have none.
func (b *batch) sign(k *people.People, n int) {
	for i := len(b.events); i < n; i++ {
		a := &b.accepted[i]
		if err := caught(func() { b.events = append(b.events, signEvent(k, a)) }); err != nil {
			try(fmt.Errorf("row %s: %w", a.ID, err))
		}
	}
}

// byCount returns the keys of m, the most frequent first.
func byCount[K ~string](m map[K]int) []K {
	return slices.SortedFunc(maps.Keys(m), func(a, b K) int { return cmp.Or(m[b]-m[a], cmp.Compare(a, b)) })
}
