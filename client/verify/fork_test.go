// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"fmt"
	"testing"

	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/tlog"
)

// TestFork checks what convicts a log by its key alone, and what does not.
func TestFork(t *testing.T) {
	signer := func(name string) *tlog.Signer {
		s, err := tlog.GenerateSigner(name, tlog.Ed25519)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	log, other := signer("log.example"), signer("other.example")
	sign := func(by *tlog.Signer, size uint64, root tlog.Hash) *tlog.Checkpoint {
		cp := &tlog.Checkpoint{Head: tlog.Head{Origin: by.Verifier().Name, Size: size, Root: root}}
		line, err := by.Sign(&cp.Head, 0)
		if err != nil {
			t.Fatal(err)
		}
		cp.Signatures = append(cp.Signatures, line)
		return cp
	}
	head := func(size uint64, root byte) *tlog.Checkpoint { return sign(log, size, tlog.Hash{root}) }
	// Trees of one and two entries.
	one, two := tlog.Hash{1}, tlog.Hash{2}
	both := tlog.Hash(rfc6962.DefaultHasher.HashChildren(one[:], two[:]))
	forged := head(3, 1)
	forged.Root = tlog.Hash{9}
	policy, err := tlog.ParsePolicy(fmt.Appendf(nil, "log %s\nlog %s\nquorum none\n", log.Verifier(), other.Verifier()))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		f    tlog.Fork
		want Reason
	}{
		"one size":               {tlog.Fork{Small: head(3, 1), Large: head(3, 2), Prefix: tlog.Hash{2}}, noReason},
		"two sizes":              {tlog.Fork{Small: head(1, 9), Large: sign(log, 2, both), Prefix: one, Proof: []tlog.Hash{two}}, noReason},
		"an empty tree's root":   {tlog.Fork{Small: head(0, 1), Large: head(0, 1), Prefix: tiles.EmptyRoot()}, noReason},
		"a root of zeros":        {tlog.Fork{Small: head(3, 1), Large: head(3, 0)}, noReason},
		"no prefix":              {tlog.Fork{Small: head(1, 9), Large: head(2, 2)}, UnprovenFork},
		"one head":               {tlog.Fork{Small: head(3, 1), Large: head(3, 1), Prefix: tlog.Hash{1}}, NoFork},
		"one head, other prefix": {tlog.Fork{Small: head(3, 1), Large: head(3, 1), Prefix: tlog.Hash{2}}, NoFork},
		"a good empty tree":      {tlog.Fork{Small: sign(log, 0, tiles.EmptyRoot()), Large: head(3, 1), Prefix: tiles.EmptyRoot()}, NoFork},
		"an extension":           {tlog.Fork{Small: sign(log, 1, one), Large: sign(log, 2, both), Prefix: one, Proof: []tlog.Hash{two}}, NoFork},
		"a wrong proof":          {tlog.Fork{Small: head(1, 9), Large: sign(log, 2, both), Prefix: two, Proof: []tlog.Hash{one}}, NoFork},
		"two logs":               {tlog.Fork{Small: head(3, 1), Large: sign(other, 3, tlog.Hash{2}), Prefix: tlog.Hash{2}}, NoFork},
		"a forged head":          {tlog.Fork{Small: forged, Large: head(3, 2), Prefix: tlog.Hash{2}}, BadSignature},
		"a strange log":          {tlog.Fork{Small: sign(signer("x.example"), 3, one), Large: head(3, 2), Prefix: two}, UnknownLog},
	} {
		err := Fork(policy, &c.f, "")
		if reasonOf(err) != c.want || (err == nil) != (c.want == noReason) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Fork(nil, &tlog.Fork{}, ""); reasonOf(err) != NoPolicy {
		t.Errorf("without a policy: %v", err)
	}
}
