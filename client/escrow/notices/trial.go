// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package notices

import (
	"bytes"
	"errors"
	"runtime"
	"slices"
	"sync"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/log/event"
)

// A candidate is a notice that was published, and where.
type candidate struct {
	Ciphertext []byte          `json:"ciphertext"`
	Disclosed  uint64          `json:"disclosed"` // index of the disclosure
	Release    event.Reference `json:"release"`   // that states it
	// Effective says that the ledger held the release for one that answers its access.
	Effective bool `json:"effective"`
}

// trial tries keys on notices, side by side. A key's work is the same whether it opens or
// not, but for those that do.
type trial struct {
	origin  string
	keys    []escrow.KeyHolder
	batches chan []candidate
	wg      sync.WaitGroup // of workers
	open    sync.WaitGroup // of batches

	mu    sync.Mutex
	found []candidate
	tried uint64
}

// batchSize is how many notices pass from hand to hand: so few that a little log keeps
// all cores busy, so many that handing over costs nothing.
const batchSize = 16

func newTrial(origin string, keys []escrow.KeyHolder, workers int) *trial {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	t := &trial{origin: origin, keys: keys, batches: make(chan []candidate, 2*workers)}
	for range workers {
		t.wg.Go(t.work)
	}
	return t
}

func (t *trial) work() {
	for b := range t.batches {
		var hits []candidate
		for _, c := range b {
			if t.opens(c.Ciphertext) {
				c.Ciphertext = slices.Clone(c.Ciphertext) // not of its bundle
				hits = append(hits, c)
			}
		}
		t.mu.Lock()
		for _, c := range hits {
			t.hit(c)
		}
		t.tried += uint64(len(b))
		t.mu.Unlock()
		t.open.Done()
	}
}

// hit keeps a notice that is to the subject, once: a provider and its custodian may both
// have published it.
func (t *trial) hit(c candidate) {
	if !slices.ContainsFunc(t.found, func(o candidate) bool { return bytes.Equal(o.Ciphertext, c.Ciphertext) }) {
		t.found = append(t.found, c)
	}
}

// opens says whether a notice is to one of the keys, also if what it says is malformed.
func (t *trial) opens(ciphertext []byte) bool {
	_, err := t.read(ciphertext)
	return err == nil || errors.Is(err, escrow.ErrMalformed)
}

// read opens a notice with whichever key does.
func (t *trial) read(ciphertext []byte) (*escrow.Notice, error) {
	for _, k := range t.keys {
		n, err := escrow.OpenNotice(t.origin, k, ciphertext)
		if err == nil || errors.Is(err, escrow.ErrMalformed) {
			return n, err
		}
	}
	return nil, escrow.ErrOpen
}

func (t *trial) add(b []candidate) {
	if len(b) > 0 {
		t.open.Add(1)
		t.batches <- b
	}
}

// drain waits until all that was added is tried, and returns what was found.
func (t *trial) drain() []candidate {
	t.open.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.found)
}

func (t *trial) close() {
	close(t.batches)
	t.wg.Wait()
}
