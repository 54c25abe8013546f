// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
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

// startGates starts the gates, and waits until they are ready.
func (w *world) startGates(ctx context.Context, charter *event.Envelope) ([]*gateServer, error) {
	var out []*gateServer
	for i := range numGates {
		s, err := w.startGate(gateName(i), charter)
		if err != nil {
			return nil, fmt.Errorf("the gate of %s: %w", gateName(i), err)
		}
		out = append(out, s)
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	return out, poll(ctx, "all gates to get ready", func() (bool, error) {
		return !slices.ContainsFunc(out, func(s *gateServer) bool { return s.g.Ready() != nil }), nil
	})
}

// startGate starts a gate. It knows the log's keys and the first charter, and nothing
// else.
func (w *world) startGate(name string, charter *event.Envelope) (*gateServer, error) {
	key, err := w.loadGateKey(name)
	if err != nil {
		return nil, err
	}
	c := gate.Config{Dir: w.path("gates", name), URL: w.url, Origin: origin, Founded: charter.LeafHash(),
		Signer: w.signers.keys[custodians][name], Keys: []gate.KeyHolder{key},
		Poll: 250 * time.Millisecond, Timeout: 10 * time.Second, Logger: w.logger.With("part", "gate")}
	for _, k := range w.log.keys {
		c.LogKeys = append(c.LogKeys, k.Verifier())
	}
	if _, err := os.Stat(c.Dir); errors.Is(err, os.ErrNotExist) {
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
	stop := w.serve(l, g.Handler())
	w.closers = append([]func(context.Context) error{func(ctx context.Context) error {
		return errors.Join(stop(ctx), g.Close())
	}}, w.closers...)
	return &gateServer{name, key, g, "http://" + l.Addr().String()}, nil
}

// askGate seals a request to a gate, and returns why that refuses, which must be by
// this code. It asks again while something overdue bars: on a slow machine the log's
// anchors are late at times, and it cures that.
func askGate(ctx context.Context, s *gateServer, r *escrow.Request, want gate.Code) (string, error) {
	sealed, err := r.Seal(origin, s.key.Public())
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, gateTries)
	defer cancel()
	var no *gate.Refusal
	err = poll(ctx, "a gate that nothing overdue bars", func() (bool, error) {
		_, err := s.g.Release(ctx, sealed)
		if err == nil {
			return true, fmt.Errorf("%w: the gate of %s opened its share", errSucceeded, s.name)
		}
		if !errors.As(err, &no) || no.Code != want && no.Code != gate.CodeOverdue {
			return true, fmt.Errorf("the gate of %s refuses, but not as %s: %w", s.name, want, err)
		}
		return no.Code == want, nil
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s: %v", no.Code, no.Err), nil
}
