// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package world runs a log, its witnesses, auditors and the gates of custodians over loopback, for
// tests, benchmarks and the demo. Each part is the one that its daemon runs, with a directory
// and an HTTP server of its own.
//
// A world is made in three steps: New opens the servers, so that all URLs are known; Create
// makes the state of log and witnesses; Start runs them. Over the directory of an earlier
// world, New and Start suffice. Gates are added with NewGate, before the charter that names
// their keys is made. Close ends everything; the directory stays.
//
// A world holds the keys of all parties. It protects nothing.
package world

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"k8s.io/klog/v2"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/recover"
	"github.com/vasistas/vasistas/log/tesserax"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/vault"
)

// Config says who takes part, and where their state is.
type Config struct {
	Dir       string         // of all state
	People    *people.People // whose note keys log and witnesses have
	Witnesses []string
	// PostQuantum gives log and witnesses an ML-DSA-44 key, too.
	PostQuantum bool
	Address     string       // of the log; "": a free port of 127.0.0.1
	Logger      *slog.Logger // nil: none
}

// World is a log with its witnesses, gates and auditors. Its methods must not be called concurrently.
type World struct {
	cfg       Config
	LogKeys   []*tlog.Signer
	Witnesses []*Witness
	Gates     []*Gate
	Auditors  []*Auditor
	// Founded is the leaf hash of the first charter. Create sets it; over an earlier
	// world's directory, the caller must before a gate or an auditor is created or started.
	Founded tlog.Hash
	// LogConfig is of the log's next start, which fills in StateDir, Engine, Keys and Vault
	// and, if they are nil, Policy and Logger.
	LogConfig log.Config

	LogServer *Server
	Log       *log.Log     // nil: it does not run
	Vault     *vault.Vault // of the running log

	opened []*Witness // all that Close closes
}

// New returns a world whose servers listen and whose parts do not run.
func New(cfg Config) (_ *World, err error) {
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	w := &World{cfg: cfg}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Close(context.Background()))
		}
	}()
	w.LogKeys = w.noteKeys(cfg.People.Origin, tlog.Ed25519)
	if w.LogServer, err = listen(cfg.Address, cfg.Logger); err != nil {
		return nil, err
	}
	for _, name := range cfg.Witnesses {
		s, err := w.NewWitness(name)
		if err != nil {
			return nil, err
		}
		w.Witnesses = append(w.Witnesses, s)
	}
	return w, nil
}

// noteKeys returns the note keys of a name: one of algorithm a and, if PostQuantum is set, one
// of ML-DSA-44.
func (w *World) noteKeys(name string, a tlog.Algorithm) []*tlog.Signer {
	keys := []*tlog.Signer{w.cfg.People.Note(name, a)}
	if w.cfg.PostQuantum {
		keys = append(keys, w.cfg.People.Note(name, tlog.CosignatureMLDSA44))
	}
	return keys
}

// Path returns a name below the world's directory.
func (w *World) Path(names ...string) string {
	return filepath.Join(append([]string{w.cfg.Dir}, names...)...)
}

func (w *World) statePath() string { return w.Path("log", "state") }

func (w *World) vaultConfig() vault.Config {
	return vault.Config{Dir: w.Path("log", "vault"), Identity: w.Path("keys", "vault.key")}
}

