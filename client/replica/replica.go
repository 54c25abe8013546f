// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"errors"
	"fmt"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// Config says which log, and for what use.
type Config struct {
	// Client of the log. Its policy decides which heads are accepted. It must not be
	// nil.
	Client *client.Client
	// Origin of the log. "": the first head's.
	Origin string
	// Known is the largest checkpoint that the caller has verified. nil: the
	// snapshot's; without one none.
	Known *tlog.Checkpoint

	// Use names what the replica is kept for, in one word: a snapshot for another use
	// is refused.
	Use string
	// Policy binds snapshots to its bytes: a snapshot made under other bytes is
	// refused. nil: snapshots are bound to none.
	Policy []byte
	// Snapshot to go on from. nil: from the first entry.
	Snapshot []byte
	// Own is the caller's part of a snapshot, in JSON: New fills it from the
	// snapshot, and Replica.Snapshot writes it. It is a pointer. nil: there is none.
	Own any

	// Tiles has each tile of leaf hashes compared, too: see [client.TreeOptions].
	Tiles bool
}

// Replica is a verified copy of one log. It is not safe for concurrent use.
type Replica struct {
	c     Config
	tree  *client.Tree // of the head that counts; it never goes back
	next  *client.Tree // of the head that Update found; nil: none, or it counts
	state *state       // nil before the first head, if Origin is ""
}

// state is what a Try copies: the ledger, which has every entry below its size, and
// what it asks.
type state struct {
	ledger *ledger.Ledger
	view   *view
	keys   keyTable
}

// view is the tree as the ledger asks for it.
type view struct {
	ctx  context.Context // of the call: ledger.Tree has none
	tree *client.Tree
}

var _ ledger.Tree = (*view)(nil)

func (v *view) Entry(index uint64) ([]byte, error)        { return v.tree.Entry(v.ctx, index) }
func (v *view) Root(size uint64) (root [32]byte, _ error) { return v.tree.Root(v.ctx, size) }

// New returns the replica of a log, and reads nothing from the log yet. A snapshot
// that does not fit is a [SnapshotError].
func New(c Config) (*Replica, error) {
	if c.Client == nil {
		return nil, errors.New("replica: the client of a log must be given")
	}
	var snap *snapshot
	if c.Snapshot != nil {
		var err error
		if snap, err = c.parse(); err != nil {
			return nil, err
		}
		c.Snapshot = nil
	}
	t, err := c.Client.Tree(client.TreeOptions{Known: c.Known, Tiles: c.Tiles})
	if err != nil {
		return nil, err
	}
	r := &Replica{c: c, tree: t}
	if c.Origin != "" {
		r.found(c.Origin)
	}
	if snap != nil {
		if err := r.restore(snap); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *Replica) found(origin string) {
	v := &view{context.Background(), r.tree}
	r.state = &state{ledger: ledger.New(origin, v), view: v}
}

// Ledger returns the ledger. It is nil before the first Update, if no origin was
// given. Another one may take its place with Try.
func (r *Replica) Ledger() *ledger.Ledger {
	if r.state == nil {
		return nil
	}
	return r.state.ledger
}

// Tree returns the tree under the head that counts. It is a copy: heads offered to it
// do not reach the replica.
func (r *Replica) Tree() *client.Tree { return r.tree.Clone(nil) }

// Use replaces the client by another one of the same log, for a log whose keys have
// changed.
func (r *Replica) Use(c *client.Client) {
	r.c.Client, r.next = c, nil
	r.tree = r.tree.Clone(c)
	if r.state != nil {
		r.state.view.tree = r.tree
	}
}

// Update fetches the log's present head, and returns it if it is valid under the
// policy, extends every head before, and has the ledger's entries. It does not count
// before Replay or Try.
func (r *Replica) Update(ctx context.Context) (*tlog.Verified, error) {
	return r.look(ctx, func(t *client.Tree) (*tlog.Verified, error) { return t.Update(ctx) })
}

// Offer is Update with a checkpoint that came from elsewhere, say from a witness: see
// [client.Tree.Offer].
func (r *Replica) Offer(ctx context.Context, checkpoint []byte) (*tlog.Verified, error) {
	return r.look(ctx, func(t *client.Tree) (*tlog.Verified, error) { return t.Offer(ctx, checkpoint) })
}

func (r *Replica) look(ctx context.Context, head func(*client.Tree) (*tlog.Verified, error)) (*tlog.Verified, error) {
	r.next = nil
	next := r.tree.Clone(nil)
	v, err := head(next)
	if err != nil {
		return nil, err
	}
	if r.state == nil {
		r.found(v.Checkpoint.Origin)
	}
	l := r.state.ledger
	root, err := next.Root(ctx, l.Size())
	if err != nil {
		return nil, err
	}
	if root != l.Root() {
		return nil, &SnapshotError{fmt.Sprintf("it does not fit this log, whose root at size %d is %x, and not %x", l.Size(), root, l.Root())}
	}
	r.next = next
	return v, nil
}

var errNoHead = errors.New("replica: there is no head yet; call Update")

// Replay makes the head of the last Update count, and applies the entries up to it.
// If it fails, the head counts and so do the entries that were applied; the next one
// goes on there.
func (r *Replica) Replay(ctx context.Context, o Observer) error {
	if r.state == nil {
		return errNoHead
	}
	if r.next != nil {
		r.tree, r.next = r.next, nil
		r.state.view.tree = r.tree
	}
	return r.state.replay(ctx, o)
}

// Try applies the entries up to the head of the last Update to a copy, and asks
// whether they count. If accept, or anything before it, fails, the replica is what it
// was before Update. It takes the time and memory of a snapshot.
func (r *Replica) Try(ctx context.Context, o Observer, accept func(*ledger.Ledger) error) error {
	if r.state == nil {
		return errNoHead
	}
	next, l := r.next, r.state.ledger
	if r.next = nil; next == nil {
		next = r.tree
	}
	copied := Replica{tree: next}
	copied.found(l.Origin())
	if l.Size() > 0 {
		if err := copied.state.restore(l.Snapshot(), l.Size(), l.Root()); err != nil {
			return err
		}
	}
	if err := copied.state.replay(ctx, o); err != nil {
		return err
	}
	if err := accept(copied.state.ledger); err != nil {
		return err
	}
	r.tree, r.state = next, copied.state
	return nil
}
