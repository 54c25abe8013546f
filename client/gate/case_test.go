// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"filippo.io/age"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// logged is an event that is in the log.
type logged struct {
	event.Reference
	env      *event.Envelope
	proof    []byte
	openings *event.Openings
}

func (w *testbed) sign(body event.Body, by ...string) *event.Envelope {
	w.t.Helper()
	return w.signEvent(w.event(body), by...)
}

func (w *testbed) event(body event.Body) *event.Event {
	w.t.Helper()
	ev, err := w.Event(time.Now(), body)
	check(w.t, err)
	return ev
}

func (w *testbed) signEvent(ev *event.Event, by ...string) *event.Envelope {
	w.t.Helper()
	env, err := w.Sign(ev, by...)
	check(w.t, err)
	return env
}

// submit logs an event with its openings.
func (w *testbed) submit(env *event.Envelope, o *event.Openings) *logged {
	w.t.Helper()
	sub := event.Submission{Envelope: env}
	if o != nil {
		o.Event = env.Hash()
		sub.Openings = slices.Clone(o.Public)
	}
	s, err := w.client.Submit(w.t.Context(), &sub, client.WaitCosigned)
	check(w.t, err)
	return &logged{Reference: event.Reference{Index: s.Index, Leaf: s.Leaf}, env: env, proof: s.Proof.Bytes(), openings: o}
}

// refresh gets an event's proof under the present head.
func (w *testbed) refresh(l *logged) {
	w.t.Helper()
	p, err := w.client.Prove(w.t.Context(), l.Index)
	check(w.t, err)
	l.proof = p.Bytes()
}

// seal seals an event and returns its openings.
func (w *testbed) seal(ev *event.Event, public, subject []event.Opening) *event.Openings {
	w.t.Helper()
	o := &event.Openings{Public: append(public, event.Decoy()), Subject: append(subject, event.Decoy())}
	check(w.t, ev.Seal(w.until, o.Public, o.Subject))
	return o
}

// warrant logs a warrant that names accounts.
func (w *testbed) warrant(accounts ...string) *logged {
	w.t.Helper()
	return w.order(func(*event.Warrant) {}, []string{"court"}, accounts...)
}

// grant logs a warrant with this window.
func (w *testbed) grant(from, to time.Time, accounts ...string) *logged {
	w.t.Helper()
	return w.order(func(b *event.Warrant) { b.NotBefore, b.NotAfter = from, to }, []string{"court"}, accounts...)
}

// order logs a warrant that edit has changed, by these authorities.
func (w *testbed) order(edit func(*event.Warrant), by []string, accounts ...string) *logged {
	w.t.Helper()
	now := time.Now().UTC().Truncate(time.Second)
	body := &event.Warrant{Decision: event.Granted, Provider: "messenger", Instrument: "search", Offence: "fraud",
		Accounts: 8, Accesses: 8, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(30 * 24 * time.Hour)}
	edit(body)
	ev := w.event(body)
	subject := []event.Opening{event.NewOpening("case", event.Text("12/26"))}
	for _, a := range accounts {
		subject = append(subject, event.NewOpening("identifier", event.Text(a)))
	}
	o := w.seal(ev, []event.Opening{event.NewOpening("agency", event.Text("police")),
		event.NewOpening("agencyKey", event.Bytes(w.Signer("agency").Public().SPKI())),
		event.NewOpening("grounds", event.Codes("investigation"))}, subject)
	return w.submit(w.signEvent(ev, by...), o)
}

// file is an escrowed file.
type file struct {
	plain   string
	age     []byte
	pkg     *escrow.Package
	account string
	notice  *escrow.SecretKey
}

// escrow escrows a file of an account to the group main of the charter in force.
func (w *testbed) escrow(account string) *file {
	w.t.Helper()
	k, err := escrow.GenerateKey(event.KEMX25519)
	check(w.t, err)
	return w.escrowTo(w.charter.env.Event.Body.(*event.Charter), account, k)
}

