// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"encoding/binary"
	"hash/maphash"
	"iter"

	"github.com/vasistas/vasistas/log/event"
)

// usedID is the use of an id by a key.
type usedID struct {
	id     event.ID
	hash   [16]byte // of the event, cut
	time   int64
	index  uint64 // of the entry
	key    uint32
	effect bool // a place in a chain, even a waiting one, is an effect
}

// ids is a hash table of used ids, with linear probing. There may be millions of ids, so each takes 70 bytes
// and no pointer.
type ids struct {
	seed  maphash.Seed
	parts [][]usedID // in the order in which they were put; all parts but the last have idsPart uses
	slots []uint64   // 0: free; else 32 bits of the hash, and 1 more than the place in parts
	n     int
}

const idsPart = 1024

func (t *ids) at(place int) *usedID { return &t.parts[place/idsPart][place%idsPart] }

// find returns the use of an id by a key, nil if there is none, and the slot of the use or a free slot for it.
func (t *ids) find(key uint32, id event.ID) (u *usedID, slot int, hash uint64) {
	b := binary.LittleEndian.AppendUint32(append(make([]byte, 0, len(id)+4), id[:]...), key)
	hash = maphash.Bytes(t.seed, b) >> 32
	for slot = t.home(hash); t.slots[slot] != 0; slot = t.after(slot) {
		if s := t.slots[slot]; s>>32 == hash {
			if u := t.at(int(uint32(s)) - 1); u.key == key && u.id == id {
				return u, slot, hash
			}
		}
	}
	return nil, slot, hash
}

func (t *ids) home(hash uint64) int { return int(hash * uint64(len(t.slots)) >> 32) }

func (t *ids) after(slot int) int {
	if slot++; slot == len(t.slots) {
		return 0
	}
	return slot
}

// put records a use. It replaces a use of the same id by the same key.
func (t *ids) put(use usedID) {
	old, slot, hash := t.find(use.key, use.id)
	if old != nil {
		*old = use
		return
	}
	last := len(t.parts) - 1
	if last < 0 || len(t.parts[last]) == idsPart {
		var part []usedID
		if last >= 0 {
			part = make([]usedID, 0, idsPart)
		}
		t.parts = append(t.parts, part)
		last++
	}
	t.parts[last] = append(t.parts[last], use)
	t.n++
	t.slots[slot] = hash<<32 | uint64(t.n)
	if t.n >= len(t.slots)*13/16 { // a free slot ends every search
		old := t.slots
		t.slots = make([]uint64, len(old)+len(old)/2)
		for _, s := range old {
			if s != 0 {
				slot := t.home(s >> 32)
				for t.slots[slot] != 0 {
					slot = t.after(slot)
				}
				t.slots[slot] = s
			}
		}
	}
}

// all iterates over the uses whose time is least or later.
func (t *ids) all(least int64) iter.Seq[usedID] {
	return func(yield func(usedID) bool) {
		for _, p := range t.parts {
			for _, u := range p {
				if u.time >= least && !yield(u) {
					return
				}
			}
		}
	}
}

// newIDs returns the table of these uses.
func newIDs(uses iter.Seq[usedID]) *ids {
	t := &ids{seed: maphash.MakeSeed(), slots: make([]uint64, 16)}
	for u := range uses {
		t.put(u)
	}
	return t
}
