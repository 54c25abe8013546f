// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/log/tlog"
)

// testProof is a proof of a real event in a tree of one, under two witnesses.
type testProof struct {
	log       operator
	witnesses []operator
	proof     *tlog.Proof
}

func newTestProof(t *testing.T) *testProof {
	t.Helper()
	p := &testProof{}
	list := operators(func(_, name string, a tlog.Algorithm) *tlog.Signer {
		k, err := tlog.GenerateSigner(name, a)
		check(t, err)
		return k
	})
	p.log, p.witnesses = list[0], list[1:]
	r := oneRow(t, nil)
	e := sign(t, testSigners(t, []row{*r}), r)
	head := &tlog.Checkpoint{Head: tlog.Head{Origin: origin, Size: 1, Root: e.env.LeafHash()}}
	for _, o := range list {
		for _, k := range o.keys {
			line, err := k.Sign(&head.Head, uint64(time.Now().Unix()))
			check(t, err)
			head.Signatures = append(head.Signatures, line)
		}
	}
	p.proof = &tlog.Proof{Extra: e.env.Bytes(), Checkpoint: head}
	return p
}

// policy asks for a number of the witnesses, by their Ed25519 keys.
func (p *testProof) policy(t *testing.T, quorum string) *verify.Policy {
	t.Helper()
	text := fmt.Sprintf("log %s\n", p.log.keys[0].Verifier())
	names := ""
	for _, w := range p.witnesses {
		text += fmt.Sprintf("witness %s %s\n", w.file, w.keys[0].Verifier())
		names += " " + w.file
	}
	policy, err := verify.ParsePolicy([]byte(text + "group g " + quorum + names + "\nquorum g\n"))
	check(t, err)
	return policy
}

// TestAttacksCanSucceed shows each attack a victim that lets it pass: the demo
// must notice.
func TestAttacksCanSucceed(t *testing.T) {
	p := newTestProof(t)
	two, all := p.policy(t, "2"), p.policy(t, "all")
	last := p.witnesses[numWitnesses-1]
	if err := caught(func() { twoOfThree(two, all, p.proof, last) }); err != nil {
		t.Errorf("the attack that fails: %v", err)
	}
	if err := caught(func() { twoOfThree(two, two, p.proof, last) }); !errors.Is(err, errSucceeded) {
		t.Errorf("two of three, under a policy that two meet: %v", err)
	}
	if err := caught(func() { changeByte(two, p.proof) }); err != nil {
		t.Errorf("the attack that fails: %v", err)
	}
	if err := caught(func() { refusedBy(two, p.proof, verify.NotIncluded) }); !errors.Is(err, errSucceeded) {
		t.Errorf("a proof that was not changed: %v", err)
	}
	other := &tlog.Proof{Extra: []byte("x"), Checkpoint: p.proof.Checkpoint}
	if err := caught(func() { refusedBy(all, other, verify.NoQuorum) }); err == nil || errors.Is(err, errSucceeded) {
		t.Errorf("a forgery that is refused for another reason: %v", err)
	}
}

func TestSampled(t *testing.T) {
	for n := 1; n <= 70; n++ {
		for keep := 0; keep <= n+1; keep++ {
			got, want := 0, keep
			for i := range n {
				if sampled(i, n, keep) {
					got++
				}
			}
			if keep == 0 || keep > n {
				want = n
			}
			if got != want || !sampled(0, n, keep) {
				t.Errorf("%d of %d kept, %d wanted", got, n, keep)
			}
		}
	}
}
