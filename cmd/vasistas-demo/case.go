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
	"strings"
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

	// caseSeal is short, so that the disclosure comes while the reader watches; a slow
	// machine gets more, see slack.
	caseSeal = 8 * demoDay
)

// opening is the one case that goes all the way.
type opening struct {
	*accepted
	charter *event.Envelope
	until   time.Time
	warrant *logged
	seed    *escrow.Seed // of the subject's notice keys
}

// access is an access of the case, to one escrowed file.
type access struct {
	*logged
	recipient *escrow.SecretKey
	file      []byte // as age writes it
	pkg       *escrow.Package
}

// openCase takes one real warrant all the way: from an escrowed file to its plaintext with the
// agency, and to the notice with the subject.
func (s *story) openCase(ctx context.Context) {
	s.title("One warrant, and three gates")
	s.replay.catchUp(ctx)
	o := s.newOpening()
	s.settle(ctx)
	s.startGates(ctx)
	for _, g := range s.Gates {
		s.say("  %s  the gate of %s", g.URL, g.Name)
	}
	s.wrap("  ", "Each has an event key and a post-quantum key of its own, follows the log from its first charter, and "+
		"runs the rules over every entry. Any %d of the %d together open a file.", gateThreshold, numGates)
	file, pkg := escrowLetter(o, subjectAccount)
	try(os.MkdirAll(s.Path("case"), 0o700))
	try(durable.WriteFile(s.Path("case", "letter.age"), file, 0o600))
	try(durable.WriteFile(s.Path("case", "subject.seed"), o.seed.Bytes(), 0o600))
	s.wrap("  ", "A user's client encrypts a letter with age (%d bytes, %s), and states whom a notice is for.", len(file), s.Path("case", "letter.age"))
	s.orderCase(ctx, o)
	a := s.logAccess(ctx, o, subjectAccount, file, pkg)
	// What the attacks need is signed now, before the case's seal ends.
	hidden, _ := s.signAccess(o, subjectAccount, a.pkg)
	file, pkg = escrowLetter(o, otherAccount)
	other := s.logAccess(ctx, o, otherAccount, file, pkg)
	s.readLetter(ctx, o, a)
	s.attackGates(ctx, o, a, other, hidden)
	s.findNotices(ctx, o, a)
}

// newOpening begins a case of the first row that is a warrant.
func (s *story) newOpening() *opening {
	return &opening{accepted: &s.batch.accepted[s.batch.firstWarrant()], charter: must(event.ParseEnvelope(s.replay.entries[0])), seed: escrow.NewSeed(time.Now())}
}

// escrowLetter escrows the letter of an account with age.
func escrowLetter(o *opening, account string) ([]byte, *escrow.Package) {
	group := must(escrow.NewGroup(origin, o.charter.Event.Body.(*event.Charter), gateGroup))
	notice := must(o.seed.Key(origin, o.seed.First, event.KEMMLKEMX25519)).Public()
	var file bytes.Buffer
	w := must(age.Encrypt(&file, must(escrow.NewRecipient(group, event.KEMMLKEMX25519, notice, account))))
	must(io.WriteString(w, letter))
	try(w.Close())
	return file.Bytes(), must(escrow.ReadPackages(bytes.NewReader(file.Bytes())))[0]
}

// order logs the warrant, sealed for so long: the row's, with an account that no row names.
func (s *story) order(ctx context.Context, o *opening, seal time.Duration) {
	c := *o.accepted
	c.window = toldWindow
	d := newWarrant(s.People, &c)
	d.Body.(*event.Warrant).Accesses, d.Body.(*event.Warrant).Accounts = 8, 8
	d.subject = append(d.subject, event.NewOpening("identifier", event.Text(subjectAccount)))
	o.until = d.Time.Add(seal)
	o.warrant = must(s.submit(ctx, d.sign(o.until, s.Signer(o.court))))
}

func (s *story) orderCase(ctx context.Context, o *opening) {
	s.order(ctx, o, caseSeal+s.slack())
	s.wrap("  ", "The warrant is that of row %s again: the court %s, the agency %s and the offence class are the row's. "+
		"The account and the letter are the demonstration's own. It is entry %d.", o.ID, o.court, o.agency, o.warrant.Index)
}

