// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package stranger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/log/tlog"
)

// site reads a log under a URL.
type site string

var _ client.Source = site("")

func (s site) ReadCheckpoint(ctx context.Context) ([]byte, error) { return s.get(ctx, "checkpoint") }

// ReadTile asks for a full tile where a partial one is gone.
func (s site) ReadTile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	b, err := s.get(ctx, t.Path())
	if errors.Is(err, fs.ErrNotExist) && t.Width < tlog.TileWidth {
		full := t
		full.Width = tlog.TileWidth
		b, err = s.get(ctx, full.Path())
	}
	if err != nil {
		return nil, err
	}
	return t.Cut(b)
}

func (s site) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, string(s)+"/"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		return io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	case http.StatusNotFound, http.StatusGone:
		return nil, fs.ErrNotExist
	}
	return nil, fmt.Errorf("%s: %s", path, resp.Status)
}
