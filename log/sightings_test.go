// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/tlog"
)

// sightings are all heads that left a log, to clients or witnesses, and everything that
// it acknowledged. In the end they must fit together, whatever happened.
type sightings struct {
	mu    sync.Mutex
	heads map[string]*tlog.Head // by text
	acked map[uint64]tiles.Hash // leaf by index
	at    map[tiles.Hash]uint64 // index by leaf
	bad   []string
}

func newSightings() *sightings {
	return &sightings{heads: make(map[string]*tlog.Head), acked: make(map[uint64]tiles.Hash), at: make(map[tiles.Hash]uint64)}
}

// head records a head that was seen. All checkpoints given to it must carry a valid
// signature of the log.
func (s *sightings) head(cp *tlog.Checkpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heads[string(cp.Text())] = &cp.Head
}

// acknowledged records an entry that has its index.
func (s *sightings) acknowledged(index uint64, entry []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	leaf := tiles.LeafHash(entry)
	if other, ok := s.acked[index]; ok && other != leaf {
		s.bad = append(s.bad, fmt.Sprintf("two entries were acknowledged at index %d", index))
	}
	if other, ok := s.at[leaf]; ok && other != index {
		s.bad = append(s.bad, fmt.Sprintf("one entry was acknowledged at the indices %d and %d", other, index))
	}
	s.acked[index], s.at[leaf] = leaf, index
}

// size is how many entries the log must have.
func (s *sightings) size() (size uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.acked {
		size = max(size, i+1)
	}
	for _, h := range s.heads {
		size = max(size, h.Size)
	}
	return size
}

// count is how many events were acknowledged.
func (s *sightings) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.acked)
}

func (s *sightings) clone() *sightings {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &sightings{heads: maps.Clone(s.heads), acked: maps.Clone(s.acked), at: maps.Clone(s.at), bad: slices.Clone(s.bad)}
}

// watch records each head that a witness is asked to cosign.
func (s *sightings) watch(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil && r.Method == http.MethodPost {
			if req, err := tlog.ParseAddCheckpoint(body); err == nil {
				s.head(req.Checkpoint)
			}
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		h.ServeHTTP(w, r)
	})
}

// verify checks everything that was seen against the entries of the log: every head is
// one of their tree, and every acknowledged entry is at its index.
func (s *sightings) verify(t testing.TB, entries [][]byte) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, bad := range s.bad {
		t.Error(bad)
	}
	roots := []tiles.Hash{tiles.EmptyRoot()}
	leaves := make([]tiles.Hash, len(entries))
	var f tiles.Frontier
	for i, e := range entries {
		leaves[i] = tiles.LeafHash(e)
		check(t, f.Append(leaves[i], func(tlog.Tile, []byte) error { return nil }))
		roots = append(roots, f.Root())
	}
	for _, h := range s.heads {
		if h.Size >= uint64(len(roots)) {
			t.Errorf("a head of size %d was seen, and the log has %d entries", h.Size, len(entries))
		} else if roots[h.Size] != h.Root {
			t.Errorf("a head of size %d was seen whose root is not the log's", h.Size)
		}
	}
	for _, i := range slices.Sorted(maps.Keys(s.acked)) {
		if i >= uint64(len(leaves)) {
			t.Errorf("entry %d was acknowledged, and the log has %d", i, len(leaves))
		} else if leaves[i] != s.acked[i] {
			t.Errorf("entry %d was acknowledged, and the log has another there", i)
		}
	}
}

// audit reads the whole log as a stranger would. It checks every tile and bundle
// against the published checkpoint, and everything that was ever seen against that.
func (w *world) audit() [][]byte {
	w.t.Helper()
	seen := w.seen.clone()
	w.published(seen.size()) // what is acknowledged is to be published
	entries := w.read()
	seen.verify(w.t, entries)
	return entries
}

// read reads the whole log as a stranger would.
func (w *world) read() [][]byte {
	w.t.Helper()
	cp := w.checkpoint()
	var entries [][]byte
	f, err := (&tiles.Frontier{}).Extend(w.t.Context(), overHTTP(w.url), cp.Size, func(_ uint64, e []byte, _ tiles.Hash) error {
		entries = append(entries, bytes.Clone(e))
		return nil
	})
	check(w.t, err)
	if f.Root() != cp.Root {
		w.t.Fatalf("the entries of the log do not have the root of its checkpoint")
	}
	return entries
}

// overHTTP reads a log at a URL.
type overHTTP string

func (u overHTTP) ReadTile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	return u.read(ctx, "/"+t.Path())
}

func (u overHTTP) ReadCheckpoint(ctx context.Context) ([]byte, error) {
	return u.read(ctx, "/checkpoint")
}

func (u overHTTP) read(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, string(u)+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode == http.StatusNotFound:
		return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("GET %s: %s: %s", path, resp.Status, b)
	}
	return b, nil
}
