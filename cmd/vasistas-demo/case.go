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
	"slices"
	"time"

	"filippo.io/age"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/escrow/agency"
	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/client/notice"
	"github.com/vasistas/vasistas/client/scan"
	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/world"
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
	charter *event.Envelope
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
func (s *story) openCase(ctx context.Context) {
	i := slices.IndexFunc(s.batch.accepted, func(a accepted) bool { return !a.Emergency })
	if i < 0 {
		try(errors.New("no row is a warrant; use more -rows"))
	}
	o := &opening{accepted: &s.batch.accepted[i]}
	s.title("One warrant, and three gates")
	s.replay.catchUp(ctx)
	o.charter = must(event.ParseEnvelope(s.replay.entries[0]))
	s.startGates(ctx, o.charter)
	for _, g := range s.Gates {
		s.say("  %s  the gate of %s", g.URL, g.Name)
	}
	s.wrap("  ", "Each has an event key and a post-quantum key of its own, follows the log from its first charter, and "+
		"runs the rules over every entry. Any %d of the %d together open a file.", gateThreshold, numGates)
	file := s.escrow(o, subjectAccount)
	try(os.MkdirAll(s.Path("case"), 0o700))
	try(durable.WriteFile(s.Path("case", "letter.age"), file.file, 0o600))
	try(durable.WriteFile(s.Path("case", "subject.seed"), file.seed.Bytes(), 0o600))
	s.wrap("  ", "A user's client encrypts a letter with age (%d bytes, %s), and states whom a notice is for.", len(file.file), s.Path("case", "letter.age"))
	s.orderCase(ctx, o)
	a := s.logAccess(ctx, o, file)
	s.readLetter(ctx, o, a)
	s.attackGates(ctx, o, a)
	s.findNotices(ctx, o, a)
}

// escrow escrows a file with age.
func (s *story) escrow(o *opening, account string) *escrowed {
	group := must(escrow.NewGroup(origin, o.charter.Event.Body.(*event.Charter), gateGroup))
	seed := escrow.NewSeed(time.Now())
	notice := must(seed.Key(origin, seed.First, event.KEMMLKEMX25519)).Public()
	var file bytes.Buffer
	w := must(age.Encrypt(&file, must(escrow.NewRecipient(group, event.KEMMLKEMX25519, notice, account))))
	must(io.WriteString(w, letter))
	try(w.Close())
	packages := must(escrow.ReadPackages(bytes.NewReader(file.Bytes())))
	return &escrowed{file.Bytes(), packages[0], seed, account}
}

// orderCase logs the warrant: the row's, with an account that no row names.
func (s *story) orderCase(ctx context.Context, o *opening) {
	c := *o.accepted
	c.window = caseWindow
	d := newWarrant(s.People, &c)
	d.Body.(*event.Warrant).Accesses, d.Body.(*event.Warrant).Accounts = 8, 8
	d.subject = append(d.subject, event.NewOpening("identifier", event.Text(subjectAccount)))
	o.until = d.Time.Add(caseSeal)
	o.warrant = must(s.submit(ctx, d.sign(o.until, s.Signer(o.court))))
	s.wrap("  ", "The warrant is that of row %s again: the court %s, the agency %s and the offence class are the row's. "+
		"The account and the letter are the demonstration's own. It is entry %d.", o.ID, o.court, o.agency, o.warrant.Index)
}

// signAccess makes an access on the warrant, for a file.
func (s *story) signAccess(o *opening, f *escrowed) (*signedEvent, *escrow.SecretKey) {
	recipient := must(escrow.GenerateKey(event.KEMMLKEMX25519))
	d := newAccess(s.Signer(agencyKey(o.agency)), o.warrant, accessTerms{gateGroup, "lawful-access", f.account, recipient.Public(), f.pkg.Digest()})
	d.subject = append(d.subject, event.Decoy())
	return d.sign(o.until, s.Signer(providerName)), recipient
}

// logAccess logs an access.
func (s *story) logAccess(ctx context.Context, o *opening, f *escrowed) *access {
	signed, recipient := s.signAccess(o, f)
	return &access{must(s.submit(ctx, signed)), recipient, f}
}

// requestFor makes the request for an access, with proofs under the present head.
func (s *story) requestFor(ctx context.Context, o *opening, a *access) *escrow.Request {
	return &escrow.Request{
		Warrant: must(s.client.Prove(ctx, o.warrant.Index)).Bytes(), WarrantOpenings: o.warrant.openings,
		Access: must(s.client.Prove(ctx, a.Index)).Bytes(), AccessOpenings: a.openings,
		Packages: []*escrow.Package{a.file.pkg},
	}
}

// readLetter opens the letter as the agency does, with age and the gates.
func (s *story) readLetter(ctx context.Context, o *opening, a *access) {
	r := s.requestFor(ctx, o, a)
	c := &agency.Case{
		Charter: o.charter.Bytes(), Key: must(a.recipient.Bytes()), Packages: []string{string(a.file.pkg.Text())},
		Warrant: r.Warrant, WarrantOpenings: must(r.WarrantOpenings.Bytes()),
		Access: r.Access, AccessOpenings: must(r.AccessOpenings.Bytes()), Gates: make(map[string]string),
	}
	for _, g := range s.Gates {
		c.Gates[g.Name] = g.URL
	}
	try(c.Check())
	begun := time.Now()
	var id *agency.Identity
	var plain io.Reader
	try(poll(ctx, gateTries, "the gates to open", func() bool {
		id = c.Identity(ctx, agency.Options{Timeout: gateTries})
		var err error
		plain, err = age.Decrypt(bytes.NewReader(a.file.file), id)
		// On a slow machine the log's anchors are late at times, and it cures that.
		if err != nil && slices.ContainsFunc(id.Results, barred) {
			return false
		}
		try(err)
		return true
	}))
	b := must(io.ReadAll(plain))
	if string(b) != letter {
		try(errors.New("the gates' shares open another letter"))
	}
	s.wrap("  ", "The provider logs an access (entry %d) to a one-time key that the agency signed for. The agency asks all "+
		"gates; each logs its release, with a notice for the subject, and only then touches its key:", a.Index)
	for _, r := range id.Results {
		if r.Err == nil {
			s.say("  -> %s released its share by entry %d", r.Custodian, r.Release.Index)
		} else {
			s.say("  -> %s was not needed", r.Custodian)
		}
	}
	s.wrap("  ", "After %d ms the agency reads: %q", time.Since(begun).Milliseconds(), bytes.TrimSpace(b))
}

