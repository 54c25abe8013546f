// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package escrowtest makes whole escrow cases for tests: a log of package audittest whose
// charter names custodians with real keys, warrants and accesses that name real
// packages, releases with real notices, and gates over HTTP that open, without a
// log's say. What is tested against them is what speaks to gates and reads their
// notices; that gates obey the log is package gate's to test.
package escrowtest

import (
	"crypto/rand"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/audit/audittest"
	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/internal/problem"
	"github.com/vasistas/vasistas/internal/tiles/prover"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// Custodians are those of the group main, of which two open.
var Custodians = []string{"c1", "c2", "c3"}

// World is a log and its gates.
type World struct {
	*audittest.World
	Group   *escrow.Group
	Charter *event.Charter
	Holders map[string][]escrow.KeyHolder // by custodian: post-quantum, and X25519
	Agency  event.Signer                  // that warrants name
	Consent event.Signer                  // who signs for recipient keys; nil: Agency
}

// New returns a log with its charter.
func New(t testing.TB) *World {
	t.Helper()
	w := &World{Holders: make(map[string][]escrow.KeyHolder)}
	w.World = audittest.New(t, func(c *event.Charter) {
		for i := range c.Parties {
			p := &c.Parties[i]
			if p.Role != event.RoleCustodian {
				continue
			}
			p.Gates = nil
			for _, kem := range []event.KEM{event.KEMMLKEMX25519, event.KEMX25519} {
				k, err := escrow.GenerateKey(kem)
				if err != nil {
					t.Fatal(err)
				}
				w.Holders[p.Name] = append(w.Holders[p.Name], k)
				p.Gates = append(p.Gates, k.Public())
			}
		}
	})
	w.Agency = w.Signer("agency")
	w.Charter = w.Founded().Envelope.Event.Body.(*event.Charter)
	var err error
	if w.Group, err = escrow.NewGroup(audittest.Origin, w.Charter, "main"); err != nil {
		t.Fatal(err)
	}
	return w
}

// Case is one access, with all that its parties know of it.
type Case struct {
	Warrant, Access                 *audittest.Logged
	WarrantOpenings, AccessOpenings *event.Openings
	Packages                        []*escrow.Package
	Accounts                        []string
	Key                             *escrow.SecretKey // the recipient's
}

// NewCase logs a warrant and an access for packages of these accounts, in their order,
// sealed for so long.
func (w *World) NewCase(sealed time.Duration, accounts []string, packages ...*escrow.Package) *Case {
	w.TB.Helper()
	c := &Case{Packages: packages, Accounts: accounts}
	var err error
	if c.Key, err = escrow.GenerateKey(event.KEMMLKEMX25519); err != nil {
		w.TB.Fatal(err)
	}
	until := w.Now + int64(sealed/time.Second)
	c.WarrantOpenings = &event.Openings{
		Public: []event.Opening{
			event.NewOpening("agency", event.Text("police")),
			event.NewOpening("agencyKey", event.Bytes(w.Agency.Public().SPKI())),
			event.NewOpening("grounds", event.Codes("investigation")), event.Decoy(),
		},
		Subject: []event.Opening{event.NewOpening("case", event.Text("12 Js 7/26")), event.Decoy()},
	}
	c.AccessOpenings = &event.Openings{Public: []event.Opening{event.NewOpening("unit", event.Text("legal"))}}
	for i, a := range accounts {
		c.WarrantOpenings.Subject = append(c.WarrantOpenings.Subject, event.NewOpening("identifier", event.Text(a)))
		c.AccessOpenings.Subject = append(c.AccessOpenings.Subject, event.NewOpening("account", event.Text(a)),
			event.NewOpening("package", event.Text(packages[i].Digest().String())))
	}
	at := time.Unix(w.Now, 0).UTC()
	c.Warrant = w.Sealed(w.Event(&event.Warrant{Decision: event.Granted, Provider: "messenger", Instrument: "search", Offence: "fraud",
		Accounts: uint64(len(accounts)), Accesses: 1, NotBefore: at, NotAfter: at.AddDate(0, 1, 0)}),
		until, c.WarrantOpenings.Public, c.WarrantOpenings.Subject, "court")
	c.WarrantOpenings.Event = c.Warrant.Envelope.Hash()
	ref := c.Warrant.Reference
	e := w.Event(&event.Access{Warrant: &ref, Group: "main", Recipient: c.Key.Public(), Accounts: uint64(len(accounts))})
	rand.Read(e.ID[:])
	msg, err := event.AgencyMessage(c.Warrant.Envelope.Hash(), e.ID, c.Key.Public())
	if err != nil {
		w.TB.Fatal(err)
	}
	signs := w.Agency
	if w.Consent != nil {
		signs = w.Consent
	}
	sig, err := signs.Sign(msg)
	if err != nil {
		w.TB.Fatal(err)
	}
	c.AccessOpenings.Subject = append(c.AccessOpenings.Subject, event.NewOpening("agencySignature", event.Bytes(sig)))
	c.Access = w.Sealed(e, until, c.AccessOpenings.Public, c.AccessOpenings.Subject, "messenger")
	c.AccessOpenings.Event = c.Access.Envelope.Hash()
	return c
}

// Wrap makes a package.
func (w *World) Wrap(notice event.HPKEKey, account string) *escrow.Package {
	w.TB.Helper()
	r, err := escrow.NewRecipient(w.Group, event.KEMX25519, notice, account)
	if err != nil {
		w.TB.Fatal(err)
	}
	s, err := r.Wrap(make([]byte, 16))
	if err != nil {
		w.TB.Fatal(err)
	}
	p, err := escrow.ParsePackage(s)
	if err != nil {
		w.TB.Fatal(err)
	}
	return p
}

// Notice returns what a custodian writes to the subject of a case's i-th package.
func (w *World) Notice(c *Case, custodian string, i int) *escrow.Notice {
	accounts, packages := c.Accounts[i:i+1], []event.Digest{c.Packages[i].Digest()}
	return &escrow.Notice{
		Origin: audittest.Origin, Warrant: &c.Warrant.Reference, Access: c.Access.Reference,
		Custodian: custodian, Seq: w.Seq(custodian), Recipient: c.Key.Public(),
		WarrantOpenings: escrow.SubjectOpenings(c.WarrantOpenings, accounts, packages),
		AccessOpenings:  escrow.SubjectOpenings(c.AccessOpenings, accounts, packages),
	}
}

// Release logs a custodian's release of a case, with the notices to all its subjects.
func (w *World) Release(c *Case, custodian string) *audittest.Logged {
	w.TB.Helper()
	var notices [][]byte
	for i, p := range c.Packages {
		part, err := p.OpenNotice(w.Holders[custodian][1], w.Group)
		if err != nil {
			w.TB.Fatal(err)
		}
		b, err := w.Notice(c, custodian, i).Seal(part.Key)
		if err != nil {
			w.TB.Fatal(err)
		}
		notices = append(notices, b)
	}
	return w.ReleaseWith(c.Access, custodian, notices...)
}

// Proof returns the proof file of an entry under the head that was published last.
func (w *World) Proof(cp *tlog.Checkpoint, e *audittest.Logged) []byte {
	w.TB.Helper()
	p := prover.New(client.Dir(w.Dir), 64)
	hashes, err := p.Inclusion(w.TB.Context(), e.Index, e.Leaf, cp.Size, cp.Root)
	if err != nil {
		w.TB.Fatal(err)
	}
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

// Gate serves a custodian's gate, which opens whatever it is asked to, or has a fault.
// The release that it names is in no log.
func (w *World) Gate(custodian string, fault Fault) *httptest.Server {
	w.TB.Helper()
	done := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch fault {
		case Garbage:
			io.WriteString(rw, "{\"access\":{}}")
		case Endless:
			for b := make([]byte, 1<<16); ; {
				if _, err := rw.Write(b); err != nil {
					return
				}
			}
		case Silent:
			select {
			case <-r.Context().Done():
			case <-done:
			}
		case Refuses:
			problem.New(problem.Breach, "", "the log has an open breach").Answer(rw)
		case Later:
			problem.New(problem.NotReady, "", "the log can't be followed").Answer(rw)
		default:
			b, err := w.answer(custodian, fault, r)
			if err != nil {
				problem.New(problem.Form, "", err.Error()).Answer(rw)
				return
			}
			rw.Header().Set("Content-Type", escrow.AnswerType)
			rw.Write(b)
		}
	}))
	w.TB.Cleanup(func() {
		close(done)
		s.Close()
	})
	return s
}

// answer opens everything that a request names.
func (w *World) answer(custodian string, fault Fault, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, escrow.MaxRequestSize+1))
	if err != nil {
		return nil, err
	}
	req, err := escrow.OpenRequest(w.Group.Origin(), w.Holders[custodian], body)
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
	d := escrow.Delivery{Origin: w.Group.Origin(), Access: event.Reference{Index: proof.Index, Leaf: env.LeafHash()},
		Release: event.Reference{Index: proof.Index + 1}, Recipient: env.Event.Body.(*event.Access).Recipient}
	if fault == Replays {
		d.Access.Index++
	}
	a := &escrow.Answer{Delivery: d}
	for _, p := range req.Packages {
		of := p
		if fault == WrongShare {
			of = w.Wrap(d.Recipient, "other")
		}
		s, err := w.open(custodian, of)
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
	return a.Sign(w.Signer(signer))
}

// open opens a share with whichever key the package is for.
func (w *World) open(custodian string, p *escrow.Package) (s *escrow.Share, err error) {
	for _, h := range w.Holders[custodian] {
		if s, err = p.OpenShare(h, w.Group); err == nil {
			return s, nil
		}
	}
	return nil, err
}
