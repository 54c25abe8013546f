// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/pgstate"
	"github.com/vasistas/vasistas/log/recover"
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

func (l *layout) defineVault(fs *flag.FlagSet) {
	fs.StringVar(&l.vault, "vault", "", "`directory` of the vault, if not DIR/vault")
	fs.StringVar(&l.identity, "identity", "", "`file` with the vault's age identity, if not DIR/keys/vault.key")
}

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

func runKeygen(_ context.Context, c *command.Call) error {
	dir := c.Flags.String("dir", "", "`directory` of the log (required)")
	origin := c.Flags.String("origin", "", "origin of the log: a `name` that stays yours for ever, like example.com/warrants (required)")
	mldsa := c.Flags.Bool("mldsa", true, "also make a post-quantum ML-DSA-44 key")
	if err := c.Parse(); err != nil {
		return err
	}
	if *dir == "" || *origin == "" {
		return command.WrongUse("give -dir and -origin")
	}
	keys, err := makeKeys(*dir, *origin, *mldsa)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.Stderr, "Made the keys of the log %s in %s/keys. Lines for policies:\n", *origin, *dir)
	for _, k := range keys {
		fmt.Fprintf(c.Stdout, "log %s\n", k.Verifier())
	}
	return nil
}

// maxCharterFile leaves room for a line feed.
const maxCharterFile = event.MaxEntrySize + 1

func runInit(ctx context.Context, c *command.Call) (err error) {
	l := layout{engineOptions: engineOptions{creates: true}}
	l.define(c.Flags)
	l.defineVault(c.Flags)
	charterFile := c.Flags.String("charter", "", "`file` with the first charter, signed by enough founders with \"vasistas charter sign\" (required)")
	recovery := c.List("vault-recovery", "another age `recipient` (age1pq1..., from age-keygen -pq) that can decrypt the vault; repeat it")
	if err := c.Parse(l.complete); err != nil {
		return err
	}
	if *charterFile == "" {
		return command.WrongUse("-charter is missing: make a charter with \"vasistas charter new\"")
	}
	charter, err := readEnvelope(*charterFile)
	if err != nil {
		return err
	}
	keys, err := openKeys(&l)
	if err != nil {
		return err
	}
	cfg := recover.InitConfig{StateDir: l.state, Keys: keys, Charter: charter}
	if err := cfg.Check(); err != nil {
		return err
	}
	files := l.vaultConfig()
	if l.database == "" {
		if err := refuseSecond(l.state); err != nil {
			return err
		}
	} else {
		db, err := pgstate.Create(ctx, l.database)
		if err != nil {
			return err
		}
		defer db.Close()
		cfg.State, files.Storage = db.Creator(), db.Vault()
	}
	// The vault of an attempt that was cut off will do, unless its recipients may differ.
	if err := vault.Create(files, *recovery...); err != nil && (len(*recovery) > 0 || !errors.Is(err, fs.ErrExist)) {
		return err
	}
	engine, err := l.createTree(ctx, slog.New(slog.NewTextHandler(c.Stderr, nil)), c.Stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close(ctx)) }()
	cfg.Engine = engine
	if err := recover.Init(ctx, cfg); err != nil {
		return err
	}
	if l.engine != enginePOSIX || !sameTree(l.engine, l.tree, filepath.Join(l.dir, "tree")) {
		if err := writePlace(filepath.Join(l.dir, placeFile), &l.engineOptions); err != nil {
			return err
		}
	}
	fmt.Fprintf(c.Stderr, "Made the log %s in %s. Its charter is entry 0.\n", keys[0].Verifier().Name, l.dir)
	return nil
}

func readEnvelope(name string) ([]byte, error) {
	b, err := durable.ReadFile(name, maxCharterFile)
	if err != nil {
		return nil, fmt.Errorf("reading an event: %w", err)
	}
	b = bytes.TrimSuffix(b, []byte("\n"))
	if _, err := event.ParseEnvelope(b); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return b, nil
}
