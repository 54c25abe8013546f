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
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/vasistas/vasistas/internal/c2sp"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/event/eventkey"
)

// signers are the event keys of everybody in the data: each county's superior
// court and its duty key, and each provider that an emergency row names. All
// are in files of D/keys. An agency's key signs no event; it is derived from a
// secret in there, since there are hundreds.
type signers struct {
	courts    map[string]event.Signer
	duties    map[string]event.Signer
	providers map[string]event.Signer
	founders  map[string]event.Signer
	holders   map[string]event.Signer
	seed      []byte

	mu       sync.Mutex
	agencies map[string]event.Signer // those that were asked for; guarded by mu
}

// The directories below D/keys, and the role of the keys in each.
var keyDirs = []struct {
	dir  string
	role event.Role
	of   func(*signers) map[string]event.Signer
}{
	{"courts", event.RoleAuthority, func(k *signers) map[string]event.Signer { return k.courts }},
	{"duty", event.RoleDuty, func(k *signers) map[string]event.Signer { return k.duties }},
	{"providers", event.RoleProvider, func(k *signers) map[string]event.Signer { return k.providers }},
	{"founders", event.RoleCharter, func(k *signers) map[string]event.Signer { return k.founders }},
	{"holders", event.RoleCustodian, func(k *signers) map[string]event.Signer { return k.holders }},
}

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
	for _, m := range []map[string]event.Signer{k.courts, k.duties, k.providers, k.founders, k.holders} {
		for _, s := range m {
			keys[s.KeyID()] = s.Public()
		}
	}
	return func(id string) *event.PublicKey { return keys[id] }
}

// makeSigners makes the keys that any of the rows will need, in dir.
func makeSigners(dir string, rows []row) error {
	want, named := make(map[string]map[string]bool), make(map[string]int)
	for _, d := range keyDirs {
		want[d.dir] = make(map[string]bool)
		if err := durable.MkdirAll(filepath.Join(dir, d.dir), 0o700); err != nil {
			return err
		}
	}
	for i := range rows {
		c, err := decide(&rows[i])
		if err != nil {
			continue // a row that is refused needs no keys
		}
		want["courts"][c.court] = true // a duty key is some court's
		if rows[i].Emergency {
			want["duty"][c.court], want["providers"][c.provider] = true, true
		} else if named[c.provider]++; named[c.provider] >= minListed {
			want["providers"][c.provider] = true
		}
	}
	for _, c := range []string{codeNone, codeNotOneName, unlisted} {
		want["providers"][c] = true
	}
	want["founders"][founder], want["holders"][holder] = true, true
	for name, codes := range want {
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
	for _, d := range []struct {
		dir  string
		keys *map[string]event.Signer
	}{{"courts", &k.courts}, {"duty", &k.duties}, {"providers", &k.providers}, {"founders", &k.founders}, {"holders", &k.holders}} {
		if *d.keys, err = loadDir(ctx, filepath.Join(dir, d.dir)); err != nil {
			return nil, err
		}
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

// listed returns the provider's name in the charter.
func (k *signers) listed(provider string) string {
	if k.providers[provider] == nil {
		return unlisted
	}
	return provider
}

// makeNoteKey makes the note key of a log or witness. It never replaces one.
func makeNoteKey(file, name string, a c2sp.Algorithm) error {
	s, err := c2sp.GenerateSigner(name, a)
	if err != nil {
		return err
	}
	return durable.CreateFile(file, []byte(s.Secret()+"\n"), 0o600)
}

// loadNoteKey loads what makeNoteKey made.
func loadNoteKey(file, name string, a c2sp.Algorithm) (*c2sp.Signer, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	s, err := c2sp.ParseSigner(strings.TrimSuffix(string(b), "\n"))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if v := s.Verifier(); v.Name != name || v.Algorithm != a {
		return nil, fmt.Errorf("%s: it is the key of %s, of type %v", file, v.Name, v.Algorithm)
	}
	return s, nil
}