func (w *testbed) escrowTo(ch *event.Charter, account string, notice *escrow.SecretKey) *file {
	w.t.Helper()
	f := &file{plain: "the diary of " + account + "\n", account: account, notice: notice}
	group, err := escrow.NewGroup(origin, ch, "main")
	check(w.t, err)
	r, err := escrow.NewRecipient(group, event.KEMX25519, notice.Public(), account)
	check(w.t, err)
	var out bytes.Buffer
	to, err := age.Encrypt(&out, r)
	check(w.t, err)
	_, err = io.WriteString(to, f.plain)
	check(w.t, err)
	check(w.t, to.Close())
	f.age = out.Bytes()
	list, err := escrow.ReadPackages(bytes.NewReader(f.age))
	check(w.t, err)
	f.pkg = list[0]
	return f
}

// asked is an access with all that a request for it needs.
type asked struct {
	*logged
	warrant   *logged // nil in an emergency
	recipient *escrow.SecretKey
	files     []*file
}

// accessTerms are what an access says in place of the defaults.
type accessTerms struct {
	accounts  []string          // default: the files'
	recipient *escrow.SecretKey // default: a new one
	public    *event.HPKEKey    // in the place of its public half
	consent   *escrow.SecretKey // whose key the agency signs for; default: the recipient's
	count     uint64            // of accounts; default: as many as there are
	packages  []event.Digest    // default: the files'
	emergency bool
	by        []string  // default: messenger
	at        time.Time // that the access claims; default: now
	log       string    // that the agency's consent names; default: this one
	data      []string  // categories; default: the warrant's
	refused   string    // by which way the log refuses it; default: it is logged
}

// access logs an access on a warrant, for files.
func (w *testbed) access(warrant *logged, terms accessTerms, files ...*file) *asked {
	w.t.Helper()
	a := &asked{warrant: warrant, files: files, recipient: terms.recipient}
	var err error
	if a.recipient == nil {
		a.recipient, err = escrow.GenerateKey(event.KEMX25519)
		check(w.t, err)
	}
	for _, f := range files {
		if terms.accounts == nil || !slices.Contains(terms.accounts, f.account) && terms.count == 0 {
			terms.accounts = append(terms.accounts, f.account)
		}
		terms.packages = append(terms.packages, f.pkg.Digest())
	}
	if terms.count == 0 {
		terms.count = uint64(len(terms.accounts))
	}
	if terms.consent == nil {
		terms.consent = a.recipient
	}
	body := &event.Access{Group: "main", Recipient: a.recipient.Public(), Accounts: terms.count}
	to := terms.consent.Public()
	if terms.public != nil {
		body.Recipient, to = *terms.public, *terms.public
	}
	public, of := []event.Opening{event.NewOpening("unit", event.Text("legal"))}, event.Digest{}
	if terms.emergency {
		body.Emergency = "life"
		public = append(public, event.NewOpening("agency", event.Text("police")),
			event.NewOpening("agencyKey", event.Bytes(w.Signer("agency").Public().SPKI())))
		terms.by = append(terms.by, "messenger", "duty")
	} else {
		body.Warrant, of = &warrant.Reference, warrant.env.Hash()
		if body.Categories = terms.data; terms.data == nil {
			body.Categories = warrant.env.Event.Body.(*event.Warrant).Categories
		}
	}
	if terms.by == nil {
		terms.by = []string{"messenger"}
	}
	ev := w.event(body)
	if !terms.at.IsZero() {
		ev.Time = terms.at
	}
	msg, err := event.AgencyMessage(cmp.Or(terms.log, origin), of, ev.ID, to)
	check(w.t, err)
	sig, err := w.Signer("agency").Sign(msg)
	check(w.t, err)
	subject := []event.Opening{event.NewOpening("agencySignature", event.Bytes(sig))}
	for _, s := range terms.accounts {
		subject = append(subject, event.NewOpening("account", event.Text(s)))
	}
	for _, d := range terms.packages {
		subject = append(subject, event.NewOpening("package", event.Text(d.String())))
	}
	o := w.seal(ev, public, subject)
	env := w.signEvent(ev, terms.by...)
	if terms.refused != "" {
		o.Event = env.Hash()
		w.logRefuses(&event.Submission{Envelope: env, Openings: o.Public}, terms.refused)
		return nil
	}
	a.logged = w.submit(env, o)
	if warrant != nil {
		w.refresh(warrant)
	}
	return a
}

