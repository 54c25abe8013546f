// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"context"

	"github.com/vasistas/vasistas/log/tlog"
)

// Engine sequences and stores entries. It is not trusted: it holds no key, and
// what it says of its tree is believed only after the publisher has computed it
// again. It has one writer, this process.
type Engine interface {
	// Add appends entries in this order, at contiguous indices from first, and
	// returns once they are durable and integrated. After an error nothing is
	// known of them: some may be in the tree. It is called by one goroutine.
	Add(ctx context.Context, entries [][]byte) (first uint64, err error)
	// Tree returns the size and root of the tree that can be read.
	Tree(ctx context.Context) (size uint64, root [32]byte, err error)
	// ReadTile returns a tile or entry bundle in the encoding of tlog-tiles, of
	// exactly t.Width; fs.ErrNotExist if it is not there.
	ReadTile(ctx context.Context, t tlog.Tile) ([]byte, error)
	// Close waits for what is under way. No call may follow.
	Close(ctx context.Context) error
}
