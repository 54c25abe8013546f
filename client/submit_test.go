// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/recover"
	"github.com/vasistas/vasistas/log/tesserax"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/vault"
	"github.com/vasistas/vasistas/witness"
)

// realLog is a log with a witness, both served over HTTP.
type realLog struct {
	t       *testing.T
	url     string
	policy  *tlog.Policy
	signers []event.Signer // two custodians, an authority
}

func newRealLog(t *testing.T) *realLog {
	t.Helper()
	p := people.New(origin, "")
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	second, err := event.NewSigner(ec)
	if err != nil {
		t.Fatal(err)
	}
	l := &realLog{t: t, signers: []event.Signer{p.Signer("c1"), second, p.Signer("court")}}
	key := p.Log()
	cosigners := []*tlog.VerifierKey{p.Witness("w").Verifier()}
	policy := people.Policy(1, people.Witness{Name: "w", URL: serveWitness(t, key.Verifier(), p.Witness("w")), Keys: cosigners})
	if l.policy, err = tlog.ParsePolicy(fmt.Appendf(nil, "log %s\n%s", key.Verifier(), policy)); err != nil {
		t.Fatal(err)
	}
	charter, err := p.Signed(time.Now(), p.Charter(func(c *event.Charter) {
		c.Profile, c.WitnessPolicy = people.LongProfile(), "quorum none\n"
		c.Party(event.RoleCustodian, "c2").Keys = []*event.PublicKey{second.Public()}
	}), "f1", "f2")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	state, tree := filepath.Join(dir, "state"), filepath.Join(dir, "tree")
	kept := vault.Config{Dir: filepath.Join(dir, "vault"), Identity: filepath.Join(dir, "vault.key")}
	if err := errors.Join(vault.Create(kept), tesserax.Create(t.Context(), tree)); err != nil {
		t.Fatal(err)
	}
	v, err := vault.Open(kept)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := tesserax.Open(context.Background(), tree)
	if err != nil {
		t.Fatal(err)
	}
	if err := recover.Init(t.Context(), recover.InitConfig{StateDir: state, Engine: engine, Keys: []*tlog.Signer{key}, Charter: charter.Bytes()}); err != nil {
		t.Fatal(err)
	}
	running, err := log.Open(context.Background(), log.Config{
		StateDir: state, Engine: engine, Keys: []*tlog.Signer{key}, Vault: v, Policy: l.policy,
		Interval: 20 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(running.Handler())
	t.Cleanup(func() {
		s.Close()
		if err := errors.Join(running.Close(context.Background()), v.Close()); err != nil {
			t.Error(err)
		}
	})
	l.url = s.URL
	awaitReady(t, s.URL)
	return l
}

// awaitReady polls until the log admits events.
func awaitReady(t *testing.T, url string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		resp, err := http.Get(url + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("the log did not get ready")
		}
	}
}

func serveWitness(t *testing.T, logKey *tlog.VerifierKey, signer *tlog.Signer) string {
	t.Helper()
	config := witness.Config{
		Dir: filepath.Join(t.TempDir(), "witness"), Signers: []*tlog.Signer{signer},
		Logs: []tlog.PolicyLog{{Key: logKey}},
	}
	if err := witness.Create(config.Dir, config); err != nil {
		t.Fatal(err)
	}
	w, err := witness.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(w.Handler())
	t.Cleanup(func() {
		s.Close()
		w.Close()
	})
	return s.URL
}

func (l *realLog) client() *client.Client {
	l.t.Helper()
	return newClient(l.t, client.Config{URL: l.url, Policy: l.policy})
}

func heartbeat(t testing.TB, origin string) *event.Event {
	t.Helper()
	ev, err := event.New(origin, &event.Heartbeat{From: time.Unix(1767225600, 0).UTC(), To: time.Unix(1767312000, 0).UTC()})
	if err != nil {
		t.Fatal(err)
	}
	return ev
}

func sign(t testing.TB, ev *event.Event, s ...event.Signer) *event.Envelope {
	t.Helper()
	envelope, err := event.Sign(ev, s...)
	if err != nil {
		t.Fatal(err)
	}
	return envelope
}

// bare is a submission of an envelope alone.
func bare(envelope *event.Envelope) *event.Submission { return &event.Submission{Envelope: envelope} }

func TestSubmit(t *testing.T) {
	l := newRealLog(t)
	cl := l.client()
	envelope := sign(t, heartbeat(t, origin), l.signers[0])
	first, err := cl.Submit(t.Context(), bare(envelope), client.WaitCosigned)
	if err != nil {
		t.Fatal(err)
	}
	if first.Duplicate || first.Leaf != envelope.LeafHash() {
		t.Errorf("%+v", first)
	}
	in, err := verify.Proof(l.policy, first.Proof.Bytes(), verify.Options{Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if in.Index() != first.Index || in.Envelope().Hash() != envelope.Hash() {
		t.Errorf("the proof is for entry %d, event %x", in.Index(), in.Envelope().Hash())
	}

	again, err := cl.Submit(t.Context(), bare(envelope), client.WaitCosigned)
	if err != nil || !again.Duplicate || again.Index != first.Index {
		t.Errorf("again: %+v, %v", again, err)
	}
	next := sign(t, heartbeat(t, origin), l.signers[1])
	second, err := cl.Submit(t.Context(), bare(next), client.WaitSequenced)
	if err != nil || second.Duplicate || second.Index != first.Index+1 || second.Leaf != next.LeafHash() {
		t.Errorf("%+v, %v", second, err)
	}
}

// A submission may carry openings; what is logged and proven is its envelope.
func TestSubmitOpenings(t *testing.T) {
	l := newRealLog(t)
	envelope := sign(t, heartbeat(t, origin), l.signers[0])
	submission := &event.Submission{Envelope: envelope, Openings: []event.Opening{event.Decoy()}}
	text, err := submission.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	// The log behind this server gets the envelope, as from a vault.
	cl := server(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil && !bytes.Equal(body, text) {
			err = fmt.Errorf("the log got %q", body)
		}
		if err != nil {
			t.Error(err)
		}
		resp, err := http.Post(l.url+r.URL.RequestURI(), r.Header.Get("Content-Type"), bytes.NewReader(envelope.Bytes()))
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		w.Header().Set("Vasistas-Index", resp.Header.Get("Vasistas-Index"))
		w.WriteHeader(resp.StatusCode)
		io.Copy(w, resp.Body)
	}, l.policy)
	s, err := cl.Submit(t.Context(), submission, client.WaitCosigned)
	if err != nil || s.Leaf != envelope.LeafHash() || !bytes.Equal(s.Proof.Extra, envelope.Bytes()) {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := cl.Submit(t.Context(), &event.Submission{Openings: submission.Openings}, client.WaitCosigned); !errors.Is(err, event.ErrMalformed) {
		t.Errorf("without an envelope: %v", err)
	}
}

func TestSubmitRefused(t *testing.T) {
	l := newRealLog(t)
	cl := l.client()
	stranger := people.New(origin, "").Signer("stranger")
	good := sign(t, heartbeat(t, origin), l.signers[0])
	forged := *good
	forged.Signatures = []event.Signature{{KeyID: good.Signatures[0].KeyID, Sig: bytes.Repeat([]byte{1}, 64)}}
	for r, err := range cl.SubmitStream(t.Context(), envelopes([][]byte{[]byte("{}")}, nil), client.WaitCosigned) {
		var p *client.Problem
		if err != nil || !errors.As(r.Err, &p) || p.Code() != client.CodeForm || p.Temporary() {
			t.Errorf("%v, %v", r.Err, err)
		}
	}
	for code, envelope := range map[client.Code]*event.Envelope{
		client.CodeOrigin:        sign(t, heartbeat(t, "other.example"), l.signers[0]),
		client.CodeUnknownSigner: sign(t, heartbeat(t, origin), stranger),
		client.CodeRule:          sign(t, heartbeat(t, origin), l.signers[2]),
		client.CodeSignature:     &forged,
	} {
		_, err := cl.Submit(t.Context(), bare(envelope), client.WaitCosigned)
		var p *client.Problem
		if !errors.As(err, &p) || p.Code() != code || p.Temporary() {
			t.Errorf("%s: %v", code, err)
		}
	}
	if _, err := cl.Submit(t.Context(), bare(good), "soon"); err == nil {
		t.Error("an unknown wait was accepted")
	}
	unbelieving := newClient(t, client.Config{URL: l.url})
	if _, err := unbelieving.Submit(t.Context(), bare(good), client.WaitCosigned); !errors.Is(err, client.ErrNoPolicy) {
		t.Errorf("without a policy: %v", err)
	}
	if _, err := unbelieving.Submit(t.Context(), bare(good), client.WaitSequenced); err != nil {
		t.Errorf("sequenced, without a policy: %v", err)
	}
}

// An answer is believed as far as it can be checked.
func TestSubmitLies(t *testing.T) {
	l := newRealLog(t)
	a := sign(t, heartbeat(t, origin), l.signers[0])
	b := sign(t, heartbeat(t, origin), l.signers[0])
	cl := l.client()
	sa, err := cl.Submit(t.Context(), bare(a), client.WaitCosigned)
	if err != nil {
		t.Fatal(err)
	}
	sb, err := cl.Submit(t.Context(), bare(b), client.WaitCosigned)
	if err != nil {
		t.Fatal(err)
	}
	moved := *sa.Proof
	moved.Index = sb.Proof.Index
	type answer struct {
		index, duplicate string
		proof            []byte
	}
	for name, c := range map[string]answer{
		"other event":            {"2", "", sb.Proof.Bytes()},
		"other event, duplicate": {"2", "true", sb.Proof.Bytes()},
		"other index":            {"2", "", sa.Proof.Bytes()},
		"proof moved":            {"2", "", moved.Bytes()},
		"no index":               {"", "", sa.Proof.Bytes()},
		"no proof":               {"1", "", []byte("trust me")},
		"other log":              {"1", "", strangersProof(t, a.Bytes())},
	} {
		tries := 0
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			tries++
			if c.index != "" {
				w.Header().Set("Vasistas-Index", c.index)
			}
			if c.duplicate != "" {
				w.Header().Set("Vasistas-Duplicate", c.duplicate)
			}
			w.Write(c.proof)
		}))
		cl := newClient(t, client.Config{URL: s.URL, Policy: l.policy})
		if got, err := cl.Submit(t.Context(), bare(a), client.WaitCosigned); !errors.Is(err, client.ErrAnswer) || got != nil {
			t.Errorf("%s: %v", name, err)
		}
		s.Close()
		if tries != 1 {
			t.Errorf("%s: tried %d times", name, tries)
		}
	}
	for name, c := range map[string]string{
		"no index":    `{"leaf":"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}`,
		"no leaf":     `{"index":0}`,
		"other leaf":  `{"index":0,"leaf":"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}`,
		"short leaf":  `{"index":0,"leaf":"47DE"}`,
		"not JSON":    "0",
		"large index": `{"index":99999999999999999999}`,
	} {
		cl := server(t, func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			if r.Header.Get("Content-Type") == "application/x-ndjson" {
				w.Header().Set("Content-Type", "application/x-ndjson")
			}
			io.WriteString(w, c+"\n")
		}, l.policy)
		if _, err := cl.Submit(t.Context(), bare(a), client.WaitSequenced); !errors.Is(err, client.ErrAnswer) {
			t.Errorf("%s: %v", name, err)
		}
		for r, err := range cl.SubmitStream(t.Context(), envelopes([][]byte{a.Bytes()}, nil), client.WaitSequenced) {
			if !errors.Is(errors.Join(err, r.Err), client.ErrAnswer) {
				t.Errorf("%s in a stream: %v, %v", name, err, r.Err)
			}
		}
	}
}

