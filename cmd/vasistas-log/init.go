// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"

	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/pgstate"
	"github.com/vasistas/vasistas/log/recover"
	"github.com/vasistas/vasistas/log/vault"
)

func runKeygen(_ context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("keygen", flag.ContinueOnError)
	dir := fs.String("dir", "", "`directory` of the log (required)")
	origin := fs.String("origin", "", "origin of the log: a `name` that stays yours for ever, like example.com/warrants (required)")
	mldsa := fs.Bool("mldsa", true, "also make a post-quantum ML-DSA-44 key")
	if err := command.Parse(fs, args, stderr); err != nil {
		return err
	}
	if *dir == "" || *origin == "" {
		return command.WrongUse("give -dir and -origin")
	}
	keys, err := makeKeys(*dir, *origin, *mldsa)
	if err != nil {
		return err
	}
	fmt.Fprintf(stderr, "Made the keys of the log %s in %s/keys. Lines for policies:\n", *origin, *dir)
	for _, k := range keys {
		fmt.Fprintf(stdout, "log %s\n", k.Verifier())
	}
	return nil
}

// maxCharterFile leaves room for a line feed.
const maxCharterFile = event.MaxEntrySize + 1

func runInit(ctx context.Context, args []string, _, stderr io.Writer) (err error) {
	l := layout{engineOptions: engineOptions{creates: true}}
	flags := flag.NewFlagSet("init", flag.ContinueOnError)
	l.define(flags)
	l.defineVault(flags)
	charterFile := flags.String("charter", "", "`file` with the first charter, signed by enough founders with \"vasistas charter sign\" (required)")
	recovery := command.List(flags, "vault-recovery", "another age `recipient` (age1pq1..., from age-keygen -pq) that can decrypt the vault; repeat it")
	if err := command.Parse(flags, args, stderr, l.complete); err != nil {
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
	engine, err := l.createTree(ctx, slog.New(slog.NewTextHandler(stderr, nil)), stderr)
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
	fmt.Fprintf(stderr, "Made the log %s in %s. Its charter is entry 0.\n", keys[0].Verifier().Name, l.dir)
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
