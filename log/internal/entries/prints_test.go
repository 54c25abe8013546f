// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package entries

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestPrints compares the table with a map, also where prints meet.
func TestPrints(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p prints
		want := make(map[uint64][]uint64)
		few := rapid.SliceOfN(rapid.Uint64(), 1, 20).Draw(t, "prints")
		// All in one shard, some in one place.
		for i := range few {
			few[i] = few[i]<<shardBits>>shardBits | few[0]>>(64-shardBits)<<(64-shardBits)
		}
		for i := range uint64(rapid.IntRange(0, 300).Draw(t, "n")) {
			print := rapid.SampledFrom(few).Draw(t, "print")
			p.add(print, i)
			key := print >> (64 - shardBits - restBits)
			want[key] = append(want[key], i)
		}
		for _, print := range append(few, rapid.Uint64().Draw(t, "other")) {
			got := slices.Sorted(p.find(print))
			if w := want[print>>(64-shardBits-restBits)]; !slices.Equal(got, w) {
				t.Fatalf("print %x: %v; want %v", print, got, w)
			}
		}
	})
	var p prints
	p.add(1<<63, maxIndex)
	if got := slices.Collect(p.find(1 << 63)); !slices.Equal(got, []uint64{maxIndex}) {
		t.Errorf("the largest index: %v", got)
	}
}

// TestPrintsMemory: an entry costs at most 14 bytes, at any size.
func TestPrintsMemory(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []uint64{200_000, 500_000, 777_777} {
		var before, after runtime.MemStats
		for range 2 { // what other tests have left goes, too
			runtime.GC()
		}
		runtime.ReadMemStats(&before)
		p := new(prints)
		for i := range n {
			p.add(rng.Uint64(), i)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if each := (float64(after.HeapAlloc) - float64(before.HeapAlloc)) / float64(n); each > 14 {
			t.Errorf("%d entries take %.1f bytes each", n, each)
		}
		runtime.KeepAlive(p)
	}
}

func BenchmarkPrints(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	p := new(prints)
	for i := range uint64(1_000_000) {
		p.add(rng.Uint64(), i)
	}
	for b.Loop() {
		for range p.find(rng.Uint64()) {
		}
	}
}
