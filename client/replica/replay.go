// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// state is what a Try copies: the ledger, which has applied every entry below its size,
// and what it reads from.
type state struct {
	ledger *ledger.Ledger
	view   *view
	keys   keyTable
	// hash is the ledger's root that root computed last, at the size at.
	at   uint64
	hash tlog.Hash
}

// root returns the ledger's root. It computes the root, of up to 255 leaves, only once at each size.
func (s *state) root() tlog.Hash {
	if size := s.ledger.Size(); s.at != size || size == 0 {
		s.at, s.hash = size, s.ledger.Root()
	}
	return s.hash
}

// An Observer is called during a replay, which ends with the first error of a call. A
// nil function is not called.
type Observer struct {
	// Wait is called where the replay needs entries that are not read yet, with a function that waits
	// for them. So a caller can let go of a lock that guards the replica, and take it again.
	Wait func(wait func())
	// Read is called with each event by the workers: in parallel, in no order, and
	// perhaps for entries that are never applied. Its result is passed to Before.
	Read func(*ledger.Entry) any
	// Bundle is called with each bundle, in order, before its entries are applied.
	Bundle func(client.Bundle) error
	// Before is called with each entry, in order, before it is applied.
	Before func(e *ledger.Entry, note any) error
	// After is called with each entry once it is applied, with the violations that it
	// revealed, and with what it changed, which is valid during the call.
	After func(e *ledger.Entry, violations []*ledger.Violation, changes []ledger.Change) error
	// Applied is called once all entries of a bundle are applied.
	Applied func() error
}

func (o *Observer) wait(wait func()) {
	if o.Wait == nil {
		wait()
	} else {
		o.Wait(wait)
	}
}

// batch is a bundle on its way to the ledger.
type batch struct {
	client.Bundle
	read  []ledger.Entry // parsed, with the states of the signatures
	notes []any          // results of Observer.Read
	ready sync.WaitGroup // once all shares are checked
}

func newBatch(b client.Bundle) *batch {
	n := len(b.Entries)
	return &batch{Bundle: b, read: make([]ledger.Entry, n), notes: make([]any, n)}
}

// share is a part of a batch for one worker, so that all workers can work on a single bundle. A share has one
// goroutine at a time.
type share struct {
	*batch
	from, to int
}

// most bounds the entries of a share.
const most = 64

func (s *state) restore(snapshot []byte, size uint64, root tlog.Hash) (err error) {
	if s.ledger, err = ledger.Restore(snapshot, size, root, s.view); err == nil {
		s.keys.load(s.ledger)
	}
	return err
}

// replay passes the entries from the ledger's size to the head through the workers to
// the ledger.
func (s *state) replay(ctx context.Context, o Observer) error {
	if err := s.pass(ctx, o); err != nil {
		return err
	}
	if cp := s.view.tree.Head().Checkpoint; s.ledger.Size() != cp.Size || s.root() != cp.Root {
		// Every bundle was accepted, so the cause is here and not in the log.
		return fmt.Errorf("the replayed tree has size %d and root %x, and the head has size %d and root %x",
			s.ledger.Size(), s.root(), cp.Size, cp.Root)
	}
	return nil
}

