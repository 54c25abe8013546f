// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vasistas/vasistas/log/event"
)

// What the events say that the rows do not. The demo prints this list.
const (
	instrumentWarrant = "calecpa-search-warrant" // what every row that is no emergency is
	emergencyGround   = "calecpa-emergency"      // Penal Code section 1546.1(c)(6)
	noGroup           = "nobody"                 // the rows know no escrow: the charter's group has no gate
	noAccount         = "not stated in the data" // the rows name no accounts

	// The limits of the profile demo, which are those of Penal Code sections 1534
	// and 1546.2 with a second for each day: notice may be delayed by 90.
	demoDay     = time.Second
	sealDelayed = 90 * demoDay
	sealDefault = 10 * demoDay
	warrantLife = 10 * demoDay // section 1534(a); of a decision on an emergency
)

// refusal is why a row can't be an event. It is counted and shown, and the row
// is not mended.
type refusal string

func (r refusal) Error() string { return string(r) }

const (
	refusedPeriod   refusal = "the period ends before it begins"
	refusedSigned   refusal = "signed after it was filed"
	refusedNoWindow refusal = "neither a date of signing nor a period"
	refusedProvider refusal = "an emergency whose row names no provider, which would have logged the access"
	refusedAgency   refusal = "the agency's name is longer than a code, or none"
	refusedGrounds  refusal = "a ground that is none of the form's"

	maxCodesPerOpening = 16
)

// terms are what an event takes from its row.
type terms struct {
	court, agency, provider, offence string // codes
	grounds                          []string
	window                           time.Duration // a warrant's, a second for each day
	seal                             time.Duration
}

// decide maps a row to the terms of its event, or refuses it.
func decide(r *row) (terms, error) {
	c := terms{
		court: code(r.County), agency: code(r.Agency), provider: code(r.Business), offence: offenceCode(r.Natures), seal: sealDefault,
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
	case r.Emergency:
		return c, nil
	}
	var err error
	c.window, err = window(r)
	return c, err
}

// window is what the length of a warrant's window is taken from: since 2017 the
// days that data was asked for; in 2016, which has none, the time from signing to
// filing. Each day is a second. The window itself begins when the event is signed.
func window(r *row) (time.Duration, error) {
	from, to, impossible := r.InfoStart, r.InfoEnd, refusedPeriod
	if from.IsZero() {
		from, to, impossible = r.Signed, r.Submitted, refusedSigned
	}
	switch {
	case from.IsZero():
		return 0, refusedNoWindow
	case to.Before(from):
		return 0, impossible
	}
	return time.Duration(to.Sub(from).Hours()/24) * demoDay, nil
}

// signedEvent is an event as it is submitted, with the secrets of its seals.
type signedEvent struct {
	env      *event.Envelope
	openings *event.Openings
}

// submission is what the log is sent: the event, and the openings that it is to
// disclose. Those of the subject stay here.
func (e *signedEvent) submission() ([]byte, error) {
	return (&event.Submission{Envelope: e.env, Openings: e.openings.Public}).Bytes()
}

// signEvent makes the event of a row on its terms: a warrant, signed by its
// court, or an emergency access, signed by the provider and the court's duty
// key. Every call makes another event: ids and salts are random, and two equal
// rows are two events.
func signEvent(k *signers, r *row, c *terms) (*signedEvent, error) {
	agency, err := k.agency(c.agency)
	if err != nil {
		return nil, err
	}
	if r.Emergency {
		d, err := rowAccess(agency, r, c, nil, event.Digest{})
		if err != nil {
			return nil, err
		}
		d.public = append(d.public, agencyOpenings(agency, c)...)
		return d.sign(d.Time.Add(c.seal), k.provider, k.keys[duties][c.court])
	}
	d, err := newWarrant(agency, r, c)
	if err != nil {
		return nil, err
	}
	return d.sign(d.Time.Add(c.seal), k.keys[courts][c.court])
}

