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
	"github.com/vasistas/vasistas/log/tlog"
)

// The subject of the case, and another person. The rows name no accounts.
const (
	subjectAccount = "subject@messenger.example"
	otherAccount   = "other-person@messenger.example"
	letter         = "A letter that was escrowed, and that a court has ordered to be opened.\n"

	// caseSeal is short, so that the disclosure comes while the reader watches;
	// caseWindow outlasts the chapter.
	caseSeal   = 20 * demoDay
	caseWindow = 60 * demoDay
	gateTries  = 60 * time.Second
)

// escrowed is a file, escrowed by age, of a user with a seed of notice keys.
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
	charter *event.Envelope
	gates   []*gateServer
	until   time.Time
	warrant *logged
}

// access is an access of the case.
type access struct {
	*logged
	recipient *escrow.SecretKey
	file      *escrowed
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
	a, err := s.logAccess(ctx, o, file)
	if err != nil {
		return err
	}
	if err := s.readLetter(ctx, o, a); err != nil {
		return err
	}
	if err := s.attackGates(ctx, o, a); err != nil {
		return err
	}
	return s.findNotices(ctx, o, a, file.seed)
}

// startCase starts the gates.
func (s *story) startCase(ctx context.Context, o *opening) error {
	if err := s.replay.catchUp(ctx); err != nil {
		return err
	}
	var err error
	if o.charter, err = event.ParseEnvelope(s.replay.entries[0]); err != nil {
		return err
	}
	if o.gates, err = s.startGates(ctx, o.charter); err != nil {
		return err
	}
	if o.agency, err = s.signers.agency(o.accepted.agency); err != nil {
		return err
	}
	for _, g := range o.gates {
		s.say("  %s  the gate of %s", g.url, g.name)
	}
	s.wrap("  ", fmt.Sprintf("Each has an event key and a post-quantum key of its own, follows the log from its first charter, and "+
		"runs the rules over every entry. Any %d of the %d together open a file.", gateThreshold, numGates))
	return nil
}

// escrow escrows a file with age.
func (s *story) escrow(o *opening, account string) (*escrowed, error) {
	group, err := escrow.NewGroup(origin, o.charter.Event.Body.(*event.Charter), gateGroup)
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
	d, err := newWarrant(o.agency, o.accepted.row, &c)
	if err != nil {
		return err
	}
	d.Body.(*event.Warrant).Accesses, d.Body.(*event.Warrant).Accounts = 8, 8
	d.subject = append(d.subject, event.NewOpening("identifier", event.Text(subjectAccount)))
	o.until = d.Time.Add(caseSeal)
	if o.warrant, err = s.logDraft(ctx, d, o.until, s.signers.keys[courts][o.court]); err != nil {
		return err
	}
	s.wrap("  ", fmt.Sprintf("The warrant is that of row %s again: the court %s, the agency %s and the offence class are the row's. "+
		"The account and the letter are the demonstration's own. It is entry %d.", o.ID, o.court, o.accepted.agency, o.warrant.Index))
	return nil
}

// draftAccess makes an access on the warrant, for a file.
func (s *story) draftAccess(o *opening, f *escrowed) (*draft, *escrow.SecretKey, error) {
	recipient, err := escrow.GenerateKey(event.KEMMLKEMX25519)
	if err != nil {
		return nil, nil, err
	}
	d, err := newAccess(o.agency, &o.warrant.Reference, o.warrant.env.Hash(), accessTerms{
		group: gateGroup, unit: "lawful-access", account: f.account, recipient: recipient.Public(),
		packages: []event.Digest{f.pkg.Digest()},
	})
	if err != nil {
		return nil, nil, err
	}
	d.subject = append(d.subject, event.Decoy())
	return d, recipient, nil
}

// logAccess logs an access.
func (s *story) logAccess(ctx context.Context, o *opening, f *escrowed) (*access, error) {
	d, recipient, err := s.draftAccess(o, f)
	if err != nil {
		return nil, err
	}
	entry, err := s.logDraft(ctx, d, o.until, s.signers.provider)
	return &access{entry, recipient, f}, err
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
	return &escrow.Request{Warrant: warrant.Bytes(), WarrantOpenings: o.warrant.openings, Access: proof.Bytes(), AccessOpenings: a.openings,
		Packages: []*escrow.Package{a.file.pkg}}, nil
}

// readLetter opens the letter as the agency does, with age and the gates.
func (s *story) readLetter(ctx context.Context, o *opening, a *access) error {
	r, err := s.requestFor(ctx, o, a)
	if err != nil {
		return err
	}
	c := &agency.Case{Charter: o.charter.Bytes(), Warrant: r.Warrant, Access: r.Access, Packages: []string{string(a.file.pkg.Text())}, Gates: make(map[string]string)}
	for _, g := range o.gates {
		c.Gates[g.name] = g.url
	}
	if c.Key, err = a.recipient.Bytes(); err != nil {
		return err
	}
	if c.WarrantOpenings, err = o.warrant.openings.Bytes(); err != nil {
		return err
	}
	if c.AccessOpenings, err = a.openings.Bytes(); err != nil {
		return err
	}
	if err := c.Check(); err != nil {
		return err
	}
	begun := time.Now()
	var id *agency.Identity
	var plain io.Reader
	tries, cancel := context.WithTimeout(ctx, gateTries)
	defer cancel()
	err = poll(tries, "the gates to open", func() (bool, error) {
		id = c.Identity(ctx, agency.Options{Timeout: gateTries})
		plain, err = age.Decrypt(bytes.NewReader(a.file.file), id)
		// On a slow machine the log's anchors are late at times, and it cures that.
		if err != nil && barred(id.Results) {
			return false, nil
		}
		return true, err
	})
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

// attackGates tries to get shares that no one may have.
func (s *story) attackGates(ctx context.Context, o *opening, a *access) error {
	s.title("Two attacks on the gates")
	// An access that is not in the log, in the proof of one that is.
	d, _, err := s.draftAccess(o, a.file)
	if err != nil {
		return err
	}
	hidden, err := d.sign(o.until, s.signers.provider)
	if err != nil {
		return err
	}
	r, err := s.requestFor(ctx, o, a)
	if err != nil {
		return err
	}
	p, err := tlog.ParseProof(r.Access)
	if err != nil {
		return err
	}
	p.Extra = hidden.env.Bytes()
	r.Access, r.AccessOpenings = p.Bytes(), hidden.openings
	why, err := askGate(ctx, o.gates[0], r, gate.CodeProof)
	if err != nil {
		return err
	}
	s.tellAttack(1, "A hidden access: signed, not logged, and shown with the proof of another entry.", why)
	file, err := s.escrow(o, otherAccount)
	if err != nil {
		return err
	}
	other, err := s.logAccess(ctx, o, file)
	if err != nil {
		return err
	}
	if r, err = s.requestFor(ctx, o, other); err != nil {
		return err
	}
	if why, err = askGate(ctx, o.gates[0], r, gate.CodeAccount); err != nil {
		return err
	}
	s.tellAttack(2, "An access to an account that the warrant does not name. The log can't see that, for accounts are sealed; a gate can.", why)
	return nil
}
