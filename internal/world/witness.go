// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package world

import (
	"context"

	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/witness"
)

// Witness is a witness of the world's log.
type Witness struct {
	*Server
	Name    string
	Keys    []*tlog.Signer
	Config  witness.Config   // of the next start
	Running *witness.Witness // nil: it does not run
}

// NewWitness returns a witness of the log's present keys. It does not run, and the log does not
// ask it: it is not in w.Witnesses.
func (w *World) NewWitness(name string) (*Witness, error) {
	server, err := listen("", w.cfg.Logger)
	if err != nil {
		return nil, err
	}
	s := &Witness{Server: server, Name: name, Keys: w.noteKeys(w.cfg.People.Witness(name).Verifier().Name, tlog.CosignatureEd25519)}
	s.Config = witness.Config{Dir: w.Path(name), Signers: s.Keys, Logger: w.cfg.Logger.With("part", name)}
	for _, k := range w.LogKeys {
		s.Config.Logs = append(s.Config.Logs, tlog.PolicyLog{Key: k.Verifier(), URL: w.LogServer.URL})
	}
	w.opened = append(w.opened, s)
	return s, nil
}

// Create makes the witness's state.
func (s *Witness) Create() error { return witness.Create(s.Config.Dir, s.Config) }

// Start starts the witness.
func (s *Witness) Start(ctx context.Context) (err error) {
	if s.Running, err = witness.Open(ctx, s.Config); err != nil {
		return err
	}
	s.run(s.Running.Handler())
	return nil
}

// Stop stops the witness, if it runs.
func (s *Witness) Stop() error {
	if s.Running == nil {
		return nil
	}
	s.run(nil)
	running := s.Running
	s.Running = nil
	return running.Close()
}

// WitnessPolicy returns the text of a policy that k of the witnesses meet, without a log line;
// if k is 0, one without a quorum. It has the witnesses' URLs if urls is set.
func WitnessPolicy(k int, urls bool, witnesses ...*Witness) string {
	var list []people.Witness
	for _, s := range witnesses {
		entry := people.Witness{Name: s.Name}
		if urls {
			entry.URL = s.URL
		}
		for _, key := range s.Keys {
			entry.Keys = append(entry.Keys, key.Verifier())
		}
		list = append(list, entry)
	}
	return people.Policy(k, list...)
}
