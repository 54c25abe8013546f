// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package cases writes whole escrow cases into a log of package written, for tests of what
// speaks to gates and reads their notices: a charter that names custodians with real keys,
// warrants and accesses that name real packages, releases with real notices, and gates over
// HTTP. These gates don't ask a log; the tests of package gate check that real gates do.
//
// Errors are kept as in package written.
package cases

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/internal/problem"
	"github.com/vasistas/vasistas/internal/tiles/prover"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// Log is a log whose custodians have keys.
type Log struct {
	*written.Log
	Group   *escrow.Group
	Holders map[string][]escrow.KeyHolder // by custodian: post-quantum, and X25519
	Agency  event.Signer                  // that warrants name
	Consent event.Signer                  // of recipient keys: Agency, unless a test says otherwise
	Order   bool                          // cases use the instrument order of people.Forms: two authorities sign, and an access opens traffic data
	Terms   func(*event.Warrant)          // changes the warrants of NewCase, unless it is nil
}

// New returns a log with its charter.
func New(dir string) *Log {
	l := &Log{Holders: make(map[string][]escrow.KeyHolder)}
	var failed error
	l.Log = written.New(dir, func(c *event.Charter) {
		for _, name := range c.Groups[0].Members {
			p := c.Party(event.RoleCustodian, name)
			p.Gates = nil
			for _, kem := range []event.KEM{event.KEMMLKEMX25519, event.KEMX25519} {
				k, err := escrow.GenerateKey(kem)
				if err != nil {
					failed = err
					return
				}
				l.Holders[name] = append(l.Holders[name], k)
				p.Gates = append(p.Gates, k.Public())
			}
		}
	})
	l.Fail(failed)
	l.Agency = l.Signer("agency")
	l.Consent = l.Agency
	var err error
	l.Group, err = escrow.NewGroup(written.Origin, l.Charter.Envelope.Event.Body.(*event.Charter), "main")
	l.Fail(err)
	return l
}

// Case is one access, with all that its parties know of it.
type Case struct {
	Warrant, Access                 *written.Logged
	WarrantOpenings, AccessOpenings *event.Openings
	Packages                        []*escrow.Package
	Accounts                        []string
	Key                             *escrow.SecretKey // the recipient's
}

// NewCase logs a warrant and an access for packages of these accounts, in their order,
// sealed for so long.
func (l *Log) NewCase(sealed time.Duration, accounts []string, packages ...*escrow.Package) *Case {
	key, err := escrow.GenerateKey(event.KEMMLKEMX25519)
	l.Fail(err)
	c := &Case{Packages: packages, Accounts: accounts, Key: key}
	until := l.Now + int64(sealed/time.Second)
	c.WarrantOpenings = &event.Openings{
		Public: []event.Opening{
			event.NewOpening("agency", event.Text("police")),
			event.NewOpening("agencyKey", event.Bytes(l.Agency.Public().SPKI())),
			event.NewOpening("grounds", event.Codes("investigation")), event.Decoy(),
		},
		Subject: []event.Opening{event.NewOpening("case", event.Text("12 Js 7/26")), event.Decoy()},
	}
	for _, a := range accounts {
		c.WarrantOpenings.Subject = append(c.WarrantOpenings.Subject, event.NewOpening("identifier", event.Text(a)))
	}
	body := l.WarrantBody()
	body.Accounts = uint64(len(accounts))
	if l.Terms != nil {
		l.Terms(body)
	}
	by, opened := []string{"court"}, body.Categories
	if l.Order {
		body.Instrument, body.Categories = "order", []string{"content", "traffic"}
		by, opened = append(by, "prosecutor"), []string{"traffic"}
		c.WarrantOpenings.Public = append(c.WarrantOpenings.Public,
			event.NewOpening("dataPeriods", event.Periods(event.Period{From: written.At(l.Now - people.Day), To: written.At(l.Now)})))
	}
	c.Warrant = l.LogSealed(l.Event(body), until, c.WarrantOpenings.Public, c.WarrantOpenings.Subject, by...)
	c.WarrantOpenings.Event = c.Warrant.Envelope.Hash()
	return l.access(c, until, opened)
}

