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
	again []*submission  // of the same envelope, with the same answer; owned by run
}

// sequenced is the answer to a submission.
type sequenced struct {
	entries.Logged
	duplicate bool // the event was logged before
	err       error
}

// batch has the entries that are stored together, and the answers to their submissions. Run owns
// its fields, except while the goroutine of launch runs.
type batch struct {
	subs    []*submission
	answers []sequenced    // to subs, in their order
	known   map[int]uint64 // place in subs of a recorded event -> its entry, which may be under way
	in      []int          // places in subs of the events that become entries
	entries [][]byte       // of in, as leaves and hashes are
	leaves  []tiles.Hash
	hashes  [][32]byte
	records []*vault.Record // for the vault
	first   uint64          // index of the first entry
	last    bool            // the batch ends with a charter

	began  time.Time
	stored chan struct{}     // closed once the engine has stored the entries; never after an error
	done   chan struct{}     // closed once the batch is in the tree, or failed
	err    error             // why it failed
	save   func(stored bool) // see liveLedger.saveLater; or nil
}

func newBatch() *batch {
	return &batch{known: make(map[int]uint64), stored: make(chan struct{}), done: make(chan struct{})}
}
