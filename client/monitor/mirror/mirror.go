// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package mirror keeps a full verified copy of one log on disk, in the layout of C2SP
// tlog-tiles, and serves it (the reading half of C2SP tlog-mirror).
//
// It promises its caller that every entry of the copy is in the tree of a head that the
// policy accepts (C2SP tlog-policy); that each head of the copy extends the one before,
// else there is a [client.ForkError] with evidence and the copy stays as it is; and that
// the copy's checkpoint names only what is on stable storage. It trusts the policy, the
// directory and package durable's file system, and no source: a tile is checked with
// [client.Tree], and one that a source has wrong, late or not at all comes from another.
//
// # Update
//
// Each new head goes through these steps, in this order:
//
//  1. heads: the checkpoints of all sources are verified. The largest is the new head, of
//     equals the one with the latest witnessed time. It must extend the copy's head, and
//     no other source's head may contradict it;
//  2. entries: bundles are verified under the new head, and written in batches with the
//     tiles that they fill: files are synced, then renamed into place, then their
//     directories are synced;
//  3. right edge: the partial tiles, in the same way;
//  4. checkpoint: written last, atomically. This moves the copy's head.
//
// During the steps 2 to 4, [Mirror.Ahead] serves the entries already verified, before they
// are durable. [Mirror.Reaches] tells when they are.
//
// A crash at any time leaves the old or the new head. The next Update finds files that an
// earlier one left, verifies them like any source's, and does not fetch them again.
// Partial tiles stay for the copy's present and previous head, and are replaced by full
// ones. Memory is bounded, whatever the size of the log: two batches of 8 MiB and the
// bundles that a [client.Tree] reads ahead and keeps.
//
// # Files
//
// A copy is a directory with the files checkpoint, tile/... and lock. It can be read by
// [client.Dir] and each other reader of C2SP tlog-tiles, also during an Update.
package mirror

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/tlog"
)

// Config names a log and the directory of its copy.
type Config struct {
	// Dir is the directory of the copy. Open creates it. Required.
	Dir string
	// Sources are the log, first, and mirrors of it. Without any, the copy can be read and
	// served, and Update fails.
	Sources []Source
	// Policy decides which heads are accepted. Required.
	Policy *tlog.Policy
	// Origin of the log. "": the name of its key.
	Origin string
	// Timeout of reading one file from one source, with all its tries. 0: a minute. For a
	// checkpoint it is at most ten seconds.
	Timeout time.Duration
	// Cosign returns what the handler serves for a head of the copy: this head, or an earlier
	// one, with the operator's signature lines; or nil for the head as it is. Update calls it
	// once the head is durable, also if the head is an old one. What is served never goes
	// back: a smaller head than that has no effect. The file checkpoint does not have the
	// lines. nil: there are none.
	Cosign func(*tlog.Checkpoint) (*tlog.Checkpoint, error)
	// Warn is called with each error for which another source made up, mostly a
	// [SourceError], from any goroutine. nil: such errors are dropped.
	Warn func(error)
	// Progress is called by Update with the entries copied and the head's size. nil: not.
	Progress func(done, size uint64)
}

// Mirror is a copy of one log. It is safe for concurrent use.
type Mirror struct {
	c      Config
	lock   *durable.Lock
	copied client.Source
	pool   *pool
	client *client.Client // over the pool

	head   atomic.Pointer[head]        // durable; it never goes back
	served atomic.Pointer[head]        // for the handler: see Config.Cosign; it never goes back
	policy atomic.Pointer[tlog.Policy] // of the next Update or Check
	failed atomic.Pointer[error]       // of the last Update that had an outcome
	moved  chan struct{}               // see Moved

	// turn is held by Update and Check, and guards what follows, c.Policy and client. It is a
	// channel, so that a wait can end.
	turn   chan struct{}
	coming atomic.Pointer[coming] // the head of the Update under way; nil: none. Any goroutine may read it
	closed bool
	tree   *client.Tree    // its largest head is the copy's
	edge   *tiles.Frontier // of head; nil before it is needed
	batch  *durable.Batch  // nil: none was begun, or the last one failed
	seen   []uint64        // by Config.Sources: size of the last verified head of each
	next   uint64          // the file at which Check goes on
}

// head is a checkpoint as it is served.
type head struct {
	*tlog.Checkpoint
	bytes []byte
}

// name of the file that says what the copy has.
const checkpointFile = "checkpoint"

