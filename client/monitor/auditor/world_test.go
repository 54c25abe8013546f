// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package auditor_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/internal/world"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/round"
	"github.com/vasistas/vasistas/log/tlog"
)

func TestMain(m *testing.M) {
	world.LogTessera(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

const origin = "log.example/warrants"

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually polls until f returns nil.
func eventually(t testing.TB, f func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	check(t, world.Await(ctx, 20*time.Millisecond, f))
}

// testbed is a log with auditors a1 and so on, whose round the test makes.
type testbed struct {
	*world.World
	*people.People
	t       testing.TB
	client  *client.Client
	round   atomic.Pointer[[]byte] // at /audit/round; nil: 404
	audited atomic.Pointer[[]byte] // at /audit/checkpoint; nil: 404
}

// newTestbed runs a log with n auditors, which do not run, under a charter that edit may change. The
// log asks no auditor, unless the charter has URLs.
func newTestbed(t testing.TB, n int, edit func(*testbed, *event.Charter)) *testbed {
	t.Helper()
	w := &testbed{t: t, People: people.New(origin, "")}
	var err error
	w.World, err = world.New(world.Config{Dir: t.TempDir(), People: w.People, Witnesses: []string{"w1", "w2", "w3"}, PostQuantum: true})
	check(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := w.Close(ctx); err != nil {
			t.Errorf("closing the world: %v", err)
		}
	})
	w.LogConfig.Interval, w.LogConfig.Refresh = 10*time.Millisecond, time.Second
	for i := range n {
		a, err := w.NewAuditor(fmt.Sprintf("a%d", i+1))
		check(t, err)
		a.Config.Poll, a.Config.Timeout = 20*time.Millisecond, 10*time.Second
	}
	first := w.sign(w.People.Charter(func(c *event.Charter) {
		c.Profile, c.WitnessPolicy = people.LongProfile(), world.WitnessPolicy(2, false, w.Witnesses...)
		c.LogKeys = nil
		for _, k := range w.LogKeys {
			c.LogKeys = append(c.LogKeys, k.Verifier().String())
		}
		w.Cast(c, event.RoleCharter, "founder")
		w.Cast(c, event.RoleAuditor)
		for _, a := range w.Auditors {
			c.Parties = append(c.Parties, a.Party())
		}
		c.AuditPolicy = world.AuditPolicy(n, false, w.Auditors...)
		if edit != nil {
			edit(w, c)
		}
	}), "founder")
	check(t, w.Create(t.Context(), first))
	w.LogServer.Between(w.front)
	check(t, w.Start(t.Context()))
	w.reads(2)
	return w
}

// front serves what the test says about rounds.
func (w *testbed) front(rw http.ResponseWriter, r *http.Request, h http.Handler) {
	var b *[]byte
	switch r.URL.Path {
	case "/audit/round":
		b = w.round.Load()
	case "/audit/checkpoint":
		b = w.audited.Load()
	default:
		h.ServeHTTP(rw, r)
		return
	}
	if b == nil {
		http.NotFound(rw, r)
		return
	}
	rw.Write(*b)
}

// name names a head, or nothing.
func (w *testbed) name(cp *tlog.Checkpoint) {
	if cp == nil {
		w.round.Store(nil)
		return
	}
	b := round.New(cp, time.Now(), []round.Answer{}).Bytes()
	w.round.Store(&b)
}

// show shows a head as audited.
func (w *testbed) show(cp *tlog.Checkpoint) {
	b := cp.Bytes()
	w.audited.Store(&b)
}

// head returns the log's published head.
func (w *testbed) head() *tlog.Checkpoint {
	w.t.Helper()
	v, err := w.client.Checkpoint(w.t.Context())
	check(w.t, err)
	return v.Checkpoint
}

func (w *testbed) run(a *world.Auditor) {
	w.t.Helper()
	check(w.t, a.Create())
	check(w.t, a.Start())
}

func (w *testbed) sign(body event.Body, by ...string) *event.Envelope {
	w.t.Helper()
	env, err := w.Signed(time.Now(), body, by...)
	check(w.t, err)
	return env
}

// submit logs an event and returns its reference.
func (w *testbed) submit(env *event.Envelope, openings []event.Opening) event.Reference {
	w.t.Helper()
	s, err := w.client.Submit(w.t.Context(), &event.Submission{Envelope: env, Openings: openings}, client.WaitCosigned)
	check(w.t, err)
	return event.Reference{Index: s.Index, Leaf: s.Leaf}
}

// draft makes a warrant that is sealed until then, with its public openings.
func (w *testbed) draft(until time.Time) *event.Submission {
	w.t.Helper()
	now := time.Now().UTC().Truncate(time.Second)
	ev, err := w.Event(now, &event.Warrant{Decision: event.Granted, Provider: "messenger", Instrument: "search", Offence: "fraud",
		Accounts: 8, Accesses: 8, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour)})
	check(w.t, err)
	open := []event.Opening{event.NewOpening("agency", event.Text("police")), event.NewOpening("agencyKey", event.Bytes(w.Signer("agency").Public().SPKI())),
		event.NewOpening("grounds", event.Codes("investigation")), event.Decoy()}
	hidden := []event.Opening{event.NewOpening("case", event.Text("12/26")), event.NewOpening("identifier", event.Text("alice")), event.Decoy()}
	check(w.t, ev.Seal(until.UTC().Truncate(time.Second), open, hidden))
	env, err := w.Sign(ev, "court")
	check(w.t, err)
	return &event.Submission{Envelope: env, Openings: open}
}

