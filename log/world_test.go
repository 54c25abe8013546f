// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/linger/lingertest"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/vault"
	"github.com/vasistas/vasistas/witness"
)

const origin = "log.example/warrants"

// world is a log with its witnesses, as real servers over real directories.
type world struct {
	t      testing.TB
	dir    string
	keyDir string // of the vault's key, apart from the rest as it should be
	*people.People
	parties
	profile   event.Profile
	extra     func(*event.Charter) // changes charters further; or nil
	keys      []*tlog.Signer
	witnesses []*witnessServer
	quorum    int             // of the witnesses
	founding  *event.Envelope // entry 0
	witnessed *atomic.Int64   // the witnesses' clock, POSIX seconds, if not 0; see tick
	policy    *tlog.Policy
	binary    string     // of the log's processes; empty: it is built
	config    log.Config // of the next start; StateDir, Engine, Keys and Policy are filled in
	// wrap, if not nil, stands between the log and its engine from the next start.
	wrap  func(log.Engine) log.Engine
	seen  *sightings
	grace time.Duration // for closing
	spare time.Duration // of the vault; see vault.Config

	log   *log.Log
	vault *vault.Vault
	url   string // of the running log
	web   *httptest.Server
}

// newWorld makes a log and n witnesses, k of which must cosign. The log is not
// started.
func newWorld(t testing.TB, k, n int) *world {
	t.Helper()
	w := prepareWorld(t, k, n)
	w.create()
	return w
}

// prepareWorld is newWorld before the log is created.
func prepareWorld(t testing.TB, k, n int) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), witnessed: new(atomic.Int64), keyDir: t.TempDir(), seen: newSightings(), People: people.New(origin, ""), profile: people.LongProfile()}
	w.parties = parties{w.Signer("founder"), w.Signer("court"), w.Signer("messenger"), w.Signer("holder"), w.Signer("duty"), w.Signer("watchdog")}
	w.config.Interval, w.grace = 10*time.Millisecond, 2*time.Second
	for _, a := range []tlog.Algorithm{tlog.Ed25519, tlog.CosignatureMLDSA44} {
		w.keys = append(w.keys, w.Note(origin, a))
	}
	w.setWitnesses(k, n)
	w.leave()
	return w
}

// leave renames the tree at the end of the test: Tessera can make its lock file again for a moment
// after an engine was closed, in a directory that has still its name.
func (w *world) leave() {
	tree := w.tree()
	w.t.Cleanup(func() { os.Rename(tree, tree+".gone") })
}

func (w *world) tree() string  { return filepath.Join(w.dir, "tree") }
func (w *world) state() string { return filepath.Join(w.dir, "state") }

// copy returns a world of the same log and witnesses over a copy of its
// directories.
func (w *world) copy(t testing.TB) *world {
	t.Helper()
	c := *w
	c.t, c.dir, c.log = t, t.TempDir(), nil
	c.leave()
	copyDir(t, w.tree(), c.tree())
	copyDir(t, w.state(), c.state())
	copyDir(t, w.vaultConfig().Dir, c.vaultConfig().Dir)
	return &c
}

// clone returns a copy of the whole world: the log, its witnesses, and what was
// seen. The log must not be running.
func (w *world) clone(t testing.TB, k int) *world {
	t.Helper()
	c := w.copy(t)
	c.seen = w.seen.clone()
	c.witnesses = nil
	for _, s := range w.witnesses {
		dir := filepath.Join(t.TempDir(), "witness")
		copyDir(t, s.dir, dir)
		c.witnesses = append(c.witnesses, openWitness(t, dir, s.key, w.keys, c.seen))
	}
	c.setPolicy(k)
	return c
}

// setWitnesses starts n witnesses and makes the policy that k of them meet.
func (w *world) setWitnesses(k, n int) {
	w.t.Helper()
	for i := range n {
		w.witnesses = append(w.witnesses, newWitness(w.t, fmt.Sprintf("witness%d.example", i+1), w.keys, w.seen))
	}
	w.setPolicy(k)
}

