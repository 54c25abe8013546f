// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package stranger uses Vasistas as another module does: its import path is outside of
// this module's, so it can't import internal packages. Its tests have an engine and a
// source of their own, and run log, witness and gate as libraries.
package stranger

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/profile"
	"github.com/vasistas/vasistas/log/recover"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/vault"
	"github.com/vasistas/vasistas/witness"
)

const origin = "stranger.example/warrants"

// house is a log with a witness, a custodian and an authority.
type house struct {
	*testing.T
	url       string
	policy    *tlog.Policy
	key       *tlog.VerifierKey
	charter   *event.Envelope
	custodian event.Signer
	gateKey   *escrow.SecretKey
}

// must ends the test unless err is nil.
func must[V any](v V, err error) V {
	if err != nil {
		panic(err)
	}
	return v
}

func check(err error) { must(0, err) }

func newSigner() event.Signer {
	_, key, err := ed25519.GenerateKey(nil)
	check(err)
	return must(event.NewSigner(key))
}

// serveWitness runs a witness as a library.
func serveWitness(t *testing.T, signer *tlog.Signer, logKey *tlog.VerifierKey) (url string) {
	c := witness.Config{Dir: filepath.Join(t.TempDir(), "witness"), Signers: []*tlog.Signer{signer}, Logs: []tlog.PolicyLog{{Key: logKey}}}
	check(witness.Create(c.Dir, c))
	w := must(witness.Open(t.Context(), c))
	s := httptest.NewServer(w.Handler())
	t.Cleanup(func() { s.Close(); check(w.Close()) })
	return s.URL
}

// open runs a log over an engine of our own.
func open(t *testing.T) *house {
	key := must(tlog.GenerateSigner(origin, tlog.Ed25519))
	cosigner := must(tlog.GenerateSigner("witness.example", tlog.CosignatureEd25519))
	h := &house{T: t, key: key.Verifier(), custodian: newSigner(), gateKey: must(escrow.GenerateKey(event.KEMX25519))}
	quorum := fmt.Sprintf("witness w %s %s\nquorum w\n", cosigner.Verifier(), serveWitness(t, cosigner, h.key))
	h.policy = must(tlog.ParsePolicy([]byte("log " + h.key.String() + "\n" + quorum)))
	h.signCharter(quorum)

	dir := t.TempDir()
	vc := vault.Config{Dir: filepath.Join(dir, "vault"), Identity: filepath.Join(dir, "vault.key")}
	check(vault.Create(vc))
	kept := must(vault.Open(vc))
	state, engine, keys := filepath.Join(dir, "state"), new(memory), []*tlog.Signer{key}
	check(recover.Init(t.Context(), recover.InitConfig{StateDir: state, Engine: engine, Keys: keys, Charter: h.charter.Bytes()}))
	l := must(log.Open(t.Context(), log.Config{StateDir: state, Engine: engine, Keys: keys, Vault: kept,
		Interval: 10 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)}))
	s := httptest.NewServer(l.Handler())
	h.url = s.URL
	t.Cleanup(func() {
		s.Close()
		check(errors.Join(l.Close(context.Background()), kept.Close()))
	})
	for l.Err() != nil {
		runtime.Gosched()
	}
	return h
}

// signCharter signs the founding charter.
func (h *house) signCharter(witnesses string) {
	founder := newSigner()
	party := func(role event.Role, name string, s event.Signer) event.Party {
		return event.Party{Role: role, Name: name, Keys: []*event.PublicKey{s.Public()}}
	}
	custodian := party(event.RoleCustodian, "custodian", h.custodian)
	custodian.Gates = []event.HPKEKey{h.gateKey.Public()}
	h.charter = must(event.Sign(must(event.New(origin, &event.Charter{
		Version: 1, Rules: 2, Profile: must(profile.Load("demo")), LogKeys: []string{h.key.String()},
		Parties: []event.Party{custodian, party(event.RoleAuthority, "court", newSigner()),
			party(event.RoleProvider, "provider", newSigner()), party(event.RoleCharter, "founder", founder)},
		Groups:     []event.Group{{ID: "main", Threshold: 1, Members: []string{"custodian"}}},
		Thresholds: event.Thresholds{Amend: 1, Recover: 1}, WitnessPolicy: witnesses, AuditPolicy: "quorum none\n",
	})), founder))
}

// TestStranger submits an event to a log over an engine of our own, verifies the proof,
// and reads the log through a source of our own.
func TestStranger(t *testing.T) {
	h := open(t)
	c := must(client.New(client.Config{URL: h.url, Source: site(h.url), Policy: h.policy}))
	var last *client.Submitted
	for i := range 300 { // more than one bundle
		from := time.Unix(1767225600+int64(i)*60, 0).UTC()
		ev := must(event.New(origin, &event.Heartbeat{From: from, To: from.Add(time.Minute)}))
		wait := client.WaitSequenced
		if i == 299 {
			wait = client.WaitCosigned
		}
		last = must(c.Submit(t.Context(), &event.Submission{Envelope: must(event.Sign(ev, h.custodian))}, wait))
	}
	if got, want := must(verifyFile(h.policy.Bytes(), last.Proof.Bytes())), "entry 300 of "+origin+" is a heartbeat"; got != want {
		t.Errorf("the proof says %q, want %q", got, want)
	}
	damaged := last.Proof
	damaged.Index--
	if got, err := verifyFile(h.policy.Bytes(), damaged.Bytes()); err == nil {
		t.Errorf("a damaged proof says %q", got)
	}
	n := 0
	for e, err := range c.Follow(t.Context(), client.FollowOptions{UntilHead: true}) {
		check(err)
		if n++; e.Index == 0 && e.Leaf != h.charter.LeafHash() {
			t.Error("entry 0 is not the charter")
		}
	}
	if n != 301 {
		t.Errorf("read %d entries, want 301", n)
	}
}

// TestGate runs a gate as a library, with a source of our own.
func TestGate(t *testing.T) {
	h := open(t)
	cfg := gate.Config{Dir: filepath.Join(t.TempDir(), "gate"), URL: h.url, Source: site(h.url), Origin: origin,
		LogKeys: []*tlog.VerifierKey{h.key}, Founded: h.charter.LeafHash(), Signer: h.custodian, Keys: []gate.KeyHolder{h.gateKey}}
	check(gate.Create(cfg))
	g := must(gate.Open(cfg))
	defer func() { check(g.Close()) }()
	s := httptest.NewServer(g.Handler())
	defer s.Close()
	resp := must(http.Get(s.URL + "/healthz"))
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("the gate answers %s", resp.Status)
	}
}
