// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package world

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
)

// Gate is the gate of a custodian.
type Gate struct {
	*Server
	Name    string
	Key     *escrow.SecretKey
	Config  gate.Config // of Create and the next start, which fill in URL, Founded and LogKeys
	Running *gate.Gate  // nil: it does not run
	world   *World
}

// NewGate adds a gate, which does not run, to the world. Its event key is that of its name;
// its own key is read from a file, which is made if it is missing.
func (w *World) NewGate(name string, kem event.KEM) (*Gate, error) {
	key, err := gateKey(w.Path("keys", "custodians"), name, kem)
	if err != nil {
		return nil, err
	}
	server, err := listen("", w.cfg.Logger)
	if err != nil {
		return nil, err
	}
	s := &Gate{Server: server, Name: name, Key: key, world: w}
	s.Config = gate.Config{Dir: w.Path("gates", name), Origin: w.cfg.People.Origin, Signer: w.cfg.People.Signer(name),
		Keys: []gate.KeyHolder{key}, Logger: w.cfg.Logger.With("part", "gate "+name)}
	w.Gates = append(w.Gates, s)
	return s, nil
}

func gateKey(dir, name string, kem event.KEM) (*escrow.SecretKey, error) {
	file := filepath.Join(dir, name+".gate")
	b, err := os.ReadFile(file)
	if err == nil {
		return escrow.ParseSecretKey(b)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	key, err := escrow.GenerateKey(kem)
	if err != nil {
		return nil, err
	}
	if b, err = key.Bytes(); err != nil {
		return nil, err
	}
	return key, errors.Join(durable.MkdirAll(dir, 0o700), durable.CreateFile(file, b, 0o600))
}

// Party returns the custodian as a charter names it.
func (s *Gate) Party() event.Party {
	p := s.world.cfg.People.Party(event.RoleCustodian, s.Name)
	p.Gates = []event.HPKEKey{s.Key.Public()}
	return p
}

func (s *Gate) fill() {
	if s.Config.URL != "" {
		return
	}
	s.Config.URL, s.Config.Founded = s.world.LogServer.URL, s.world.Founded
	for _, k := range s.world.LogKeys {
		s.Config.LogKeys = append(s.Config.LogKeys, k.Verifier())
	}
}

// Create makes the gate's state.
func (s *Gate) Create() error {
	s.fill()
	return gate.Create(s.Config)
}

// Start starts the gate. It is ready when Running.Ready returns nil.
func (s *Gate) Start() (err error) {
	s.fill()
	if s.Running, err = gate.Open(s.Config); err != nil {
		return err
	}
	s.Running.Start()
	s.run(s.Running.Handler())
	return nil
}

// Stop stops the gate, if it runs.
func (s *Gate) Stop() error {
	if s.Running == nil {
		return nil
	}
	s.run(nil)
	running := s.Running
	s.Running = nil
	return running.Close()
}
