// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/vasistas/vasistas/internal/c2sp"
	"github.com/vasistas/vasistas/internal/durable"
)

// store is the state directory: what the log must remember apart from the tree.
//
//	log.json    which log this is; written last, once
//	head        the last head that the log signed, with the log's own lines
//	checkpoint  the last checkpoint that was published
//	events      a cache of event hashes, see eventIndex
//	ledger      a cache of what the entries mean, see snapshot.go
//	lock
type store struct {
	dir      string
	fs       durable.FS
	lock     *durable.Lock
	settings settings
	head     *durable.Register
}

// settings is log.json.
type settings struct {
	Origin string `json:"origin"`
	// Charter is the leaf hash of the first charter: what gates and monitors
	// are configured with.
	Charter []byte `json:"charter"`
}

const maxSettings = 4 << 10

// errState: the log can't write down what it must remember. It signs and
// publishes nothing until it can.
var errState = errors.New("the log's state can't be written")

func openStore(dir string, fsys durable.FS) (_ *store, err error) {
	// Before the lock, which would make a file in a directory that is no log's.
	set, err := readSettings(filepath.Join(dir, "log.json"))
	if err != nil {
		return nil, err
	}
	lock, err := durable.LockDir(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	s := &store{dir: dir, fs: fsys, lock: lock, settings: set}
	defer func() {
		if err != nil {
			err = errors.Join(err, lock.Close())
		}
	}()
	if s.head, err = fsys.OpenRegister(s.path("head"), c2sp.MaxCheckpointSize); err != nil {
		return nil, fmt.Errorf("opening the log: the record of the last signed head: %w; "+howToRestoreHead, err)
	}
	return s, nil
}

func readSettings(name string) (settings, error) {
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return settings{}, fmt.Errorf("opening the log: %s holds no log; create one with \"vasistas-log init\", or restore the file: %w", filepath.Dir(name), err)
	} else if err != nil {
		return settings{}, fmt.Errorf("opening the log: %w", err)
	}
	var set settings
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
	return settings{}, fmt.Errorf("opening the log: %s is damaged; restore it: %w", name, err)
}

func (s *store) path(name string) string { return filepath.Join(s.dir, name) }

func (s *store) close() error { return s.lock.Close() }

// checkKeys refuses keys of another log.
func (s *store) checkKeys(keys []*c2sp.Signer) error {
	if len(keys) == 0 {
		return fmt.Errorf("opening the log: it needs a key of the log %s", s.settings.Origin)
	}
	for _, k := range keys {
		if v := k.Verifier(); v.Name != s.settings.Origin {
			return fmt.Errorf("opening the log: a key has the name %q, and this is the log %q", v.Name, s.settings.Origin)
		}
	}
	return nil
}

// howToRestoreHead ends errors about the register of the head.
const howToRestoreHead = "restore it, or bring it back from the published log with \"vasistas-log recover -from MIRROR\""

// loadHead returns the recorded head and the time of its ML-DSA-44 line, in POSIX
// seconds, or 0. It must carry a valid line of one of the keys; nil: that is left to the caller.
func (s *store) loadHead(keys []*c2sp.VerifierKey) (cp *c2sp.Checkpoint, time uint64, err error) {
	b, err := s.head.Load()
	if err != nil {
		return nil, 0, fmt.Errorf("reading the last signed head: %w", err)
	}
	if cp, time, err = s.parseHead(b, keys); err != nil {
		return nil, 0, fmt.Errorf("%w: %w; "+howToRestoreHead, errHeadDamaged, err)
	}
	return cp, time, nil
}

var errHeadDamaged = errors.New("the record of the last signed head is damaged")

func (s *store) parseHead(b []byte, keys []*c2sp.VerifierKey) (cp *c2sp.Checkpoint, time uint64, err error) {
	if cp, err = c2sp.ParseCheckpoint(b); err != nil {
		return nil, 0, err
	}
	if cp.Origin != s.settings.Origin {
		return nil, 0, fmt.Errorf("it is one of the log %q, and this is %q", cp.Origin, s.settings.Origin)
	}
	signed := keys == nil
	for _, key := range keys {
		line := cp.Find(key)
		if line == nil {
			continue
		}
		t, err := key.Verify(&cp.Head, line)
		if err != nil {
			return nil, 0, err
		}
		time, signed = max(time, t), true
	}
	if !signed {
		return nil, 0, errors.New("it has no signature by any of the keys given; give those that signed it too, until a head with the new ones is published")
	}
	return cp, time, nil
}

// recordHead replaces the recorded head, if it is still old. Nothing of next may
// leave the process before it has returned nil.
func (s *store) recordHead(old, next *c2sp.Checkpoint) error {
	if err := s.head.CompareAndSwap(old.Bytes(), next.Bytes()); err != nil {
		return fmt.Errorf("%w: recording the new head: %w", errState, err)
	}
	return nil
}

// publish makes a checkpoint the published one, for good.
func (s *store) publish(cp []byte) error {
	if err := s.fs.WriteFile(s.path("checkpoint"), cp, 0o644); err != nil {
		return fmt.Errorf("%w: writing the checkpoint to publish: %w", errState, err)
	}
	return nil
}

// published returns the checkpoint that was published last, nil if none was.
func (s *store) published() (*c2sp.Checkpoint, error) {
	b, err := os.ReadFile(s.path("checkpoint"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("reading the published checkpoint: %w", err)
	}
	cp, err := c2sp.ParseCheckpoint(b)
	if err != nil {
		return nil, fmt.Errorf("the published checkpoint is damaged: %w", err)
	}
	return cp, nil
}

// signHead signs a head with every key. An ML-DSA-44 line is a cosignature and
// carries time, in POSIX seconds.
func signHead(keys []*c2sp.Signer, h c2sp.Head, time uint64) (*c2sp.Checkpoint, error) {
	cp := &c2sp.Checkpoint{Head: h}
	for _, k := range keys {
		sig, err := k.Sign(&h, time)
		if err != nil {
			return nil, fmt.Errorf("signing the head of size %d: %w", h.Size, err)
		}
		cp.Signatures = append(cp.Signatures, sig)
	}
	return cp, nil
}