// setPolicy makes the policy that k of the witnesses meet.
func (w *world) setPolicy(k int) {
	w.t.Helper()
	w.quorum = k
	var err error
	w.policy, err = tlog.ParsePolicy([]byte(fmt.Sprintf("log %s\n", w.keys[0].Verifier()) + policyOf(w.witnesses, k, true)))
	check(w.t, err)
}

// witnessServer is a witness that can be cut off, slowed down, or made to lie.
type witnessServer struct {
	*httptest.Server
	key *tlog.Signer
	dir string
	lie atomic.Pointer[lie]
}

// lie answers a request instead of the witness, which is h.
type lie func(w http.ResponseWriter, r *http.Request, h http.Handler)

// answer makes the witness answer by l, or honestly again if it is nil.
func (s *witnessServer) answer(l lie) {
	if l == nil {
		s.lie.Store(nil)
		return
	}
	s.lie.Store(&l)
}

// down is the lie of a witness that is not there.
func down(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }

func newWitness(t testing.TB, name string, logKeys []*tlog.Signer, seen *sightings) *witnessServer {
	t.Helper()
	key, err := tlog.GenerateSigner(name, tlog.CosignatureEd25519)
	check(t, err)
	dir := filepath.Join(t.TempDir(), "witness")
	check(t, witness.Create(dir, witnessConfig(dir, key, logKeys)))
	return openWitness(t, dir, key, logKeys, seen)
}

func witnessConfig(dir string, key *tlog.Signer, logKeys []*tlog.Signer) witness.Config {
	cfg := witness.Config{Dir: dir, Signers: []*tlog.Signer{key}}
	for _, k := range logKeys {
		if k.Verifier().Algorithm == tlog.Ed25519 {
			cfg.Logs = append(cfg.Logs, tlog.PolicyLog{Key: k.Verifier()})
		}
	}
	return cfg
}

func openWitness(t testing.TB, dir string, key *tlog.Signer, logKeys []*tlog.Signer, seen *sightings) *witnessServer {
	t.Helper()
	wit, err := witness.Open(t.Context(), witnessConfig(dir, key, logKeys))
	check(t, err)
	h := seen.watch(wit.Handler())
	s := &witnessServer{key: key, dir: dir}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l := s.lie.Load(); l != nil {
			(*l)(w, r, h)
			return
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
		check(t, wit.Close())
	})
	return s
}

