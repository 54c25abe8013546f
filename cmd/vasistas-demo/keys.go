// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/event/eventkey"
	"github.com/vasistas/vasistas/log/profile"
)

// signers are the event keys of everyone who signs: each county's superior court
// and its duty key, the provider, and those whom a charter needs besides. All are
// in files of D/keys. An agency's key signs no event; it is derived from a secret
// in there, since there are hundreds.
type signers struct {
	keys     map[string]map[string]event.Signer // by directory and name
	provider event.Signer                       // the only one, which runs the log
	seed     []byte
}

// The directories below D/keys, and the role of the keys in each.
const (
	courts     = "courts"
	duties     = "duty"
	providers  = "providers"
	founders   = "founders"
	custodians = "custodians"
)

var roles = map[string]event.Role{
	courts: event.RoleAuthority, duties: event.RoleDuty, providers: event.RoleProvider,
	founders: event.RoleCharter, custodians: event.RoleCustodian,
}

// The parties that the rows do not name, and files.
const (
	providerName  = "demo-provider" // stands in for all businesses, and runs the log
	custodianName = "nobody"        // runs no gate
	numFounders   = 3

	seedFile  = "agencies.seed"
	keySuffix = ".pem"
)

// agency returns the key of an agency.
func (k *signers) agency(code string) event.Signer {
	seed := must(hkdf.Key(sha256.New, k.seed, nil, "vasistas-demo agency "+code, ed25519.SeedSize))
	return must(event.NewSigner(ed25519.NewKeyFromSeed(seed)))
}

// public returns the key of an id, as verify.Options wants it.
func (k *signers) public() func(id string) *event.PublicKey {
	keys := make(map[string]*event.PublicKey)
	for _, named := range k.keys {
		for _, s := range named {
			keys[s.KeyID()] = s.Public()
		}
	}
	return func(id string) *event.PublicKey { return keys[id] }
}

// makeSigners makes the keys that any of the rows will need, in dir.
func makeSigners(dir string, rows []row) {
	want := map[string]bool{filepath.Join(providers, providerName): true, filepath.Join(custodians, custodianName): true}
	for i := range numFounders {
		want[filepath.Join(founders, fmt.Sprintf("founder%d", i+1))] = true
	}
	for i := range numGates {
		want[filepath.Join(custodians, gateName(i))] = true
	}
	for i := range rows {
		c, no := decide(&rows[i])
		if no != "" {
			continue // a row that is refused needs no keys
		}
		want[filepath.Join(courts, c.court)] = true
		if rows[i].Emergency {
			want[filepath.Join(duties, c.court)] = true
		}
	}
	for role := range roles {
		try(durable.MkdirAll(filepath.Join(dir, role), 0o700))
	}
	for name := range want {
		must(eventkey.Generate(eventkey.Ed25519, filepath.Join(dir, name+keySuffix)))
	}
	seed := make([]byte, 32)
	rand.Read(seed)
	try(durable.CreateFile(filepath.Join(dir, seedFile), seed, 0o600))
}

// loadSigners loads the keys that makeSigners made.
func loadSigners(ctx context.Context, dir string) *signers {
	k := &signers{keys: make(map[string]map[string]event.Signer), seed: must(os.ReadFile(filepath.Join(dir, seedFile)))}
	for role := range roles {
		k.keys[role] = make(map[string]event.Signer)
		for _, f := range must(filepath.Glob(filepath.Join(dir, role, "*"+keySuffix))) {
			k.keys[role][strings.TrimSuffix(filepath.Base(f), keySuffix)] = must(eventkey.Load(ctx, f))
		}
	}
	if k.provider = k.keys[providers][providerName]; k.provider == nil {
		try(fmt.Errorf("%s: the provider's key is missing", dir))
	}
	return k
}

// The profile is the one named demo, with two figures changed: the custodian of the
// rows' group runs no gate and sends no heartbeats, so the first is due after the
// demonstration; and an access lives as long as a slow machine may need.
const (
	profileID     = "demo-on-one-machine"
	heartbeatsDue = 10 * 365 * 24 * 60 * 60 // seconds
	accessLife    = 60
)

// charter makes the log's charter, entry 0, and signs it with two of its three
// founders' keys.
//
// A charter has at most 256 parties, and the data names more businesses than
// that. So one provider stands in for all of them: warrants address it, it signs
// accesses, and it runs the log. The courts are the counties of the data. The
// group that the rows' accesses name has one custodian, which holds nothing: the
// private half of its gate's key was not kept. The other group has three gates.
func (w *world) charter() *event.Envelope {
	p := must(profile.Load("demo"))
	p.ID, p.Heartbeat.Within, p.AccessLife = profileID, heartbeatsDue, accessLife
	ch := &event.Charter{
		Version: 1, Rules: 1, Profile: p,
		Groups: []event.Group{
			{ID: gateGroup, Threshold: gateThreshold},
			{ID: noGroup, Threshold: 1, Members: []string{custodianName}},
		},
		Thresholds:    event.Thresholds{Amend: 2, Recover: numFounders},
		WitnessPolicy: w.witnessPolicy(fmt.Sprint(quorum), nil), AuditPolicy: "quorum none\n",
	}
	for _, k := range w.logKeys() {
		ch.LogKeys = append(ch.LogKeys, k.String())
	}
	for i := range numGates {
		ch.Groups[0].Members = append(ch.Groups[0].Members, gateName(i))
	}
	for dir, named := range w.signers.keys {
		for name, s := range named {
			party := event.Party{Name: name, Role: roles[dir], Keys: []*event.PublicKey{s.Public()}}
			switch {
			case dir == courts:
				party.Kind = "court"
			case name == custodianName:
				party.Gates = []event.HPKEKey{unusedKey()}
			case dir == custodians:
				party.Gates = []event.HPKEKey{w.gateKey(name).Public()}
			}
			ch.Parties = append(ch.Parties, party)
		}
	}
	return must(event.Sign(must(event.New(origin, ch)), w.signers.keys[founders]["founder1"], w.signers.keys[founders]["founder2"]))
}

// unusedKey returns an encryption key whose private half is not kept.
func unusedKey() event.HPKEKey {
	return event.HPKEKey{KEM: event.KEMX25519, Public: must(ecdh.X25519().GenerateKey(rand.Reader)).PublicKey().Bytes()}
}
