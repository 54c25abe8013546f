// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// replay reads the log as any stranger would, from its first entry on, and judges
// each entry by the rules, to see what happens when. It knows the policy, and asks no
// clock: the time is what the witnesses say of the head. What it all amounts to, the
// audit says.
type replay struct {
	follower *client.Follower
	ledger   *ledger.Ledger
	head     *tlog.Verified

	entries [][]byte
	leaves  []tlog.Hash
	opened  map[uint64]uint64 // by sealed entry that is wholly open, the disclosure that did it
}

func newReplay(cl *client.Client) (*replay, error) {
	f, err := cl.Follower(client.FollowOptions{})
	if err != nil {
		return nil, err
	}
	r := &replay{follower: f, opened: make(map[uint64]uint64)}
	r.ledger = ledger.New(origin, r)
	return r, nil
}

// Entry and Root are what the ledger asks of the tree that it is given.
func (r *replay) Entry(index uint64) ([]byte, error) {
	if index >= uint64(len(r.entries)) {
		return nil, fmt.Errorf("entry %d was not read yet", index)
	}
	return r.entries[index], nil
}

func (r *replay) Root(size uint64) ([32]byte, error) {
	if size == 0 || size > uint64(len(r.leaves)) {
		return [32]byte{}, fmt.Errorf("the tree of size %d was not read yet", size)
	}
	var f tiles.Frontier
	for _, leaf := range r.leaves[:size] {
		if err := f.Append(leaf, func(tlog.Tile, []byte) error { return nil }); err != nil {
			return [32]byte{}, err
		}
	}
	return f.Root(), nil
}

// catchUp reads and judges what is new up to the published head.
func (r *replay) catchUp(ctx context.Context) error {
	head, err := r.follower.Update(ctx)
	if err != nil {
		return err
	}
	for e, err := range r.follower.Entries(ctx) {
		if err != nil {
			return err
		}
		r.entries = append(r.entries, bytes.Clone(e.Bytes))
		r.leaves = append(r.leaves, e.Leaf)
		if err := r.judge(e.Index); err != nil {
			return fmt.Errorf("entry %d: %w", e.Index, err)
		}
	}
	r.head = head
	return nil
}

func (r *replay) judge(index uint64) error {
	e := ledger.Read(index, r.entries[index])
	if _, err := r.ledger.Apply(e); err != nil {
		return err
	}
	if e.Envelope == nil {
		return nil
	}
	if d, ok := e.Envelope.Event.Body.(*event.Disclosure); ok {
		return r.disclosed(index, d)
	}
	return nil
}

// disclosed holds what a disclosure opens to the digests of the sealed event. Here
// each disclosure opens all.
func (r *replay) disclosed(index uint64, d *event.Disclosure) error {
	b, err := r.Entry(d.Event.Index)
	if err != nil {
		return err
	}
	env, err := event.ParseEnvelope(b)
	if err != nil {
		return err
	}
	if err := env.Event.MatchAll(event.ClassPublic, d.Openings); err != nil {
		return fmt.Errorf("it does not open entry %d: %w", d.Event.Index, err)
	}
	r.opened[d.Event.Index] = index
	return nil
}

// now is the time at which the witnesses saw the head.
func (r *replay) now() time.Time { return time.Unix(int64(r.head.LoggedAfter), 0).UTC() }

// openings returns what an entry was found to have sealed, once it is open.
func (r *replay) openings(index uint64) (map[string]event.Value, error) {
	env, err := event.ParseEnvelope(r.entries[r.opened[index]])
	if err != nil {
		return nil, err
	}
	out := make(map[string]event.Value)
	for _, o := range env.Event.Body.(*event.Disclosure).Openings {
		out[o.Name] = o.Value
	}
	return out, nil
}

// A watch looks at the log after it has grown, and says whether it has seen what it
// waits for.
type watch func() (done bool, err error)

// watchTimeout bounds the wait for what has a deadline of seconds.
const watchTimeout = 3 * time.Minute

// await follows the log until all have seen what they wait for.
func (r *replay) await(ctx context.Context, all ...watch) error {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	return poll(ctx, "what the log is to do", func() (bool, error) {
		if err := r.catchUp(ctx); err != nil {
			return false, err
		}
		left := all[:0:0]
		for _, w := range all {
			done, err := w()
			if err != nil {
				return false, err
			}
			if !done {
				left = append(left, w)
			}
		}
		all = left
		return len(all) == 0, nil
	})
}
