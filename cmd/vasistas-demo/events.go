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
	noGroup           = "none"                   // the rows know no escrow, so no custodians
	noAccount         = "not stated in the data" // the rows name no accounts

	// Penal Code section 1546.2: notice may be delayed by 90 days; what is not
	// delayed is notified at once or, of an emergency, within 3 court days.
	sealDelayed = 90 * 24 * time.Hour
	sealDefault = 3 * 24 * time.Hour
)

// refusal is why a row can't be an event. It is counted and shown, and the row
// is not mended.
type refusal string

func (r refusal) Error() string { return string(r) }

const (
	refusedPeriod      refusal = "the period ends before it begins"
	refusedSigned      refusal = "signed after it was filed"
	refusedNoWindow    refusal = "neither a date of signing nor a period"
	refusedTime        refusal = "a date before 1970, which an event can't state"
	refusedNoProvider  refusal = "an emergency that names no provider: nobody could have logged the access"
	refusedNotOneName  refusal = "an emergency with more than one provider's name: an access is by one"
	refusedAgency      refusal = "the agency is no name"
	refusedLongAgency  refusal = "the agency's name is longer than a code"
	refusedProvider    refusal = "the provider is no name, or longer than a code"
	refusedGrounds     refusal = "a ground that is none of the form's"
	maxCode                    = 64
	maxCodesPerOpening         = 16
)

// terms are what an event takes from its row.
type terms struct {
	court, agency, provider, offence string // codes
	grounds                          []string
	from, to                         time.Time // a warrant's window
}

// decide maps a row to the terms of its event, or refuses it.
func decide(r *row) (terms, error) {
	c := terms{
		court: countyCode(r.County), agency: agencyCode(r.Agency),
		provider: providerCode(r.Business, r.ServedOn), offence: offenceCode(r.Natures),
	}
	var ok bool
	if c.grounds, ok = groundCodes(r.Grounds); !ok || len(c.grounds) > maxCodesPerOpening {
		return c, refusedGrounds
	}
	switch {
	case c.agency == "":
		return c, refusedAgency
	case len(c.agency) > maxCode:
		return c, refusedLongAgency
	case c.provider == "" || len(c.provider) > maxCode:
		return c, refusedProvider
	case r.Emergency && c.provider == codeNotOneName:
		return c, refusedNotOneName
	case r.Emergency && !named(c.provider):
		return c, refusedNoProvider
	case r.Emergency:
		return c, nil
	}
	var err error
	c.from, c.to, err = window(r)
	return c, err
}

// window is what a warrant's window is taken from: since 2017 the days that
// data was asked for; in 2016, which has none, the day of signing up to the
// time of filing.
func window(r *row) (from, to time.Time, err error) {
	switch {
	case !r.InfoStart.IsZero():
		from, to = r.InfoStart, r.InfoEnd.Add(24*time.Hour-time.Second)
		if to.Before(from) {
			return from, to, refusedPeriod
		}
	case !r.Signed.IsZero():
		from, to = r.Signed, r.Submitted
		if to.Before(from) {
			return from, to, refusedSigned
		}
	default:
		return from, to, refusedNoWindow
	}
	if from.Unix() < 0 {
		return from, to, refusedTime
	}
	return from, to, nil
}

// signedEvent is a row's event, and the secrets of its seals.
type signedEvent struct {
	Envelope []byte
	Openings []byte
}

// submission is the event as it is submitted: with what it seals for everyone,
// which the log keeps until then.
func (e *signedEvent) submission() ([]byte, error) {
	env, err := event.ParseEnvelope(e.Envelope)
	if err != nil {
		return nil, err
	}
	o, err := event.ParseOpenings(e.Openings)
	if err != nil {
		return nil, err
	}
	return (&event.Submission{Envelope: env, Openings: o.Public}).Bytes()
}

