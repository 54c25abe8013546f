// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/internal/world"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/event"
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
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	check(t, world.Await(ctx, 5*time.Millisecond, f))
}

// testbed is a world whose calls end the test if they fail.
type testbed struct {
	*world.World
	*people.People
	t       testing.TB
	gates   []*gateServer
	until   time.Time      // of all seals
	charter *logged        // in force
	policy  *tlog.Policy   // of client
	client  *client.Client // of all who use the log but gates
}

// newTestbed runs a log whose charter, which edit may change, has the group main: threshold of
// n gates, c1 and so on, which do not run.
func newTestbed(t testing.TB, threshold, n int, edit func(*event.Charter)) *testbed {
	t.Helper()
	w := prepare(t, n)
	w.start(threshold, edit)
	return w
}

// prepare makes the parts of newTestbed.
func prepare(t testing.TB, n int) *testbed {
	t.Helper()
	w := &testbed{t: t, People: people.New(origin, ""), until: time.Now().UTC().Truncate(time.Second).Add(30 * 24 * time.Hour)}
	var err error
	w.World, err = world.New(world.Config{Dir: t.TempDir(), People: w.People, Witnesses: []string{"w1", "w2", "w3"}})
	check(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := w.Close(ctx); err != nil {
			t.Errorf("closing the world: %v", err)
		}
	})
	w.LogConfig.Interval, w.LogConfig.Refresh = 10*time.Millisecond, time.Second
	w.LogConfig.Provider = w.Signer("messenger")
	for i := range n {
		w.gates = append(w.gates, w.newGate([]string{"c1", "c2", "c3"}[i]))
	}
	return w
}

// start makes and starts the log.
func (w *testbed) start(threshold int, edit func(*event.Charter)) {
	w.t.Helper()
	ch := w.People.Charter(func(c *event.Charter) {
		c.Profile, c.WitnessPolicy = people.LongProfile(), world.WitnessPolicy(2, false, w.Witnesses...)
		w.Cast(c, event.RoleCharter, "founder")
		w.Cast(c, event.RoleAuditor)
		w.Cast(c, event.RoleCustodian)
		g := event.Group{ID: "main", Threshold: uint64(threshold)}
		for _, s := range w.gates {
			c.Parties, g.Members = append(c.Parties, s.Party()), append(g.Members, s.Name)
		}
		c.Groups = []event.Group{g}
		if edit != nil {
			edit(c)
		}
	})
	first := w.sign(ch, "founder")
	check(w.t, w.Create(w.t.Context(), first))
	w.charter = &logged{Reference: event.Reference{Leaf: w.Founded}, env: first}
	ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Minute)
	defer cancel()
	check(w.t, w.Start(ctx))
	w.connect(w.Witnesses)
}

// connect makes the client, which asks for two of the witnesses.
func (w *testbed) connect(list []*world.Witness) {
	w.t.Helper()
	var err error
	w.policy, err = tlog.ParsePolicy([]byte("log " + w.LogKeys[0].Verifier().String() + "\n" + world.WitnessPolicy(2, true, list...)))
	check(w.t, err)
	w.client, err = client.New(client.Config{URL: w.LogServer.URL, Policy: w.policy})
	check(w.t, err)
}

// newWitnesses runs witnesses that the log does not ask yet.
func (w *testbed) newWitnesses(names ...string) (list []*world.Witness) {
	w.t.Helper()
	for _, name := range names {
		s, err := w.NewWitness(name)
		check(w.t, err)
		check(w.t, s.Create())
		check(w.t, s.Start(w.t.Context()))
		list = append(list, s)
	}
	return list
}

// recover starts the log again with another key and other witnesses, by a recovery that the
// founder has signed.
func (w *testbed) recover(key *tlog.Signer) {
	w.t.Helper()
	check(w.t, w.StopLog(w.t.Context()))
	w.LogKeys = []*tlog.Signer{key}
	w.Witnesses = w.newWitnesses("n1", "n2", "n3")
	next := w.nextCharter()
	next.LogKeys, next.WitnessPolicy = []string{key.Verifier().String()}, world.WitnessPolicy(2, false, w.Witnesses...)
	env := w.sign(next, "founder")
	w.LogConfig.Recovery = env.Bytes()
	check(w.t, w.StartLog(w.t.Context()))
	check(w.t, w.AwaitLog(w.t.Context()))
	w.connect(w.Witnesses)
	w.charter = w.submit(env, nil) // it is logged: this tells where
}

// use is one use of a gate's key.
type use struct {
	gate    string
	purpose escrow.Purpose
}

// recorder is a key holder that records each use and calls look, unless nil, at each.
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

// gateServer is a gate whose key records its uses.
type gateServer struct {
	*world.Gate
	t      testing.TB
	key    *recorder
	faulty bool // stopping it may fail
}

func (w *testbed) newGate(name string) *gateServer {
	w.t.Helper()
	g, err := w.NewGate(name, event.KEMX25519)
	check(w.t, err)
	s := &gateServer{Gate: g, t: w.t, key: &recorder{SecretKey: g.Key, name: name}}
	s.Config.Keys, s.Config.Poll, s.Config.Timeout = []gate.KeyHolder{s.key}, 20*time.Millisecond, 20*time.Second
	w.t.Cleanup(s.stop)
	return s
}

// newTwin returns a second gate of s's keys, over a copy of its state.
func (w *testbed) newTwin(s *gateServer) *gateServer {
	w.t.Helper()
	twin := w.newGate(s.Name)
	dir := twin.Config.Dir + "-twin"
	w.copyState(s.Config.Dir, dir)
	twin.Config.Dir = dir
	return twin
}

// open starts a gate.
func (w *testbed) open(s *gateServer) {
	w.t.Helper()
	check(w.t, s.Start())
}

// run starts a gate and waits until it is ready.
func (w *testbed) run(s *gateServer) {
	w.t.Helper()
	w.open(s)
	eventually(w.t, s.Running.Ready)
}

// runAll makes and starts all gates.
func (w *testbed) runAll() {
	w.t.Helper()
	for _, s := range w.gates {
		check(w.t, s.Create())
		w.run(s)
	}
}

// runUnaudited is runAll for a log whose auditors the test plays: it shows no audited head.
func (w *testbed) runUnaudited() {
	w.t.Helper()
	for _, s := range w.gates {
		check(w.t, s.Create())
		w.open(s)
		eventually(w.t, func() error {
			st, err := s.Running.Status(w.t.Context())
			if err == nil && st.Custodian == "" {
				err = errors.New("no charter yet")
			}
			return err
		})
	}
}

// stop stops the gate. A gate that has met another with its key says so again.
func (s *gateServer) stop() {
	if err := s.Stop(); err != nil && !s.faulty && !errors.Is(err, gate.ErrElsewhere) {
		s.t.Errorf("closing gate %s: %v", s.Name, err)
	}
}
