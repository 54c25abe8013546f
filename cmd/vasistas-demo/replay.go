// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/replica"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// replay reads the log as any stranger would, from its first entry on, and judges
// each entry by the rules, to see what happens when. It knows the policy, and asks no
// clock: the time is what the witnesses say of the head. What it all amounts to, the
// audit says.
type replay struct {
	replica *replica.Replica
	ledger  *ledger.Ledger
	head    *tlog.Verified

	entries [][]byte
	opened  map[uint64]uint64 // by sealed entry that is wholly open, the disclosure that did it
}

func newReplay(cl *client.Client) (*replay, error) {
	r, err := replica.New(replica.Config{Client: cl, Origin: origin})
	if err != nil {
		return nil, err
	}
	return &replay{replica: r, ledger: r.Ledger(), opened: make(map[uint64]uint64)}, nil
}

// catchUp reads and judges what is new up to the published head.
func (r *replay) catchUp(ctx context.Context) (err error) {
	if r.head, err = r.replica.Update(ctx); err != nil {
		return err
	}
	return r.replica.Replay(ctx, replica.Observer{
		Bundle: func(b client.Bundle) error {
			r.entries = append(r.entries, b.Entries...)
			return nil
		},
		After: func(e *ledger.Entry, _ []*ledger.Violation) error {
			if e.Envelope == nil {
				return nil
			}
			if d, ok := e.Envelope.Event.Body.(*event.Disclosure); ok {
				return r.disclosed(e.Index, d)
			}
			return nil
		},
	})
}

// disclosed holds what a disclosure opens to the digests of the sealed event. Here
// each disclosure opens all.
func (r *replay) disclosed(index uint64, d *event.Disclosure) error {
	if d.Event.Index >= index {
		return fmt.Errorf("entry %d discloses entry %d", index, d.Event.Index)
	}
	env, err := event.ParseEnvelope(r.entries[d.Event.Index])
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
