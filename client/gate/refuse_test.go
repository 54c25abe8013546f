// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"bytes"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

const alice, bob = "alice@example.org", "bob@example.org"

// untouched checks that a key was used for requests and the allowed purposes only.
func untouched(t testing.TB, s *gateServer, allowed ...escrow.Purpose) {
	t.Helper()
	s.key.mu.Lock()
	defer s.key.mu.Unlock()
	for _, u := range s.key.uses {
		if u.purpose != escrow.ForRequest && !slices.Contains(allowed, u.purpose) {
			t.Errorf("the key was used: %s", u.purpose)
		}
	}
	s.key.uses = nil
}

// TestRefusals: each refusal has its code, and the gate's key is not used before it.
func TestRefusals(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	warrant := w.warrant(alice)
	foreign := w.warrant(bob)
	f, other := w.escrow(alice), w.escrow(bob)
	stranger, err := escrow.GenerateKey(event.KEMX25519)
	check(t, err)
	outsider := w.escrowTo(w.otherGroup(), alice, stranger)
	good := w.access(warrant, accessTerms{}, f)

	for _, c := range []struct {
		name    string
		code    gate.Code
		reason  string // in the log
		part    bool   // part one is opened
		request func() *escrow.Request
	}{
		{"a proof that is none", gate.CodeProof, "", false, func() *escrow.Request {
			r := good.request()
			r.Access = []byte("c2sp.org/tlog-proof@v1\n")
			return r
		}},
		{"a proof of another entry", gate.CodeProof, "", false, func() *escrow.Request {
			r := good.request()
			p, err := tlog.ParseProof(r.Access)
			check(t, err)
			p.Extra = warrant.env.Bytes()
			r.Access = p.Bytes()
			return r
		}},
		{"a checkpoint with a signature that does not verify", gate.CodeProof, "", false, func() *escrow.Request {
			r := good.request()
			p, err := tlog.ParseProof(r.Access)
			check(t, err)
			p.Checkpoint.Signatures[0].Bytes[5] ^= 1
			r.Access = p.Bytes()
			return r
		}},
		{"a checkpoint without witnesses", gate.CodeQuorum, "", false, func() *escrow.Request {
			r := good.request()
			p, err := tlog.ParseProof(r.Access)
			check(t, err)
			p.Checkpoint.Signatures = p.Checkpoint.Signatures[:1]
			r.Access = p.Bytes()
			return r
		}},
		{"another warrant", gate.CodeProof, "", false, func() *escrow.Request {
			r := good.request()
			r.Warrant, r.WarrantOpenings = foreign.proof, foreign.openings
			return r
		}},
		{"no warrant", gate.CodeProof, "", false, func() *escrow.Request {
			r := good.request()
			r.Warrant, r.WarrantOpenings = nil, nil
			return r
		}},
		{"a warrant in the access's place", gate.CodeAccess, "", false, func() *escrow.Request {
			r := good.request()
			r.Access = warrant.proof
			return r
		}},
		{"a missing opening", gate.CodeOpenings, "openings-mismatch", false, func() *escrow.Request {
			r := good.request()
			o := *r.WarrantOpenings
			o.Subject = slices.DeleteFunc(slices.Clone(o.Subject), func(p event.Opening) bool { return p.Name == event.DecoyName })
			r.WarrantOpenings = &o
			return r
		}},
		{"an opening of another value", gate.CodeOpenings, "openings-mismatch", false, func() *escrow.Request {
			r := good.request()
			o := *r.AccessOpenings
			o.Public = slices.Clone(o.Public)
			o.Public[0].Salt[0] ^= 1
			r.AccessOpenings = &o
			return r
		}},
		{"openings of another event", gate.CodeOpenings, "openings-mismatch", false, func() *escrow.Request {
			r := good.request()
			r.WarrantOpenings = foreign.openings
			return r
		}},
		{"another person's package", gate.CodePackage, "package-mismatch", false, func() *escrow.Request {
			r := good.request()
			r.Packages = []*escrow.Package{other.pkg}
			return r
		}},
		{"an account that the warrant does not name", gate.CodeAccount, "account-mismatch", false, func() *escrow.Request {
			return w.access(warrant, accessTerms{}, w.escrow(bob)).request()
		}},
		{"more accounts than the access says", gate.CodeAccount, "limits-exceeded", false, func() *escrow.Request {
			both := w.warrant(alice, bob)
			return w.access(both, accessTerms{accounts: []string{alice, bob}, count: 1}, w.escrow(alice)).request()
		}},
		{"a package of an account that the access does not name", gate.CodeAccount, "account-mismatch", true, func() *escrow.Request {
			return w.access(warrant, accessTerms{accounts: []string{alice}, count: 1}, other).request()
		}},
		{"a recipient that the agency did not sign for", gate.CodeRecipient, "recipient-mismatch", false, func() *escrow.Request {
			return w.access(warrant, accessTerms{consent: stranger}, w.escrow(alice)).request()
		}},
		{"a recipient key of low order", gate.CodeRecipient, "recipient-mismatch", false, func() *escrow.Request {
			return w.access(warrant, accessTerms{public: &event.HPKEKey{KEM: event.KEMX25519, Public: make([]byte, 32)}}, w.escrow(alice)).request()
		}},
		{"more persons than a release can have notices for", gate.CodeNotice, "limits-exceeded", true, func() *escrow.Request {
			var files []*file
			for range 65 {
				files = append(files, w.escrow(alice))
			}
			return w.access(w.warrant(alice), accessTerms{accounts: []string{alice}, count: 1}, files...).request()
		}},
		{"a package of another group", gate.CodePackage, "package-mismatch", false, func() *escrow.Request {
			return w.access(warrant, accessTerms{}, outsider).request()
		}},
		{"fewer packages than the access names", gate.CodePackage, "", false, func() *escrow.Request {
			a := w.access(warrant, accessTerms{}, w.escrow(alice), w.escrow(alice))
			r := a.request()
			r.Packages = r.Packages[:1]
			return r
		}},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "-"), func(t *testing.T) {
			w.t = t
			r := c.request()
			s.key.forget()
			no := w.wantCode(s, r, c.code)
			if c.part {
				untouched(t, s, escrow.ForNotice)
			} else {
				untouched(t, s)
			}
			t.Log(no)
			if c.reason != "" {
				w.refusedInLog(s, c.reason)
			}
		})
	}
	w.t = t
	if n := len(w.of(s, event.TypeRelease)); n != 0 {
		t.Fatalf("%d releases are in the log", n)
	}
	// All that did no harm: the good one is answered.
	w.refresh(good.logged)
	w.shares(s, good)
}

