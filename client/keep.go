// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/vasistas/vasistas/log/tlog"
)

// maxPartial bounds the partial tiles in memory, in bytes.
const maxPartial = 32 << 20

// keeper is a source that keeps the accepted tiles and bundles of another source in a
// directory, in the layout of C2SP tlog-tiles, and reads them from there, so that the
// server does not learn what is read again. Callers check the hashes of kept files,
// too. Files and directory can be removed at any time.
//
// Only full tiles are kept as files; memory holds the partial tiles of a few heads.
type keeper struct {
	from Source
	kept dirSource

	mu      sync.Mutex
	partial map[tlog.Tile][]byte
	bytes   int // of partial
}

func newKeeper(from Source, dir string) *keeper {
	return &keeper{from: from, kept: dirSource{dir}, partial: make(map[tlog.Tile][]byte)}
}

func (k *keeper) ReadCheckpoint(ctx context.Context) ([]byte, error) {
	return k.from.ReadCheckpoint(ctx)
}

func (k *keeper) ReadTile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	if t.Width < tlog.TileWidth {
		k.mu.Lock()
		b, ok := k.partial[t]
		k.mu.Unlock()
		if ok {
			return b, nil
		}
	} else if b, err := k.kept.ReadTile(ctx, t); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return b, err
	}
	return k.from.ReadTile(ctx, t)
}

// keep keeps an accepted tile, unless it is kept already. A nil keeper keeps nothing.
func (k *keeper) keep(t tlog.Tile, bytes func() []byte) error {
	if k == nil {
		return nil
	}
	if t.Width == tlog.TileWidth {
		name := filepath.Join(k.kept.path, filepath.FromSlash(t.Path()))
		if _, err := os.Lstat(name); err == nil || !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return write(name, bytes())
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.partial[t]; ok {
		return nil
	}
	b := bytes()
	if k.bytes+len(b) > maxPartial {
		clear(k.partial)
		k.bytes = 0
	}
	k.bytes += len(b)
	k.partial[t] = b
	return nil
}

// write creates a file atomically. The file need not survive a crash of the machine.
func write(name string, b []byte) error {
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".tile-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
