// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/durable/durabletest"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/event/eventkey"
	"github.com/vasistas/vasistas/log/tesserax"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/vault"
)

// mortal is a log in a process of its own that kills itself at a durable step.
type mortal struct {
	Tree, State, Policy, Provider, Address string
	Keys                                   []string // secrets
	Vault, Identity                        string
	KillAt                                 int64 // the how manieth step; 0: never
}

// TestMortalLog is that process: it does nothing unless TestKillAtEachStep starts it.
func TestMortalLog(t *testing.T) {
	text := os.Getenv("VASISTAS_MORTAL_LOG")
	if text == "" {
		return
	}
	var m mortal
	check(t, json.Unmarshal([]byte(text), &m))
	var steps atomic.Int64
	step := func() {
		if steps.Add(1) == m.KillAt {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
	}
	for _, dir := range []string{m.State, m.Vault, m.Tree} {
		durabletest.Inject(t, dir, func(durable.Op, string) error { step(); return nil })
	}
	kept, err := vault.Open(vault.Config{Dir: m.Vault, Identity: m.Identity})
	check(t, err)
	engine, err := tesserax.Open(t.Context(), m.Tree)
	check(t, err)
	policy, err := tlog.ParsePolicy(must(os.ReadFile(m.Policy)))
	check(t, err)
	provider, err := eventkey.Load(t.Context(), m.Provider)
	check(t, err)
	cfg := log.Config{StateDir: m.State, Engine: stepping{engine, step}, Vault: kept, Provider: provider, Policy: policy,
		Interval: 10 * time.Millisecond, Refresh: 20 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	for _, k := range m.Keys {
		cfg.Keys = append(cfg.Keys, must(tlog.ParseSigner(k)))
	}
	l, err := log.Open(t.Context(), cfg)
	check(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	check(t, durable.WriteFile(m.Address, []byte("http://"+listener.Addr().String()), 0o600))
	t.Fatal(http.Serve(listener, l.Handler())) // until it is killed
}

// stepping counts the writes of an engine as steps too.
type stepping struct {
	log.Engine
	step func()
}

func (s stepping) Add(ctx context.Context, entries [][]byte) (uint64, error) {
	s.step()
	first, err := s.Engine.Add(ctx, entries)
	s.step()
	return first, err
}

func (s stepping) Wait(ctx context.Context, size uint64) error {
	err := s.Engine.Wait(ctx, size)
	s.step()
	return err
}

// mortal starts such a process, and returns how it ends.
func (w *world) mortal(killAt int64) (end <-chan error, kill func()) {
	w.t.Helper()
	dir := w.t.TempDir()
	m := mortal{Tree: w.tree(), State: w.state(), Vault: w.vaultConfig().Dir, Identity: w.vaultConfig().Identity, KillAt: killAt,
		Policy: filepath.Join(dir, "policy"), Provider: filepath.Join(w.keyDir, "provider.pem"), Address: filepath.Join(dir, "address")}
	check(w.t, os.WriteFile(m.Policy, w.policy.Bytes(), 0o600))
	for _, k := range w.keys {
		m.Keys = append(m.Keys, k.Secret())
	}
	text, err := json.Marshal(m)
	check(w.t, err)
	cmd := exec.Command(os.Args[0], "-test.run", "^TestMortalLog$")
	cmd.Env = append(os.Environ(), "VASISTAS_MORTAL_LOG="+string(text))
	var said bytes.Buffer
	cmd.Stderr, cmd.Stdout = &said, &said
	check(w.t, cmd.Start())
	ended := make(chan error, 1)
	gone := make(chan struct{})
	go func() {
		err := cmd.Wait()
		if killed := cmd.ProcessState.Sys().(syscall.WaitStatus); !killed.Signaled() {
			err = fmt.Errorf("%w\n%s", err, &said)
		} else {
			err = nil
		}
		ended <- err
		close(gone)
	}()
	w.t.Cleanup(func() { cmd.Process.Kill(); <-gone })
	eventually(w.t, func() error {
		b, err := os.ReadFile(m.Address)
		w.url = string(b)
		select {
		case <-gone: // before it served
			return nil
		default:
			return err
		}
	})
	return ended, func() { cmd.Process.Kill(); <-gone }
}

// TestKillAtEachStep kills a log at every step between vault, journal, tree, publication
// and disclosure. It checks that no acknowledged event is lost, that what is sealed can
// be disclosed, and that each is disclosed once and not early.
func TestKillAtEachStep(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	w := prepareWorld(t, 1, 1)
	w.tick(begin)
	public, err := eventkey.Generate(eventkey.Ed25519, filepath.Join(w.keyDir, "provider.pem"))
	check(t, err)
	w.provider, err = eventkey.Load(t.Context(), filepath.Join(w.keyDir, "provider.pem"))
	check(t, err)
	if w.provider.KeyID() != public.KeyID() {
		t.Fatal("another key")
	}
	w.profile.Anchor.Within, w.profile.DisclosureGrace = 3600, 60
	w.create()
	sealed := make(map[uint64]time.Time) // by index
	submit := func(until time.Time) {
		s := newWarrant(t, origin, warrantTerms{at: w.now(), until: until}, w.authority)
		if i, err := w.sequence(bytesOf(t, s)); err == nil {
			sealed[i] = until
		}
	}
	killed := 0
	for at := int64(1); at < 135; at += 3 {
		ended, kill := w.mortal(at)
		soon := whole(w.now().Add(2 * time.Second))
		submit(soon)
		submit(soon.Add(time.Hour))
		w.witnessed.Store(soon.Unix()) // it discloses the first, if it lives so long
		alive := w.lives(ended, soon)
		if alive {
			kill()
		} else {
			killed++
		}
		w.whole(sealed)
	}
	if killed < 15 {
		t.Errorf("it was killed at %d steps only", killed)
	}
	t.Logf("killed at %d steps", killed)
	// In the end everything is disclosed.
	w.config.Provider, w.config.Refresh = w.provider, 20*time.Millisecond
	w.start()
	w.pass(w.now().Add(2 * time.Hour))
	eventually(t, func() error {
		if n, want := len(w.of(event.TypeDisclosure)), len(w.of(event.TypeWarrant)); n < want {
			return fmt.Errorf("%d of %d are disclosed", n, want)
		}
		return nil
	})
	w.stop()
	w.whole(sealed)
}

// lives waits until the process ends, and returns false, or until it has disclosed
// everything whose seal ended at a time.
func (w *world) lives(ended <-chan error, at time.Time) bool {
	w.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(20 * time.Second); time.Now().Before(limit); {
		select {
		case err := <-ended:
			check(w.t, err)
			return false
		case <-tick.C:
		}
		if cp, err := overHTTP(w.url).ReadCheckpoint(w.t.Context()); err == nil {
			if head, err := tlog.ParseCheckpoint(cp); err == nil && w.discloses(head, at) {
				return true
			}
		}
	}
	w.t.Fatal("it neither ends nor discloses")
	return false
}

// discloses returns whether the published head ends with a disclosure.
func (w *world) discloses(head *tlog.Checkpoint, at time.Time) bool {
	entries, err := readTail(w.t.Context(), overHTTP(w.url), head.Size)
	if err != nil {
		return false
	}
	for _, e := range entries {
		env, err := event.ParseEnvelope(e)
		if err == nil && env.Event.Type == event.TypeDisclosure && !env.Event.Time.Before(at) {
			return true
		}
	}
	return false
}

// whole checks a log that is not running: its entries, its vault, its disclosures.
func (w *world) whole(sealed map[uint64]time.Time) {
	w.t.Helper()
	provider := w.config.Provider
	w.config.Provider = nil // it only looks
	defer func() { w.config.Provider = provider }()
	w.start()
	defer w.stop()
	w.mustSequence(signedAt(w.t, w.now(), &event.Heartbeat{From: whole(w.now()), To: whole(w.now().Add(time.Second))}, w.custodian).Bytes())
	entries := w.audit() // up to that, which is all
	until := make(map[uint64]*event.Envelope)
	disclosed := make(map[uint64]int)
	for i, e := range entries {
		env, err := event.ParseEnvelope(e)
		check(w.t, err)
		switch body := env.Event.Body.(type) {
		case *event.Warrant:
			until[uint64(i)] = env
		case *event.Disclosure:
			disclosed[body.Event.Index]++
			if of := until[body.Event.Index]; of == nil || env.Event.Time.Before(of.Event.Sealed.Until) {
				w.t.Errorf("entry %d discloses entry %d early", i, body.Event.Index)
			}
			if w.now().Before(until[body.Event.Index].Event.Sealed.Until) {
				w.t.Errorf("entry %d was disclosed before its time came", body.Event.Index)
			}
		}
	}
	for i, env := range until {
		switch n := disclosed[i]; {
		case n > 1:
			w.t.Errorf("entry %d was disclosed %d times", i, n)
		case n == 0 && !w.vault.Has(env.Hash()):
			w.t.Errorf("entry %d is sealed, and the vault has nothing of it (%s)", i, event.Digest(env.Hash()))
		}
	}
	for i := range sealed {
		if until[i] == nil {
			w.t.Errorf("entry %d was acknowledged, and is no warrant", i)
		}
	}
	var kept []string
	for _, h := range w.vault.All() {
		known := false
		for _, env := range until {
			known = known || event.Digest(env.Hash()) == h
		}
		if !known {
			kept = append(kept, h.String())
		}
	}
	if len(kept) > 0 {
		w.t.Errorf("the vault keeps what was never logged: %s", strings.Join(kept, ", "))
	}
}

// readTail returns the last entries of a log, those in the last bundle.
func readTail(ctx context.Context, r tlog.TileReader, size uint64) ([][]byte, error) {
	if size == 0 {
		return nil, nil
	}
	return tiles.ReadBundle(ctx, r, (size-1)/tlog.TileWidth, size)
}
