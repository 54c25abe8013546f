// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"testing"
	"time"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
)

// BenchmarkVerify measures the whole verification of a file with a warrant, a
// log's signature and three cosignatures in a tree of 1,000 entries (whole),
// and next to it the signature checks and hashes that it can't do without
// (primitives). The two alternate in one run, so that what disturbs one
// disturbs the other, and ratio is the quotient of their sums.
func BenchmarkVerify(b *testing.B) {
	w := newWorld(b, 1000)
	policy := w.policy(3)
	const index = 777
	p := w.whole(index)
	file := p.Bytes()
	o := Options{Signers: know(w.signers...)}
	in, err := Proof(policy, file, o)
	if err != nil {
		b.Fatal(err)
	}
	fresh := func() { policy = w.policy(3) } // keys remember the last line that verified
	whole := func() {
		if _, err := Proof(policy, file, o); err != nil {
			b.Fatal(err)
		}
	}
	var hashes [][]byte
	for i := range p.Hashes {
		hashes = append(hashes, p.Hashes[i][:])
	}
	root := in.Root()
	primitives := func() {
		for _, l := range policy.Logs {
			if _, err := l.Key.Verify(&p.Checkpoint.Head, p.Checkpoint.Find(l.Key)); err != nil {
				b.Fatal(err)
			}
		}
		for _, x := range policy.Witnesses {
			if _, err := x.Key.Verify(&p.Checkpoint.Head, p.Checkpoint.Find(x.Key)); err != nil {
				b.Fatal(err)
			}
		}
		if err := in.envelope.Verify(o.Signers); err != nil {
			b.Fatal(err)
		}
		leaf := rfc6962.DefaultHasher.HashLeaf(p.Extra)
		if err := proof.VerifyInclusion(rfc6962.DefaultHasher, p.Index, in.Size(), leaf, hashes, root[:]); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("whole", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			fresh()
			b.StartTimer()
			whole()
		}
	})
	b.Run("primitives", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			fresh()
			b.StartTimer()
			primitives()
		}
	})
	b.Run("ratio", func(b *testing.B) {
		var wholes, parts time.Duration
		for b.Loop() {
			fresh()
			start := time.Now()
			whole()
			wholes += time.Since(start)
			fresh()
			start = time.Now()
			primitives()
			parts += time.Since(start)
		}
		b.ReportMetric(float64(wholes)/float64(parts), "whole/primitives")
		b.ReportMetric(float64(len(file)), "file-bytes")
	})
}
