// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package world

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/client/monitor/auditor"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/witness"
)

// requestTimeout bounds what a request may wait for.
const requestTimeout = 30 * time.Second

// Server answers at one address until it is closed. The log, witness or gate behind it may
// stop and start again; meanwhile the server cuts off each request.
type Server struct {
	URL     string // without a trailing slash
	http    *http.Server
	handler atomic.Pointer[http.Handler]
	front   atomic.Pointer[Front]
}

// Front answers a request in place of the handler h, or passes it on to h.
type Front func(w http.ResponseWriter, r *http.Request, h http.Handler)

// Listen opens a server that the caller closes, such as that of a monitor.
func (w *World) Listen() (*Server, error) { return listen("", w.cfg.Logger) }

// listen opens a server at an address; "" is a free port of 127.0.0.1.
func listen(address string, logger *slog.Logger) (*Server, error) {
	l, err := net.Listen("tcp", cmp.Or(address, "127.0.0.1:0"))
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	s := &Server{URL: "http://" + l.Addr().String()}
	// A gate's limits suit log and witness, too: a stream extends its deadlines line by line.
	s.http = gate.Server(http.HandlerFunc(s.serve), requestTimeout)
	s.http.ErrorLog = slog.NewLogLogger(logger.Handler(), slog.LevelWarn)
	go s.http.Serve(l) // returns when the server is closed
	return s, nil
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	h, f := s.handler.Load(), s.front.Load()
	switch {
	case h == nil || *h == nil:
		panic(http.ErrAbortHandler)
	case f == nil || *f == nil:
		(*h).ServeHTTP(w, r)
	default:
		(*f)(w, r, *h)
	}
}

// Serve makes h answer at the server's URL. nil: nothing answers.
func (s *Server) Serve(h http.Handler) { s.handler.Store(&h) }

// Between puts f before the handler; nil removes it.
func (s *Server) Between(f Front) { s.front.Store(&f) }

// Close takes no more requests, and waits for those under way until ctx ends.
func (s *Server) Close(ctx context.Context) error {
	if err := s.http.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("waiting for requests under way: %w", err), s.http.Close())
	}
	return nil
}

// Await calls f until it returns nil, with a pause between two calls. When ctx ends, Await
// returns f's last error.
func Await(ctx context.Context, pause time.Duration, f func() error) error {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-tick.C:
		}
	}
}

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
	s.Serve(s.Running.Handler())
	return nil
}

// Stop stops the witness, if it runs.
func (s *Witness) Stop() error { return stop(s.Server, &s.Running) }

// stop ends the service that a server runs, if there is one.
func stop[T any, P interface {
	*T
	io.Closer
}](s *Server, running *P) error {
	p := *running
	if p == nil {
		return nil
	}
	s.Serve(nil)
	*running = nil
	return p.Close()
}

// WitnessPolicy returns the text of a policy that k of the witnesses meet, without a log line;
// if k is 0, one without a quorum. It has the witnesses' URLs if urls is set.
func WitnessPolicy(k int, urls bool, witnesses ...*Witness) string {
	return policy(k, urls, witnesses, func(s *Witness) (string, *Server, []*tlog.Signer) { return s.Name, s.Server, s.Keys })
}

func policy[T any](k int, urls bool, all []T, of func(T) (string, *Server, []*tlog.Signer)) string {
	var list []people.Witness
	for _, s := range all {
		name, server, keys := of(s)
		entry := people.Witness{Name: name, Keys: verifiers(keys)}
		if urls {
			entry.URL = server.URL
		}
		list = append(list, entry)
	}
	return people.Policy(k, list...)
}

func verifiers(keys []*tlog.Signer) (out []*tlog.VerifierKey) {
	for _, k := range keys {
		out = append(out, k.Verifier())
	}
	return out
}

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
	if c := &s.Config; c.URL == "" {
		c.URL, c.Founded, c.LogKeys = s.world.LogServer.URL, s.world.Founded, verifiers(s.world.LogKeys)
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
	s.Serve(s.Running.Handler())
	return nil
}

// Stop stops the gate, if it runs.
func (s *Gate) Stop() error { return stop(s.Server, &s.Running) }

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