// open starts the log, and returns the error of log.Open.
func (w *world) open() error {
	w.t.Helper()
	engine, err := w.openTree()
	if err != nil {
		return err
	}
	if w.wrap != nil {
		engine = w.wrap(engine)
	}
	if w.vault, err = vault.Open(w.vaultConfig()); err != nil {
		return errors.Join(err, engine.Close(w.t.Context()))
	}
	cfg := w.config
	cfg.StateDir, cfg.Engine, cfg.Vault, cfg.Policy = w.state(), engine, w.vault, w.policy
	if cfg.Keys == nil {
		cfg.Keys = w.keys
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	l, err := log.Open(w.t.Context(), cfg)
	if err != nil {
		return errors.Join(err, engine.Close(w.t.Context()), w.vault.Close())
	}
	w.log = l
	w.web = lingertest.NewServer(l.Handler())
	w.url = w.web.URL
	return nil
}

// start opens the log and waits until it admits events.
func (w *world) start() {
	w.t.Helper()
	w.mustOpen()
	w.ready()
}

// mustOpen opens the log, and closes it when the test ends.
func (w *world) mustOpen() {
	w.t.Helper()
	eventually(w.t, func() error {
		err := w.open()
		if err != nil && !errors.Is(err, durable.ErrLocked) {
			w.t.Fatal(err)
		}
		// A process that another test is just starting holds all locks of this one for
		// a moment.
		return err
	})
	w.t.Cleanup(w.stop)
}

// refuses checks that the log does not open, for the reason that is wanted and
// with a text that says what to do.
func (w *world) refuses(want error, says string) {
	w.t.Helper()
	err := w.open()
	if err == nil {
		w.stop()
		w.t.Fatalf("the log opened; want %v", want)
	}
	if !errors.Is(err, want) {
		w.t.Fatalf("the log refused with %v; want %v", err, want)
	}
	if !strings.Contains(err.Error(), says) {
		w.t.Fatalf("the log refused with %q, which does not say %q", err, says)
	}
}

// ready waits until the log is ready.
func (w *world) ready() {
	w.t.Helper()
	eventually(w.t, func() error {
		status, body := w.get("/readyz")
		if status != http.StatusOK {
			return fmt.Errorf("not ready: %s", body)
		}
		return nil
	})
}

// stop closes the log, if it runs.
func (w *world) stop() {
	if w.log == nil {
		return
	}
	w.log.Drain()
	w.web.Close()
	ctx, cancel := context.WithTimeout(context.Background(), w.grace)
	defer cancel()
	if err := w.log.Close(ctx); err != nil {
		w.t.Logf("closing: %v", err)
	}
	check(w.t, w.vault.Close())
	w.log = nil
}

// warrant returns a fresh, signed, sealed warrant.
func (w *world) warrant() []byte {
	w.t.Helper()
	return warrant(w.t, origin, w.authority)
}

func (w *world) warrants(n int) [][]byte {
	w.t.Helper()
	out := make([][]byte, n)
	for i := range out {
		out[i] = w.warrant()
	}
	return out
}

func warrant(t testing.TB, origin string, signers ...event.Signer) []byte {
	t.Helper()
	return bytesOf(t, newWarrant(t, origin, warrantTerms{}, signers...))
}

func (w *world) get(path string) (status int, body []byte) {
	w.t.Helper()
	resp, err := http.Get(w.url + path)
	check(w.t, err)
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	check(w.t, err)
	return resp.StatusCode, body
}

func (w *world) post(query, kind string, body []byte) (resp *http.Response, answer []byte) {
	w.t.Helper()
	resp, answer, err := post(w.url+"/events"+query, kind, body)
	check(w.t, err)
	return resp, answer
}

func post(url, kind string, body []byte) (resp *http.Response, answer []byte, err error) {
	if resp, err = http.Post(url, kind, bytes.NewReader(body)); err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	return resp, answer, err
}

// append submits an entry and verifies the proof that comes back.
func (w *world) append(entry []byte) *tlog.Proof {
	w.t.Helper()
	p, err := w.submit(entry)
	check(w.t, err)
	return p
}

// submit is append for goroutines.
func (w *world) submit(entry []byte) (*tlog.Proof, error) {
	resp, answer, err := post(w.url+"/events", "application/json", entry)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusCreated && resp.StatusCode != http.StatusOK {
		return nil, problemOf(resp, answer)
	}
	p, err := tlog.ParseProof(answer)
	if err != nil {
		return nil, err
	}
	if header := resp.Header.Get("Vasistas-Index"); header != strconv.FormatUint(p.Index, 10) {
		return nil, fmt.Errorf("the header says %q, the proof %d", header, p.Index)
	}
	w.seen.acknowledged(p.Index, p.Extra)
	return p, w.verify(p)
}

// sequence submits an entry with wait=sequenced, and returns its index.
func (w *world) sequence(entry []byte) (uint64, error) {
	resp, answer, err := post(w.url+"/events?wait=sequenced", "application/json", entry)
	if err != nil {
		return 0, err
	}
	if resp.StatusCode != http.StatusAccepted && resp.StatusCode != http.StatusOK {
		return 0, problemOf(resp, answer)
	}
	var line struct {
		Index *uint64
		Leaf  []byte
	}
	if err := json.Unmarshal(answer, &line); err != nil || line.Index == nil || len(line.Leaf) != 32 {
		return 0, fmt.Errorf("%s: %v", answer, err)
	}
	if leaf := tiles.LeafHash(entryOf(entry)); !bytes.Equal(line.Leaf, leaf[:]) {
		return 0, fmt.Errorf("the leaf hash is another: %s", answer)
	}
	w.seen.acknowledged(*line.Index, entryOf(entry))
	return *line.Index, nil
}

func (w *world) mustSequence(entry []byte) uint64 {
	w.t.Helper()
	i, err := w.sequence(entry)
	check(w.t, err)
	return i
}

// problem is an answer that is not success.
type problem struct {
	status    int
	code      string
	Type      string
	Title     string
	Status    int
	Detail    string
	Index     *uint64
	Rule      string
	Way       string
	Cure      string
	Reference *struct {
		Index uint64
		Leaf  string
	}
	retryAfter string
}

func (p *problem) Error() string { return fmt.Sprintf("%d %s: %s", p.status, p.code, p.Detail) }

func problemOf(resp *http.Response, answer []byte) error {
	if kind := resp.Header.Get("Content-Type"); kind != "application/problem+json" {
		return fmt.Errorf("%s of type %s: %s", resp.Status, kind, answer)
	}
	p := &problem{status: resp.StatusCode, retryAfter: resp.Header.Get("Retry-After")}
	d := json.NewDecoder(bytes.NewReader(answer))
	d.DisallowUnknownFields()
	if err := d.Decode(p); err != nil {
		return err
	}
	code, ok := strings.CutPrefix(p.Type, "urn:vasistas:error:")
	if !ok || p.Status != p.status || p.Title == "" || p.Detail == "" {
		return fmt.Errorf("not the problem that its status says: %s: %s", resp.Status, answer)
	}
	p.code = code
	return p
}

// isProblem returns whether err is a problem of the code.
func isProblem(err error, code string) bool {
	var p *problem
	return errors.As(err, &p) && p.code == code
}

// verify verifies a proof of this log offline.
func (w *world) verify(p *tlog.Proof) error {
	cp := p.Checkpoint
	w.seen.head(cp)
	if len(cp.Signatures) > 16 {
		return fmt.Errorf("%d signature lines", len(cp.Signatures))
	}
	if _, err := w.policy.Verify(cp, ""); err != nil {
		return err
	}
	return tiles.VerifyInclusion(p.Index, tiles.LeafHash(p.Extra), cp.Size, cp.Root, p.Hashes)
}

func (w *world) checkpoint() *tlog.Checkpoint {
	w.t.Helper()
	status, b := w.get("/checkpoint")
	if status != http.StatusOK {
		w.t.Fatalf("GET /checkpoint: %d: %s", status, b)
	}
	cp, err := tlog.ParseCheckpoint(b)
	check(w.t, err)
	if _, err := w.policy.Verify(cp, ""); err != nil {
		w.t.Fatal(err)
	}
	w.seen.head(cp)
	return cp
}

// published waits until the published checkpoint has the size.
func (w *world) published(size uint64) {
	w.t.Helper()
	eventually(w.t, func() error {
		if cp := w.checkpoint(); cp.Size < size {
			return fmt.Errorf("published: %d of %d", cp.Size, size)
		}
		return nil
	})
}

// sequencedUp waits until the engine's tree has the size.
func (w *world) sequencedUp(size uint64) {
	w.t.Helper()
	eventually(w.t, func() error {
		if os.Getenv(trillianVar) != "" {
			return w.trillianUp(size)
		}
		b, err := os.ReadFile(filepath.Join(w.tree(), ".state", "treeState"))
		var state struct{ Size uint64 }
		if err == nil {
			err = json.Unmarshal(b, &state)
		}
		if err == nil && state.Size < size {
			err = fmt.Errorf("sequenced: %d of %d", state.Size, size)
		}
		return err
	})
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// metric returns the value of a metric, named with its labels; 0: the text lacks it.
func metric(text []byte, name string) (value float64) {
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, name+" "); ok {
			value, _ = strconv.ParseFloat(strings.TrimSpace(v), 64)
		}
	}
	return value
}

// eventually polls until f returns nil.
func eventually(t testing.TB, f func() error) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(5 * time.Minute); ; <-tick.C {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("still after five minutes: %v", err)
		}
	}
}

// copyDir copies a directory, as a backup would. A closed tree's library may still replace a
// file, so that one vanishes while it is copied: then copyDir begins again.
func copyDir(t testing.TB, from, to string) {
	t.Helper()
	eventually(t, func() error {
		check(t, os.RemoveAll(to))
		err := os.CopyFS(to, os.DirFS(from))
		if !errors.Is(err, fs.ErrNotExist) {
			check(t, err)
		}
		return err
	})
}