func (s *state) pass(ctx context.Context, o Observer) error {
	if from, size := s.ledger.Size(), s.view.tree.Head().Checkpoint.Size; from > 0 && size-from <= few && from/tlog.TileWidth == (size-1)/tlog.TileWidth {
		return s.passFew(ctx, from, o)
	}
	workers := runtime.GOMAXPROCS(0)
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	// jobs has room for every batch in order, so sending to jobs never blocks.
	room := 4 * workers
	order, jobs := make(chan *batch, room), make(chan share, (room+1)*tlog.TileWidth/most)
	var readErr error // set before order is closed
	from := s.ledger.Size()
	wg.Go(func() {
		defer close(order)
		defer close(jobs)
		readErr = s.read(ctx, from, order, jobs)
	})
	for range workers {
		wg.Go(func() {
			for b := range jobs {
				if ctx.Err() == nil {
					s.check(b, o)
				}
				b.ready.Done()
			}
		})
	}
	for {
		var b *batch // nil: no more
		o.wait(func() {
			if b = <-order; b != nil {
				b.ready.Wait()
			}
		})
		if b == nil {
			return readErr
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.apply(ctx, b, o); err != nil {
			return err
		}
	}
}

// few is the largest number of entries that passFew takes, without a queue and goroutines.
const few = 16

// passFew is pass for a few entries of one bundle. Most heads add no more to what a follower has.
func (s *state) passFew(ctx context.Context, from uint64, o Observer) error {
	var b *batch
	var err error
	o.wait(func() {
		for bundle, failed := range s.view.tree.Bundles(ctx, from) {
			if err = failed; err == nil {
				b = newBatch(bundle)
				s.check(share{b, 0, len(b.read)}, o)
			}
		}
	})
	if err = cmp.Or(err, ctx.Err()); err != nil || b == nil {
		return err
	}
	return s.apply(ctx, b, o)
}

// read makes batches of the tree's bundles. Those before an error are applied: they are
// proven.
func (s *state) read(ctx context.Context, from uint64, order chan<- *batch, jobs chan<- share) error {
	for bundle, err := range s.view.tree.Bundles(ctx, from) {
		if err != nil {
			return err
		}
		if bundle.First == 0 {
			s.keys.charter(bundle.Entries[0])
		}
		b, n := newBatch(bundle), len(bundle.Entries)
		b.ready.Add((n + most - 1) / most)
		select {
		case order <- b:
		case <-ctx.Done():
			return ctx.Err()
		}
		for from := 0; from < n; from += most {
			jobs <- share{b, from, min(from+most, n)}
		}
	}
	return nil
}

// check parses and verifies a share. Workers run it in any order.
func (s *state) check(b share, o Observer) {
	for i := b.from; i < b.to; i++ {
		e := &b.read[i]
		e.Index, e.Leaf = b.First+uint64(i), b.Leaves[i]
		if e.Envelope, e.Err = event.ParseEnvelope(b.Entries[i]); e.Err != nil {
			e.Envelope = nil
			continue
		}
		e.Hash = e.Envelope.Hash()
		e.Verify(s.keys.lookup)
		if o.Read != nil {
			b.notes[i] = o.Read(e)
		}
	}
}

func (s *state) apply(ctx context.Context, b *batch, o Observer) error {
	s.view.ctx = ctx // only during apply: other readers have no context
	defer func() { s.view.ctx = context.Background() }()
	if o.Bundle != nil {
		if err := o.Bundle(b.Bundle); err != nil {
			return err
		}
	}
	l := s.ledger
	for i := range b.read {
		e := &b.read[i]
		before := l.Charter()
		s.recheck(e)
		if o.Before != nil {
			if err := o.Before(e, b.notes[i]); err != nil {
				return err
			}
		}
		violations, changes, err := l.Apply(*e)
		if err != nil {
			return err
		}
		if l.Charter() != before {
			s.keys.load(l)
			s.recheck(e)
		}
		if o.After != nil {
			if err := o.After(e, violations, changes); err != nil {
				return err
			}
		}
	}
	if o.Applied != nil {
		return o.Applied()
	}
	return nil
}

// recheck verifies signatures that a worker could not, since the charter with the key
// was not applied yet. The observer's view then does not depend on timing.
func (s *state) recheck(e *ledger.Entry) {
	for i, state := range e.Signatures {
		if state == ledger.Unchecked && s.ledger.Key(e.Envelope.Signatures[i].KeyID) != nil {
			e.Verify(s.ledger.Key)
			return
		}
	}
}

// keyTable has the keys with which workers verify. It may lack keys of the ledger or
// have others. Neither does harm: a key id is the hash of its key, so no other key has
// this id.
type keyTable struct {
	keys atomic.Pointer[map[string]*event.PublicKey]
}

func (t *keyTable) lookup(id string) *event.PublicKey {
	if m := t.keys.Load(); m != nil {
		return (*m)[id]
	}
	return nil
}

func (t *keyTable) load(l *ledger.Ledger) {
	m := make(map[string]*event.PublicKey)
	for _, id := range l.KeyIDs() {
		m[id] = l.Key(id)
	}
	t.keys.Store(&m)
}

// charter loads the keys of entry 0, so that workers can verify the first batches before
// it is applied.
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
