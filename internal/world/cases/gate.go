// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cases

import (
	"io"
	"net/http"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/internal/problem"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

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
