// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/internal/world"
	"github.com/vasistas/vasistas/log/tlog"
)

// attack is a proof that was forged, and what refused it.
type attack struct {
	name    string // of the file
	forged  *tlog.Proof
	tried   string
	refused []string
}

// errSucceeded is the error of an attack that was not refused. It is the one
// that must never happen.
var errSucceeded = errors.New("THE ATTACK SUCCEEDED")

func (s *story) attack(ctx context.Context) {
	s.title("Two attacks on a proof")
	try(os.MkdirAll(s.Path("attacks"), 0o755))
	proof := s.completeProof(ctx)
	for i, a := range []*attack{
		changeByte(s.policy, proof), twoOfThree(s.policy, s.all, proof, s.Witnesses[numWitnesses-1]),
	} {
		s.tellAttack(i+1, a.tried, a.refused...)
		try(os.WriteFile(s.Path("attacks", a.name+".tlog-proof"), a.forged.Bytes(), 0o644))
	}
}

func (s *story) tellAttack(n int, tried string, refused ...string) {
	s.wrap("  ", "%d. %s", n, tried)
	for _, r := range refused {
		s.wrap("     ", "-> %s", r)
	}
}

// completeProof returns the proof of an event under a head that all witnesses
// have cosigned.
func (s *story) completeProof(ctx context.Context) (proof *tlog.Proof) {
	index := s.indices[len(s.indices)/2]
	try(poll(ctx, readyTimeout, "a head that all witnesses have cosigned", func() bool {
		proof = must(s.client.Prove(ctx, index))
		for _, o := range s.Witnesses {
			for _, k := range o.Keys {
				if proof.Checkpoint.Find(k.Verifier()) == nil {
					return false
				}
			}
		}
		must(s.all.Verify(proof.Checkpoint, origin))
		return true
	}))
	return proof
}

// changeByte flips one bit in the middle of the entry that a proof carries.
func changeByte(policy *verify.Policy, proof *tlog.Proof) *attack {
	forged := *proof
	forged.Extra = bytes.Clone(proof.Extra)
	at := len(forged.Extra) / 2
	forged.Extra[at] ^= 1
	reason := refusedBy(policy, &forged, verify.NotIncluded)
	return &attack{
		name: "changed-byte", forged: &forged, refused: []string{"Offline verification: " + reason},
		tried: fmt.Sprintf("A changed byte. In the proof of entry %d, byte %d of the entry's %d was changed, by one bit.",
			proof.Index, at, len(forged.Extra)),
	}
}

// refusedBy verifies a forged proof, and returns why it is refused, which must
// be for this reason.
func refusedBy(policy *verify.Policy, p *tlog.Proof, want verify.Reason) string {
	_, err := verify.Proof(policy, p.Bytes(), verify.Options{Now: time.Now()})
	if err == nil {
		try(fmt.Errorf("%w: a forged proof was verified", errSucceeded))
	}
	refused, ok := errors.AsType[*verify.Error](err)
	if !ok || refused.Reason != want {
		try(fmt.Errorf("a forged proof was refused, but not as %s: %w", want, err))
	}
	// The two root hashes that follow tell a reader nothing.
	text, _, _ := strings.Cut(err.Error(), ": it leads to the root")
	return fmt.Sprintf("%s (%s)", text, refused.Reason)
}

// twoOfThree leaves a proof the cosignatures of all witnesses but the last. It
// must hold under the policy that asks for two, and not under that which asks
// for all three.
func twoOfThree(two, all *verify.Policy, proof *tlog.Proof, last *world.Witness) *attack {
	head := *proof.Checkpoint
	head.Signatures = slices.Clone(head.Signatures)
	for _, k := range last.Keys {
		if head.Find(k.Verifier()) == nil {
			try(fmt.Errorf("the proof to begin with has no cosignature of %s", last.Name))
		}
		head.Signatures = slices.DeleteFunc(head.Signatures, func(s tlog.Signature) bool {
			return s.Name == k.Verifier().Name && s.KeyID == k.Verifier().ID
		})
	}
	forged := *proof
	forged.Checkpoint = &head
	if _, err := verify.Proof(two, forged.Bytes(), verify.Options{Now: time.Now()}); err != nil {
		try(fmt.Errorf("a proof with two cosignatures should hold under a policy of two: %w", err))
	}
	reason := refusedBy(all, &forged, verify.NoQuorum)
	return &attack{
		name: "two-of-three", forged: &forged,
		tried: fmt.Sprintf("Too few witnesses. From the proof of entry %d, the cosignatures of %s were taken away, and it was "+
			"shown to a verifier whose policy asks for all three witnesses.", proof.Index, last.Name),
		refused: []string{
			"Offline verification: " + reason,
			"Under the policy that asks for two of three the same file holds, as it should: how many witnesses are enough is the verifier's choice.",
		},
	}
}
