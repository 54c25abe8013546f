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

// Config names a log and the use of its replica.
type Config struct {
	// Client of the log. Its policy decides which heads are accepted. Required.
	Client *client.Client
	// Origin of the log. "": the first head's.
	Origin string
	// Known is the largest checkpoint that the caller has verified. nil: the
	// snapshot's, if there is one.
	Known *tlog.Checkpoint

	// Use is the purpose of the replica, in one word. A snapshot of another use is
	// refused.
	Use string
	// Policy binds snapshots: one made under other policy bytes is refused. nil:
	// snapshots are not bound to a policy.
	Policy []byte
	// Snapshot to resume from. nil: start at the first entry.
	Snapshot []byte
	// Own points to the caller's part of a snapshot, in JSON: New fills it from the
	// snapshot, and Replica.Snapshot writes it. nil: there is none.
	Own any

	// Tiles compares each tile of leaf hashes with its entries: see
	// [client.TreeOptions].
	Tiles bool
}

// Replica is a verified copy of one log. It is not safe for concurrent use.
type Replica struct {
	c     Config
	tree  *client.Tree // of the accepted head; it never goes back
	next  *client.Tree // of the head of the last Update, until it is accepted; or nil
	state *state       // nil before the first head, if Origin is ""
}

// state is what a Try copies: the ledger, which has applied every entry below its size,
// and what it reads from.
type state struct {
	ledger *ledger.Ledger
	view   *view
	keys   keyTable
}

// view is the tree as the ledger reads it.
type view struct {
	ctx  context.Context // of the call: ledger.Tree has none
	tree *client.Tree
}

var _ ledger.Tree = (*view)(nil)

func (v *view) Entry(index uint64) ([]byte, error)        { return v.tree.Entry(v.ctx, index) }
func (v *view) Root(size uint64) (root [32]byte, _ error) { return v.tree.Root(v.ctx, size) }

// New returns the replica of a log. It does not read from the log. A snapshot that does
// not fit is a [SnapshotError].
func New(c Config) (*Replica, error) {
	if c.Client == nil {
		return nil, errors.New("replica: no client of a log was given")
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
		r.create(c.Origin)
	}
	if snap != nil {
		if err := r.restore(snap); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// create starts an empty ledger.
func (r *Replica) create(origin string) {
	v := &view{context.Background(), r.tree}
	r.state = &state{ledger: ledger.New(origin, v), view: v}
}

// Ledger returns the ledger, which Try may replace. It is nil before the first Update if
// Config.Origin is "".
func (r *Replica) Ledger() *ledger.Ledger {
	if r.state == nil {
		return nil
	}
	return r.state.ledger
}

// Tree returns a clone of the tree under the accepted head: see [client.Tree.Clone].
func (r *Replica) Tree() *client.Tree { return r.tree.Clone(nil) }

// Use replaces the client by another one of the same log, such as one with a new policy.
func (r *Replica) Use(c *client.Client) {
	r.c.Client, r.next = c, nil
	r.tree = r.tree.Clone(c)
	if r.state != nil {
		r.state.view.tree = r.tree
	}
}

// Update fetches the log's present head, and returns it if the policy accepts it and it
// extends every earlier head and the ledger's tree. Replay or Try then accept it.
func (r *Replica) Update(ctx context.Context) (*tlog.Verified, error) {
	return r.fetch(ctx, func(t *client.Tree) (*tlog.Verified, error) { return t.Update(ctx) })
}

// Offer is Update with a checkpoint from elsewhere: see [client.Tree.Offer].
func (r *Replica) Offer(ctx context.Context, checkpoint []byte) (*tlog.Verified, error) {
	return r.fetch(ctx, func(t *client.Tree) (*tlog.Verified, error) { return t.Offer(ctx, checkpoint) })
}

func (r *Replica) fetch(ctx context.Context, head func(*client.Tree) (*tlog.Verified, error)) (*tlog.Verified, error) {
	r.next = nil
	next := r.tree.Clone(nil)
	v, err := head(next)
	if err != nil {
		return nil, err
	}
	if r.state == nil {
		r.create(v.Checkpoint.Origin)
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

// Replay accepts the head of the last Update and applies the entries up to it. After an
// error the head stays accepted, and the next Replay goes on after the last entry
// applied.
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

// Try applies the entries up to the head of the last Update to a copy, and calls accept.
// An error, of accept too, leaves the replica as it was before Update. Try takes the time
// and memory of a snapshot.
func (r *Replica) Try(ctx context.Context, o Observer, accept func(*ledger.Ledger) error) error {
	if r.state == nil {
		return errNoHead
	}
	next, l := r.next, r.state.ledger
	if r.next = nil; next == nil {
		next = r.tree
	}
	copied := Replica{tree: next}
	copied.create(l.Origin())
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