// Created reports whether a directory holds a world whose log was created to the end.
func Created(dir string) (bool, error) {
	_, err := os.Stat(filepath.Join(dir, "log", "state", "log.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Create makes the state of the witnesses and then that of the log, whose first charter is
// the given one.
func (w *World) Create(ctx context.Context, charter *event.Envelope) error {
	for _, s := range w.Witnesses {
		if err := s.Create(); err != nil {
			return err
		}
	}
	for _, dir := range []string{w.Path("log"), w.Path("keys")} {
		if err := durable.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	if err := tesserax.Create(ctx, w.Path("log", "tree")); err != nil {
		return err
	}
	if err := vault.Create(w.vaultConfig()); err != nil {
		return err
	}
	engine, err := w.OpenEngine(ctx)
	if err != nil {
		return err
	}
	w.Founded = charter.LeafHash()
	err = recover.Init(ctx, recover.InitConfig{StateDir: w.statePath(), Engine: engine, Keys: w.LogKeys, Charter: charter.Bytes()})
	return errors.Join(err, engine.Close(ctx))
}

// LogTessera sends the log lines of Tessera, which has one logger for the process, to l instead of
// the standard error. It must not be called while a world runs.
func LogTessera(l *slog.Logger) { klog.SetSlogLogger(l.With("part", "tessera")) }

// OpenEngine opens the log's tree. Only one process may have it open.
func (w *World) OpenEngine(ctx context.Context) (log.Engine, error) {
	return tesserax.Open(ctx, w.Path("log", "tree"))
}

// Start starts the log and the witnesses, and waits until the log admits events. After an error
// some of them run, until Close.
func (w *World) Start(ctx context.Context) error {
	// The log is first: a starting witness asks it whether the witness's own state is the
	// latest. The log admits nothing until enough witnesses have answered.
	if err := w.StartLog(ctx); err != nil {
		return err
	}
	for _, s := range w.Witnesses {
		if err := s.Start(ctx); err != nil {
			return err
		}
	}
	return w.AwaitLog(ctx)
}

// StartLog starts the log.
func (w *World) StartLog(ctx context.Context) (err error) {
	cfg := w.LogConfig
	cfg.StateDir, cfg.Keys = w.statePath(), w.LogKeys
	cfg.Logger = cmp.Or(cfg.Logger, w.cfg.Logger.With("part", "log"))
	if cfg.Policy == nil { // for the URLs only: the charter says who must cosign
		if cfg.Policy, err = w.Policy(0); err != nil {
			return err
		}
	}
	var opened []func() error
	defer func() {
		for _, undo := range opened {
			err = errors.Join(err, undo())
		}
	}()
	if cfg.Vault, err = vault.Open(w.vaultConfig()); err != nil {
		return err
	}
	opened = append(opened, cfg.Vault.Close)
	if cfg.Engine, err = w.OpenEngine(ctx); err != nil {
		return err
	}
	opened = append(opened, func() error { return cfg.Engine.Close(ctx) })
	if w.Log, err = log.Open(ctx, cfg); err != nil {
		return err
	}
	w.Vault, opened = cfg.Vault, nil
	w.LogServer.Serve(w.Log.Handler())
	return nil
}

// AwaitLog waits until the log admits events.
func (w *World) AwaitLog(ctx context.Context) error {
	return Await(ctx, 10*time.Millisecond, func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.LogServer.URL+"/readyz", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			text, err := io.ReadAll(resp.Body)
			return errors.Join(fmt.Errorf("the log is not ready: %s", text), err)
		}
		return nil
	})
}

// StopLog stops the log, if it runs, after it has published what it has admitted or when ctx
// ends.
func (w *World) StopLog(ctx context.Context) error {
	if w.Log == nil {
		return nil
	}
	w.Log.Drain()
	w.LogServer.Serve(nil)
	err := errors.Join(w.Log.Close(ctx), w.Vault.Close())
	w.Log, w.Vault = nil, nil
	return err
}

// Close stops gates, log and witnesses and closes their servers. It gives up on requests that
// are under way when ctx ends.
func (w *World) Close(ctx context.Context) (err error) {
	for _, s := range w.Gates {
		err = errors.Join(err, s.Close(ctx), s.Stop())
	}
	for _, s := range w.Auditors {
		err = errors.Join(err, s.Close(ctx), s.Stop())
	}
	if w.Log != nil {
		w.Log.Drain()
	}
	if w.LogServer != nil {
		err = errors.Join(err, w.LogServer.Close(ctx), w.StopLog(ctx))
	}
	for _, s := range w.opened {
		err = errors.Join(err, s.Close(ctx), s.Stop())
	}
	return err
}

// Policy returns a policy of the log's keys that k of the witnesses meet, with all URLs. A k
// of 0 asks for no witness.
func (w *World) Policy(k int) (*tlog.Policy, error) {
	text := ""
	for _, key := range w.LogKeys {
		text += fmt.Sprintf("log %s %s\n", key.Verifier(), w.LogServer.URL)
	}
	return tlog.ParsePolicy([]byte(text + WitnessPolicy(k, true, w.Witnesses...)))
}
