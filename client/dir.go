// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/vasistas/vasistas/log/tlog"
)

type dirSource struct{ path string }

// Dir returns a source that reads a log laid out in files, as C2SP tlog-tiles
// names the paths: a mirror, or the directory of an engine. Links that lead out
// of the directory are not followed.
func Dir(path string) Source { return dirSource{path} }

func (d dirSource) ReadCheckpoint(ctx context.Context) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return d.read("checkpoint", tlog.MaxCheckpointSize)
}

func (d dirSource) ReadTile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b, err := d.read(t.Path(), maxTile(t))
	if err == nil {
		return exactTile(t, b)
	}
	if t.Width == tlog.TileWidth || !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	// A partial tile may be removed once the full one is there (tlog-tiles,
	// "Partial tiles").
	full := t
	full.Width = tlog.TileWidth
	b, fullErr := d.read(full.Path(), maxTile(full))
	if fullErr != nil {
		return nil, err
	}
	if b, err = exactTile(full, b); err != nil {
		return nil, err
	}
	return t.Cut(b)
}

func (d dirSource) read(name string, limit int) ([]byte, error) {
	f, err := os.OpenInRoot(d.path, filepath.FromSlash(name))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", filepath.Join(d.path, name), err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("reading %s: not a regular file", f.Name())
	}
	// One byte more than there should be, so that a file that has grown shows.
	b := make([]byte, min(info.Size(), int64(limit))+1)
	n, err := io.ReadFull(f, b)
	if b = b[:n]; err == nil && n <= limit {
		err = errors.New("it was changed meanwhile")
	}
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, fmt.Errorf("reading %s: %w", f.Name(), err)
	}
	if len(b) > limit {
		return nil, fmt.Errorf("reading %s: it has more than %d bytes", f.Name(), limit)
	}
	return b, nil
}
