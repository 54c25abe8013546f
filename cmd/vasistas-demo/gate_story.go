// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"filippo.io/age"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/escrow/agency"
	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
)

// The subject of the case, and somebody else. The rows name no accounts.
const (
	subjectAccount = "subject@messenger.example"
	otherAccount   = "somebody-else@messenger.example"
	letter         = "A letter that was escrowed, and that a court has ordered to be opened.\n"

	// caseSeal is short, so that the disclosure comes while somebody watches;
	// caseWindow outlasts the chapter.
	caseSeal   = 20 * demoDay
	caseWindow = 60 * demoDay
	gateTries  = 60 * time.Second
)

// escrowed is a file, escrowed by age, of somebody with a seed of notice keys.
type escrowed struct {
	file    []byte
	pkg     *escrow.Package
	seed    *escrow.Seed
	account string
}

// opening is the one case that goes all the way.
type opening struct {
	*accepted
	agency  event.Signer
	court   event.Signer
	charter []byte // the envelope
	gates   []*gateServer
	wire    *wire
	until   time.Time

	warrant         event.Reference
	warrantEnv      *event.Envelope
	warrantOpenings *event.Openings
}

// access is an access of the case.
type access struct {
	event.Reference
	env       *event.Envelope
	openings  *event.Openings
	recipient *escrow.SecretKey
	files     []*escrowed
}

// openCase takes one real warrant all the way: from an escrowed file to its plaintext
// with the agency, and to the notice with the subject.
func (s *story) openCase(ctx context.Context) error {
	o := new(opening)
	for i := range s.batch.accepted {
		if a := &s.batch.accepted[i]; !a.Emergency {
			o.accepted = a
			break
		}
	}
	if o.accepted == nil {
		return errors.New("no row is a warrant; use more -rows")
	}
	s.title("One warrant, and three gates")
	if err := s.startCase(ctx, o); err != nil {
		return err
	}
	file, err := s.escrow(o, subjectAccount)
	if err != nil {
		return err
	}
	if err := s.orderCase(ctx, o); err != nil {
		return err
	}
	a, err := s.logAccess(ctx, o, accessTerms{account: subjectAccount}, file)
	if err != nil {
		return err
	}
	old, err := s.requestFor(ctx, o, a)
	if err != nil {
		return err
	}
	if err := s.readLetter(ctx, o, a); err != nil {
		return err
	}
	if err := s.attackGates(ctx, o, a, old, file); err != nil {
		return err
	}
	return s.findNotices(ctx, o, a, file.seed)
}

// startCase starts the gates.
func (s *story) startCase(ctx context.Context, o *opening) error {
	if err := s.replay.catchUp(ctx); err != nil {
		return err
	}
	o.charter = s.replay.entries[0]
	var err error
	if o.gates, o.wire, err = s.startGates(ctx, o.charter); err != nil {
		return err
	}
	if o.agency, err = s.signers.agency(o.accepted.agency); err != nil {
		return err
	}
	o.court = s.signers.courts[o.accepted.court]
	for _, g := range o.gates {
		s.say("  %s  the gate of %s", g.url, g.name)
	}
	s.wrap("  ", fmt.Sprintf("Each has an event key and a post-quantum key of its own, follows the log from its first charter, and "+
		"runs the rules over every entry. Any %d of the %d together open a file.", gateThreshold, numGates))
	return nil
}

