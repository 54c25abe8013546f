// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cosigning

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/vasistas/vasistas/log/tlog"
)

// tellEvery is the pause between two lines about one log: strangers may ask once a second.
const tellEvery = time.Minute

// Teller counts the answers with cosignatures of one log, and logs one now and then.
type Teller struct {
	n    atomic.Uint64
	told atomic.Uint64 // n at the last line
	next atomic.Int64  // time of the next line, in POSIX nanoseconds
}

// Count returns the answers since the start.
func (t *Teller) Count() uint64 { return t.n.Load() }

// Cosigned counts an answer for a head, at a time in POSIX seconds. It logs the first answer, and
// then at most one a minute, with the number of those since.
func (t *Teller) Cosigned(logger *slog.Logger, h *tlog.Head, at uint64) {
	t.n.Add(1)
	now, next := time.Now().UnixNano(), t.next.Load()
	if now < next || !t.next.CompareAndSwap(next, now+int64(tellEvery)) {
		return
	}
	n := t.n.Load()
	logger.Info("cosigned", "origin", h.Origin, "size", h.Size, "time", time.Unix(int64(at), 0).UTC(), "answers", n-t.told.Swap(n))
}
