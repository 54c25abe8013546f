// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"sync/atomic"
	"time"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// The group of custodians whose gates run here.
const (
	gateGroup     = "gates"
	numGates      = 3
	gateThreshold = 2
	gateKeySuffix = ".gate"
)

func gateName(i int) string { return fmt.Sprintf("custodian%d", i+1) }

// gateServer is a custodian's gate with its server.
type gateServer struct {
	name string
	key  *escrow.SecretKey
	g    *gate.Gate
	url  string
}

// wire stands between the gates and the log, and can be cut for what is submitted.
type wire struct {
	cut atomic.Bool
	url string
}

// loadGateKey loads the key of a custodian's gate, or makes it.
func (w *world) loadGateKey(name string) (*escrow.SecretKey, error) {
	file := w.path("keys", "custodians", name+gateKeySuffix)
	b, err := os.ReadFile(file)
	if err == nil {
		return escrow.ParseSecretKey(b)
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	k, err := escrow.GenerateKey(event.KEMMLKEMX25519)
	if err != nil {
		return nil, err
	}
	if b, err = k.Bytes(); err != nil {
		return nil, err
	}
	return k, durable.CreateFile(file, b, 0o600)
}

// startGates starts the wire and the gates, and waits until they are ready.
func (w *world) startGates(ctx context.Context, charter []byte) ([]*gateServer, *wire, error) {
	line, err := w.startWire()
	if err != nil {
		return nil, nil, err
	}
	var out []*gateServer
	for i := range numGates {
		name := gateName(i)
		s, err := w.startGate(name, w.signers.custodians[name], w.path("gates", name), line.url, charter)
		if err != nil {
			return nil, nil, fmt.Errorf("the gate of %s: %w", name, err)
		}
		out = append(out, s)
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for _, s := range out {
		for s.g.Ready() != nil {
			select {
			case <-ctx.Done():
				return nil, nil, fmt.Errorf("the gate of %s does not get ready: %w", s.name, s.g.Ready())
			case <-tick.C:
			}
		}
	}
	return out, line, nil
}

// gateConfig is how a gate follows the log: by the log's key and the first charter,
// and nothing else.
func (w *world) gateConfig(signer event.Signer, key *escrow.SecretKey, dir, logURL string, charter []byte) (gate.Config, error) {
	env, err := event.ParseEnvelope(charter)
	if err != nil {
		return gate.Config{}, err
	}
	c := gate.Config{Dir: dir, URL: logURL, Origin: origin, Founded: env.LeafHash(), Signer: signer, Keys: []gate.KeyHolder{key},
		Poll: 250 * time.Millisecond, Timeout: 10 * time.Second, Logger: w.logger.With("part", "gate")}
	for _, k := range w.log.keys {
		c.LogKeys = append(c.LogKeys, k.Verifier())
	}
	return c, nil
}

func (w *world) startGate(name string, signer event.Signer, dir, logURL string, charter []byte) (*gateServer, error) {
	key, err := w.loadGateKey(name)
	if err != nil {
		return nil, err
	}
	c, err := w.gateConfig(signer, key, dir, logURL, charter)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		if err := gate.Create(c); err != nil {
			return nil, err
		}
	}
	g, err := gate.Open(c)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, g.Close())
	}
	g.Start()
	server := gate.Server(g.Handler(), c.Timeout)
	go server.Serve(l)
	w.closers = append([]func(context.Context) error{func(ctx context.Context) error {
		return errors.Join(server.Shutdown(ctx), g.Close())
	}}, w.closers...)
	return &gateServer{name, key, g, "http://" + l.Addr().String()}, nil
}

// startWire starts the proxy through which the gates see the log.
func (w *world) startWire() (*wire, error) {
	target, err := url.Parse(w.url)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	line := &wire{url: "http://" + l.Addr().String()}
	proxy := httputil.NewSingleHostReverseProxy(target)
	server := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if line.cut.Load() && r.Method == http.MethodPost {
			http.Error(rw, "the log takes nothing", http.StatusServiceUnavailable)
			return
		}
		proxy.ServeHTTP(rw, r)
	})}
	go server.Serve(l)
	w.closers = append([]func(context.Context) error{server.Shutdown}, w.closers...)
	return line, nil
}

// release asks a gate, and again while something overdue bars: on a slow machine the
// log's anchors are late at times, and it cures that.
func (s *gateServer) release(ctx context.Context, sealed []byte) ([]byte, error) {
	begun := time.Now()
	for {
		answer, err := s.g.Release(ctx, sealed)
		var no *gate.Refusal
		if !errors.As(err, &no) || no.Code != gate.CodeOverdue || time.Since(begun) > gateTries {
			return answer, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(demoDay):
		}
	}
}

// askGate seals a request to a gate and posts it, and takes its refusal, if it has
// the code that is wanted.
func askGate(ctx context.Context, s *gateServer, r *escrow.Request, want gate.Code) (string, error) {
	sealed, err := r.Seal(origin, s.key.Public())
	if err != nil {
		return "", err
	}
	_, err = s.release(ctx, sealed)
	var no *gate.Refusal
	switch {
	case err == nil:
		return "", fmt.Errorf("%w: the gate of %s opened its share", errSucceeded, s.name)
	case !errors.As(err, &no) || no.Code != want:
		return "", fmt.Errorf("the gate of %s refuses, but not as %s: %w", s.name, want, err)
	}
	return fmt.Sprintf("%s: %v", no.Code, no.Err), nil
}

// forkedProof is the proof of an entry under a head that the log and all witnesses
// have signed, and that contradicts the log.
func (w *world) forkedProof(proof []byte) ([]byte, error) {
	p, err := tlog.ParseProof(proof)
	if err != nil {
		return nil, err
	}
	head := p.Checkpoint.Head
	head.Root[0] ^= 1
	p.Checkpoint = &tlog.Checkpoint{Head: head}
	for _, o := range append([]operator{w.log}, w.witnesses...) {
		for _, k := range o.keys {
			sig, err := k.Sign(&head, uint64(time.Now().Unix()))
			if err != nil {
				return nil, err
			}
			p.Checkpoint.Signatures = append(p.Checkpoint.Signatures, sig)
		}
	}
	return p.Bytes(), nil
}

// otherExtra puts another entry into a proof.
func otherExtra(proof, entry []byte) ([]byte, error) {
	p, err := tlog.ParseProof(proof)
	if err != nil {
		return nil, err
	}
	p.Extra = entry
	return p.Bytes(), nil
}

// firstWords leaves out of an error what tells a reader nothing.
func firstWords(s string) string {
	const most = 200
	if len(s) > most {
		s = s[:most] + "..."
	}
	return s
}