// signEvent makes the event of a row on its terms: a warrant, signed by its
// court, or an emergency access, signed by the provider and the court's duty
// key. Every call makes another event: ids and salts are random, and two equal
// rows are two events.
func signEvent(origin string, k *signers, r *row, c *terms) (*signedEvent, error) {
	agency, err := k.agency(c.agency)
	if err != nil {
		return nil, err
	}
	var ev *event.Event
	var public, subject []event.Opening
	var by []event.Signer
	if r.Emergency {
		ev, public, subject, err = newAccess(origin, agency, r)
		by = []event.Signer{k.providers[c.provider], k.duties[c.court]}
	} else {
		in := *c
		in.provider = k.listed(c.provider)
		ev, public, subject, err = newWarrant(origin, r, &in)
		by = []event.Signer{k.courts[c.court]}
	}
	if err != nil {
		return nil, err
	}
	public = append(public,
		event.NewOpening("agency", event.Text(c.agency)),
		event.NewOpening("agencyKey", event.Bytes(agency.Public().SPKI())))
	until := ev.Time.Add(sealDefault)
	if r.Delayed {
		until = ev.Time.Add(sealDelayed)
	}
	if err := ev.Seal(until, public, subject); err != nil {
		return nil, err
	}
	env, err := event.Sign(ev, by...)
	if err != nil {
		return nil, err
	}
	openings := event.Openings{Event: env.Hash(), Public: public, Subject: subject}
	secret, err := openings.Bytes()
	if err != nil {
		return nil, err
	}
	return &signedEvent{env.Bytes(), secret}, nil
}

func newWarrant(origin string, r *row, c *terms) (ev *event.Event, public, subject []event.Opening, err error) {
	ev, err = event.New(origin, &event.Warrant{
		Decision: event.Granted, Provider: c.provider, Instrument: instrumentWarrant, Offence: c.offence,
		Accounts: 1, Accesses: 1, NotBefore: c.from, NotAfter: c.to,
	})
	public = []event.Opening{event.NewOpening("grounds", event.Codes(c.grounds...))}
	// The decoy hides whether identifiers are sealed too. There are none.
	subject = []event.Opening{event.NewOpening("case", event.Text(caseOf(r))), event.Decoy()}
	return ev, public, subject, err
}

// caseOf is the warrant's number or, as most rows have none, the row's own.
func caseOf(r *row) string {
	return cmp.Or(r.Number, "row "+r.ID+", which states no warrant number")
}

func newAccess(origin string, agency event.Signer, r *row) (ev *event.Event, public, subject []event.Opening, err error) {
	// Nothing is released to the recipient, so its private half is not kept.
	recipient, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, nil, err
	}
	body := &event.Access{
		Emergency: emergencyGround, Group: noGroup, Accounts: 1,
		Recipient: event.HPKEKey{KEM: event.KEMX25519, Public: recipient.PublicKey().Bytes()},
	}
	if ev, err = event.New(origin, body); err != nil {
		return nil, nil, nil, err
	}
	message, err := event.AgencyMessage(event.Digest{}, ev.ID, body.Recipient)
	if err != nil {
		return nil, nil, nil, err
	}
	signature, err := agency.Sign(message)
	if err != nil {
		return nil, nil, nil, err
	}
	public = []event.Opening{event.NewOpening("unit", event.Text(codeNotStated))}
	// The digest of the row stands where that of an escrow package would.
	subject = []event.Opening{
		event.NewOpening("account", event.Text(noAccount)),
		event.NewOpening("agencySignature", event.Bytes(signature)),
		event.NewOpening("package", event.Text(event.Digest(r.Digest).String())),
	}
	return ev, public, subject, nil
}

// digestOf is SHA-256 of a row's cells, each ended by a line feed.
func digestOf(record []string) [32]byte {
	return sha256.Sum256([]byte(strings.Join(record, "\n") + "\n"))
}

// batch is what became of the rows.
type batch struct {
	accepted []accepted
	events   []*signedEvent // of the accepted rows, once they are signed
	warrants int
	accesses int
	refused  map[refusal]int
	gaps     map[string]int // warrants by what their row does not say
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
		var no refusal
		if errors.As(err, &no) {
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

// sign makes the events, in order. The first of them are those that were kept,
// since they were signed before: the same rows are accepted each time.
func (b *batch) sign(origin string, k *signers, kept []*signedEvent) error {
	b.events = make([]*signedEvent, len(b.accepted))
	first := copy(b.events, kept)
	var work errgroup.Group
	work.SetLimit(runtime.GOMAXPROCS(0))
	for i := first; i < len(b.accepted); i++ {
		work.Go(func() (err error) {
			a := &b.accepted[i]
			if b.events[i], err = signEvent(origin, k, a.row, &a.terms); err != nil {
				return fmt.Errorf("row %s: %w", a.ID, err)
			}
			return nil
		})
	}
	return work.Wait()
}

func (b *batch) count(r *row, c *terms) {
	if r.Emergency {
		b.accesses++
		return
	}
	b.warrants++
	for gap, is := range map[string]bool{
		"name no provider: a device or a home was searched":         c.provider == codeNone,
		"name several providers, or have other words in that place": c.provider == codeNotOneName,
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
