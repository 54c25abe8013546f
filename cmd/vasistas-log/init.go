// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/vasistas/vasistas/internal/c2sp"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/tesserax"
)

// layout is where the parts of a log are.
type layout struct{ dir, tree, state string }

// define adds the flags that every command has.
func (l *layout) define(fs *flag.FlagSet) {
	fs.StringVar(&l.dir, "dir", "", "`directory` of the log (required)")
	fs.StringVar(&l.tree, "tree", "", "directory of the tree, if not DIR/tree")
	fs.StringVar(&l.state, "state", "", "directory of the state, if not DIR/state; another disk than the tree's is best")
}

func (l *layout) complete() error {
	if l.dir == "" {
		return wrongUse("-dir is missing: say which directory holds the log")
	}
	if l.tree == "" {
		l.tree = filepath.Join(l.dir, "tree")
	}
	if l.state == "" {
		l.state = filepath.Join(l.dir, "state")
	}
	return nil
}

// The key files that init makes.
const (
	ed25519File = "ed25519.key"
	mldsaFile   = "mldsa.key"
)

func runInit(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var (
		l       layout
		signers []log.Signer
		keys    []*c2sp.Signer
	)
	fs := flag.NewFlagSet("init", flag.ContinueOnError)
	l.define(fs)
	origin := fs.String("origin", "", "origin of the log: a name that is yours for ever, like example.com/warrants (required, unless -key is given)")
	mldsa := fs.Bool("mldsa", true, "make a post-quantum ML-DSA-44 key too")
	fs.Func("key", "`file` with a note key to use instead of new ones; the Ed25519 key first", func(name string) error {
		k, err := readKey(name)
		keys = append(keys, k)
		return err
	})
	fs.Func("signer", "`ROLE=FILE`: public key (PEM) that may sign events in a role; repeat it. Roles: "+roles(), func(s string) error {
		signer, err := readSigner(s)
		signers = append(signers, signer)
		return err
	})
	if err := parse(fs, args, stderr); err != nil {
		return err
	}
	if err := l.complete(); err != nil {
		return err
	}
	if (*origin == "") == (len(keys) == 0) {
		return wrongUse("give either -origin, to make new keys, or -key")
	}
	if len(keys) == 0 {
		var err error
		if keys, err = makeKeys(l.dir, *origin, *mldsa); err != nil {
			return err
		}
	}
	if err := tesserax.Create(ctx, l.tree); err != nil {
		return err
	}
	if err := log.Init(log.InitConfig{StateDir: l.state, Keys: keys, Signers: signers}); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "Made the log %s in %s, with %d signers. Lines for policies:\n", keys[0].Verifier().Name, l.dir, len(signers))
	for _, k := range keys {
		fmt.Fprintf(stdout, "log %s\n", k.Verifier())
	}
	return nil
}

func roles() string {
	var names []string
	for _, r := range log.Roles() {
		names = append(names, string(r))
	}
	return strings.Join(names, ", ")
}

// makeKeys writes new keys to DIR/keys. It never replaces one.
func makeKeys(dir, origin string, mldsa bool) ([]*c2sp.Signer, error) {
	dir = filepath.Join(dir, "keys")
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var keys []*c2sp.Signer
	for _, k := range []struct {
		file      string
		algorithm c2sp.Algorithm
	}{{ed25519File, c2sp.Ed25519}, {mldsaFile, c2sp.CosignatureMLDSA44}} {
		if k.file == mldsaFile && !mldsa {
			continue
		}
		signer, err := c2sp.GenerateSigner(origin, k.algorithm)
		if err != nil {
			return nil, err
		}
		if err := durable.CreateFile(filepath.Join(dir, k.file), []byte(signer.Secret()+"\n"), 0o600); err != nil {
			return nil, fmt.Errorf("writing a new key: %w", err)
		}
		keys = append(keys, signer)
	}
	return keys, nil
}

// openKeys reads the keys that were named, or else those that init made.
func openKeys(l layout, named []*c2sp.Signer) ([]*c2sp.Signer, error) {
	if len(named) > 0 {
		return named, nil
	}
	first, err := readKey(filepath.Join(l.dir, "keys", ed25519File))
	if err != nil {
		return nil, fmt.Errorf("%w; name the log's keys with -key", err)
	}
	keys := []*c2sp.Signer{first}
	second, err := readKey(filepath.Join(l.dir, "keys", mldsaFile))
	if errors.Is(err, os.ErrNotExist) {
		return keys, nil
	}
	return append(keys, second), err
}

func readKey(name string) (*c2sp.Signer, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("reading a key: %w", err)
	}
	k, err := c2sp.ParseSigner(strings.TrimSuffix(string(b), "\n"))
	if err != nil {
		return nil, fmt.Errorf("reading the key in %s: %w", name, err)
	}
	return k, nil
}

func readSigner(s string) (log.Signer, error) {
	role, name, ok := strings.Cut(s, "=")
	if !ok {
		return log.Signer{}, fmt.Errorf("%q is not of the form ROLE=FILE", s)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return log.Signer{}, err
	}
	return log.Signer{Role: role, PEM: string(b)}, nil
}

func readPolicy(name string) (*c2sp.Policy, error) {
	if name == "" {
		return nil, wrongUse("-policy is missing: it names the witnesses whose cosignatures a checkpoint needs")
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("reading the policy: %w", err)
	}
	p, err := c2sp.ParsePolicy(b)
	if err != nil {
		return nil, fmt.Errorf("policy %s: %w", name, err)
	}
	return p, nil
}
