// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package entries

import (
	"fmt"
	"iter"
)

// prints is a multimap from fingerprints to entry indices, in about 11 bytes an
// entry and without pointers: of a fingerprint it keeps 42 bits, 12 as the number
// of a shard and 30 in the slot. find yields the indices
// of all events of one print; the caller compares them with the tree.
type prints struct {
	shards [1 << shardBits]shard
}

// shard is a hash table with linear probing. A slot is 0, or holds the 30 bits
// above the index plus one.
type shard struct {
	slots []uint64
	used  int
}

const (
	shardBits = 12
	restBits  = 30
	indexBits = 64 - restBits // 17 billion entries
	maxIndex  = 1<<indexBits - 2
)

func split(print uint64) (shard int, rest uint64) {
	return int(print >> (64 - shardBits)), print << shardBits >> (64 - restBits)
}

func (p *prints) add(print, index uint64) {
	if index > maxIndex {
		panic(fmt.Sprintf("event index: it can't hold entry %d", index))
	}
	n, rest := split(print)
	p.shards[n].add(rest<<indexBits | (index + 1))
}

// find yields the indices that were added with this print, or rarely with
// another, in no order.
func (p *prints) find(print uint64) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		n, rest := split(print)
		s := p.shards[n].slots
		if len(s) == 0 {
			return
		}
		for i := home(rest, len(s)); s[i] != 0; i = after(i, len(s)) {
			if s[i]>>indexBits == rest && !yield(s[i]&(1<<indexBits-1)-1) {
				return
			}
		}
	}
}

func home(rest uint64, slots int) int { return int(rest * uint64(slots) >> restBits) }

func after(i, slots int) int {
	if i++; i == slots {
		return 0
	}
	return i
}

func (s *shard) add(slot uint64) {
	if s.used >= len(s.slots)*13/16 { // at least one stays free, which ends every search
		old := s.slots
		s.slots = make([]uint64, len(old)+len(old)/4+8)
		for _, o := range old {
			if o != 0 {
				s.put(o)
			}
		}
	}
	s.put(slot)
	s.used++
}

func (s *shard) put(slot uint64) {
	i := home(slot>>indexBits, len(s.slots))
	for s.slots[i] != 0 {
		i = after(i, len(s.slots))
	}
	s.slots[i] = slot
}