// signAccess makes an access on the warrant, for an account and a package.
func (s *story) signAccess(o *opening, account string, pkg *escrow.Package) (*signedEvent, *escrow.SecretKey) {
	recipient := must(escrow.GenerateKey(event.KEMMLKEMX25519))
	d := newAccess(s.Signer(agencyKey(o.agency)), o.warrant, accessTerms{gateGroup, "lawful-access", account, recipient.Public(), pkg.Digest()})
	d.subject = append(d.subject, event.Decoy())
	return d.sign(o.until, s.Signer(providerName)), recipient
}

func (s *story) logAccess(ctx context.Context, o *opening, account string, file []byte, pkg *escrow.Package) *access {
	signed, recipient := s.signAccess(o, account, pkg)
	return &access{must(s.submit(ctx, signed)), recipient, file, pkg}
}

// auditedHead returns the head that met the audit policy last, once that head contains an entry.
func (s *story) auditedHead(ctx context.Context, index uint64) (head *tlog.Verified) {
	poll(ctx, "the auditors to cosign a head with the access", func() bool {
		h, _, err := s.client.Audited(ctx, nil)
		if p, ok := errors.AsType[*client.Problem](err); ok && p.Temporary() {
			return false
		}
		head = must(h, err)
		return head.Checkpoint.Size > index
	})
	return head
}

// requestFor makes the request for an access, with proofs under the audited head.
func (s *story) requestFor(ctx context.Context, o *opening, a *access) *escrow.Request {
	return s.requestAt(ctx, s.auditedHead(ctx, a.Index), o, a)
}

func (s *story) requestAt(ctx context.Context, head *tlog.Verified, o *opening, a *access) *escrow.Request {
	return &escrow.Request{
		Warrant: must(s.client.ProveAt(ctx, head, o.warrant.Index)).Bytes(), WarrantOpenings: o.warrant.openings,
		Access: must(s.client.ProveAt(ctx, head, a.Index)).Bytes(), AccessOpenings: a.openings,
		Packages: []*escrow.Package{a.pkg},
	}
}

// openLetter opens a letter as the agency does, with age and the gates. It returns what each gate did,
// and how long all of it took.
func (s *story) openLetter(ctx context.Context, o *opening, a *access) ([]agency.Result, time.Duration) {
	begun := time.Now()
	r := s.requestAt(ctx, must(s.client.Checkpoint(ctx)), o, a)
	c := &agency.Case{
		Charter: o.charter.Bytes(), Key: must(a.recipient.Bytes()), Packages: []string{string(a.pkg.Text())},
		Warrant: r.Warrant, WarrantOpenings: must(r.WarrantOpenings.Bytes()),
		Access: r.Access, AccessOpenings: must(r.AccessOpenings.Bytes()), Gates: make(map[string]string),
	}
	for _, g := range s.Gates {
		c.Gates[g.Name] = g.URL
	}
	try(c.Check())
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var id *agency.Identity
	var plain io.Reader
	poll(ctx, "the gates to open", func() bool {
		try(c.Renew(ctx, s.client)) // proofs under a head that the auditors have cosigned
		// Later the proofs of a request are nearly stale.
		id = c.Identity(ctx, agency.Options{Timeout: time.Duration(s.profile.Stale) * time.Second * 3 / 4})
		var err error
		plain, err = age.Decrypt(bytes.NewReader(a.file), id)
		// On a slow machine the log's anchors are late at times; the log cures that.
		if err != nil && slices.ContainsFunc(id.Results, barred) {
			return false
		}
		try(err)
		return true
	})
	if b := must(io.ReadAll(plain)); string(b) != letter {
		try(errors.New("the gates' shares open another letter"))
	}
	return id.Results, time.Since(begun)
}

func (s *story) readLetter(ctx context.Context, o *opening, a *access) {
	s.wrap("  ", "The provider logs an access (entry %d) to a one-time key that the agency signed for. The agency waits until "+
		"%d of the %d auditors have cosigned a head with it, and asks all gates; each logs its release, with a notice for the "+
		"subject, and only then touches its key:", a.Index, auditQuorum, numAuditors)
	results, took := s.openLetter(ctx, o, a)
	s.sayResults(results)
	s.wrap("  ", "After %d ms the agency reads: %q", took.Milliseconds(), strings.TrimSpace(letter))
	s.sum("opened", "entry %d: any %d of %d gates open a letter, each once its release is in the log: read after %d ms", a.Index, gateThreshold, numGates, took.Milliseconds())
}

