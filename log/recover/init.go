// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package recover

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/internal/chain"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/state"
	"github.com/vasistas/vasistas/log/tlog"
)

// InitConfig configures [Init].
type InitConfig struct {
	StateDir string
	// State, if not nil, creates the state instead of files in StateDir.
	State state.Creator
	// Engine is the tree, which must be empty. It stays the caller's.
	Engine log.Engine
	// Keys are the log's note keys, all under the origin's name: an Ed25519
	// key first, then an ML-DSA-44 cosignature key if there is to be one.
	// They are the log keys that the charter names.
	Keys []*tlog.Signer
	// Charter is the exact bytes of the charter's envelope, with enough
	// signatures. It becomes entry 0.
	Charter []byte
}

// Init creates a log from its charter: entry 0 of the tree, a state directory, and
// the signed head of size 1. It refuses a directory that holds a log, and a charter
// that breaks a rule, with the *[log.RuleError]. If Init is cut off, remove the state
// directory and call Init again.
func Init(ctx context.Context, cfg InitConfig) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("creating a log: %w", err)
		}
	}()
	entry, err := cfg.check()
	if err != nil {
		return err
	}
	if cfg.Engine == nil {
		return errors.New("it needs an engine")
	}
	if cfg.State == nil {
		cfg.State = state.NewDir(cfg.StateDir)
	}
	begun, err := cfg.State.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, begun.Close()) }()
	origin := cfg.Keys[0].Verifier().Name
	head, err := cfg.storeCharter(ctx, origin, entry.Leaf)
	if err != nil {
		return err
	}
	first, err := chain.Sign(cfg.Keys, *head, uint64(time.Now().Unix()))
	if err != nil {
		return err
	}
	return cfg.State.Create(ctx, state.Settings{Origin: origin, Charter: entry.Leaf}, first.Bytes())
}

// Check returns the error of [Init] for unusable keys or an unusable charter. It needs
// neither engine nor directory.
func (cfg *InitConfig) Check() error {
	if _, err := cfg.check(); err != nil {
		return fmt.Errorf("creating a log: %w", err)
	}
	return nil
}

// check checks the keys, and the charter by the rules.
func (cfg *InitConfig) check() (*ledger.Entry, error) {
	if len(cfg.Keys) == 0 {
		return nil, errors.New("it needs a key")
	}
	origin := cfg.Keys[0].Verifier().Name
	for i, k := range cfg.Keys {
		v := k.Verifier()
		switch {
		case i == 0 && v.Algorithm != tlog.Ed25519:
			return nil, fmt.Errorf("the first key must be an Ed25519 note key, and it is an %v key", v.Algorithm)
		case i > 0 && v.Algorithm != tlog.CosignatureMLDSA44:
			return nil, fmt.Errorf("the second key must be an ML-DSA-44 cosignature key, and it is an %v key", v.Algorithm)
		case i > 1:
			return nil, errors.New("more than two keys")
		case v.Name != origin:
			return nil, fmt.Errorf("the keys have two names, %s and %s", origin, v.Name)
		}
	}
	if len(cfg.Charter) == 0 {
		return nil, errors.New("it needs a charter; make one with \"vasistas charter new\"")
	}
	env, err := event.ParseEnvelope(cfg.Charter)
	if err != nil {
		return nil, fmt.Errorf("the charter: %w", err)
	}
	e := ledger.Entry{Leaf: tiles.LeafHash(cfg.Charter), Envelope: env, Hash: env.Hash()}
	if v, err := ledger.New(origin, nil).Check(e); err != nil {
		return nil, err
	} else if v != nil {
		return nil, fmt.Errorf("the charter: %w", &log.RuleError{Violation: v})
	}
	named := env.Event.Body.(*event.Charter).LogKeys
	var given []string
	for _, k := range cfg.Keys {
		given = append(given, k.Verifier().String())
	}
	if !slices.Equal(slices.Sorted(slices.Values(named)), slices.Sorted(slices.Values(given))) {
		return nil, fmt.Errorf("the charter names the log keys %s, and those given are %s; give those that it names, or sign a charter that names these", chain.KeyIDs(named), chain.KeyIDs(given))
	}
	return &e, nil
}

// storeCharter makes the charter the one entry of the tree.
func (cfg *InitConfig) storeCharter(ctx context.Context, origin string, leaf tiles.Hash) (*tlog.Head, error) {
	size, _, err := cfg.Engine.Tree(ctx)
	if err != nil {
		return nil, chain.TreeError(err)
	}
	switch size {
	case 0:
		if first, err := cfg.Engine.Add(ctx, [][]byte{cfg.Charter}); err != nil {
			return nil, fmt.Errorf("storing the charter: %w", err)
		} else if first != 0 {
			return nil, fmt.Errorf("%w (the engine put the first entry at index %d)", chain.ErrTreeConflict, first)
		}
		if err := cfg.Engine.Wait(ctx, 1); err != nil {
			return nil, fmt.Errorf("storing the charter: %w", err)
		}
	case 1: // perhaps of an attempt that was cut off
		entries, err := tiles.ReadBundle(ctx, cfg.Engine, 0, 1)
		if err != nil {
			return nil, chain.TreeError(err)
		}
		if !bytes.Equal(entries[0], cfg.Charter) {
			return nil, errors.New("the tree holds another charter; give an empty tree")
		}
	default:
		return nil, fmt.Errorf("the tree has %d entries; give an empty tree", size)
	}
	f, err := (&tiles.Frontier{}).Extend(ctx, cfg.Engine, 1, nil)
	if err != nil {
		return nil, chain.TreeError(err)
	}
	if f.Root() != leaf {
		return nil, fmt.Errorf("%w (it does not hold the charter that was given to it)", chain.ErrTreeConflict)
	}
	return &tlog.Head{Origin: origin, Size: 1, Root: leaf}, nil
}
