// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/tlog"
)

// stateDir is the state in a directory, which also has the caches:
//
//	log.json    which log this is; written last, once
//	head        the last head that the log signed, with the log's own lines
//	checkpoint  the last checkpoint that was published
//	events      a cache of event hashes, see eventIndex
//	ledger      a cache of what the entries mean, see snapshot.go
//	lock
//
// With another state it has the caches and the lock only.
type stateDir struct {
	dir      string
	lock     *durable.Lock
	settings settingsJSON
	head     *durable.Register // nil: not opened, or lost
}

var (
	_ State   = (*stateDir)(nil)
	_ Founder = (*stateDir)(nil)
)

// settingsJSON is log.json.
type settingsJSON struct {
	Origin  string `json:"origin"`
	Charter []byte `json:"charter"`
}

const maxSettings = 4 << 10

// openStateDir opens the state in dir, or only the caches in it if the state is
// elsewhere. With recovering, the record of the head may be lost.
func openStateDir(dir string, cachesOnly, recovering bool) (_ *stateDir, err error) {
	s := &stateDir{dir: dir}
	if cachesOnly {
		if err := durable.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("opening the log: %w", err)
		}
	} else if s.settings, err = readSettings(s.path("log.json")); err != nil {
		// Before the lock, which would make a file in a directory that is no log's.
		return nil, err
	}
	if s.lock, err = durable.LockDir(dir); err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	if cachesOnly {
		return s, nil
	}
	s.head, err = durable.OpenRegister(s.path("head"), tlog.MaxCheckpointSize)
	if recovering && (errors.Is(err, durable.ErrMissing) || errors.Is(err, durable.ErrTooLarge)) {
		return s, nil
	} else if err != nil {
		err = fmt.Errorf("opening the log: the record of the last signed head: %w; "+howToRestoreHead, err)
		return nil, errors.Join(err, s.lock.Close())
	}
	return s, nil
}

func readSettings(name string) (settingsJSON, error) {
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return settingsJSON{}, fmt.Errorf("opening the log: %s holds no log; create one with \"vasistas-log init\", or restore the file: %w", filepath.Dir(name), err)
	} else if err != nil {
		return settingsJSON{}, fmt.Errorf("opening the log: %w", err)
	}
	var set settingsJSON
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	err = d.Decode(&set)
	switch {
	case err != nil:
	case len(b) > maxSettings:
		err = fmt.Errorf("%d bytes, and %d are allowed", len(b), maxSettings)
	case d.Decode(&struct{}{}) != io.EOF:
		err = errors.New("something follows its end")
	case set.Origin == "" || len(set.Charter) != 32:
		err = errors.New("no origin or no charter")
	default:
		return set, nil
	}
	return settingsJSON{}, fmt.Errorf("opening the log: %s is damaged; restore it: %w", name, err)
}

func (s *stateDir) path(name string) string { return filepath.Join(s.dir, name) }

func (s *stateDir) close() error {
	if s.lock == nil { // of a standby, which keeps the lock
		return nil
	}
	return s.lock.Close()
}

// Held: the lock lasts as long as the process.
func (s *stateDir) Held() error { return nil }

func (s *stateDir) Settings() Settings {
	return Settings{Origin: s.settings.Origin, Charter: [32]byte(s.settings.Charter)}
}

func (s *stateDir) LoadHead(context.Context) ([]byte, error) {
	if s.head == nil {
		return nil, durable.ErrMissing
	}
	return s.head.Load()
}

func (s *stateDir) SwapHead(_ context.Context, old, next []byte) error {
	return s.head.CompareAndSwap(old, next)
}

func (s *stateDir) RestoreHead(_ context.Context, next []byte) error {
	if s.head == nil {
		return durable.WriteFile(s.path("head"), next, 0o600)
	}
	old, err := s.head.Load()
	if err != nil {
		return err
	}
	return s.head.CompareAndSwap(old, next)
}

// Published does not say which charter is in force: whoever serves this state has
// the log open, and knows it.
func (s *stateDir) Published(context.Context) (Published, error) {
	b, err := os.ReadFile(s.path("checkpoint"))
	if errors.Is(err, fs.ErrNotExist) {
		return Published{}, nil
	}
	return Published{Checkpoint: b}, err
}

func (s *stateDir) Publish(_ context.Context, p Published) error {
	return durable.WriteFile(s.path("checkpoint"), p.Checkpoint, 0o644)
}

func (s *stateDir) KeepEvidence(_ context.Context, name string, checkpoint []byte) (string, error) {
	return s.path(name), durable.WriteFile(s.path(name), checkpoint, 0o644)
}

func (s *stateDir) Begin(context.Context) (io.Closer, error) {
	if err := durable.MkdirAll(s.dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := durable.LockDir(s.dir)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(s.path("log.json")); err == nil {
		return nil, errors.Join(fmt.Errorf("there is one in %s: %w", s.dir, fs.ErrExist), lock.Close())
	}
	return lock, nil
}

func (s *stateDir) Found(_ context.Context, set Settings, head []byte) error {
	_, err := durable.CreateRegister(s.path("head"), tlog.MaxCheckpointSize, head)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("an earlier attempt in %s was not finished; remove the directory and try again: %w", s.dir, err)
	} else if err != nil {
		return err
	}
	text, err := json.MarshalIndent(settingsJSON{Origin: set.Origin, Charter: set.Charter[:]}, "", "  ")
	if err != nil {
		return err
	}
	return durable.CreateFile(s.path("log.json"), append(text, '\n'), 0o600)
}