// escrow escrows a file with age.
func (s *story) escrow(o *opening, account string) (*escrowed, error) {
	env, err := event.ParseEnvelope(o.charter)
	if err != nil {
		return nil, err
	}
	group, err := escrow.NewGroup(origin, env.Event.Body.(*event.Charter), gateGroup)
	if err != nil {
		return nil, err
	}
	e := &escrowed{account: account, seed: escrow.NewSeed(time.Now())}
	notice, err := e.seed.Key(origin, e.seed.First, event.KEMMLKEMX25519)
	if err != nil {
		return nil, err
	}
	to, err := escrow.NewRecipient(group, event.KEMMLKEMX25519, notice.Public(), account)
	if err != nil {
		return nil, err
	}
	var file bytes.Buffer
	w, err := age.Encrypt(&file, to)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(w, letter); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	e.file = file.Bytes()
	list, err := escrow.ReadPackages(bytes.NewReader(e.file))
	if err != nil {
		return nil, err
	}
	e.pkg = list[0]
	if account == subjectAccount {
		if err := os.MkdirAll(s.path("case"), 0o700); err != nil {
			return nil, err
		}
		for name, b := range map[string][]byte{"letter.age": e.file, "subject.seed": e.seed.Bytes()} {
			if err := durable.WriteFile(s.path("case", name), b, 0o600); err != nil {
				return nil, err
			}
		}
		s.wrap("  ", fmt.Sprintf("A user's client encrypts a letter with age (%d bytes, %s), and states whom a notice is for.", len(e.file), s.path("case", "letter.age")))
	}
	return e, nil
}

// orderCase logs the warrant: the row's, with an account that no row names.
func (s *story) orderCase(ctx context.Context, o *opening) error {
	c := o.accepted.terms
	c.window = caseWindow
	d, err := newWarrant(origin, o.agency, o.accepted.row, &c)
	if err != nil {
		return err
	}
	d.Body.(*event.Warrant).Accesses, d.Body.(*event.Warrant).Accounts = 8, 8
	d.subject = append(d.subject, event.NewOpening("identifier", event.Text(subjectAccount)))
	o.until = d.Time.Add(caseSeal)
	index, env, openings, err := s.logSealed(ctx, d, o.until, o.court)
	if err != nil {
		return err
	}
	o.warrant, o.warrantEnv, o.warrantOpenings = reference(index, env.Bytes()), env, openings
	s.wrap("  ", fmt.Sprintf("The warrant is that of row %s again: the court %s, the agency %s and the offence class are the row's. "+
		"The account and the letter are the demonstration's own. It is entry %d.", o.accepted.ID, o.accepted.court, o.accepted.agency, index))
	return nil
}

// logSealed signs, seals and logs a draft.
func (s *story) logSealed(ctx context.Context, d *draft, until time.Time, by ...event.Signer) (uint64, *event.Envelope, *event.Openings, error) {
	signed, err := d.sign(until, by...)
	if err != nil {
		return 0, nil, nil, err
	}
	sub, err := signed.submission()
	if err != nil {
		return 0, nil, nil, err
	}
	index, err := s.submit(ctx, sub)
	if err != nil {
		return 0, nil, nil, err
	}
	env, err := event.ParseEnvelope(signed.Envelope)
	if err != nil {
		return 0, nil, nil, err
	}
	openings, err := event.ParseOpenings(signed.Openings)
	return index, env, openings, err
}

// accessTerms is what an access says.
type accessTerms struct {
	account string
	consent *escrow.SecretKey // for whose key the agency signs; nil: the recipient's
	offline bool              // it is signed and not logged
}

// logAccess makes an access on the warrant, for files, and logs it.
func (s *story) logAccess(ctx context.Context, o *opening, terms accessTerms, files ...*escrowed) (*access, error) {
	recipient, err := escrow.GenerateKey(event.KEMMLKEMX25519)
	if err != nil {
		return nil, err
	}
	if terms.consent == nil {
		terms.consent = recipient
	}
	ev, err := event.New(origin, &event.Access{Warrant: &o.warrant, Group: gateGroup, Recipient: recipient.Public(), Accounts: 1})
	if err != nil {
		return nil, err
	}
	msg, err := event.AgencyMessage(o.warrantEnv.Hash(), ev.ID, terms.consent.Public())
	if err != nil {
		return nil, err
	}
	sig, err := o.agency.Sign(msg)
	if err != nil {
		return nil, err
	}
	d := &draft{Event: ev, public: []event.Opening{event.NewOpening("unit", event.Text("lawful-access"))},
		subject: []event.Opening{event.NewOpening("agencySignature", event.Bytes(sig)), event.NewOpening("account", event.Text(terms.account)), event.Decoy()}}
	for _, f := range files {
		d.subject = append(d.subject, event.NewOpening("package", event.Text(f.pkg.Digest().String())))
	}
	a := &access{recipient: recipient, files: files}
	if terms.offline {
		signed, err := d.sign(o.until, s.signers.provider)
		if err != nil {
			return nil, err
		}
		if a.env, err = event.ParseEnvelope(signed.Envelope); err != nil {
			return nil, err
		}
		a.openings, err = event.ParseOpenings(signed.Openings)
		return a, err
	}
	index, env, openings, err := s.logSealed(ctx, d, o.until, s.signers.provider)
	if err != nil {
		return nil, err
	}
	a.Reference, a.env, a.openings = reference(index, env.Bytes()), env, openings
	return a, nil
}

