// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package world

import (
	"github.com/vasistas/vasistas/client/monitor/auditor"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// Auditor is an auditor of the world's log.
type Auditor struct {
	*Server
	Name    string
	Keys    []*tlog.Signer
	Config  auditor.Config   // of Create and the next start, which fill in URL, Founded and LogKeys
	Running *auditor.Auditor // nil: it does not run
	world   *World
}

// NewAuditor adds an auditor, which does not run, to the world. Its event key is that of its name.
func (w *World) NewAuditor(name string) (*Auditor, error) {
	server, err := listen("", w.cfg.Logger)
	if err != nil {
		return nil, err
	}
	s := &Auditor{Server: server, Name: name, Keys: w.noteKeys(w.cfg.People.Witness(name).Verifier().Name, tlog.CosignatureEd25519), world: w}
	s.Config = auditor.Config{Dir: w.Path("auditors", name), CopyDir: w.Path("copies", name), Origin: w.cfg.People.Origin, Name: name, Signers: s.Keys, Metrics: auditor.NewMetrics(),
		Logger: w.cfg.Logger.With("part", "auditor "+name)}
	w.Auditors = append(w.Auditors, s)
	return s, nil
}

// Party returns the auditor as a charter names it.
func (s *Auditor) Party() event.Party {
	p := s.world.cfg.People.Party(event.RoleAuditor, s.Name)
	p.Cosigners = nil
	for _, k := range s.Keys {
		p.Cosigners = append(p.Cosigners, k.Verifier().String())
	}
	return p
}

// AuditPolicy returns the text of a policy that k of the auditors meet. It has the auditors' URLs,
// at which the log asks them, if urls is set.
func AuditPolicy(k int, urls bool, auditors ...*Auditor) string {
	return policy(k, urls, auditors, func(s *Auditor) (string, *Server, []*tlog.Signer) { return s.Name, s.Server, s.Keys })
}

func (s *Auditor) fill() {
	if c := &s.Config; c.URL == "" {
		c.URL, c.Founded, c.LogKeys = s.world.LogServer.URL, s.world.Founded, verifiers(s.world.LogKeys)
	}
}

// Create makes the auditor's state.
func (s *Auditor) Create() error {
	s.fill()
	return auditor.Create(s.Config)
}

// Start starts the auditor.
func (s *Auditor) Start() error {
	s.fill()
	running, err := auditor.Open(s.Config)
	if err != nil {
		return err
	}
	s.Running = running
	s.Running.Start()
	s.Serve(auditor.Handler(s.Running))
	return nil
}

// Stop stops the auditor, if it runs.
func (s *Auditor) Stop() error { return stop(s.Server, &s.Running) }
