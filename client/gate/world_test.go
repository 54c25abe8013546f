// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/klog/v2"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tesserax"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/vault"
	"github.com/vasistas/vasistas/witness"
)

func TestMain(m *testing.M) {
	klog.SetSlogLogger(slog.New(slog.DiscardHandler)) // Tessera's
	os.Exit(m.Run())
}

const (
	origin = "log.example/warrants"
	day    = 86400
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually polls until f returns nil, for a minute.
func eventually(t testing.TB, f func() error) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); ; <-tick.C {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("still after a minute: %v", err)
		}
	}
}

func newSigner(t testing.TB) event.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	s, err := event.NewSigner(private)
	check(t, err)
	return s
}

// world is a log with its witnesses and gates, as real servers over real
// directories.
type world struct {
	t         testing.TB
	dir       string
	people    map[string]event.Signer
	logKeys   []*tlog.Signer
	witnesses []*witnessServer
	interval  time.Duration
	until     time.Time // of all seals
	silent    bool      // the provider discloses nothing
	profile   event.Profile
	founding  *event.Envelope
	founded   [32]byte
	charter   *logged // in force
	policy    *tlog.Policy
	client    *client.Client // of whoever uses the log

	log     *log.Log
	vault   *vault.Vault
	web     *httptest.Server
	handler atomic.Pointer[http.Handler] // of the log that runs
	front   atomic.Pointer[func(http.ResponseWriter, *http.Request, http.Handler)]
	gates   []*gateServer
	closed  sync.Once
}

// person returns the event key of a name.
func (w *world) person(name string) event.Signer {
	if w.people[name] == nil {
		w.people[name] = newSigner(w.t)
	}
	return w.people[name]
}

type witnessServer struct {
	*httptest.Server
	key *tlog.Signer
	w   *witness.Witness
}

func (w *world) newWitness(name string) *witnessServer {
	w.t.Helper()
	key, err := tlog.GenerateSigner(name+".example", tlog.CosignatureEd25519)
	check(w.t, err)
	cfg := witness.Config{Dir: filepath.Join(w.t.TempDir(), "witness"), Signers: []*tlog.Signer{key},
		Logs: []tlog.PolicyLog{{Key: w.logKeys[0].Verifier()}}}
	check(w.t, witness.Create(cfg.Dir, witness.Config{Signers: cfg.Signers}))
	s := &witnessServer{key: key}
	s.w, err = witness.Open(w.t.Context(), cfg)
	check(w.t, err)
	s.Server = httptest.NewServer(s.w.Handler())
	w.t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
		check(w.t, s.w.Close())
	})
	return s
}

