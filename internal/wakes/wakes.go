// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package wakes is a heap of times at which entries of a log must be checked. Its owner may
// leave outdated checks in it: a needless check does no harm.
package wakes

import "cmp"

// Heap is a binary heap with the first check at index 0. Its zero value is empty, and a
// sorted slice is a heap. It does what container/heap does, without its allocations.
type Heap []Wake

// Wake is a check of an entry.
type Wake struct {
	Time  int64 // in POSIX seconds
	Index uint64
}

// Compare orders checks by time, and those of one time by entry.
func Compare(a, b Wake) int {
	return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Index, b.Index))
}

// Push adds a check.
func (h *Heap) Push(w Wake) {
	s := append(*h, w)
	i := len(s) - 1
	for parent := (i - 1) / 2; i > 0 && Compare(w, s[parent]) < 0; parent = (i - 1) / 2 {
		s[i], i = s[parent], parent
	}
	s[i] = w
	*h = s
}

// Pop removes the first check, and returns it. The heap must not be empty.
func (h *Heap) Pop() Wake {
	s := *h
	top, n := s[0], len(s)-1
	last := s[n]
	s = s[:n]
	i := 0
	for child := 1; child < n; child = 2*i + 1 {
		if child+1 < n && Compare(s[child+1], s[child]) < 0 {
			child++
		}
		if Compare(last, s[child]) <= 0 {
			break
		}
		s[i], i = s[child], child
	}
	if n > 0 {
		s[i] = last
	}
	*h = s
	return top
}
