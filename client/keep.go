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

// keep returns a source that reads each tile and bundle of another source once, and
// keeps it in a directory, in the layout of C2SP tlog-tiles: so that who serves the
// log does not see what is read again, and why. What is kept is judged by its hashes,
// like all else; a file that does not fit its tree can be removed, or the directory.
//
// Only full tiles are kept as files, since partial ones are soon outgrown; those are
// kept in memory, as many as the right edges of a few heads have.
func keep(from Source, dir string) Source {
	return &keeper{from: from, kept: dirSource{dir}, partial: make(map[tlog.Tile][]byte)}
}

// maxPartial bounds the partial tiles in memory, in bytes.
const maxPartial = 32 << 20

type keeper struct {
	from Source
	kept dirSource

	mu      sync.Mutex
	partial map[tlog.Tile][]byte
	bytes   int // of partial
}

func (k *keeper) ReadCheckpoint(ctx context.Context) ([]byte, error) {
	return k.from.ReadCheckpoint(ctx)
}

func (k *keeper) ReadTile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	if t.Width < tlog.TileWidth {
		return k.readPartial(ctx, t)
	}
	b, err := k.kept.ReadTile(ctx, t)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return b, err
	}
	if b, err = k.from.ReadTile(ctx, t); err != nil {
		return nil, err
	}
	return b, k.write(t, b)
}

func (k *keeper) readPartial(ctx context.Context, t tlog.Tile) ([]byte, error) {
	k.mu.Lock()
	b, ok := k.partial[t]
	k.mu.Unlock()
	if ok {
		return b, nil
	}
	b, err := k.from.ReadTile(ctx, t)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.bytes+len(b) > maxPartial {
		clear(k.partial)
		k.bytes = 0
	}
	if _, ok := k.partial[t]; !ok {
		k.bytes += len(b)
		k.partial[t] = b
	}
	return b, nil
}

// write makes the file whole at once. It need not survive a crash of the machine: it
// can be read again.
func (k *keeper) write(t tlog.Tile, b []byte) error {
	name := filepath.Join(k.kept.path, filepath.FromSlash(t.Path()))
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
