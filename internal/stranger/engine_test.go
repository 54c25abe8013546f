// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package stranger

import (
	"context"
	"io/fs"
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/vasistas/vasistas/log"
	formats "github.com/vasistas/vasistas/log/tlog"
)

// memory is an engine that forgets. Its tree arithmetic is that of Go's checksum
// database.
type memory struct {
	mu      sync.Mutex
	entries [][]byte
	hashes  []tlog.Hash
}

var _ log.Engine = (*memory)(nil)

func (m *memory) Add(_ context.Context, entries [][]byte) (first uint64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	first = uint64(len(m.entries))
	for _, e := range entries {
		more, err := tlog.StoredHashes(int64(len(m.entries)), e, m.reader())
		if err != nil {
			return 0, err
		}
		m.entries, m.hashes = append(m.entries, e), append(m.hashes, more...)
	}
	return first, nil
}

func (m *memory) Tree(context.Context) (size uint64, root [32]byte, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h, err := tlog.TreeHash(int64(len(m.entries)), m.reader())
	return uint64(len(m.entries)), h, err
}

func (m *memory) ReadTile(_ context.Context, t formats.Tile) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !t.In(uint64(len(m.entries))) {
		return nil, fs.ErrNotExist
	}
	if t.Level != formats.Entries {
		return tlog.ReadTileData(tlog.Tile{H: 8, L: t.Level, N: int64(t.Index), W: t.Width}, m.reader())
	}
	var bundle []byte
	for _, e := range m.entries[t.Index*formats.TileWidth:][:t.Width] {
		bundle = formats.AppendEntry(bundle, e)
	}
	return bundle, nil
}

func (m *memory) Wait(context.Context, uint64) error { return nil }

func (m *memory) Show(context.Context, uint64) error { return nil }

func (m *memory) Close(context.Context) error { return nil }

func (m *memory) reader() tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) (out []tlog.Hash, err error) {
		for _, i := range indexes {
			out = append(out, m.hashes[i])
		}
		return out, nil
	})
}