// draft is an event with what it is to seal.
type draft struct {
	*event.Event
	public, subject []event.Opening
}

func (d *draft) sign(until time.Time, by ...event.Signer) (*signedEvent, error) {
	if err := d.Seal(until, d.public, d.subject); err != nil {
		return nil, err
	}
	env, err := event.Sign(d.Event, by...)
	if err != nil {
		return nil, err
	}
	return &signedEvent{env, &event.Openings{Event: env.Hash(), Public: d.public, Subject: d.subject}}, nil
}

func agencyOpenings(agency event.Signer, c *terms) []event.Opening {
	return []event.Opening{
		event.NewOpening("agency", event.Text(c.agency)),
		event.NewOpening("agencyKey", event.Bytes(agency.Public().SPKI())),
	}
}

func newWarrant(agency event.Signer, r *row, c *terms) (*draft, error) {
	now := time.Now().UTC().Truncate(time.Second)
	ev, err := event.New(origin, &event.Warrant{
		Decision: event.Granted, Provider: providerName, Instrument: instrumentWarrant, Offence: c.offence,
		Accounts: 1, Accesses: 1, NotBefore: now, NotAfter: now.Add(c.window),
	})
	if err != nil {
		return nil, err
	}
	ev.Time = now
	return &draft{
		Event:  ev,
		public: append(agencyOpenings(agency, c), event.NewOpening("grounds", event.Codes(c.grounds...))),
		// The decoy hides whether identifiers are sealed too. There are none.
		subject: []event.Opening{event.NewOpening("case", event.Text(caseOf(r))), event.Decoy()},
	}, nil
}

// caseOf is the warrant's number or, as most rows have none, the row's own.
func caseOf(r *row) string {
	return cmp.Or(r.Number, "row "+r.ID+", which states no warrant number")
}

// accessTerms are what an access says apart from its warrant.
type accessTerms struct {
	group, unit, account string
	recipient            event.HPKEKey
	packages             []event.Digest
}

// newAccess makes an access on a warrant, whose event hash comes with it, or for
// no warrant that of an emergency.
func newAccess(agency event.Signer, warrant *event.Reference, hash event.Digest, t accessTerms) (*draft, error) {
	body := &event.Access{Warrant: warrant, Group: t.group, Accounts: 1, Recipient: t.recipient}
	if warrant == nil {
		body.Emergency = emergencyGround
	}
	ev, err := event.New(origin, body)
	if err != nil {
		return nil, err
	}
	message, err := event.AgencyMessage(hash, ev.ID, body.Recipient)
	if err != nil {
		return nil, err
	}
	signature, err := agency.Sign(message)
	if err != nil {
		return nil, err
	}
	d := &draft{
		Event:  ev,
		public: []event.Opening{event.NewOpening("unit", event.Text(t.unit))},
		subject: []event.Opening{
			event.NewOpening("account", event.Text(t.account)),
			event.NewOpening("agencySignature", event.Bytes(signature)),
		},
	}
	for _, p := range t.packages {
		d.subject = append(d.subject, event.NewOpening("package", event.Text(p.String())))
	}
	return d, nil
}

// rowAccess makes the access of a row.
func rowAccess(agency event.Signer, r *row, c *terms, warrant *event.Reference, hash event.Digest) (*draft, error) {
	// Nothing is released to the recipient, so its private half is not kept.
	recipient, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	unit := c.provider
	if !isCode(unit) {
		unit = codeNotStated
	}
	return newAccess(agency, warrant, hash, accessTerms{
		group: noGroup, unit: unit, account: noAccount,
		recipient: event.HPKEKey{KEM: event.KEMX25519, Public: recipient.PublicKey().Bytes()},
		// The digest of the row stands where that of an escrow package would.
		packages: []event.Digest{event.Digest(r.Digest)},
	})
}

