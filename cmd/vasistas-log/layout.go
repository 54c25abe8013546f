// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/vault"
)

type layout struct {
	dir, state, vault, identity string
	database                    string         // shared by several instances; "": the state and the vault are directories
	keys                        []*tlog.Signer // named by flags
	engineOptions
}

// define adds the flags of all commands but keygen.
func (l *layout) define(fs *flag.FlagSet) {
	fs.StringVar(&l.dir, "dir", "", "`directory` of the log (required)")
	fs.StringVar(&l.state, "state", "", "`directory` of the state, if not DIR/state; best on another disk than the tree")
	fs.StringVar(&l.database, "database", "", "`DSN` of the PostgreSQL database for state and vault, in place of directories, for an active instance and standbys; PGPASSFILE names the file with its password")
	fs.Func("key", "`file` with a note key of the log, if not in DIR/keys; the Ed25519 key first; repeat it", func(name string) error {
		k, err := command.ReadSigner(name)
		l.keys = append(l.keys, k)
		return err
	})
	l.engineOptions.define(fs, "")
}

// defineVault adds the flags for the vault.
func (l *layout) defineVault(fs *flag.FlagSet) {
	fs.StringVar(&l.vault, "vault", "", "`directory` of the vault, if not DIR/vault")
	fs.StringVar(&l.identity, "identity", "", "`file` with the vault's age identity, if not DIR/keys/vault.key")
}

// complete sets the places that were not given.
func (l *layout) complete() error {
	if l.dir == "" {
		return command.WrongUse("-dir is missing: give the directory of the log")
	}
	for path, name := range map[*string]string{&l.state: "state", &l.vault: "vault", &l.identity: "keys/vault.key"} {
		if *path == "" {
			*path = filepath.Join(l.dir, filepath.FromSlash(name))
		}
	}
	if err := l.takePlace(l.dir); err != nil {
		return err
	}
	return l.fill(l.dir)
}

// spareStray is how long the vault keeps records without an entry in the tree: what was on
// its way when a process ended may still become one, in the hands of Trillian's servers, or of
// a former active instance. Trillian integrates what it has stored once its signer runs again.
const spareStray = 30 * 24 * time.Hour

func (l *layout) vaultConfig() vault.Config {
	return vault.Config{Dir: l.vault, Identity: l.identity, Spare: spareStray}
}

// The key files of keygen.
const (
	ed25519File = "ed25519.key"
	mldsaFile   = "mldsa.key"
)

// makeKeys writes new keys to DIR/keys. It never replaces one.
func makeKeys(dir, origin string, mldsa bool) ([]*tlog.Signer, error) {
	dir = filepath.Join(dir, "keys")
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var keys []*tlog.Signer
	for _, k := range []struct {
		file      string
		algorithm tlog.Algorithm
	}{{ed25519File, tlog.Ed25519}, {mldsaFile, tlog.CosignatureMLDSA44}} {
		if k.file == mldsaFile && !mldsa {
			continue
		}
		signer, err := tlog.GenerateSigner(origin, k.algorithm)
		if err != nil {
			return nil, err
		}
		if err := durable.CreateFile(filepath.Join(dir, k.file), []byte(signer.Secret()+"\n"), 0o600); err != nil {
			return nil, fmt.Errorf("writing a new key: %w", err)
		}
		vkey := strings.TrimSuffix(k.file, ".key") + ".vkey"
		if err := durable.WriteFile(filepath.Join(dir, vkey), []byte(signer.Verifier().String()+"\n"), 0o644); err != nil {
			return nil, err
		}
		keys = append(keys, signer)
	}
	return keys, nil
}

// openKeys returns the keys of the flags, or else those of keygen.
func openKeys(l *layout) ([]*tlog.Signer, error) {
	if len(l.keys) > 0 {
		return l.keys, nil
	}
	first, err := command.ReadSigner(filepath.Join(l.dir, "keys", ed25519File))
	if err != nil {
		return nil, fmt.Errorf("%w; make keys with \"vasistas-log keygen\", or name key files with -key", err)
	}
	keys := []*tlog.Signer{first}
	second, err := command.ReadSigner(filepath.Join(l.dir, "keys", mldsaFile))
	if errors.Is(err, os.ErrNotExist) {
		return keys, nil
	}
	return append(keys, second), err
}

func readPolicy(name string) (*tlog.Policy, error) {
	if name == "" {
		return nil, nil
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("reading the policy: %w", err)
	}
	p, err := tlog.ParsePolicy(b)
	if err != nil {
		return nil, fmt.Errorf("policy %s: %w", name, err)
	}
	return p, nil
}
