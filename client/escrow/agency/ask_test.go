// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package agency_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/escrow/agency"
	"github.com/vasistas/vasistas/internal/problem"
	"github.com/vasistas/vasistas/internal/world/cases"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// ask returns what an agency asks for under the warrant of a letter's case.
func (e *escrowed) ask(t *testing.T) *agency.Ask {
	t.Helper()
	a := &agency.Ask{
		Charter: e.c.Charter, Warrant: e.c.Warrant, WarrantOpenings: e.c.WarrantOpenings, Signer: e.w.Agency, Unit: "legal",
		Accounts: []string{"ada@example.org", "bob@example.org"}, Gates: e.c.Gates,
	}
	for _, text := range e.c.Packages {
		p, err := escrow.ParsePackageText([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		a.Files = append(a.Files, []*escrow.Package{p})
	}
	return a
}

// TestAsk asks for an access, has the provider log it, and opens the letter with a case that
// took the access from the log.
func TestAsk(t *testing.T) {
	e := newEscrowed(t, event.KEMX25519)
	c, err := e.ask(t).Case()
	if err != nil {
		t.Fatal(err)
	}
	e.c = c
	c = e.gates(t, cases.Honest, cases.Honest, cases.Honest)
	if _, _, err := c.FileKeys(t.Context(), agency.Options{}); !errors.Is(err, agency.ErrNotLogged) {
		t.Fatalf("before it is logged: %v", err)
	}
	s := httptest.NewServer(http.FileServer(http.Dir(e.w.Dir)))
	defer s.Close()
	cl, err := client.New(client.Config{URL: s.URL, Policy: e.w.ParsePolicy(3, "w1", "w2", "w3", "w4")})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Renew(t.Context(), cl); !errors.Is(err, agency.ErrNotLogged) {
		t.Fatalf("before it is logged: %v", err)
	}
	ev, err := event.Parse(c.Event)
	if err != nil {
		t.Fatal(err)
	}
	if w, err := tlog.ParseProof(c.Warrant); err != nil {
		t.Fatal(err)
	} else if env, err := event.ParseEnvelope(w.Extra); err != nil || ev.Sealed.Until.After(env.Event.Sealed.Until) {
		t.Errorf("it is sealed until %v, %v", ev.Sealed.Until, err)
	}
	logged := e.w.LogEvent(ev, "messenger")
	e.w.Append([]byte("more"))
	e.w.Publish("w1", "w2", "w3")
	if err := c.Renew(t.Context(), cl); err != nil {
		t.Fatal(err)
	}
	if !c.Is(logged.Envelope) || c.Access == nil {
		t.Error("the case has another access")
	}
	keys, results, err := c.FileKeys(t.Context(), agency.Options{})
	if err != nil || len(keys) != 2 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	c.Remember(results, time.Now())
	b, err := c.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	again, err := agency.ParseCase(b)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(again.Answers, func(a agency.Answer) bool { return a.Release != nil && a.Error == "" }) {
		t.Errorf("the case forgot its answers: %v", again.Answers)
	}
}

// TestAskRefuses: an agency hears of a wrong request before the provider does.
func TestAskRefuses(t *testing.T) {
	e := newEscrowed(t, event.KEMX25519)
	for want, change := range map[string]func(*agency.Ask){
		"say which ones to open, of ":                     func(a *agency.Ask) { a.Accounts = nil },
		"does not name the account \"eve\"":               func(a *agency.Ask) { a.Accounts = []string{"eve"} },
		"does not have the category \"x\"":                func(a *agency.Ask) { a.Categories = []string{"x"} },
		"as the agency's":                                 func(a *agency.Ask) { a.Signer = e.w.Signer("eve") },
		"no custodian group of the charter has a package": func(a *agency.Ask) { a.Files = append(a.Files, nil) },
		"needs shares of 2 gates":                         func(a *agency.Ask) { a.Gates = nil },
		"no later than the warrant's":                     func(a *agency.Ask) { a.Until = time.Now().AddDate(200, 0, 0).UTC().Truncate(time.Second) },
		"the warrant: it is a access":                     func(a *agency.Ask) { a.Warrant = e.c.Access },
	} {
		a := e.ask(t)
		change(a)
		if _, err := a.Case(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// TestResult: a refusal is one sentence, and one more that says what ends it.
func TestResult(t *testing.T) {
	no := problem.New(problem.Stale, "", "witnesses have signed it 2 days ago")
	no.Ends = "the request has newer proofs"
	r := agency.Result{Custodian: "one", Err: no}
	if got, want := r.String(), "gate one refuses (stale): witnesses have signed it 2 days ago. It opens once the request has newer proofs"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