// Again logs another access on a case's warrant, to these categories of data, and returns the
// case with that access.
func (l *Log) Again(c *Case, sealed time.Duration, categories ...string) *Case {
	again := *c
	return l.access(&again, l.Now+int64(sealed/time.Second), categories)
}

func (l *Log) access(c *Case, until int64, categories []string) *Case {
	c.AccessOpenings = &event.Openings{Public: []event.Opening{event.NewOpening("unit", event.Text("legal"))}}
	for i, a := range c.Accounts {
		c.AccessOpenings.Subject = append(c.AccessOpenings.Subject, event.NewOpening("account", event.Text(a)),
			event.NewOpening("package", event.Text(c.Packages[i].Digest().String())))
	}
	e := l.Event(&event.Access{Warrant: &c.Warrant.Reference, Group: "main", Recipient: c.Key.Public(), Accounts: uint64(len(c.Accounts)), Categories: categories})
	c.AccessOpenings.Subject = append(c.AccessOpenings.Subject, l.consent(c.WarrantOpenings.Event, e.ID, c.Key.Public()))
	c.Access = l.LogSealed(e, until, c.AccessOpenings.Public, c.AccessOpenings.Subject, "messenger")
	c.AccessOpenings.Event = c.Access.Envelope.Hash()
	return c
}

// consent returns the agency's signature of an access's recipient key.
func (l *Log) consent(warrant event.Digest, access event.ID, recipient event.HPKEKey) event.Opening {
	msg, err := event.AgencyMessage(l.Origin, warrant, access, recipient)
	l.Fail(err)
	sig, err := l.Consent.Sign(msg)
	l.Fail(err)
	return event.NewOpening("agencySignature", event.Bytes(sig))
}

// Wrap makes a package.
func (l *Log) Wrap(notice event.HPKEKey, account string) *escrow.Package {
	p, err := l.wrap(notice, account)
	l.Fail(err)
	return p
}

func (l *Log) wrap(notice event.HPKEKey, account string) (*escrow.Package, error) {
	r, err := escrow.NewRecipient(l.Group, event.KEMX25519, notice, account)
	if err != nil {
		return nil, err
	}
	s, err := r.Wrap(make([]byte, 16))
	if err != nil {
		return nil, err
	}
	return escrow.ParsePackage(s)
}

// Notice returns what a custodian writes to the subject of a case's i-th package.
func (l *Log) Notice(c *Case, custodian string, i int) *escrow.Notice {
	accounts, packages := c.Accounts[i:i+1], []event.Digest{c.Packages[i].Digest()}
	last, _ := l.Last(custodian)
	return &escrow.Notice{
		Origin: written.Origin, Warrant: &c.Warrant.Reference, Access: c.Access.Reference,
		Custodian: custodian, Seq: last + 1, Recipient: c.Key.Public(),
		WarrantOpenings: escrow.SubjectOpenings(c.WarrantOpenings, accounts, packages),
		AccessOpenings:  escrow.SubjectOpenings(c.AccessOpenings, accounts, packages),
	}
}

// ReleaseCase logs a custodian's release of a case, with the notices to all its subjects.
func (l *Log) ReleaseCase(c *Case, custodian string) *written.Logged {
	var notices [][]byte
	for i, p := range c.Packages {
		part, err := p.OpenNotice(l.Holders[custodian][1], l.Group)
		if err != nil {
			l.Fail(err)
			continue
		}
		b, err := l.Notice(c, custodian, i).Seal(part.Key)
		l.Fail(err)
		notices = append(notices, b)
	}
	return l.ReleaseWith(c.Access, custodian, notices...)
}

