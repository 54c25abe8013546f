// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/vasistas/vasistas/log/tlog"
)

// Source is where a log is read from: the log itself, a mirror, a directory.
// Nobody trusts it; what it returns is judged by its hashes.
type Source interface {
	tlog.TileReader
	// ReadCheckpoint returns the latest checkpoint as it is served.
	ReadCheckpoint(ctx context.Context) ([]byte, error)
}

// maxBundle is the most bytes a bundle of that many entries can have.
func maxBundle(width int) int { return width * (2 + tlog.MaxEntrySize) }

func maxTile(t tlog.Tile) int {
	if t.Level == tlog.Entries {
		return maxBundle(t.Width)
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

// localDir returns the directory that a log URL names, if it names one: file
// URLs, and everything that has no scheme.
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