// TestSubmitVariant: a log answers that the event is logged already, with the proof of an entry
// that has other signatures. A court must not believe that its revocation is in effect.
func TestSubmitVariant(t *testing.T) {
	p := people.New(origin, "")
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	kms, err := event.NewSigner(ec) // which signs each time differently
	if err != nil {
		t.Fatal(err)
	}
	ev := heartbeat(t, origin)
	mine, theirs, ours := sign(t, ev, kms), sign(t, ev, p.Signer("c1")), sign(t, ev, p.Signer("c1"), kms)
	spoilt := sign(t, ev, kms)
	spoilt.Signatures[0].Sig = bytes.Clone(spoilt.Signatures[0].Sig)
	spoilt.Signatures[0].Sig[9] ^= 1
	with := *mine
	with.Signatures = append(slices.Clone(mine.Signatures), theirs.Signatures...)
	slices.SortFunc(with.Signatures, func(a, b event.Signature) int { return strings.Compare(a.KeyID, b.KeyID) })
	for _, c := range []struct {
		name   string
		logged *event.Envelope
		ok     bool
	}{
		{"this entry", mine, true},
		{"with one more signature", &with, true},
		{"signed again", sign(t, ev, kms), false},
		{"signed again, with one more signature", ours, false},
		{"another key", theirs, false},
		{"bad signature", spoilt, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newFileLog(t)
			l.entry = func(uint64) []byte { return c.logged.Bytes() }
			l.grow(1)
			proof, err := newClient(t, client.Config{URL: l.Dir, Policy: l.policy()}).Prove(t.Context(), 0)
			if err != nil {
				t.Fatal(err)
			}
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Query().Get("wait") == "sequenced" {
					fmt.Fprintf(w, `{"index":0,"leaf":"%s","duplicate":true}`, c.logged.LeafHash())
					return
				}
				w.Header().Set("Vasistas-Index", "0")
				w.Header().Set("Vasistas-Duplicate", "true")
				w.Write(proof.Bytes())
			}))
			defer s.Close()
			cl := newClient(t, client.Config{URL: s.URL, Policy: l.policy()})
			variant := new(client.VariantError)
			got, err := cl.Submit(t.Context(), bare(mine), client.WaitCosigned)
			if c.ok && (err != nil || !got.Duplicate || got.Leaf != c.logged.LeafHash()) ||
				!c.ok && (got != nil || !errors.As(err, &variant) || !errors.Is(err, client.ErrAnswer) || variant.Leaf != c.logged.LeafHash()) {
				t.Errorf("%+v, %v", got, err)
			}
			_, err = cl.Submit(t.Context(), bare(mine), client.WaitSequenced)
			if same := c.logged == mine; (err == nil) != same || !same && !errors.As(err, &variant) {
				t.Errorf("without a proof: %v", err)
			}
		})
	}
}

// strangersProof proves the same entry in a log that the policy doesn't know.
func strangersProof(t *testing.T, entry []byte) []byte {
	l := newFileLog(t)
	l.entry = func(uint64) []byte { return entry }
	l.grow(1)
	p, err := newClient(t, client.Config{URL: l.Dir, Policy: l.policy()}).Prove(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return p.Bytes()
}

// A log that has sequenced an event and lacks its quorum says where it is; the
// client does not submit for ever.
func TestNoQuorum(t *testing.T) {
	tries := 0
	cl := server(t, func(w http.ResponseWriter, _ *http.Request) {
		tries++
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusGatewayTimeout)
		io.WriteString(w, `{"type":"urn:vasistas:error:no-quorum","title":"x","status":504,"index":12}`)
	}, newFileLog(t).policy())
	_, err := cl.Submit(t.Context(), bare(sign(t, heartbeat(t, origin), people.New(origin, "").Signer("stranger"))), client.WaitCosigned)
	var p *client.Problem
	if !errors.As(err, &p) || p.Code() != client.CodeNoQuorum || p.Index == nil || *p.Index != 12 || tries != 1 {
		t.Errorf("after %d tries: %v", tries, err)
	}
}
