// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/vasistas/vasistas/internal/checksum"
	"github.com/vasistas/vasistas/internal/strictjson"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/tlog"
)

// FollowOptions say where a [Follower] starts and ends, and how often it polls.
type FollowOptions struct {
	// From is the state to resume from. Zero: the start of the log.
	From State
	// Start is the first index to yield if From is zero. Entries below it are not read;
	// every head's tree has them all the same.
	Start uint64
	// UntilHead ends All at the first head whose entries are all yielded, and on any
	// error. Otherwise All polls until the context ends, and retries after temporary
	// errors.
	UntilHead bool
	// Poll is the pause after a head. It doubles up to MaxPoll while the log does not
	// grow or does not answer. 0: a second, and 15 seconds.
	Poll, MaxPoll time.Duration
	// Waiting, if not nil, is called with each temporary error and, once the policy has accepted
	// a checkpoint, with each later one that it does not accept. A [ContradictionError] has evidence.
	Waiting func(error)
}

// Entry is an entry proven to be in the tree of a verified head.
type Entry struct {
	Index uint64
	Leaf  tlog.Hash // leaf hash
	Bytes []byte    // shares memory with its bundle
	// Head is the head under which the entry is proven. Its last entry has the index
	// Size-1.
	Head *tlog.Verified
}

// StateError reports a state that does not fit this log.
type StateError struct{ Reason string }

func (e *StateError) Error() string {
	return "the saved state does not fit: " + e.Reason
}

// Follower follows one log: see the package comment. It is not safe for concurrent
// use. After an error it can go on after the last entry yielded.
type Follower struct {
	opts FollowOptions
	tree *Tree

	size     uint64          // entries yielded
	root     tlog.Hash       // root at size, until frontier is loaded
	fresh    bool            // root is not known: size is FollowOptions.Start
	frontier *tiles.Frontier // of size; nil before the first head
}

