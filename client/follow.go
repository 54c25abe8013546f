// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/internal/tiles/prover"
	"github.com/vasistas/vasistas/log/tlog"
)

// FollowOptions says from where, how far, and how eagerly.
type FollowOptions struct {
	// From is where to resume. Zero: from the first entry.
	From State
	// Start is the first index to yield if From is zero: the entries below it
	// are not read, but are in the tree of every head all the same.
	Start uint64
	// UntilHead ends at the first head whose entries are all yielded, and on
	// any error. Otherwise the log is polled until the context ends, and
	// errors that may pass are waited out.
	UntilHead bool
	// Poll is the pause after a head; it doubles while the log does not grow
	// or does not answer, up to MaxPoll. 0: a second, and 15 seconds.
	Poll, MaxPoll time.Duration
	// ReadAhead is how many bundles are fetched at a time: of 256 entries, so
	// 12 MB at most with ours. 0: 8.
	ReadAhead int
	// Waiting, if not nil, is called with each error that is waited out.
	Waiting func(error)
}

// Entry is an entry that is proven to be in the tree of a verified head.
type Entry struct {
	Index uint64
	Leaf  tlog.Hash // leaf hash
	Bytes []byte    // it shares memory with its bundle
	// Head is the checkpoint in whose tree it was proven to be. The entry is
	// the last one of it if Index+1 is its size.
	Head *tlog.Verified
}

// StateError says that a state can't be resumed from with this log.
type StateError struct{ Reason string }

func (e *StateError) Error() string {
	return "the saved state does not fit: " + e.Reason
}

// Follower follows one log: see the package comment. It is not safe for
// concurrent use. After an error it stands where it stood and can go on.
type Follower struct {
	c    *Client
	opts FollowOptions

	size     uint64          // entries yielded
	root     tlog.Hash       // root at size, until frontier is loaded
	fresh    bool            // root is not known: size is the caller's wish
	frontier *tiles.Frontier // of size; nil before the first head
	// largest is the largest head ever verified. It never gets smaller and no
	// later head contradicts it. nil at the start.
	largest *tlog.Checkpoint
	head    *tlog.Verified // largest, as it was judged in this run; or nil
	tree    *tree          // of head; or nil
}

// Follower returns a follower that starts from the state in o. A state of
// another log is a [StateError].
func (c *Client) Follower(o FollowOptions) (*Follower, error) {
	if c.policy == nil {
		return nil, ErrNoPolicy
	}
	if o.Poll <= 0 {
		o.Poll = time.Second
	}
	if o.MaxPoll <= 0 {
		o.MaxPoll = 15 * time.Second
	}
	if o.ReadAhead <= 0 {
		o.ReadAhead = 8
	}
	f := &Follower{c: c, opts: o, size: o.From.Size, root: o.From.Root}
	if f.size == 0 {
		f.root = tiles.EmptyRoot()
	}
	if o.From.Checkpoint == nil {
		if f.size > 0 {
			return nil, &StateError{"it has no checkpoint"}
		}
		f.size, f.fresh = o.Start, o.Start > 0
		return f, nil
	}
	cp, err := tlog.ParseCheckpoint(o.From.Checkpoint)
	if err != nil {
		return nil, &StateError{err.Error()}
	}
	// The witnesses of the policy may have changed since; the log's own
	// signature is what makes it a head to hold later ones against.
	if _, err := c.policy.Verify(cp, c.origin); err != nil && !errors.Is(err, tlog.ErrNoQuorum) {
		return nil, &StateError{err.Error()}
	}
	if f.size > cp.Size {
		return nil, &StateError{"it counts more entries than its checkpoint"}
	}
	f.largest = cp
	return f, nil
}

// Follow is a [Follower]'s All.
func (c *Client) Follow(ctx context.Context, o FollowOptions) iter.Seq2[Entry, error] {
	f, err := c.Follower(o)
	if err != nil {
		return func(yield func(Entry, error) bool) { yield(Entry{}, err) }
	}
	return f.All(ctx)
}

// State returns where to resume: after the last entry that was yielded. Save it
// once that entry has been dealt with, and entries are dealt with at least once.
func (f *Follower) State() State {
	if f.fresh {
		return State{} // nothing was yielded
	}
	s := State{Size: f.size, Root: f.root}
	if f.frontier != nil {
		s.Root = f.frontier.Root()
	}
	if f.largest != nil {
		s.Checkpoint = f.largest.Bytes()
	}
	return s
}

// Head returns the head that entries are yielded up to, nil before the first.
func (f *Follower) Head() *tlog.Verified { return f.head }

// Update fetches the latest checkpoint and accepts it as the head if it is
// valid under the policy and extends every head before: see Offer.
func (f *Follower) Update(ctx context.Context) (*tlog.Verified, error) {
	v, err := f.c.fetchCheckpoint(ctx)
	if err != nil {
		return nil, err
	}
	if err := f.offer(ctx, v); err != nil {
		return nil, err
	}
	f.c.remember(v)
	return v, nil
}