func policyText(k int, urls bool, witnesses ...*witnessServer) string {
	var b strings.Builder
	var names []string
	for _, s := range witnesses {
		name := strings.TrimSuffix(s.key.Verifier().Name, ".example")
		names = append(names, name)
		fmt.Fprintf(&b, "witness %s %s", name, s.key.Verifier())
		if urls {
			b.WriteString(" " + s.URL)
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "group quorate %d %s\nquorum quorate\n", k, strings.Join(names, " "))
	return b.String()
}

func testProfile() event.Profile {
	within := event.Deadline{Within: 30 * day, Grace: day}
	return event.Profile{
		ID: "test", AccessLife: day, Publication: 1, Inclusion: 3600, Lag: 7 * day, Skew: 60, Stale: 3600,
		Unfulfilled: 30 * day, DisclosureGrace: day,
		Anchor: event.Deadline{Within: 30 * day, Grace: 3600}, Heartbeat: within, MissingRelease: within, Return: within,
		Seal:        event.SealLimit{Default: 30 * day, Longest: 180 * day},
		Deferral:    event.DeferralLimit{Steps: []event.Step{{Signatures: 1, Longest: 90 * day}}},
		Emergency:   &event.Emergency{Open: 8, Accounts: 2, Decision: within, Grounds: []string{"life"}},
		Instruments: []event.Instrument{{Code: "search"}},
		Offences:    []string{"fraud"}, Grounds: []string{"ground"},
		Reasons: []string{"account-mismatch", "breach-open", "ended", "expired", "limits-exceeded", "openings-mismatch", "overdue-bars",
			"package-mismatch", "recipient-mismatch", "revoked", "unreadable"},
		Bars: []string{"anchor", "disclosure", "emergency", "missing-release"},
	}
}

// newWorld makes a log whose charter edit may change, with t of n gates, none of
// which runs.
func newWorld(t testing.TB, threshold, n int, edit func(*event.Charter)) *world {
	t.Helper()
	w := prepareWorld(t)
	w.found(threshold, n, edit)
	return w
}

// newWorldAt is newWorld with another publication interval.
func newWorldAt(t testing.TB, interval time.Duration, threshold, n int) *world {
	t.Helper()
	w := prepareWorld(t)
	w.interval = interval
	w.found(threshold, n, nil)
	return w
}

func prepareWorld(t testing.TB) *world {
	return &world{t: t, dir: t.TempDir(), people: make(map[string]event.Signer), interval: 10 * time.Millisecond, profile: testProfile(),
		until: time.Now().UTC().Truncate(time.Second).Add(30 * 24 * time.Hour)}
}

// found makes and starts the log.
func (w *world) found(threshold, n int, edit func(*event.Charter)) {
	t := w.t
	t.Helper()
	key, err := tlog.GenerateSigner(origin, tlog.Ed25519)
	check(t, err)
	w.logKeys = []*tlog.Signer{key}
	for i := range 3 {
		w.witnesses = append(w.witnesses, w.newWitness(fmt.Sprintf("w%d", i+1)))
	}
	for i := range n {
		w.gates = append(w.gates, w.newGate(fmt.Sprintf("c%d", i+1)))
	}
	ch := w.firstCharter(threshold)
	if edit != nil {
		edit(ch)
	}
	w.profile = ch.Profile
	w.founding = w.sign(ch, "founder")
	w.founded = w.founding.LeafHash()
	w.charter = &logged{Reference: event.Reference{Leaf: w.founded}, env: w.founding}
	w.start()
}

func (w *world) firstCharter(threshold int) *event.Charter {
	party := func(role event.Role, name, key string) event.Party {
		return event.Party{Name: name, Role: role, Keys: []*event.PublicKey{w.person(key).Public()}}
	}
	ch := &event.Charter{Version: 1, Rules: 1, Profile: w.profile,
		Parties: []event.Party{party(event.RoleCharter, "founder", "founder"), party(event.RoleAuthority, "court", "court"),
			party(event.RoleDuty, "court", "duty"), party(event.RoleProvider, "messenger", "messenger")},
		Thresholds:    event.Thresholds{Amend: 1, Recover: 1},
		LogKeys:       []string{w.logKeys[0].Verifier().String()},
		WitnessPolicy: policyText(2, false, w.witnesses...), AuditPolicy: "quorum none\n",
	}
	g := event.Group{ID: "main", Threshold: uint64(threshold)}
	for _, s := range w.gates {
		ch.Parties = append(ch.Parties, s.party())
		g.Members = append(g.Members, s.name)
	}
	ch.Groups = []event.Group{g}
	return ch
}

// start makes the log and runs it.
func (w *world) start() {
	w.t.Helper()
	ctx := w.t.Context()
	tree, state := filepath.Join(w.dir, "tree"), filepath.Join(w.dir, "state")
	check(w.t, tesserax.Create(ctx, tree))
	check(w.t, vault.Create(w.vaultConfig()))
	engine, err := tesserax.Open(ctx, tree, log.DefaultMaxBatch)
	check(w.t, err)
	check(w.t, log.Init(ctx, log.InitConfig{StateDir: state, Engine: engine, Keys: w.logKeys, Charter: w.founding.Bytes()}))
	w.runLog(engine, nil)
	w.web = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		h := *w.handler.Load()
		if f := w.front.Load(); f != nil {
			(*f)(rw, r, h)
			return
		}
		h.ServeHTTP(rw, r)
	}))
	w.t.Cleanup(w.stop)
	w.connect()
}

func (w *world) vaultConfig() vault.Config {
	return vault.Config{Dir: filepath.Join(w.dir, "vault"), Identity: filepath.Join(w.dir, "vault.key")}
}

// runLog opens the log with its present keys and witnesses; recovery, if not nil, takes
// it over to them.
func (w *world) runLog(engine log.Engine, recovery []byte) {
	w.t.Helper()
	text := "log " + w.logKeys[0].Verifier().String() + "\n"
	var err error
	w.policy, err = tlog.ParsePolicy([]byte(text + policyText(2, true, w.witnesses...)))
	check(w.t, err)
	// For URLs only: the charter says who must cosign.
	lines, _, _ := strings.Cut(policyText(2, true, w.witnesses...), "group ")
	urls, err := tlog.ParsePolicy([]byte(text + lines + "quorum none\n"))
	check(w.t, err)
	w.vault, err = vault.Open(w.vaultConfig())
	check(w.t, err)
	provider := w.person("messenger")
	if w.silent {
		provider = nil
	}
	w.log, err = log.Open(w.t.Context(), log.Config{StateDir: filepath.Join(w.dir, "state"), Engine: engine, Vault: w.vault, Policy: urls, Keys: w.logKeys,
		Interval: w.interval, Refresh: time.Second, Provider: provider, Recovery: recovery, Logger: slog.New(slog.DiscardHandler)})
	check(w.t, err)
	h := w.log.Handler()
	w.handler.Store(&h)
}

// connect makes the client of whoever uses the log, and waits for a head.
func (w *world) connect() {
	w.t.Helper()
	var err error
	w.client, err = client.New(client.Config{URL: w.web.URL, Policy: w.policy})
	check(w.t, err)
	eventually(w.t, func() error {
		_, err := w.client.Checkpoint(w.t.Context())
		return err
	})
}

