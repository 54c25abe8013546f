// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package tesserax

import (
	"context"

	"github.com/transparency-dev/tessera"
)

const (
	MostEntries  = mostEntries
	JournalName  = journalName
	JournalLabel = journalLabel
	MarkName     = markName
)

// Move hands the staged entries to Tessera.
func (e *Engine) Move(ctx context.Context) error { return e.move(ctx) }

// Hold keeps the staged entries from Tessera until release is called.
func (e *Engine) Hold() (release func()) {
	e.moving.Lock()
	return e.moving.Unlock
}

// OnAdded calls do whenever Tessera has added an entry.
func (e *Engine) OnAdded(do func(index uint64)) {
	e.moving.Lock()
	defer e.moving.Unlock()
	add := e.appender.Add
	e.appender.Add = func(ctx context.Context, entry *tessera.Entry) tessera.IndexFuture {
		future := add(ctx, entry)
		return func() (tessera.Index, error) {
			index, err := future()
			if err == nil {
				do(index.Index)
			}
			return index, err
		}
	}
}
