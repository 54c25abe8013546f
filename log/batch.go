// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"time"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/internal/entries"
	"github.com/vasistas/vasistas/log/vault"
)

// submission is an admitted event on its way into the tree.
type submission struct {
	*admitted
	done  chan sequenced // has room for the answer, which always comes
	again []*submission  // the same envelope, which gets the same answer; run's
}

// sequenced is the answer to a submission.
type sequenced struct {
	entries.Logged
	duplicate bool // the event was logged before
	err       error
}

// batch is what is stored together. Its fields are run's, except while store runs.
type batch struct {
	subs    []*submission
	answers []sequenced    // to subs
	known   map[int]uint64 // those of subs whose event an entry has, perhaps one under way; and its index
	in      []int          // those of subs that the rules admit
	entries [][]byte       // of in, as are the others
	leaves  []tiles.Hash
	hashes  [][32]byte
	records []*vault.Record // that the vault is to keep
	first   uint64          // index of the first entry
	last    bool            // the batch ends with a charter

	began  time.Time
	stored chan struct{}     // closed once the engine has stored the entries; never after an error
	done   chan struct{}     // closed at the end of store
	err    error             // of store
	save   func(stored bool) // see liveLedger.saveLater; or nil
}

func newBatch() *batch {
	return &batch{known: make(map[int]uint64), stored: make(chan struct{}), done: make(chan struct{})}
}
