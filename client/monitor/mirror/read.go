// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package mirror

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/internal/problem"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/tlog"
)

// Source returns the copy as a source. It serves what the copy's head commits to, in each
// width, and that head as its log's sources served it. A file that rotted on disk is
// returned as it is: readers check tiles, and Check repairs them.
func (m *Mirror) Source() client.Source { return reader{m} }

// whole returns t in the width that it has in a tree of this size.
func whole(t tlog.Tile, size uint64) tlog.Tile {
	t.Width = tiles.Width(max(t.Level, 0), t.Index, size)
	return t
}

type reader struct{ m *Mirror }

// errNoHead is returned before the first Update.
var errNoHead = fmt.Errorf("the copy has no head yet: %w", fs.ErrNotExist)

func (r reader) ReadCheckpoint(ctx context.Context) ([]byte, error) {
	h := r.m.head.Load()
	if h == nil {
		return nil, errNoHead
	}
	return h.bytes, ctx.Err()
}

func (r reader) ReadTile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	for h := r.m.head.Load(); ; {
		if h == nil {
			return nil, errNoHead
		}
		b, err := r.at(ctx, h, t)
		now := r.m.head.Load()
		if err == nil || now == h {
			return b, err
		}
		h = now // two Updates since may have removed the partial tile
	}
}

// at reads a tile in the width that the copy has under a head.
func (r reader) at(ctx context.Context, h *head, t tlog.Tile) ([]byte, error) {
	if !t.In(h.Size) {
		return nil, fmt.Errorf("the copy has size %d, and no %s: %w", h.Size, t.Path(), fs.ErrNotExist)
	}
	b, err := r.m.copied.ReadTile(ctx, whole(t, h.Size))
	if err != nil {
		return nil, err
	}
	return t.Cut(b)
}

// Holds returns an error unless the copy is durable up to a head, and its tree at that size has
// the head's root. It reads nothing but the copy.
func (m *Mirror) Holds(ctx context.Context, head *tlog.Head) error {
	have := m.head.Load()
	switch {
	case have == nil:
		return errNoHead
	case have.Size < head.Size:
		return fmt.Errorf("the copy has size %d, and not yet %d", have.Size, head.Size)
	case have.Size == head.Size && have.Root == head.Root:
		return nil
	}
	_, err := tiles.LoadFrontier(ctx, m.Source(), head.Size, head.Root)
	return err
}

// Handler serves the copy as C2SP tlog-tiles: /checkpoint and /tile/..., for GET and HEAD. A
// caller that serves it under a prefix wraps it in [http.StripPrefix]. The checkpoint is
// that of [Config].Cosign.
func (m *Mirror) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*") // pages of any origin may read
		b, err := m.answer(w.Header(), r)
		var p *problem.Problem
		switch {
		case err == nil:
			sum := sha256.Sum256(b)
			w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sum[:16]))
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
			return
		case errors.Is(err, errMethod):
			w.Header().Set("Allow", "GET, HEAD")
			p = problem.New(problem.Method, "Method not allowed", err.Error())
		case errors.Is(err, fs.ErrNotExist):
			p = problem.New(problem.NotFound, "Not found", err.Error())
		default:
			p = problem.New(problem.Internal, "Not readable", err.Error())
		}
		p.Answer(w)
	})
}

var (
	errMethod  = errors.New("only GET and HEAD are served")
	errNoPath  = fmt.Errorf("only checkpoint and tile/... are served: %w", fs.ErrNotExist)
	errUnwhole = errors.New("the copy can't read this file now; ask the log or another mirror")
)

// answer returns a body, and sets the headers of a success.
func (m *Mirror) answer(header http.Header, r *http.Request) ([]byte, error) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return nil, errMethod
	}
	path := strings.TrimPrefix(r.URL.EscapedPath(), "/")
	if path == checkpointFile {
		h := m.served.Load()
		if h == nil {
			return nil, errNoHead
		}
		header.Set("Content-Type", "text/plain; charset=utf-8")
		header.Set("Cache-Control", "no-cache")
		return h.bytes, nil
	}
	t, err := tlog.ParseTilePath(path)
	h := m.head.Load()
	if err != nil || h == nil || !t.In(h.Size) {
		return nil, errNoPath
	}
	b, err := m.Source().ReadTile(r.Context(), t)
	if err != nil {
		m.c.Warn(fmt.Errorf("the copy can't serve a file: %w", err))
		return nil, errUnwhole
	}
	header.Set("Content-Type", "application/octet-stream")
	// A tile of each width is one for ever, since the copy's tree only grows.
	header.Set("Cache-Control", "public, max-age=31536000, immutable")
	return b, nil
}
