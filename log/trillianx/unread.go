// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package trillianx

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/tlog"
)

// The engine reads readBundles back after each readPause: at most 512 entries a second, more
// than a large service logs at its peak.
const (
	readBundles = 2
	readPause   = time.Second
)

// unread has how far the values in Trillian were read back. The root proves that Trillian got
// the leaves of a batch; only reading proves that its database still has their values.
type unread struct {
	mu    sync.Mutex    // held while bundles are read back
	from  atomic.Uint64 // all values below were read back; written under mu
	wrong atomic.Bool   // the values from there on are wrong, or Trillian's answer is an error; written under mu
	stop  func()        // ends the reading
}

// readBehind starts to read values back, from the newest MaxUnread entries on, which the last
// process may have left unread.
func (e *Engine) readBehind() {
	size := e.edge.frontier.Size()
	e.unread.from.Store(size - min(size, uint64(e.cfg.MaxUnread)))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	e.unread.stop = func() {
		cancel()
		<-done
	}
	go func() {
		defer close(done)
		for failed := false; ; {
			err := e.readValues(ctx, readBundles)
			if err != nil && !failed && ctx.Err() == nil {
				e.cfg.Logger.Warn("values in Trillian were not read back; trying again", "err", err)
			}
			failed = err != nil
			select {
			case <-ctx.Done():
				return
			case <-time.After(readPause):
			}
		}
	}()
}

// keepUp reads values until n more entries may be unread. It reads a wrong value again.
func (e *Engine) keepUp(ctx context.Context, n int) error {
	for {
		unread := e.written.Load().Size() - e.unread.from.Load()
		if !e.unread.wrong.Load() && (unread == 0 || unread+uint64(n) <= uint64(e.cfg.MaxUnread)) {
			return nil
		}
		if err := e.readValues(ctx, 1); err != nil {
			return err
		}
	}
}

// readValues reads the values of at most n bundles back, the oldest first, and checks each
// bundle up to the root of the written tree.
func (e *Engine) readValues(ctx context.Context, n int) error {
	u := &e.unread
	u.mu.Lock()
	defer u.mu.Unlock()
	for range n {
		f, from := e.written.Load(), u.from.Load()
		if from == f.Size() {
			return nil
		}
		t := tlog.Tile{Level: tlog.Entries, Index: from / tlog.TileWidth}
		t.Width = tiles.Width(0, t.Index, f.Size())
		_, err := e.proven(ctx, f, t)
		if answered(err) {
			u.wrong.Store(true) // oneByOne takes a while
			err = cmp.Or(e.oneByOne(ctx, t), err)
		}
		var corrupt *tlog.CorruptError
		if errors.As(err, &corrupt) {
			err = fmt.Errorf("%w (%w)", log.ErrTreeConflict, err)
		}
		if errors.Is(err, log.ErrTreeConflict) {
			u.wrong.Store(true)
		}
		if err != nil {
			return err // wrong stays: without an answer nothing is known
		}
		u.wrong.Store(false)
		u.from.Store(t.Index*tlog.TileWidth + uint64(t.Width))
	}
	return nil
}

// oneByOne reads the leaves of a bundle one by one, up to the first error. Trillian's answer
// for a range that lacks a leaf is an error, and for the missing leaf alone an empty list.
func (e *Engine) oneByOne(ctx context.Context, bundle tlog.Tile) error {
	for i := range bundle.Width {
		if _, err := e.leaves(ctx, bundle.Index*tlog.TileWidth+uint64(i), 1); err != nil {
			return err
		}
	}
	return nil
}

// answered reports whether err is an answer of Trillian. While its database is down, Trillian
// answers UNKNOWN, so such an error alone proves no loss.
func answered(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		return false
	}
	return errors.Is(err, log.ErrTreeUnreadable)
}
