// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/vasistas/vasistas/log/tlog"
)

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
