// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package wakes

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestHeap compares the heap with a sorted slice, over random pushes and pops.
func TestHeap(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var h Heap
	var want []Wake
	for range 20_000 {
		if len(want) == 0 || r.IntN(100) < 51 {
			w := Wake{r.Int64N(50), r.Uint64N(50)}
			h.Push(w)
			i, _ := slices.BinarySearchFunc(want, w, Compare)
			want = slices.Insert(want, i, w)
			continue
		}
		if got := h.Pop(); got != want[0] {
			t.Fatalf("Pop = %v; want %v", got, want[0])
		}
		want = want[1:]
	}
	for _, w := range want {
		if got := h.Pop(); got != w {
			t.Fatalf("Pop = %v; want %v", got, w)
		}
	}
	if len(h) > 0 {
		t.Errorf("%d checks are left", len(h))
	}
}