// Follower returns a follower that starts from the state in o. A state of
// another log is a [StateError].
func (c *Client) Follower(o FollowOptions) (*Follower, error) {
	var known *tlog.Checkpoint
	if o.From.Checkpoint != nil {
		var err error
		if known, err = c.Signed(o.From.Checkpoint); err != nil {
			return nil, err
		}
	}
	t, err := c.Tree(TreeOptions{Known: known})
	if err != nil {
		return nil, err
	}
	o.Poll = cmp.Or(max(o.Poll, 0), time.Second)
	o.MaxPoll = cmp.Or(max(o.MaxPoll, 0), 15*time.Second)
	f := &Follower{opts: o, tree: t, size: o.From.Size, root: o.From.Root}
	if f.size == 0 {
		f.root = tiles.EmptyRoot()
	}
	switch {
	case t.largest == nil && f.size > 0:
		return nil, &StateError{"it has no checkpoint"}
	case t.largest == nil:
		f.size, f.fresh = o.Start, o.Start > 0
	case f.size > t.largest.Size:
		return nil, &StateError{"it counts more entries than its checkpoint"}
	}
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

// State returns the state after the last entry yielded. If the caller saves it after
// handling that entry, each entry is handled at least once.
func (f *Follower) State() State {
	if f.fresh {
		return State{} // nothing was yielded
	}
	s := State{Size: f.size, Root: f.root}
	if f.frontier != nil {
		s.Root = f.frontier.Root()
	}
	if f.tree.largest != nil {
		s.Checkpoint = f.tree.largest.Bytes()
	}
	return s
}

// Head returns the head up to which entries are yielded, nil before the first.
func (f *Follower) Head() *tlog.Verified { return f.tree.head }

// Update is [Tree.Update]. From then on the client accepts no smaller checkpoint.
func (f *Follower) Update(ctx context.Context) (*tlog.Verified, error) {
	t := f.tree.Clone(nil)
	v, err := t.Update(ctx)
	if err != nil {
		return nil, err
	}
	if f.frontier == nil {
		if err := f.load(ctx, t.now); err != nil {
			return nil, err
		}
	}
	f.tree = t
	t.c.remember(v)
	return v, nil
}

// load makes the frontier of the saved state out of accepted tiles.
func (f *Follower) load(ctx context.Context, t *rooted) error {
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

// entries yields the entries after the last one yielded, up to the head.
func (f *Follower) entries(ctx context.Context, yield func(Entry, error) bool) error {
	t := f.tree
	for b, err := range t.Bundles(ctx, f.size) {
		if err != nil {
			return err
		}
		for i, leaf := range b.Leaves {
			if err := f.frontier.Append(leaf, func(tlog.Tile, []byte) error { return nil }); err != nil {
				return err
			}
			e := Entry{Index: f.size, Leaf: leaf, Bytes: b.Entries[i], Head: t.head}
			f.size++
			if !yield(e, nil) {
				return nil
			}
		}
	}
	if root := f.frontier.Root(); root != t.now.root {
		// Every bundle was accepted, so the cause is here and not in the log.
		return fmt.Errorf("the entries up to size %d have the root %x, and the head has %x", t.now.size, root, t.now.root)
	}
	return nil
}

// All yields the entries of every head, and polls for the next head. It ends with an
// error, the context's included; without one only under UntilHead.
func (f *Follower) All(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for wait := f.opts.Poll; ; {
			before := f.size
			stopped, err := f.round(ctx, yield)
			switch {
			case stopped, err == nil && f.opts.UntilHead:
				return
			case err != nil && (f.opts.UntilHead || ctx.Err() != nil || !temporary(err) && !f.passes(err)):
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

// passes reports whether an error is about a checkpoint that the policy does not accept, after
// one that it did. A retired key of the log can sign such a checkpoint, and so can the log itself
// while witnesses are silent: it is not believed, and stops no one.
func (f *Follower) passes(err error) bool {
	return f.tree.head != nil && (errors.Is(err, tlog.ErrNoQuorum) || errors.Is(err, tlog.ErrUnknownLog) || errors.Is(err, tlog.ErrBadSignature))
}

// round yields entries up to the latest head. stopped means that the caller broke off.
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

// MaxStateSize bounds a state file in bytes.
const MaxStateSize = 2*tlog.MaxCheckpointSize + 256

// State is what a [Follower] has yielded, and the largest head that it has verified.
// The zero value is the start of a log. A state is not secret, but who can change it
// can make a follower skip entries or forget a head.
type State struct {
	Size uint64    // entries yielded
	Root tlog.Hash // root of the tree of that size; ignored at size 0
	// Checkpoint is the largest verified one, as it was served. Later heads must
	// extend it. nil at the start.
	Checkpoint []byte
}

type stateFile struct {
	Checkpoint string    `json:"checkpoint,omitempty"`
	Root       tlog.Hash `json:"root"`
	Size       uint64    `json:"size"`
}

// Bytes returns the state as a file: one line of JSON.
func (s State) Bytes() []byte {
	if s.Size == 0 {
		s.Root = tiles.EmptyRoot()
	}
	b, _ := strictjson.Line(stateFile{string(s.Checkpoint), s.Root, s.Size}) // strings and an integer: no error
	return b
}

// ParseState parses exactly what Bytes returns.
func ParseState(b []byte) (State, error) {
	if len(b) > MaxStateSize {
		return State{}, fmt.Errorf("state file: more than %d bytes", MaxStateSize)
	}
	if !bytes.HasPrefix(b, []byte(`{"checkpoint":`)) && !bytes.HasPrefix(b, []byte(`{"root":`)) {
		return State{}, fmt.Errorf("state file: it is %s, and no state of a follower; name another file", checksum.Kind(b))
	}
	var f stateFile
	if err := json.Unmarshal(b, &f); err != nil {
		return State{}, fmt.Errorf("state file: %w", err)
	}
	s := State{Size: f.Size, Root: f.Root}
	var size uint64
	if f.Checkpoint != "" {
		s.Checkpoint = []byte(f.Checkpoint)
		cp, err := tlog.ParseCheckpoint(s.Checkpoint)
		if err != nil {
			return State{}, fmt.Errorf("state file: %w", err)
		}
		size = cp.Size
	}
	if s.Size > size {
		return State{}, fmt.Errorf("state file: it counts %d entries, and its checkpoint has %d", s.Size, size)
	}
	if !bytes.Equal(s.Bytes(), b) {
		return State{}, fmt.Errorf("state file: it was changed by hand; restore it, or name another file to start over")
	}
	return s, nil
}