// warrant logs a warrant that is sealed until then, and returns its public openings.
func (w *testbed) warrant(until time.Time) (event.Reference, []event.Opening) {
	w.t.Helper()
	s := w.draft(until)
	return w.submit(s.Envelope, s.Openings), s.Openings
}

// grow logs so many warrants in one stream, and waits until they are published.
func (w *testbed) grow(n int) {
	w.t.Helper()
	submissions := func(yield func([]byte, error) bool) {
		for range n {
			if b, err := w.draft(time.Now().Add(24 * time.Hour)).Bytes(); !yield(b, err) {
				return
			}
		}
	}
	last := uint64(0)
	for r, err := range w.client.SubmitStream(w.t.Context(), submissions, client.WaitSequenced) {
		check(w.t, err)
		check(w.t, r.Err)
		last = max(last, r.Index)
	}
	eventually(w.t, func() error {
		if size := w.head().Size; size <= last {
			return fmt.Errorf("the head has the size %d", size)
		}
		return nil
	})
}

// get reads a resource of the log.
func (w *testbed) get(path string) ([]byte, error) {
	resp, err := http.Get(w.LogServer.URL + path)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return b, err
}

// request returns the body of an add-checkpoint request for a head of the published size, with
// the log's lines only.
func (w *testbed) request(old uint64, cp *tlog.Checkpoint) []byte {
	w.t.Helper()
	only := &tlog.Checkpoint{Head: cp.Head}
	for _, k := range w.LogKeys {
		only.Signatures = append(only.Signatures, *cp.Find(k.Verifier()))
	}
	r := tlog.AddCheckpoint{Old: old, Checkpoint: only}
	if old > 0 && old < cp.Size {
		tree, err := w.client.Tree(client.TreeOptions{})
		check(w.t, err)
		_, err = tree.Update(w.t.Context())
		check(w.t, err)
		r.Proof, err = tree.Consistency(w.t.Context(), old)
		check(w.t, err)
	}
	return r.Bytes()
}

// answer is an answer of an auditor.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (w *testbed) post(a *world.Auditor, body []byte) *answer {
	w.t.Helper()
	resp, err := http.Post(a.URL+"/add-checkpoint", "text/plain", bytes.NewReader(body))
	check(w.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	check(w.t, err)
	return &answer{resp.StatusCode, resp.Header, b}
}

