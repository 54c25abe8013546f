// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/internal/world"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/tlog"
)

// testProof is a proof of a real event in a tree of one, under four witnesses.
type testProof struct {
	people    *people.People
	witnesses []*world.Witness
	proof     *tlog.Proof
}

func newTestProof(t *testing.T) *testProof {
	t.Helper()
	p := &testProof{people: people.New(origin, "")}
	signers := []*tlog.Signer{p.people.Log()}
	for _, name := range []string{"witness1", "witness2", "witness3", "witness4"} {
		w := &world.Witness{Name: name, Keys: []*tlog.Signer{p.people.Witness(name)}}
		p.witnesses, signers = append(p.witnesses, w), append(signers, w.Keys[0])
	}
	e := sign(t, p.people, oneRow(t, nil))
	head, err := people.Cosign(tlog.Head{Origin: origin, Size: 1, Root: e.env.LeafHash()}, uint64(time.Now().Unix()), signers...)
	check(t, err)
	p.proof = &tlog.Proof{Extra: e.env.Bytes(), Checkpoint: head}
	return p
}

// policy asks for k of the witnesses.
func (p *testProof) policy(k int) *verify.Policy {
	return p.people.ParsePolicy(k, "witness1", "witness2", "witness3", "witness4")
}

// TestAttacksCanSucceed shows each attack a victim that lets it pass: the demo
// must notice.
func TestAttacksCanSucceed(t *testing.T) {
	p := newTestProof(t)
	three, all := p.policy(3), p.policy(4)
	last := p.witnesses[numWitnesses-1]
	if err := caught(func() { threeOfFour(three, all, p.proof, last) }); err != nil {
		t.Errorf("the attack that fails: %v", err)
	}
	if err := caught(func() { threeOfFour(three, three, p.proof, last) }); !errors.Is(err, errSucceeded) {
		t.Errorf("three of four, under a policy that three meet: %v", err)
	}
	if err := caught(func() { changeByte(three, p.proof) }); err != nil {
		t.Errorf("the attack that fails: %v", err)
	}
	if err := caught(func() { refusedBy(three, p.proof, verify.NotIncluded) }); !errors.Is(err, errSucceeded) {
		t.Errorf("a proof that was not changed: %v", err)
	}
	other := &tlog.Proof{Extra: []byte("x"), Checkpoint: p.proof.Checkpoint}
	if err := caught(func() { refusedBy(all, other, verify.NoQuorum) }); err == nil || errors.Is(err, errSucceeded) {
		t.Errorf("a forgery that is refused for another reason: %v", err)
	}
}