// digestOf is SHA-256 of a row's cells, each ended by a line feed.
func digestOf(record []string) [32]byte {
	return sha256.Sum256([]byte(strings.Join(record, "\n") + "\n"))
}

// batch is what became of the rows.
type batch struct {
	accepted  []accepted
	events    []*signedEvent // of the accepted rows, as far as they are signed
	histories []int          // of accepted, those that are told at length; see pick
	warrants  int
	accesses  int
	refused   map[refusal]int
	gaps      map[string]int // warrants by what their row does not say
}

type accepted struct {
	*row
	terms
}

// decideRows sorts out which rows can be events.
func decideRows(rows []row) (*batch, error) {
	b := &batch{refused: make(map[refusal]int), gaps: make(map[string]int)}
	for i := range rows {
		c, err := decide(&rows[i])
		if no, ok := errors.AsType[refusal](err); ok {
			b.refused[no]++
			continue
		} else if err != nil {
			return nil, fmt.Errorf("row %s: %w", rows[i].ID, err)
		}
		b.count(&rows[i], &c)
		b.accepted = append(b.accepted, accepted{&rows[i], c})
	}
	return b, nil
}

// pick takes the last rows with delayed notice, of those that no earlier run has
// signed, for the histories that are told at length. So that those don't take 90
// seconds each, they are sealed for less; the profile allows it. The window must
// leave time for an access.
func (b *batch) pick(n, kept int) {
	for i := len(b.accepted) - 1; i >= kept && len(b.histories) < n; i-- {
		if a := &b.accepted[i]; a.Delayed && !a.Emergency && a.window >= warrantLife {
			a.seal = historySeal
			b.histories = append(b.histories, i)
		}
	}
	slices.Reverse(b.histories)
}

// chunks cuts the accepted rows into those that are signed and logged together:
// what has a deadline is dealt with after each. The last one begins with the first
// history.
func (b *batch) chunks() [][2]int {
	var out [][2]int
	end := len(b.accepted)
	if len(b.histories) > 0 {
		end = b.histories[0]
	}
	for i := 0; i < end; i += maxChunk {
		out = append(out, [2]int{i, min(i+maxChunk, end)})
	}
	for i := end; i < len(b.accepted); i += maxChunk {
		out = append(out, [2]int{i, min(i+maxChunk, len(b.accepted))})
	}
	return out
}

const maxChunk = 1024

// sign makes the events of accepted rows, in order, that are not signed already.
func (b *batch) sign(k *signers, from, to int) error {
	first := max(from, len(b.events))
	if first >= to {
		return nil
	}
	signed := make([]*signedEvent, to-first)
	var work errgroup.Group
	work.SetLimit(runtime.GOMAXPROCS(0))
	for i := range signed {
		work.Go(func() (err error) {
			a := &b.accepted[first+i]
			if signed[i], err = signEvent(k, a.row, &a.terms); err != nil {
				return fmt.Errorf("row %s: %w", a.ID, err)
			}
			return nil
		})
	}
	if err := work.Wait(); err != nil {
		return err
	}
	b.events = append(b.events, signed...)
	return nil
}

func (b *batch) count(r *row, c *terms) {
	if r.Emergency {
		b.accesses++
		return
	}
	b.warrants++
	for gap, is := range map[string]bool{
		"name no provider: a device or a home was searched": r.Business == "" && !slices.Contains(r.ServedOn, "Business"),
		"state no offence":               c.offence == codeNotStated,
		"state an offence in free words": c.offence == codeOther,
		"state several offences":         c.offence == codeSeveral,
		"state no warrant number":        r.Number == "",
	} {
		if is {
			b.gaps[gap]++
		}
	}
}

// byCount returns the keys of m, the most frequent first.
func byCount[K ~string](m map[K]int) []K {
	return slices.SortedFunc(maps.Keys(m), func(a, b K) int { return cmp.Or(m[b]-m[a], cmp.Compare(a, b)) })
}