// Proof returns the proof file of an entry under the head that was published last.
func (l *Log) Proof(cp *tlog.Checkpoint, e *written.Logged) []byte {
	hashes, err := prover.New(client.Dir(l.Dir), 64).Inclusion(context.Background(), e.Index, e.Leaf, cp.Size, cp.Root)
	l.Fail(err)
	proof := &tlog.Proof{Extra: e.Envelope.Bytes(), Index: e.Index, Hashes: hashes, Checkpoint: cp}
	return proof.Bytes()
}

// Fault is what a gate does in place of its duty.
type Fault string

// The faults.
const (
	Honest     Fault = ""
	Garbage    Fault = "garbage"     // an answer that is none
	Endless    Fault = "endless"     // an answer without end
	Silent     Fault = "silent"      // none, until the other side gives up
	Refuses    Fault = "refuses"     // it says no
	Later      Fault = "later"       // it says "later" for ever
	WrongShare Fault = "wrong-share" // a share of another package, well signed
	WrongKey   Fault = "wrong-key"   // an answer that another custodian signed
	Replays    Fault = "replays"     // an answer for another access
)

// Gate returns a custodian's gate, which opens what it is asked to, or has a fault. The
// release that it names is in no log.
func (l *Log) Gate(custodian string, fault Fault) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, escrow.MaxRequestSize+1))
		switch {
		case err != nil:
			return
		case fault == Garbage:
			io.WriteString(w, "{\"access\":{}}")
			return
		case fault == Endless:
			for b := make([]byte, 1<<16); err == nil; {
				_, err = w.Write(b)
			}
			return
		case fault == Silent:
			<-r.Context().Done()
			return
		case fault == Refuses:
			problem.New(problem.Breach, "", "the log has an open breach").Answer(w)
			return
		case fault == Later:
			problem.New(problem.NotReady, "", "the log can't be followed").Answer(w)
			return
		}
		b, err := l.answer(custodian, fault, body)
		if err != nil {
			problem.New(problem.Form, "", err.Error()).Answer(w)
			return
		}
		w.Header().Set("Content-Type", escrow.AnswerType)
		w.Write(b)
	})
}

// answer opens everything that a request names.
func (l *Log) answer(custodian string, fault Fault, body []byte) ([]byte, error) {
	req, err := escrow.OpenRequest(l.Group.Origin(), l.Holders[custodian], body)
	if err != nil {
		return nil, err
	}
	proof, err := tlog.ParseProof(req.Access)
	if err != nil {
		return nil, err
	}
	env, err := event.ParseEnvelope(proof.Extra)
	if err != nil {
		return nil, err
	}
	d := escrow.Delivery{Origin: l.Group.Origin(), Access: event.Reference{Index: proof.Index, Leaf: env.LeafHash()},
		Release: event.Reference{Index: proof.Index + 1}, Recipient: env.Event.Body.(*event.Access).Recipient}
	if fault == Replays {
		d.Access.Index++
	}
	a := &escrow.Answer{Delivery: d}
	for _, p := range req.Packages {
		of := p
		if fault == WrongShare {
			if of, err = l.wrap(d.Recipient, "other"); err != nil {
				return nil, err
			}
		}
		s, err := l.open(custodian, of)
		if err != nil {
			return nil, err
		}
		sealed, err := s.Seal(&d)
		if err != nil {
			return nil, err
		}
		sealed.Package = p.Digest()
		a.Index, a.Shares = s.Index(), append(a.Shares, sealed)
	}
	signer := custodian
	if fault == WrongKey {
		signer = "court"
	}
	return a.Sign(l.Signer(signer))
}

// open opens a share with the key that the package is for.
func (l *Log) open(custodian string, p *escrow.Package) (s *escrow.Share, err error) {
	for _, h := range l.Holders[custodian] {
		if s, err = p.OpenShare(h, l.Group); err == nil {
			return s, nil
		}
	}
	return nil, err
}
