// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/event/eventkey"
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
	seed, err := hkdf.Key(sha256.New, k.seed, nil, "vasistas-demo agency "+code, ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	return event.NewSigner(ed25519.NewKeyFromSeed(seed))
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
func makeSigners(dir string, rows []row) error {
	want := map[string]bool{filepath.Join(providers, providerName): true, filepath.Join(custodians, custodianName): true}
	for i := range numFounders {
		want[filepath.Join(founders, fmt.Sprintf("founder%d", i+1))] = true
	}
	for i := range numGates {
		want[filepath.Join(custodians, gateName(i))] = true
	}
	for i := range rows {
		c, err := decide(&rows[i])
		if err != nil {
			continue // a row that is refused needs no keys
		}
		want[filepath.Join(courts, c.court)] = true
		if rows[i].Emergency {
			want[filepath.Join(duties, c.court)] = true
		}
	}
	for role := range roles {
		if err := durable.MkdirAll(filepath.Join(dir, role), 0o700); err != nil {
			return err
		}
	}
	for name := range want {
		if _, err := eventkey.Generate(eventkey.Ed25519, filepath.Join(dir, name+keySuffix)); err != nil {
			return err
		}
	}
	seed := make([]byte, 32)
	rand.Read(seed)
	return durable.CreateFile(filepath.Join(dir, seedFile), seed, 0o600)
}

// loadSigners loads the keys that makeSigners made.
func loadSigners(ctx context.Context, dir string) (*signers, error) {
	k := &signers{keys: make(map[string]map[string]event.Signer)}
	for role := range roles {
		k.keys[role] = make(map[string]event.Signer)
		files, err := fs.Glob(os.DirFS(dir), role+"/*"+keySuffix)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			if k.keys[role][strings.TrimSuffix(path.Base(f), keySuffix)], err = eventkey.Load(ctx, filepath.Join(dir, f)); err != nil {
				return nil, err
			}
		}
	}
	if k.provider = k.keys[providers][providerName]; k.provider == nil {
		return nil, fmt.Errorf("%s: the provider's key is missing", dir)
	}
	var err error
	k.seed, err = os.ReadFile(filepath.Join(dir, seedFile))
	return k, err
}
