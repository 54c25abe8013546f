// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/vasistas/vasistas/log/tlog"
)

// attackTimeout is how long to wait for a head that all witnesses cosigned.
const attackTimeout = 30 * time.Second

func (s *story) attack(ctx context.Context) error {
	if len(s.batch.events) == 0 {
		return errors.New("no row became an event, so there is nothing to attack; use more -rows")
	}
	s.title("Three attacks")
	if err := os.MkdirAll(s.path("attacks"), 0o755); err != nil {
		return err
	}
	proof, err := s.completeProof(ctx)
	if err != nil {
		return err
	}
	changed, a, err := changeByte(s.policy, proof)
	if err != nil {
		return err
	}
	s.tellAttack(1, "A changed byte", a)
	if err := s.attackForks(ctx); err != nil {
		return err
	}
	cut, a, err := twoOfThree(s.policy, s.all, proof, s.witnesses[numWitnesses-1])
	if err != nil {
		return err
	}
	s.tellAttack(3, "Too few witnesses", a)
	for name, p := range map[string]*tlog.Proof{"changed-byte": changed, "two-of-three": cut} {
		if err := os.WriteFile(s.path("attacks", name+".tlog-proof"), p.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// completeProof returns the proof of an event under a head that all witnesses
// have cosigned.
func (s *story) completeProof(ctx context.Context) (*tlog.Proof, error) {
	ctx, cancel := context.WithTimeout(ctx, attackTimeout)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	index := s.done.Indices[len(s.done.Indices)/2]
	for {
		p, err := s.client.Prove(ctx, index)
		if err != nil {
			return nil, err
		}
		all := true
		for _, o := range s.witnesses {
			for _, k := range o.keys {
				all = all && p.Checkpoint.Find(k.Verifier()) != nil
			}
		}
		if all {
			_, err := s.all.Verify(p.Checkpoint, origin)
			return p, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for a head that all witnesses have cosigned: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

func (s *story) attackForks(ctx context.Context) error {
	for i := range s.witnesses {
		a, err := s.forkOne(ctx, i)
		if err != nil {
			return err
		}
		if i == 0 {
			s.tellAttack(2, "A forked log", a)
			continue
		}
		for _, r := range a.Refused {
			s.wrap("     ", "-> "+r)
		}
	}
	file, err := evidence(s.policy, s.path(s.witnesses[0].name))
	if err != nil {
		return err
	}
	s.wrap("     ", "The two heads of one size, both signed by the log, convict it before anybody who has its key. "+
		"Each witness keeps them; this file was checked:")
	s.say("     %s", file)
	return nil
}

// forkOne offers a fork to a witness. The log may grow meanwhile by what it owes:
// then the fork is made anew, for the head that the witness has now.
func (s *story) forkOne(ctx context.Context, i int) (a *attack, err error) {
	err = s.replay.await(ctx, func() (bool, error) {
		a, err = forkHead(ctx, s.log, s.urls[i], s.witnesses[i], s.replay.leaves)
		if errors.Is(err, errMoved) {
			return false, nil
		}
		return true, err
	})
	return a, err
}

func (s *story) tellAttack(n int, name string, a *attack) {
	s.say("  %d. %s", n, name)
	s.wrap("     ", a.Tried)
	for _, r := range a.Refused {
		s.wrap("     ", "-> "+r)
	}
}