// Open opens the copy in a directory, or an empty one, and locks the directory. It reads
// nothing from a source. A checkpoint of another log is a [client.StateError], a directory
// in use [durable.ErrLocked].
func Open(c Config) (*Mirror, error) {
	if c.Policy == nil {
		return nil, client.ErrNoPolicy
	}
	if c.Dir == "" {
		return nil, errors.New("no directory for the copy was given")
	}
	c.Timeout = cmp.Or(c.Timeout, time.Minute)
	if c.Warn == nil {
		c.Warn = func(error) {}
	}
	if c.Progress == nil {
		c.Progress = func(uint64, uint64) {}
	}
	if err := durable.MkdirAll(c.Dir, 0o755); err != nil {
		return nil, err
	}
	lock, err := durable.LockDir(c.Dir)
	if err != nil {
		return nil, err
	}
	m := &Mirror{c: c, lock: lock, copied: client.Dir(c.Dir), turn: make(chan struct{}, 1), moved: make(chan struct{}, 1),
		seen: make([]uint64, len(c.Sources)), next: rand.Uint64N(1 << 62)}
	m.policy.Store(c.Policy)
	m.pool = newPool(&m.c, m.copied)
	if m.client, err = client.New(client.Config{Source: m.pool, Policy: c.Policy, Origin: c.Origin}); err == nil {
		err = m.load()
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return m, nil
}

// Close unlocks the directory, after the Update or Check under way. Later ones fail with
// [fs.ErrClosed]: another process may have the directory. Readers must have ended.
func (m *Mirror) Close() error {
	m.turn <- struct{}{}
	defer m.end()
	m.closed = true
	return m.lock.Close()
}

// load reads the copy's checkpoint, and founds the tree that later heads must extend.
func (m *Mirror) load() error {
	b, err := m.copied.ReadCheckpoint(context.Background())
	var o client.TreeOptions
	switch {
	case err == nil:
		if o.Known, err = m.client.Signed(b); err != nil {
			return fmt.Errorf("the copy in %s: %w", m.c.Dir, err)
		}
		h := &head{o.Known, b}
		m.head.Store(h)
		m.served.Store(h)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	m.tree, err = m.client.Tree(o)
	return err
}

// Head returns the copy's checkpoint, nil before the first.
func (m *Mirror) Head() *tlog.Checkpoint {
	if h := m.head.Load(); h != nil {
		return h.Checkpoint
	}
	return nil
}

// Moved returns a channel for one reader. It gets a value once the result of Head or Coming has changed. Several
// changes before the reader takes the value are one value.
func (m *Mirror) Moved() <-chan struct{} { return m.moved }

// Update makes the copy durable up to the newest head of the sources, and returns that
// head. Two contradicting heads are a [client.ForkError]; if every source serves a smaller
// head than the copy's, the error is a [client.RollbackError]. After an error the copy has
// its old head, or, if the disk did not say which, the new one.
func (m *Mirror) Update(ctx context.Context) (*tlog.Verified, error) {
	v, finish, err := m.update(ctx)
	if err == nil {
		finish(func(e error) { err = e })
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

// Begin does what Update does, but returns once the entries of the newest head are verified. durable waits until
// the copy has that head, the Update fails, or ctx ends.
func (m *Mirror) Begin(ctx context.Context) (durable func() error) {
	_, finish, err := m.update(ctx)
	if err != nil {
		return func() error { return err }
	}
	outcome := make(chan error, 1)
	go finish(func(err error) { outcome <- err })
	return func() error {
		select {
		case err := <-outcome:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Failing returns why the last Update failed, nil if it did not.
func (m *Mirror) Failing() error {
	if err := m.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// update takes the turn and does the steps of an Update up to the one that makes files durable. finish does
// the other steps, calls tell with the outcome, and gives the turn back.
func (m *Mirror) update(ctx context.Context) (v *tlog.Verified, finish func(tell func(error)), err error) {
	outcome := func(err error) {
		if ctx.Err() == nil {
			m.failed.Store(&err)
		}
	}
	defer func() {
		if err != nil {
			outcome(err)
		}
	}()
	if err := m.begin(ctx); err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			m.end()
		}
	}()
	m.pool.forgive()
	tree, old := m.tree.Clone(nil), m.head.Load()
	if v, err = m.newest(ctx, tree); err != nil {
		return nil, nil, err
	}
	commit := func() error { return nil }
	if old == nil || !bytes.Equal(old.bytes, v.Checkpoint.Bytes()) {
		if commit, err = m.advance(ctx, tree, v.Checkpoint); err != nil {
			return nil, nil, err
		}
	}
	return v, func(tell func(error)) {
		defer m.end()
		err := commit()
		m.arrive(nil)
		if err == nil {
			m.tree = tree
			m.cosign(context.WithoutCancel(ctx))
		}
		outcome(err)
		tell(err)
		if err == nil && old != nil {
			m.tidy(old.Size, v.Checkpoint.Size)
		}
	}, nil
}

// Use makes the next Update and Check accept heads by another policy: a log may change its
// witnesses and keys.
func (m *Mirror) Use(p *tlog.Policy) { m.policy.Store(p) }

// Policy returns the policy of the next Update.
func (m *Mirror) Policy() *tlog.Policy { return m.policy.Load() }

// begin waits for the turn, and takes up the policy of Use.
func (m *Mirror) begin(ctx context.Context) error {
	select {
	case m.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if m.closed {
		m.end()
		return fmt.Errorf("the copy in %s: %w", m.c.Dir, fs.ErrClosed)
	}
	p := m.policy.Load()
	if p == m.c.Policy {
		return nil
	}
	c, err := client.New(client.Config{Source: m.pool, Policy: p, Origin: m.c.Origin})
	if err != nil {
		m.end()
		return err
	}
	m.c.Policy, m.client, m.tree = p, c, m.tree.Clone(c)
	return nil
}

func (m *Mirror) end() { <-m.turn }

// cosign makes the checkpoint that the handler serves.
func (m *Mirror) cosign(ctx context.Context) {
	h := m.head.Load()
	defer func() { m.served.Store(h) }()
	if m.c.Cosign == nil {
		return
	}
	cosigned, err := m.c.Cosign(h.Checkpoint)
	if err == nil && cosigned == nil {
		return
	}
	var b []byte
	if err == nil {
		b = cosigned.Bytes()
		_, err = tlog.ParseCheckpoint(b)
	}
	if err == nil {
		err = m.Holds(ctx, &cosigned.Head)
	}
	if err != nil {
		m.c.Warn(fmt.Errorf("the copy is served without the operator's cosignature: %w", err))
		return
	}
	if now := m.served.Load(); now != nil && cosigned.Size < now.Size {
		h = now // the next cosigned one will be larger
	} else {
		h = &head{cosigned, b}
	}
}

// path returns the file of a tile.
func (m *Mirror) path(t tlog.Tile) string {
	return filepath.Join(m.c.Dir, filepath.FromSlash(t.Path()))
}
