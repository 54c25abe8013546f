// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/tlog"
)

func cosign(t *testing.T, h tlog.Head, keys ...*tlog.Signer) *tlog.Checkpoint {
	t.Helper()
	c, err := people.Cosign(h, 1_700_000_000, keys...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestUnacceptedHeadStopsNoFollower: a head that only a retired key signed, or that no witness
// cosigned, is reported and not believed, and the follower goes on with the log's next one.
func TestUnacceptedHeadStopsNoFollower(t *testing.T) {
	retired := people.New(origin, "earlier").Log()
	for _, c := range []struct {
		name        string
		size        uint64
		keys        func(l *fileLog) []*tlog.Signer
		contradicts bool
	}{
		{"retired key", 300, func(l *fileLog) []*tlog.Signer { return []*tlog.Signer{retired, l.Witness("w")} }, false},
		{"no witness", 500, func(l *fileLog) []*tlog.Signer { return []*tlog.Signer{l.People.Log()} }, false},
		{"no witness, and a contradiction", 300, func(l *fileLog) []*tlog.Signer { return []*tlog.Signer{l.People.Log()} }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newFileLog(t)
			l.grow(300)
			evil := l.branch(func(i uint64) []byte { return fmt.Appendf(nil, "lie %d", i) })
			evil.grow(c.size)
			reported := 0
			o := client.FollowOptions{Poll: time.Millisecond, MaxPoll: time.Millisecond, Waiting: func(err error) {
				reported++
				var contradiction *client.ContradictionError
				if errors.As(err, &contradiction) != c.contradicts || errors.As(err, new(*client.ForkError)) {
					t.Errorf("reported: %v", err)
				}
				if c.contradicts {
					if err := verify.Fork(l.policy(), contradiction.Fork, ""); err != nil {
						t.Errorf("the evidence does not convince: %v", err)
					}
				}
				l.grow(400)
			}}
			for e, err := range newClient(t, client.Config{URL: l.Dir, Policy: l.policy()}).Follow(t.Context(), o) {
				if err != nil {
					t.Fatal(err)
				}
				if string(e.Bytes) != string(l.entry(e.Index)) {
					t.Fatalf("entry %d: %q", e.Index, e.Bytes)
				}
				if e.Index == 299 {
					l.write("checkpoint", cosign(t, evil.Head(), c.keys(l)...).Bytes())
				}
				if e.Index == 399 {
					break
				}
			}
			if reported == 0 {
				t.Error("nothing was reported")
			}
		})
	}
}

// TestFollowAfterKeyChange: a saved head that a retired key signed still binds the log, and does
// not convict its new key.
func TestFollowAfterKeyChange(t *testing.T) {
	l := newFileLog(t)
	l.grow(300)
	evil := l.branch(func(i uint64) []byte { return fmt.Appendf(nil, "lie %d", i) })
	f := follower(t, newClient(t, client.Config{URL: l.Dir, Policy: l.policy()}), client.FollowOptions{})
	collect(t, f, l, 0)
	key := people.New(origin, "later").Log()
	policy, err := tlog.ParsePolicy(fmt.Appendf(nil, "log %s\n%s", key.Verifier(), l.Policy(1, "w")))
	if err != nil {
		t.Fatal(err)
	}
	for _, now := range []*fileLog{l, evil} {
		now.grow(400)
		now.write("checkpoint", cosign(t, now.Head(), key, l.Witness("w")).Bytes())
	}
	next := follower(t, newClient(t, client.Config{URL: l.Dir, Policy: policy}), client.FollowOptions{From: f.State()})
	if got := collect(t, next, l, 300); got != 400 {
		t.Errorf("it went on to %d", got)
	}
	_, err = follower(t, newClient(t, client.Config{URL: evil.Dir, Policy: policy}), client.FollowOptions{From: f.State()}).Update(t.Context())
	var fork *client.ForkError
	if !errors.As(err, new(*client.StateError)) || !errors.As(err, &fork) || verify.Fork(policy, fork, "") == nil {
		t.Errorf("a contradiction: %v", err)
	}
}
