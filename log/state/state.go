// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package state is what a log must remember apart from its tree: its name, the
// last head that it signed, and the last checkpoint that it published.
//
// A log signs only heads that extend the recorded one, so the record prevents
// conflicting heads. It is kept apart from the tree: restoring a backup of
// one does not bring back the other.
//
// [Dir] keeps the state in files. Package pgstate keeps it in PostgreSQL, where
// several instances share it. Anyone can implement [Store] and [Creator].
package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/strictjson"
	"github.com/vasistas/vasistas/log/tlog"
)

// Settings identify a log. They never change.
type Settings struct {
	Origin string `json:"origin"`
	// Charter is the leaf hash of the first charter: what gates and monitors
	// are configured with.
	Charter tlog.Hash `json:"charter"`
}

// Published is a published checkpoint with its charter.
type Published struct {
	Checkpoint []byte
	// Charter is the index of the charter in force at the checkpoint's size.
	Charter uint64
	// Shown is the size of the largest head that was kept as evidence after this log signed
	// its last one, 0 if there is none. The checkpoint must not be served if it is smaller.
	// Only a store that several instances share reports it; Publish ignores it.
	Shown uint64
	// Audited is the checkpoint that met the audit policy last, nil if there is none. It may
	// be of an earlier size. Publish ignores it; see Store.PublishAudited.
	Audited []byte
}

// Store is the state of one log. What a method wrote is durable when the method
// returns nil.
//
// A store has one writer. Where another process can become the writer, each write
// of a former one is refused with [ErrOusted].
type Store interface {
	Settings() Settings
	// Held returns nil while the writer may write, else an error that wraps ErrOusted.
	// It asks no other process. The log asks it before it signs, and before it
	// answers.
	Held() error
	// LoadHead returns the record of the last signed head.
	LoadHead(ctx context.Context) ([]byte, error)
	// SwapHead replaces the record if it equals old, byte by byte. After an error
	// the record may be old or next; LoadHead returns which.
	SwapHead(ctx context.Context, old, next []byte) error
	// RestoreHead replaces a record that is lost or damaged. Only an offline
	// recovery may call it.
	RestoreHead(ctx context.Context, next []byte) error
	// Published returns what was published last, zero if nothing was.
	Published(ctx context.Context) (Published, error)
	// Publish replaces what was published last.
	Publish(ctx context.Context, p Published) error
	// PublishAudited replaces Published.Audited; with nil, it forgets it.
	PublishAudited(ctx context.Context, checkpoint []byte) error
	// KeepEvidence keeps a head that should not exist, and returns where.
	KeepEvidence(ctx context.Context, name string, checkpoint []byte) (where string, err error)
}

// Creator creates the state of a new log.
type Creator interface {
	// Begin refuses a place that has a log, with fs.ErrExist, and keeps others
	// out until the closer is closed.
	Begin(ctx context.Context) (io.Closer, error)
	// Create writes the state. If Create is cut off, there is no log, and both
	// steps can be tried again.
	Create(ctx context.Context, set Settings, head []byte) error
}

// ErrOusted: this instance was active, and another one may be by now.
var ErrOusted = errors.New("this instance of the log is not active any more; submit the event again, which logs it once only")

// ErrChanged: the record of the last signed head is not what this process wrote.
// Only opening the log again can help, since that reads everything again.
var ErrChanged = errors.New("the record of the last signed head was changed by another process")

// HowToRestoreHead ends errors about the record of the head.
const HowToRestoreHead = "restore it, or bring it back from the published log with \"vasistas-log recover -from MIRROR\""

// Dir is a [Store] and [Creator] in a directory, which also has the caches:
//
//	log.json    which log this is; written last, once
//	head        the last head that the log signed, with the log's own lines
//	checkpoint  the last checkpoint that was published
//	audited     the last checkpoint that met the audit policy
//	events      a cache of event hashes
//	ledger      a cache of what the entries mean
//	lock
//
// With another store the directory has the caches and the lock only.
type Dir struct {
	dir      string
	lock     *durable.Lock // nil: NewDir, which takes none
	settings Settings
	head     *durable.Register // nil: not opened, or lost
}

var (
	_ Store   = (*Dir)(nil)
	_ Creator = (*Dir)(nil)
)

const maxSettings = 4 << 10

// NewDir names a directory without opening it: to create a state there, or for the
// paths of the caches while another Dir has the lock.
func NewDir(dir string) *Dir { return &Dir{dir: dir} }

// OpenCaches locks a directory of which only the caches are used. It makes the
// directory if there is none.
func OpenCaches(dir string) (*Dir, error) {
	d := NewDir(dir)
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	return d, d.takeLock()
}

// OpenDir locks and opens the state in a directory.
func OpenDir(dir string) (*Dir, error) { return openDir(dir, false) }

// RecoverDir is OpenDir for a recovery: the record of the head may be lost.
func RecoverDir(dir string) (*Dir, error) { return openDir(dir, true) }

