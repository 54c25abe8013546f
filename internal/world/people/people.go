// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package people makes the keys and the first charter of a log for tests and the demo: the
// event keys of its parties, the note keys of log, witnesses and auditors, a profile, and
// signed events.
//
// Names choose keys: the first use of a name makes its key. Functions that sign or make an
// event return an error if the event is malformed. All others can't fail; they panic on a
// name that no key can have.
package people

import (
	"cmp"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// People hold the keys of a log and its parties. They are safe for concurrent use.
type People struct {
	Origin string // of the log
	seed   []byte

	mu     sync.Mutex
	events map[string]*eventKey
	notes  map[noteName]*tlog.Signer
	ids    map[string]*event.PublicKey // of events, by key id
}

type eventKey struct {
	event.Signer
	private ed25519.PrivateKey
}

type noteName struct {
	name string
	a    tlog.Algorithm
}

// New returns the people of a log. Their keys are derived from seed, so that one seed gives
// the same keys in every run; if seed is "", from a random one.
func New(origin, seed string) *People {
	if seed == "" {
		seed = rand.Text()
	}
	return &People{Origin: origin, seed: []byte(seed), events: make(map[string]*eventKey), notes: make(map[noteName]*tlog.Signer),
		ids: make(map[string]*event.PublicKey)}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// derive returns the secret of a label.
func (p *People) derive(label string) [32]byte {
	return [32]byte(must(hkdf.Key(sha256.New, p.seed, nil, "vasistas people "+label, 32)))
}

func (p *People) key(name string) *eventKey {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.events[name]
	if k == nil {
		seed := p.derive("event key " + name)
		k = &eventKey{private: ed25519.NewKeyFromSeed(seed[:])}
		k.Signer = must(event.NewSigner(k.private))
		p.events[name], p.ids[k.KeyID()] = k, k.Public()
	}
	return k
}

// Signer returns the event key of a name.
func (p *People) Signer(name string) event.Signer { return p.key(name).Signer }

// Public returns the public half of the event key of a name.
func (p *People) Public(name string) *event.PublicKey { return p.key(name).Public() }

// KeyID returns the id of the event key of a name.
func (p *People) KeyID(name string) string { return p.key(name).KeyID() }

// PEM returns the private half of the event key of a name as a PKCS #8 file, which eventkey loads.
func (p *People) PEM(name string) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(p.key(name).private))})
}

// Lookup returns the event key of an id if it was made, else nil, as Envelope.Verify and
// verify.Options want it.
func (p *People) Lookup(id string) *event.PublicKey {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ids[id]
}

// Note returns the note key of a name. It can be used under several algorithms.
func (p *People) Note(name string, a tlog.Algorithm) *tlog.Signer {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := noteName{name, a}
	if p.notes[at] == nil {
		p.notes[at] = must(tlog.NewSigner(name, a, p.derive(fmt.Sprintf("note key %d %s", a, name))))
	}
	return p.notes[at]
}

// Log returns the log's Ed25519 key.
func (p *People) Log() *tlog.Signer { return p.Note(p.Origin, tlog.Ed25519) }

// Witness returns the Ed25519 key that cosigns for a witness or an auditor. The key's name
// is the given one with ".example" after it.
func (p *People) Witness(name string) *tlog.Signer {
	return p.Note(name+".example", tlog.CosignatureEd25519)
}

// Gate returns a gate's X25519 key, whose private half is not kept.
func (p *People) Gate(name string) event.HPKEKey {
	seed := p.derive("gate key " + name)
	return event.HPKEKey{KEM: event.KEMX25519, Public: must(ecdh.X25519().NewPrivateKey(seed[:])).PublicKey().Bytes()}
}

// Checkpoint returns a head with the line of the log's Ed25519 key and the cosignatures of these
// witnesses of a time, in POSIX seconds.
func (p *People) Checkpoint(h tlog.Head, time uint64, witnesses ...string) (*tlog.Checkpoint, error) {
	signers := []*tlog.Signer{p.Log()}
	for _, w := range witnesses {
		signers = append(signers, p.Witness(w))
	}
	return Cosign(h, time, signers...)
}

// Cosign returns a head with a line of each key, of a time in POSIX seconds.
func Cosign(h tlog.Head, time uint64, signers ...*tlog.Signer) (*tlog.Checkpoint, error) {
	cp := &tlog.Checkpoint{Head: h}
	for _, s := range signers {
		line, err := s.Sign(&h, time)
		if err != nil {
			return nil, err
		}
		cp.Signatures = append(cp.Signatures, line)
	}
	return cp, nil
}

// Event returns an event of this log that claims a time.
func (p *People) Event(at time.Time, body event.Body) (*event.Event, error) {
	e, err := event.New(p.Origin, body)
	if err != nil {
		return nil, fmt.Errorf("%T: %w", body, err)
	}
	e.Time = at.UTC().Truncate(time.Second)
	return e, nil
}

// Sign signs an event with the keys of these names. Unlike event.Sign it verifies no signature,
// which would take most of the time that a large log takes to write.
func (p *People) Sign(e *event.Event, by ...string) (*event.Envelope, error) {
	payload, err := e.Bytes()
	if err != nil {
		return nil, fmt.Errorf("%T: %w", e.Body, err)
	}
	env := &event.Envelope{Event: e, Payload: payload}
	for _, name := range by {
		k := p.key(name)
		env.Signatures = append(env.Signatures, event.Signature{KeyID: k.KeyID(), Sig: ed25519.Sign(k.private, event.AppendPAE(nil, event.PayloadType, payload))})
	}
	slices.SortFunc(env.Signatures, func(a, b event.Signature) int { return cmp.Compare(a.KeyID, b.KeyID) })
	return env, nil
}

// Signed makes an event of a time and signs it.
func (p *People) Signed(at time.Time, body event.Body, by ...string) (*event.Envelope, error) {
	e, err := p.Event(at, body)
	if err != nil {
		return nil, err
	}
	return p.Sign(e, by...)
}