// barred returns whether a gate opens nothing while something is overdue.
func barred(r agency.Result) bool {
	no, ok := errors.AsType[*agency.Refusal](r.Err)
	return ok && no.Code() == gate.CodeOverdue
}

// attackGates tries to get shares that no one may have.
func (s *story) attackGates(ctx context.Context, o *opening, a *access) {
	s.title("Two attacks on the gates")
	// An access that is not in the log, in the proof of one that is.
	hidden, _ := s.signAccess(o, a.file)
	r := s.requestFor(ctx, o, a)
	p := must(tlog.ParseProof(r.Access))
	p.Extra = hidden.env.Bytes()
	r.Access, r.AccessOpenings = p.Bytes(), hidden.openings
	s.tellAttack(1, "A hidden access: signed, not logged, and shown with the proof of another entry.",
		askGate(ctx, s.Gates[0], r, gate.CodeProof))
	other := s.logAccess(ctx, o, s.escrow(o, otherAccount))
	s.tellAttack(2, "An access to an account that the warrant does not name. The log can't see that, for accounts are sealed; a gate can.",
		askGate(ctx, s.Gates[0], s.requestFor(ctx, o, other), gate.CodeAccount))
}

// askGate seals a request to a gate, and returns why that refuses, which must be by
// this code. It asks again while something overdue bars: on a slow machine the log's
// anchors are late at times, and it cures that.
func askGate(ctx context.Context, g *world.Gate, r *escrow.Request, want gate.Code) string {
	sealed := must(r.Seal(origin, g.Key.Public()))
	var no *gate.Refusal
	try(poll(ctx, gateTries, "a gate that nothing overdue bars", func() bool {
		_, err := g.Running.Release(ctx, sealed)
		if err == nil {
			try(fmt.Errorf("%w: the gate of %s opened its share", errSucceeded, g.Name))
		}
		if !errors.As(err, &no) || no.Code != want && no.Code != gate.CodeOverdue {
			try(fmt.Errorf("the gate of %s refuses, but not as %s: %w", g.Name, want, err))
		}
		return no.Code == want
	}))
	return fmt.Sprintf("%s: %v", no.Code, no.Err)
}

// findNotices waits for the disclosure, and scans the log as the subject does.
func (s *story) findNotices(ctx context.Context, o *opening, a *access) {
	body := &event.Return{Warrant: o.warrant.Reference, Executed: true, Encryption: true, Plaintext: true, Persons: 1, Days: 1}
	must(s.submit(ctx, signNow(body, s.Signer(providerName))))
	s.wrap("  ", "At %s the seals of the case end, and the log discloses it by itself. The subject's client tries its keys on "+
		"every notice in the log. No one learns that it asked:", clock(o.until))
	cl := must(client.New(client.Config{URL: s.LogServer.URL, Policy: s.policy, UserAgent: "vasistas-demo", Keep: s.Path("case", "subject.tiles")}))
	var state []byte
	var found *scan.Case
	err := s.replay.await(ctx, func() bool {
		if _, ok := s.replay.opened[a.Index]; !ok {
			return false
		}
		r := must(scan.Run(ctx, scan.Config{Seed: a.file.seed, Now: time.Now(), Config: audit.Config{
			Client: cl, Policy: s.policy, Origin: origin,
			Snapshot: state, Save: func(b []byte) error { state = b; return nil },
		}}))
		for _, c := range r.Cases {
			if c.Notices[0].Access.Index == a.Index {
				found = c
			}
		}
		return found != nil && len(found.Notices) >= gateThreshold
	})
	if err != nil {
		try(fmt.Errorf("the subject's notices: %w", err))
	}
	s.tellNotices(found)
}

// tellNotices tells what the notices of a case say, and keeps each as a file that
// shows it offline.
func (s *story) tellNotices(c *scan.Case) {
	first := c.Notices[0]
	s.wrap("  ", "\"On warrant %d, case %q, the agency %s was given the key to a file of your account %s, by access %d.\"",
		first.Warrant.Index, first.Case, first.Agency, first.Accounts[0], first.Access.Index)
	for i, n := range c.Notices {
		b := must(n.File.Bytes())
		name := s.Path("case", fmt.Sprintf("%d.notice", i+1))
		try(durable.WriteFile(name, b, 0o600))
		if _, err := must(notice.Parse(b)).Verify(s.policy, verify.Options{Origin: origin, Now: time.Now()}); err != nil {
			try(fmt.Errorf("a notice that was found does not verify: %w", err))
		}
		s.say("  -> the notice of %s, in entry %d: %s", n.Release.By, n.Disclosure, name)
	}
	s.wrap("  ", "Each file holds its proofs, and was verified offline.")
}