// otherGroup is a charter whose group has the same gate, and another threshold.
func (w *testbed) otherGroup() *event.Charter {
	ch := *w.charter.env.Event.Body.(*event.Charter)
	ch.Groups = []event.Group{{ID: "main", Threshold: 1, Members: []string{"c1", "c2"}}}
	p := w.newGate("c2").Party()
	ch.Parties = append(slices.Clone(ch.Parties), p)
	return &ch
}

// refusedInLog waits until the log has a refusal for this reason.
func (w *testbed) refusedInLog(s *gateServer, reason string) {
	w.t.Helper()
	eventually(w.t, func() error {
		for _, e := range w.of(s, event.TypeRefusal) {
			if e.Event.Body.(*event.Refusal).Reason == reason {
				return nil
			}
		}
		return errors.New("the log has no refusal for " + reason)
	})
}

// TestRefusalOnce: an access and reason is refused once in the log, and a request
// that proves no access of this group never.
func TestRefusalOnce(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	a := w.access(w.warrant(alice), accessTerms{}, w.escrow(bob))
	for range 3 {
		w.wantCode(s, a.request(), gate.CodeAccount)
	}
	b := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	r := b.request()
	r.WarrantOpenings = a.warrant.openings
	r.Warrant = a.warrant.proof
	w.wantCode(s, r, gate.CodeProof)
	w.refusedInLog(s, "account-mismatch")
	w.shares(s, b)
	if n := len(w.of(s, event.TypeRefusal)); n != 1 {
		t.Fatalf("%d refusals are in the log", n)
	}
}

