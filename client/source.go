// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/vasistas/vasistas/log/tlog"
)

// Source serves the resources of a log (C2SP tlog-tiles): the log itself, a mirror or
// a directory. It is not trusted: the client checks the hashes of all it returns.
type Source interface {
	tlog.TileReader
	// ReadCheckpoint returns the latest checkpoint as it is served.
	ReadCheckpoint(ctx context.Context) ([]byte, error)
}

// maxTile is the most bytes that a tile or bundle can have.
func maxTile(t tlog.Tile) int {
	if t.Level == tlog.Entries {
		return t.Width * (2 + tlog.MaxEntrySize)
	}
	return t.Width * len(tlog.Hash{})
}

// exactTile returns b if it is a tile with exactly t's width.
func exactTile(t tlog.Tile, b []byte) ([]byte, error) {
	cut, err := t.Cut(b)
	if err != nil {
		return nil, err
	}
	if len(cut) != len(b) {
		return nil, &tlog.CorruptError{Tile: t, Reason: fmt.Sprintf("it has more than %d elements", t.Width)}
	}
	return b, nil
}

// readTile reads a tile of exactly t's width by its path. Where a partial tile is
// missing it cuts the full one, since a log may remove partial tiles then (C2SP
// tlog-tiles, "Partial tiles").
func readTile(t tlog.Tile, read func(path string, limit int) ([]byte, error)) ([]byte, error) {
	b, err := read(t.Path(), maxTile(t))
	if err == nil {
		return exactTile(t, b)
	}
	if t.Width == tlog.TileWidth || !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	full := t
	full.Width = tlog.TileWidth
	b, fullErr := read(full.Path(), maxTile(full))
	switch {
	case errors.Is(fullErr, fs.ErrNotExist):
		return nil, err
	case fullErr != nil:
		return nil, fullErr
	}
	if b, err = exactTile(full, b); err != nil {
		return nil, err
	}
	return t.Cut(b)
}

// localDir returns the directory of a log URL; ok if it is a file URL or has no scheme.
func localDir(raw string) (dir string, ok bool, err error) {
	if !strings.Contains(raw, "://") {
		return raw, raw != "", nil
	}
	u, err := url.Parse(raw)
	if err != nil {
		return "", false, fmt.Errorf("log URL: %w", err)
	}
	if u.Scheme != "file" {
		return "", false, nil
	}
	if u.Host != "" && u.Host != "localhost" || u.Path == "" || u.RawQuery != "" || u.Fragment != "" {
		return "", false, fmt.Errorf("log URL %q: a file URL is written file:///path", raw)
	}
	return filepath.FromSlash(u.Path), true, nil
}

type dirSource struct{ path string }

// Dir returns a source that reads a directory with the resources of a log, by their
// C2SP tlog-tiles paths. It follows no links out of the directory.
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
	return readTile(t, d.read)
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
	b, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", f.Name(), err)
	}
	if len(b) > limit {
		return nil, fmt.Errorf("reading %s: it has more than %d bytes", f.Name(), limit)
	}
	return b, nil
}