// ask submits a head as a log does: once more if the old size is another one.
func (w *testbed) ask(a *world.Auditor, cp *tlog.Checkpoint) *answer {
	w.t.Helper()
	got := w.post(a, w.request(0, cp))
	if got.status == http.StatusConflict {
		old, err := strconv.ParseUint(strings.TrimSpace(string(got.body)), 10, 64)
		check(w.t, err)
		got = w.post(a, w.request(min(old, cp.Size), cp))
	}
	return got
}

// problem is a problem document of an auditor.
type problem struct {
	Type   string      `json:"type"`
	Status int         `json:"status"`
	Detail string      `json:"detail"`
	Bars   []round.Bar `json:"bars"`
}

// declined returns the problem document by which an auditor declines with a code, or an error.
func (a *answer) declined(code string) (*problem, error) {
	var p problem
	err := json.Unmarshal(a.body, &p)
	if err != nil || a.status != http.StatusServiceUnavailable || p.Status != a.status || p.Type != "urn:vasistas:error:"+code ||
		a.header.Get("Retry-After") == "" || a.header.Get("Content-Type") != "application/problem+json" {
		return nil, fmt.Errorf("want %s: %d %v %s", code, a.status, err, a.body)
	}
	_, err = round.ParseDecline(a.body)
	return &p, err
}

// cosigned adds the lines of an answer to a head, or returns an error.
func (a *answer) cosigned(cp *tlog.Checkpoint) (*tlog.Checkpoint, error) {
	if a.status != http.StatusOK {
		return nil, fmt.Errorf("%d %s", a.status, a.body)
	}
	lines, err := tlog.ParseSignatureLines(a.body)
	if err != nil {
		return nil, err
	}
	out := &tlog.Checkpoint{Head: cp.Head, Signatures: slices.Concat(cp.Signatures, lines)}
	return out, nil
}

// ledger returns the ledger of the log at its published head.
func (w *testbed) ledger() *ledger.Ledger {
	w.t.Helper()
	tree, err := w.client.Tree(client.TreeOptions{})
	check(w.t, err)
	_, err = tree.Update(w.t.Context())
	check(w.t, err)
	l := ledger.New(origin, entries{w.t.Context(), tree})
	for b, err := range tree.Bundles(w.t.Context(), 0) {
		check(w.t, err)
		for i, raw := range b.Entries {
			_, _, err := l.Apply(ledger.Read(b.First+uint64(i), raw))
			check(w.t, err)
		}
	}
	return l
}

type entries struct {
	ctx  context.Context
	tree *client.Tree
}

func (e entries) Entry(index uint64) ([]byte, error)     { return e.tree.Entry(e.ctx, index) }
func (e entries) Root(size uint64) (r [32]byte, _ error) { return e.tree.Root(e.ctx, size) }

// amend logs an amendment, and returns the published head.
func (w *testbed) amend(edit func(*event.Charter)) *tlog.Checkpoint {
	w.t.Helper()
	in := w.ledger().Charter()
	next := *in.Charter
	next.Version, next.Prev = in.Version+1, &event.Reference{Index: in.Index, Leaf: in.Leaf}
	edit(&next)
	w.submit(w.sign(&next, "founder"), nil)
	return w.head()
}

// source reads the log, perhaps wrongly.
type source struct {
	client.Source
	wrong bool
	asked atomic.Int32
}

func (s *source) ReadTile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	s.asked.Add(1)
	b, err := s.Source.ReadTile(ctx, t)
	if s.wrong && err == nil && t.Level == tlog.Entries {
		b[len(b)-1] ^= 1
	}
	return b, err
}

// reads makes the test's client accept heads with the lines of k witnesses.
func (w *testbed) reads(k int) {
	w.t.Helper()
	p, err := w.World.Policy(k)
	check(w.t, err)
	w.client, err = client.New(client.Config{URL: w.LogServer.URL, Policy: p})
	check(w.t, err)
}