func (s *story) sayResults(results []agency.Result) {
	for _, r := range results {
		if r.Err == nil {
			s.say("  -> %s released its share by entry %d", r.Custodian, r.Release.Index)
		} else {
			s.say("  -> %s was not needed", r.Custodian)
		}
	}
}

// barred reports whether a gate opens nothing while an obligation is overdue, or has been too
// lately for the auditors to have cosigned.
func barred(r agency.Result) bool {
	no, ok := errors.AsType[*agency.Refusal](r.Err)
	return ok && (no.Code() == gate.CodeOverdue || no.Code() == gate.CodeStale)
}

// attackGates tries to get shares that nothing entitles to: by an access that is not in the log, in the
// proof of one that is, and by an access to another account.
func (s *story) attackGates(ctx context.Context, o *opening, a, other *access, hidden *signedEvent) {
	s.title("Two attacks on the gates")
	forged := func() *escrow.Request {
		r := s.requestFor(ctx, o, a)
		p := must(tlog.ParseProof(r.Access))
		p.Extra = hidden.env.Bytes()
		r.Access, r.AccessOpenings = p.Bytes(), hidden.openings
		return r
	}
	s.tellAttack(1, "A hidden access: signed, not logged, and shown with the proof of another entry.",
		askGate(ctx, s.Gates[0], forged, gate.CodeProof))
	s.tellAttack(2, "An access to an account that the warrant does not name. The log can't see that, for accounts are sealed; a gate can.",
		askGate(ctx, s.Gates[0], func() *escrow.Request { return s.requestFor(ctx, o, other) }, gate.CodeAccount))
	s.sum("refused", "by a gate: a hidden access (%s), and an account that the warrant does not name (%s)", gate.CodeProof, gate.CodeAccount)
}

// askGate sends a request to a gate and returns why the gate refuses, which must be by this
// code. Like openLetter, it asks again while a late anchor bars.
func askGate(ctx context.Context, g *world.Gate, request func() *escrow.Request, want gate.Code) string {
	var no *gate.Refusal
	poll(ctx, "a gate that nothing overdue bars", func() bool {
		_, err := g.Running.Release(ctx, must(request().Seal(origin, g.Key.Public())))
		if err == nil {
			try(fmt.Errorf("%w: the gate of %s opened its share", errSucceeded, g.Name))
		}
		if !errors.As(err, &no) || no.Code != want && no.Code != gate.CodeOverdue && no.Code != gate.CodeStale {
			try(fmt.Errorf("the gate of %s refuses, but not as %s: %w", g.Name, want, err))
		}
		return no.Code == want
	})
	return fmt.Sprintf("%s: %v", no.Code, no.Err)
}

// findNotices waits for the disclosure, and scans the log as the subject does.
func (s *story) findNotices(ctx context.Context, o *opening, a *access) {
	body := &event.Return{Warrant: o.warrant.Reference, Executed: true, Encryption: true, Plaintext: true, Persons: 1, Accounts: 1, Days: 1}
	must(s.submit(ctx, signNow(body, s.Signer(providerName))))
	s.wrap("  ", "At %s the seals of the case end, and the log discloses it by itself. The subject's client tries its keys on "+
		"every notice in the log. No one learns that it asked:", clock(o.until))
	cl := must(client.New(client.Config{URL: s.LogServer.URL, Policy: s.policy, UserAgent: "vasistas-demo", Keep: s.Path("case", "subject.tiles")}))
	var state []byte
	var found *scan.Case
	s.replay.await(ctx, "the subject's notices", func() bool {
		if s.replay.opened[a.Index] == nil {
			return false
		}
		r := must(scan.Run(ctx, scan.Config{Seed: o.seed, Config: audit.Config{
			Client: cl, Policy: s.policy, Origin: origin, Now: time.Now(),
			Snapshot: state, Save: func(b []byte) error { state = b; return nil },
		}}))
		i := slices.IndexFunc(r.Cases, func(c *scan.Case) bool { return c.Notices[0].Access.Index == a.Index })
		if i >= 0 {
			found = r.Cases[i]
		}
		return found != nil && len(found.Notices) >= gateThreshold
	})
	s.tellNotices(found)
}

// tellNotices tells what the notices of a case say, and saves each as a file that proves it
// offline.
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
	s.sum("found", "by the subject: %d notices of that access, in the log, each verified offline", len(c.Notices))
}

// errSucceeded is the error of an attack that was not refused.
var errSucceeded = errors.New("THE ATTACK SUCCEEDED")