// recover starts the log again with another key and other witnesses, by a recovery
// that the founder has signed.
func (w *world) recover(key *tlog.Signer) {
	w.t.Helper()
	w.closeLog()
	w.logKeys = []*tlog.Signer{key}
	for i := range w.witnesses {
		w.witnesses[i] = w.newWitness(fmt.Sprintf("n%d", i+1))
	}
	next := *w.charter.env.Event.Body.(*event.Charter)
	ref := w.charter.Reference
	next.Version, next.Prev = next.Version+1, &ref
	next.LogKeys, next.WitnessPolicy = []string{key.Verifier().String()}, policyText(2, false, w.witnesses...)
	env := w.sign(&next, "founder")
	engine, err := tesserax.Open(w.t.Context(), filepath.Join(w.dir, "tree"), log.DefaultMaxBatch)
	check(w.t, err)
	w.runLog(engine, env.Bytes())
	w.connect()
	w.charter = w.submit(env, nil) // it is logged: this tells where
}

// between stands between everybody and the log; nil takes it away.
func (w *world) between(f func(rw http.ResponseWriter, r *http.Request, h http.Handler)) {
	if f == nil {
		w.front.Store(nil)
		return
	}
	w.front.Store(&f)
}

func (w *world) stop() {
	w.closed.Do(func() {
		w.log.Drain()
		w.web.CloseClientConnections()
		w.web.Close()
		w.closeLog()
	})
}

func (w *world) closeLog() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	w.log.Drain()
	if err := w.log.Close(ctx); err != nil {
		w.t.Logf("closing the log: %v", err)
	}
	check(w.t, w.vault.Close())
}

// use is one use of a gate's key.
type use struct {
	gate    string
	purpose escrow.Purpose
}

// recorder is a key holder that records each use, and may look around at one.
type recorder struct {
	*escrow.SecretKey
	name string
	mu   sync.Mutex
	uses []use
	look func(escrow.Purpose)
}

func (r *recorder) Open(p escrow.Purpose, info, sealed []byte) ([]byte, error) {
	r.mu.Lock()
	r.uses = append(r.uses, use{r.name, p})
	look := r.look
	r.mu.Unlock()
	if look != nil {
		look(p)
	}
	return r.SecretKey.Open(p, info, sealed)
}

// count returns how often the key was used for a purpose.
func (r *recorder) count(p escrow.Purpose) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, u := range r.uses {
		if u.purpose == p {
			n++
		}
	}
	return n
}

func (r *recorder) forget() {
	r.mu.Lock()
	r.uses = nil
	r.mu.Unlock()
}

// gateServer is a gate with its keys and its server.
type gateServer struct {
	name   string
	signer event.Signer
	key    *recorder
	cfg    gate.Config // of the next start
	faulty bool        // closing it may fail

	g    *gate.Gate
	web  *http.Server
	url  string
	stop func()
}

func (w *world) newGate(name string) *gateServer {
	w.t.Helper()
	k, err := escrow.GenerateKey(event.KEMX25519)
	check(w.t, err)
	s := &gateServer{name: name, signer: w.person(name), key: &recorder{SecretKey: k, name: name}}
	s.cfg = gate.Config{Dir: filepath.Join(w.dir, "gate-"+name), Origin: origin, Signer: s.signer, Keys: []gate.KeyHolder{s.key},
		Poll: 20 * time.Millisecond, Timeout: 20 * time.Second}
	return s
}

func (s *gateServer) party() event.Party {
	return event.Party{Name: s.name, Role: event.RoleCustodian, Keys: []*event.PublicKey{s.signer.Public()}, Gates: []event.HPKEKey{s.key.Public()}}
}

// create makes the gate's state.
func (w *world) create(s *gateServer) {
	w.t.Helper()
	s.cfg.URL, s.cfg.Founded, s.cfg.LogKeys = w.web.URL, w.founded, []*tlog.VerifierKey{w.logKeys[0].Verifier()}
	check(w.t, gate.Create(s.cfg))
}

// run starts a gate and its server, and waits until it is ready.
func (w *world) run(s *gateServer) {
	w.t.Helper()
	w.open(s)
	eventually(w.t, s.g.Ready)
}

// open starts a gate and its server.
func (w *world) open(s *gateServer) {
	w.t.Helper()
	g, err := gate.Open(s.cfg)
	check(w.t, err)
	s.g = g
	g.Start()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(w.t, err)
	s.url = "http://" + l.Addr().String()
	s.web = gate.Server(g.Handler(), s.cfg.Timeout)
	go s.web.Serve(l)
	var once sync.Once
	s.stop = func() {
		once.Do(func() {
			s.web.Close()
			// A gate that has found out about another says so again.
			if err := g.Close(); err != nil && !s.faulty && !errors.Is(err, gate.ErrElsewhere) {
				w.t.Errorf("closing gate %s: %v", s.name, err)
			}
		})
	}
	w.t.Cleanup(s.stop)
}

// runAll makes and starts all gates.
func (w *world) runAll() {
	w.t.Helper()
	for _, s := range w.gates {
		w.create(s)
		w.run(s)
	}
}