// TestForm: a body that is no request sealed to this gate gets a 400, and its key is not used.
func TestForm(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	a := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	stranger, err := escrow.GenerateKey(event.KEMX25519)
	check(t, err)
	for name, body := range map[string]func() []byte{
		"empty":     func() []byte { return nil },
		"random":    func() []byte { return bytes.Repeat([]byte{7}, 5000) },
		"other key": func() []byte { b, err := a.request().Seal(origin, stranger.Public()); check(t, err); return b },
		"other log": func() []byte {
			b, err := a.request().Seal("other.example/log", s.key.Public())
			check(t, err)
			return b
		},
		"flipped bit": func() []byte {
			b, err := a.request().Seal(origin, s.key.Public())
			check(t, err)
			b[200] ^= 1
			return b
		},
		"cut off": func() []byte { b, err := a.request().Seal(origin, s.key.Public()); check(t, err); return b[:len(b)-1] },
	} {
		_, err := postTo(s.URL+escrow.RequestPath, escrow.RequestType, body())
		var no *refused
		if !errors.As(err, &no) || no.code != gate.CodeForm || no.status != http.StatusBadRequest {
			t.Errorf("%s: %v", name, err)
		}
		untouched(t, s)
	}
	for name, c := range map[string]struct {
		kind string
		size int
		code gate.Code
	}{"media type": {"text/plain", 10, "media-type"}, "too large": {escrow.RequestType, escrow.MaxRequestSize + 1, "too-large"}} {
		_, err := postTo(s.URL+escrow.RequestPath, c.kind, make([]byte, c.size))
		var no *refused
		if !errors.As(err, &no) || no.code != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestStale: an old but valid head is refused, and answered once it is renewed.
func TestStale(t *testing.T) {
	w := newTestbed(t, 1, 1, func(ch *event.Charter) { ch.Profile.Stale, ch.Profile.Round = 8, 2 })
	w.runAll()
	s := w.gates[0]
	a := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	old := a.request()
	p, err := tlog.ParseProof(old.Access)
	check(t, err)
	v, err := w.policy.Verify(p.Checkpoint, "")
	check(t, err)
	eventually(t, func() error {
		if time.Since(time.Unix(int64(v.LoggedAfter), 0)) <= 9*time.Second {
			return errors.New("the head is not old yet")
		}
		return nil
	})
	s.key.forget()
	t.Log(w.wantCode(s, old, gate.CodeStale))
	untouched(t, s)
	w.refresh(a.logged)
	w.refresh(a.warrant)
	w.shares(s, a)
}

// TestNotTaken: while the log refuses the release, the gate uses no key; once the log takes it, the
// gate answers by the same release.
func TestNotTaken(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	s := w.gates[0]
	s.Config.Timeout = 300 * time.Millisecond
	w.runAll()
	a := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	w.LogServer.Between(func(rw http.ResponseWriter, r *http.Request, h http.Handler) {
		if r.URL.Path == "/events" {
			http.Error(rw, "no", http.StatusServiceUnavailable)
			return
		}
		h.ServeHTTP(rw, r)
	})
	for range 2 {
		t.Log(w.wantCode(s, a.request(), gate.CodeLog))
	}
	untouched(t, s, escrow.ForNotice)
	if n := len(w.of(s, event.TypeRelease)); n != 0 {
		t.Fatalf("%d releases are in the log", n)
	}
	w.LogServer.Between(nil)
	eventually(t, func() error { // the machine may be slower than the gate's patience
		_, err := w.ask(s, a.request())
		return err
	})
	if n := len(w.of(s, event.TypeRelease)); n != 1 {
		t.Fatalf("%d releases are in the log", n)
	}
}

// TestRevoked: a revocation ends the access at once, in the log or handed to the gate while the log
// suppresses it.
func TestRevoked(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	one := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	w.submit(w.sign(&event.Revocation{Warrant: one.warrant.Reference, Reason: "ended", Scope: event.ScopeAll}, "court"), nil)
	t.Log(w.wantCode(s, one.request(), gate.CodeDead))
	untouched(t, s)
	w.refusedInLog(s, "revoked")

	two := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	w.LogServer.Between(func(rw http.ResponseWriter, r *http.Request, h http.Handler) {
		if r.Method == http.MethodPost {
			http.Error(rw, "no", http.StatusServiceUnavailable)
			return
		}
		h.ServeHTTP(rw, r)
	})
	revocation := w.sign(&event.Revocation{Warrant: two.warrant.Reference, Reason: "ended", Scope: event.ScopeAll}, "court")
	forged := w.sign(&event.Revocation{Warrant: two.warrant.Reference, Reason: "ended", Scope: event.ScopeAll}, "messenger")
	if _, err := postTo(s.URL+gate.EventsPath, "application/json", forged.Bytes()); err == nil {
		t.Fatal("a revocation that the court has not signed is taken")
	}
	_, err := postTo(s.URL+gate.EventsPath, "application/json", revocation.Bytes())
	check(t, err)
	w.wantCode(s, two.request(), gate.CodeDead)
	untouched(t, s)
	s.stop()
	w.run(s) // it is remembered
	w.wantCode(s, two.request(), gate.CodeDead)
	untouched(t, s)
	// Once the log takes events again, the gate has the revocation logged.
	w.LogServer.Between(nil)
	eventually(t, func() error {
		for _, e := range w.entries() {
			if e.Hash() == revocation.Hash() {
				return nil
			}
		}
		return errors.New("the revocation is not in the log")
	})
}

// TestRace: a gate does not open an access that is revoked after the release was signed and before
// it is logged. That is no breach.
func TestRace(t *testing.T) {
	w := newTestbed(t, 1, 1, nil)
	w.runAll()
	s := w.gates[0]
	a := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	court := w.sign(&event.Revocation{Warrant: a.warrant.Reference, Reason: "ended", Scope: event.ScopeAll}, "court")
	var first sync.Once // the gate may post its release twice at once: both wait
	w.LogServer.Between(func(rw http.ResponseWriter, r *http.Request, h http.Handler) {
		if r.Method == http.MethodPost {
			first.Do(func() {
				if _, err := postToLog(h, court.Bytes()); err != nil {
					t.Error(err)
				}
			})
		}
		h.ServeHTTP(rw, r)
	})
	s.key.forget()
	t.Log(w.wantCode(s, a.request(), gate.CodeDead))
	untouched(t, s, escrow.ForNotice)
	if n := len(w.of(s, event.TypeRelease)); n != 1 {
		t.Fatalf("%d releases are in the log", n)
	}
	w.LogServer.Between(nil)
	// The chain goes on.
	next := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	_, ref := w.shares(s, next)
	if ref.Index == 0 {
		t.Fatal("no release")
	}
}

// postToLog submits an envelope past whatever stands before the log.
func postToLog(h http.Handler, envelope []byte) (int, error) {
	rec := &sink{header: make(http.Header)}
	req, err := http.NewRequest(http.MethodPost, "/events?wait=sequenced", bytes.NewReader(envelope))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	h.ServeHTTP(rec, req)
	if rec.status != 0 && rec.status != http.StatusAccepted && rec.status != http.StatusOK {
		return rec.status, errors.New(rec.body.String())
	}
	return rec.status, nil
}

type sink struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Write(b []byte) (int, error) { return s.body.Write(b) }

// TestGroup: a gate that is not in the access's group refuses.
func TestGroup(t *testing.T) {
	w := newTestbed(t, 1, 2, func(ch *event.Charter) {
		ch.Groups = []event.Group{{ID: "main", Threshold: 1, Members: []string{"c1"}}, {ID: "rest", Threshold: 1, Members: []string{"c2"}}}
	})
	w.runAll()
	a := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	t.Log(w.wantCode(w.gates[1], a.request(), gate.CodeGroup))
	untouched(t, w.gates[1])
	w.shares(w.gates[0], a)
}

// TestBreach: an open breach bars every gate.
func TestBreach(t *testing.T) {
	w := newTestbed(t, 1, 2, nil)
	w.runAll()
	a := w.access(w.warrant(alice), accessTerms{}, w.escrow(alice))
	// A custodian answers an access that there is not.
	cp, err := w.client.Checkpoint(t.Context())
	check(t, err)
	w.sequence(w.sign(&event.Release{Access: event.Reference{Index: 1, Leaf: [32]byte{1}}, Seq: 1, Notices: []event.Digest{escrow.NoticeDigest([]byte("notice"))},
		Head: event.Head{Size: cp.Checkpoint.Size, Root: event.Digest(cp.Checkpoint.Root)}}, "c2"), [][]byte{[]byte("notice")})
	s := w.gates[0]
	s.key.forget()
	eventually(t, func() error {
		_, err := w.ask(s, a.request())
		var no *refused
		if !errors.As(err, &no) || no.code != gate.CodeBreach {
			return errors.Join(errors.New("want a refusal for a breach"), err)
		}
		return nil
	})
	untouched(t, s)
}

// sequence logs an event with its notices.
func (w *testbed) sequence(env *event.Envelope, notices [][]byte) {
	w.t.Helper()
	sub := event.Submission{Envelope: env, Notices: notices}
	_, err := w.client.Submit(w.t.Context(), &sub, client.WaitCosigned)
	check(w.t, err)
}
