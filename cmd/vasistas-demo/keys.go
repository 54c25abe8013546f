// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/event/eventkey"
	"github.com/vasistas/vasistas/log/tlog"
)

// signers are the event keys of everybody who signs: each county's superior court
// and its duty key, the provider, and those whom a charter needs besides. All are
// in files of D/keys. An agency's key signs no event; it is derived from a secret
// in there, since there are hundreds.
type signers struct {
	courts     map[string]event.Signer
	duties     map[string]event.Signer
	founders   map[string]event.Signer
	custodians map[string]event.Signer
	providers  map[string]event.Signer // one
	provider   event.Signer            // that one, which runs the log
	seed       []byte

	mu       sync.Mutex
	agencies map[string]event.Signer // those that were asked for; guarded by mu
}

// roles are the keys of each role, and the directory below D/keys that they are in.
func (k *signers) roles() []struct {
	dir  string
	role event.Role
	keys *map[string]event.Signer
} {
	return []struct {
		dir  string
		role event.Role
		keys *map[string]event.Signer
	}{
		{"courts", event.RoleAuthority, &k.courts}, {"duty", event.RoleDuty, &k.duties},
		{"providers", event.RoleProvider, &k.providers}, {"founders", event.RoleCharter, &k.founders},
		{"custodians", event.RoleCustodian, &k.custodians},
	}
}

// The parties that the rows do not name.
const (
	providerName  = "demo-provider" // stands in for all businesses, and runs the log
	custodianName = "nobody"        // runs no gate
	numFounders   = 3
)

const (
	seedFile  = "agencies.seed"
	keySuffix = ".pem"
)

// agency returns the key of an agency.
func (k *signers) agency(code string) (event.Signer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s := k.agencies[code]; s != nil {
		return s, nil
	}
	seed, err := hkdf.Key(sha256.New, k.seed, nil, "vasistas-demo agency "+code, ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	s, err := event.NewSigner(ed25519.NewKeyFromSeed(seed))
	if err != nil {
		return nil, err
	}
	k.agencies[code] = s
	return s, nil
}

// public returns the key of an id, as verify.Options wants it.
func (k *signers) public() func(id string) *event.PublicKey {
	keys := make(map[string]*event.PublicKey)
	for _, r := range k.roles() {
		for _, s := range *r.keys {
			keys[s.KeyID()] = s.Public()
		}
	}
	return func(id string) *event.PublicKey { return keys[id] }
}

// makeSigners makes the keys that any of the rows will need, in dir.
func makeSigners(dir string, rows []row) error {
	want := map[string]map[string]bool{
		"courts": {}, "duty": {}, "founders": {}, "providers": {providerName: true}, "custodians": {custodianName: true},
	}
	for i := range numFounders {
		want["founders"][fmt.Sprintf("founder%d", i+1)] = true
	}
	for i := range rows {
		c, err := decide(&rows[i])
		var no refusal
		if err != nil && !(errors.As(err, &no) && no.impossible()) {
			continue // a row that is refused needs no keys
		}
		want["courts"][c.court] = true
		if rows[i].Emergency {
			want["duty"][c.court] = true
		}
	}
	for i := range numGates {
		want["custodians"][gateName(i)] = true
	}
	for name, codes := range want {
		if err := durable.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			return err
		}
		for code := range codes {
			if _, err := eventkey.Generate(eventkey.Ed25519, filepath.Join(dir, name, code+keySuffix)); err != nil {
				return err
			}
		}
	}
	seed := make([]byte, 32)
	rand.Read(seed)
	return durable.CreateFile(filepath.Join(dir, seedFile), seed, 0o600)
}

// loadSigners loads the keys that makeSigners made.
func loadSigners(ctx context.Context, dir string) (*signers, error) {
	k := &signers{agencies: make(map[string]event.Signer)}
	var err error
	for _, r := range k.roles() {
		if *r.keys, err = loadDir(ctx, filepath.Join(dir, r.dir)); err != nil {
			return nil, err
		}
	}
	if k.provider = k.providers[providerName]; k.provider == nil {
		return nil, fmt.Errorf("%s: the provider's key is missing", dir)
	}
	k.seed, err = os.ReadFile(filepath.Join(dir, seedFile))
	return k, err
}

func loadDir(ctx context.Context, dir string) (map[string]event.Signer, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	keys := make(map[string]event.Signer)
	for _, f := range files {
		code, ok := strings.CutSuffix(f.Name(), keySuffix)
		if !ok {
			continue
		}
		if keys[code], err = eventkey.Load(ctx, filepath.Join(dir, f.Name())); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// makeNoteKey makes the note key of a log or witness. It never replaces one.
func makeNoteKey(file, name string, a tlog.Algorithm) error {
	s, err := tlog.GenerateSigner(name, a)
	if err != nil {
		return err
	}
	return durable.CreateFile(file, []byte(s.Secret()+"\n"), 0o600)
}

// loadNoteKey loads what makeNoteKey made.
func loadNoteKey(file, name string, a tlog.Algorithm) (*tlog.Signer, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	s, err := tlog.ParseSigner(strings.TrimSuffix(string(b), "\n"))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if v := s.Verifier(); v.Name != name || v.Algorithm != a {
		return nil, fmt.Errorf("%s: it is the key of %s, of type %v", file, v.Name, v.Algorithm)
	}
	return s, nil
}
