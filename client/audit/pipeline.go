// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// batch is what passes from hand to hand: the entries of one bundle, or what is
// new or was read of it. Only one goroutine at a time has it.
type batch struct {
	first uint64         // index of the first entry
	raw   []client.Entry // as followed
	read  []ledger.Entry // as parsed, with the states of the signatures
	notes []any          // the observer's, of each entry; nil without one
	nodes *nodes         // of the bundle, up to the last entry
	ready chan struct{}  // closed once all but raw is there

	tile    []tlog.Hash // as the log serves the leaf hashes, if the bundle is full
	tileErr error
	fetched chan struct{} // closed once the tile is there; nil: none is fetched
	bad     error         // why the tile is not that of the bundle
}

// replay passes all entries from the follower through the workers to the ledger.
func (a *auditor) replay(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	// Both queues have room for every batch that is under way, so whoever has
	// put a batch into order can put it into jobs.
	room := 4 * a.c.Workers
	order, jobs := make(chan *batch, room), make(chan *batch, room+1)
	var readErr error // set before order is closed
	wg.Go(func() {
		defer close(order)
		defer close(jobs)
		readErr = a.read(ctx, order, jobs, wg.Go)
	})
	for range a.c.Workers {
		wg.Go(func() {
			for b := range jobs {
				if ctx.Err() == nil {
					a.check(b)
				}
				close(b.ready)
			}
		})
	}
	for b := range order {
		<-b.ready
		if err := ctx.Err(); err != nil {
			return err
		}
		if b.bad != nil {
			return b.bad
		}
		if err := a.apply(b); err != nil {
			return err
		}
	}
	return readErr
}

// read makes batches of what the follower yields. What it read before an error is
// passed on: it is proven. spawn starts a goroutine that replay waits for.
func (a *auditor) read(ctx context.Context, order, jobs chan<- *batch, spawn func(func())) error {
	size := a.head.Checkpoint.Size
	var b *batch
	known := a.tree.partial // leaf hashes of the bundle where a snapshot ended
	send := func() error {
		leaves := make([]tlog.Hash, 0, tlog.TileWidth)
		leaves = append(leaves, known...)
		for i := range b.raw {
			leaves = append(leaves, b.raw[i].Leaf)
		}
		known, b.nodes = nil, &nodes{leaves}
		out := b
		b = nil
		if len(leaves) == tlog.TileWidth {
			out.fetched = make(chan struct{})
		}
		select {
		case order <- out:
		case <-ctx.Done():
			return ctx.Err()
		}
		if out.fetched != nil {
			spawn(func() { out.fetch(ctx, a.c.Client) })
		}
		jobs <- out
		return nil
	}
	for e, err := range a.follower.Entries(ctx) {
		if err != nil {
			if b != nil {
				_ = send() // err says why it ends
			}
			return err
		}
		if b == nil {
			b = &batch{first: e.Index, raw: make([]client.Entry, 0, tlog.TileWidth), ready: make(chan struct{})}
		}
		if e.Index == 0 {
			a.keys.charter(e.Bytes)
		}
		b.raw = append(b.raw, e)
		if end := e.Index + 1; end%tlog.TileWidth == 0 || end == size {
			if err := send(); err != nil {
				return err
			}
		}
	}
	return nil
}

// fetch gets the tile of the leaf hashes. They follow from the entries, so nothing
// here needs it, but those who ask the log for proofs do.
func (b *batch) fetch(ctx context.Context, c *client.Client) {
	defer close(b.fetched)
	b.tile, b.tileErr = tiles.ReadHashes(ctx, c, b.tileID())
}

func (b *batch) tileID() tlog.Tile {
	return tlog.Tile{Level: 0, Index: b.first / tlog.TileWidth, Width: tlog.TileWidth}
}

// compare holds the tile against the entries.
func (b *batch) compare() error {
	if b.fetched == nil {
		return nil
	}
	<-b.fetched
	id := b.tileID()
	if b.tileErr != nil {
		return b.tileErr
	}
	for i, h := range b.nodes[0] {
		if b.tile[i] != h {
			return &tlog.CorruptError{Tile: id, Reason: fmt.Sprintf("it has another hash than entry %d", id.Index*tlog.TileWidth+uint64(i))}
		}
	}
	b.tile = nil
	return nil
}

// check does all that needs no order: it runs in the workers.
func (a *auditor) check(b *batch) {
	b.read = make([]ledger.Entry, len(b.raw))
	lookup := a.keys.lookup()
	if a.c.Observer != nil {
		b.notes = make([]any, len(b.raw))
	}
	for i := range b.raw {
		raw, e := &b.raw[i], &b.read[i]
		e.Index, e.Leaf = raw.Index, raw.Leaf
		if e.Envelope, e.Err = event.ParseEnvelope(raw.Bytes); e.Err != nil {
			e.Envelope = nil
			continue
		}
		e.Hash = e.Envelope.Hash()
		e.Verify(lookup)
		if b.notes != nil {
			b.notes[i] = a.c.Observer.Read(e)
		}
	}
	b.nodes.grow()
	b.bad = b.compare()
}

// apply lets the ledger judge a batch.
func (a *auditor) apply(b *batch) error {
	a.tree.add(b)
	for i := range b.read {
		e := &b.read[i]
		before := a.l.Charter()
		a.recheck(e)
		if err := a.before(b, i); err != nil {
			return err
		}
		found, err := a.l.Apply(*e)
		if err != nil {
			return err
		}
		if a.l.Charter() != before {
			a.keys.load(a.l)
			a.recheck(e)
		}
		a.totals.add(a.l, e, found)
		if err := a.after(e, found); err != nil {
			return err
		}
	}
	if a.c.Progress != nil {
		a.c.Progress(a.l.Size(), a.head.Checkpoint.Size)
	}
	if a.l.Size()-a.saved >= a.c.SaveEvery && a.l.Size() < a.head.Checkpoint.Size {
		return a.save()
	}
	return nil
}

// recheck verifies what the workers could not, since the key's charter was still
// under way: so that what is counted does not depend on who was faster.
func (a *auditor) recheck(e *ledger.Entry) {
	for i, state := range e.Signatures {
		if state == ledger.Unchecked && a.l.Key(e.Envelope.Signatures[i].KeyID) != nil {
			e.Verify(a.l.Key)
			return
		}
	}
}

// keyTable is what the workers know of keys. It may lack some, or have some that
// the ledger will not accept: a key id is the hash of its key, so whatever
// verifies under a key of this id verifies under the ledger's.
type keyTable struct {
	keys atomic.Pointer[map[string]*event.PublicKey]
}

func (t *keyTable) lookup() func(string) *event.PublicKey {
	m := t.keys.Load()
	if m == nil {
		return func(string) *event.PublicKey { return nil }
	}
	return func(id string) *event.PublicKey { return (*m)[id] }
}

// load takes the keys of a ledger.
func (t *keyTable) load(l *ledger.Ledger) {
	m := make(map[string]*event.PublicKey)
	for _, id := range l.KeyIDs() {
		m[id] = l.Key(id)
	}
	t.keys.Store(&m)
}

// charter takes the keys that entry 0 names, so that the first batches need not
// wait for it to be applied.
func (t *keyTable) charter(entry []byte) {
	env, err := event.ParseEnvelope(entry)
	if err != nil {
		return
	}
	c, ok := env.Event.Body.(*event.Charter)
	if !ok {
		return
	}
	m := make(map[string]*event.PublicKey)
	for i := range c.Parties {
		for _, k := range c.Parties[i].Keys {
			m[k.KeyID()] = k
		}
	}
	t.keys.CompareAndSwap(nil, &m)
}