func (s *story) attack(ctx context.Context) {
	s.title("Two attacks on a proof")
	try(os.MkdirAll(s.Path("attacks"), 0o755))
	proof := s.completeProof(ctx)
	forged, reason := changeByte(s.policy, proof)
	s.tellAttack(1, fmt.Sprintf("A changed byte. In the proof of entry %d, byte %d of the entry's %d was changed, by one bit.",
		proof.Index, len(forged.Extra)/2, len(forged.Extra)), "Offline verification: "+reason)
	try(os.WriteFile(s.Path("attacks", "changed-byte"+proofSuffix), forged.Bytes(), 0o644))
	last := s.Witnesses[numWitnesses-1]
	forged, reason = threeOfFour(s.policy, s.all, proof, last)
	s.tellAttack(2, fmt.Sprintf("Too few witnesses. From the proof of entry %d, the cosignatures of %s were taken away, and it was "+
		"shown to a verifier whose policy asks for all four witnesses.", proof.Index, last.Name),
		"Offline verification: "+reason,
		"Under the policy that asks for three of four the same file holds, as it should: how many witnesses are enough is the verifier's choice.")
	try(os.WriteFile(s.Path("attacks", "three-of-four"+proofSuffix), forged.Bytes(), 0o644))
	s.sum("refused", "offline: a proof with a changed byte, and one with too few witnesses")
}

func (s *story) tellAttack(n int, tried string, refused ...string) {
	s.wrap("  ", "%d. %s", n, tried)
	for _, r := range refused {
		s.wrap("     ", "-> %s", r)
	}
}

// completeProof returns the proof of an event under a head that all witnesses cosigned.
func (s *story) completeProof(ctx context.Context) (proof *tlog.Proof) {
	index := s.indices[len(s.indices)/2]
	poll(ctx, "a head that all witnesses have cosigned", func() bool {
		proof = must(s.client.Prove(ctx, index))
		return !slices.ContainsFunc(s.Witnesses, func(o *world.Witness) bool {
			return slices.ContainsFunc(o.Keys, func(k *tlog.Signer) bool { return proof.Checkpoint.Find(k.Verifier()) == nil })
		})
	})
	must(s.all.Verify(proof.Checkpoint, origin))
	return proof
}

// changeByte flips one bit in the middle of the entry that a proof carries, and returns why the
// forgery is refused.
func changeByte(policy *verify.Policy, proof *tlog.Proof) (*tlog.Proof, string) {
	forged := *proof
	forged.Extra = bytes.Clone(proof.Extra)
	forged.Extra[len(forged.Extra)/2] ^= 1
	return &forged, refusedBy(policy, &forged, verify.NotIncluded)
}

// refusedBy verifies a forged proof, and returns the text of the refusal, which must be for this
// reason.
func refusedBy(policy *verify.Policy, p *tlog.Proof, want verify.Reason) string {
	_, err := verify.Proof(policy, p.Bytes(), verify.Options{Now: time.Now()})
	if err == nil {
		try(fmt.Errorf("%w: a forged proof was verified", errSucceeded))
	}
	refused, ok := errors.AsType[*verify.Error](err)
	if !ok || refused.Reason != want {
		try(fmt.Errorf("a forged proof was refused, but not as %s: %w", want, err))
	}
	// The two root hashes that follow tell a reader nothing.
	text, _, _ := strings.Cut(err.Error(), ": it leads to the root")
	return fmt.Sprintf("%s (%s)", text, refused.Reason)
}

// threeOfFour removes the cosignatures of the last witness from a proof. The forgery must hold
// under the policy that asks for three, and not under the one that asks for all; threeOfFour returns
// why it does not.
func threeOfFour(three, all *verify.Policy, proof *tlog.Proof, last *world.Witness) (*tlog.Proof, string) {
	head := *proof.Checkpoint
	head.Signatures = slices.Clone(head.Signatures)
	for _, k := range last.Keys {
		head.Signatures = slices.DeleteFunc(head.Signatures, func(s tlog.Signature) bool {
			return s.Name == k.Verifier().Name && s.KeyID == k.Verifier().ID
		})
	}
	forged := *proof
	forged.Checkpoint = &head
	if _, err := verify.Proof(three, forged.Bytes(), verify.Options{Now: time.Now()}); err != nil {
		try(fmt.Errorf("a proof with three cosignatures should hold under a policy of three: %w", err))
	}
	return &forged, refusedBy(all, &forged, verify.NoQuorum)
}