func openDir(dir string, recovering bool) (_ *Dir, err error) {
	d := NewDir(dir)
	// Before the lock, which would make a file in a directory that is no log's.
	if d.settings, err = readSettings(d.Path("log.json")); err != nil {
		return nil, err
	}
	if err := d.takeLock(); err != nil {
		return nil, err
	}
	d.head, err = durable.OpenRegister(d.Path("head"), tlog.MaxCheckpointSize)
	if recovering && (errors.Is(err, durable.ErrMissing) || errors.Is(err, durable.ErrTooLarge) || errors.Is(err, durable.ErrCorrupt)) {
		return d, nil
	} else if err != nil {
		err = fmt.Errorf("opening the log: the record of the last signed head: %w; "+HowToRestoreHead, err)
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// WarnTruncated logs that OpenDir cut an incomplete record off the record of the head, if it did.
func (d *Dir) WarnTruncated(logger *slog.Logger) {
	if d.head != nil {
		durable.WarnTruncated(logger, d.Path("head"), d.head.Truncated())
	}
}

func (d *Dir) takeLock() (err error) {
	if d.lock, err = durable.LockDir(d.dir); err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	return nil
}

func readSettings(name string) (set Settings, err error) {
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return set, fmt.Errorf("opening the log: %s holds no log; create one with \"vasistas-log init\", or restore the file: %w", filepath.Dir(name), err)
	} else if err != nil {
		return set, fmt.Errorf("opening the log: %w", err)
	}
	if len(b) > maxSettings {
		err = fmt.Errorf("%d bytes, and %d are allowed", len(b), maxSettings)
	} else {
		err = strictjson.Decode(b, &set)
	}
	switch {
	case err != nil:
	case set.Origin == "" || set.Charter == tlog.Hash{}:
		err = errors.New("no origin or no charter")
	default:
		return set, nil
	}
	return Settings{}, fmt.Errorf("opening the log: %s is damaged; restore it: %w", name, err)
}

// Path returns the path of a file in the directory.
func (d *Dir) Path(name string) string { return filepath.Join(d.dir, name) }

// Close closes the record of the head, and releases the lock, if this Dir took it.
func (d *Dir) Close() error {
	var err error
	if d.head != nil {
		err = d.head.Close()
	}
	if d.lock != nil {
		err = errors.Join(err, d.lock.Close())
	}
	return err
}

// Held returns nil: the lock lasts as long as the process.
func (d *Dir) Held() error { return nil }

func (d *Dir) Settings() Settings { return d.settings }

func (d *Dir) LoadHead(context.Context) ([]byte, error) {
	if d.head == nil {
		return nil, durable.ErrMissing
	}
	return d.head.Load()
}

func (d *Dir) SwapHead(_ context.Context, old, next []byte) error {
	return d.head.CompareAndSwap(old, next)
}

func (d *Dir) RestoreHead(_ context.Context, next []byte) error {
	if d.head == nil {
		return durable.WriteFile(d.Path("head"), next, 0o600)
	}
	old, err := d.head.Load()
	if err != nil {
		return err
	}
	return d.head.CompareAndSwap(old, next)
}

// Published leaves out which charter is in force: only the open log serves this
// state, and it knows the charter.
func (d *Dir) Published(context.Context) (p Published, err error) {
	for name, to := range map[string]*[]byte{"checkpoint": &p.Checkpoint, "audited": &p.Audited} {
		b, err := os.ReadFile(d.Path(name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Published{}, err
		} else if err == nil {
			*to = b
		}
	}
	return p, nil
}

func (d *Dir) Publish(_ context.Context, p Published) error {
	return durable.WriteFile(d.Path("checkpoint"), p.Checkpoint, 0o644)
}

func (d *Dir) PublishAudited(_ context.Context, checkpoint []byte) error {
	if checkpoint != nil {
		return durable.WriteFile(d.Path("audited"), checkpoint, 0o644)
	}
	// A removal that is lost in a crash is made again at the next start.
	if err := os.Remove(d.Path("audited")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (d *Dir) KeepEvidence(_ context.Context, name string, checkpoint []byte) (string, error) {
	return d.Path(name), durable.WriteFile(d.Path(name), checkpoint, 0o644)
}

func (d *Dir) Begin(context.Context) (io.Closer, error) {
	if err := durable.MkdirAll(d.dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := durable.LockDir(d.dir)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(d.Path("log.json")); err == nil {
		return nil, errors.Join(durable.Like(fs.ErrExist, "%s has a log already; nothing was changed", d.dir), lock.Close())
	}
	return lock, nil
}

func (d *Dir) Create(_ context.Context, set Settings, head []byte) error {
	_, err := durable.CreateRegister(d.Path("head"), tlog.MaxCheckpointSize, head)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("an earlier attempt in %s was not finished; remove the directory and try again: %w", d.dir, err)
	} else if err != nil {
		return err
	}
	text, err := json.MarshalIndent(set, "", "  ")
	if err != nil {
		return err
	}
	return durable.CreateFile(d.Path("log.json"), append(text, '\n'), 0o600)
}