// requestFor makes the request for an access, with proofs under the present head.
func (s *story) requestFor(ctx context.Context, o *opening, a *access) (*escrow.Request, error) {
	warrant, err := s.client.Prove(ctx, o.warrant.Index)
	if err != nil {
		return nil, err
	}
	proof, err := s.client.Prove(ctx, a.Index)
	if err != nil {
		return nil, err
	}
	r := &escrow.Request{Warrant: warrant.Bytes(), WarrantOpenings: o.warrantOpenings, Access: proof.Bytes(), AccessOpenings: a.openings}
	for _, f := range a.files {
		r.Packages = append(r.Packages, f.pkg)
	}
	return r, nil
}

// readLetter opens the letter as the agency does, with age and the gates.
func (s *story) readLetter(ctx context.Context, o *opening, a *access) error {
	r, err := s.requestFor(ctx, o, a)
	if err != nil {
		return err
	}
	c := &agency.Case{Charter: o.charter, Warrant: r.Warrant, Access: r.Access, Packages: []string{string(a.files[0].pkg.Text())}, Gates: make(map[string]string)}
	for _, g := range o.gates {
		c.Gates[g.name] = g.url
	}
	if c.Key, err = a.recipient.Bytes(); err != nil {
		return err
	}
	if c.WarrantOpenings, err = o.warrantOpenings.Bytes(); err != nil {
		return err
	}
	if c.AccessOpenings, err = a.openings.Bytes(); err != nil {
		return err
	}
	if err := c.Check(); err != nil {
		return err
	}
	begun := time.Now()
	id := c.Identity(ctx, agency.Options{Timeout: gateTries})
	plain, err := age.Decrypt(bytes.NewReader(a.files[0].file), id)
	for err != nil && barred(id.Results) && time.Since(begun) < gateTries {
		// On a slow machine the log's anchors are late at times, and it cures that.
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(demoDay):
		}
		id = c.Identity(ctx, agency.Options{Timeout: gateTries})
		plain, err = age.Decrypt(bytes.NewReader(a.files[0].file), id)
	}
	if err != nil {
		return err
	}
	b, err := io.ReadAll(plain)
	if err != nil {
		return err
	}
	if string(b) != letter {
		return errors.New("the gates' shares open another letter")
	}
	s.wrap("  ", fmt.Sprintf("The provider logs an access (entry %d) to a one-time key that the agency signed for. The agency asks all "+
		"gates; each logs its release, with a notice for the subject, and only then touches its key:", a.Index))
	for _, r := range id.Results {
		if r.Err == nil {
			s.say("  -> %s released its share by entry %d", r.Custodian, r.Release.Index)
		} else {
			s.say("  -> %s was not needed", r.Custodian)
		}
	}
	s.wrap("  ", fmt.Sprintf("After %d ms the agency reads: %q", time.Since(begun).Milliseconds(), bytes.TrimSpace(b)))
	return nil
}

// barred returns whether a gate opens nothing while something is overdue.
func barred(results []agency.Result) bool {
	for _, r := range results {
		if no := (*agency.Refusal)(nil); errors.As(r.Err, &no) && no.Code() == gate.CodeOverdue {
			return true
		}
	}
	return false
}
