// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/vasistas/vasistas/internal/c2sp"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/tiles"
)

// InitConfig configures [Init].
type InitConfig struct {
	StateDir string
	// Keys are the log's note keys, all under the origin's name: an Ed25519
	// key first, then an ML-DSA-44 cosignature key if there is to be one.
	Keys    []*c2sp.Signer
	Signers []Signer
	FS      durable.FS
}

// Init makes the state directory of a new log, whose tree must be empty. It
// signs the empty tree. It refuses a directory that holds a log.
func Init(cfg InitConfig) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("creating a log: %w", err)
		}
	}()
	set, err := cfg.settings()
	if err != nil {
		return err
	}
	if err := cfg.FS.MkdirAll(cfg.StateDir, 0o700); err != nil {
		return err
	}
	lock, err := durable.LockDir(cfg.StateDir)
	if err != nil {
		return err
	}
	defer lock.Close()
	if _, err := os.Stat(filepath.Join(cfg.StateDir, "log.json")); err == nil {
		return fmt.Errorf("there is one in %s: %w", cfg.StateDir, fs.ErrExist)
	}
	first, err := signHead(cfg.Keys, c2sp.Head{Origin: set.Origin, Root: tiles.EmptyRoot()}, uint64(time.Now().Unix()))
	if err != nil {
		return err
	}
	_, err = cfg.FS.CreateRegister(filepath.Join(cfg.StateDir, "head"), c2sp.MaxCheckpointSize, first.Bytes())
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("an earlier attempt in %s was not finished; remove the directory and try again: %w", cfg.StateDir, err)
	} else if err != nil {
		return err
	}
	text, err := json.MarshalIndent(set, "", "  ")
	if err != nil {
		return err
	}
	return cfg.FS.CreateFile(filepath.Join(cfg.StateDir, "log.json"), append(text, '\n'), 0o600)
}

// settings checks what Init was given.
func (cfg *InitConfig) settings() (settings, error) {
	set := settings{Signers: cfg.Signers}
	for i, k := range cfg.Keys {
		v := k.Verifier()
		switch {
		case i == 0 && v.Algorithm != c2sp.Ed25519:
			return set, fmt.Errorf("the first key must be an Ed25519 note key, and it is an %v key", v.Algorithm)
		case i > 0 && v.Algorithm != c2sp.CosignatureMLDSA44:
			return set, fmt.Errorf("the second key must be an ML-DSA-44 cosignature key, and it is an %v key", v.Algorithm)
		case i > 1:
			return set, errors.New("more than two keys")
		case i > 0 && v.Name != set.Origin:
			return set, fmt.Errorf("the keys have two names, %s and %s", set.Origin, v.Name)
		}
		set.Origin = v.Name
		set.Keys = append(set.Keys, v.String())
	}
	if len(set.Keys) == 0 {
		return set, errors.New("it needs a key")
	}
	_, err := newAdmission(set)
	return set, err
}