// Offer judges a checkpoint that came from elsewhere, say from a witness, as
// Update does one of the log. One that contradicts the largest verified head is
// a [ForkError]; one that is smaller and consistent a [RollbackError]. One of
// the same tree, with other cosignatures, takes the head's place.
func (f *Follower) Offer(ctx context.Context, checkpoint []byte) (*tlog.Verified, error) {
	v, err := f.c.judge(checkpoint)
	if err != nil {
		return nil, err
	}
	if err := f.offer(ctx, v); err != nil {
		return nil, err
	}
	return v, nil
}

func (f *Follower) offer(ctx context.Context, v *tlog.Verified) error {
	cp := v.Checkpoint
	if f.largest != nil {
		err := notBefore(f.largest, cp)
		var back *RollbackError
		if errors.As(err, &back) && f.tree != nil {
			if err := extends(ctx, f.tree, cp, f.largest); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
	if f.tree != nil && f.tree.size == cp.Size {
		f.largest, f.head = cp, v
		return nil
	}
	t, err := openTree(ctx, f.c.source, cp.Size, cp.Root)
	if err != nil {
		return err
	}
	if f.largest != nil {
		if err := extends(ctx, t, f.largest, cp); err != nil {
			return err
		}
	}
	if f.frontier == nil {
		if err := f.load(ctx, t); err != nil {
			return err
		}
	}
	t.adopt(f.tree)
	f.largest, f.head, f.tree = cp, v, t
	return nil
}

// load makes the frontier of the saved state out of tiles that the head vouches
// for.
func (f *Follower) load(ctx context.Context, t *tree) error {
	if f.size > t.size {
		return fmt.Errorf("entry %d is %w, of size %d", f.size, ErrNotLogged, t.size)
	}
	root, err := t.rootAt(ctx, f.size)
	if err != nil {
		return err
	}
	if f.fresh {
		f.root, f.fresh = root, false
	}
	if root != f.root {
		return &StateError{fmt.Sprintf("the log's root at size %d is %x, and the state has %x", f.size, root, f.root)}
	}
	f.frontier, err = tiles.LoadFrontier(ctx, t, f.size, f.root)
	return err
}

// extends returns a [ForkError] unless the tree t, of the head large, has the
// root of small at its size.
func extends(ctx context.Context, t *tree, small, large *tlog.Checkpoint) error {
	prefix, err := t.rootAt(ctx, small.Size)
	if err != nil {
		return err
	}
	if prefix == small.Root {
		return nil
	}
	fork := &ForkError{Small: small, Large: large, Prefix: prefix}
	fork.Proof, err = prover.New(t, 0).Consistency(ctx, small.Size, prefix, large.Size, large.Root)
	if err != nil {
		return err
	}
	return fork
}

// Entries yields the entries after the last one yielded, up to the head.
func (f *Follower) Entries(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		if f.head == nil {
			yield(Entry{}, errors.New("there is no head yet; call Update"))
			return
		}
		if err := f.entries(ctx, yield); err != nil {
			yield(Entry{}, err)
		}
	}
}

func (f *Follower) entries(ctx context.Context, yield func(Entry, error) bool) error {
	head, t := f.head, f.tree
	for b, err := range readBundles(ctx, f.c.source, f.size, t.size, f.opts.ReadAhead) {
		if err != nil {
			return err
		}
		if err := t.bundle(ctx, b.n, b.leaves); err != nil {
			return err
		}
		for i := f.size % tlog.TileWidth; i < uint64(len(b.entries)); i++ {
			if err := f.frontier.Append(b.leaves[i], func(tlog.Tile, []byte) error { return nil }); err != nil {
				return err
			}
			e := Entry{Index: f.size, Leaf: b.leaves[i], Bytes: b.entries[i], Head: head}
			f.size++
			if !yield(e, nil) {
				return nil
			}
		}
	}
	if root := f.frontier.Root(); root != t.root {
		// Every bundle was accepted, so this can't be the log's doing.
		return fmt.Errorf("the entries up to size %d have the root %x, and the head has %x", t.size, root, t.root)
	}
	return nil
}

// All yields the entries of every head, and polls for the next one at the tail.
// It ends with an error, also that of the context; without one only with
// UntilHead.
func (f *Follower) All(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for wait := f.opts.Poll; ; {
			before := f.size
			stopped, err := f.round(ctx, yield)
			switch {
			case stopped:
				return
			case err == nil && f.opts.UntilHead:
				return
			case err != nil && (f.opts.UntilHead || ctx.Err() != nil || !temporary(err)):
				yield(Entry{}, err)
				return
			case err != nil && f.opts.Waiting != nil:
				f.opts.Waiting(err)
			}
			if f.size > before {
				wait = f.opts.Poll
			}
			if err := pause(ctx, wait); err != nil {
				yield(Entry{}, err)
				return
			}
			wait = min(2*wait, max(f.opts.MaxPoll, f.opts.Poll))
		}
	}
}

// round goes up to the latest head. stopped says that the caller has enough.
func (f *Follower) round(ctx context.Context, yield func(Entry, error) bool) (stopped bool, err error) {
	if _, err := f.Update(ctx); err != nil {
		return false, err
	}
	err = f.entries(ctx, func(e Entry, err error) bool {
		stopped = !yield(e, err)
		return !stopped
	})
	return stopped, err
}