// request makes the request for an access.
func (a *asked) request() *escrow.Request {
	// Encoding a request sorts its openings in place, and several may do it at once.
	own := func(o *event.Openings) *event.Openings {
		return &event.Openings{Event: o.Event, Public: slices.Clone(o.Public), Subject: slices.Clone(o.Subject)}
	}
	r := &escrow.Request{Access: a.proof, AccessOpenings: own(a.openings)}
	if a.warrant != nil {
		r.Warrant, r.WarrantOpenings = a.warrant.proof, own(a.warrant.openings)
	}
	for _, f := range a.files {
		r.Packages = append(r.Packages, f.pkg)
	}
	return r
}

// refused is a gate's refusal.
type refused struct {
	code   gate.Code
	status int
	detail string
}

func (r *refused) Error() string { return fmt.Sprintf("%d %s: %s", r.status, r.code, r.detail) }

// ask seals a request to a gate and posts it.
func (w *testbed) ask(s *gateServer, r *escrow.Request) ([]byte, error) {
	w.t.Helper()
	b, err := r.Seal(origin, s.key.Public())
	if err != nil {
		return nil, err
	}
	return postTo(s.URL+escrow.RequestPath, escrow.RequestType, b)
}

func postTo(url, kind string, body []byte) ([]byte, error) {
	resp, err := http.Post(url, kind, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK {
		return b, nil
	}
	return nil, problemOf(resp, b)
}

// wantCode asks, and wants a refusal of this code.
func (w *testbed) wantCode(s *gateServer, r *escrow.Request, want gate.Code) *refused {
	w.t.Helper()
	_, err := w.ask(s, r)
	var no *refused
	if !errors.As(err, &no) || no.code != want {
		w.t.Fatalf("got %v; want a refusal of the code %s", err, want)
	}
	return no
}

// shares asks one gate and opens its answer.
func (w *testbed) shares(s *gateServer, a *asked) ([]*escrow.Share, event.Reference) {
	w.t.Helper()
	answer, err := w.ask(s, a.request())
	check(w.t, err)
	return w.openAnswer(s, a, answer)
}

func (w *testbed) openAnswer(s *gateServer, a *asked, answer []byte) ([]*escrow.Share, event.Reference) {
	w.t.Helper()
	var packages []*escrow.Package
	for _, f := range a.files {
		packages = append(packages, f.pkg)
	}
	index := 1 + slices.Index(w.gates, s)
	d := escrow.Delivery{Origin: origin, Access: a.Reference, Recipient: a.recipient.Public()}
	out, err := escrow.OpenAnswer(answer, &d, index, s.Config.Signer.Public(), a.recipient, packages)
	check(w.t, err)
	return out, d.Release
}

// decrypt opens a file with shares.
func (w *testbed) decrypt(f *file, shares ...*escrow.Share) string {
	w.t.Helper()
	key, err := f.pkg.FileKey(shares)
	check(w.t, err)
	r, err := age.Decrypt(bytes.NewReader(f.age), identity(key))
	check(w.t, err)
	b, err := io.ReadAll(r)
	check(w.t, err)
	return string(b)
}

type identity []byte

func (i identity) Unwrap([]*age.Stanza) ([]byte, error) { return i, nil }

// entries returns what the log publishes.
func (w *testbed) entries() []*event.Envelope {
	w.t.Helper()
	cp, err := w.client.Checkpoint(w.t.Context())
	check(w.t, err)
	var out []*event.Envelope
	for n := uint64(0); n*tlog.TileWidth < cp.Checkpoint.Size; n++ {
		list, err := tiles.ReadBundle(w.t.Context(), w.client.Source(), n, cp.Checkpoint.Size)
		check(w.t, err)
		for _, b := range list {
			env, err := event.ParseEnvelope(b)
			check(w.t, err)
			out = append(out, env)
		}
	}
	return out
}

// of returns the events of a type that a gate has signed and the log publishes.
func (w *testbed) of(s *gateServer, kind event.Type) []*event.Envelope {
	w.t.Helper()
	var out []*event.Envelope
	for _, e := range w.entries() {
		if e.Event.Type == kind && e.Signatures[0].KeyID == s.Config.Signer.KeyID() {
			out = append(out, e)
		}
	}
	return out
}
