// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package agency_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/escrow/agency"
	"github.com/vasistas/vasistas/internal/world/cases"
	"github.com/vasistas/vasistas/log/event"
)

const letter = "Meet me at the bridge."

// escrowed is a letter in an age file, and its case.
type escrowed struct {
	w    *cases.Log
	file []byte
	c    *agency.Case
}

// newLog returns a log. The test fails if it can't be written.
func newLog(t *testing.T) *cases.Log {
	t.Helper()
	w := cases.New(t.TempDir())
	t.Cleanup(func() { w.Report(t.Error) })
	return w
}

func newEscrowed(t *testing.T, kem event.KEM) *escrowed {
	t.Helper()
	w := newLog(t)
	subject, err := escrow.GenerateKey(kem)
	if err != nil {
		t.Fatal(err)
	}
	r, err := escrow.NewRecipient(w.Group, kem, subject.Public(), "ada@example.org")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	out, err := age.Encrypt(&b, r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(out, letter); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	packages, err := escrow.ReadPackages(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	second := w.Wrap(subject.Public(), "bob@example.org")
	packages = append(packages, second)
	lc := w.NewCase(time.Hour, []string{"ada@example.org", "bob@example.org"}, packages...)
	return &escrowed{w, b.Bytes(), newCase(t, w, lc)}
}

// newCase makes the case file of a case that has just been logged.
func newCase(t *testing.T, w *cases.Log, lc *cases.Case) *agency.Case {
	t.Helper()
	head := w.Publish("w1", "w2", "w3")
	must := func(b []byte, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	c := &agency.Case{
		Charter: w.Charter.Envelope.Bytes(), Key: must(lc.Key.Bytes()),
		Warrant: w.Proof(head, lc.Warrant), WarrantOpenings: must(lc.WarrantOpenings.Bytes()),
		Access: w.Proof(head, lc.Access), AccessOpenings: must(lc.AccessOpenings.Bytes()),
		Gates: map[string]string{"c1": "http://127.0.0.1:1", "c2": "http://127.0.0.1:1"},
	}
	for _, p := range lc.Packages {
		c.Packages = append(c.Packages, string(p.Text()))
	}
	return c
}

// gates serves the gates, and parses the case again with their URLs.
func (e *escrowed) gates(t *testing.T, faults ...cases.Fault) *agency.Case {
	t.Helper()
	e.c.Gates = make(map[string]string)
	for i, f := range faults {
		custodian := fmt.Sprintf("c%d", i+1)
		s := httptest.NewServer(e.w.Gate(custodian, f))
		t.Cleanup(s.Close)
		e.c.Gates[custodian] = s.URL
	}
	b, err := e.c.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	c, err := agency.ParseCase(b)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestOpen(t *testing.T) {
	for _, kem := range []event.KEM{event.KEMX25519, event.KEMMLKEMX25519} {
		e := newEscrowed(t, kem)
		id := e.gates(t, cases.Honest, cases.Honest, cases.Honest).Identity(t.Context(), agency.Options{})
		r, err := age.Decrypt(bytes.NewReader(e.file), id)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || string(got) != letter {
			t.Fatalf("%q, %v", got, err)
		}
	}
}

// TestGateFaults lets one gate of three fail, in each way, and names it; two that fail are
// too many.
func TestGateFaults(t *testing.T) {
	for fault, want := range map[cases.Fault]string{
		cases.Garbage:    "malformed",
		cases.Endless:    "more than 2097152 bytes",
		cases.Silent:     "no shares within 5s",
		cases.Refuses:    "403 (breach): the log has an open breach",
		cases.Later:      "503 (not-ready)",
		cases.WrongShare: "does not open",
		cases.WrongKey:   "signature",
		cases.Replays:    "another access",
	} {
		t.Run(string(fault), func(t *testing.T) {
			e := newEscrowed(t, event.KEMX25519)
			c := e.gates(t, cases.Honest, fault, cases.Honest)
			if keys, _, err := c.FileKeys(t.Context(), agency.Options{Backoff: time.Millisecond}); err != nil || len(keys) != 2 {
				t.Fatalf("%d keys, %v", len(keys), err)
			}
			c = e.gates(t, fault, fault, cases.Honest)
			keys, results, err := c.FileKeys(t.Context(), agency.Options{Timeout: 5 * time.Second, Backoff: time.Millisecond})
			if !errors.Is(err, agency.ErrTooFew) || keys != nil {
				t.Fatalf("%d keys, %v", len(keys), err)
			}
			for _, r := range results[:2] {
				if r.Err == nil || !strings.Contains(r.Err.Error(), want) {
					t.Errorf("gate %s: %v, want %q", r.Custodian, r.Err, want)
				}
			}
			if r := results[2]; r.Err != nil || r.Release == nil {
				t.Errorf("gate %s: %v", r.Custodian, r.Err)
			}
		})
	}
}

// TestDown has gates that don't answer, and one without a URL.
func TestDown(t *testing.T) {
	e := newEscrowed(t, event.KEMX25519)
	c := e.gates(t, cases.Honest, cases.Honest)
	_, results, err := c.FileKeys(t.Context(), agency.Options{})
	if err != nil || !strings.Contains(results[2].Err.Error(), "not asked") {
		t.Fatalf("%v, %v", results, err)
	}
	e.c.Gates["c1"] = "http://127.0.0.1:1"
	b, err := e.c.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if c, err = agency.ParseCase(b); err != nil {
		t.Fatal(err)
	}
	_, results, err = c.FileKeys(t.Context(), agency.Options{Timeout: 5 * time.Second, Backoff: time.Millisecond})
	if !errors.Is(err, agency.ErrTooFew) || !strings.Contains(results[0].Err.Error(), "refused") {
		t.Fatalf("%v, %v", results, err)
	}
}

// TestForeignFile asks a case for a file that its access does not name.
func TestForeignFile(t *testing.T) {
	e, other := newEscrowed(t, event.KEMX25519), newEscrowed(t, event.KEMX25519)
	id := e.gates(t, cases.Refuses, cases.Refuses).Identity(t.Context(), agency.Options{})
	if _, err := age.Decrypt(bytes.NewReader(other.file), id); !errors.As(err, new(*age.NoIdentityMatchError)) {
		t.Fatalf("%v", err)
	}
	if id.Results != nil {
		t.Error("gates were asked")
	}
}

// TestCheck changes a case in each way that can be seen without a log.
func TestCheck(t *testing.T) {
	e, other := newEscrowed(t, event.KEMX25519), newEscrowed(t, event.KEMX25519)
	for name, change := range map[string]struct {
		edit func(*agency.Case)
		want string
	}{
		"key":          {func(c *agency.Case) { c.Key = other.c.Key }, "another recipient key"},
		"no key":       {func(c *agency.Case) { c.Key = nil }, "recipient key"},
		"charter":      {func(c *agency.Case) { c.Charter = c.Access }, "not a charter"},
		"warrant":      {func(c *agency.Case) { c.Warrant = other.c.Warrant }, "another"},
		"no warrant":   {func(c *agency.Case) { c.Warrant = nil }, "warrant"},
		"swapped":      {func(c *agency.Case) { c.Access = c.Warrant }, "it is a warrant"},
		"openings":     {func(c *agency.Case) { c.AccessOpenings = c.WarrantOpenings }, "another event"},
		"fewer":        {func(c *agency.Case) { c.Packages = c.Packages[:1] }, "1 packages of the access are missing"},
		"twice":        {func(c *agency.Case) { c.Packages = append(c.Packages, c.Packages[0]) }, "given twice"},
		"foreign":      {func(c *agency.Case) { c.Packages = other.c.Packages }, "another group|does not name"},
		"few gates":    {func(c *agency.Case) { delete(c.Gates, "c1") }, "needs shares of 2 gates"},
		"no custodian": {func(c *agency.Case) { c.Gates["court"] = "http://x" }, "no such custodian"},
		"no URL":       {func(c *agency.Case) { c.Gates["c2"] = "file:///etc/passwd" }, "not an http"},
	} {
		c := *e.c
		c.Packages, c.Gates = slices.Clone(c.Packages), maps.Clone(c.Gates)
		change.edit(&c)
		err := c.Check()
		ok := false
		for want := range strings.SplitSeq(change.want, "|") {
			ok = ok || err != nil && strings.Contains(err.Error(), want)
		}
		if !ok {
			t.Errorf("%s: %v, want %q", name, err, change.want)
		}
	}
	if err := e.c.Check(); err != nil {
		t.Error(err)
	}
}

// TestConsent has a recipient key that another agency than the warrant's signed
// for.
func TestConsent(t *testing.T) {
	w := newLog(t)
	w.Consent = w.Signer("court")
	subject, err := escrow.GenerateKey(event.KEMX25519)
	if err != nil {
		t.Fatal(err)
	}
	p := w.Wrap(subject.Public(), "ada@example.org")
	c := newCase(t, w, w.NewCase(time.Hour, []string{"ada@example.org"}, p))
	if err := c.Check(); err == nil || !strings.Contains(err.Error(), "did not sign for this recipient key") {
		t.Errorf("%v", err)
	}
}
