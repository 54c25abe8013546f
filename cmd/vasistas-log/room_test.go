// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vasistas/vasistas/internal/durable/durabletest"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/recover"
	"github.com/vasistas/vasistas/log/tesserax"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/vault"
)

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// said collects what a log tells its operator.
type said struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(b)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// TestStartWithoutRoom checks that a start on a full or read-only disk says so, waits, and
// goes on once there is room, at each durable step.
func TestStartWithoutRoom(t *testing.T) {
	dir, ctx := t.TempDir(), t.Context()
	p := people.New("log.example/room", "")
	key := p.Note("log.example/room", tlog.Ed25519)
	o := &serveOptions{layout: layout{state: filepath.Join(dir, "state"), vault: filepath.Join(dir, "vault"), identity: filepath.Join(t.TempDir(), "vault.key"),
		engineOptions: engineOptions{engine: enginePOSIX, tree: filepath.Join(dir, "tree")}}}
	charter := p.Charter(func(c *event.Charter) {
		c.LogKeys, c.WitnessPolicy = []string{key.Verifier().String()}, "quorum none\n"
		p.Cast(c, event.RoleCharter, "founder")
	})
	env := must[*event.Envelope](t)(event.Sign(must[*event.Event](t)(event.New("log.example/room", charter)), p.Signer("founder")))
	for _, err := range []error{vault.Create(o.vaultConfig()), tesserax.Create(ctx, o.tree)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	engine := must[log.Engine](t)(o.openTree(ctx, slog.Default()))
	if err := recover.Init(ctx, recover.InitConfig{StateDir: o.state, Engine: engine, Keys: []*tlog.Signer{key}, Charter: env.Bytes()}); err != nil {
		t.Fatal(err)
	}
	if err := engine.Close(ctx); err != nil {
		t.Fatal(err)
	}
	for _, full := range []error{syscall.ENOSPC, syscall.EROFS} {
		var in durabletest.Injector
		remove := in.Inject(t, dir)
		in.FailFrom(0, full)
		notes := new(said)
		opened := make(chan error, 1)
		go func() {
			l, kept, err := o.openWithRoom(ctx, log.Config{StateDir: o.state, Keys: []*tlog.Signer{key}, Logger: slog.New(slog.NewTextHandler(notes, nil))})
			if err == nil {
				closing, cancel := context.WithTimeout(ctx, time.Minute)
				defer cancel()
				err = errors.Join(l.Close(closing), kept.Close())
			}
			opened <- err
		}()
		tick := time.NewTicker(5 * time.Millisecond)
		for ; !strings.Contains(notes.String(), "no room"); <-tick.C {
			select {
			case err := <-opened:
				t.Fatalf("opened: %v", err)
			default:
			}
		}
		tick.Stop()
		remove()
		if err := <-opened; err != nil {
			t.Fatal(err)
		}
	}
}
